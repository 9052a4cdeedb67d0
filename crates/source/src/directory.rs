//! What lies in a checkpoint's directory, and which of it may be opened.

use crate::file::plain;
use crate::shards::numbered;
use crate::stored::StoredFile;
use crate::{Backend, FileBytes, FileId, SourceError};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use stemmata_model::{Hazard, Level, printable};

/// Entries looked at, at most.
const ENTRIES: u64 = 20_000;

/// A directory that checkpoint files are taken from. Nothing outside it is opened, except what a hub cache links to.
pub(crate) struct Directory {
    place: Place,
    /// Names of all plain entries, sorted.
    pub(crate) names: Vec<String>,
}

enum Place {
    Local {
        root: PathBuf,
        /// `blobs` of the hub cache entry that the root is a snapshot of.
        blobs: Option<PathBuf>,
    },
    #[cfg(feature = "net")]
    Remote(crate::remote::Repository),
}

/// Bytes of a file beside the weights, and which file of this machine they are from.
pub(crate) type SideFile = (Vec<u8>, Option<FileId>);

/// The weight files of a directory, by how they are put together.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// A shard map and the extension its shards must have.
    Sharded { map: String, extension: &'static str },
    /// Files that together, or alone, hold the weights.
    Files(Vec<String>),
    /// Several files of which each is a whole model.
    Choice(Vec<String>),
    /// Nothing.
    Nothing,
}

impl Directory {
    pub(crate) fn open(path: &Path) -> Result<Directory, SourceError> {
        Directory::open_in(path, None)
    }

    /// `blobs` is that of the hub cache entry that the directory is a folder of.
    fn open_in(path: &Path, blobs: Option<PathBuf>) -> Result<Directory, SourceError> {
        let name = printable(&path.display().to_string());
        let fail =
            |source: std::io::Error| SourceError::Open { path: name.clone(), reason: plain(&source), source };
        let root = path.canonicalize().map_err(fail)?;
        // The hub's cache: models--org--name/snapshots/<commit>/file -> ../../blobs/<digest>.
        let repository = root.parent().filter(|p| p.ends_with("snapshots")).and_then(Path::parent);
        let blobs = blobs.or_else(|| repository?.join("blobs").canonicalize().ok());
        let mut names = BTreeSet::new();
        for (count, entry) in std::fs::read_dir(&root).map_err(fail)?.enumerate() {
            if count as u64 >= ENTRIES {
                return Err(SourceError::Limit { path: name, what: "the number of entries", limit: ENTRIES });
            }
            if let Ok(text) = entry.map_err(fail)?.file_name().into_string() {
                names.insert(text);
            }
        }
        Ok(Directory { place: Place::Local { root, blobs }, names: names.into_iter().collect() })
    }

    /// The files of a repository elsewhere that lie in one folder.
    #[cfg(feature = "net")]
    pub(crate) fn remote(repository: crate::remote::Repository) -> Directory {
        // As in a local directory: what lies in folders is found by those who know its name.
        let names = repository.names().filter(|name| !name.contains('/')).map(str::to_owned).collect();
        Directory { place: Place::Remote(repository), names }
    }

    /// Whether its files are read over a network.
    pub(crate) fn is_remote(&self) -> bool {
        !matches!(self.place, Place::Local { .. })
    }

    /// The folder `name`, if it stays inside. `Ok(None)` when there is no such folder.
    pub(crate) fn folder(&self, name: &str) -> Result<Option<Directory>, SourceError> {
        match &self.place {
            Place::Local { root, blobs } => match resolve(root, None, name)?.filter(|path| path.is_dir()) {
                // Files in a folder of a snapshot are links to the blobs of the snapshot.
                Some(path) => Directory::open_in(&path, blobs.clone()).map(Some),
                None => Ok(None),
            },
            #[cfg(feature = "net")]
            Place::Remote(repository) => {
                Ok(Some(Directory::remote(repository.clone().folder(name))).filter(|d| !d.names.is_empty()))
            }
        }
    }

    /// Opens the entry `name`, if it stays inside. `Ok(None)` when there is no such entry.
    pub(crate) fn file(&self, name: &str, backend: Backend) -> Result<Option<StoredFile>, SourceError> {
        match &self.place {
            Place::Local { root, blobs } => match resolve(root, blobs.as_deref(), name)? {
                Some(path) => Ok(Some(StoredFile::Local(FileBytes::open_as(&path, name, backend)?))),
                None => Ok(None),
            },
            #[cfg(feature = "net")]
            Place::Remote(repository) => {
                Ok(repository.open(name)?.map(|file| StoredFile::Remote(Box::new(file))))
            }
        }
    }

