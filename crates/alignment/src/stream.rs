//! One pass over both models. Stripes of rows go to the workers in storage order; their results are merged in plan order,
//! so neither the number of threads nor their speed changes a bit of the outcome.

use crate::channels::{Groups, SideProducts};
use crate::fixed::{self, count_fixed};
use crate::kernel::{Operand, RowSums, accumulate, column_squares};
use crate::{FixedPoints, Measurement, Moments, PairMeasurement, PairPlan, Plan};
use pulp::Arch;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use stemmata_architecture::{RowOrder, View};
use stemmata_fingerprint::{CountSketch, RowReader, picked};
use stemmata_model::{DType, Encoding, ReadError, Weights};

/// Elements of one operand held decoded at a time: 256 KiB, so both operands and their bytes stay in the second-level cache.
const CHUNK: u64 = 1 << 16;
/// Elements of one stripe, the unit of work: large enough to amortise its column sums, small enough to balance.
const STRIPE: u64 = 1 << 22;
/// No machine gains from more workers, and a mistyped number must not exhaust the system.
const MOST_THREADS: usize = 256;
/// Rows between folds of the f32 column sums into f64.
const FOLD_ROWS: u64 = 64;
/// About how many rows of a tensor the column norms are taken from; they only enter reach and power, and are scaled so
/// that their total is exact.
const NORM_ROWS: u64 = 256;

/// How to run.
pub struct Options<'a> {
    /// Worker threads; 0 means one per processor.
    pub threads: usize,
    /// Raised by the caller to stop.
    pub stop: &'a AtomicBool,
}

/// What has been done so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Elements compared (of each side).
    pub elements: u64,
    /// Elements to compare.
    pub elements_total: u64,
    /// Tensor pairs finished.
    pub tensors: usize,
    /// Tensor pairs to compare.
    pub tensors_total: usize,
}

/// Measures a pair of models according to `plan`.
///
/// O(parameters) time and one read of each side; memory O(channels + threads · chunk), independent of tensor sizes.
pub fn measure(
    plan: &Plan,
    candidate: &dyn Weights,
    reference: &dyn Weights,
    options: &Options<'_>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Measurement, ReadError> {
    let stripes = stripes(plan);
    let threads = match options.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n.min(stripes.len()).clamp(1, MOST_THREADS),
    };
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let (send, receive) = mpsc::sync_channel::<(usize, Result<StripeSums, ReadError>)>(2 * threads);
    let work = |send: mpsc::SyncSender<(usize, Result<StripeSums, ReadError>)>| {
        let mut worker = Worker::new(candidate, reference);
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(stripe) = stripes.get(index) else { break };
            if failed.load(Ordering::Relaxed) {
                break;
            }
            let outcome = if options.stop.load(Ordering::Relaxed) {
                Err(ReadError::Interrupted)
            } else {
                worker.run(&plan.pairs[stripe.pair], stripe)
            };
            if send.send((index, outcome)).is_err() {
                break;
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (work, send) = (&work, send.clone());
            scope.spawn(move || work(send));
        }
        // With this one gone the channel closes when the workers end, even if one of them panics.
        drop(send);
        let outcome = merge(plan, &stripes, &receive, progress);
        if outcome.is_err() {
            failed.store(true, Ordering::Relaxed);
            // Workers blocked on a full channel must be let go.
            while receive.recv_timeout(std::time::Duration::from_millis(50)).is_ok() {}
        }
        drop(receive);
        outcome
    })
}

/// Rows `first .. first + rows` of one pair.
struct Stripe {
    pair: usize,
    first: u64,
    rows: u64,
    last: bool,
}

fn stripes(plan: &Plan) -> Vec<Stripe> {
    let mut order: Vec<usize> = (0..plan.pairs.len()).collect();
    // Candidate's storage order; the key order breaks ties, so the order is a function of the inputs alone.
    order.sort_by_key(|&i| (plan.pairs[i].candidate.tensor, plan.pairs[i].candidate.first, i));
    let mut stripes = Vec::new();
    for pair in order {
        let PairPlan { rows, cols, .. } = plan.pairs[pair];
        if rows == 0 || cols == 0 {
            stripes.push(Stripe { pair, first: 0, rows: 0, last: true });
            continue;
        }
        let step = (STRIPE / cols / FOLD_ROWS * FOLD_ROWS).max(FOLD_ROWS);
        let mut first = 0;
        while first < rows {
            let taken = step.min(rows - first);
            stripes.push(Stripe { pair, first, rows: taken, last: first + taken == rows });
            first += taken;
        }
    }
    stripes
}

