//! Residual frames: K directions in each model's residual space that mean the same, so that rows can be compared.
//!
//! Three hypotheses. *As stored*: both models use the same residual basis; the frame is a projection by random signs. *By tokens*:
//! the basis was rotated, permuted or cut, and the rows of the token embedding, which keep their meaning, say how: the frame is
//! the orthogonal Procrustes solution (Schönemann 1966) from the tokens that both have. *By units*, in a file of its own:
//! the gates of hidden units say how. None looks at what a hidden unit reads through `up` or writes, so sign tests of hidden units
//! stay exact in every frame (METHODS S3).

use super::matching::nearest;
use super::matrix::{Columns, dot, gram, normalise, rows_as_columns};
use std::collections::HashMap;
use stemmata_architecture::View;
use stemmata_fingerprint::{CountSketch, RowReader, clip, clip_limit, content_salt};
use stemmata_model::{ReadError, Weights};
use stemmata_stats::{increasing_labels, longest_increasing};

/// Directions of the frame as stored, where the residual stream is wider.
const HASHED: usize = 256;
/// Widest residual stream whose rotation is solved whole; beyond, embeddings are first hashed to this many groups of tokens.
const WHOLE: usize = 512;
/// Directions kept of a wider one.
const KEPT: usize = 256;
/// Rows of an embedding read at once.
const ROWS: usize = 256;
/// Least magnitude of the cosine between a residual channel of one embedding and its only counterpart in the other.
const COUNTERPART: f64 = 0.7;

/// Directions in the residual space of one model.
#[derive(Clone)]
pub(crate) enum Directions {
    /// K × d.
    Dense(Columns),
    /// Every residual channel is added, with a random sign, to one of K numbers.
    Hashed(CountSketch, usize),
}

impl Directions {
    /// Width of the residual stream.
    pub(crate) fn width(&self) -> usize {
        match self {
            Directions::Dense(matrix) => matrix.ncols(),
            Directions::Hashed(_, width) => *width,
        }
    }

    /// K.
    pub(crate) fn count(&self) -> usize {
        match self {
            Directions::Dense(matrix) => matrix.nrows(),
            Directions::Hashed(hash, _) => hash.buckets(),
        }
    }
}

/// One hypothesis with its directions in both models.
pub(crate) struct Frame {
    pub(crate) hypothesis: Hypothesis,
    pub(crate) candidate: Directions,
    pub(crate) reference: Directions,
    /// Residual channels of candidate and reference that are each other's only counterpart.
    pub(crate) channels: Vec<(u32, u32)>,
}

impl Frame {
    /// Widths of the two residual streams.
    pub(crate) fn widths(&self) -> [u64; 2] {
        [&self.candidate, &self.reference].map(|directions| directions.width() as u64)
    }
}

/// How the two residual bases are taken to correspond.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Hypothesis {
    /// Residual channel i is residual channel i.
    AsStored,
    /// By a rotation found from this many shared tokens; `explained` is the share of the variance of held-out tokens that
    /// the rotation explains (context: shared tokens make it high for independent models, too).
    ByTokens {
        /// Tokens used.
        tokens: u64,
        /// Share of the variance of held-out token rows.
        explained: f64,
        /// Residual channels that have one channel of the other model as their counterpart, and how many of these kept their
        /// order. None do where the stream was rotated; all do where it was only cut or relabelled.
        channels: (u64, u64),
        /// Residual channels that are each other's nearest over tokens of equal length, however near, and the longest run of them whose
        /// labels rise. `None` where labels mean something: where the channels of both models lie in the order of their lengths, or
        /// a norm does not treat all alike.
        labels: Option<(u64, u64)>,
    },
    /// By a rotation found from gate rows alone, which pairs this many units of the layers it was made of (context).
    ByUnits {
        /// Units paired.
        units: u64,
    },
}

impl Hypothesis {
    /// The same without its figures.
    pub fn basis(self) -> Basis {
        match self {
            Hypothesis::AsStored => Basis::AsStored,
            Hypothesis::ByTokens { .. } => Basis::ByTokens,
            Hypothesis::ByUnits { .. } => Basis::ByUnits,
        }
    }
}

