//! `BASE+ADAPTER`: a base with the low-rank change of an adapter, merged while it is read.

use crate::directory::Directory;
use crate::locate::{Found, Target};
use crate::open::{Assembly, OpenOptions, Opened, assemble};
use crate::{CheckpointWeights, SourceError};
use std::path::{Path, PathBuf};
use stemmata_formats::packed::Entry;
use stemmata_formats::{AdapterConfig, Change};
use stemmata_model::{ModelRef, Tensor, printable};

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
    base: Found,
    adapter: Found,
    options: &OpenOptions<'_>,
) -> Result<Opened, SourceError> {
    let opened = assemble(base, options)?.finish();
    let (directory, shown) = match adapter.target {
        Target::Path(path) => (Directory::open(&path)?, path.display().to_string()),
        #[cfg(feature = "net")]
        Target::Remote(repository) => {
            let (folder, shown) = (repository.file.clone(), repository.resolved.to_string());
            let repository = *repository;
            let repository = match folder {
                Some(folder) => repository.folder(&folder),
                None => repository,
            };
            (Directory::remote(repository), shown)
        }
    };
    let missing = |file: &str| SourceError::NotAnAdapter { path: printable(&shown), file: file.to_owned() };
    let (bytes, id) = directory.read(CONFIG, CONFIG_BYTES)?.ok_or_else(|| missing(CONFIG))?;
    let config = AdapterConfig::parse(&bytes)?;
    let mut assembly = Assembly::new(options);
    assembly.hazards.extend(adapter.hazards);
    assembly.resolved = adapter.resolved;
    assembly.overhead += bytes.len() as u64;
    assembly.read.extend(id);
    let found = WEIGHTS.iter().find(|name| directory.names.iter().any(|n| n == *name));
    let name = found.ok_or_else(|| missing(WEIGHTS[0]))?;
    let file = directory.file(name, options.backend)?.ok_or_else(|| missing(name))?;
    assembly.add(file, (*name).to_owned(), Some(&directory))?;
    merge(opened, assembly, &config)
}

fn merge(base: Opened, adapter: Assembly<'_>, config: &AdapterConfig) -> Result<Opened, SourceError> {
    let Opened { mut checkpoint, weights, mut hazards, mut undecoded, resolved, remote, overhead, mut read } =
        base;
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
    let (base, adapter) = (Box::new(resolved), Box::new(parts.resolved));
    let resolved = ModelRef::Merged { base, adapter };
    let (remote, overhead) = (remote || parts.remote, overhead + parts.overhead);
    Ok(Opened { checkpoint, weights, hazards, undecoded, resolved, remote, overhead, read })
}
