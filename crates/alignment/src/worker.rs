//! What one worker does with one stripe of rows of one pair.

use crate::kernel::{ColumnSums, FourthRows, Operand, RowSums, accumulate, column_squares};
use crate::units::{UnitSums, Units};
use crate::{Fourths, Moments, PairPlan};
use pulp::Arch;
use stemmata_architecture::{RowOrder, View};
use stemmata_fingerprint::{RowReader, SelfSums, clip, clip_limit, is_constant, mix};
use stemmata_model::{DType, Encoding, ReadError, Weights};

/// Elements of one operand held at a time: 256 KiB of bf16, 512 KiB decoded, so both operands stay in the second-level cache.
const CHUNK: u64 = 1 << 17;
/// Rows between folds of the f32 column sums into f64.
pub(crate) const FOLD_ROWS: u64 = 64;
/// About how many rows of a tensor are looked at for column norms, which only enter reach and power (scaled so that their
/// total is exact), and for the check of each model by itself.
const SAMPLED_ROWS: u64 = 128;
/// Tensors of fewer elements have their fourth moments formed over all of them.
const WHOLE: u64 = 1 << 20;

/// Rows `first .. first + rows` of one pair.
pub(crate) struct Stripe {
    pub(crate) pair: usize,
    pub(crate) first: u64,
    pub(crate) rows: u64,
    pub(crate) last: bool,
}

/// What one stripe gives.
#[derive(Default)]
pub(crate) struct StripeSums {
    pub(crate) moments: Moments,
    /// (Σ c², Σ r²) of the clipped values.
    pub(crate) squares: (f64, f64),
    /// Per row (Σ c·r, Σ c², Σ r²), clipped, when the rows are channels.
    pub(crate) rows: Vec<(f64, f64, f64)>,
    /// Per column Σ c·r, and sampled (Σ c², Σ r²), clipped, when the columns are channels.
    pub(crate) cols: Vec<(f64, f64, f64)>,
    /// Candidate's and reference's units.
    pub(crate) units: [UnitSums; 2],
    /// Candidate and reference by themselves.
    pub(crate) alone: [SelfSums; 2],
}

pub(crate) struct Worker<'a> {
    weights: [&'a dyn Weights; 2],
    readers: [RowReader; 2],
    buffers: [Vec<f32>; 2],
    scratch: Scratch,
    /// Units of the pair whose stripe came last: stripes of one pair follow one another.
    units: Option<(usize, Units)>,
    arch: Arch,
}

/// Buffers that chunks of all stripes share.
#[derive(Default)]
struct Scratch {
    /// Σ c·r per column since the last fold, and of the chunk at hand.
    columns: Vec<f32>,
    chunk: ColumnSums,
    sums: Vec<RowSums>,
    clipped_sums: Vec<RowSums>,
    clipped: [Vec<f32>; 2],
}

impl<'a> Worker<'a> {
    pub(crate) fn new(candidate: &'a dyn Weights, reference: &'a dyn Weights) -> Worker<'a> {
        Worker {
            weights: [candidate, reference],
            readers: Default::default(),
            buffers: Default::default(),
            scratch: Scratch::default(),
            units: None,
            arch: Arch::new(),
        }
    }

    pub(crate) fn run(&mut self, pair: &PairPlan, stripe: &Stripe) -> Result<StripeSums, ReadError> {
        let cols = pair.cols as usize;
        let mut out = StripeSums {
            cols: if pair.col_map.is_some() { vec![(0.0, 0.0, 0.0); cols] } else { Vec::new() },
            ..StripeSums::default()
        };
        if stripe.rows == 0 {
            return Ok(out);
        }
        let last = self.units.take().filter(|(of, _)| *of == stripe.pair);
        let (_, units) = self.units.insert(last.unwrap_or_else(|| (stripe.pair, Units::new(pair))));
        self.scratch.columns.clear();
        self.scratch.columns.resize(cols, 0.0);
        let mut chunks = Chunks {
            pair,
            units,
            arch: self.arch,
            scratch: &mut self.scratch,
            norms: [vec![0.0; out.cols.len()], vec![0.0; out.cols.len()]],
            out: &mut out,
            unfolded: 0,
            end: stripe.first + stripe.rows,
        };
        let step = chunk_rows(pair);
        let mut first = stripe.first;
        while first < chunks.end {
            let rows = step.min(chunks.end - first);
            if !add_stored(self.weights, pair, first, rows, &mut chunks)? {
                for (side, view) in [&pair.candidate, &pair.reference].into_iter().enumerate() {
                    let buffer = &mut self.buffers[side];
                    buffer.resize(rows as usize * cols, 0.0);
                    self.readers[side].read(self.weights[side], view, first, cols, buffer)?;
                }
                let [c, r] = &self.buffers;
                chunks.add(first, rows, [Operand::Decoded(c), Operand::Decoded(r)]);
            }
            first += rows;
        }
        let [c, r] = std::mem::take(&mut chunks.norms);
        for ((total, c), r) in out.cols.iter_mut().zip(c).zip(r) {
            (total.1, total.2) = (f64::from(c), f64::from(r));
        }
        Ok(out)
    }
}