/// How the residual bases were taken to correspond, without the figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Basis {
    /// Residual channel i is residual channel i.
    AsStored,
    /// By a rotation found from shared tokens.
    ByTokens,
    /// By a rotation found from the gates of hidden units.
    ByUnits,
}

impl Basis {
    /// In the order in which they are tried.
    pub const ALL: [Basis; 3] = [Basis::AsStored, Basis::ByTokens, Basis::ByUnits];

    /// Name as reported in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Basis::AsStored => "as-stored",
            Basis::ByTokens => "by-tokens",
            Basis::ByUnits => "by-units",
        }
    }
}

/// The frame as stored; `None` when widths differ.
pub(crate) fn as_stored(candidate: u64, reference: u64) -> Option<Frame> {
    if candidate != reference || candidate == 0 {
        return None;
    }
    let d = candidate as usize;
    let directions = if d <= WHOLE {
        Directions::Dense(Columns::identity(d, d))
    } else {
        Directions::Hashed(CountSketch::new(d, HASHED, 0), d)
    };
    Some(Frame {
        hypothesis: Hypothesis::AsStored,
        candidate: directions.clone(),
        reference: directions,
        channels: Vec::new(),
    })
}

/// Which row of the reference's embedding means what a row of the candidate's means.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum SharedTokens {
    /// Row i is row i.
    #[default]
    SameRow,
    /// The same spelling: (row of the candidate, row of the reference), increasing in the first, no row twice.
    BySpelling(Vec<(u32, u32)>),
}

impl SharedTokens {
    /// From the tokens of two vocabularies in row order. Where a vocabulary is not known, or spellings lie at the same rows, rows
    /// are matched by number. O(tokens).
    pub fn of(candidate: &[String], reference: &[String]) -> SharedTokens {
        let mut rows: HashMap<&str, u32> = HashMap::new();
        for (row, token) in (0..).zip(reference).filter(|(_, token)| !token.is_empty()) {
            rows.entry(token).or_insert(row);
        }
        let own = (0..).zip(candidate);
        // Taken out, so that a spelling that occurs twice is matched once.
        let pairs: Vec<(u32, u32)> =
            own.filter_map(|(row, token)| Some((row, rows.remove(token.as_str())?))).collect();
        let in_place = pairs.iter().filter(|(c, r)| c == r).count();
        if 2 * in_place >= pairs.len() { SharedTokens::SameRow } else { SharedTokens::BySpelling(pairs) }
    }

    /// Tokens that both embeddings have, and for each side the row of every token where that is not its number.
    pub(super) fn rows(&self, rows: [u64; 2]) -> (u64, [Option<Vec<u32>>; 2]) {
        match self {
            SharedTokens::SameRow => (rows[0].min(rows[1]), [None, None]),
            SharedTokens::BySpelling(pairs) => {
                let both = pairs.iter().filter(|(c, r)| u64::from(*c) < rows[0] && u64::from(*r) < rows[1]);
                let (c, r): (Vec<u32>, Vec<u32>) = both.copied().unzip();
                (c.len() as u64, [Some(c), Some(r)])
            }
        }
    }
}

