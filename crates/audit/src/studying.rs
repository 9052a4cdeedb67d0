//! The second look at a pair whose dependence was found.

use crate::input::Whole;
use crate::{AuditError, Settings};
use stemmata_alignment::{Measurement, plan, study};
use stemmata_evidence::{Judgement, Kind, NotTested};

/// Says what kind of change it is, where the pair depends and is not identical.
pub(crate) fn refine(
    judgement: &mut Judgement,
    measurement: &Measurement,
    c: &Whole,
    r: &Whole,
    settings: &Settings<'_>,
) -> Result<(), AuditError> {
    if !matches!(judgement.verdict.kind, Kind::Related | Kind::Derived) {
        return Ok(());
    }
    let plan = plan(&c.anatomy, &r.anatomy);
    let found = study::study(
        &plan,
        [&c.anatomy, &r.anatomy],
        [c.weights(), r.weights()],
        settings.threads,
        settings.stop,
    )?;
    stemmata_evidence::refine(judgement, measurement, &found);
    if found.sampled {
        judgement.not_tested.push(NotTested {
            what: "kind of change in all weights".to_owned(),
            reason: format!(
                "at most {} tensors and about {} values of each were looked at",
                study::MOST_TENSORS,
                study::MOST_ELEMENTS
            ),
        });
    }
    Ok(())
}
