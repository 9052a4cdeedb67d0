//! Control models: the candidate drawn again from the null, alone or with a known share of the reference mixed in.
//!
//! A negative control has every number of the candidate, in another place or with another sign. The channels of an axis get fair
//! signs, one coin for a channel of a component in all its layers, experts and tensors: the group that the sign tests count by.
//! Feed-forward units get new labels, drawn for every layer and separately for gate, up and down: fixed points need the first,
//! and the search, which finds units by any of the three, finds none whose three agree. So do the residual channels of the token
//! embedding, by which the search tells channels apart; its rows get fair signs. Shapes and norms stay what they are, and
//! so do the singular values of every matrix. Axes are those whose symmetry holds for one of the two models, as in the tests.
//!
//! A positive control is `s·R·‖C‖/‖R‖ + √(1 − s²)·N` in every tensor that a test reads, with N such a draw: a model whose cosine
//! with the reference is s by construction.

use crate::plan::key;
use crate::{PairKey, PairMeasurement};
use std::collections::BTreeMap;
use std::sync::Arc;
use stemmata_architecture::{
    Anatomy, ChannelAxis, ChannelMap, Component, Role, RowOrder, Term, View, channel_maps,
};
use stemmata_model::{ReadError, Tensor, Weights};
use stemmata_stats::SplitMix64;

/// Elements that lie no further apart than this are read together with what is between them.
const NARROW: u64 = 16;

/// A control model, made as it is read.
pub struct Control<'a> {
    candidate: &'a dyn Weights,
    reference: &'a dyn Weights,
    /// By tensor of the candidate.
    pieces: BTreeMap<usize, Vec<Piece>>,
}

impl<'a> Control<'a> {
    /// The control that `seed` draws, with the `share` of the reference in it (0 for a negative control; at most 1).
    ///
    /// Every matrix of the candidate is drawn, also those that the reference lacks: a search and a map of layers look beyond
    /// equal places. `measured` are the pairs of the comparison, with the norms by which the share is scaled. Memory is O(channels +
    /// units), no weight is held.
    pub fn new(
        (candidate, ours): (&'a dyn Weights, &Anatomy),
        (reference, theirs): (&'a dyn Weights, &Anatomy),
        measured: &[PairMeasurement],
        seed: u64,
        share: f64,
    ) -> Control<'a> {
        let mut draws = Draws { seed, signs: Vec::new(), labels: BTreeMap::new() };
        let norms: BTreeMap<_, _> = measured
            .iter()
            .filter_map(|p| Some((p.key, p.moments?)))
            .map(|(key, m)| (key, (m.candidate_squares / m.reference_squares).sqrt()))
            .collect();
        let counterparts: BTreeMap<PairKey, &View> =
            theirs.parts.iter().map(|part| (key(part), &part.view)).collect();
        let mut pieces: BTreeMap<usize, Vec<Piece>> = BTreeMap::new();
        for part in &ours.parts {
            let Some(info) = ours.component(part.component) else { continue };
            // As for the tests, one of the two models has to have the symmetry.
            let infos = [Some(info), theirs.component(part.component)];
            let holds = |axis: ChannelAxis| infos.iter().flatten().any(|info| axis.holds_for(info));
            let (rows, cols) = channel_maps(part, info);
            let maps = [rows, cols].map(|map| map.filter(|map| holds(map.axis)));
            let units = match (part.role, part.term) {
                (Role::Gate | Role::Up, Term::Weight) => Some(0),
                (Role::Down, Term::Weight) => Some(1),
                _ => None,
            };
            // A tensor that plays two parts (tied embeddings) is drawn once.
            let others = pieces.entry(part.view.tensor).or_default();
            let is_embedding = (part.role, part.term) == (Role::TokenEmbedding, Term::Weight);
            let nothing = maps == [None, None] && units.is_none() && !is_embedding;
            if nothing || others.iter().any(|p| p.view == part.view) {
                continue;
            }
            let extents = [part.view.rows, part.view.cols];
            let mut signs = [0, 1].map(|side| Some(draws.signs(part.component, maps[side]?, extents[side])));
            if is_embedding {
                signs[0].get_or_insert_with(|| draws.row_signs(part.component, extents[0]));
            }
            let mut labels = [None, None];
            let alike = || infos.iter().all(|info| info.is_some_and(|i| ChannelAxis::Residual.holds_for(i)));
            let side = units.or_else(|| (is_embedding && alike()).then_some(1));
            if let Some(side) = side {
                labels[side] = Some(draws.labels((part.component, part.layer, part.role, extents[side])));
            }
            let scale = norms.get(&key(part)).filter(|scale| share > 0.0 && scale.is_finite());
            let mix = counterparts.get(&key(part)).zip(scale).map(|(view, scale)| Mix {
                view: **view,
                corner: [extents[0].min(view.rows), extents[1].min(view.cols)],
                straight: [part.view.order, view.order] == [RowOrder::Stored; 2],
                own: (1.0 - share * share).max(0.0).sqrt() as f32,
                other: (share * scale) as f32,
            });
            others.push(Piece { view: part.view, signs, labels, mix });
        }
        Control { candidate, reference, pieces }
    }
}

impl Weights for Control<'_> {
    fn tensors(&self) -> &[Tensor] {
        self.candidate.tensors()
    }

