//! `inspect`: what is in it, what it claims, what is dangerous about it.

use crate::{AuditError, Finding, InputFacts, Settings, Subject, Watch};
use stemmata_architecture::{Component, ComponentInfo, Part, Term};
use stemmata_model::printable;

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

/// Inspects the model that `text` names. Reads headers and side files only (weights only for digests of small files).
pub fn inspect(text: &str, settings: &Settings<'_>, watch: Watch<'_>) -> Result<Inspection, AuditError> {
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

fn place(part: &Part) -> String {
    match part.layer {
        Some(layer) => format!("{} layer {layer}", part.component.name()),
        None => part.component.name().to_owned(),
    }
}
