//! Attention heads of one layer among those of another, by what no relabelling of theirs changes (METHODS S5).
//!
//! A head writes through O V and asks through Qᵀ K (Elhage et al. 2021, "A mathematical framework for transformer circuits"). Mixing
//! the value channels of a head leaves the first as it is, scaling or turning its rotary pairs the second; the residual basis is
//! that of a frame. Each circuit by itself picks the head whose circuit has the largest cosine. Independent models have no exact
//! null for that: both circuits of a head move together. It is an effect size.

use super::features::{gain_of, inputs, outputs};
use super::frame::{Directions, Frame};
use super::matrix::Columns;
use super::{Basis, on_both};
use std::sync::atomic::{AtomicUsize, Ordering};
use stemmata_architecture::{Anatomy, Component, Part, Role, Term};
use stemmata_model::{ReadError, Weights};

/// Least cosine of both circuits of a head with those of the head they pick. Among 35,000 heads of independent trained models of one
/// architecture none had more than 0.061 as stored, and 0.369 in a basis that was fitted (docs/methods/search.md).
fn like(basis: Basis) -> f64 {
    match basis {
        Basis::AsStored => 0.2,
        Basis::ByTokens | Basis::ByUnits => 0.5,
    }
}

/// Cosine of both circuits with those of the head of the same number at which no other head is asked.
const ENOUGH: f64 = 0.75;

/// Where the heads of one layer of the candidate were found in a layer of the reference.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadMap {
    /// Component.
    pub component: Component,
    /// Layer of the candidate.
    pub layer: u32,
    /// Layer of the reference.
    pub reference_layer: u32,
    /// How the residual bases were taken to correspond.
    pub basis: Basis,
    /// Query heads of the candidate and of the reference.
    pub heads: (u32, u32),
    /// Key-value heads of the candidate and of the reference.
    pub groups: (u32, u32),
    /// One for every query head of the candidate, in order.
    pub picks: Vec<HeadPick>,
}

impl HeadMap {
    /// For every query head of the candidate the head that both of its circuits pick; `None` where they pick different ones, or
    /// unlike ones.
    pub fn partners(&self) -> impl Iterator<Item = Option<u32>> + '_ {
        let like = like(self.basis);
        self.picks.iter().map(move |pick| {
            let same = pick.heads[0] == pick.heads[1];
            (same && pick.value_output >= like && pick.query_key >= like).then_some(pick.heads[0])
        })
    }

    /// Heads that were found.
    pub fn found(&self) -> usize {
        self.partners().flatten().count()
    }
}

/// What the circuits of one query head of the candidate are nearest to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeadPick {
    /// Query heads of the reference that O V and Qᵀ K pick.
    pub heads: [u32; 2],
    /// Cosine of O V with that of the head it picks, −1 to 1.
    pub value_output: f64,
    /// Cosine of Qᵀ K with that of the head it picks, −1 to 1.
    pub query_key: f64,
}

/// Where the attention matrices of one layer lie.
pub(crate) struct Attention<'a> {
    query: &'a Part,
    key: &'a Part,
    value: &'a Part,
    output: &'a Part,
    gain: Option<&'a Part>,
    /// Gains on the channels of every query and key, where there are any.
    inner_gains: [Option<&'a Part>; 2],
    heads: usize,
    groups: usize,
}

