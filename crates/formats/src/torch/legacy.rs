//! The stream format of PyTorch 0.1.10 to 1.5: five pickles, then the storages back to back.

use super::arena::{Id, Pickle, Value};
use super::machine::{Outcome, run};
use super::tensor::{KEY_BYTES, reference};
use super::{Context, Place, tensors_of};
use crate::hazards::Hazards;
use crate::source::Source;
use crate::{FormatError, Limits};
use std::collections::HashMap;
use stemmata_model::{Level, Tensor, printable};

/// `LONG1` of the ten bytes of 0x1950a86a20f9469cfc6c, then `STOP`: the first pickle behind its protocol.
const MAGIC: &[u8] = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.";
const PROTOCOL: i64 = 1001;
/// The first look at a pickle of unknown length.
const WINDOW: u64 = 1 << 20;

/// Whether a file that starts like this is a legacy stream.
pub(crate) fn is_legacy(head: &[u8]) -> bool {
    head.first() == Some(&0x80) && head.get(2..).is_some_and(|rest| rest.starts_with(MAGIC))
}

/// Interprets the pickle at `start` and hands its outcome on, with the position behind it.
fn pickle_at<T>(
    source: &Source,
    start: u64,
    limits: &Limits,
    mut then: impl FnMut(Outcome, u64) -> Result<T, FormatError>,
) -> Result<T, FormatError> {
    let most = (source.len - start).min(limits.pickle_bytes);
    let mut window = WINDOW.min(most);
    loop {
        let bytes = source.read(start, window, "a pickle")?;
        let outcome = run(&bytes, start, limits);
        if outcome.wants_more() && window < most {
            window = (window * 8).min(most);
            continue;
        }
        let end = start + outcome.end as u64;
        return then(outcome, end);
    }
}

/// Reads the tensors of a legacy stream.
pub(super) fn read(
    source: &Source,
    file_index: u32,
    limits: &Limits,
    hazards: &mut Hazards,
) -> Result<Vec<Tensor>, FormatError> {
    let mut position = 2 + MAGIC.len() as u64;
    position = pickle_at(source, position, limits, |outcome, end| {
        outcome.report(hazards);
        let root = result(&outcome, source, "the protocol version", position)?;
        match outcome.pickle.int(root) {
            Some(PROTOCOL) => Ok(end),
            _ => {
                let version = outcome.pickle.sketch(root, 1);
                Err(source.unsupported(format!("protocol version {version}"), "only 1001 is known"))
            }
        }
    })?;
    position = pickle_at(source, position, limits, |outcome, end| {
        outcome.report(hazards);
        let root = result(&outcome, source, "the system description", position)?;
        little_endian(&outcome.pickle, root, source).map(|()| end)
    })?;
    // The storages lie behind the pickle that names them: find them first, then read the tensors.
    let object = position;
    let mut classes = HashMap::new();
    let keys_at = pickle_at(source, object, limits, |outcome, end| {
        if let Err(fault) = &outcome.root {
            outcome.report(hazards);
            return Err(fault.clone().into_format(source, "the pickle", object));
        }
        classes = storage_classes(&outcome.pickle, source, object)?;
        Ok(end)
    })?;
    let mut keys = Vec::new();
    let located = pickle_at(source, keys_at, limits, |outcome, end| {
        outcome.report(hazards);
        let root = result(&outcome, source, "the list of storages", keys_at)?;
        keys = storage_keys(&outcome.pickle, root, source, keys_at..end)?;
        Ok(end)
    })
    .and_then(|data| storages(source, data, &keys, &classes, hazards));
    pickle_at(source, object, limits, |outcome, _| match &located {
        Ok(storages) => {
            let context = Context { source, file_index, limits, storages: storages.clone() };
            tensors_of(outcome, &context, "the pickle", object, hazards)
        }
        Err(_) => {
            outcome.report(hazards);
            Ok(Vec::new())
        }
    })
    .and_then(|tensors| located.map(|_| tensors))
}

fn result(outcome: &Outcome, source: &Source, subject: &str, base: u64) -> Result<Id, FormatError> {
    outcome.root.clone().map_err(|fault| fault.into_format(source, subject, base))
}

fn little_endian(pickle: &Pickle, root: Id, source: &Source) -> Result<(), FormatError> {
    let Value::Dict(pairs) = pickle.get(root) else { return Ok(()) };
    let big = pairs.iter().any(|(key, value)| {
        pickle.is_text(*key, "little_endian") && matches!(pickle.get(*value), Value::Bool(false))
    });
    if big {
        return Err(source.unsupported("byte order `big`", "only little-endian storages are read"));
    }
    Ok(())
}

/// Bytes of one element, by storage key.
fn storage_classes(pickle: &Pickle, source: &Source, base: u64) -> Result<HashMap<String, u64>, FormatError> {
    let mut classes = HashMap::new();
    for id in &pickle.persistent {
        // Odd references are reported with the pickle; a tensor that uses one is refused there.
        let Ok(reference) = reference(pickle, *id) else { continue };
        let width = reference.element.1;
        if let Some(other) = classes.insert(reference.key.clone(), width).filter(|other| *other != width) {
            let subject = format!("storage `{}`", printable(&reference.key));
            let reason = format!("it is named with elements of {other} and of {width} bytes");
            return Err(source.malformed(subject, base..source.len, reason));
        }
    }
    Ok(classes)
}

fn storage_keys(
    pickle: &Pickle,
    root: Id,
    source: &Source,
    range: std::ops::Range<u64>,
) -> Result<Vec<String>, FormatError> {
    let fail = || source.malformed("the list of storages", range.clone(), "not a list of keys");
    let items = pickle.items(root).ok_or_else(fail)?;
    let key = |id: &Id| match pickle.get(*id) {
        Value::Int(number) => Some(number.to_string()),
        _ => pickle.short_text(*id, KEY_BYTES).map(|text| text.into_owned()),
    };
    items.iter().map(|id| key(id).ok_or_else(fail)).collect()
}

/// Walks the storages from `position` on: a count of elements, then the elements.
fn storages(
    source: &Source,
    mut position: u64,
    keys: &[String],
    classes: &HashMap<String, u64>,
    hazards: &mut Hazards,
) -> Result<HashMap<String, Place>, FormatError> {
    let mut storages = HashMap::new();
    for key in keys {
        let subject = format!("storage `{}`", printable(key));
        let Some(width) = classes.get(key) else {
            let range = position..source.len;
            return Err(source.malformed(
                subject,
                range,
                "no tensor refers to it, so that its size is unknown",
            ));
        };
        let count = i64::from_le_bytes(source.array(position, &subject)?);
        let len = u64::try_from(count).ok().and_then(|count| count.checked_mul(*width));
        let Some(len) = len else {
            return Err(source.malformed(
                subject,
                position..position + 8,
                format!("it claims {count} elements"),
            ));
        };
        let offset = position + 8;
        position = source.end(offset, len, &subject)?;
        if storages.insert(key.clone(), Place { offset, len }).is_some() {
            return Err(source.malformed(subject, offset..position, "the key occurs twice"));
        }
    }
    if position != source.len {
        hazards.file("trailing-bytes", Level::Warning, || {
            format!("bytes {position}..{} behind the last storage belong to no tensor", source.len)
        });
    }
    Ok(storages)
}