/// What one stripe gives.
struct StripeSums {
    moments: Moments,
    /// Per row (Σ c·r, Σ c², Σ r²), when the rows are channels.
    rows: Vec<(f64, f64, f64)>,
    /// Per column Σ c·r, and sampled (Σ c², Σ r²), when the columns are channels.
    cols: Vec<(f64, f64, f64)>,
    /// Projected units: candidate's and reference's.
    units: (Vec<f32>, Vec<f32>),
}

struct Worker<'a> {
    weights: [&'a dyn Weights; 2],
    readers: [RowReader; 2],
    buffers: [Vec<f32>; 2],
    columns: Vec<f32>,
    sums: Vec<RowSums>,
    arch: Arch,
}

impl<'a> Worker<'a> {
    fn new(candidate: &'a dyn Weights, reference: &'a dyn Weights) -> Worker<'a> {
        Worker {
            weights: [candidate, reference],
            readers: Default::default(),
            buffers: Default::default(),
            columns: Vec::new(),
            sums: Vec::new(),
            arch: Arch::new(),
        }
    }

    fn run(&mut self, pair: &PairPlan, stripe: &Stripe) -> Result<StripeSums, ReadError> {
        let cols = pair.cols as usize;
        let mut out = StripeSums {
            moments: Moments::default(),
            rows: Vec::new(),
            cols: if pair.col_map.is_some() { vec![(0.0, 0.0, 0.0); cols] } else { Vec::new() },
            units: Default::default(),
        };
        if stripe.rows == 0 {
            return Ok(out);
        }
        let projection = Units::new(pair);
        let mut chunk = Chunk {
            pair,
            projection: &projection,
            arch: self.arch,
            columns: &mut self.columns,
            sums: &mut self.sums,
            norms: [vec![0.0; out.cols.len()], vec![0.0; out.cols.len()]],
            out: &mut out,
            unfolded: 0,
            end: stripe.first + stripe.rows,
        };
        chunk.columns.clear();
        chunk.columns.resize(cols, 0.0);
        let step = chunk_rows(pair);
        let mut first = stripe.first;
        while first < chunk.end {
            let rows = step.min(chunk.end - first);
            if !add_stored(self.weights, pair, first, rows, &mut chunk)? {
                for (side, view) in [&pair.candidate, &pair.reference].into_iter().enumerate() {
                    self.buffers[side].resize(rows as usize * cols, 0.0);
                    self.readers[side].read(
                        self.weights[side],
                        view,
                        first,
                        cols,
                        &mut self.buffers[side],
                    )?;
                }
                let [c, r] = &self.buffers;
                chunk.add(first, rows, Operand::Decoded(c), Operand::Decoded(r));
            }
            first += rows;
        }
        let norms = std::mem::take(&mut chunk.norms);
        for (index, total) in out.cols.iter_mut().enumerate() {
            let norm =
                |side: usize| Some(f64::from(norms[side][index])).filter(|x| x.is_finite()).unwrap_or(0.0);
            (total.1, total.2) = (norm(0), norm(1));
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
    chunk: &mut Chunk<'_>,
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
            chunk.add(first, rows, Operand::Bf16(c), Operand::Bf16(r));
        });
    })?;
    Ok(outer && inner?)
}

/// What a worker adds chunks of rows to.
struct Chunk<'a> {
    pair: &'a PairPlan,
    projection: &'a Units,
    arch: Arch,
    columns: &'a mut Vec<f32>,
    sums: &'a mut Vec<RowSums>,
    norms: [Vec<f32>; 2],
    out: &'a mut StripeSums,
    unfolded: u64,
    end: u64,
}

