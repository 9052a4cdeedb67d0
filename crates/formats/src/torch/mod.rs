//! PyTorch checkpoints: a pickle that describes tensors, and storages beside it.
//!
//! The pickle is interpreted over plain values: nothing is imported, nothing is called. What a trusting loader would
//! import or call becomes a hazard, and the tensors are read all the same.

mod archive;
mod arena;
mod calls;
mod globals;
mod legacy;
mod literals;
mod machine;
mod operands;
mod tensor;
mod walk;
mod zip;

pub(crate) use legacy::is_legacy;
pub(crate) use zip::find_end as zip_end;

use crate::hazards::Hazards;
use crate::source::Source;
use crate::{FormatError, Limits, Parsed, ReadAt};
use machine::Outcome;
use std::collections::{BTreeMap, HashMap};
use stemmata_model::{Config, Container, Declared, Level, Tensor, printable};

/// Where the bytes of a storage lie.
#[derive(Clone, Copy, Debug)]
struct Place {
    offset: u64,
    len: u64,
}

/// Everything that turning a pickle's result into tensors needs.
struct Context<'a, 's> {
    source: &'s Source<'a>,
    file_index: u32,
    limits: &'s Limits,
    /// Storages by key.
    storages: HashMap<String, Place>,
}

/// Reads the inventory of one PyTorch file, zip archive or legacy stream.
pub fn parse(file: &dyn ReadAt, name: &str, file_index: u32, limits: &Limits) -> Result<Parsed, FormatError> {
    let source = Source::new(file, name);
    let mut hazards = Hazards::new(name);
    let legacy = is_legacy(&source.head::<16>()?);
    let outcome = if legacy {
        legacy::read(&source, file_index, limits, &mut hazards)
    } else {
        archive::read(&source, file_index, limits, &mut hazards)
    };
    let tensors = match outcome {
        Ok(tensors) => tensors,
        // The evidence must not be lost because the file is broken behind it: that is a known way to blind scanners.
        Err(error) if hazards.has_danger() => {
            hazards.file("unreadable", Level::Danger, || {
                format!("besides what else was found, the file is broken: {error}")
            });
            Vec::new()
        }
        Err(error) => return Err(error),
    };
    if tensors.is_empty() {
        hazards.file("no-tensors", Level::Warning, || "no tensor was found in the file".into());
    }
    Ok(Parsed {
        container: if legacy { Container::TorchLegacy } else { Container::TorchZip },
        tensors,
        config: Config::default(),
        declared: Declared::default(),
        tokenizer: None,
        metadata: BTreeMap::new(),
        hazards: hazards.finish(),
    })
}

/// Whether the file is a zip archive, and if so whether it holds a `data.pkl`; `None` if it is none or is broken.
pub(crate) fn zip_kind(source: &Source) -> Result<Option<bool>, FormatError> {
    let Some(end) = zip::find_end(source)? else { return Ok(None) };
    let mut hazards = Hazards::new("");
    match zip::directory(source, &end, &Limits::default(), &mut hazards) {
        Ok(entries) => Ok(Some(entries.iter().any(|entry| archive::is_pickle(&entry.name)))),
        Err(FormatError::Io { file, start, end, source }) => {
            Err(FormatError::Io { file, start, end, source })
        }
        Err(_) => Ok(None),
    }
}

/// The tensors that a pickle's result holds, after the hazards of the pickle have been noted.
fn tensors_of(
    outcome: Outcome,
    context: &Context,
    subject: &str,
    base: u64,
    hazards: &mut Hazards,
) -> Result<Vec<Tensor>, FormatError> {
    outcome.report(hazards);
    let pickle = outcome.pickle;
    match outcome.root {
        Ok(root) => walk::tensors(&pickle, root, context, hazards),
        Err(fault) => Err(fault.into_format(context.source, subject, base)),
    }
}

fn subject(name: &str) -> String {
    format!("tensor `{}`", printable(name))
}

/// Interprets bytes as a pickle and walks the result without any storages.
pub(crate) fn fuzz(bytes: &[u8]) -> usize {
    let limits = Limits { pickle_opcodes: 200_000, pickle_nodes: 20_000, ..Limits::default() };
    let file: &[u8] = &[];
    let source = Source::new(&file, "fuzz");
    let mut hazards = Hazards::new("fuzz");
    let place = Place { offset: 0, len: 0 };
    let storages = ["0", "1", "key"].into_iter().map(|key| (key.to_owned(), place)).collect();
    let context = Context { source: &source, file_index: 0, limits: &limits, storages };
    let outcome = machine::run(bytes, 0, &limits);
    let tensors = tensors_of(outcome, &context, "pickle", 0, &mut hazards);
    tensors.map_or(0, |tensors| tensors.len()) + hazards.finish().len()
}
