//! How the weights of a set of parents run over the model, and whether on a straight line or on the sphere.

use super::algebra::{Pool, fit_slerp};
use super::{Block, Estimate, Granularity, Homogeneity, Merge, MergeBasis, MergeMethod, WeightGroup};
use std::collections::BTreeMap;
use stemmata_alignment::PairKey;
use stemmata_architecture::Role;

/// The simplest fit is taken that leaves at most this many times what the finest leaves.
const SIMPLER: f64 = 1.1;
/// Straight line and sphere are told apart where what they leave differs by this factor.
const TOLD_APART: f64 = 0.98;
/// A weight this close to 0 or 1 is that, where every part has a single parent.
const WHOLE: f64 = 0.02;

/// From coarse to fine.
const GRANULARITIES: [Granularity; 5] = [
    Granularity::Model,
    Granularity::Block,
    Granularity::Layer,
    Granularity::LayerBlock,
    Granularity::Matrix,
];

/// The simplest fit of one set of parents.
pub(super) struct Shape {
    pub(super) set: Vec<usize>,
    pub(super) squares: f64,
    pub(super) floor: f64,
    method: MergeMethod,
    slerp_alike: bool,
    granularity: Granularity,
    whole: Vec<Estimate>,
    groups: Vec<WeightGroup>,
    homogeneity: Option<Homogeneity>,
}

fn block(role: Role) -> Block {
    match role {
        Role::Query
        | Role::Key
        | Role::Value
        | Role::Output
        | Role::QueryDown
        | Role::QueryUp
        | Role::KeyValueDown
        | Role::KeyValueUp => Block::Attention,
        Role::Gate
        | Role::Up
        | Role::Down
        | Role::Router
        | Role::SharedGate
        | Role::SharedUp
        | Role::SharedDown
        | Role::SharedExpertGate => Block::FeedForward,
        _ => Block::Other,
    }
}

/// A fit of every group of one granularity.
struct Fits {
    squares: f64,
    floor: f64,
    determined: usize,
    groups: Vec<WeightGroup>,
}

type Place = (Option<Block>, Option<u32>, usize);

fn grouped(parts: &[(PairKey, Pool)], granularity: Granularity) -> BTreeMap<Place, Vec<&Pool>> {
    let mut groups: BTreeMap<Place, Vec<&Pool>> = BTreeMap::new();
    for (i, (key, pool)) in parts.iter().enumerate() {
        let block = Some(block(key.role));
        let place = match granularity {
            Granularity::Model => (None, None, 0),
            Granularity::Block => (block, None, 0),
            Granularity::Layer => (None, key.layer, 0),
            Granularity::LayerBlock => (block, key.layer, 0),
            Granularity::Matrix => (block, key.layer, i),
        };
        groups.entry(place).or_default().push(pool);
    }
    groups
}

fn linear(parts: &[(PairKey, Pool)], set: &[usize], granularity: Granularity) -> Fits {
    let mut fits = Fits { squares: 0.0, floor: 0.0, determined: 0, groups: Vec::new() };
    for ((block, layer, _), pools) in grouped(parts, granularity) {
        let Some(pool) = Pool::sum(pools) else { continue };
        let fit = pool.fit(set);
        fits.squares += fit.squares;
        fits.floor += fit.floor;
        fits.determined += fit.determined;
        let errors = fit.standard_errors(pool.n);
        let weights = fit.weights.iter().zip(errors);
        let weights = weights.map(|(w, e)| Estimate { value: *w, standard_error: e }).collect();
        fits.groups.push(WeightGroup { block, layer, weights });
    }
    fits
}

fn spherical(parts: &[(PairKey, Pool)], set: [usize; 2], granularity: Granularity) -> Fits {
    let mut fits = Fits { squares: 0.0, floor: 0.0, determined: 0, groups: Vec::new() };
    for ((block, layer, _), pools) in grouped(parts, granularity) {
        let (t, standard_error, squares, floor) = fit_slerp(&pools, set);
        fits.squares += squares;
        fits.floor += floor;
        fits.determined += 1;
        let weights = [1.0 - t, t].map(|value| Estimate { value, standard_error });
        fits.groups.push(WeightGroup { block, layer, weights: weights.to_vec() });
    }
    fits
}

