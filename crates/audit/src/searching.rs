//! Looking for units that were moved, when comparing at equal indices leaves the question open.

use crate::input::Model;
use crate::{AuditError, Event, Settings, Watch};
use stemmata_alignment::{Measurement, Search, SharedTokens, search_plan};
use stemmata_architecture::Component;
use stemmata_evidence::{Judgement, StorageFacts, judge, search_found, wants_search};

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

/// Searches as far as `judgement` asks for, adds what was found to `measurement`, and judges again.
pub(crate) fn run(
    [c, r]: [Model<'_>; 2],
    judgement: Judgement,
    measurement: &mut Measurement,
    storage: &StorageFacts,
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
    examine(&rest, measurement)?;
    Ok(judge(measurement, storage, &settings.rule))
}
