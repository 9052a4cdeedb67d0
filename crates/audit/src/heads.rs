//! Attention heads of the layers that a blame explains: which head of the layer is which of the layer that it comes from.

use crate::{AuditError, Event, LayerOrigin, SearchMode, Settings, Subject, Watch};
use stemmata_alignment::{HeadMap, Search, SharedTokens};

/// The heads of one layer.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadOrigin {
    /// Which reference.
    pub reference: usize,
    /// Layers and heads.
    pub map: HeadMap,
}

/// Looks at every layer that has an origin with weights at hand. Decides nothing. One more read of the attention of these layers on
/// both sides, for each frame that is tried.
pub(crate) fn look(
    ours: &Subject,
    theirs: &[Subject],
    layers: &[LayerOrigin],
    settings: &Settings<'_>,
    watch: Watch<'_>,
) -> Result<Vec<HeadOrigin>, AuditError> {
    let Subject::Checkpoint(c) = ours else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    if settings.search == SearchMode::Never {
        return Ok(found);
    }
    let placed: Vec<_> = layers
        .iter()
        .filter_map(|origin| {
            let (reference, layer) = origin.from?;
            Some((reference, origin.component, origin.layer?, layer?))
        })
        .collect();
    let mut done = 0;
    for (reference, subject) in theirs.iter().enumerate() {
        let Subject::Checkpoint(r) = subject else { continue };
        let (ours, theirs) = (c.model(), r.model());
        let sides = [(ours.weights, ours.anatomy), (theirs.weights, theirs.anatomy)];
        let mut search = Search::new(sides[0], sides[1], settings.threads, settings.stop)
            .sharing(SharedTokens::of(ours.tokens, theirs.tokens));
        for &(_, component, layer, partner) in placed.iter().filter(|place| place.0 == reference) {
            let map = search.heads(component, layer, partner)?;
            found.extend(map.map(|map| HeadOrigin { reference, map }));
            done += 1;
            watch(Event::Working {
                doing: "looking at heads",
                elements: done as u64,
                elements_total: placed.len() as u64,
                bytes: 0,
                tensors: done,
                tensors_total: placed.len(),
            });
        }
    }
    found.sort_by_key(|origin| (origin.map.component, origin.map.layer));
    Ok(found)
}
