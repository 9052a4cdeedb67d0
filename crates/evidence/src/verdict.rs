//! The words of a judgement.

use crate::{BrokenSymmetry, Change, Noise};
use stemmata_alignment::Basis;
use stemmata_architecture::{ChannelAxis, Component};
use stemmata_stats::{Interval, PValue};

/// What may be said of a pair. There is no "unrelated": failing to find dependence is not independence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Every value is equal.
    Identical,
    /// Dependence was found, and a cue says which of the two came first.
    Derived,
    /// Dependence was found; which came first, or whether both have a common ancestor, is open.
    Related,
    /// No dependence was found by tests that had the stated power.
    NoDependenceFound,
    /// Nothing could be tested, or not with enough power.
    Inconclusive,
}

impl Kind {
    /// Name as reported in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Identical => "identical",
            Kind::Derived => "derived",
            Kind::Related => "related",
            Kind::NoDependenceFound => "no-dependence-found",
            Kind::Inconclusive => "inconclusive",
        }
    }

    /// Whether dependence was found.
    pub fn is_dependence(self) -> bool {
        matches!(self, Kind::Identical | Kind::Derived | Kind::Related)
    }
}

/// Which of the two came first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The candidate came from the reference.
    CandidateFromReference,
    /// The reference came from the candidate.
    ReferenceFromCandidate,
    /// Not known.
    #[default]
    Unknown,
}

impl Direction {
    /// Name as reported in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Direction::CandidateFromReference => "candidate-from-reference",
            Direction::ReferenceFromCandidate => "reference-from-candidate",
            Direction::Unknown => "unknown",
        }
    }
}

/// A named test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TestKind {
    /// METHODS S1: signs of per-channel inner products.
    SignFlip(ChannelAxis),
    /// METHODS S2: nearest neighbours that carry the same label.
    FixedPoints,
    /// METHODS S3: signs of hidden units that were matched by their gates.
    MatchThenSign(Basis),
    /// METHODS S1 in the residual frame by tokens: signs of hidden units of equal index.
    SignFlipByTokens,
    /// METHODS S4: units for which gate, up and down pick the same partner. An effect size under an assumption.
    UnitAgreement(Basis),
    /// METHODS S2: labels of matched hidden units that kept their order, as pruning leaves it.
    LabelOrder(Basis),
    /// METHODS S2: labels of residual channels that were matched by shared tokens and kept their order.
    ChannelOrder,
    /// Agreement of the angles between rows of tokens that training never met.
    UntrainedTokens,
    /// METHODS S6: equal values. Context only: no calibrated null.
    ExactIdentity,
    /// Which side of a noisy pair the noise was added to.
    NoiseOrder,
    /// METHODS 9: sign flips of hidden and value channels together, one layer against one layer of any number.
    LayerSigns,
    /// Fixed points, one layer against one layer of any number.
    LayerFixedPoints,
    /// Which side of a trained change went further from the other. Context only.
    TrainingOrder,
    /// METHODS 8: which side holds more of what an outgroup shares. Context only.
    OutgroupOrder,
}

impl TestKind {
    /// Whether the test looks beyond equal indices.
    pub fn is_search(self) -> bool {
        use TestKind::{ChannelOrder, LabelOrder, MatchThenSign, SignFlipByTokens};
        use TestKind::{UnitAgreement, UntrainedTokens};
        let of_units = matches!(self, MatchThenSign(_) | SignFlipByTokens | UnitAgreement(_) | LabelOrder(_));
        of_units || matches!(self, ChannelOrder | UntrainedTokens)
    }

    /// Name as reported in JSON.
    pub fn name(self) -> &'static str {
        match self {
            TestKind::SignFlip(ChannelAxis::Hidden) => "sign-flip/hidden",
            TestKind::SignFlip(ChannelAxis::Value) => "sign-flip/value",
            TestKind::SignFlip(ChannelAxis::Residual) => "sign-flip/residual",
            TestKind::FixedPoints => "fixed-points",
            TestKind::MatchThenSign(Basis::AsStored) => "match-then-sign/as-stored",
            TestKind::MatchThenSign(Basis::ByTokens) => "match-then-sign/by-tokens",
            TestKind::MatchThenSign(Basis::ByUnits) => "match-then-sign/by-units",
            TestKind::SignFlipByTokens => "sign-flip/by-tokens",
            TestKind::UnitAgreement(Basis::AsStored) => "unit-agreement/as-stored",
            TestKind::UnitAgreement(Basis::ByTokens) => "unit-agreement/by-tokens",
            TestKind::UnitAgreement(Basis::ByUnits) => "unit-agreement/by-units",
            TestKind::LabelOrder(Basis::AsStored) => "label-order/as-stored",
            TestKind::LabelOrder(Basis::ByTokens) => "label-order/by-tokens",
            TestKind::LabelOrder(Basis::ByUnits) => "label-order/by-units",
            TestKind::ChannelOrder => "label-order/residual",
            TestKind::UntrainedTokens => "sign-flip/untrained-tokens",
            TestKind::ExactIdentity => "exact-identity",
            TestKind::NoiseOrder => "noise-order",
            TestKind::LayerSigns => "layer-map/sign-flip",
            TestKind::LayerFixedPoints => "layer-map/fixed-points",
            TestKind::TrainingOrder => "training-order",
            TestKind::OutgroupOrder => "outgroup-order",
        }
    }
}

