//! `sketch`: the summary of one model.

use crate::input::Whole;
use crate::keeping::Shelf;
use crate::{AuditError, Event, Finding, InputFacts, Settings, Subject, Watch, budget};
use std::io::{self, Cursor, Read, Seek, Write};
use std::sync::atomic::Ordering;
use stemmata_fingerprint::{Sketch, SketchParams, SpoolError, Spooled, encode, sketch_model, spool_model};
use stemmata_model::Weights;

/// An encoded sketch.
pub struct Sketched<B = Vec<u8>> {
    /// What was sketched.
    pub facts: InputFacts,
    /// The encoding.
    pub bytes: B,
    /// Remarks on the reading.
    pub findings: Vec<Finding>,
    /// Bytes fetched.
    pub bytes_read: u64,
}

/// Sketches the model that `text` names, in memory.
pub fn sketch(text: &str, settings: &Settings<'_>, watch: Watch<'_>) -> Result<Sketched, AuditError> {
    let Sketched { facts, bytes: mut spooled, findings, bytes_read } =
        sketch_into(text, Cursor::new(Vec::new()), settings, watch)?;
    let mut bytes = Vec::new();
    spooled.write_to(&mut bytes).map_err(SpoolError::Spool)?;
    Ok(Sketched { facts, bytes, findings, bytes_read })
}

/// Sketches the model that `text` names. What is done of it goes to `spool`, so that memory does not grow with the layers.
pub fn sketch_into<S: Read + Write + Seek>(
    text: &str,
    spool: S,
    settings: &Settings<'_>,
    watch: Watch<'_>,
) -> Result<Sketched<Encoded<S>>, AuditError> {
    let whole = Subject::open(text, settings, watch)?.whole("sketch")?;
    let params = match budget::of_weights(settings, &[&whole]) {
        Some(bytes) => SketchParams { blocks: budget::blocks(bytes, &whole)?, ..settings.params },
        None => settings.params,
    };
    let shelf = Shelf::of(&whole, &params, settings);
    let (content, bytes_read) = match shelf.as_ref().and_then(Shelf::get) {
        Some(mut kept) => {
            name(&mut kept, &whole);
            (Content::Kept(encode(&kept)), kept.bytes_read)
        }
        None => {
            let mut progress = progress(&whole, settings, watch);
            let mut spooled = spool_model(whole.weights(), &whole.anatomy, params, spool, &mut progress)?;
            drop(progress);
            name(spooled.sketch_mut(), &whole);
            settings.check_stop()?;
            let unchanged = whole.weights().changed_files().is_empty();
            shelf.iter().filter(|_| unchanged).for_each(|shelf| shelf.put(&mut |out| spooled.write_to(out)));
            let bytes_read = spooled.sketch_mut().bytes_read;
            (Content::Made(Box::new(spooled)), bytes_read)
        }
    };
    drop(shelf);
    let findings = whole.changed("");
    Ok(Sketched { bytes: Encoded(content), findings, bytes_read, facts: whole.facts })
}

/// A sketch that is ready to be written.
pub struct Encoded<S>(Content<S>);

enum Content<S> {
    Made(Box<Spooled<S>>),
    Kept(Vec<u8>),
}

impl<S: Read + Write + Seek> Encoded<S> {
    /// Writes all of it.
    pub fn write_to(&mut self, out: &mut dyn Write) -> io::Result<()> {
        match &mut self.0 {
            Content::Made(spooled) => spooled.write_to(out),
            Content::Kept(bytes) => out.write_all(bytes),
        }
    }
}

/// Says whose sketch it is.
fn name(sketch: &mut Sketch, whole: &Whole) {
    sketch.reference = whole.text.clone();
    sketch.digest = whole.facts.digest.clone();
    sketch.format = whole.facts.format.clone();
}

/// Tells what is going on, and whether to go on.
fn progress<'a>(
    whole: &'a Whole,
    settings: &'a Settings<'_>,
    watch: &'a mut dyn FnMut(Event),
) -> impl FnMut(u64, usize) -> bool + 'a {
    let elements_total = whole.anatomy.parts.iter().map(|p| p.view.elements()).sum();
    let tensors_total = whole.anatomy.parts.len();
    move |elements, tensors| {
        let bytes = whole.weights().bytes_read();
        watch(Event::Working { doing: "sketching", elements, elements_total, bytes, tensors, tensors_total });
        !settings.stop.load(Ordering::Relaxed)
    }
}

/// The sketch of an open checkpoint.
pub(crate) fn of(
    whole: &Whole,
    params: SketchParams,
    settings: &Settings<'_>,
    watch: Watch<'_>,
) -> Result<Sketch, AuditError> {
    let shelf = Shelf::of(whole, &params, settings);
    if let Some(mut kept) = shelf.as_ref().and_then(Shelf::get) {
        name(&mut kept, whole);
        let already = whole.weights().bytes_read();
        whole.spared.store(kept.bytes_read.saturating_sub(already), Ordering::Relaxed);
        return Ok(kept);
    }
    let mut progress = progress(whole, settings, watch);
    let mut sketch = sketch_model(whole.weights(), &whole.anatomy, params, &mut progress)?;
    name(&mut sketch, whole);
    let unchanged = whole.weights().changed_files().is_empty();
    shelf
        .iter()
        .filter(|_| unchanged)
        .for_each(|shelf| shelf.put(&mut |out| out.write_all(&encode(&sketch))));
    Ok(sketch)
}
