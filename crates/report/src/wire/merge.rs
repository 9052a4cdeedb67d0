//! The wire format of what `blame` says of merges.

use super::finite;
use serde::Serialize;
use stemmata_audit as audit;
use stemmata_audit::MergeOutcome;

/// What is said of the model as a sum of references.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Merging {
    /// `merge`, `relation`, `one-reference`, `layers`, `not-found` or `too-few-references`.
    pub outcome: &'static str,
    /// References that were looked at.
    pub compared: Vec<usize>,
    /// Further ones that were left out for their number.
    pub left_out: usize,
    /// References that equal an earlier one value by value.
    pub equal: Vec<Equal>,
    /// Matrices looked at.
    pub matrices: usize,
    /// Elements looked at.
    pub elements: u64,
    /// The reference that leaves least alone.
    pub single: Option<Single>,
    /// The sum of two or three references that leaves least.
    pub best: Option<Best>,
    /// The merge, or the relation that holds.
    pub merge: Option<Merge>,
}

/// Two references with the same values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Equal {
    /// Index of the reference.
    pub reference: usize,
    /// The earlier one that stands for it.
    pub to: usize,
}

/// The best single reference.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Single {
    /// Index of the reference.
    pub reference: usize,
    /// Its factor.
    pub factor: Option<f64>,
    /// Residual energy in units of rounding.
    pub residual: Option<f64>,
}

/// The best sum.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Best {
    /// Indices of the references.
    pub references: Vec<usize>,
    /// Share of what the best single reference leaves that the sum explains.
    pub gain: Option<f64>,
}

/// A merge.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Merge {
    /// mergekit's name, or `undetermined`.
    pub method: &'static str,
    /// What the merge is asserted on.
    pub basis: &'static str,
    /// Index of the base, of methods that have one.
    pub base: Option<usize>,
    /// Parents, the base first.
    pub parents: Vec<Parent>,
    /// Over what weights are constant.
    pub granularity: &'static str,
    /// Weights by part, where they differ.
    pub groups: Vec<Group>,
    /// Whether straight line and sphere fit alike.
    pub slerp_alike: bool,
    /// Whether weights were divided by the sum of those that were kept, of sparse merges.
    pub normalized: bool,
    /// Residual energy in units of rounding; nothing for sparse merges.
    pub residual: Option<f64>,
    /// Whether weights are the same everywhere.
    pub homogeneity: Option<Homogeneity>,
    /// Share of the elements beside the base's that the method explains, and by chance.
    pub explained: Option<[f64; 2]>,
}

/// A parent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Parent {
    /// Index of the reference.
    pub reference: usize,
    /// Weight; 1 − t and t for `slerp`; of the difference, the base's being 1, for sparse merges.
    pub weight: Option<f64>,
    /// Standard error, from the residual.
    pub standard_error: Option<f64>,
    /// Share of the difference that was kept, of sparse merges.
    pub density: Option<f64>,
    /// References that could stand in for it.
    pub alternatives: Vec<usize>,
}

/// Weights of a part.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Group {
    /// `self_attn`, `mlp` or `other`.
    pub block: Option<&'static str>,
    /// Layer.
    pub layer: Option<u32>,
    /// In the order of the parents.
    pub weights: Vec<Option<f64>>,
    /// In the order of the parents.
    pub standard_errors: Vec<Option<f64>>,
}

/// Whether weights are the same everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Homogeneity {
    /// F of one fit against one per matrix.
    pub f: Option<f64>,
    /// Degrees of freedom.
    pub degrees: [f64; 2],
    /// What one fit leaves over what fits per matrix leave.
    pub ratio: Option<f64>,
}

impl Merging {
    pub(super) fn new(m: &audit::Merging) -> Merging {
        let weighed = &m.weighed;
        let (outcome, merge) = match &weighed.outcome {
            MergeOutcome::Merge(merge) => ("merge", Some(merge)),
            MergeOutcome::Relation(merge) => ("relation", Some(merge)),
            MergeOutcome::OneReference => ("one-reference", None),
            MergeOutcome::Layers => ("layers", None),
            MergeOutcome::NotFound => ("not-found", None),
            MergeOutcome::TooFew => ("too-few-references", None),
        };
        Merging {
            outcome,
            compared: m.references.clone(),
            left_out: m.left_out,
            equal: weighed
                .equal
                .iter()
                .map(|&(a, b)| Equal { reference: m.reference(a), to: m.reference(b) })
                .collect(),
            matrices: weighed.matrices,
            elements: weighed.elements,
            single: weighed.single.map(|(model, factor)| Single {
                reference: m.reference(model),
                factor: finite(factor.value),
                residual: finite(weighed.single_excess),
            }),
            best: weighed.best.as_ref().map(|(set, gain)| Best {
                references: set.iter().map(|&model| m.reference(model)).collect(),
                gain: finite(*gain),
            }),
            merge: merge.map(|merge| of(merge, m)),
        }
    }
}

fn of(merge: &audit::Merge, m: &audit::Merging) -> Merge {
    let parent = |(place, &model): (usize, &usize)| {
        let weight = merge.weights.get(place);
        let density = if merge.base { place.checked_sub(1) } else { Some(place) };
        let alternatives = merge.alternatives.iter().filter(|a| a.0 == place);
        Parent {
            reference: m.reference(model),
            weight: weight.and_then(|w| finite(w.value)),
            standard_error: weight.and_then(|w| finite(w.standard_error)),
            density: density.and_then(|i| merge.densities.get(i)).copied().and_then(finite),
            alternatives: alternatives.map(|a| m.reference(a.1)).collect(),
        }
    };
    Merge {
        method: merge.method.name(),
        basis: merge.basis.name(),
        base: merge.parents.first().filter(|_| merge.base).map(|&model| m.reference(model)),
        parents: merge.parents.iter().enumerate().map(parent).collect(),
        granularity: merge.granularity.name(),
        groups: merge.groups.iter().map(group).collect(),
        slerp_alike: merge.slerp_alike,
        normalized: merge.normalized,
        residual: finite(merge.excess).filter(|_| merge.basis != audit::MergeBasis::Elements),
        homogeneity: merge.homogeneity.map(|h| Homogeneity {
            f: finite(h.f),
            degrees: h.degrees,
            ratio: finite(h.ratio),
        }),
        explained: merge.explained,
    }
}

fn group(g: &audit::WeightGroup) -> Group {
    Group {
        block: g.block.map(|block| block.filter().unwrap_or("other")),
        layer: g.layer,
        weights: g.weights.iter().map(|w| finite(w.value)).collect(),
        standard_errors: g.weights.iter().map(|w| finite(w.standard_error)).collect(),
    }
}