    fn read(&self, tensor: usize, start: u64, out: &mut [f32]) -> Result<(), ReadError> {
        let pieces = self.pieces.get(&tensor).map_or(&[][..], Vec::as_slice);
        let whole = self.tensors().get(tensor).map_or(0, Tensor::elements);
        // Rows that are all fetched from elsewhere need not be read where they stand.
        if !pieces.first().is_some_and(|p| p.moves_runs() && p.view.elements() == whole) {
            self.candidate.read(tensor, start, out)?;
        }
        let mut run = Vec::new();
        pieces.iter().try_for_each(|piece| piece.apply(self, start, out, &mut run))
    }

    fn bytes_read(&self) -> u64 {
        self.candidate.bytes_read()
    }
}

/// What is done to one logical matrix. Pairs are for rows and columns.
struct Piece {
    view: View,
    signs: [Option<Arc<[f32]>>; 2],
    /// The index whose values an index gets.
    labels: [Option<Arc<[u32]>>; 2],
    mix: Option<Mix>,
}

/// The reference's matrix and how much of it.
struct Mix {
    view: View,
    /// Rows and columns that both have.
    corner: [u64; 2],
    /// Whether neither model reorders its rows.
    straight: bool,
    own: f32,
    other: f32,
}

/// One side of a matrix as it lies in storage.
#[derive(Clone, Copy)]
struct Along {
    /// 0 for rows, 1 for columns.
    side: usize,
    stride: u64,
    extent: u64,
}

/// Elements `from .. to` of one run of a tensor: `element(i) = first + i · stride`.
#[derive(Clone, Copy)]
struct Run {
    first: u64,
    stride: u64,
}

impl Run {
    fn at(self, i: u64) -> u64 {
        self.first + i * self.stride
    }
}

impl Piece {
    /// The side with the wide stride and that with the narrow one, whose elements make a run.
    fn sides(&self) -> (Along, Along) {
        let View { rows, cols, row_stride, col_stride, .. } = self.view;
        // Rows of other matrices may lie between these; they are left alone.
        let row = Along { side: 0, stride: row_stride.max(1), extent: self.view.row_span() };
        let col = Along { side: 1, stride: col_stride.max(1), extent: cols };
        let runs_are_rows = rows == 1 || (cols > 1 && col_stride <= row_stride);
        let (major, minor) = if runs_are_rows { (row, col) } else { (col, row) };
        // A single run has no next one: its stride is whatever lies beyond it.
        let stride = if major.extent == 1 { minor.extent * minor.stride } else { major.stride };
        (Along { stride, ..major }, minor)
    }

    /// Whether whole runs change places.
    fn moves_runs(&self) -> bool {
        self.labels[self.sides().0.side].is_some()
    }

