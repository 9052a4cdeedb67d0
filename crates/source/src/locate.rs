//! From a reference to the place where its files lie.

use crate::stores::{self, Cached};
use crate::{Access, SourceError};
use std::path::{Path, PathBuf};
use stemmata_model::{Hazard, Level, ModelRef, printable};

/// Where the files of a model lie.
pub(crate) struct Found {
    pub(crate) target: Target,
    /// The reference that stands for exactly these files, as far as the place allows.
    pub(crate) resolved: ModelRef,
    pub(crate) hazards: Vec<Hazard>,
}

pub(crate) enum Target {
    /// A file or directory of this machine.
    Path(PathBuf),
    /// Files elsewhere.
    #[cfg(feature = "net")]
    Remote(Box<crate::remote::Repository>),
}

impl Found {
    pub(crate) fn path(path: &Path) -> Found {
        let resolved = ModelRef::Path(path.to_owned());
        Found { target: Target::Path(path.to_owned()), resolved, hazards: Vec::new() }
    }
}

/// Finds a single model; a base with an adapter is two of them.
pub(crate) fn locate(reference: &ModelRef, access: &Access) -> Result<Found, SourceError> {
    let shown = || printable(&reference.to_string());
    match reference {
        ModelRef::Path(path) => match shorthand(path) {
            Some(repository) => locate(&repository, access),
            None => Ok(Found::path(path)),
        },
        ModelRef::Ollama { name, tag } => {
            let model = stores::ollama(access, name, tag.as_deref())?;
            let hazards = model.left_out.iter().map(|kind| Hazard {
                code: "layer-not-read",
                level: Level::Warning,
                subject: shown(),
                message: format!("the model has an {kind} beside its weights; it was not read"),
            });
            let hazards = hazards.collect();
            Ok(Found { hazards, resolved: reference.clone(), ..Found::path(&model.path) })
        }
        ModelRef::Link(link) => match hub_page(link, access) {
            Some(repository) => locate(&repository, access),
            None => elsewhere(reference, access),
        },
        ModelRef::Hub { .. } => hub(reference, access),
        ModelRef::Bucket { .. } => elsewhere(reference, access),
        ModelRef::Indexed(_) => {
            let reason = "this build has no index to look it up in";
            Err(SourceError::Unsupported { reference: shown(), reason })
        }
        _ => {
            let reason = "a base with an adapter cannot be the base or the adapter of another";
            Err(SourceError::Unsupported { reference: shown(), reason })
        }
    }
}

/// The repository that a path is short for: it does not exist, and neither does the folder that it would lie in.
fn shorthand(path: &Path) -> Option<ModelRef> {
    let folder = path.parent()?;
    if path.exists() || folder.exists() {
        return None;
    }
    ModelRef::shorthand(path.to_str()?)
}

/// The repository behind a link to a page of the hub that `access` names.
fn hub_page(link: &str, access: &Access) -> Option<ModelRef> {
    let path = link.strip_prefix(access.hub.as_str()).filter(|path| path.starts_with('/'))?;
    match ModelRef::parse(&format!("{}{path}", crate::access::HUB)) {
        Ok(found @ ModelRef::Hub { .. }) => Some(found),
        _ => None,
    }
}

/// A repository of a hub: the copy in a local cache where that is known to be what is asked for, otherwise elsewhere.
fn hub(reference: &ModelRef, access: &Access) -> Result<Found, SourceError> {
    let ModelRef::Hub { site, repository, revision, file } = reference else {
        return Err(SourceError::Unsupported {
            reference: reference.to_string(),
            reason: "it is no repository",
        });
    };
    let leaves = |file: &String| file.split('/').any(|part| matches!(part, "" | "." | ".."));
    if let Some(file) = file.as_ref().filter(|file| leaves(file)) {
        return Err(SourceError::Escapes { path: printable(file) });
    }
    let cached = |revision: Option<&str>| stores::cached(access, *site, repository, revision);
    let local = |cached: Cached| {
        let resolved = ModelRef::Hub {
            site: *site,
            repository: repository.clone(),
            revision: cached.commit.or_else(|| revision.clone()),
            file: file.clone(),
        };
        let path = file.iter().fold(cached.path, |path, file| path.join(file));
        Found { target: Target::Path(path), resolved, hazards: Vec::new() }
    };
    let inside = |cached: &Cached| file.as_ref().is_none_or(|file| cached.path.join(file).exists());
    // A commit means the same everywhere. So does a branch that nobody can be asked about.
    let pinned = revision.as_deref().is_some_and(stores::is_commit);
    if (access.offline || pinned || cfg!(not(feature = "net")))
        && let Some(found) = cached(revision.as_deref()).filter(inside)
        && (access.offline || complete(&found.path, file.as_deref()))
    {
        return Ok(local(found));
    }
    #[cfg(feature = "net")]
    if !access.offline {
        let asked = crate::remote::Repository::ask(reference, access)?;
        let here = asked.commit.as_deref().and_then(|commit| cached(Some(commit)));
        if let Some(found) = here.filter(inside).filter(|found| complete(&found.path, file.as_deref())) {
            return Ok(local(found));
        }
        return Ok(remote(asked));
    }
    elsewhere(reference, access)
}

/// Whether a snapshot has all its weights: tools fetch single files, too.
fn complete(snapshot: &Path, file: Option<&str>) -> bool {
    if let Some(file) = file {
        return snapshot.join(file).is_file();
    }
    let options = crate::OpenOptions::default();
    crate::open(&ModelRef::Path(snapshot.to_owned()), &options).is_ok_and(|opened| {
        !opened.hazards.iter().any(|hazard| matches!(hazard.code, "missing-shards" | "missing-tensor"))
    })
}

/// What can only be asked for over a network.
fn elsewhere(reference: &ModelRef, access: &Access) -> Result<Found, SourceError> {
    if access.offline {
        return Err(SourceError::Offline { reference: printable(&reference.to_string()) });
    }
    #[cfg(feature = "net")]
    return Ok(remote(crate::remote::Repository::ask(reference, access)?));
    #[cfg(not(feature = "net"))]
    Err(SourceError::Unsupported {
        reference: printable(&reference.to_string()),
        reason: "this build has no network code",
    })
}

#[cfg(feature = "net")]
fn remote(repository: crate::remote::Repository) -> Found {
    let resolved = repository.resolved.clone();
    let mut hazards = Vec::new();
    if !repository.pinned {
        hazards.push(Hazard {
            code: "revision-not-pinned",
            level: Level::Note,
            subject: printable(&resolved.to_string()),
            message: "the place has no commits, so the same reference may mean other bytes tomorrow"
                .to_owned(),
        });
    }
    Found { target: Target::Remote(Box::new(repository)), resolved, hazards }
}
