//! `inspect`: what is in it, what it claims, what is dangerous about it.

use crate::{AuditError, Finding, InputFacts, Settings, Subject, Watch};
use stemmata_architecture::{Component, ComponentInfo, Part, Term};
use stemmata_model::{Level, Weights, printable};
use stemmata_source::Opened;

/// Values read at once.
const PIECE: u64 = 1 << 16;
/// Tensors that are named, at most.
const MOST_FINDINGS: usize = 256;

/// One component.
#[derive(Clone, Debug, PartialEq)]
pub struct ComponentFacts {
    /// Facts that the tests need.
    pub info: ComponentInfo,
    /// Parameters.
    pub parameters: u64,
    /// Logical tensors.
    pub tensors: usize,
}

/// One stored tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorRow {
    /// Printable.
    pub name: String,
    /// Outermost first.
    pub shape: Vec<u64>,
    /// Encoding's name.
    pub encoding: String,
    /// File, printable.
    pub file: String,
    /// What its parts are for, for instance `language-model layer 3 attn.q, attn.k, attn.v`; or why it has none.
    pub purpose: String,
}

/// Outcome of an inspection.
#[derive(Clone, Debug, PartialEq)]
pub struct Inspection {
    /// What is told of the model.
    pub facts: InputFacts,
    /// Weight files: name and bytes.
    pub files: Vec<(String, u64)>,
    /// Components.
    pub components: Vec<ComponentFacts>,
    /// Stored tensors, in name order.
    pub tensors: Vec<TensorRow>,
    /// Tokens, when a tokenizer was found, and its kind.
    pub tokenizer: Option<(usize, Option<String>)>,
    /// Hazards and remarks, sorted.
    pub findings: Vec<Finding>,
}

/// Inspects the model that `text` names. Reads headers and side files only (weights only for digests of small files), and with `values`
/// every weight, for those that are no finite numbers.
pub fn inspect(
    text: &str,
    values: bool,
    settings: &Settings<'_>,
    watch: Watch<'_>,
) -> Result<Inspection, AuditError> {
    let whole = Subject::open(text, settings, watch)?.whole("inspect")?;
    let checkpoint = &whole.opened.checkpoint;
    let mut purposes = vec![String::new(); checkpoint.tensors.len()];
    for part in &whole.anatomy.parts {
        let purpose = &mut purposes[part.view.tensor];
        if purpose.is_empty() {
            *purpose = place(part);
        }
        // Stacked experts repeat the role; name it once.
        let role = format!(" {}{}", part.role.name(), if part.term == Term::Bias { ".b" } else { "" });
        if !purpose.ends_with(&role) && !purpose.contains(&format!("{role},")) {
            purpose.push_str(if purpose.ends_with(&place(part)) { "" } else { "," });
            purpose.push_str(&role);
        }
    }
    for &index in &whole.anatomy.ignored {
        purposes[index] = "carries no weights".to_owned();
    }
    for &index in &whole.anatomy.unmapped {
        purposes[index] = "not mapped".to_owned();
    }
    for &index in whole.opened.undecoded.keys() {
        purposes[index] = "not decoded".to_owned();
    }
    let tensors = checkpoint.tensors.iter().zip(purposes).map(|(t, purpose)| TensorRow {
        name: printable(&t.name),
        shape: t.shape.clone(),
        encoding: t.encoding.to_string(),
        file: printable(&checkpoint.files[t.storage.file as usize].name),
        purpose,
    });
    let components = Component::ALL.into_iter().filter_map(|component| {
        let info = whole.anatomy.component(component)?.clone();
        let parts = || whole.anatomy.parts.iter().filter(|p| p.component == component);
        Some(ComponentFacts {
            info,
            parameters: parts().map(|p| p.view.elements()).sum(),
            tensors: parts().count(),
        })
    });
    let mut findings = [whole.findings(""), whole.changed("")].concat();
    if values {
        findings.extend(non_finite(&whole.opened, settings)?);
    }
    findings.sort();
    settings.check_stop()?;
    Ok(Inspection {
        facts: whole.facts.clone(),
        files: checkpoint.files.iter().map(|f| (printable(&f.name), f.len)).collect(),
        components: components.collect(),
        tensors: tensors.collect(),
        tokenizer: checkpoint.tokenizer.as_ref().map(|t| (t.tokens.len(), t.kind.as_deref().map(printable))),
        findings,
    })
}

/// One finding for each tensor with NaN or infinity, the first of them at least.
fn non_finite(opened: &Opened, settings: &Settings<'_>) -> Result<Vec<Finding>, AuditError> {
    let mut findings = Vec::new();
    let mut values = vec![0.0f32; PIECE as usize];
    for (index, tensor) in opened.checkpoint.tensors.iter().enumerate() {
        if !tensor.encoding.is_float() || !tensor.encoding.is_decodable() {
            continue;
        }
        let (mut bad, mut start) = (0u64, 0);
        while start < tensor.elements() {
            settings.check_stop()?;
            let len = PIECE.min(tensor.elements() - start);
            let values = &mut values[..len as usize];
            // A tensor whose pieces contradict each other ends the reading of it, not the inspection.
            if let Err(error) = opened.weights.read(index, start, values) {
                let (code, side) = ("unreadable-tensor", "");
                let (subject, message) = (printable(&tensor.name), error.to_string());
                findings.push(Finding { code, level: Level::Warning, side, subject, message });
                break;
            }
            bad += values.iter().filter(|value| !value.is_finite()).count() as u64;
            start += len;
        }
        if bad > 0 {
            let message = format!("{bad} of {} values are NaN or infinite", tensor.elements());
            let subject = printable(&tensor.name);
            findings.push(Finding {
                code: "non-finite-values",
                level: Level::Warning,
                side: "",
                subject,
                message,
            });
        }
        if findings.len() >= MOST_FINDINGS {
            break;
        }
    }
    Ok(findings)
}

fn place(part: &Part) -> String {
    match part.layer {
        Some(layer) => format!("{} layer {layer}", part.component.name()),
        None => part.component.name().to_owned(),
    }
}
