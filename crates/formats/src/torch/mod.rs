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

pub(crate) use legacy::is_legacy;

use crate::hazards::Hazards;
use crate::source::Source;
use crate::{FormatError, Limits, Parsed, ReadAt};
use machine::Outcome;
use std::collections::HashMap;
use stemmata_model::{Container, Level, Tensor, printable};

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
    let container = if legacy { Container::TorchLegacy } else { Container::TorchZip };
    Ok(Parsed { tensors, ..Parsed::of(container, hazards.finish()) })
}

/// Whether an entry of a zip archive is the pickle that describes the tensors.
pub(crate) use archive::is_pickle;

/// Notes what a pickle that is no checkpoint would import and call.
pub(crate) fn report_pickle(bytes: &[u8], base: u64, limits: &Limits, hazards: &mut Hazards) {
    machine::run(bytes, base, limits).report(hazards);
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
