//! Token rows that training never met.
//!
//! A vocabulary is made before the model, on other text, and some of its tokens never occur in training. Their rows of the embedding
//! keep the direction they got at random, in every copy and every child, and no basis, label or scale hides the angles between
//! them. Which tokens these are is read from each model by itself: rows that are short, and that lie as points do that are spread
//! evenly over the sphere. Whether the two models agree on the angles is then asked of signs (docs/methods/untrained-tokens.md).

use super::frame::SharedTokens;
use super::matrix::{Columns, normalise};
use super::on_both;
use stemmata_architecture::{Component, View};
use stemmata_fingerprint::RowReader;
use stemmata_model::{ReadError, Weights};

/// Most rows that are looked at, and fewest that are tested.
const MOST: usize = 1024;
const FEWEST: usize = 32;
/// Most that the mean squared cosine of the rows of a model may exceed what points spread evenly give, in standard errors. What two models
/// may have learned alike is no more than both exceed it.
const SPHERICAL: f64 = 1.0;
/// By how much fewer rows are tried at a time.
const FEWER: f64 = 0.84;
/// Cosine from which on two rows of one model are taken to be copies, of which one counts.
const COPY: f32 = 0.9;
/// Lengths of rows that are looked at: one row of absurd size must not hide the others.
const SENSIBLE: std::ops::Range<f64> = 1e-20..1e20;
/// Rows of an embedding beyond which, and widths beyond which nothing is read.
const LARGEST: u64 = 1 << 20;
const WIDEST: u64 = 1 << 16;
/// Elements read at once.
const CHUNK: usize = 1 << 18;

/// What the rows say of tokens that neither model seems to have met.
#[derive(Clone, Debug, PartialEq)]
pub struct UntrainedTokens {
    /// Component.
    pub component: Component,
    /// Rows.
    pub tokens: u64,
    /// For each row after the first: do its cosines with the rows before it agree in the two models? The sign of the sum of
    /// products of cosines, times the root of the number of rows before it. Under the null the signs are independent fair coins.
    pub signs: Vec<f64>,
    /// Correlation of the cosines over all pairs of rows: 1 for rows that neither model changed, about w² for a merge with the share w.
    pub correlation: f64,
    /// By how many standard errors the mean squared cosine of candidate and reference exceeds what points spread evenly give.
    pub excess: [f64; 2],
}

