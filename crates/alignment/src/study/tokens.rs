//! Token embeddings, row by row: rows that only weight decay touched, and rows that one side has more of.

use super::rounding::spacing;
use crate::PairPlan;
use stemmata_fingerprint::{RowReader, row_cost, spans};
use stemmata_model::{DType, Encoding, ReadError, Span, Weights};

/// Token rows that are looked at, evenly spaced.
const MOST_ROWS: u64 = 1024;
/// Fewer tell nothing of the rest.
const LEAST_ROWS: u64 = 64;
/// A row was touched by nothing but a factor if what the factor leaves is below so many roundings (root mean square).
const ROUNDINGS: f64 = 1.5;
/// The factor must be told from 1.
const LEAST_SHRINK: f64 = 1e-3;

/// The token embeddings of a pair.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TokenRows {
    /// Rows of the candidate and the reference.
    pub rows: [u64; 2],
    /// Cosine over the rows that both have.
    pub cosine: f64,
    /// Rows that are the other side's but for one factor and rounding.
    pub scaled_rows: u64,
    /// Their common factor, candidate over reference.
    pub factor: f64,
    /// Rows that only one side has.
    pub extra: Option<ExtraRows>,
}

/// Rows beyond the vocabulary of the other side.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ExtraRows {
    /// How many.
    pub rows: u64,
    /// Coefficient of variation of their norms.
    pub norm_variation: f64,
    /// The same for the rows that both have, on the side that has more.
    pub common_norm_variation: f64,
    /// Mean cosine with the mean of the common rows.
    pub mean_cosine: f64,
}

/// `None` where the rows are not of equal length. `bytes` bound what is read of either side of the common rows, and as much again of those beyond.
pub(crate) fn rows(
    pair: &PairPlan,
    weights: [&dyn Weights; 2],
    bytes: Option<u64>,
) -> Result<Option<TokenRows>, ReadError> {
    let views = [&pair.candidate, &pair.reference];
    if views[0].cols != views[1].cols || pair.flipped {
        return Ok(None);
    }
    let most_rows = match bytes {
        None => MOST_ROWS,
        Some(bytes) => {
            let cost = |side: usize| row_cost(weights[side], views[side], views[side].cols);
            let Some(row) = cost(0).zip(cost(1)).map(|(c, r)| c.max(r).max(1)) else { return Ok(None) };
            MOST_ROWS.min(bytes / row)
        }
    };
    if most_rows < pair.rows.min(LEAST_ROWS) {
        return Ok(None);
    }
    let announce = |side: usize, rows: &mut dyn Iterator<Item = u64>| {
        if !weights[side].wants_announcement() {
            return Ok(());
        }
        let wanted: Vec<Span> = rows.flat_map(|row| spans(views[side], row, 1, views[side].cols)).collect();
        weights[side].announce(&wanted)
    };
    let cols = views[0].cols as usize;
    let mut readers = [RowReader::default(), RowReader::default()];
    let mut read = |side: usize, row: u64, out: &mut [f32]| {
        readers[side].read(weights[side], views[side], row, cols, out)
    };
    let wanted = pair.rows.min(most_rows);
    for side in 0..2 {
        announce(side, &mut (0..wanted).map(|i| i * pair.rows / wanted))?;
    }
    let mut out = TokenRows { rows: [views[0].rows, views[1].rows], ..TokenRows::default() };
    let more = usize::from(views[1].rows > views[0].rows);
    let extra = views[more].rows - pair.rows;
    let bits = stored_bits(weights[0], pair.candidate.tensor)
        .zip(stored_bits(weights[1], pair.reference.tensor))
        .map(|(a, b)| [a, b]);
    let (mut dot, mut squares, mut scaled) = (0.0, [0.0, 0.0], Vec::new());
    let mut common = Common::default();
    // A row at a time: a thousand of them are more than all else that is held.
    let mut both = [vec![0.0_f32; cols], vec![0.0_f32; cols]];
    for i in 0..wanted {
        for (side, row) in both.iter_mut().enumerate() {
            read(side, i * pair.rows / wanted, row)?;
        }
        for (c, r) in both[0].iter().zip(&both[1]) {
            let (c, r) = (f64::from(*c), f64::from(*r));
            dot += c * r;
            squares[0] += c * c;
            squares[1] += r * r;
        }
        scaled.extend(bits.and_then(|bits| clock(&both[0], &both[1], bits)));
        if extra > 0 {
            common.add(&both[more]);
        }
    }
    let scale = (squares[0] * squares[1]).sqrt();
    out.cosine = if scale > 0.0 { dot / scale } else { 0.0 };
    settle(&mut out, scaled);
    if extra > 0 {
        let wanted = extra.min(most_rows);
        announce(more, &mut (0..wanted).map(|i| pair.rows + i * extra / wanted))?;
        let (mut norms, mut cosines, row) = (Vec::new(), 0.0, &mut both[0]);
        let length = common.mean.iter().map(|m| m * m).sum::<f64>().sqrt();
        for i in 0..wanted {
            read(more, pair.rows + i * extra / wanted, row)?;
            let norm = norm(row);
            let dot: f64 = row.iter().zip(&common.mean).map(|(x, m)| f64::from(*x) * m).sum();
            cosines += if norm * length > 0.0 { dot / (norm * length) } else { 0.0 };
            norms.push(norm);
        }
        out.extra = Some(ExtraRows {
            rows: extra,
            mean_cosine: cosines / norms.len() as f64,
            norm_variation: variation(&norms),
            common_norm_variation: variation(&common.norms),
        });
    }
    Ok(Some(out))
}

