//! Stores on this machine: the hub's cache, ModelScope's, Ollama's. They are read and never written.

use crate::file::plain;
use crate::{Access, Backend, FileBytes, SourceError};
use std::path::{Path, PathBuf};
use stemmata_model::{Site, printable};

/// Bytes of a manifest or of a reference, at most.
const MANIFEST_BYTES: u64 = 4 << 20;
const REFERENCE_BYTES: u64 = 256;

/// A repository in a local cache.
pub(crate) struct Cached {
    /// The directory of one commit.
    pub(crate) path: PathBuf,
    /// The commit, where the cache says it.
    pub(crate) commit: Option<String>,
}

/// Whether `text` is a commit of git.
pub(crate) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The snapshot that the cache of `site` has of a repository: of the revision, `main` without one.
/// Layout: `models--org--name/{refs/<revision>, snapshots/<commit>/<file> -> ../../blobs/<digest>}`.
pub(crate) fn cached(
    access: &Access,
    site: Site,
    repository: &str,
    revision: Option<&str>,
) -> Option<Cached> {
    if site == Site::ModelScope {
        // One working copy; which revision it is stands nowhere.
        let path = access.modelscope_cache.as_ref()?.join(repository);
        return (revision.is_none() && path.is_dir()).then_some(Cached { path, commit: None });
    }
    let root = access.hub_cache.as_ref()?.join(format!("models--{}", repository.replace('/', "--")));
    let revision = revision.unwrap_or("main");
    let commit = if is_commit(revision) {
        revision.to_owned()
    } else {
        let plain = Path::new(revision).components().all(|c| matches!(c, std::path::Component::Normal(_)));
        let file =
            FileBytes::open(&root.join("refs").join(revision), Backend::Read).ok().filter(|_| plain)?;
        let text = String::from_utf8(file.whole(revision, REFERENCE_BYTES).ok()?).ok()?;
        Some(text.trim().to_owned()).filter(|text| is_commit(text))?
    };
    let path = root.join("snapshots").join(&commit);
    path.is_dir().then_some(Cached { path, commit: Some(commit) })
}

/// What an Ollama model is made of.
pub(crate) struct OllamaModel {
    /// The GGUF file.
    pub(crate) path: PathBuf,
    /// Layers that are weights, too, and are not read with it.
    pub(crate) left_out: Vec<&'static str>,
}

/// Finds the weights of `name:tag`. Manifests lie in `manifests/<host>/<namespace>/<name>/<tag>`, files in `blobs/sha256-<digest>`.
pub(crate) fn ollama(access: &Access, name: &str, tag: Option<&str>) -> Result<OllamaModel, SourceError> {
    let tag = tag.unwrap_or("latest");
    let shown = printable(&format!("ollama:{name}:{tag}"));
    let fail = |reason| SourceError::Unsupported { reference: shown.clone(), reason };
    let root = access.ollama.as_ref().ok_or_else(|| fail("the place of Ollama's store is not known"))?;
    let parts: Vec<&str> = name.split('/').collect();
    let mut manifest = root.join("manifests");
    match parts.as_slice() {
        [name] => manifest.extend(["registry.ollama.ai", "library", name]),
        [namespace, name] => manifest.extend(["registry.ollama.ai", namespace, name]),
        _ => manifest.extend(&parts),
    }
    manifest.push(tag);
    let bytes = FileBytes::open(&manifest, Backend::Read)
        .map_err(|error| match error {
            SourceError::Open { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                SourceError::Open { path: shown.clone(), reason: plain(&source), source }
            }
            other => other,
        })?
        .whole(&shown, MANIFEST_BYTES)?;
    let parsed: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|_| fail("its manifest is no JSON"))?;
    let layers = parsed
        .get("layers")
        .and_then(|l| l.as_array())
        .ok_or_else(|| fail("its manifest lists no layers"))?;
    let mut models = Vec::new();
    let mut left_out = Vec::new();
    for layer in layers {
        let text = |key: &str| layer.get(key).and_then(|v| v.as_str()).unwrap_or_default();
        match text("mediaType").strip_prefix("application/vnd.ollama.image.") {
            Some("model") => models.push(text("digest").to_owned()),
            Some("adapter") => left_out.push("adapter"),
            Some("projector") => left_out.push("projector"),
            Some("tensor") => {
                return Err(fail("its tensors lie in single files, which this build does not read"));
            }
            _ => {}
        }
    }
    let digest = match models.as_slice() {
        [only] => only,
        [] => return Err(fail("its manifest lists no weights")),
        _ => return Err(fail("its manifest lists several files of weights")),
    };
    let hex = digest.strip_prefix("sha256:").or_else(|| digest.strip_prefix("sha256-")).unwrap_or_default();
    // Whatever else stands there could lead anywhere.
    if hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(fail("its manifest names a file by something other than a SHA-256"));
    }
    Ok(OllamaModel { path: root.join("blobs").join(format!("sha256-{hex}")), left_out })
}