/// Looks at the rows that both embeddings have. `None` where too few rows look untrained, as where embeddings are tied to the
/// head, which moves the rows of all tokens. O(tokens · width) time for one pass, and O(m² · width) with m at most 1024; memory O(tokens +
/// m · width).
pub(crate) fn untrained(
    component: Component,
    weights: [&dyn Weights; 2],
    embeddings: [&View; 2],
    shared: &SharedTokens,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<Option<UntrainedTokens>, ReadError> {
    let (tokens, rows) = shared.rows(embeddings.map(|view| view.rows));
    let tokens = tokens.min(LARGEST) as usize;
    let row = |side: usize, token: usize| rows[side].as_ref().map_or(token, |rows| rows[token] as usize);
    if tokens < FEWEST || !embeddings.iter().all(|view| (8..=WIDEST).contains(&view.cols)) {
        return Ok(None);
    }
    let (c, r) = on_both(|side| lengths(weights[side], embeddings[side], stop));
    let lengths = [c?, r?];
    let chosen =
        shortest(tokens, |side, token| lengths[side].get(row(side, token)).copied().unwrap_or_default());
    let (c, r) = on_both(|side| {
        let rows: Vec<usize> = chosen.iter().map(|token| row(side, *token)).collect();
        cosines(weights[side], embeddings[side], &rows, stop)
    });
    Ok(agreement(component, [c?, r?], embeddings.map(|view| view.cols as f64)))
}

/// Lengths of all rows; zero for those of absurd size, and of values that are none.
fn lengths(weights: &dyn Weights, view: &View, stop: &dyn Fn() -> bool) -> Result<Vec<f32>, ReadError> {
    let d = view.cols as usize;
    let at_once = (CHUNK / d).max(1) as u64;
    let mut out = Vec::new();
    let (mut reader, mut buffer) = (RowReader::default(), Vec::new());
    let (mut first, last) = (0, view.rows.min(LARGEST));
    while first < last {
        if stop() {
            return Err(ReadError::Interrupted);
        }
        let rows = at_once.min(last - first);
        buffer.resize(rows as usize * d, 0.0);
        reader.read(weights, view, first, d, &mut buffer)?;
        let length = |row: &[f32]| {
            let length = row.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
            if SENSIBLE.contains(&length) { length as f32 } else { 0.0 }
        };
        out.extend(buffer.chunks_exact(d).map(length));
        first += rows;
    }
    Ok(out)
}

/// The tokens whose rows are short in both models, the larger of their two ranks in rising order. Rows of zeros are left out.
fn shortest(tokens: usize, length: impl Fn(usize, usize) -> f32) -> Vec<usize> {
    let mut chosen: Vec<usize> =
        (0..tokens).filter(|token| (0..2).all(|side| length(side, *token) > 0.0)).collect();
    let mut rank = vec![0_usize; tokens];
    for side in 0..2 {
        chosen.sort_by(|a, b| length(side, *a).total_cmp(&length(side, *b)).then(a.cmp(b)));
        chosen.iter().enumerate().for_each(|(at, token)| rank[*token] = rank[*token].max(at));
    }
    chosen.sort_by_key(|token| (rank[*token], *token));
    chosen.truncate(MOST);
    chosen
}

/// Cosines between rows of one model, m × m.
fn cosines(
    weights: &dyn Weights,
    view: &View,
    rows: &[usize],
    stop: &dyn Fn() -> bool,
) -> Result<Columns, ReadError> {
    let d = view.cols as usize;
    let mut columns = Columns::zeros(d, rows.len());
    let mut reader = RowReader::default();
    for (mut column, row) in columns.column_iter_mut().zip(rows) {
        if stop() {
            return Err(ReadError::Interrupted);
        }
        reader.read(weights, view, *row as u64, d, column.as_mut_slice())?;
    }
    normalise(&mut columns);
    Ok(columns.transpose() * columns)
}

/// Asks as many of the first rows as look untrained in both models; `widths` are those of the rows.
fn agreement(component: Component, cosines: [Columns; 2], widths: [f64; 2]) -> Option<UntrainedTokens> {
    let [c, r] = &cosines;
    let mut rows: Vec<usize> = Vec::new();
    for row in 0..c.ncols() {
        let copy = |m: &Columns, other: usize| m[(other, row)].abs() >= COPY;
        if !rows.iter().any(|other| copy(c, *other) || copy(r, *other)) {
            rows.push(row);
        }
    }
    // By row: squares of either model and products, over the rows before it.
    let sums: Vec<[f64; 3]> = (0..rows.len())
        .map(|at| {
            let mut sum = [0.0; 3];
            for before in &rows[..at] {
                let [a, b] = [c, r].map(|m| f64::from(m[(*before, rows[at])]));
                sum = [sum[0] + a * a, sum[1] + b * b, sum[2] + a * b];
            }
            sum
        })
        .collect();
    let total = |m: usize, which: usize| sums[..m].iter().map(|sum| sum[which]).sum::<f64>();
    // Points spread evenly: squared cosines have mean 1/d and variance 2(d − 1)/(d²(d + 2)), pair by pair uncorrelated.
    let excess = |m: usize, side: usize| {
        let (pairs, d) = ((m * (m - 1) / 2) as f64, widths[side]);
        (d * total(m, side) / pairs - 1.0) * (pairs * (d + 2.0) / (2.0 * (d - 1.0))).sqrt()
    };
    let mut m = rows.len();
    while m >= FEWEST {
        let excess = [excess(m, 0), excess(m, 1)];
        if excess.iter().all(|z| *z <= SPHERICAL) {
            let signs = sums[1..m].iter().zip(1_u32..);
            let sign = |x: f64| if x == 0.0 { 0.0 } else { x.signum() };
            return Some(UntrainedTokens {
                component,
                tokens: m as u64,
                signs: signs.map(|(sum, before)| sign(sum[2]) * f64::from(before).sqrt()).collect(),
                correlation: total(m, 2) / (total(m, 0) * total(m, 1)).sqrt(),
                excess,
            });
        }
        m = (m as f64 * FEWER) as usize;
    }
    None
}

#[cfg(test)]
#[path = "untrained_tests.rs"]
mod tests;