    /// The bytes of the entry `name` and which file they are from; `None` when there is no such entry.
    pub(crate) fn read(&self, name: &str, limit: u64) -> Result<Option<SideFile>, SourceError> {
        if self.names.binary_search_by(|n| n.as_str().cmp(name)).is_err() {
            return Ok(None);
        }
        let Some(file) = self.file(name, Backend::Read)? else { return Ok(None) };
        Ok(Some((file.whole(name, limit)?, file.id())))
    }

    pub(crate) fn layout(&self) -> Layout {
        let with = |end: &str| self.names.iter().filter(|n| n.ends_with(end)).cloned().collect::<Vec<_>>();
        let maps = with(".safetensors.index.json");
        if let Some(map) = maps.first() {
            return Layout::Sharded { map: map.clone(), extension: ".safetensors" };
        }
        let mut safetensors = with(".safetensors");
        // Mistral ships the same weights twice, under its own names in `consolidated*`.
        if safetensors.iter().any(|n| !n.starts_with("consolidated")) {
            safetensors.retain(|n| !n.starts_with("consolidated"));
        }
        if safetensors.iter().any(|n| !n.starts_with("adapter_")) {
            safetensors.retain(|n| !n.starts_with("adapter_"));
        }
        if !safetensors.is_empty() {
            return of_one_variant(safetensors);
        }
        let gguf: Vec<String> = with(".gguf").into_iter().filter(|n| !n.starts_with("mmproj")).collect();
        match gguf.as_slice() {
            [] => {}
            [_] => return Layout::Files(gguf),
            [first, ..] => {
                let stem = |name| numbered(name).map(|n| n.stem);
                let one = stem(first).is_some() && gguf.iter().all(|name| stem(name) == stem(first));
                return if one { Layout::Files(gguf) } else { Layout::Choice(gguf) };
            }
        }
        if let Some(map) = with(".bin.index.json").first() {
            return Layout::Sharded { map: map.clone(), extension: ".bin" };
        }
        let torch: Vec<String> = [".bin", ".pt", ".pth", ".ckpt"]
            .iter()
            .flat_map(|end| with(end))
            .filter(|n| !beside_weights(n))
            .collect();
        // Beside a model in ONNX a file of any name may hold its numbers.
        let is_torch = |name: &String| name.starts_with("pytorch_model") || !name.ends_with(".bin");
        if !torch.is_empty() && (with(".onnx").is_empty() || torch.iter().any(is_torch)) {
            return of_one_variant(torch);
        }
        if let Some(map) = with(".msgpack.index.json").first() {
            return Layout::Sharded { map: map.clone(), extension: ".msgpack" };
        }
        // Each of these is a model by itself; several of arrays may be one.
        for end in [".onnx", ".msgpack"] {
            match with(end) {
                files if files.is_empty() => {}
                files if files.len() == 1 => return Layout::Files(files),
                files => return Layout::Choice(files),
            }
        }
        // The last are not read; that is said with the way out, which "no weights" would not be.
        for end in [".npz", ".npy", ".keras", ".h5", ".hdf5", ".index"] {
            let files = with(end);
            if !files.is_empty() {
                return Layout::Files(files);
            }
        }
        Layout::Nothing
    }

    /// Names of all files that look like weights.
    pub(crate) fn weight_files(&self) -> impl Iterator<Item = &String> {
        let weights = |name: &str| WEIGHTS.iter().any(|end| name.ends_with(end)) && !beside_weights(name);
        self.names.iter().filter(move |name| weights(name))
    }

    /// Says which variants and other formats of the weights in `read` lie beside them, the latter alone with `formats`. `folder` is put before names.
    pub(crate) fn left_out(&self, read: &[String], folder: &str, formats: bool) -> Vec<Hazard> {
        let Some(first) = read.first() else { return Vec::new() };
        let (format, chosen) = (extension(first), variant(first));
        let left = self.weight_files().filter(|name| {
            let told = formats && extension(name) == format;
            !read.contains(name) && base(name).is_some() && !told
        });
        let mut others: BTreeMap<(&str, Option<&str>), (&String, usize)> = BTreeMap::new();
        for name in left.filter(|name| (extension(name), variant(name)) != (format, chosen)) {
            others.entry((extension(name), variant(name))).or_insert((name, 0)).1 += 1;
        }
        let hazard = |((_, variant), (name, count)): ((&str, Option<&str>), (&String, usize))| Hazard {
            code: "file-not-read",
            level: Level::Note,
            subject: format!("{folder}{}", printable(name)),
            message: match variant {
                Some(variant) if Some(variant) != chosen => format!(
                    "{count} files of the variant `{}` lie beside those that were read; name a file to read it",
                    printable(variant)
                ),
                _ => format!(
                    "{count} files of another format lie beside `{}`, which was read",
                    printable(first)
                ),
            },
        };
        others.into_iter().map(hazard).collect()
    }

