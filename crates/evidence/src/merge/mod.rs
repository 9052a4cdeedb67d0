//! Is a model a sum of others? Parents are chosen from inner products alone, per model and not per matrix (METHODS 7.6).
//!
//! A merge is asserted only where nothing is left but rounding, or where single elements show it; see
//! [docs/methods/merges.md](../../../../docs/methods/merges.md). No statement here is a test, and none has a p-value.

mod algebra;
mod choose;
mod shape;
mod sparse;

pub use choose::weigh;
pub use sparse::{sparse, sparse_trials};

use stemmata_alignment::mixture::Overshoot;

/// A residual of up to so many roundings (as energy) is rounding: arithmetic in f32 leaves 0.9 to 1.5, in bf16 up to 1.8.
pub(crate) const MOST_EXCESS: f64 = 4.0;
/// Share of what the best single reference leaves that a merge must explain.
pub(crate) const LEAST_GAIN: f64 = 0.6;

/// How models were joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeMethod {
    /// A weighted sum.
    Linear,
    /// A base plus weighted differences from it: a sum with a negative weight.
    TaskArithmetic,
    /// Spherical interpolation of two models.
    Slerp,
    /// Small differences dropped, signs elected (Yadav et al. 2023).
    Ties,
    /// Differences dropped at random and the rest raised, signs elected (Yu et al. 2023).
    DareTies,
    /// The same without an election.
    DareLinear,
    /// Not one of these, or not to be told.
    Undetermined,
}

impl MergeMethod {
    /// mergekit's name; `undetermined` for what has none.
    pub fn name(self) -> &'static str {
        match self {
            MergeMethod::Linear => "linear",
            MergeMethod::TaskArithmetic => "task_arithmetic",
            MergeMethod::Slerp => "slerp",
            MergeMethod::Ties => "ties",
            MergeMethod::DareTies => "dare_ties",
            MergeMethod::DareLinear => "dare_linear",
            MergeMethod::Undetermined => "undetermined",
        }
    }
}

/// What a merge is asserted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeBasis {
    /// Nothing but rounding is left.
    Rounding,
    /// Single elements are those of the base, of one parent, or of both.
    Elements,
    /// Parents without a common origin, none of which explains the model alone.
    Strangers,
}

impl MergeBasis {
    /// Name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            MergeBasis::Rounding => "rounding",
            MergeBasis::Elements => "elements",
            MergeBasis::Strangers => "strangers",
        }
    }
}

/// Matrices that share their weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Block {
    /// Attention.
    Attention,
    /// Feed-forward.
    FeedForward,
    /// Embeddings, heads and what else there is.
    Other,
}

impl Block {
    /// mergekit's filter for it; nothing for the rest.
    pub fn filter(self) -> Option<&'static str> {
        match self {
            Block::Attention => Some("self_attn"),
            Block::FeedForward => Some("mlp"),
            Block::Other => None,
        }
    }
}

/// Over what weights are constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Granularity {
    /// The whole model.
    Model,
    /// Attention, feed-forward, the rest.
    Block,
    /// A layer.
    Layer,
    /// A block of a layer.
    LayerBlock,
    /// A matrix.
    Matrix,
}

impl Granularity {
    /// Name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Granularity::Model => "model",
            Granularity::Block => "block",
            Granularity::Layer => "layer",
            Granularity::LayerBlock => "layer-block",
            Granularity::Matrix => "matrix",
        }
    }
}

/// A number with its standard error, from the residual; infinite where the models do not determine it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Value.
    pub value: f64,
    /// Standard error.
    pub standard_error: f64,
}

/// Weights of a part of the model, in the order of the parents.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightGroup {
    /// Block, where weights differ between blocks.
    pub block: Option<Block>,
    /// Layer, where weights differ between layers; nothing outside layers.
    pub layer: Option<u32>,
    /// One per parent; 1 − t and t for [`MergeMethod::Slerp`].
    pub weights: Vec<Estimate>,
}

/// Whether weights are the same in all matrices.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Homogeneity {
    /// F: how much less a fit per matrix leaves than one for all, per degree of freedom, against what it leaves. About 1 if weights are the
    /// same and residuals are independent. Residuals of arithmetic in 16 bits are not quite, so no p is given.
    pub f: f64,
    /// Degrees of freedom.
    pub degrees: [f64; 2],
    /// What one fit for all leaves over what fits per matrix leave: the size of the effect.
    pub ratio: f64,
}

