//! Opens a model: finds its files, reads their inventories, checks them against each other.

use crate::directory::{Directory, Layout};
use crate::store::Store;
use crate::weights::CheckpointWeights;
use crate::{Backend, FileBytes, FileId, SourceError, merge, shards};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use stemmata_formats::packed::{Inventory, inventory};
use stemmata_formats::{Detected, Limits, Parsed, ReadAt, detect, parse, parse_shard_map};
use stemmata_model::{
    Checkpoint, Config, Container, FileEntry, Hazard, Level, ModelRef, Tensor, Weights, printable,
};

/// How to open.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions<'a> {
    /// How bytes are fetched.
    pub backend: Backend,
    /// Bounds on hostile input.
    pub limits: Limits,
    /// Raised by the caller to stop.
    pub stop: Option<&'a AtomicBool>,
}

/// An open model.
pub struct Opened {
    /// Inventory, configuration, claims.
    pub checkpoint: Checkpoint,
    /// Its numbers.
    pub weights: CheckpointWeights,
    /// Dangerous or odd things seen on the way, sorted.
    pub hazards: Vec<Hazard>,
    /// Tensors (by index) that look like packed weights and cannot be decoded, and why.
    pub undecoded: BTreeMap<usize, &'static str>,
    pub(crate) read: Vec<FileId>,
}

impl Opened {
    /// Whether the file is one of those that the model was read from.
    pub fn was_read_from(&self, file: FileId) -> bool {
        self.read.contains(&file)
    }
}

/// Opens the model that `reference` names. Reads headers and side files only.
pub fn open(reference: &ModelRef, options: &OpenOptions<'_>) -> Result<Opened, SourceError> {
    let unsupported =
        |reason| Err(SourceError::Unsupported { reference: printable(&reference.to_string()), reason });
    match reference {
        ModelRef::Path(path) => {
            let merged = if path.exists() { None } else { merge::split(path) };
            match merged {
                Some((base, adapter)) => merge::open_merged(&base, &adapter, options),
                None => Ok(assemble(path, options)?.finish()),
            }
        }
        ModelRef::Hub { .. } => unsupported("this build reads local files only"),
        _ => unsupported("this build reads local files only"),
    }
}

/// Reads the inventories of the files that `path` stands for.
pub(crate) fn assemble<'a>(path: &Path, options: &'a OpenOptions<'a>) -> Result<Assembly<'a>, SourceError> {
    let metadata = std::fs::metadata(path).map_err(|source| SourceError::Open {
        path: printable(&path.display().to_string()),
        reason: crate::file::plain(&source),
        source,
    })?;
    if metadata.is_dir() { open_directory(path, options) } else { open_file(path, options) }
}

/// The first `len` bytes of a regular file (fewer if it is shorter). For telling a saved sketch from weights.
pub fn read_prefix(path: &Path, len: usize) -> Result<Vec<u8>, SourceError> {
    FileBytes::open(path, Backend::Read)?.front(&path.display().to_string(), len as u64)
}

/// A whole regular file of at most `limit` bytes.
pub fn read_whole(path: &Path, limit: u64) -> Result<Vec<u8>, SourceError> {
    FileBytes::open(path, Backend::Read)?.whole(&path.display().to_string(), limit)
}

const SHARD_MAP_BYTES: u64 = 64 << 20;
const SHARDS: u64 = 10_000;

fn open_file<'a>(path: &Path, options: &'a OpenOptions<'a>) -> Result<Assembly<'a>, SourceError> {
    let name = path.file_name().map_or_else(|| "model".into(), |n| n.to_string_lossy().into_owned());
    let mut assembly = Assembly::new(options);
    assembly.add(path.to_owned(), name)?;
    // A config beside a single file describes it; GGUF describes itself.
    let parent = path.parent().map(|p| if p.as_os_str().is_empty() { Path::new(".") } else { p });
    if assembly.container != Some(Container::Gguf)
        && let Some(directory) = parent.and_then(|p| Directory::open(p).ok())
    {
        assembly.side_files(&directory);
    }
    assembly.hazards.extend(shards::missing(&assembly.names));
    Ok(assembly)
}

