//! `BASE+ADAPTER`: a base with the low-rank change of an adapter, merged while it is read.

use crate::directory::{Directory, Layout};
use crate::locate::{Found, Target};
use crate::open::{Assembly, OpenOptions, Opened, assemble};
use crate::{CheckpointWeights, SourceError};
use std::path::{Path, PathBuf};
use stemmata_formats::packed::{Entry, Pieces};
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
    let (directory, shown, named) = match adapter.target {
        Target::Path(path) if path.is_file() => {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            (Directory::open(parent.unwrap_or(Path::new(".")))?, path.display().to_string(), name)
        }
        Target::Path(path) => (Directory::open(&path)?, path.display().to_string(), None),
        #[cfg(feature = "net")]
        Target::Remote(repository) => {
            let (folder, shown) = (repository.file.clone(), repository.resolved.to_string());
            let repository = *repository;
            let repository = match folder {
                Some(folder) => repository.folder(&folder),
                None => repository,
            };
            (Directory::remote(repository), shown, None)
        }
    };
    let missing = |file: &str| SourceError::NotAnAdapter { path: printable(&shown), file: file.to_owned() };
    let settings = match &named {
        // A file that was named speaks for itself, unless it is the one that its configuration is for.
        Some(name) if !WEIGHTS.contains(&name.as_str()) => None,
        _ => directory.read(CONFIG, CONFIG_BYTES)?,
    };
    let mut assembly = Assembly::new(options);
    assembly.hazards.extend(adapter.hazards);
    assembly.resolved = adapter.resolved;
    let config = match settings {
        Some((bytes, id)) => {
            assembly.overhead += bytes.len() as u64;
            assembly.read.extend(id);
            Some(AdapterConfig::parse(&bytes)?)
        }
        None => None,
    };
    let name = match named {
        Some(name) => name,
        None if config.is_some() => {
            let found = WEIGHTS.iter().find(|name| directory.names.iter().any(|n| n == *name));
            (*found.ok_or_else(|| missing(WEIGHTS[0]))?).to_owned()
        }
        // Without a configuration the one file of factors there is.
        None => match directory.layout() {
            Layout::Files(names) if names.len() == 1 => {
                names.into_iter().next().ok_or_else(|| missing(CONFIG))?
            }
            _ => return Err(missing(CONFIG)),
        },
    };
    let file = directory.file(&name, options.backend)?.ok_or_else(|| missing(&name))?;
    assembly.add(file, name, Some(&directory))?;
    let config = match config {
        Some(config) => config,
        None if assembly.is_gguf() => AdapterConfig::of_gguf(&assembly.config)?,
        None if assembly.has_factors() => AdapterConfig::bare(),
        None => return Err(missing(CONFIG)),
    };
    merge(opened, assembly, config)
}

fn merge(base: Opened, adapter: Assembly<'_>, mut config: AdapterConfig) -> Result<Opened, SourceError> {
    let Opened { mut checkpoint, weights, mut hazards, mut undecoded, resolved, remote, overhead, mut read } =
        base;
    let (mut entries, mut store) = weights.into_parts();
    let parts = adapter.into_parts();
    for tensor in &parts.tensors {
        if let Some(module) = AdapterConfig::alpha_of(tensor) {
            let mut alpha = [0.0];
            let read = parts.store.values(tensor, 0, &mut alpha);
            read.map_err(|_| SourceError::NotMergeable { tensor: printable(&tensor.name) })?;
            config.set_alpha(module, alpha[0]);
        }
    }
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
            Change::Add(change) => entry.plus(*change),
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