/// What a test was applied to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// Both models as a whole.
    Model,
    /// One component, all its layers together.
    Component(Component),
    /// One layer; `None` for the tensors outside layers.
    Layer(Component, Option<u32>),
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Scope::Model => f.write_str("model"),
            Scope::Component(component) => f.write_str(component.name()),
            Scope::Layer(component, Some(layer)) => write!(f, "{}/layer-{layer}", component.name()),
            Scope::Layer(component, None) => write!(f, "{}/outside-layers", component.name()),
        }
    }
}

/// Outcome of one test on one scope.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// Which test.
    pub test: TestKind,
    /// On what.
    pub scope: Scope,
    /// The p-value; `None` for context, which cannot decide.
    pub p: Option<PValue>,
    /// The statistic: studentised sum, count of fixed points, share of equal values, or z.
    pub statistic: f64,
    /// How many exchangeable things entered.
    pub n: u64,
    /// Effect size: cosine of the channels, share of fixed points.
    pub effect: Option<f64>,
    /// Interval of the effect.
    pub interval: Option<Interval>,
    /// Smallest share that this test would have found with the rule's power.
    pub detectable: Option<f64>,
}

/// Something that was not tested, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotTested {
    /// What.
    pub what: String,
    /// Why.
    pub reason: String,
}

/// The power of the tests behind an acquittal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Power {
    /// Probability of detection that the shares below refer to.
    pub probability: f64,
    /// Smallest share of the reference's weights, kept at the same indices in all layers, that would have been found.
    pub smallest_share: f64,
    /// The same for a share kept in one typical layer only (median over layers); `None` if no single layer could show it.
    pub smallest_share_one_layer: Option<f64>,
}

/// What a finding of dependence rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tier {
    /// A test that is exact under its null.
    Exact,
    /// Effect sizes under a stated assumption, and no exact test.
    Effect,
}

impl Tier {
    /// Name as reported in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Tier::Exact => "exact",
            Tier::Effect => "effect",
        }
    }
}

/// The decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// What may be said.
    pub kind: Kind,
    /// What a finding of dependence rests on.
    pub tier: Tier,
    /// How the two are related, where a cue says so; the words are in `docs/methods/verdicts.md`.
    pub relation: Option<&'static str>,
    /// Which came first.
    pub direction: Direction,
    /// The cue that decided direction and relation.
    pub cue: Option<String>,
    /// Smallest p-value, raised by the number of tests (Bonferroni), log10.
    pub log10_p: f64,
    /// Number of tests in the family.
    pub tests: usize,
    /// Family-wise level.
    pub alpha: f64,
    /// Power, for an acquittal.
    pub power: Option<Power>,
    /// What was missing, when inconclusive.
    pub missing: Vec<String>,
}

impl Verdict {
    /// Level of one test, log10: α divided by the number of tests in the family.
    pub fn level(&self) -> f64 {
        self.alpha.log10() - (self.tests.max(1) as f64).log10()
    }

    /// Whether a test of the family rejects.
    pub fn rejects(&self, test: &Evidence) -> bool {
        test.p.is_some_and(|p| p.log10() <= self.level())
    }
}

/// The decision for one component.
#[derive(Clone, Debug, PartialEq)]
pub struct ComponentVerdict {
    /// Which.
    pub component: Component,
    /// What may be said.
    pub kind: Kind,
    /// Share of the tested parameters that lie in layers where dependence was found (equal tensors included).
    pub share_inherited: f64,
    /// Smallest p-value in the component, raised by the number of tests in the whole family.
    pub log10_p: f64,
    /// Mean cosine of the channels with its interval.
    pub effect: Option<(f64, Interval)>,
    /// Noise, where the change looks like it.
    pub noise: Option<Noise>,
    /// How much changed.
    pub change: Option<Change>,
    /// Smallest share that would have been found in this component.
    pub detectable: Option<f64>,
}

/// One layer on the curve.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerEffect {
    /// Component.
    pub component: Component,
    /// Layer of the candidate; `None` for the tensors outside layers.
    pub candidate_layer: Option<u32>,
    /// Layer of the reference; `None` also for a layer that no layer of the reference explains.
    pub reference_layer: Option<u32>,
    /// Cosine of the channels.
    pub effect: Option<f64>,
    /// Its interval.
    pub interval: Option<Interval>,
    /// Smallest p-value of the layer's tests, raised by their number, log10.
    pub log10_p: f64,
    /// Whether the layer's dependence survives the correction over the whole family.
    pub dependent: bool,
}

/// How to decide.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DecisionRule {
    /// Family-wise level.
    pub alpha: f64,
    /// Power quoted for an acquittal.
    pub power: f64,
    /// An acquittal needs tests that would have found this share with that power.
    pub largest_missed_share: f64,
}

impl Default for DecisionRule {
    fn default() -> DecisionRule {
        DecisionRule { alpha: 1e-3, power: 0.99, largest_missed_share: 0.5 }
    }
}

/// Everything that is said of a pair.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// The decision.
    pub verdict: Verdict,
    /// Per component present in either model.
    pub components: Vec<ComponentVerdict>,
    /// Every test that was made: component scopes first, then layers.
    pub evidence: Vec<Evidence>,
    /// The layer curve.
    pub layers: Vec<LayerEffect>,
    /// How much changed over all pairs.
    pub change: Option<Change>,
    /// Symmetries that neither model has; the tests that rest on them were not made.
    pub broken: Vec<BrokenSymmetry>,
    /// What was not tested.
    pub not_tested: Vec<NotTested>,
}