impl Chunk<'_> {
    fn add(&mut self, first: u64, rows: u64, c: Operand<'_>, r: Operand<'_>) {
        let cols = self.pair.cols as usize;
        self.sums.clear();
        self.sums.resize(rows as usize, RowSums::default());
        self.out.moments.non_finite += accumulate(self.arch, c, r, cols, self.columns, self.sums);
        for sums in self.sums.iter() {
            self.out.moments.add(&moments(sums, self.pair.cols));
        }
        if self.pair.row_map.is_some() {
            self.out.rows.extend(self.sums.iter().map(|s| (s.dot, s.candidate, s.reference)));
        }
        for index in 0..rows {
            let row = first + index;
            let sampled =
                !self.out.cols.is_empty() && row.is_multiple_of((self.pair.rows / NORM_ROWS).max(1));
            if sampled || self.projection.wants(row) {
                let (c, r) = (c.row(index as usize, cols), r.row(index as usize, cols));
                if sampled {
                    column_squares(&c, &mut self.norms[0]);
                    column_squares(&r, &mut self.norms[1]);
                }
                self.projection.add(row, &c, &r, &mut self.out.units);
            }
        }
        self.unfolded += rows;
        if !self.out.cols.is_empty() && (self.unfolded >= FOLD_ROWS || first + rows == self.end) {
            for (total, column) in self.out.cols.iter_mut().zip(self.columns.iter_mut()) {
                total.0 += f64::from(*column);
                *column = 0.0;
            }
            self.unfolded = 0;
        }
    }
}

/// Rows per chunk. Transposed storage is read column by column, so a chunk there is taller.
fn chunk_rows(pair: &PairPlan) -> u64 {
    let across = |view: &View| view.col_stride > view.row_stride && view.rows > 1;
    let budget = if across(&pair.candidate) || across(&pair.reference) { CHUNK * 16 } else { CHUNK };
    (budget / pair.cols).clamp(1, FOLD_ROWS * 4)
}

fn moments(sums: &RowSums, cols: u64) -> Moments {
    Moments {
        n: cols,
        changed: sums.changed as u64,
        non_finite: 0,
        dot: sums.dot,
        candidate_squares: sums.candidate,
        reference_squares: sums.reference,
        difference_squares: sums.difference,
        difference_fourths: sums.fourth,
        difference_reference_squares: sums.difference_reference,
        reference_fourths: sums.reference_fourth,
    }
}

/// Projection of the picked units of a pair. A unit is a row, or a column when the pair is read flipped.
struct Units {
    picked: Vec<u64>,
    /// Over the coordinates of a unit; `None` when this pair has no units.
    projection: Option<CountSketch>,
    across: bool,
}

impl Units {
    fn new(pair: &PairPlan) -> Units {
        let (units, dims) = if pair.flipped { (pair.cols, pair.rows) } else { (pair.rows, pair.cols) };
        let projection = pair.units.then(|| CountSketch::new(dims as usize, fixed::BUCKETS, 0));
        let picked = if pair.units { picked(units, fixed::UNITS).collect() } else { Vec::new() };
        Units { picked, projection, across: pair.flipped }
    }

    /// Whether `row` holds anything of a picked unit.
    fn wants(&self, row: u64) -> bool {
        self.projection.is_some() && (self.across || self.picked.binary_search(&row).is_ok())
    }

    fn add(&self, row: u64, c: &[f32], r: &[f32], out: &mut (Vec<f32>, Vec<f32>)) {
        let Some(projection) = &self.projection else { return };
        if self.across {
            // Row `row` holds coordinate `row` of every unit.
            let (bucket, sign) = projection.slot(row as usize);
            for (values, out) in [(c, &mut out.0), (r, &mut out.1)] {
                out.resize(self.picked.len() * fixed::BUCKETS, 0.0);
                for (kept, unit) in self.picked.iter().enumerate() {
                    let x = values[*unit as usize];
                    out[kept * fixed::BUCKETS + bucket] += if x.is_finite() { sign * x } else { 0.0 };
                }
            }
        } else if self.picked.binary_search(&row).is_ok() {
            for (values, out) in [(c, &mut out.0), (r, &mut out.1)] {
                let start = out.len();
                out.resize(start + fixed::BUCKETS, 0.0);
                projection.add(values, &mut out[start..]);
            }
        }
    }
}

/// Sums of one pair while its stripes arrive.
#[derive(Default)]
struct PairSums {
    moments: Moments,
    rows: Vec<(f64, f64, f64)>,
    cols: Vec<(f64, f64, f64)>,
    units: (Vec<f32>, Vec<f32>),
}

