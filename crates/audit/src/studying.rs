//! The second look at a pair whose dependence was found.

use crate::input::Whole;
use crate::{AuditError, Settings};
use stemmata_alignment::{Measurement, plan, study};
use stemmata_evidence::{Judgement, Kind, NotTested};

/// Relations of models whose units or layers lie in other places.
const MOVED: [&str; 7] = [
    "rotated",
    "relabelled",
    "rescaled",
    "width-pruned",
    "layers-dropped",
    "layers-repeated",
    "layers-reordered",
];

/// Says what kind of change it is, where the pair depends and is not identical, from `bytes` of either model where these are bounded.
pub(crate) fn refine(
    judgement: &mut Judgement,
    measurement: &Measurement,
    c: &Whole,
    r: &Whole,
    bytes: Option<u64>,
    settings: &Settings<'_>,
) -> Result<(), AuditError> {
    // Where units or layers were found elsewhere only, differences at equal places say nothing of the kind of change.
    let moved = judgement.verdict.relation.is_some_and(|relation| MOVED.contains(&relation));
    // A copy and added noise are fully described by the first pass.
    let answered = matches!(judgement.verdict.relation, Some("copy" | "noised-copy"));
    if !matches!(judgement.verdict.kind, Kind::Related | Kind::Derived) || moved || answered {
        return Ok(());
    }
    let plan = plan(&c.anatomy, &r.anatomy);
    let found = study::study(
        &plan,
        [&c.anatomy, &r.anatomy],
        [c.weights(), r.weights()],
        &study::Extent { threads: settings.threads, bytes, stop: settings.stop },
    )?;
    if found.tensors.is_empty() {
        judgement.not_tested.push(NotTested {
            what: "kind of change".to_owned(),
            reason: "the budget pays for too few tensors".to_owned(),
        });
        return Ok(());
    }
    stemmata_evidence::refine(judgement, measurement, &found);
    if found.sampled {
        judgement.not_tested.push(NotTested {
            what: "kind of change in all weights".to_owned(),
            reason: match bytes {
                None => format!(
                    "at most {} tensors and about {} values of each were looked at",
                    study::MOST_TENSORS,
                    study::MOST_ELEMENTS
                ),
                Some(_) => format!(
                    "the budget pays for {} values of {} tensors",
                    found.tensors.iter().map(|tensor| tensor.elements.n).sum::<u64>(),
                    found.tensors.len()
                ),
            },
        });
    }
    Ok(())
}
