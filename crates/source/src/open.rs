//! Opens a model: finds its files, reads their inventories, checks them against each other.

use crate::directory::{Directory, Layout};
use crate::locate::{Found, Target, locate};
use crate::store::Store;
use crate::stored::StoredFile;
use crate::weights::CheckpointWeights;
use crate::{Access, Backend, FileBytes, FileId, SourceError, merge, pipeline, shards};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use stemmata_formats::packed::{Inventory, inventory};
use stemmata_formats::{Detected, FormatError, Limits, Parsed, ReadAt, detect, parse, parse_shard_map};
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
    /// Where references lead; without it only local paths do.
    pub access: Option<&'a Access>,
    /// Bytes that may be fetched of a model elsewhere, where that is bounded. Opening keeps to what no reading can do without.
    pub budget: Option<u64>,
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
    /// The reference that stands for exactly these bytes, as far as the place where they lie allows.
    pub resolved: ModelRef,
    /// Whether any of its files lies elsewhere and is read over a network.
    pub remote: bool,
    /// Bytes that opening takes over a network: headers, and files beside the weights. A function of the content alone.
    pub overhead: u64,
    pub(crate) read: Vec<FileId>,
}

impl Opened {
    /// The digests that the hub lists for the weight files, if it lists all of them. Nothing was read to check them.
    pub fn listed_digests(&self) -> Option<Vec<crate::FileDigest>> {
        let store = &self.weights.store;
        let listed = store.files.iter().zip(&store.names);
        let listed = listed.map(|(file, name)| {
            let sha256 = file.listed_sha256()?.to_owned();
            Some(crate::FileDigest { name: name.clone(), len: file.len(), sha256 })
        });
        listed.collect()
    }

    /// Whether the file is one of those that the model was read from.
    pub fn was_read_from(&self, file: FileId) -> bool {
        self.read.contains(&file)
    }
}

/// Opens the model that `reference` names. Reads headers and side files only.
pub fn open(reference: &ModelRef, options: &OpenOptions<'_>) -> Result<Opened, SourceError> {
    let nowhere = Access::default();
    let access = options.access.unwrap_or(&nowhere);
    let stopped = |error: SourceError| match options.stop {
        Some(stop) if stop.load(Ordering::Relaxed) => SourceError::Interrupted,
        _ => error.of_fetching(),
    };
    let (base, adapter) = match reference {
        ModelRef::Path(path) => match if path.exists() { None } else { merge::split(path) } {
            Some((base, adapter)) => (Found::path(&base), Some(Found::path(&adapter))),
            None => (locate(reference, access).map_err(stopped)?, None),
        },
        ModelRef::Merged { base, adapter } => {
            let found = |one| locate(one, access).map_err(stopped);
            (found(base)?, Some(found(adapter)?))
        }
        _ => (locate(reference, access).map_err(stopped)?, None),
    };
    let opened = match adapter {
        Some(adapter) => merge::open_merged(base, adapter, options),
        None => assemble(base, options).map(Assembly::finish),
    };
    opened.map_err(stopped)
}

/// Reads the inventories of the files that were found.
pub(crate) fn assemble<'a>(found: Found, options: &'a OpenOptions<'a>) -> Result<Assembly<'a>, SourceError> {
    let mut assembly = match &found.target {
        Target::Path(path) => assemble_path(path, options)?,
        #[cfg(feature = "net")]
        Target::Remote(repository) => assemble_remote(repository, options)?,
    };
    assembly.hazards.extend(found.hazards);
    assembly.resolved = found.resolved;
    Ok(assembly)
}

/// The directory that a repository, or a folder of it, stands for; or the one file that was named.
#[cfg(feature = "net")]
fn assemble_remote<'a>(
    repository: &crate::remote::Repository,
    options: &'a OpenOptions<'a>,
) -> Result<Assembly<'a>, SourceError> {
    let shown = repository.resolved.to_string();
    let Some(name) = &repository.file else {
        return open_directory(&Directory::remote(repository.clone()), &shown, options);
    };
    if !repository.names().any(|listed| listed == name) {
        return open_directory(&Directory::remote(repository.clone().folder(name)), &shown, options);
    }
    let (folder, name) = name.rsplit_once('/').unwrap_or(("", name));
    let repository = if folder.is_empty() { repository.clone() } else { repository.clone().folder(folder) };
    let directory = Directory::remote(repository);
    let file = directory.file(name, options.backend)?;
    let file = file.ok_or_else(|| SourceError::MissingShard { file: printable(name) })?;
    let mut assembly = Assembly::new(options);
    assembly.add(file, name.to_owned(), Some(&directory))?;
    if assembly.container != Some(Container::Gguf) {
        assembly.side_files(&directory);
    }
    assembly.hazards.extend(shards::missing(&assembly.names));
    Ok(assembly)
}

