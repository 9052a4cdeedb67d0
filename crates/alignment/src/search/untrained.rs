//! Token rows that training never met.
//!
//! A vocabulary is made before the model, on other text, and some of its tokens never occur in training. Their rows of the embedding
//! keep the direction they got at random, in every copy and every child, and no basis, label or scale hides the angles between
//! them. Which tokens these are is read from each model by itself: rows that are short, and that lie as points do that are spread
//! evenly over the sphere. Whether the two models agree on the angles, without the directions that training wrote along, is then asked of
//! signs (docs/methods/untrained-tokens.md).

use super::frame::SharedTokens;
use super::learned::Learned;
use super::matrix::{Columns, gram, normalise};
use super::on_both;
use stemmata_architecture::{Component, View};
use stemmata_fingerprint::RowReader;
use stemmata_model::{ReadError, Weights};

/// Most rows that are looked at, and fewest that are tested.
const MOST: usize = 1024;
const FEWEST: usize = 32;
/// Most that the mean squared cosine of the rows of a model may exceed what points spread evenly give, in standard errors.
const SPHERICAL: f64 = 1.0;
/// By how many standard errors more it may truly exceed it, in 1 of 1,000 choices.
const UNSEEN: f64 = 3.0;
/// By how much fewer rows are tried at a time.
const FEWER: f64 = 0.84;
/// Cosine from which on two rows of one model are taken to be copies of one row, of which one counts: 6/√d, beyond chance among all pairs of
/// rows, and this at most.
const COPY: f64 = 0.9;
const BEYOND_CHANCE: f64 = 6.0;
/// Lengths of rows that are looked at: one row of absurd size must not hide the others.
const SENSIBLE: std::ops::Range<f64> = 1e-20..1e20;
/// Rows of an embedding beyond which, and widths beyond which nothing is read.
const LARGEST: u64 = 1 << 20;
const WIDEST: u64 = 1 << 16;
/// Rows of tokens beyond those chosen that show along which directions training wrote.
const TRAINED: usize = 1024;
/// Elements read at once, and most that are held of one kind of rows: all of those above up to a width of 16,384.
const CHUNK: usize = 1 << 18;
const HELD: usize = 1 << 24;