/// A merge.
#[derive(Clone, Debug, PartialEq)]
pub struct Merge {
    /// How.
    pub method: MergeMethod,
    /// On what it is asserted.
    pub basis: MergeBasis,
    /// Models of the Gram matrices (1 is the first reference) in the order of the weights; a base is the first.
    pub parents: Vec<usize>,
    /// Whether the first parent is a base that the others' differences are taken from.
    pub base: bool,
    /// Weight per parent over the whole model; of a sparse merge the weights of the differences, the base's being 1, without standard
    /// errors.
    pub weights: Vec<Estimate>,
    /// Over what weights are constant.
    pub granularity: Granularity,
    /// Weights by part where they are not the same everywhere.
    pub groups: Vec<WeightGroup>,
    /// Whether a straight line would fit as well as the sphere or the other way round.
    pub slerp_alike: bool,
    /// Share of each difference that was kept, of sparse merges.
    pub densities: Vec<f64>,
    /// Whether weights were divided by the sum of those that were kept, of sparse merges.
    pub normalized: bool,
    /// References that could stand in for a parent: (place among the parents, model).
    pub alternatives: Vec<(usize, usize)>,
    /// Residual energy in units of rounding.
    pub excess: f64,
    /// The test that weights are the same everywhere; nothing for slerp and sparse merges.
    pub homogeneity: Option<Homogeneity>,
    /// Share of the elements beside the base's that the method explains, and by chance; of sparse merges.
    pub explained: Option<[f64; 2]>,
}

/// What is said.
#[derive(Clone, Debug, PartialEq)]
pub enum MergeOutcome {
    /// Fewer than two references that differ have the candidate's matrices.
    TooFew,
    /// One reference leaves nothing but rounding.
    OneReference,
    /// Every part is one reference's: the map of layers says which.
    Layers,
    /// A sum holds up to rounding, and it cannot be said which of the models in it is the sum of the others.
    Relation(Box<Merge>),
    /// A merge.
    Merge(Box<Merge>),
    /// None found. The best sum is [`Weighed::best`].
    NotFound,
}

/// What the inner products say.
#[derive(Clone, Debug, PartialEq)]
pub struct Weighed {
    /// What is said so far: sparse merges and relations need a second look at single elements.
    pub outcome: MergeOutcome,
    /// The best single reference, with its factor.
    pub single: Option<(usize, Estimate)>,
    /// Residual energy that it leaves, in units of rounding.
    pub single_excess: f64,
    /// The two or three references that leave least, and the share of what the best one leaves that they explain.
    pub best: Option<(Vec<usize>, f64)>,
    /// References that are equal to an earlier one value by value: (model, earlier model).
    pub equal: Vec<(usize, usize)>,
    /// Elements looked at.
    pub elements: u64,
    /// Matrices looked at.
    pub matrices: usize,
}

/// Whether a linear relation with negative weights must be looked at element by element before it is called a merge.
pub fn is_ambiguous(merge: &Merge) -> bool {
    merge.basis == MergeBasis::Rounding && merge.weights.iter().any(|w| w.value < 0.0)
}

/// Share of elements beyond half a spacing up to which a residual can be one rounding.
const ROUNDED: f64 = 0.02;
/// How many times as many elements must be beyond it for the other members.
const BEYOND: f64 = 4.0;

/// Says which model of a relation is the sum of the others: the one whose own rounding is what is left.
pub fn settle(merge: Merge, overshoot: &Overshoot) -> MergeOutcome {
    let n = overshoot.n.max(1) as f64;
    let share: Vec<f64> = overshoot.beyond.iter().map(|b| *b as f64 / n).collect();
    let others = share[1..].iter().fold(f64::INFINITY, |a, b| a.min(*b));
    let own = share.first().copied().unwrap_or(1.0);
    if own <= ROUNDED && others >= BEYOND * own.max(ROUNDED / 4.0) {
        return MergeOutcome::Merge(Box::new(merge));
    }
    MergeOutcome::Relation(Box::new(merge))
}

#[cfg(test)]
mod tests;