fn assemble_path<'a>(path: &Path, options: &'a OpenOptions<'a>) -> Result<Assembly<'a>, SourceError> {
    let metadata = std::fs::metadata(path).map_err(|source| SourceError::Open {
        path: printable(&path.display().to_string()),
        reason: crate::file::plain(&source),
        source,
    })?;
    if metadata.is_dir() {
        open_directory(&Directory::open(path)?, &path.display().to_string(), options)
    } else {
        open_file(path, options)
    }
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
/// Bytes of the front of a file that are fetched together.
const FRONT: u64 = 128 << 10;
/// Bytes of its end that are looked through for an archive that was appended: its last record and the longest comment.
const TAIL: u64 = 22 + 65_535;

fn open_file<'a>(path: &Path, options: &'a OpenOptions<'a>) -> Result<Assembly<'a>, SourceError> {
    let name = path.file_name().map_or_else(|| "model".into(), |n| n.to_string_lossy().into_owned());
    let mut assembly = Assembly::new(options);
    let parent = path.parent().map(|p| if p.as_os_str().is_empty() { Path::new(".") } else { p });
    let directory = parent.and_then(|p| Directory::open(p).ok());
    assembly.add(StoredFile::Local(FileBytes::open(path, options.backend)?), name, directory.as_ref())?;
    // A config beside a single file describes it; GGUF describes itself.
    if assembly.container != Some(Container::Gguf)
        && let Some(directory) = &directory
    {
        assembly.side_files(directory);
    }
    assembly.hazards.extend(shards::missing(&assembly.names));
    Ok(assembly)
}

/// `shown` is how the directory was named.
fn open_directory<'a>(
    directory: &Directory,
    shown: &str,
    options: &'a OpenOptions<'a>,
) -> Result<Assembly<'a>, SourceError> {
    let mut assembly = Assembly::new(options);
    if !pipeline::add_components(directory, shown, &mut assembly)? {
        add_directory(&mut assembly, directory, shown, "")?;
    }
    assembly.side_files(directory);
    assembly.hazards.extend(directory.hazards());
    Ok(assembly)
}

/// Adds the weight files of a directory. `folder` is empty, or the directory's name in the model with a slash: it is put before the names of
/// files, and before those of tensors with a dot.
pub(crate) fn add_directory(
    assembly: &mut Assembly<'_>,
    directory: &Directory,
    shown: &str,
    folder: &str,
) -> Result<(), SourceError> {
    let options = assembly.options;
    let prefix = folder.replace('/', ".");
    let mut mapped = None;
    let names = match directory.layout() {
        Layout::Nothing => {
            return Err(SourceError::NoWeights { path: printable(shown) });
        }
        Layout::Choice(names) => {
            let first: Vec<String> = names.iter().take(4).map(|n| printable(n)).collect();
            return Err(SourceError::Unsupported {
                reference: format!("{} ({})", printable(shown), first.join(", ")),
                reason: "it holds several whole models; name one file",
            });
        }
        Layout::Files(names) => names,
        Layout::Sharded { map, extension } => {
            let (bytes, id) = directory
                .read(&map, SHARD_MAP_BYTES)?
                .ok_or_else(|| SourceError::MissingShard { file: printable(&map) })?;
            assembly.overhead += bytes.len() as u64;
            assembly.read.extend(id);
            let (shard_map, hazards) = parse_shard_map(&bytes, &map, extension, &options.limits)?;
            assembly.hazards.extend(hazards);
            let mut names: Vec<String> = shard_map.entries.values().cloned().collect();
            names.sort();
            names.dedup();
            assembly.hazards.extend(shards::unindexed(&directory.names, &names, extension));
            let inside = |(tensor, file)| (format!("{prefix}{tensor}"), format!("{folder}{file}"));
            mapped = Some(shard_map.entries.into_iter().map(inside).collect::<BTreeMap<String, String>>());
            names
        }
    };
    if names.len() as u64 > SHARDS {
        let path = printable(shown);
        return Err(SourceError::Limit { path, what: "the number of shards", limit: SHARDS });
    }
    for name in &names {
        assembly.check_stop()?;
        let file = directory.file(name, options.backend)?;
        let file = file.ok_or_else(|| SourceError::MissingShard { file: printable(name) })?;
        assembly.add_as(file, format!("{folder}{name}"), &prefix, Some(directory))?;
    }
    if let Some(entries) = &mapped {
        assembly.check_shard_map(entries);
    }
    assembly.hazards.extend(shards::missing(&names));
    // Beside a shard map, files of the same format have been told of.
    assembly.hazards.extend(directory.left_out(&names, folder, mapped.is_some()));
    Ok(())
}