fn open_directory<'a>(path: &Path, options: &'a OpenOptions<'a>) -> Result<Assembly<'a>, SourceError> {
    let directory = Directory::open(path)?;
    let mut assembly = Assembly::new(options);
    let mut mapped = None;
    let names = match directory.layout() {
        Layout::Nothing => {
            return Err(SourceError::NoWeights { path: printable(&path.display().to_string()) });
        }
        Layout::Choice(names) => {
            let shown: Vec<String> = names.iter().take(4).map(|n| printable(n)).collect();
            return Err(SourceError::Unsupported {
                reference: format!("{} ({})", printable(&path.display().to_string()), shown.join(", ")),
                reason: "it holds several whole models; name one file",
            });
        }
        Layout::Files(names) => names,
        Layout::Sharded { map, extension } => {
            let (bytes, id) = directory
                .read(&map, SHARD_MAP_BYTES)?
                .ok_or_else(|| SourceError::MissingShard { file: printable(&map) })?;
            assembly.read.push(id);
            let (shard_map, hazards) = parse_shard_map(&bytes, &map, extension, &options.limits)?;
            assembly.hazards.extend(hazards);
            let mut names: Vec<String> = shard_map.entries.values().cloned().collect();
            names.sort();
            names.dedup();
            assembly.hazards.extend(shards::unindexed(&directory.names, &names, extension));
            mapped = Some(shard_map);
            names
        }
    };
    if names.len() as u64 > SHARDS {
        let path = printable(&path.display().to_string());
        return Err(SourceError::Limit { path, what: "the number of shards", limit: SHARDS });
    }
    for name in &names {
        let path =
            directory.resolve(name)?.ok_or_else(|| SourceError::MissingShard { file: printable(name) })?;
        assembly.add(path, name.clone())?;
    }
    if let Some(map) = mapped {
        assembly.check_shard_map(&map.entries);
    }
    assembly.hazards.extend(shards::missing(&names));
    assembly.side_files(&directory);
    assembly.hazards.extend(directory.hazards());
    Ok(assembly)
}

/// A checkpoint being put together from files.
pub(crate) struct Assembly<'a> {
    options: &'a OpenOptions<'a>,
    container: Option<Container>,
    files: Vec<FileBytes>,
    /// Every file that was opened.
    pub(crate) read: Vec<FileId>,
    names: Vec<String>,
    tensors: BTreeMap<String, Tensor>,
    parsed: Option<Parsed>,
    pub(crate) config: Config,
    pub(crate) declared: stemmata_model::Declared,
    pub(crate) tokenizer: Option<stemmata_model::Tokenizer>,
    pub(crate) hazards: Vec<Hazard>,
}

impl<'a> Assembly<'a> {
    pub(crate) fn new(options: &'a OpenOptions<'a>) -> Assembly<'a> {
        Assembly {
            options,
            container: None,
            files: Vec::new(),
            read: Vec::new(),
            names: Vec::new(),
            tensors: BTreeMap::new(),
            parsed: None,
            config: Config::default(),
            declared: Default::default(),
            tokenizer: None,
            hazards: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, path: PathBuf, name: String) -> Result<(), SourceError> {
        if self.options.stop.is_some_and(|stop| stop.load(Ordering::Relaxed)) {
            return Err(SourceError::Interrupted);
        }
        let file = FileBytes::open(&path, self.options.backend)?;
        let shown = printable(&name);
        let index = self.files.len() as u32;
        let mut parsed = parse(&file, &name, index, &self.options.limits)?;
        self.check_extension(&file, &shown)?;
        for tensor in std::mem::take(&mut parsed.tensors) {
            if let Some(other) = self.tensors.get(&tensor.name) {
                return Err(SourceError::TensorTwice {
                    tensor: printable(&tensor.name),
                    first: printable(&self.names[other.storage.file as usize]),
                    second: shown,
                });
            }
            self.tensors.insert(tensor.name.clone(), tensor);
        }
        self.hazards.append(&mut parsed.hazards);
        self.container.get_or_insert(parsed.container);
        if self.parsed.is_none() {
            self.config = std::mem::take(&mut parsed.config);
            self.declared = std::mem::take(&mut parsed.declared);
            self.tokenizer = parsed.tokenizer.take();
            self.parsed = Some(parsed);
        }
        self.read.push(file.id());
        self.files.push(file);
        self.names.push(name);
        Ok(())
    }

