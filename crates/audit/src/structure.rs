//! Which layer comes from which: the stage of `compare` that looks for a map.

use crate::input::Model;
use crate::kept_layers::KeptLayers;
use crate::{AuditError, Event, Settings, Subject, Watch, measuring};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use stemmata_alignment::{
    Exclusion, GridFilling, LayerGrid, LayerMap, Measurement, PairKey, Shapes, experts_in_grid, layer_grids,
    plan_along,
};
use stemmata_architecture::{Anatomy, ChannelAxis, Component, Part, channel_maps, labels_units};
use stemmata_evidence::{Judgement, exclusions, map_layers};
use stemmata_fingerprint::{Sketch, SketchParams, sketch_layers};
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
    /// The same where not everything is read: so many blocks of rows of each tensor for the map, and so many bytes along it.
    Sampled { models: [Model<'a>; 2], blocks: u32, along: u64 },
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
    let grids = match *pair {
        Pair::Sketches([c, r]) => grids(c, r, &excluded, settings)?,
        Pair::Models(models) => grids_of_models(models, settings.params, &excluded, settings, watch)?,
        Pair::Sampled { models, blocks, .. } => {
            let params = SketchParams { blocks, ..settings.params };
            grids_of_models(models, params, &excluded, settings, watch)?
        }
    };
    measurement.structure.maps = map_layers(grids, judgement);
    let maps = &measurement.structure.maps;
    let moved = |key: &PairKey| {
        let of_map = |map: &LayerMap| map.grid.component == key.component && !map.keeps_numbers();
        key.layer.is_some() && maps.iter().any(of_map)
    };
    if let Pair::Models([c, r]) | Pair::Sampled { models: [c, r], .. } = *pair
        && maps.iter().any(|map| !map.keeps_numbers())
    {
        let mut along = plan_along(c.anatomy, r.anatomy, maps);
        along.pairs.retain(|pair| moved(&pair.key));
        if let Pair::Sampled { along: bytes, .. } = *pair {
            along.sample([c.weights, r.weights], bytes, settings.params.seed);
        }
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

/// Layers that are sketched together where blocks of rows of theirs are fetched, so that many are fetched at a time.
const TOGETHER: usize = 16;

/// The grids of two models, with a few layers of each in memory at a time.
fn grids_of_models(
    [c, r]: [Model<'_>; 2],
    params: SketchParams,
    excluded: &[Exclusion],
    settings: &Settings<'_>,
    watch: Watch<'_>,
) -> Result<Vec<LayerGrid>, AuditError> {
    // Of many experts the sketches need those alone that will be held against each other.
    let picked = Component::ALL.map(|component| (component, experts_in_grid(c.anatomy, component)));
    let wanted = |part: &Part, anatomy: &Anatomy| {
        let picked = picked.iter().find(|(component, _)| *component == part.component).map(|(_, of)| of);
        let left_out = |of: &Vec<Option<u32>>| of.iter().any(Option::is_some) && !of.contains(&part.expert);
        let places = if params.blocks > 0 { places_layers_by_few_rows } else { places_layers };
        places(part, anatomy) && !(part.expert.is_some() && picked.is_some_and(left_out))
    };
    let mut keep = |model: Model<'_>| {
        let mut layers = layers_of(model.anatomy, &wanted);
        if params.blocks > 0 {
            layers = layers.chunks(TOGETHER).map(<[_]>::concat).collect();
        }
        let mut kept = KeptLayers::new(without_layers(model, params)?, layers.len());
        sketch_all(model, &layers, params, settings, watch, &mut |index, sketch| kept.keep(index, &sketch))?;
        Ok::<KeptLayers, AuditError>(kept)
    };
    let (mut ours, mut theirs) = (keep(c)?, keep(r)?);
    let mut filling = GridFilling::new(ours.outline(), theirs.outline(), excluded);
    for rows in ours.blocks() {
        let some = ours.bring(rows)?;
        for columns in theirs.blocks() {
            filling.fill(&some, &theirs.bring(columns)?, &mut || !settings.stop.load(Ordering::Relaxed));
            settings.check_stop()?;
        }
    }
    Ok(filling.finish())
}

/// The grids of two sketches, unless the user stops.
pub(crate) fn grids(
    candidate: &Sketch,
    reference: &Sketch,
    excluded: &[Exclusion],
    settings: &Settings<'_>,
) -> Result<Vec<LayerGrid>, AuditError> {
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

/// Whether that can be told from a few rows: by channels along the columns, of which each row has a value.
pub(crate) fn places_layers_by_few_rows(part: &Part, anatomy: &Anatomy) -> bool {
    let Some(info) = anatomy.component(part.component) else { return false };
    let (_, cols) = channel_maps(part, info);
    part.layer.is_some() && cols.is_some_and(|m| m.axis != ChannelAxis::Residual && m.axis.holds_for(info))
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
    let layers = layers_of(model.anatomy, wanted);
    let mut done: Vec<Option<Sketch>> = layers.iter().map(|_| None).collect();
    sketch_all(model, &layers, settings.params, settings, watch, &mut |index, sketch| {
        done[index] = Some(sketch);
        Ok(())
    })?;
    let mut joined = without_layers(model, settings.params)?;
    // Layers come in key order, and every layer keeps the order within it.
    for sketch in done.into_iter().flatten() {
        joined.parts.extend(sketch.parts);
        joined.groups.extend(sketch.groups);
        joined.units.extend(sketch.units);
        joined.checks.extend(sketch.checks);
    }
    Ok(joined)
}

/// The parts that `wanted` names, layer by layer in key order.
fn layers_of(anatomy: &Anatomy, wanted: &dyn Fn(&Part, &Anatomy) -> bool) -> Vec<Vec<Part>> {
    let mut layers: BTreeMap<(Component, Option<u32>), Vec<Part>> = BTreeMap::new();
    for part in anatomy.parts.iter().filter(|part| wanted(part, anatomy)) {
        layers.entry((part.component, part.layer)).or_default().push(part.clone());
    }
    layers.into_values().collect()
}

/// A sketch that names no layer yet.
fn without_layers(model: Model<'_>, params: SketchParams) -> Result<Sketch, ReadError> {
    let empty = Anatomy { parts: Vec::new(), ..model.anatomy.clone() };
    sketch_layers(model.weights, &empty, params, &mut |_, _| true)
}

/// Gives `done` one sketch per layer with its index in `layers`, as threads make them.
fn sketch_all(
    model: Model<'_>,
    layers: &[Vec<Part>],
    params: SketchParams,
    settings: &Settings<'_>,
    watch: Watch<'_>,
    done: &mut dyn FnMut(usize, Sketch) -> Result<(), AuditError>,
) -> Result<(), AuditError> {
    let elements = |parts: &[Part]| parts.iter().map(|p| p.view.elements()).sum::<u64>();
    let elements_total = layers.iter().map(|parts| elements(parts)).sum();
    let threads = match settings.threads {
        // One announces for all, and what it announces is fetched on many threads.
        _ if params.blocks > 0 => 1,
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    };
    let (next, stopped) = (AtomicUsize::new(0), AtomicBool::new(false));
    let bare = Anatomy { parts: Vec::new(), ..model.anatomy.clone() };
    let one = |parts: &[Part]| {
        let anatomy = Anatomy { parts: parts.to_vec(), ..bare.clone() };
        let go_on = || !settings.stop.load(Ordering::Relaxed) && !stopped.load(Ordering::Relaxed);
        sketch_layers(model.weights, &anatomy, params, &mut |_, _| go_on())
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
            done(index, sketch).inspect_err(|_| stopped.store(true, Ordering::Relaxed))?;
            watch(Event::Working {
                doing: "looking for the layers",
                elements: seen,
                elements_total,
                bytes: model.weights.bytes_read(),
                tensors,
                tensors_total: layers.iter().map(Vec::len).sum(),
            });
        }
        settings.check_stop()
    })
}

/// No machine gains from more workers, and a mistyped number must not exhaust the system.
const MOST_THREADS: usize = 256;