/// A checkpoint being put together from files.
pub(crate) struct Assembly<'a> {
    pub(crate) options: &'a OpenOptions<'a>,
    container: Option<Container>,
    files: Vec<StoredFile>,
    /// Every file that was opened.
    pub(crate) read: Vec<FileId>,
    names: Vec<String>,
    /// What each file of a split GGUF says: its number, how many there are, how many tensors in all.
    split: Vec<(u64, u64, Option<u64>)>,
    tensors: BTreeMap<String, Tensor>,
    parsed: Option<Parsed>,
    pub(crate) config: Config,
    pub(crate) declared: stemmata_model::Declared,
    pub(crate) tokenizer: Option<stemmata_model::Tokenizer>,
    pub(crate) hazards: Vec<Hazard>,
    pub(crate) resolved: ModelRef,
    /// Bytes of files beside the weights.
    pub(crate) overhead: u64,
}

impl<'a> Assembly<'a> {
    pub(crate) fn new(options: &'a OpenOptions<'a>) -> Assembly<'a> {
        Assembly {
            options,
            container: None,
            files: Vec::new(),
            read: Vec::new(),
            names: Vec::new(),
            split: Vec::new(),
            tensors: BTreeMap::new(),
            parsed: None,
            config: Config::default(),
            declared: Default::default(),
            tokenizer: None,
            hazards: Vec::new(),
            resolved: ModelRef::Path(Default::default()),
            overhead: 0,
        }
    }

    /// Whether its weights are GGUF.
    pub(crate) fn is_gguf(&self) -> bool {
        self.container == Some(Container::Gguf)
    }

    /// Whether it has tensors that are named as factors of low-rank changes are.
    pub(crate) fn has_factors(&self) -> bool {
        let factors = ["lora_down", "lora_A", "lora.down"];
        self.tensors.keys().any(|name| factors.iter().any(|factor| name.contains(factor)))
    }

    fn check_stop(&self) -> Result<(), SourceError> {
        match self.options.stop {
            Some(stop) if stop.load(Ordering::Relaxed) => Err(SourceError::Interrupted),
            _ => Ok(()),
        }
    }

    /// Reads the inventory of one file. `beside` is where the files lie that it may say hold numbers of its tensors.
    pub(crate) fn add(
        &mut self,
        file: StoredFile,
        name: String,
        beside: Option<&Directory>,
    ) -> Result<(), SourceError> {
        self.add_as(file, name, "", beside)
    }

    /// The same, with `prefix` before the names of its tensors.
    fn add_as(
        &mut self,
        file: StoredFile,
        name: String,
        prefix: &str,
        beside: Option<&Directory>,
    ) -> Result<(), SourceError> {
        self.check_stop()?;
        let shown = printable(&name);
        let index = self.files.len() as u32;
        let mut parsed = parse(&file, &name, index, &self.options.limits)?;
        self.check_extension(&file, &shown)?;
        let outside = self.outside(&parsed, index, beside)?;
        for mut tensor in std::mem::take(&mut parsed.tensors) {
            tensor.name.insert_str(0, prefix);
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
        if let Some(count) = parsed.config.count("split.count").filter(|count| *count > 1) {
            self.split.push((
                parsed.config.count("split.no").unwrap_or(0),
                count,
                parsed.config.count("split.tensors.count"),
            ));
        }
        let derived = std::mem::take(&mut parsed.derived);
        let external = std::mem::take(&mut parsed.external);
        if self.parsed.is_none() {
            self.config = std::mem::take(&mut parsed.config);
            self.declared = std::mem::take(&mut parsed.declared);
            self.tokenizer = parsed.tokenizer.take();
            self.parsed = Some(parsed);
        }
        self.read.extend(file.id());
        self.files.push(if derived.is_empty() { file } else { StoredFile::Derived(Box::new(file), derived) });
        self.names.push(name);
        self.read.extend(outside.iter().filter_map(StoredFile::id));
        self.files.extend(outside);
        self.names.extend(external);
        Ok(())
    }

    /// Opens the files that hold numbers of the tensors of file `index`, and compares the ranges with what is there.
    fn outside(
        &self,
        parsed: &Parsed,
        index: u32,
        beside: Option<&Directory>,
    ) -> Result<Vec<StoredFile>, SourceError> {
        let missing = |name: &String| SourceError::MissingShard { file: printable(name) };
        let open = |name: &String| {
            beside
                .ok_or_else(|| missing(name))?
                .file(name, self.options.backend)?
                .ok_or_else(|| missing(name))
        };
        let files = parsed.external.iter().map(open).collect::<Result<Vec<StoredFile>, SourceError>>()?;
        for tensor in parsed.tensors.iter().filter(|tensor| tensor.storage.file > index) {
            let place = (tensor.storage.file - index - 1) as usize;
            let (Some(file), Some(name)) = (files.get(place), parsed.external.get(place)) else { continue };
            let (start, available) = (tensor.storage.offset, file.len());
            let end = start.saturating_add(tensor.storage.len);
            if end > available {
                return Err(SourceError::Format(FormatError::Truncated {
                    file: printable(name),
                    subject: format!("tensor `{}`", printable(&tensor.name)),
                    start,
                    end,
                    place: "the file",
                    available,
                }));
            }
        }
        Ok(files)
    }

    fn check_extension(&mut self, file: &StoredFile, name: &str) -> Result<(), SourceError> {
        let expected: &[&str] = match detect(file)? {
            Detected::Safetensors => &["safetensors"],
            Detected::Gguf => &["gguf"],
            Detected::Npy => &["npy"],
            Detected::Npz => &["npz"],
            Detected::Onnx => &["onnx", "pb"],
            Detected::Msgpack => &["msgpack", "flax"],
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
        let files: Vec<FileEntry> =
            files.map(|(name, f)| FileEntry { name: name.clone(), len: f.len() }).collect();
        let remote = self.files.iter().any(StoredFile::is_remote);
        // A header ends where the first tensor begins; the front is fetched as one piece.
        let mut headers: Vec<u64> = files.iter().map(|f| f.len).collect();
        for tensor in self.tensors.values() {
            let header = &mut headers[tensor.storage.file as usize];
            *header = (*header).min(tensor.storage.offset);
        }
        let headers: u64 = headers.iter().zip(&files).map(|(h, f)| ((*h).max(FRONT) + TAIL).min(f.len)).sum();
        Parts {
            remote,
            overhead: headers + self.overhead,
            resolved: self.resolved,
            files,
            tensors: self.tensors.into_values().collect(),
            store: Store { files: self.files, names, read: Default::default() },
            hazards: self.hazards,
            read: self.read,
        }
    }

    /// Whether the files of a split GGUF belong together, as far as they say.
    fn check_split(&mut self) {
        let Some((_, count, tensors)) = self.split.first().copied() else { return };
        let numbers: Vec<u64> = self.split.iter().map(|(number, _, _)| *number).collect();
        let alike = self.split.iter().all(|(_, of, all)| *of == count && (all.is_none() || *all == tensors));
        let whole =
            numbers.len() as u64 == count && (0..count).zip(&numbers).all(|(due, number)| due == *number);
        let held = self.tensors.len() as u64;
        let message = if !alike {
            "the files count themselves or their tensors differently: they are parts of different models"
                .to_owned()
        } else if !whole {
            format!(
                "{} of {count} files were read, and their numbers are not 0 to {}",
                numbers.len(),
                count - 1
            )
        } else if tensors.is_some_and(|tensors| tensors != held) {
            format!("the files hold {held} tensors and say that they hold {}", tensors.unwrap_or(0))
        } else {
            return;
        };
        let subject = self.names.first().map(|name| printable(name)).unwrap_or_default();
        self.hazards.push(Hazard { code: "mismatched-shards", level: Level::Warning, subject, message });
    }

    /// Puts packed tensors together.
    pub(crate) fn finish(mut self) -> Opened {
        self.check_split();
        let container = self.container.expect("at least one file was parsed");
        let (config, declared) = (std::mem::take(&mut self.config), std::mem::take(&mut self.declared));
        let tokenizer = self.tokenizer.take();
        let Parts { files, tensors, store, mut hazards, read, remote, overhead, resolved } =
            self.into_parts();
        hazards.sort();
        hazards.dedup();
        let Inventory { entries, undecoded } = inventory(tensors, &config, &store);
        let weights = CheckpointWeights::new(entries, store);
        let tensors = weights.tensors().to_vec();
        let checkpoint = Checkpoint { container, files, tensors, config, declared, tokenizer };
        Opened { checkpoint, weights, hazards, undecoded, resolved, remote, overhead, read }
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
    pub(crate) remote: bool,
    pub(crate) overhead: u64,
    pub(crate) resolved: ModelRef,
}
