//! What a comparison of two models measures: small values, no weights. A verdict can be re-derived from these alone.

use crate::{LayerMatch, UntrainedTokens};
use stemmata_architecture::{ChannelAxis, Component, Role, Term};
use stemmata_fingerprint::SelfCheck;
use stemmata_stats::{RatioSums, SignFlip, sign_flip};

/// Which logical tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PairKey {
    /// Component.
    pub component: Component,
    /// Layer.
    pub layer: Option<u32>,
    /// Expert.
    pub expert: Option<u32>,
    /// Purpose.
    pub role: Role,
    /// Weight or bias.
    pub term: Term,
}

/// Sums over the elements of a pair of equal-shaped matrices; `c` candidate, `r` reference, `d = c − r`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moments {
    /// Elements.
    pub n: u64,
    /// Elements that differ.
    pub changed: u64,
    /// Elements where either side is NaN or infinite; they count as zero in every sum.
    pub non_finite: u64,
    /// Values of either side that were cut for the tests because they are out of all proportion to those around them; in these
    /// sums they count in full.
    pub clipped: u64,
    /// Σ c·r.
    pub dot: f64,
    /// Σ c².
    pub candidate_squares: f64,
    /// Σ r².
    pub reference_squares: f64,
    /// Σ d².
    pub difference_squares: f64,
    /// What describes the distribution of the change.
    pub fourths: Fourths,
}

/// Moments of order four and what they are compared with, over some rows: all of a small tensor, every fourth of a large one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Fourths {
    /// Elements in these rows.
    pub n: u64,
    /// Σ d² in these rows.
    pub difference_squares: f64,
    /// Σ r² in these rows.
    pub reference_squares: f64,
    /// Σ d⁴.
    pub difference: f64,
    /// Σ d²·r².
    pub difference_reference: f64,
    /// Σ r⁴.
    pub reference: f64,
}

impl Fourths {
    /// Adds another set of sums.
    pub fn add(&mut self, other: &Fourths) {
        self.n += other.n;
        self.difference_squares += other.difference_squares;
        self.reference_squares += other.reference_squares;
        self.difference += other.difference;
        self.difference_reference += other.difference_reference;
        self.reference += other.reference;
    }
}

impl Moments {
    /// Adds another set of sums.
    pub fn add(&mut self, other: &Moments) {
        self.n += other.n;
        self.changed += other.changed;
        self.non_finite += other.non_finite;
        self.clipped += other.clipped;
        self.dot += other.dot;
        self.candidate_squares += other.candidate_squares;
        self.reference_squares += other.reference_squares;
        self.difference_squares += other.difference_squares;
        self.fourths.add(&other.fourths);
    }

    /// Cosine between the two, 0 where one side is zero.
    pub fn cosine(&self) -> f64 {
        let scale = (self.candidate_squares * self.reference_squares).sqrt();
        if scale > 0.0 { self.dot / scale } else { 0.0 }
    }

    /// ‖d‖ / ‖r‖.
    pub fn relative_change(&self) -> f64 {
        if self.reference_squares > 0.0 {
            (self.difference_squares / self.reference_squares).sqrt()
        } else {
            0.0
        }
    }
}

/// One pair of logical tensors.
#[derive(Clone, Debug, PartialEq)]
pub struct PairMeasurement {
    /// Which.
    pub key: PairKey,
    /// Candidate's tensor index.
    pub candidate: usize,
    /// Reference's tensor index.
    pub reference: usize,
    /// Rows and columns of the candidate's logical matrix.
    pub candidate_shape: (u64, u64),
    /// Rows and columns of the reference's logical matrix.
    pub reference_shape: (u64, u64),
    /// The sums over the overlapping corner; `None` when only sketches were compared.
    pub moments: Option<Moments>,
    /// Whether the values are equal throughout (the same shape and no element changed, or the same digest).
    pub identical: bool,
}

/// One exchangeable channel.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Channel {
    /// Weighted sum of inner products over the tensors that the channel touches, wild values cut; its sign is a fair coin
    /// under the null.
    pub product: f64,
    /// The same with norms in place of inner products: what `product` would be if the channels were parallel.
    pub reach: f64,
}

