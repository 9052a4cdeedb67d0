//! Looking for units that were moved, when comparing at equal indices leaves the question open.

use crate::input::Model;
use crate::{AuditError, Event, Settings, Watch};
use stemmata_alignment::{Measurement, Search, SharedTokens, search_plan};
use stemmata_architecture::{Anatomy, Component, Part, Role};
use stemmata_evidence::{Judgement, NotTested, StorageFacts, judge, search_found, wants_search};

/// When to look for units that were moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SearchMode {
    /// When some layer shows nothing at equal indices: a few layers first, all if something is found there.
    #[default]
    Auto,
    /// In all layers, whatever was found.
    Always,
    /// Not at all.
    Never,
}

/// How often a search reads the units of a layer, at most: once for each basis, and once for the frame by units; and the token embedding: for
/// the frame by tokens, and for tokens that training never met.
const READINGS: u64 = 4;
const READINGS_OF_TOKENS: u64 = 2;

/// Bytes of the dearer side that a search of these layers reads, at most; `None` where the partner of a layer would have to be looked for in
/// all of them, or tensors are packed.
pub(crate) fn cost(models: [Model<'_>; 2], layers: &[(Component, u32)]) -> Option<u64> {
    let [c, r] = models.map(|model| model.anatomy);
    let depth = |anatomy: &Anatomy, component| anatomy.component(component).map_or(0, |info| info.layers);
    if layers.iter().any(|(component, _)| depth(c, *component) != depth(r, *component)) {
        return None;
    }
    let of = |model: Model<'_>| {
        let bytes = |part: &Part| model.weights.cost(part.view.tensor, part.view.elements());
        let (mut units, mut embeddings) = (0, 0);
        for part in &model.anatomy.parts {
            let place = part.layer.map(|layer| (part.component, layer));
            match part.role {
                Role::Gate | Role::Up | Role::Down if place.is_some_and(|p| layers.contains(&p)) => {
                    units += bytes(part)?;
                }
                Role::TokenEmbedding if layers.iter().any(|(component, _)| *component == part.component) => {
                    embeddings += bytes(part)?;
                }
                _ => {}
            }
        }
        Some(READINGS * units + READINGS_OF_TOKENS * embeddings)
    };
    Some(of(models[0])?.max(of(models[1])?))
}

/// Searches as far as `judgement` asks for and `bytes` of either model pay for, if these are bounded; the first layers must be paid for. Adds what was found to `measurement`, and judges again.
pub(crate) fn run(
    [c, r]: [Model<'_>; 2],
    judgement: Judgement,
    measurement: &mut Measurement,
    storage: &StorageFacts,
    bytes: Option<u64>,
    settings: &Settings<'_>,
    watch: Watch<'_>,
) -> Result<Judgement, AuditError> {
    let plan = &search_plan(c.anatomy, r.anatomy);
    let wanted = match settings.search {
        SearchMode::Never => false,
        SearchMode::Always => !plan.layers.is_empty(),
        SearchMode::Auto => wants_search(&judgement, plan),
    };
    if !wanted {
        return Ok(judgement);
    }
    let mut search =
        Search::new((c.weights, c.anatomy), (r.weights, r.anatomy), settings.threads, settings.stop)
            .sharing(SharedTokens::of(c.tokens, r.tokens));
    for layers in plan.layers.chunk_by(|a, b| a.0 == b.0) {
        measurement.untrained.extend(search.untrained_tokens(layers[0].0)?);
    }
    let mut examine = |layers: &[(Component, u32)], measurement: &mut Measurement| {
        let total: u64 = layers.iter().map(|(component, layer)| search.elements(*component, *layer)).sum();
        let mut done = 0;
        for (index, (component, layer)) in layers.iter().enumerate() {
            measurement.searched.extend(search.examine(*component, *layer)?);
            done += search.elements(*component, *layer);
            watch(Event::Working {
                doing: "searching",
                elements: done,
                elements_total: total,
                bytes: c.weights.bytes_read() + r.weights.bytes_read(),
                tensors: index + 1,
                tensors_total: layers.len(),
            });
        }
        measurement.searched.sort_by_key(|m| (m.component, m.layer));
        Ok::<(), AuditError>(())
    };
    let first = plan.first();
    examine(&first, measurement)?;
    let judgement = judge(measurement, storage, &settings.rule);
    let rest: Vec<_> = plan.layers.iter().copied().filter(|place| !first.contains(place)).collect();
    if rest.is_empty() || !(search_found(&judgement) || settings.search == SearchMode::Always) {
        return Ok(judgement);
    }
    if let Some(bytes) = bytes {
        let all = cost([c, r], &plan.layers);
        if all.is_none_or(|cost| cost > bytes) {
            let mut judgement = judgement;
            let at = all.map_or_else(String::new, |cost| format!(" of {} MB", cost.div_ceil(1_000_000)));
            judgement.not_tested.push(NotTested {
                what: format!("units in other places in {} layers", rest.len()),
                reason: format!("to search all of them takes twice the cost{at} as a budget"),
            });
            return Ok(judgement);
        }
    }
    examine(&rest, measurement)?;
    Ok(judge(measurement, storage, &settings.rule))
}
