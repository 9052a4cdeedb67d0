//! Which tensor of the candidate answers to which of the reference.

use crate::{LayerMap, PairKey, Unmatched};
use std::collections::{BTreeMap, BTreeSet};
use stemmata_architecture::{Anatomy, ChannelAxis, ChannelMap, Part, View, channel_maps, labels_units};
use stemmata_fingerprint::{Blocks, flipped};

/// One pair of logical tensors and what it contributes to.
#[derive(Clone, Debug, PartialEq)]
pub struct PairPlan {
    /// Which.
    pub key: PairKey,
    /// Candidate's matrix; rows and columns exchanged when both are stored transposed.
    pub candidate: View,
    /// Reference's matrix.
    pub reference: View,
    /// Whether rows and columns are exchanged against the canonical orientation.
    pub flipped: bool,
    /// Rows that both have.
    pub rows: u64,
    /// Columns that both have.
    pub cols: u64,
    /// Channels along the rows, if they are channels of a symmetry that holds for at least one of the two models.
    pub row_map: Option<ChannelMap>,
    /// Channels along the columns, likewise.
    pub col_map: Option<ChannelMap>,
    /// Whether the logical rows are feed-forward units to be matched.
    pub units: bool,
    /// Whether the candidate's and the reference's role is a guess.
    pub guessed: [bool; 2],
    /// The rows that are read, where not all are.
    pub sample: Option<Blocks>,
}

/// What will be read and compared.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Pairs in key order.
    pub pairs: Vec<PairPlan>,
    /// Logical tensors of the candidate with no counterpart.
    pub candidate_only: Vec<Unmatched>,
    /// Logical tensors of the reference with no counterpart.
    pub reference_only: Vec<Unmatched>,
}

impl Plan {
    /// Elements that will be read from each side.
    pub fn elements(&self) -> u64 {
        self.pairs.iter().map(|pair| pair.rows_read() * pair.cols).sum()
    }
}

impl PairPlan {
    /// Rows that are read.
    pub(crate) fn rows_read(&self) -> u64 {
        self.sample.as_ref().map_or(self.rows, Blocks::rows)
    }
}

pub(crate) fn key(part: &Part) -> PairKey {
    PairKey {
        component: part.component,
        layer: part.layer,
        expert: part.expert,
        role: part.role,
        term: part.term,
    }
}

/// Pairs the parts of two models by component, layer, expert and role: the identity alignment.
///
/// Where extents differ, the corner that both have is compared. The sign tests stay exact there (any function that is
/// odd under the flips is a legal statistic); what such a corner can and cannot show is for the report to say.
/// O(parts).
pub fn plan(candidate: &Anatomy, reference: &Anatomy) -> Plan {
    let mut plan = Plan::default();
    let unmatched = |part: &Part| Unmatched { key: key(part), elements: part.view.elements() };
    let (mut left, mut right) = (candidate.parts.iter().peekable(), reference.parts.iter().peekable());
    loop {
        match (left.peek(), right.peek()) {
            (Some(c), Some(r)) if key(c) == key(r) => {
                plan.pairs.push(pair(c, r, candidate, reference));
                left.next();
                right.next();
            }
            (Some(c), Some(r)) if key(c) < key(r) => plan.candidate_only.extend(left.next().map(unmatched)),
            (Some(_), Some(_)) | (None, Some(_)) => plan.reference_only.extend(right.next().map(unmatched)),
            (Some(_), None) => plan.candidate_only.extend(left.next().map(unmatched)),
            (None, None) => return plan,
        }
    }
}

/// Pairs the parts as [`plan`] does, but layer i of the candidate with layer `map[i]` of the reference where `maps` has
/// the component. Pairs are keyed by the candidate's layer. Layers that the map leaves out have no counterpart; those that it
/// names twice are compared twice.
/// O(parts · log parts).
pub fn plan_along(candidate: &Anatomy, reference: &Anatomy, maps: &[LayerMap]) -> Plan {
    let theirs: BTreeMap<PairKey, &Part> = reference.parts.iter().map(|part| (key(part), part)).collect();
    let mut used = BTreeSet::new();
    let mut plan = Plan::default();
    let unmatched = |part: &Part| Unmatched { key: key(part), elements: part.view.elements() };
    for c in &candidate.parts {
        let map = maps.iter().find(|m| m.grid.component == c.component);
        let layer = match (map, c.layer) {
            (Some(map), Some(layer)) => map.reference_layer(layer).map(Some),
            (_, layer) => Some(layer),
        };
        let wanted = layer.map(|layer| PairKey { layer, ..key(c) });
        match wanted.and_then(|wanted| theirs.get(&wanted)) {
            Some(r) => {
                used.insert(key(r));
                plan.pairs.push(pair(c, r, candidate, reference));
            }
            None => plan.candidate_only.push(unmatched(c)),
        }
    }
    plan.reference_only.extend(reference.parts.iter().filter(|r| !used.contains(&key(r))).map(unmatched));
    plan
}

fn pair(c: &Part, r: &Part, candidate: &Anatomy, reference: &Anatomy) -> PairPlan {
    let infos = [candidate.component(c.component), reference.component(r.component)];
    // Only one of the two models has to be symmetric (METHODS 3.1); the maps themselves must agree.
    let holds = |axis: ChannelAxis| infos.iter().flatten().any(|info| axis.holds_for(info));
    let maps = |part: &Part, i: usize| infos[i].map_or((None, None), |info| channel_maps(part, info));
    let (ours, theirs) = (maps(c, 0), maps(r, 1));
    let agree = |a: Option<ChannelMap>, b: Option<ChannelMap>| a.filter(|m| b == Some(*m) && holds(m.axis));
    // Inputs are channels of some sign symmetry whatever the role; outputs of q, k and gate are not. So rows count only where
    // at least one of the two roles is not a guess.
    let guessed = [c.guessed, r.guessed];
    let mut row_map = agree(ours.0, theirs.0).filter(|_| guessed != [true, true]);
    let mut col_map = agree(ours.1, theirs.1);
    let units = infos.iter().flatten().all(|info| labels_units(c, info)) && infos.iter().all(Option::is_some);

    let (mut cv, mut rv, mut turned) = (c.view, r.view, false);
    let transposed = |view: &View| view.col_stride > view.row_stride && view.rows > 1;
    if transposed(&cv)
        && transposed(&rv)
        && let (Some(a), Some(b)) = (flipped(&cv), flipped(&rv))
    {
        (cv, rv, turned) = (a, b, true);
        std::mem::swap(&mut row_map, &mut col_map);
    }
    PairPlan {
        key: key(c),
        rows: cv.rows.min(rv.rows),
        cols: cv.cols.min(rv.cols),
        candidate: cv,
        reference: rv,
        flipped: turned,
        row_map,
        col_map,
        units,
        guessed,
        sample: None,
    }
}
