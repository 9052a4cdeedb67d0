//! The zip container of PyTorch 1.6 and later.

use super::{Context, Place, machine, tensors_of};
use crate::hazards::Hazards;
use crate::source::Source;
use crate::zip::{self, Entry};
use crate::{FormatError, Limits};
use stemmata_model::{Level, Tensor, printable};

const PICKLE: &str = "data.pkl";
const STORED: u16 = 0;

/// Whether an entry is the pickle that describes the tensors.
pub(crate) fn is_pickle(name: &str) -> bool {
    name == PICKLE || name.strip_suffix(PICKLE).is_some_and(|root| root.ends_with('/'))
}

/// Reads the tensors of an archive.
pub(super) fn read(
    source: &Source,
    file_index: u32,
    limits: &Limits,
    hazards: &mut Hazards,
) -> Result<Vec<Tensor>, FormatError> {
    let Some(end) = zip::find_end(source)? else {
        return Err(FormatError::Truncated {
            file: source.name.clone(),
            subject: "the zip directory, which stands at the end,".into(),
            start: 0,
            end: source.len.saturating_add(1),
            place: "the file",
            available: source.len,
        });
    };
    let mut entries = zip::directory(source, &end, limits, hazards)?;
    zip::locate(source, &end, &mut entries, hazards)?;
    let mut pickles = entries.iter().filter(|entry| is_pickle(&entry.name));
    let Some(pickle) = pickles.next() else {
        return Err(FormatError::Unknown {
            file: source.name.clone(),
            seen: "zip archive without `data.pkl`",
        });
    };
    if let Some(second) = pickles.next() {
        let range = second.local..second.data + second.packed;
        let subject = format!("zip entry `{}`", printable(&second.name));
        return Err(source.malformed(
            subject,
            range,
            "a second `data.pkl`: readers disagree on which counts",
        ));
    }
    let root = pickle.name.strip_suffix(PICKLE).unwrap_or_default();
    side_entries(source, root, &entries, hazards)?;
    let bytes = content(source, pickle, limits.pickle_bytes)?;
    if zip::crc32(&bytes) != pickle.crc {
        hazards.part("zip-checksum", Level::Warning, &pickle.name, || {
            "the content does not match its checksum: some readers refuse the file, some do not look".into()
        });
    }
    let prefix = format!("{root}data/");
    let mut context = Context { source, file_index, limits, storages: Default::default() };
    let mut packed = None;
    for entry in &entries {
        let Some(key) = entry.name.strip_prefix(&prefix) else { continue };
        if entry.method != STORED || entry.packed != entry.size {
            packed = Some(entry);
            continue;
        }
        context.storages.insert(key.to_owned(), Place { offset: entry.data, len: entry.size });
    }
    let outcome = machine::run(&bytes, pickle.data, limits);
    if outcome.root.is_ok() && outcome.end < bytes.len() {
        hazards.part("pickle-trailing", Level::Warning, &pickle.name, || {
            format!("{} bytes stand behind the end of the pickle", bytes.len() - outcome.end)
        });
    }
    if let Some(entry) = packed {
        outcome.report(hazards);
        return Err(compressed(source, entry));
    }
    tensors_of(outcome, &context, "the pickle", pickle.data, hazards)
}

/// Looks at the entries beside pickle and storages.
fn side_entries(
    source: &Source,
    root: &str,
    entries: &[Entry],
    hazards: &mut Hazards,
) -> Result<(), FormatError> {
    let code = format!("{root}code/");
    if let Some(entry) = entries.iter().find(|entry| entry.name.starts_with(&code)) {
        hazards.part("torchscript-code", Level::Danger, &entry.name, || {
            "the archive holds TorchScript code, which a loader may run".into()
        });
    }
    if let Some(other) = entries.iter().find(|entry| !entry.name.starts_with(root)) {
        hazards.part("zip-stray-entry", Level::Note, &other.name, || {
            format!("the entry lies outside the archive's root `{}`", printable(root))
        });
    }
    let order = format!("{root}byteorder");
    if let Some(entry) = entries.iter().find(|entry| entry.name == order) {
        let bytes = content(source, entry, 64)?;
        if bytes.trim_ascii() != b"little" {
            let order = String::from_utf8_lossy(&bytes);
            return Err(source.unsupported(
                format!("byte order `{}`", printable(&order)),
                "only little-endian storages are read",
            ));
        }
    }
    Ok(())
}

/// The bytes of a stored entry.
fn content(source: &Source, entry: &Entry, limit: u64) -> Result<Vec<u8>, FormatError> {
    let subject = format!("zip entry `{}`", printable(&entry.name));
    if entry.method != STORED || entry.packed != entry.size {
        return Err(compressed(source, entry));
    }
    if entry.size > limit {
        return Err(source.limit(format!("{subject} in bytes"), entry.size, limit));
    }
    source.read(entry.data, entry.size, &subject)
}

fn compressed(source: &Source, entry: &Entry) -> FormatError {
    let subject = format!("zip entry `{}` with method {}", printable(&entry.name), entry.method);
    source.unsupported(subject, "only entries stored without compression are read, as PyTorch writes them")
}