impl PairSums {
    fn add(&mut self, pair: &PairPlan, stripe: StripeSums) {
        self.moments.add(&stripe.moments);
        self.rows.extend(stripe.rows);
        if self.cols.is_empty() {
            self.cols = stripe.cols;
        } else {
            for (total, part) in self.cols.iter_mut().zip(stripe.cols) {
                total.0 += part.0;
                total.1 += part.1;
                total.2 += part.2;
            }
        }
        for (total, part) in [(&mut self.units.0, stripe.units.0), (&mut self.units.1, stripe.units.1)] {
            if pair.flipped && !total.is_empty() {
                total.iter_mut().zip(part).for_each(|(total, part)| *total += part);
            } else {
                total.extend(part);
            }
        }
    }
}

/// Takes stripes as they come, handles them in order.
fn merge(
    plan: &Plan,
    stripes: &[Stripe],
    receive: &mpsc::Receiver<(usize, Result<StripeSums, ReadError>)>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Measurement, ReadError> {
    let mut done =
        Progress { elements_total: plan.elements(), tensors_total: plan.pairs.len(), ..Progress::default() };
    let mut waiting = BTreeMap::new();
    let mut finished: Vec<Option<PairSums>> = (0..plan.pairs.len()).map(|_| None).collect();
    let mut open = PairSums::default();
    for (index, stripe) in stripes.iter().enumerate() {
        let sums = loop {
            if let Some(sums) = waiting.remove(&index) {
                break sums;
            }
            // Every worker holds a sender until its stripes are sent, so a closed channel means a worker panicked.
            let (arrived, outcome) = receive.recv().map_err(|_| ReadError::Interrupted)?;
            waiting.insert(arrived, outcome?);
        };
        let pair = &plan.pairs[stripe.pair];
        open.add(pair, sums);
        done.elements += stripe.rows * pair.cols;
        if stripe.last {
            let mut sums = std::mem::take(&mut open);
            scale_sampled_norms(&mut sums);
            finished[stripe.pair] = Some(sums);
            done.tensors += 1;
        }
        progress(done);
    }
    Ok(assemble(plan, finished))
}

/// Column norms were summed over a sample of rows: scale them so that they add up to the exact sum over all elements.
fn scale_sampled_norms(sums: &mut PairSums) {
    let sampled = sums.cols.iter().fold((0.0, 0.0), |(c, r), col| (c + col.1, r + col.2));
    let ratio = |exact: f64, sampled: f64| if sampled > 0.0 { exact / sampled } else { 0.0 };
    let scale =
        (ratio(sums.moments.candidate_squares, sampled.0), ratio(sums.moments.reference_squares, sampled.1));
    for col in &mut sums.cols {
        col.1 *= scale.0;
        col.2 *= scale.1;
    }
}

fn assemble(plan: &Plan, finished: Vec<Option<PairSums>>) -> Measurement {
    let mut groups = Groups::default();
    let mut measurement = Measurement {
        candidate_only: plan.candidate_only.clone(),
        reference_only: plan.reference_only.clone(),
        ..Measurement::default()
    };
    for (pair, sums) in plan.pairs.iter().zip(finished) {
        let sums = sums.unwrap_or_default();
        let place = (pair.key.component, pair.key.layer, pair.key.expert);
        let squares = (sums.moments.candidate_squares, sums.moments.reference_squares);
        for (map, sums) in [(pair.row_map, sums.rows), (pair.col_map, sums.cols)] {
            if let Some(map) = map {
                groups.add(place, &SideProducts { map, sums }, squares);
            }
        }
        if pair.units {
            let (fixed, units) = count_fixed(&sums.units.0, &sums.units.1, fixed::BUCKETS);
            measurement.fixed_points.push(FixedPoints { component: place.0, layer: place.1, units, fixed });
        }
        let shape = |view: &View| {
            if pair.flipped { (view.cols, view.rows) } else { (view.rows, view.cols) }
        };
        let (candidate_shape, reference_shape) = (shape(&pair.candidate), shape(&pair.reference));
        measurement.pairs.push(PairMeasurement {
            key: pair.key,
            candidate: pair.candidate.tensor,
            reference: pair.reference.tensor,
            candidate_shape,
            reference_shape,
            identical: candidate_shape == reference_shape && sums.moments.n > 0 && sums.moments.changed == 0,
            moments: Some(sums.moments),
        });
    }
    measurement.groups = groups.finish();
    measurement
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