/// The simplest fit of a set that leaves about as little as one per matrix does.
pub(super) fn shape(parts: &[(PairKey, Pool)], set: &[usize]) -> Shape {
    let finest = linear(parts, set, Granularity::Matrix);
    let whole = linear(parts, set, Granularity::Model);
    let n: f64 = parts.iter().map(|(_, pool)| pool.n).sum();
    let degrees = [finest.determined.saturating_sub(whole.determined) as f64, n - finest.determined as f64];
    let homogeneity = (degrees[0] > 0.0 && finest.squares > 0.0).then(|| Homogeneity {
        f: (whole.squares - finest.squares) / degrees[0] / (finest.squares / degrees[1].max(1.0)),
        degrees,
        ratio: whole.squares / finest.squares,
    });
    let of_model = whole.groups.first().map_or_else(Vec::new, |g| g.weights.clone());
    let mut chosen = (MergeMethod::Linear, false, Granularity::Matrix, finest);
    let enough = SIMPLER * chosen.3.squares;
    for granularity in GRANULARITIES {
        let straight = linear(parts, set, granularity);
        let round = <[usize; 2]>::try_from(set).ok().map(|set| spherical(parts, set, granularity));
        let alike = round.as_ref().is_some_and(|r| {
            r.squares * TOLD_APART <= straight.squares && straight.squares * TOLD_APART <= r.squares
        });
        let (method, fits) = match round {
            Some(round) if round.squares < TOLD_APART * straight.squares => (MergeMethod::Slerp, round),
            _ => (MergeMethod::Linear, straight),
        };
        if fits.squares <= enough {
            chosen = (method, alike, granularity, fits);
            break;
        }
    }
    let (method, slerp_alike, granularity, fits) = chosen;
    let whole = match (method, granularity, fits.groups.first()) {
        (MergeMethod::Slerp, Granularity::Model, Some(group)) => group.weights.clone(),
        (MergeMethod::Slerp, ..) => spherical(parts, [set[0], set[1]], Granularity::Model)
            .groups
            .first()
            .map_or_else(Vec::new, |g| g.weights.clone()),
        _ => of_model,
    };
    Shape {
        set: set.to_vec(),
        squares: fits.squares,
        floor: fits.floor,
        method,
        slerp_alike,
        granularity,
        whole,
        groups: if granularity == Granularity::Model { Vec::new() } else { fits.groups },
        homogeneity: homogeneity.filter(|_| method == MergeMethod::Linear),
    }
}

impl Merge {
    pub(super) fn new(method: MergeMethod, basis: MergeBasis, parents: Vec<usize>) -> Merge {
        Merge {
            method,
            basis,
            parents,
            base: false,
            weights: Vec::new(),
            granularity: Granularity::Model,
            groups: Vec::new(),
            slerp_alike: false,
            densities: Vec::new(),
            normalized: false,
            alternatives: Vec::new(),
            excess: 0.0,
            homogeneity: None,
            explained: None,
        }
    }
}

impl Shape {
    /// Whether every part is one parent's alone, and not all the same one's.
    pub(super) fn is_passthrough(&self) -> bool {
        let near = |x: f64, to: f64| (x - to).abs() <= WHOLE;
        let one = |g: &WeightGroup| {
            let ones = g.weights.iter().filter(|w| near(w.value, 1.0)).count();
            ones == 1 && g.weights.iter().all(|w| near(w.value, 0.0) || near(w.value, 1.0))
        };
        !self.groups.is_empty() && self.groups.iter().all(one)
    }

    /// The merge, with references that could stand in for a parent. A parent with a negative weight is the base.
    pub(super) fn merge(self, mut alternatives: Vec<(usize, usize)>) -> Merge {
        let mut merge = Merge::new(self.method, MergeBasis::Rounding, self.set);
        merge.excess = self.squares / self.floor;
        merge.granularity = self.granularity;
        merge.slerp_alike = self.slerp_alike;
        merge.homogeneity = self.homogeneity;
        merge.weights = self.whole;
        merge.groups = self.groups;
        let negative: Vec<usize> =
            (0..merge.parents.len()).filter(|&i| merge.weights[i].value < 0.0).collect();
        if let ([base], MergeMethod::Linear) = (negative.as_slice(), merge.method) {
            merge.method = MergeMethod::TaskArithmetic;
            merge.base = true;
            let first = |place: usize| match place {
                p if p == *base => 0,
                p if p < *base => p + 1,
                p => p,
            };
            alternatives.iter_mut().for_each(|(place, _)| *place = first(*place));
            merge.parents[..=*base].rotate_right(1);
            merge.weights[..=*base].rotate_right(1);
            merge.groups.iter_mut().for_each(|g| g.weights[..=*base].rotate_right(1));
        }
        merge.alternatives = alternatives;
        merge
    }
}
