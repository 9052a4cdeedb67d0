//! `BASE+ADAPTER`: a base with the low-rank change of an adapter, merged while it is read.

use crate::directory::Directory;
use crate::open::{Assembly, OpenOptions, Opened, assemble};
use crate::{CheckpointWeights, SourceError};
use std::path::{Path, PathBuf};
use stemmata_formats::packed::Entry;
use stemmata_formats::{AdapterConfig, Change};
use stemmata_model::{Tensor, printable};

const CONFIG: &str = "adapter_config.json";
const CONFIG_BYTES: u64 = 16 << 20;
const WEIGHTS: [&str; 2] = ["adapter_model.safetensors", "adapter_model.bin"];

/// Base and adapter of a path that does not exist as a whole: the last `+` between two paths that do.
pub(crate) fn split(path: &Path) -> Option<(PathBuf, PathBuf)> {
    let text = path.to_str()?;
    let parts = text.rmatch_indices('+').map(|(at, _)| (Path::new(&text[..at]), Path::new(&text[at + 1..])));
    let mut both = parts.filter(|(base, adapter)| base.exists() && adapter.exists());
    both.next().map(|(base, adapter)| (base.to_owned(), adapter.to_owned()))
}

/// Opens `base` with the adapter in the directory `adapter`.
pub(crate) fn open_merged(
    base: &Path,
    adapter: &Path,
    options: &OpenOptions<'_>,
) -> Result<Opened, SourceError> {
    let opened = assemble(base, options)?.finish();
    let directory = Directory::open(adapter)?;
    let missing = |file: &str| SourceError::NotAnAdapter {
        path: printable(&adapter.display().to_string()),
        file: file.to_owned(),
    };
    let (bytes, id) = directory.read(CONFIG, CONFIG_BYTES)?.ok_or_else(|| missing(CONFIG))?;
    let config = AdapterConfig::parse(&bytes)?;
    let mut assembly = Assembly::new(options);
    assembly.read.push(id);
    let found = WEIGHTS.iter().find(|name| directory.names.iter().any(|n| n == *name));
    let name = found.ok_or_else(|| missing(WEIGHTS[0]))?;
    let path = directory.resolve(name)?.ok_or_else(|| missing(name))?;
    assembly.add(path, (*name).to_owned())?;
    merge(opened, assembly, &config)
}

fn merge(base: Opened, adapter: Assembly<'_>, config: &AdapterConfig) -> Result<Opened, SourceError> {
    let Opened { mut checkpoint, weights, mut hazards, mut undecoded, mut read } = base;
    let (mut entries, mut store) = weights.into_parts();
    let parts = adapter.into_parts();
    let first_file = store.files.len() as u32;
    let moved = |mut tensor: Tensor| {
        tensor.storage.file += first_file;
        tensor
    };
    let changes = config.changes(parts.tensors.into_iter().map(moved).collect(), &checkpoint.tensors)?;
    for (index, change) in changes {
        let tensor = checkpoint.tensors[index].clone();
        if matches!(&change, Change::Add(_))
            && !(tensor.encoding.is_decodable() && tensor.encoding.is_float())
        {
            return Err(SourceError::NotMergeable { tensor: printable(&tensor.name) });
        }
        let entry = std::mem::replace(&mut entries[index], Entry::stored(tensor));
        entries[index] = match change {
            Change::Add(change) => entry.plus(change),
            Change::Replace(tensor) => {
                undecoded.remove(&index);
                Entry::stored(tensor)
            }
        };
    }
    checkpoint.tensors = entries.iter().map(|entry| entry.tensor.clone()).collect();
    // Two files of one name would be told apart by nothing else.
    checkpoint.files.extend(parts.files.into_iter().map(|mut file| {
        file.name.insert(0, '+');
        file
    }));
    store.names.extend(parts.store.names.into_iter().map(|name| format!("+{name}")));
    store.files.extend(parts.store.files);
    hazards.extend(parts.hazards);
    hazards.sort();
    hazards.dedup();
    read.extend(parts.read);
    let weights = CheckpointWeights::new(entries, store);
    Ok(Opened { checkpoint, weights, hazards, undecoded, read })
}
