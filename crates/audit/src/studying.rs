//! The second look at a pair whose dependence was found.

use crate::input::Whole;
use crate::{AuditError, SearchMode, Settings};
use stemmata_alignment::{HeadMap, Measurement, Search, SharedTokens, plan, plan_along, search_plan, study};
use stemmata_architecture::Axis;
use stemmata_evidence::{Judgement, Kind, NotTested, wants_heads};

/// What of two models lies side by side.
enum Places {
    /// Everything, at equal indices.
    Equal,
    /// Layers, by their map.
    Layers,
    /// All but the units of feed-forward blocks.
    AllButUnits,
    /// Nothing.
    None,
}

impl Places {
    /// Where units or layers were found elsewhere only, differences at equal places say nothing of the kind of change.
    fn of(relation: Option<&str>) -> Places {
        match relation {
            Some("layers-dropped" | "layers-repeated" | "layers-reordered") => Places::Layers,
            Some("relabelled" | "rescaled") => Places::AllButUnits,
            Some("rotated" | "width-pruned") => Places::None,
            _ => Places::Equal,
        }
    }
}

/// Says what kind of change it is, where the pair depends and is not identical, from `bytes` of either model where these are bounded.
pub(crate) fn refine(
    judgement: &mut Judgement,
    measurement: &Measurement,
    c: &Whole,
    r: &Whole,
    bytes: Option<u64>,
    settings: &Settings<'_>,
) -> Result<(), AuditError> {
    let places = Places::of(judgement.verdict.relation);
    // A copy and added noise are fully described by the first pass.
    let answered = matches!(judgement.verdict.relation, Some("copy" | "noised-copy"));
    if !matches!(judgement.verdict.kind, Kind::Related | Kind::Derived) || answered {
        return Ok(());
    }
    let plan = match places {
        Places::Equal => plan(&c.anatomy, &r.anatomy),
        Places::Layers => plan_along(&c.anatomy, &r.anatomy, &measurement.structure.maps),
        Places::AllButUnits => {
            let mut plan = plan(&c.anatomy, &r.anatomy);
            plan.pairs.retain(|pair| {
                let (rows, columns) = pair.key.role.axes();
                ![rows, columns].contains(&Axis::Hidden)
            });
            plan
        }
        Places::None => return Ok(()),
    };
    let found = study::study(
        &plan,
        [&c.anatomy, &r.anatomy],
        [c.weights(), r.weights()],
        &study::Extent { threads: settings.threads, bytes, stop: settings.stop },
    )?;
    if !matches!(places, Places::Equal) {
        stemmata_evidence::refine_moved(judgement, &found);
        return Ok(());
    }
    if found.tensors.is_empty() {
        judgement.not_tested.push(NotTested {
            what: "kind of change".to_owned(),
            reason: "the budget pays for too few tensors".to_owned(),
        });
        return Ok(());
    }
    stemmata_evidence::refine(judgement, measurement, &found);
    if bytes.is_none() && settings.search != SearchMode::Never && wants_heads(judgement, &found) {
        let maps = heads(c, r, settings)?;
        stemmata_evidence::refine_heads(judgement, &found, &maps);
    }
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

/// Where the heads of a few layers lie.
fn heads(c: &Whole, r: &Whole, settings: &Settings<'_>) -> Result<Vec<HeadMap>, AuditError> {
    let (ours, theirs) = (c.model(), r.model());
    let sides = [(ours.weights, ours.anatomy), (theirs.weights, theirs.anatomy)];
    let mut search = Search::new(sides[0], sides[1], settings.threads, settings.stop)
        .sharing(SharedTokens::of(ours.tokens, theirs.tokens));
    let mut found = Vec::new();
    for (component, layer) in search_plan(ours.anatomy, theirs.anatomy).first() {
        found.extend(search.heads(component, layer, layer)?);
    }
    Ok(found)
}