/// The frame by tokens: rows that `shared` says mean the same. `alike` says whether the norms of both models treat all residual channels
/// alike. `None` with fewer tokens than directions.
pub(crate) fn by_tokens(
    weights: [&dyn Weights; 2],
    embeddings: [&View; 2],
    shared: &SharedTokens,
    alike: bool,
    threads: usize,
    stop: &dyn Fn() -> bool,
) -> Result<Option<Frame>, ReadError> {
    let (tokens, rows) = shared.rows(embeddings.map(|view| view.rows));
    let widths = embeddings.map(|view| view.cols as usize);
    let kept = widths[0].min(widths[1]);
    if tokens < 4 * (kept as u64).min(KEPT as u64) || kept < 8 {
        return Ok(None);
    }
    let narrow = widths[0].max(widths[1]) <= WHOLE;
    // Even tokens make the frame, odd tokens check it.
    let groups = if narrow { usize::MAX } else { 4 * KEPT };
    let places = rows.map(|rows| rows.map(|rows| Places::of(&rows)));
    let both = [
        gather(weights[0], embeddings[0], (tokens, places[0].as_ref()), groups, stop)?,
        gather(weights[1], embeddings[1], (tokens, places[1].as_ref()), groups, stop)?,
    ];
    let [c, r] = &both;
    let (candidate, reference) = if narrow {
        let solved = (&c.fit * r.fit.transpose()).svd(true, true);
        let (Some(u), Some(v_t)) = (solved.u, solved.v_t) else { return Ok(None) };
        (u.columns(0, kept).transpose(), v_t.rows(0, kept).into_owned())
    } else {
        let gram = (gram(&c.fit) + gram(&r.fit)) * 0.5;
        let eigen = gram.symmetric_eigen();
        let mut order: Vec<usize> = (0..eigen.eigenvalues.len()).collect();
        order.sort_by(|a, b| eigen.eigenvalues[*b].total_cmp(&eigen.eigenvalues[*a]));
        let mix = Columns::from_fn(order.len(), KEPT, |row, k| {
            let lambda = eigen.eigenvalues[order[k]];
            if lambda > 0.0 { eigen.eigenvectors[(row, order[k])] / lambda.sqrt() } else { 0.0 }
        });
        ((&c.fit * &mix).transpose(), (&r.fit * &mix).transpose())
    };
    let explained = explained(&candidate, &c.check, &reference, &r.check);
    let channels = counterparts(&c.fit, &r.fit, threads);
    let order: Vec<u64> = channels.iter().map(|(_, label)| u64::from(*label)).collect();
    let found = (order.len() as u64, longest_increasing(&order).len() as u64);
    let labels = if alike { labels(&both, threads) } else { None };
    let hypothesis = Hypothesis::ByTokens { tokens, explained, channels: found, labels };
    let finite = |m: &Columns| m.iter().all(|x| x.is_finite());
    Ok((finite(&candidate) && finite(&reference)).then_some(Frame {
        hypothesis,
        candidate: Directions::Dense(candidate),
        reference: Directions::Dense(reference),
        channels,
    }))
}

/// Residual channels that are each other's nearest over the tokens, of either sign.
fn counterparts(candidate: &Columns, reference: &Columns, threads: usize) -> Vec<(u32, u32)> {
    let [c, r] = [candidate, reference].map(|tokens| {
        let mut channels = tokens.transpose();
        normalise(&mut channels);
        channels
    });
    nearest(&c, &r, true, threads)
        .mutual()
        .filter(|&(i, j)| dot(&c, i, &r, j).abs() >= COUNTERPART)
        .map(|(i, j)| (i as u32, j as u32))
        .collect()
}

/// Residual channels that are each other's nearest over all tokens, every token counting alike, and the longest run of rising labels.
fn labels(both: &[Tokens; 2], threads: usize) -> Option<(u64, u64)> {
    let channels = both.each_ref().map(|tokens| {
        let (d, n) = tokens.fit.shape();
        let mut all = Columns::zeros(d, 2 * n);
        all.columns_mut(0, n).copy_from(&tokens.fit);
        all.columns_mut(n, n).copy_from(&tokens.check);
        normalise(&mut all);
        all.transpose()
    });
    if channels.iter().all(lie_by_length) {
        return None;
    }
    let [c, r] = channels.map(|mut channels| {
        normalise(&mut channels);
        channels
    });
    let order: Vec<u64> = nearest(&c, &r, true, threads).mutual().map(|(_, label)| label as u64).collect();
    Some((order.len() as u64, longest_increasing(&order).len() as u64))
}

/// Level at which vectors lie in the order of their lengths, as those of models do that are made to be cut. Then labels are no
/// names, and their order is no evidence.
const SORTED: f64 = -3.0;