/// The fast path: both sides bf16 and dense, handed over as stored. Returns false, having done nothing, where it does not apply.
fn add_stored(
    weights: [&dyn Weights; 2],
    pair: &PairPlan,
    first: u64,
    rows: u64,
    chunks: &mut Chunks<'_>,
) -> Result<bool, ReadError> {
    let start = |side: usize, view: &View| {
        let bf16 = weights[side].tensors().get(view.tensor)?.encoding == Encoding::Plain(DType::BF16);
        let dense = view.order == RowOrder::Stored && view.col_stride == 1 && view.row_stride == pair.cols;
        (bf16 && dense).then(|| view.first + first * view.row_stride)
    };
    let (Some(c), Some(r)) = (start(0, &pair.candidate), start(1, &pair.reference)) else { return Ok(false) };
    let len = (rows * pair.cols) as usize;
    let mut inner = Ok(false);
    let outer = weights[0].with_stored(pair.candidate.tensor, c, len, &mut |c| {
        inner = weights[1].with_stored(pair.reference.tensor, r, len, &mut |r| {
            chunks.add(first, rows, [Operand::Bf16(c), Operand::Bf16(r)]);
        });
    })?;
    Ok(outer && inner?)
}

/// Rows per chunk. Transposed storage is read column by column, so a chunk there is taller.
fn chunk_rows(pair: &PairPlan) -> u64 {
    let across = |view: &View| view.col_stride > view.row_stride && view.rows > 1;
    let budget = if across(&pair.candidate) || across(&pair.reference) { CHUNK * 16 } else { CHUNK };
    (budget / pair.cols).clamp(1, FOLD_ROWS * 4)
}

/// Adds chunks of rows to the sums of a stripe.
struct Chunks<'a> {
    pair: &'a PairPlan,
    units: &'a Units,
    arch: Arch,
    scratch: &'a mut Scratch,
    norms: [Vec<f32>; 2],
    out: &'a mut StripeSums,
    unfolded: u64,
    end: u64,
}

