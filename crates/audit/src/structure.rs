//! Which layer comes from which: the stage of `compare` that looks for a map.

use crate::input::Model;
use crate::{AuditError, Event, Settings, Subject, Watch, measuring};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use stemmata_alignment::{Exclusion, LayerMap, Measurement, PairKey, Shapes, layer_grids, plan_along};
use stemmata_architecture::{Anatomy, ChannelAxis, Component, Part, channel_maps, labels_units};
use stemmata_evidence::{Judgement, exclusions, map_layers};
use stemmata_fingerprint::{Sketch, sketch_layers};
use stemmata_model::ReadError;

/// What the number of possible tests depends on.
pub(crate) fn shapes(subject: &Subject) -> Shapes {
    match subject {
        Subject::Checkpoint(whole) => Shapes::of_anatomy(&whole.anatomy),
        Subject::Sketch(sketch, _) => Shapes::of_sketch(sketch),
    }
}

/// What the layers are looked for in.
pub(crate) enum Pair<'a> {
    /// Candidate and reference with their weights.
    Models([Model<'a>; 2]),
    /// Their sketches, where one of them is nothing else.
    Sketches([&'a Sketch; 2]),
}

/// Looks for the maps and pairs the layers along them: `measurement` then holds the change between layers that answer to each
/// other. Costs one more read of the tested tensors of each checkpoint, and one of the layers that a map moves.
///
/// Which pairs the maps choose depends on the data, so the groups and fixed points behind the tests stay those of equal
/// numbers; the cells of the grid carry the maps.
pub(crate) fn look(
    measurement: &mut Measurement,
    judgement: &Judgement,
    pair: &Pair<'_>,
    settings: &Settings<'_>,
    watch: Watch<'_>,
) -> Result<(), AuditError> {
    let excluded = exclusions(&judgement.broken);
    let grids = {
        let (ours, theirs) = match *pair {
            Pair::Sketches([c, r]) => (Cow::Borrowed(c), Cow::Borrowed(r)),
            Pair::Models([c, r]) => {
                let of = |model, watch: Watch<'_>| sketch_model_parts(model, &places_layers, settings, watch);
                (Cow::Owned(of(c, watch)?), Cow::Owned(of(r, watch)?))
            }
        };
        grids(&ours, &theirs, &excluded, settings)?
    };
    measurement.structure.maps = map_layers(grids, judgement);
    let maps = &measurement.structure.maps;
    let moved = |key: &PairKey| {
        let of_map = |map: &LayerMap| map.grid.component == key.component && !map.keeps_numbers();
        key.layer.is_some() && maps.iter().any(of_map)
    };
    if let Pair::Models([c, r]) = *pair
        && maps.iter().any(|map| !map.keeps_numbers())
    {
        let mut along = plan_along(c.anatomy, r.anatomy, maps);
        along.pairs.retain(|pair| moved(&pair.key));
        let second = measuring::of(&along, [c, r], settings, watch)?;
        measurement.pairs.retain(|pair| !moved(&pair.key));
        measurement.pairs.extend(second.pairs);
        measurement.pairs.sort_by_key(|pair| pair.key);
        measurement.candidate_only = along.candidate_only;
        measurement.reference_only = along.reference_only;
        measurement.structure.along = second.groups;
    }
    Ok(())
}

/// The grids of two sketches, unless the user stops.
pub(crate) fn grids(
    candidate: &Sketch,
    reference: &Sketch,
    excluded: &[Exclusion],
    settings: &Settings<'_>,
) -> Result<Vec<stemmata_alignment::LayerGrid>, AuditError> {
    let grids = layer_grids(candidate, reference, excluded, &mut || !settings.stop.load(Ordering::Relaxed));
    settings.check_stop()?;
    Ok(grids)
}

/// Whether a part has channels or units that tell layers apart.
pub(crate) fn places_layers(part: &Part, anatomy: &Anatomy) -> bool {
    let Some(info) = anatomy.component(part.component) else { return false };
    let (rows, cols) = channel_maps(part, info);
    let tells =
        [rows, cols].iter().flatten().any(|m| m.axis != ChannelAxis::Residual && m.axis.holds_for(info));
    part.layer.is_some() && (tells || (!info.gated && labels_units(part, info)))
}

/// A sketch of the parts that `wanted` names, layer by layer on all threads; of a saved sketch, itself.
pub(crate) fn sketch_parts(
    subject: &Subject,
    wanted: &dyn Fn(&Part, &Anatomy) -> bool,
    settings: &Settings<'_>,
    watch: Watch<'_>,
) -> Result<Sketch, AuditError> {
    match subject {
        Subject::Sketch(sketch, _) => Ok((**sketch).clone()),
        Subject::Checkpoint(whole) => sketch_model_parts(whole.model(), wanted, settings, watch),
    }
}

fn sketch_model_parts(
    model: Model<'_>,
    wanted: &dyn Fn(&Part, &Anatomy) -> bool,
    settings: &Settings<'_>,
    watch: Watch<'_>,
) -> Result<Sketch, AuditError> {
    let mut layers: BTreeMap<(Component, Option<u32>), Vec<Part>> = BTreeMap::new();
    for part in model.anatomy.parts.iter().filter(|part| wanted(part, model.anatomy)) {
        layers.entry((part.component, part.layer)).or_default().push(part.clone());
    }
    let layers: Vec<Vec<Part>> = layers.into_values().collect();
    let sketches = sketch_all(model, &layers, settings, watch)?;
    let empty = Anatomy { parts: Vec::new(), ..model.anatomy.clone() };
    let mut joined = sketch_layers(model.weights, &empty, settings.params, &mut |_, _| true)?;
    // Layers come in key order, and every layer keeps the order within it.
    for sketch in sketches {
        joined.parts.extend(sketch.parts);
        joined.groups.extend(sketch.groups);
        joined.units.extend(sketch.units);
        joined.checks.extend(sketch.checks);
    }
    Ok(joined)
}

/// One sketch per layer, in the order of `layers` whatever thread makes it.
fn sketch_all(
    model: Model<'_>,
    layers: &[Vec<Part>],
    settings: &Settings<'_>,
    watch: Watch<'_>,
) -> Result<Vec<Sketch>, AuditError> {
    let elements = |parts: &[Part]| parts.iter().map(|p| p.view.elements()).sum::<u64>();
    let elements_total = layers.iter().map(|parts| elements(parts)).sum();
    let threads = match settings.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    };
    let (next, stopped) = (AtomicUsize::new(0), AtomicBool::new(false));
    let bare = Anatomy { parts: Vec::new(), ..model.anatomy.clone() };
    let one = |parts: &[Part]| {
        let anatomy = Anatomy { parts: parts.to_vec(), ..bare.clone() };
        let go_on = || !settings.stop.load(Ordering::Relaxed) && !stopped.load(Ordering::Relaxed);
        sketch_layers(model.weights, &anatomy, settings.params, &mut |_, _| go_on())
    };
    let work = |send: mpsc::Sender<(usize, Result<Sketch, ReadError>)>| {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(parts) = layers.get(index) else { break };
            if send.send((index, one(parts))).is_err() {
                break;
            }
        }
    };
    let mut done: Vec<Option<Sketch>> = layers.iter().map(|_| None).collect();
    std::thread::scope(|scope| {
        let (send, receive) = mpsc::channel();
        let mut spawned = 0;
        for _ in 0..threads.min(layers.len()).min(MOST_THREADS) {
            let (work, send) = (&work, send.clone());
            spawned += u32::from(std::thread::Builder::new().spawn_scoped(scope, move || work(send)).is_ok());
        }
        if spawned == 0 {
            work(send);
        } else {
            drop(send);
        }
        let (mut seen, mut tensors) = (0, 0);
        for (index, sketch) in receive {
            let sketch = sketch.inspect_err(|_| stopped.store(true, Ordering::Relaxed))?;
            seen += elements(&layers[index]);
            tensors += layers[index].len();
            done[index] = Some(sketch);
            watch(Event::Working {
                doing: "looking for the layers",
                elements: seen,
                elements_total,
                bytes: model.weights.bytes_read(),
                tensors,
                tensors_total: layers.iter().map(Vec::len).sum(),
            });
        }
        settings.check_stop()?;
        Ok(done.into_iter().flatten().collect())
    })
}

/// No machine gains from more workers, and a mistyped number must not exhaust the system.
const MOST_THREADS: usize = 256;