/// What the rows that both have are like.
#[derive(Default)]
struct Common {
    norms: Vec<f64>,
    /// Their sum.
    mean: Vec<f64>,
}

impl Common {
    fn add(&mut self, row: &[f32]) {
        self.norms.push(norm(row));
        self.mean.resize(row.len(), 0.0);
        self.mean.iter_mut().zip(row).for_each(|(m, x)| *m += f64::from(*x));
    }
}

fn norm(row: &[f32]) -> f64 {
    row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt()
}

/// Coefficient of variation.
fn variation(norms: &[f64]) -> f64 {
    let n = norms.len() as f64;
    let mean = norms.iter().sum::<f64>() / n;
    let variance = norms.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
    if mean > 0.0 { variance.sqrt() / mean } else { 0.0 }
}

/// Significand bits that a tensor is stored with.
fn stored_bits(weights: &dyn Weights, tensor: usize) -> Option<u32> {
    match weights.tensors().get(tensor)?.encoding {
        Encoding::Plain(DType::BF16) => Some(8),
        Encoding::Plain(DType::F16) => Some(11),
        Encoding::Plain(DType::F32) => Some(24),
        _ => None,
    }
}

/// A row that only weight decay touched (METHODS 8): c = γ·r, up to rounding. γ, what it comes from: Σcr and Σr².
fn clock(c: &[f32], r: &[f32], bits: [u32; 2]) -> Option<(f64, f64, f64)> {
    let (mut dot, mut squares, mut noise) = (0.0, 0.0, 0.0);
    for (c, r) in c.iter().zip(r) {
        dot += f64::from(*c) * f64::from(*r);
        squares += f64::from(*r).powi(2);
        noise += (spacing(*c, bits[0]).powi(2) + spacing(*r, bits[1]).powi(2)) / 12.0;
    }
    if squares == 0.0 || dot <= 0.0 {
        return None;
    }
    let factor = dot / squares;
    let rest: f64 = c.iter().zip(r).map(|(c, r)| (f64::from(*c) - factor * f64::from(*r)).powi(2)).sum();
    let scaled = rest <= ROUNDINGS.powi(2) * noise && (factor - 1.0).abs() > LEAST_SHRINK;
    scaled.then_some((factor, dot, squares))
}

/// Keeps the rows with one γ for all of them.
fn settle(out: &mut TokenRows, mut rows: Vec<(f64, f64, f64)>) {
    if rows.is_empty() {
        return;
    }
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    let median = rows[rows.len() / 2].0;
    // Rows with another one were touched by something else.
    rows.retain(|row| (row.0 - median).abs() <= 0.5 * LEAST_SHRINK);
    out.factor = rows.iter().map(|row| row.1).sum::<f64>() / rows.iter().map(|row| row.2).sum::<f64>();
    out.scaled_rows = rows.len() as u64;
}