    /// Files that a loader might run.
    pub(crate) fn hazards(&self) -> Vec<Hazard> {
        let hazard = |name: &String, code, level, message: &str| Hazard {
            code,
            level,
            subject: printable(name),
            message: message.to_owned(),
        };
        let ends =
            |name: &str, ends: &[&str]| ends.iter().any(|end| name.to_ascii_lowercase().ends_with(end));
        let found = self.names.iter().filter_map(|name| match name {
            _ if ends(name, &[".py"]) => {
                let message = "a loader that trusts remote code would run this file; it was not run";
                Some(hazard(name, "code-file", Level::Note, message))
            }
            _ if ends(name, &[".so", ".dll", ".dylib", ".exe", ".pyc", ".pyd", ".jar", ".node"]) => {
                let message =
                    "machine code or compiled code beside weights, which no checkpoint needs; it was not run";
                Some(hazard(name, "code-file", Level::Danger, message))
            }
            _ if ends(name, &[".pkl", ".pickle", ".joblib", ".dill", ".cloudpickle"]) => {
                let message =
                    "a pickle beside the weights: loading it would run what it says; it was not read";
                Some(hazard(name, "pickle-beside", Level::Warning, message))
            }
            _ => None,
        });
        found.collect()
    }
}

/// The real path of `name`, if it stays inside `root`, or in `blobs`. `Ok(None)` when there is no such entry.
fn resolve(root: &Path, blobs: Option<&Path>, name: &str) -> Result<Option<PathBuf>, SourceError> {
    let escapes = || SourceError::Escapes { path: printable(name) };
    let plain_parts = Path::new(name).components().all(|c| matches!(c, std::path::Component::Normal(_)));
    if !plain_parts || name.is_empty() {
        return Err(escapes());
    }
    match root.join(name).canonicalize() {
        Ok(path) => {
            let inside = path.starts_with(root) || blobs.is_some_and(|b| path.starts_with(b));
            if inside { Ok(Some(path)) } else { Err(escapes()) }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            // A dangling link is there and leads nowhere; that is not the same as absent.
            if root.join(name).symlink_metadata().is_ok() { Err(escapes()) } else { Ok(None) }
        }
        Err(source) => Err(SourceError::Open { path: printable(name), reason: plain(&source), source }),
    }
}

/// Ends of the names of weight files.
const WEIGHTS: [&str; 9] =
    [".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".gguf", ".msgpack", ".h5", ".onnx"];
/// What libraries call the weights of a model; behind it, and before the extension, may stand a variant.
const BASES: [&str; 4] = ["diffusion_pytorch_model", "pytorch_model", "flax_model", "model"];

fn extension(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(_, extension)| extension)
}

/// What stands before the extension and the number of a shard, if libraries name weights so: a base, or a base and one word.
fn base(name: &str) -> Option<&str> {
    let stem =
        numbered(name).map_or_else(|| name.rsplit_once('.').map_or(name, |(stem, _)| stem), |n| n.stem);
    let word = |text: &str| text.starts_with(|c: char| c.is_ascii_alphabetic()) && !text.contains('.');
    let known = |base: &&str| {
        let rest = stem.strip_prefix(*base);
        rest.is_some_and(|rest| rest.is_empty() || rest.strip_prefix('.').is_some_and(word))
    };
    BASES.iter().any(known).then_some(stem)
}

/// `fp16` of `model.fp16.safetensors`.
pub(crate) fn variant(name: &str) -> Option<&str> {
    base(name)?.split_once('.').map(|(_, variant)| variant)
}

/// Of several variants of one model the one without a name, or else the only one.
fn of_one_variant(names: Vec<String>) -> Layout {
    let plain: Vec<String> = names.iter().filter(|name| variant(name).is_none()).cloned().collect();
    // Files that no library names so are no variants of those that it does.
    if plain.iter().any(|name| base(name).is_some()) {
        return Layout::Files(plain);
    }
    let variants: BTreeSet<&str> = names.iter().filter_map(|name| variant(name)).collect();
    if variants.len() > 1 { Layout::Choice(names) } else { Layout::Files(names) }
}

/// What training leaves beside the weights in files that look like weights.
pub(crate) fn beside_weights(name: &str) -> bool {
    ["training_args", "optimizer", "scheduler", "rng_state"].iter().any(|start| name.starts_with(start))
}
