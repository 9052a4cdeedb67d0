//! The wire format of a comparison, in the order of its keys.

use serde::Serialize;

/// Outcome of `compare`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Version of this format.
    pub schema_version: &'static str,
    /// What wrote it.
    pub tool: Tool,
    /// The command line that gives the result again.
    pub command: String,
    /// Seed of every random choice.
    pub seed: u64,
    /// Candidate, then reference.
    pub inputs: Vec<Input>,
    /// The decision.
    pub verdict: Verdict,
    /// Per component present in either model.
    pub components: Vec<Component>,
    /// Every test: components first, then layers, then context.
    pub evidence: Vec<Evidence>,
    /// The layer curve.
    pub layers: Vec<Layer>,
    /// Which layer comes from which, where layers of other numbers were looked at.
    pub layer_maps: Vec<super::LayerMap>,
    /// How much changed over all pairs.
    pub change: Option<Change>,
    /// What was not tested, and why.
    pub not_tested: Vec<NotTested>,
    /// Remarks.
    pub findings: Vec<Remark>,
    /// Statistics that prove nothing, beside their values among independent models.
    pub context: Vec<super::ContextStatistic>,
    /// What the same tests say of pairs whose answer is known, when that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controls: Option<super::Controls>,
    /// Other models that were looked at beside the pair, when some were named.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub relatives: Vec<Relative>,
    /// What was read, where a budget did not allow everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<Sample>,
    /// Cost.
    pub io: Io,
}

/// What of the weights was read, where a budget did not allow everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// Blocks of rows of each matrix that has more.
    pub blocks: u64,
    /// Values that were read of each model.
    pub values: u64,
    /// Values that have a counterpart.
    pub values_total: u64,
    /// Bytes that they take in storage: candidate, reference.
    pub bytes: [u64; 2],
    /// Tensors of which nothing was read, because there are more of them than the budget has blocks.
    pub skipped: u64,
    /// Tensors that cannot be read by rows.
    pub left_out: usize,
}

/// Another model beside the pair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Relative {
    /// As written.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Content digest, its method before the colon.
    pub digest: String,
    /// `common-start`, `merge-parent`, `copy`, `aside`, `between` or `unused`.
    pub role: &'static str,
    /// What is said of it, as a candidate, beside the candidate.
    pub to_candidate: Seen,
    /// And beside the reference.
    pub to_reference: Seen,
}

/// What is said of a relative and one side of the pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// Kind of verdict.
    pub kind: &'static str,
    /// Kind of change.
    pub relation: Option<&'static str>,
    /// Which came first; the relative is the candidate.
    pub direction: &'static str,
}

/// What wrote a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tool {
    /// Always `stemmata`.
    pub name: &'static str,
    /// Version.
    pub version: String,
}

/// One model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Input {
    /// `candidate`, `reference` or `model`.
    pub role: &'static str,
    /// As written.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The reference that stands for exactly these bytes, where it is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved: Option<String>,
    /// Content digest, its method before the colon.
    pub digest: String,
    /// Container format, or `sketch`.
    pub format: String,
    /// Family.
    pub architecture: String,
    /// Stored parameters.
    pub parameters: u64,
    /// Whether roles were inferred.
    pub inferred: bool,
    /// Most common encoding of its matrices.
    pub encoding: String,
    /// Layers per component.
    pub layers: Vec<LayerCount>,
    /// Hashed files.
    pub files: Vec<File>,
    /// What the card says.
    pub declared: Declared,
    /// Remarks on how the tensors were read.
    pub notes: Vec<String>,
}

/// Layers of a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LayerCount {
    /// Component.
    pub component: &'static str,
    /// Number of layers.
    pub layers: u32,
}

/// A hashed file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct File {
    /// Relative to the checkpoint.
    pub name: String,
    /// Size.
    pub bytes: u64,
    /// Lower-case hexadecimal.
    pub sha256: String,
}

/// What a card says: a claim, never evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Declared {
    /// Base models.
    pub base_model: Vec<String>,
    /// Licence.
    pub license: Option<String>,
}

/// The decision.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// `identical`, `derived`, `related`, `no-dependence-found` or `inconclusive`.
    pub kind: &'static str,
    /// What a finding of dependence rests on: `exact` tests, or an `effect` size under a stated assumption.
    pub tier: &'static str,
    /// `copy`, `noised-copy`, `cast`, `quantized`, `scaled`, `relabelled`, `rotated`, `rescaled`, `layers-dropped`,
    /// `layers-repeated`, `layers-reordered`.
    pub relation: Option<&'static str>,
    /// `candidate-from-reference`, `reference-from-candidate` or `unknown`.
    pub direction: &'static str,
    /// Smallest p-value after correction, log10.
    pub log10_p: Option<f64>,
    /// Family-wise level.
    pub alpha: f64,
    /// Tests in the family.
    pub tests: usize,
    /// How the family was corrected.
    pub correction: &'static str,
    /// What decided direction and relation.
    pub cue: Option<String>,
    /// Power, for an acquittal.
    pub power: Option<Power>,
    /// What was missing, when inconclusive.
    pub missing: Vec<String>,
}

