//! `sketch`: the summary of one model.

use crate::input::Whole;
use crate::{AuditError, Event, Finding, InputFacts, Settings, Subject, Watch, budget};
use std::sync::atomic::Ordering;
use stemmata_fingerprint::{Sketch, SketchParams, encode, sketch_model};
use stemmata_model::Weights;

/// An encoded sketch.
pub struct Sketched {
    /// What was sketched.
    pub facts: InputFacts,
    /// The encoding.
    pub bytes: Vec<u8>,
    /// Remarks on the reading.
    pub findings: Vec<Finding>,
    /// Bytes fetched.
    pub bytes_read: u64,
}

/// Sketches the model that `text` names.
pub fn sketch(text: &str, settings: &Settings<'_>, watch: Watch<'_>) -> Result<Sketched, AuditError> {
    let whole = Subject::open(text, settings, watch)?.whole("sketch")?;
    let params = match budget::of_weights(settings, &[&whole]) {
        Some(bytes) => SketchParams { blocks: budget::blocks(bytes, &whole)?, ..settings.params },
        None => settings.params,
    };
    let sketch = of(&whole, params, settings, watch)?;
    settings.check_stop()?;
    let findings = whole.changed("");
    Ok(Sketched { bytes: encode(&sketch), findings, bytes_read: sketch.bytes_read, facts: whole.facts })
}

/// The sketch of an open checkpoint.
pub(crate) fn of(
    whole: &Whole,
    params: SketchParams,
    settings: &Settings<'_>,
    watch: Watch<'_>,
) -> Result<Sketch, AuditError> {
    let elements_total = whole.anatomy.parts.iter().map(|p| p.view.elements()).sum();
    let tensors_total = whole.anatomy.parts.len();
    let mut progress = |elements, tensors| {
        let bytes = whole.weights().bytes_read();
        watch(Event::Working { doing: "sketching", elements, elements_total, bytes, tensors, tensors_total });
        !settings.stop.load(Ordering::Relaxed)
    };
    let mut sketch = sketch_model(whole.weights(), &whole.anatomy, params, &mut progress)?;
    sketch.reference = whole.text.clone();
    sketch.digest = whole.facts.digest.clone();
    sketch.format = whole.facts.format.clone();
    Ok(sketch)
}