/// Whether the columns lie in the order of their lengths, up or down.
pub(crate) fn lie_by_length(columns: &Columns) -> bool {
    // The bits of positive numbers are in their order.
    let lengths: Vec<u64> = columns.column_iter().map(|column| u64::from(column.norm().to_bits())).collect();
    let falling: Vec<u64> = lengths.iter().map(|length| u64::MAX - length).collect();
    [lengths, falling].iter().any(|lengths| {
        increasing_labels(longest_increasing(lengths).len() as u64, lengths.len() as u64) < SORTED
    })
}

/// Which token a row holds, for embeddings whose rows are matched by spelling.
struct Places(Vec<u32>);

impl Places {
    fn of(rows: &[u32]) -> Places {
        let mut tokens = vec![u32::MAX; rows.iter().max().map_or(0, |row| *row as usize + 1)];
        (0..).zip(rows).for_each(|(token, row)| tokens[*row as usize] = token);
        Places(tokens)
    }
}

/// Token rows of one model, or signed sums of groups of them, less their mean; d × n.
struct Tokens {
    fit: Columns,
    check: Columns,
}

/// `tokens` says how many tokens both models have and which row holds which, if not the row of the same number.
fn gather(
    weights: &dyn Weights,
    view: &View,
    (tokens, places): (u64, Option<&Places>),
    groups: usize,
    stop: &dyn Fn() -> bool,
) -> Result<Tokens, ReadError> {
    let d = view.cols as usize;
    let half = (tokens / 2) as usize;
    let width = half.min(groups);
    let (mut fit, mut check) = (Columns::zeros(d, width), Columns::zeros(d, width));
    let hash = CountSketch::new(half, width, 1);
    let mut balance = vec![0.0_f32; width];
    let mut mean = vec![0.0_f64; d];
    let mut reader = RowReader::default();
    let mut buffer = Vec::new();
    let last = places.map_or(2 * half as u64, |places| places.0.len() as u64);
    let mut first = 0;
    while first < last {
        if stop() {
            return Err(ReadError::Interrupted);
        }
        let rows = ROWS.min((last - first) as usize);
        buffer.resize(rows * d, 0.0);
        reader.read(weights, view, first, d, &mut buffer)?;
        let limit = clip_limit(buffer.len(), content_salt(&buffer), |i| buffer[i]);
        clip(&mut buffer, limit);
        for (at, row) in rows_as_columns(&buffer, d).column_iter().enumerate() {
            let row_number = first as usize + at;
            let token = places.map_or(row_number, |places| places.0[row_number] as usize);
            if token >= 2 * half {
                continue;
            }
            let into = if token.is_multiple_of(2) { &mut fit } else { &mut check };
            let (group, sign) = if width == half { (token / 2, 1.0) } else { hash.slot(token / 2) };
            into.column_mut(group).axpy(sign, &row, 1.0);
            balance[group] += if token.is_multiple_of(2) { sign } else { 0.0 };
            mean.iter_mut().zip(row.iter()).for_each(|(sum, x)| *sum += f64::from(*x));
        }
        first += rows as u64;
    }
    let mean =
        nalgebra::DVector::from_iterator(d, mean.iter().map(|sum| (sum / (2 * half).max(1) as f64) as f32));
    for (group, balance) in balance.iter().enumerate() {
        fit.column_mut(group).axpy(-balance, &mean, 1.0);
        check.column_mut(group).axpy(-balance, &mean, 1.0);
    }
    Ok(Tokens { fit, check })
}

/// 1 − ‖Q_c E_c − Q_r E_r‖² / (‖Q_c E_c‖² + ‖Q_r E_r‖²) on tokens that made no frame: 1 for the same rows in another basis, 0
/// for rows that have nothing in common.
fn explained(candidate: &Columns, c: &Columns, reference: &Columns, r: &Columns) -> f64 {
    let (c, r) = (candidate * c, reference * r);
    let squares = |m: &Columns| m.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>();
    let total = squares(&c) + squares(&r);
    if total > 0.0 { 1.0 - squares(&(c - r)) / total } else { 0.0 }
}