/// Power behind an acquittal.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Power {
    /// Probability of detection that the shares refer to.
    pub probability: f64,
    /// Smallest share of the reference's weights that would have been found.
    pub smallest_share: Option<f64>,
    /// The same for a share kept in one typical layer.
    pub smallest_share_one_layer: Option<f64>,
}

/// The decision for one component.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Component {
    /// Which.
    pub name: &'static str,
    /// As the verdict's.
    pub kind: &'static str,
    /// Share of its tested parameters in layers where dependence was found.
    pub share_inherited: Option<f64>,
    /// Smallest p-value after correction over the whole family, log10.
    pub log10_p: Option<f64>,
    /// Standard deviation of added noise, only where the change is Gaussian noise.
    pub noise_sigma: Option<f64>,
    /// The change described as noise.
    pub noise: Option<Noise>,
    /// Mean cosine of the channels.
    pub effect: Option<f64>,
    /// Its interval.
    pub interval: Option<Interval>,
    /// How much changed.
    pub change: Option<Change>,
    /// Smallest share that would have been found here.
    pub detectable: Option<f64>,
}

/// A change described as noise.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Noise {
    /// Standard deviation, storage rounding subtracted.
    pub sigma: Option<f64>,
    /// 0 for a Gaussian.
    pub excess_kurtosis: Option<f64>,
    /// Of squared change and squared weight.
    pub magnitude_correlation: Option<f64>,
    /// Coefficient of variation of sigma over tensors.
    pub sigma_variation: Option<f64>,
    /// Whether it is Gaussian and ignores the weights.
    pub gaussian: bool,
}

/// An interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// Lower end.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// Confidence level.
    pub level: f64,
}

/// How much changed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Change {
    /// Elements compared.
    pub elements: u64,
    /// Share of elements that differ.
    pub changed: Option<f64>,
    /// ‖candidate − reference‖ / ‖reference‖.
    pub relative: Option<f64>,
    /// Cosine over all elements.
    pub cosine: Option<f64>,
    /// Least-squares scale of candidate over reference.
    pub scale: Option<f64>,
}

/// Outcome of one test on one scope.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evidence {
    /// Which test.
    pub test: &'static str,
    /// `model`, a component, or `component/layer-3`.
    pub scope: String,
    /// The null hypothesis in one sentence; nothing for context.
    pub null: Option<&'static str>,
    /// How the p-value was obtained.
    pub p_kind: Option<&'static str>,
    /// The statistic.
    pub statistic: Option<f64>,
    /// Exchangeable things that entered.
    pub n: u64,
    /// The p-value before correction, log10.
    pub log10_p: Option<f64>,
    /// Effect size.
    pub effect: Option<f64>,
    /// Its interval.
    pub interval: Option<Interval>,
    /// Smallest share that this test would have found.
    pub detectable: Option<f64>,
}

/// One layer on the curve.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Layer {
    /// Component.
    pub component: &'static str,
    /// Layer of the candidate; nothing for tensors outside layers.
    pub candidate_layer: Option<u32>,
    /// Layer of the reference; nothing also for a layer that none explains.
    pub reference_layer: Option<u32>,
    /// Cosine of the channels.
    pub effect: Option<f64>,
    /// Its interval.
    pub interval: Option<Interval>,
    /// Smallest p-value of its tests, raised by their number, log10.
    pub log10_p: Option<f64>,
    /// Whether dependence survives the correction over the whole family.
    pub dependent: bool,
}

/// Something that was not tested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotTested {
    /// What.
    pub what: String,
    /// Why.
    pub reason: String,
}

/// A finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Remark {
    /// Kebab-case and stable.
    pub code: &'static str,
    /// `note`, `warning` or `danger`.
    pub level: &'static str,
    /// `candidate`, `reference`, or empty.
    pub side: &'static str,
    /// File, tensor or component.
    pub subject: String,
    /// One sentence.
    pub message: String,
    /// What the code means.
    pub explanation: Option<&'static str>,
}

/// Cost of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Io {
    /// Bytes of weights fetched.
    pub bytes_read: u64,
    /// Elapsed seconds, when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_wall: Option<f64>,
    /// Peak resident memory, when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_memory_bytes: Option<u64>,
}