    fn check_extension(&mut self, file: &FileBytes, name: &str) -> Result<(), SourceError> {
        let expected: &[&str] = match detect(file)? {
            Detected::Safetensors => &["safetensors"],
            Detected::Gguf => &["gguf"],
            Detected::TorchZip | Detected::TorchLegacy => &["bin", "pt", "pth", "ckpt", "pkl", "model"],
            _ => &[],
        };
        let extension = Path::new(name).extension().map(|e| e.to_string_lossy().to_lowercase());
        // Blobs of hub caches have no extension; that is no lie.
        if let Some(extension) = extension.filter(|e| e.len() <= 12 && !expected.contains(&e.as_str())) {
            self.hazards.push(Hazard {
                code: "extension-lies",
                level: Level::Warning,
                subject: name.to_owned(),
                message: format!(
                    "the name ends in `.{extension}`, the content is {}",
                    expected.first().unwrap_or(&"something else")
                ),
            });
        }
        Ok(())
    }

    fn check_shard_map(&mut self, entries: &BTreeMap<String, String>) {
        let mut warn = |code, subject: &str, message: String| {
            self.hazards.push(Hazard { code, level: Level::Warning, subject: printable(subject), message });
        };
        for (tensor, file) in entries {
            match self.tensors.get(tensor) {
                None => warn(
                    "missing-tensor",
                    tensor,
                    format!("the shard map places it in `{}`, where it is not", printable(file)),
                ),
                Some(found) if self.names[found.storage.file as usize] != *file => {
                    let actual = printable(&self.names[found.storage.file as usize]);
                    warn(
                        "misplaced-tensor",
                        tensor,
                        format!("the shard map places it in `{}`, it is in `{actual}`", printable(file)),
                    );
                }
                Some(_) => {}
            }
        }
        for tensor in self.tensors.keys().filter(|t| !entries.contains_key(*t)) {
            warn(
                "ghost-tensor",
                tensor,
                "it is in a shard but not in the shard map; loaders differ on it".to_owned(),
            );
        }
    }

    /// What was read, as it is stored.
    pub(crate) fn into_parts(self) -> Parts {
        let names = self.names.iter().map(|name| printable(name)).collect();
        let files = self.names.iter().zip(&self.files);
        let files = files.map(|(name, f)| FileEntry { name: name.clone(), len: f.len() }).collect();
        Parts {
            files,
            tensors: self.tensors.into_values().collect(),
            store: Store { files: self.files, names, read: Default::default() },
            hazards: self.hazards,
            read: self.read,
        }
    }

    /// Puts packed tensors together.
    pub(crate) fn finish(mut self) -> Opened {
        let container = self.container.expect("at least one file was parsed");
        let (config, declared) = (std::mem::take(&mut self.config), std::mem::take(&mut self.declared));
        let tokenizer = self.tokenizer.take();
        let Parts { files, tensors, store, mut hazards, read } = self.into_parts();
        hazards.sort();
        hazards.dedup();
        let Inventory { entries, undecoded } = inventory(tensors, &config, &store);
        let weights = CheckpointWeights::new(entries, store);
        let tensors = weights.tensors().to_vec();
        let checkpoint = Checkpoint { container, files, tensors, config, declared, tokenizer };
        Opened { checkpoint, weights, hazards, undecoded, read }
    }
}

/// The files of a checkpoint and what lies in them.
pub(crate) struct Parts {
    pub(crate) files: Vec<FileEntry>,
    /// In name order.
    pub(crate) tensors: Vec<Tensor>,
    pub(crate) store: Store,
    pub(crate) hazards: Vec<Hazard>,
    pub(crate) read: Vec<FileId>,
}