    /// Logical index of a stored one; `None` for what is not this matrix's.
    fn logical(&self, along: Along, stored: u64) -> Option<u64> {
        match along.side {
            0 => self.view.order.logical(stored).filter(|row| *row < self.view.rows),
            _ => Some(stored),
        }
    }

    /// Changes what `out`, elements from `start` of the tensor, holds of this matrix.
    fn apply(
        &self,
        control: &Control<'_>,
        start: u64,
        out: &mut [f32],
        run: &mut Vec<f32>,
    ) -> Result<(), ReadError> {
        let end = start + out.len() as u64;
        if end <= self.view.first || self.view.elements() == 0 {
            return Ok(());
        }
        let (major, minor) = self.sides();
        let last = ((end - 1 - self.view.first) / major.stride).min(major.extent - 1);
        for m in start.saturating_sub(self.view.first) / major.stride..=last {
            let here = Run { first: self.view.first + m * major.stride, stride: minor.stride };
            let from = start.saturating_sub(here.first).div_ceil(minor.stride);
            let to = end.saturating_sub(here.first).div_ceil(minor.stride).min(minor.extent);
            if from >= to {
                continue;
            }
            let Some(m) = self.logical(major, m) else { continue };
            self.fetch(control.candidate, (major, m), here, [from, to], start, out, run)?;
            let sign = self.signs[major.side].as_ref().map_or(1.0, |signs| signs[m as usize]);
            let signs = self.signs[minor.side].as_deref();
            let place = |n: u64| (here.at(n) - start) as usize;
            for n in from..to {
                let Some(logical) = self.logical(minor, n) else { continue };
                let other = signs.map_or(1.0, |signs| signs[logical as usize]);
                out[place(n)] *= sign * other;
            }
            if let Some(mix) = &self.mix {
                run.clear();
                run.resize((to - from) as usize, 0.0);
                let logical = |n| self.logical(minor, n);
                mix.read(control.reference, (major.side, m), (from, &logical), run)?;
                for (n, other) in (from..to).zip(run.iter()) {
                    let here = logical(n).is_some_and(|n| n < mix.corner[minor.side]);
                    let inside = m < mix.corner[major.side] && here;
                    let x = &mut out[place(n)];
                    *x = if inside { mix.own * *x + mix.other * other } else { *x };
                }
            }
        }
        Ok(())
    }

    /// Brings the values of the units that elements `from .. to` of run `here` got the labels of.
    #[allow(clippy::too_many_arguments, reason = "one step of `apply`, split off to be read by itself")]
    fn fetch(
        &self,
        candidate: &dyn Weights,
        (major, m): (Along, u64),
        here: Run,
        [from, to]: [u64; 2],
        start: u64,
        out: &mut [f32],
        run: &mut Vec<f32>,
    ) -> Result<(), ReadError> {
        let minor = self.sides().1;
        let place = |n: u64| (here.at(n) - start) as usize;
        if let Some(labels) = &self.labels[major.side] {
            let there = Run { first: self.view.first + u64::from(labels[m as usize]) * major.stride, ..here };
            run.clear();
            run.resize((there.at(to - 1) - there.at(from) + 1) as usize, 0.0);
            candidate.read(self.view.tensor, there.at(from), run)?;
            for n in from..to {
                out[place(n)] = run[((n - from) * here.stride) as usize];
            }
        }
        if let Some(labels) = &self.labels[minor.side] {
            run.clear();
            run.resize((here.at(minor.extent - 1) - here.first + 1) as usize, 0.0);
            candidate.read(self.view.tensor, here.first, run)?;
            for n in from..to {
                out[place(n)] = run[(u64::from(labels[n as usize]) * here.stride) as usize];
            }
        }
        Ok(())
    }
}