impl<'a> Attention<'a> {
    /// The attention of a layer, if it has whole query, key, value and output matrices of heads that can be told apart.
    pub(crate) fn of(anatomy: &'a Anatomy, component: Component, layer: u32) -> Option<Attention<'a>> {
        let info = anatomy.component(component)?;
        let (heads, groups) = (info.query_heads as usize, info.kv_heads as usize);
        let one = |role| {
            let is = |p: &&Part| (p.component, p.layer, p.role) == (component, Some(layer), role);
            anatomy.parts.iter().find(|p| is(p) && p.term == Term::Weight && !p.guessed)
        };
        let [query, key, value, output] = [Role::Query, Role::Key, Role::Value, Role::Output].map(one);
        let (query, key, value, output) = (query?, key?, value?, output?);
        if heads == 0 || groups == 0 || !heads.is_multiple_of(groups) {
            return None;
        }
        let width = |extent: u64, n: usize| extent.is_multiple_of(n as u64).then_some(extent / n as u64);
        let read = width(query.view.rows, heads)? == width(key.view.rows, groups)?;
        let written = width(value.view.rows, groups)? == width(output.view.cols, heads)?;
        let residual = query.view.cols;
        let fits = key.view.cols == residual && value.view.cols == residual && output.view.rows == residual;
        (read && written && fits && residual > 1 && query.view.rows > 0 && value.view.rows > 0).then_some(
            Attention {
                query,
                key,
                value,
                output,
                gain: one(Role::AttentionNorm),
                inner_gains: [one(Role::QueryNorm), one(Role::KeyNorm)],
                heads,
                groups,
            },
        )
    }

    /// Width of the residual stream.
    pub(crate) fn residual(&self) -> u64 {
        self.query.view.cols
    }

    /// The value matrix.
    pub(crate) fn value(&self) -> &'a Part {
        self.value
    }

    /// Query heads.
    pub(crate) fn heads(&self) -> u32 {
        self.heads as u32
    }

    /// Key-value heads.
    pub(crate) fn groups(&self) -> u32 {
        self.groups as u32
    }

    /// Projects all heads, gains multiplied in. O(elements · K) for a dense frame, O(elements) for a hashed one.
    fn read(
        &self,
        weights: &dyn Weights,
        directions: &Directions,
        stop: &dyn Fn() -> bool,
    ) -> Result<Heads, ReadError> {
        let gain = gain_of(weights, self.gain, directions.width())?;
        let all = |n: u64| (0..n).collect::<Vec<u64>>();
        let rows = |part: &Part| inputs(weights, &[part], directions, &gain, &all(part.view.rows), stop);
        let mut read = Heads {
            query: rows(self.query)?,
            key: rows(self.key)?,
            value: rows(self.value)?,
            output: outputs(weights, &[self.output], directions, &all(self.output.view.cols), stop)?,
            heads: self.heads,
            groups: self.groups,
        };
        let width = read.query.ncols() / self.heads;
        for (part, columns) in self.inner_gains.into_iter().zip([&mut read.query, &mut read.key]) {
            let gain = gain_of(weights, part, width)?;
            columns.column_iter_mut().enumerate().for_each(|(at, mut column)| column *= gain[at % width]);
        }
        Ok(read)
    }
}

/// Value rows of candidate and reference that answer to each other: those of the key-value heads of heads that were found.
pub(crate) fn value_rows(map: &HeadMap, attentions: [&Attention<'_>; 2]) -> Vec<(u64, u64)> {
    let [c, r] = attentions;
    let width = c.value.view.rows / c.groups as u64;
    if r.value.view.rows / r.groups as u64 != width {
        return Vec::new();
    }
    let group = |attention: &Attention<'_>, head: usize| (head / (attention.heads / attention.groups)) as u64;
    let found = map.partners().enumerate().filter_map(|(h, partner)| Some((h, partner? as usize)));
    let groups: std::collections::BTreeMap<u64, u64> =
        found.map(|(h, partner)| (group(c, h), group(r, partner))).collect();
    let rows = groups.into_iter().flat_map(|(c, r)| (0..width).map(move |i| (c * width + i, r * width + i)));
    rows.collect()
}

/// Projected attention of one model: one column per channel, head after head.
struct Heads {
    query: Columns,
    key: Columns,
    value: Columns,
    output: Columns,
    heads: usize,
    groups: usize,
}

/// The two matrices of a head that its relabellings leave alone, as factors: one per query head, one per key-value head.
#[derive(Clone, Copy)]
struct Circuit<'a> {
    own: &'a Columns,
    shared: &'a Columns,
    heads: usize,
    groups: usize,
}

impl Heads {
    fn value_output(&self) -> Circuit<'_> {
        Circuit { own: &self.output, shared: &self.value, heads: self.heads, groups: self.groups }
    }

    fn query_key(&self) -> Circuit<'_> {
        Circuit { own: &self.query, shared: &self.key, heads: self.heads, groups: self.groups }
    }
}

