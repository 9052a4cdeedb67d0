//! How many bytes may be fetched of each model, and what is done with them.

use crate::input::Whole;
use crate::{AuditError, Settings};
use stemmata_alignment::{Measurement, PairMeasurement, Plan, Sample};
use stemmata_evidence::{Judgement, Kind, NotTested};
use stemmata_fingerprint::{Blocks, row_cost};
use stemmata_model::Weights;

/// Bytes that may be fetched of each model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Budget {
    /// [`DEFAULT_BUDGET`] where a model lies elsewhere, everything otherwise.
    #[default]
    Auto,
    /// So many.
    Bytes(u64),
    /// Everything.
    Full,
}

/// What is fetched of each model where one lies elsewhere and nothing was said: headers and enough rows for an acquittal of an 8B model.
pub const DEFAULT_BUDGET: u64 = 32_000_000;
/// How often the weights are read, about, when everything may be: the tests, a search, the map of layers, the kind of change.
const PASSES: u64 = 4;
/// One part in so many is kept back for ranges that are joined across a gap, and for answers that come twice.
const RESERVE: u64 = 16;

impl Budget {
    /// What opening a model may take, where that is bounded.
    pub(crate) fn for_opening(self) -> Option<u64> {
        match self {
            Budget::Auto => Some(DEFAULT_BUDGET),
            Budget::Bytes(bytes) => Some(bytes),
            Budget::Full => None,
        }
    }
}

/// Bytes of weights that may be fetched of each of these models; `None` where all of them may be read as often as it takes.
pub(crate) fn of_weights(settings: &Settings<'_>, models: &[&Whole]) -> Option<u64> {
    let bytes = match settings.budget {
        Budget::Full => return None,
        Budget::Auto if models.iter().any(|whole| whole.opened.remote) => DEFAULT_BUDGET,
        Budget::Auto => return None,
        Budget::Bytes(bytes) => bytes,
    };
    let size = |whole: &&Whole| whole.opened.checkpoint.files.iter().map(|f| f.len).sum::<u64>();
    let fits =
        |whole: &&Whole| size(whole).saturating_mul(PASSES).saturating_add(whole.opened.overhead) <= bytes;
    if models.iter().all(fits) {
        return None;
    }
    let overhead = models.iter().map(|whole| whole.opened.overhead).max().unwrap_or(0);
    Some((bytes - bytes / RESERVE).saturating_sub(overhead))
}

/// Refuses a verb that reads everything where not everything may be read.
pub(crate) fn needs_everything(
    verb: &'static str,
    settings: &Settings<'_>,
    models: &[&Whole],
) -> Result<(), AuditError> {
    match (of_weights(settings, models), models.first()) {
        (Some(_), Some(whole)) => {
            Err(AuditError::NeedsEverything { path: whole.facts.reference.clone(), verb })
        }
        _ => Ok(()),
    }
}

/// Blocks of rows of each tensor that `bytes` pay for: a power of two, so that models of about one size give sketches that compare.
pub(crate) fn blocks(bytes: u64, whole: &Whole) -> Result<u32, AuditError> {
    let cost = |blocks: u32| {
        let of = |part: &stemmata_architecture::Part| {
            let row = row_cost(whole.weights(), &part.view, part.view.cols).unwrap_or(0);
            Blocks::new(part.view.rows, part.view.cols, u64::from(blocks), 0).rows().saturating_mul(row)
        };
        whole.anatomy.parts.iter().map(of).fold(0, u64::saturating_add)
    };
    let affordable = (0..31).map(|power| 1 << power).take_while(|blocks| cost(*blocks) <= bytes).last();
    let path = || whole.facts.reference.clone();
    affordable.ok_or_else(|| AuditError::NeedsEverything { path: path(), verb: "sketch" })
}

/// What is known without reading a weight: every pair lies at the same place in files that have the same SHA-256.
pub(crate) fn equal_by_digest([c, r]: [&Whole; 2], plan: &Plan) -> Option<Measurement> {
    let content = |whole: &'_ Whole, tensor: usize| {
        let storage = &whole.opened.checkpoint.tensors[tensor].storage;
        let file = whole.facts.files.get(storage.file as usize)?;
        // What is put together from pieces lies in several places.
        whole.weights().cost(tensor, 1)?;
        Some((file.sha256.clone(), storage.offset, storage.len))
    };
    let equal = |pair: &stemmata_alignment::PairPlan| {
        let same = stemmata_architecture::View { tensor: pair.candidate.tensor, ..pair.reference };
        let (ours, theirs) = (content(c, pair.candidate.tensor), content(r, pair.reference.tensor));
        same == pair.candidate && ours.is_some() && ours == theirs
    };
    let alone = plan.candidate_only.len() + plan.reference_only.len();
    if plan.pairs.is_empty() || alone > 0 || !plan.pairs.iter().all(equal) {
        return None;
    }
    let pairs = plan.pairs.iter().map(|pair| PairMeasurement {
        key: pair.key,
        candidate: pair.candidate.tensor,
        reference: pair.reference.tensor,
        candidate_shape: (pair.candidate.rows, pair.candidate.cols),
        reference_shape: (pair.reference.rows, pair.reference.cols),
        moments: None,
        identical: true,
    });
    Some(Measurement { pairs: pairs.collect(), ..Measurement::default() })
}

/// Says that the weights are the same by what is listed of them.
pub(crate) fn admit_digests(judgement: &mut Judgement) {
    if judgement.verdict.kind == Kind::Identical {
        judgement.verdict.relation = Some("copy");
        let cue = "the weight files have the same SHA-256, as listed where they lie; no weight was read";
        judgement.verdict.cue = Some(cue.to_owned());
    }
}

/// Says what the sample was, what it left out and which questions were not asked because of it.
pub(crate) fn admit_sample(sample: &Sample, judgement: &mut Judgement) {
    let mut add = |what: String, reason: String| judgement.not_tested.push(NotTested { what, reason });
    let left = sample.values_total - sample.values;
    if left > 0 {
        let blocks = match sample.blocks {
            1 => "one block of rows".to_owned(),
            n => format!("up to {n} blocks of rows"),
        };
        let skipped = match sample.skipped {
            0 => String::new(),
            n => format!(", and nothing of {n} tensors"),
        };
        add(
            format!("{left} of {} values that have a counterpart", sample.values_total),
            format!(
                "the budget allows {blocks} of each large tensor{skipped}, chosen by the seed before any value was read; the tests are \
                 exact on them, and the power is that of the sample"
            ),
        );
    }
    if !sample.left_out.is_empty() {
        add(
            format!("{} tensors that cannot be read by rows", sample.left_out.len()),
            "they are packed, or stored across their rows, so a few rows cost as much as all".to_owned(),
        );
    }
}