impl Mix {
    /// The reference's elements at logical index `m` along `side` and, along the other, at `logical(first + i)`; those outside
    /// the common corner are left zero.
    fn read(
        &self,
        reference: &dyn Weights,
        (side, m): (usize, u64),
        (first, logical): (u64, &dyn Fn(u64) -> Option<u64>),
        out: &mut [f32],
    ) -> Result<(), ReadError> {
        let stride = |side: usize| if side == 0 { self.view.row_stride } else { self.view.col_stride };
        let stored = |side: usize, i: u64| if side == 0 { self.view.stored_row(i) } else { i };
        if m >= self.corner[side] {
            return Ok(());
        }
        let other = 1 - side;
        let base = self.view.first + stored(side, m) * stride(side);
        let at = |n: u64| base + stored(other, n) * stride(other);
        // Only rows are ever stored in another order.
        if (other == 1 || self.straight) && stride(other) <= NARROW {
            let count = self.corner[other].saturating_sub(first).min(out.len() as u64) as usize;
            if count == 0 {
                return Ok(());
            }
            let step = stride(other).max(1) as usize;
            let mut span = vec![0.0; (count - 1) * step + 1];
            reference.read(self.view.tensor, at(first), &mut span)?;
            out.iter_mut().zip(span.into_iter().step_by(step)).for_each(|(x, value)| *x = value);
            return Ok(());
        }
        // The two models store this matrix differently, which is rare: one by one.
        for (n, x) in (first..).zip(out.iter_mut()) {
            if let Some(n) = logical(n).filter(|n| *n < self.corner[other]) {
                reference.read(self.view.tensor, at(n), std::slice::from_mut(x))?;
            }
        }
        Ok(())
    }
}

fn coin(stream: &mut SplitMix64) -> f32 {
    if stream.next_u64() >> 63 == 0 { 1.0 } else { -1.0 }
}

/// Units that are relabelled together: those of one role in one layer of a component, and how many there are.
type Block = (Component, Option<u32>, Role, u64);

/// Random choices, each a function of the seed and of what it is for, so that tensors that share a channel share its coin.
struct Draws {
    seed: u64,
    signs: Vec<(Component, ChannelMap, u64, Arc<[f32]>)>,
    labels: BTreeMap<Block, Arc<[u32]>>,
}

impl Draws {
    fn stream(&self, what: impl IntoIterator<Item = u64>) -> SplitMix64 {
        let mixed = what.into_iter().fold(self.seed, |state, word| SplitMix64::new(state ^ word).next_u64());
        SplitMix64::new(mixed)
    }

    /// ±1 for every index along a side: the coin of its channel.
    fn signs(&mut self, component: Component, map: ChannelMap, extent: u64) -> Arc<[f32]> {
        let known = self.signs.iter().find(|(c, m, n, _)| (*c, *m, *n) == (component, map, extent));
        if let Some((.., signs)) = known {
            return Arc::clone(signs);
        }
        let mut stream = self.stream([1, component as u64, map.axis as u64]);
        let coins: Vec<f32> = (0..map.channels(extent)).map(|_| coin(&mut stream)).collect();
        let signs: Arc<[f32]> = (0..extent).map(|i| coins[map.channel(i) as usize]).collect();
        self.signs.push((component, map, extent, Arc::clone(&signs)));
        signs
    }

    /// ±1 for every row of the token embedding of a component.
    fn row_signs(&self, component: Component, rows: u64) -> Arc<[f32]> {
        let mut stream = self.stream([3, component as u64]);
        (0..rows).map(|_| coin(&mut stream)).collect()
    }

    /// A uniform permutation of the units of one role in one layer, the same for all experts.
    fn labels(&mut self, block: Block) -> Arc<[u32]> {
        let (component, layer, role, units) = block;
        let layer_word = layer.map_or(0, |layer| u64::from(layer) + 1);
        let words = [2, component as u64, layer_word].into_iter();
        let mut stream = self.stream(words.chain(role.name().bytes().map(u64::from)));
        let draw = || {
            let mut labels: Vec<u32> = (0..units as u32).collect();
            stream.shuffle(&mut labels);
            labels.into()
        };
        Arc::clone(self.labels.entry(block).or_insert_with(draw))
    }
}

#[cfg(test)]
#[path = "controls_tests.rs"]
mod tests;