impl Circuit<'_> {
    /// ⟨Σᵢ aᵢ bᵢᵀ, Σⱼ a'ⱼ b'ⱼᵀ⟩ = Σᵢⱼ (aᵢ·a'ⱼ)(bᵢ·b'ⱼ) of head `h` here and head `other` there. O(width² · K).
    fn inner(&self, h: usize, beside: &Circuit<'_>, other: usize) -> f64 {
        let head = |c: &Circuit<'_>, h: usize| {
            let (own, shared) = (c.own.ncols() / c.heads, c.shared.ncols() / c.groups);
            let group = h / (c.heads / c.groups);
            (c.own.columns(h * own, own).into_owned(), c.shared.columns(group * shared, shared).into_owned())
        };
        let ((a, b), (other_a, other_b)) = (head(self, h), head(beside, other));
        let (left, right) = (a.transpose() * other_a, b.transpose() * other_b);
        left.iter().zip(right.iter()).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
    }

    fn norms(&self) -> Vec<f64> {
        (0..self.heads).map(|h| self.inner(h, self, h).max(0.0).sqrt()).collect()
    }
}

/// Cosines of the circuits of one head with those of every head there. What lies at the same number is asked first: where both of
/// its circuits are alike [`ENOUGH`], nobody else is.
fn pick_of(h: usize, sides: &[[Circuit<'_>; 2]; 2], norms: &[[Vec<f64>; 2]; 2]) -> HeadPick {
    let [ours, theirs] = sides;
    let cosine = |which: usize, other: usize| {
        let scale = norms[0][which][h] * norms[1][which][other];
        if scale > 0.0 { ours[which].inner(h, &theirs[which], other) / scale } else { 0.0 }
    };
    if h < theirs[0].heads {
        let [value_output, query_key] = [cosine(0, h), cosine(1, h)];
        if value_output >= ENOUGH && query_key >= ENOUGH {
            return HeadPick { heads: [h as u32; 2], value_output, query_key };
        }
    }
    let best = |which: usize| {
        let all = (0..theirs[which].heads).map(|other| (other, cosine(which, other)));
        all.max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0))).unwrap_or((0, 0.0))
    };
    let ((writes, value_output), (asks, query_key)) = (best(0), best(1));
    HeadPick { heads: [writes as u32, asks as u32], value_output, query_key }
}

/// Every head of the candidate among those of the reference, in one frame.
///
/// One read of both attentions; at most heads² · width² · K multiplications, heads · width² · K where heads kept their places.
pub(crate) fn picks(
    weights: [&dyn Weights; 2],
    attentions: [&Attention<'_>; 2],
    frame: &Frame,
    threads: usize,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<Vec<HeadPick>, ReadError> {
    let directions = [&frame.candidate, &frame.reference];
    let (c, r) = on_both(|side| attentions[side].read(weights[side], directions[side], stop));
    let both = [c?, r?];
    let sides = [0, 1].map(|side| [both[side].value_output(), both[side].query_key()]);
    let norms = sides.map(|circuits| circuits.map(|circuit| circuit.norms()));
    let (heads, next) = (both[0].heads, AtomicUsize::new(0));
    let work = || {
        let mut done = Vec::new();
        while !stop() {
            let h = next.fetch_add(1, Ordering::Relaxed);
            if h >= heads {
                break;
            }
            done.push((h, pick_of(h, &sides, &norms)));
        }
        done
    };
    let mut done = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads.clamp(1, heads))
            .map_while(|_| std::thread::Builder::new().spawn_scoped(scope, work).ok())
            .collect();
        let mut done = work();
        done.extend(others.into_iter().filter_map(|thread| thread.join().ok()).flatten());
        done
    });
    if done.len() < heads {
        return Err(ReadError::Interrupted);
    }
    done.sort_by_key(|(h, _)| *h);
    Ok(done.into_iter().map(|(_, pick)| pick).collect())
}

#[cfg(test)]
#[path = "heads_tests.rs"]
mod tests;