/// What the rows say of tokens that neither model seems to have met.
#[derive(Clone, Debug, PartialEq)]
pub struct UntrainedTokens {
    /// Component.
    pub component: Component,
    /// Rows.
    pub tokens: u64,
    /// For each row after the first: the sum of products of its cosines with the rows before it in the two models, without the directions
    /// along which trained rows lie. Under the null their signs are fair coins, one after the other.
    pub products: Vec<f64>,
    /// Sum of the squared products over all pairs: the variance of the sum of `products` under the null.
    pub squares: f64,
    /// Most that what both models may have learned alike of these tokens adds to the sum of `products`.
    pub allowance: f64,
    /// Correlation of the cosines, of whole rows, over all pairs: 1 for rows that neither model changed, about w² for a merge with the share w.
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
    let order =
        by_length(tokens, |side, token| lengths[side].get(row(side, token)).copied().unwrap_or_default());
    let held =
        |most: usize| most.min(HELD / embeddings.iter().map(|view| view.cols as usize).fold(1, usize::max));
    let unit = |side: usize, tokens: &[usize]| {
        let rows: Vec<usize> = tokens.iter().map(|token| row(side, *token)).collect();
        unit_rows(weights[side], embeddings[side], &rows, stop)
    };
    let (c, r) = on_both(|side| {
        let rows = unit(side, &order[..order.len().min(held(MOST))])?;
        Ok::<_, ReadError>((gram(&rows), rows))
    });
    let ((c, short_c), (r, short_r)) = (c?, r?);
    let (cosines, short) = ([c, r], [short_c, short_r]);
    let Some(choice) = choose(&cosines, embeddings.map(|view| view.cols as f64)) else { return Ok(None) };
    let beyond = &order[choice.rows.last().map_or(0, |last| last + 1)..];
    let trained = beyond.len().min(held(TRAINED));
    let trained: Vec<usize> = (0..trained).map(|at| beyond[at * beyond.len() / trained]).collect();
    let (c, r) = on_both(|side| {
        let learned = Learned::of(&unit(side, &trained)?);
        let mut rows = learned.without(&short[side].select_columns(&choice.rows));
        normalise(&mut rows);
        Ok::<_, ReadError>((gram(&rows), learned))
    });
    let ((c, of_c), (r, of_r)) = (c?, r?);
    Ok(Some(agreement(component, choice, [&c, &r], [&of_c, &of_r])))
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

/// All tokens by the larger of the ranks of their lengths in the two models, in rising order. Rows of zeros are left out.
fn by_length(tokens: usize, length: impl Fn(usize, usize) -> f32) -> Vec<usize> {
    let mut order: Vec<usize> =
        (0..tokens).filter(|token| (0..2).all(|side| length(side, *token) > 0.0)).collect();
    let mut rank = vec![0_usize; tokens];
    for side in 0..2 {
        order.sort_by(|a, b| length(side, *a).total_cmp(&length(side, *b)).then(a.cmp(b)));
        order.iter().enumerate().for_each(|(at, token)| rank[*token] = rank[*token].max(at));
    }
    order.sort_by_key(|token| (rank[*token], *token));
    order
}

/// Rows of one model scaled to length 1, width × rows.
fn unit_rows(
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
    Ok(columns)
}

/// Rows that look untrained in both models.
struct Choice {
    /// Places in the order of lengths, rising.
    rows: Vec<usize>,
    /// As in [`UntrainedTokens`].
    correlation: f64,
    excess: [f64; 2],
    /// Most that the squares of what was learned may sum to over all pairs, for either model.
    unseen: [f64; 2],
}

/// As many of the first rows as are spread evenly in both models; `widths` are those of the rows.
fn choose(cosines: &[Columns; 2], widths: [f64; 2]) -> Option<Choice> {
    let [c, r] = cosines;
    let copies = widths.map(|d| COPY.min(BEYOND_CHANCE / d.sqrt()));
    let mut rows: Vec<usize> = Vec::new();
    for row in 0..c.ncols() {
        let copy = |side: usize, other: usize| f64::from(cosines[side][(other, row)].abs()) >= copies[side];
        if !rows.iter().any(|other| copy(0, *other) || copy(1, *other)) {
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
    let pairs = |m: usize| (m * (m - 1) / 2) as f64;
    // Points spread evenly: squared cosines have mean 1/d and variance 2(d − 1)/(d²(d + 2)), pair by pair uncorrelated.
    let error = |m: usize, d: f64| (2.0 * pairs(m) * (d - 1.0) / (d * d * (d + 2.0))).sqrt();
    let excess = |m: usize, side: usize| {
        let d = widths[side];
        (total(m, side) - pairs(m) / d) / error(m, d)
    };
    let mut m = rows.len();
    while m >= FEWEST {
        let excess = [excess(m, 0), excess(m, 1)];
        if excess.iter().all(|z| *z <= SPHERICAL) {
            rows.truncate(m);
            return Some(Choice {
                rows,
                correlation: total(m, 2) / (total(m, 0) * total(m, 1)).sqrt(),
                excess,
                unseen: [0, 1].map(|side| (excess[side] + UNSEEN).max(0.0) * error(m, widths[side])),
            });
        }
        m = (m as f64 * FEWER) as usize;
    }
    None
}

/// Products of the cosines of the chosen rows without what `learned` took from them.
fn agreement(
    component: Component,
    choice: Choice,
    [c, r]: [&Columns; 2],
    learned: [&Learned; 2],
) -> UntrainedTokens {
    let product = |i: usize, j: usize| f64::from(c[(i, j)]) * f64::from(r[(i, j)]);
    let rows = 1..choice.rows.len();
    // Rows are scaled again without the directions, which enlarges what is left of the learned.
    let left = |side: usize| learned[side].left * choice.unseen[side] / (1.0 - learned[side].share()).powi(2);
    UntrainedTokens {
        component,
        tokens: choice.rows.len() as u64,
        products: rows.clone().map(|row| (0..row).map(|before| product(before, row)).sum()).collect(),
        squares: rows.map(|row| (0..row).map(|before| product(before, row).powi(2)).sum::<f64>()).sum(),
        allowance: (left(0) * left(1)).sqrt(),
        correlation: choice.correlation,
        excess: choice.excess,
    }
}

#[cfg(test)]
#[path = "untrained_tests.rs"]
mod tests;