/// What the tests and intervals need of the channels of one axis: those of one layer or of the tensors outside layers, or those of a whole
/// component, joined by their index. The channels themselves are not kept: a model has as many as its layers are wide, in every layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChannelGroup {
    /// Component.
    pub component: Component,
    /// Layer; `None` for embeddings and heads, and for a whole component.
    pub layer: Option<u32>,
    /// Axis.
    pub axis: ChannelAxis,
    /// Channels; a hidden channel is unit i of all experts together.
    pub channels: u64,
    /// The sign-flip test of their products.
    pub signs: SignFlip,
    /// Σ reach, in index order.
    pub reach: f64,
    /// Σ reach², in index order.
    pub reach_squared: f64,
    /// Of (product, reach), for the mean cosine and its interval.
    pub cosine: RatioSums,
}

impl ChannelGroup {
    /// Reduces channels in index order to what is needed of them. O(channels).
    pub fn new(
        component: Component,
        layer: Option<u32>,
        axis: ChannelAxis,
        channels: &[Channel],
    ) -> ChannelGroup {
        let products: Vec<f64> = channels.iter().map(|c| c.product).collect();
        let pairs: Vec<(f64, f64)> = channels.iter().map(|c| (c.product, c.reach)).collect();
        ChannelGroup {
            component,
            layer,
            axis,
            channels: channels.len() as u64,
            signs: sign_flip(&products),
            reach: channels.iter().map(|c| c.reach).sum(),
            reach_squared: channels.iter().map(|c| c.reach * c.reach).sum(),
            cosine: RatioSums::of(&pairs),
        }
    }
}

/// Outcome of nearest-neighbour matching of feed-forward units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FixedPoints {
    /// Component.
    pub component: Component,
    /// Layer.
    pub layer: Option<u32>,
    /// Units that were matched.
    pub units: u64,
    /// Units whose nearest neighbour carries the same label.
    pub fixed: u64,
}

/// Which of the two models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// The candidate.
    Candidate,
    /// The reference.
    Reference,
}

/// One model by itself, at one tensor of one pair: does it have the symmetry that the tests rest on?
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SymmetryCheck {
    /// Component.
    pub component: Component,
    /// Whose tensor it is.
    pub side: Side,
    /// Whether the role of its tensor is a guess; then this model cannot vouch for the symmetry, whatever the check says.
    pub guessed: bool,
    /// Outcome.
    pub check: SelfCheck,
}

/// A logical tensor with no counterpart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unmatched {
    /// Which.
    pub key: PairKey,
    /// Elements.
    pub elements: u64,
}

/// Everything measured on a pair of models.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measurement {
    /// All pairs, in key order.
    pub pairs: Vec<PairMeasurement>,
    /// Channel groups, ordered by (component, layer, axis).
    pub groups: Vec<ChannelGroup>,
    /// The same of whole components, ordered by (component, axis). A residual channel is the same channel in every layer: one coin for all of
    /// them. Hidden and value channels are joined by their index too: layers that were made as copies of one another, in both models,
    /// share their signs.
    pub pooled: Vec<ChannelGroup>,
    /// Fixed points, ordered by (component, layer).
    pub fixed_points: Vec<FixedPoints>,
    /// Each model by itself, in key order.
    pub checks: Vec<SymmetryCheck>,
    /// Units looked for wherever they are, by layer and hypothesis; empty when nothing was searched.
    pub searched: Vec<LayerMatch>,
    /// Rows of tokens that training never met, by component; empty when nothing was searched or there are too few of them.
    pub untrained: Vec<UntrainedTokens>,
    /// Most tests that such a search can add, made or not: they are counted in the correction.
    pub search_tests: usize,
    /// In the candidate only.
    pub candidate_only: Vec<Unmatched>,
    /// In the reference only.
    pub reference_only: Vec<Unmatched>,
    /// Which layer comes from which, where that was looked for.
    pub structure: crate::Structure,
    /// What was read, where a budget did not allow everything.
    pub sample: Option<crate::Sample>,
    /// True when the products come from sketches of the channels rather than from all weights.
    pub sketched: bool,
}