impl Chunks<'_> {
    fn add(&mut self, first: u64, rows: u64, both: [Operand<'_>; 2]) {
        let cols = self.pair.cols as usize;
        let Scratch { chunk, sums, .. } = &mut *self.scratch;
        sums.resize(rows as usize, RowSums::default());
        let fourths = fourth_rows(self.pair, first);
        let non_finite = accumulate(self.arch, both, cols, fourths, chunk, sums);
        self.out.moments.non_finite += non_finite;
        for (row, sums) in sums.iter().enumerate() {
            self.out.moments.add(&moments(sums, self.pair.cols, fourths.contains(row)));
        }
        let tested = self.pair.row_map.is_some() || self.pair.col_map.is_some() || self.pair.units;
        if tested {
            let salts =
                sums.iter().fold((0, 0), |(c, r), row| (mix(c, row.candidate), mix(r, row.reference)));
            let len = rows as usize * cols;
            let limit = |operand: Operand<'_>, salt| {
                // Of zeros every value would be looked at, for nothing.
                let zero = operand.is_zero();
                if zero { f32::INFINITY } else { clip_limit(len, salt, |i| operand.value(i)) }
            };
            let limits = [limit(both[0], salts.0), limit(both[1], salts.1)];
            if non_finite == 0 && self.is_tame(&both, &limits) {
                self.add_tested(first, rows, both, false);
            } else {
                self.add_clipped(first, rows, both, limits);
            }
        }
        self.unfolded += rows;
        if self.out.cols.is_empty() {
            return;
        }
        self.scratch.chunk.merge_into(self.arch, &mut self.scratch.columns);
        if self.unfolded >= FOLD_ROWS || first + rows == self.end {
            for (total, column) in self.out.cols.iter_mut().zip(&mut self.scratch.columns) {
                total.0 += f64::from(*column);
                *column = 0.0;
            }
            self.unfolded = 0;
        }
    }

    /// Whether clipping would change nothing and no row is a mere default. Mostly seen from the sums that are there anyway: no
    /// square is larger than the sum of squares in its lane.
    fn is_tame(&self, both: &[Operand<'_>; 2], limits: &[f32; 2]) -> bool {
        let cols = self.pair.cols as usize;
        self.scratch.sums.iter().enumerate().all(|(row, sums)| {
            both.iter().zip(limits).zip(sums.peaks).all(|((operand, limit), peak)| {
                // Squares of smaller numbers underflow; sums are rounded.
                let bounded = *limit > 1e-12 && 1.001 * peak <= f64::from(*limit).powi(2);
                (bounded || operand.within(row, cols, *limit)) && !operand.is_constant(row, cols)
            })
        })
    }

    /// The slow path: the chunk once more with wild values cut and constant rows left out.
    fn add_clipped(&mut self, first: u64, rows: u64, both: [Operand<'_>; 2], limits: [f32; 2]) {
        let cols = self.pair.cols as usize;
        let Scratch { chunk, clipped, clipped_sums, .. } = &mut *self.scratch;
        let mut operands = std::mem::take(clipped);
        for ((operand, limit), values) in both.iter().zip(limits).zip(&mut operands) {
            values.clear();
            (0..rows as usize).for_each(|row| values.extend(operand.row(row, cols)));
            let wild = values.iter().filter(|x| x.is_finite() && x.abs() > limit).count() as u64;
            self.out.moments.clipped += wild;
            for row in values.chunks_exact_mut(cols) {
                clip(row, limit);
                if is_constant(row) {
                    row.fill(0.0);
                }
            }
        }
        clipped_sums.resize(rows as usize, RowSums::default());
        let both = [Operand::Decoded(&operands[0]), Operand::Decoded(&operands[1])];
        accumulate(self.arch, both, cols, FourthRows::NONE, chunk, clipped_sums);
        self.add_tested(first, rows, both, true);
        self.scratch.clipped = operands;
    }

    /// What the tests of dependence use.
    fn add_tested(&mut self, first: u64, rows: u64, both: [Operand<'_>; 2], clipped: bool) {
        let cols = self.pair.cols as usize;
        let sums = if clipped { &self.scratch.clipped_sums } else { &self.scratch.sums };
        for sums in sums {
            self.out.squares.0 += sums.candidate;
            self.out.squares.1 += sums.reference;
        }
        if self.pair.row_map.is_some() {
            self.out.rows.extend(sums.iter().map(|s| (s.dot, s.candidate, s.reference)));
        }
        let channels = self.pair.row_map.is_some() || self.pair.col_map.is_some();
        let every = (self.pair.rows / SAMPLED_ROWS).max(1);
        for index in 0..rows {
            let row = first + index;
            let sampled = channels && (self.pair.sample.is_some() || row.is_multiple_of(every));
            if channels && row < self.pair.cols {
                for (operand, alone) in both.iter().zip(&mut self.out.alone) {
                    alone.add_diagonal(row, operand.value(index as usize * cols + row as usize));
                }
            }
            if !sampled && !self.units.wants(row) {
                continue;
            }
            for (side, operand) in both.iter().enumerate() {
                let values = operand.row(index as usize, cols);
                if sampled {
                    self.out.alone[side].add_row(row, &values);
                    column_squares(&values, &mut self.norms[side]);
                }
                if self.units.wants(row) {
                    self.units.add(row, &values, &mut self.out.units[side]);
                }
            }
        }
    }
}

/// Which rows of the chunk that begins at row `first` have their sums of order four formed: those describe, and a quarter of a
/// large tensor describes it as well.
fn fourth_rows(pair: &PairPlan, first: u64) -> FourthRows {
    let every = if pair.rows_read() * pair.cols < WHOLE { 1 } else { 4 };
    FourthRows { first: ((every - first % every) % every) as usize, every: every as usize }
}

fn moments(sums: &RowSums, cols: u64, with_fourths: bool) -> Moments {
    let fourths = Fourths {
        n: cols,
        difference_squares: sums.difference,
        reference_squares: sums.reference,
        difference: sums.difference_fourth,
        difference_reference: sums.difference_reference,
        reference: sums.reference_fourth,
    };
    Moments {
        n: cols,
        changed: cols - sums.unchanged as u64,
        non_finite: 0,
        clipped: 0,
        dot: sums.dot,
        candidate_squares: sums.candidate,
        reference_squares: sums.reference,
        difference_squares: sums.difference,
        fourths: if with_fourths { fourths } else { Fourths::default() },
    }
}
