//! How a user names a model. One grammar for command line, configuration and reports.
//!
//! ```text
//! ref        = one [ "+" one ]                                     a base, and an adapter for it
//! one        = path | hub | ollama | link | bucket | "sha256:" hex
//! path       = anything that names a local file or directory
//! hub        = ( "hf:" | "modelscope:" ) [ "//" ] org "/" name [ "@" revision ] [ "/" path ]
//! ollama     = "ollama:" [ [ host "/" ] namespace "/" ] name [ ":" tag ]
//! link       = ( "https://" | "http://" ) …                        a page of a hub's repository, or a file that is read by ranges
//! bucket     = ( "s3://" | "gs://" ) bucket "/" key                a file, or what starts with the key and a slash
//! revision   = branch | tag | commit | "refs/" kind "/" name
//! ```
//! A scheme that is not known is an error, never a path. A path that contains a colon is written `./…`. `org/name[@revision]` is a path
//! here; whoever opens it takes it for `hf:org/name` where no such path exists. A `+` between two local paths is left to whoever
//! opens them, too: a file's name may hold one.

use std::fmt;
use std::path::PathBuf;

#[path = "link.rs"]
mod link;

/// Where repositories of models are hosted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Site {
    /// Hugging Face's hub, or what `HF_ENDPOINT` names.
    HuggingFace,
    /// ModelScope.
    ModelScope,
}

impl Site {
    /// The scheme that names it, without the colon.
    pub fn scheme(self) -> &'static str {
        match self {
            Site::HuggingFace => "hf",
            Site::ModelScope => "modelscope",
        }
    }
}

/// Stores of objects under keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BucketStore {
    /// Amazon S3 and what speaks its protocol.
    S3,
    /// Google Cloud Storage.
    Gcs,
}

impl BucketStore {
    /// The scheme that names it, without the colon.
    pub fn scheme(self) -> &'static str {
        match self {
            BucketStore::S3 => "s3",
            BucketStore::Gcs => "gs",
        }
    }
}

/// A reference as written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModelRef {
    /// A local file or directory.
    Path(PathBuf),
    /// A repository of a hub.
    Hub {
        /// Whose hub.
        site: Site,
        /// `org/name`.
        repository: String,
        /// Branch, tag or commit.
        revision: Option<String>,
        /// File or folder inside the repository.
        file: Option<String>,
    },
    /// A model of the local Ollama store.
    Ollama {
        /// `[[host/]namespace/]name`.
        name: String,
        /// `latest` where it is not given.
        tag: Option<String>,
    },
    /// A file on the web.
    Link(String),
    /// A file, or files, in an object store.
    Bucket {
        /// Which protocol.
        store: BucketStore,
        /// The bucket.
        bucket: String,
        /// The key, or what keys start with; may be empty.
        key: String,
    },
    /// An entry of an index, by its SHA-256.
    Indexed(String),
    /// A base with an adapter.
    Merged {
        /// The base.
        base: Box<ModelRef>,
        /// The adapter.
        adapter: Box<ModelRef>,
    },
}

/// A reference that does not parse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot understand model reference `{text}`: {reason}")]
pub struct ReferenceError {
    /// What was written, printable.
    pub text: String,
    /// Why it does not parse.
    pub reason: &'static str,
    /// What to write instead.
    pub hint: String,
}

impl ReferenceError {
    fn new(text: &str, reason: &'static str, hint: &str) -> ReferenceError {
        ReferenceError { text: crate::printable(text), reason, hint: hint.to_owned() }
    }
}

/// Schemes that a reference may start with.
const SCHEMES: [&str; 8] = ["hf", "modelscope", "ollama", "https", "http", "s3", "gs", "sha256"];

const TWO_PARTS: &str = "a hub repository has an organisation and a name";

impl ModelRef {
    /// Parses a reference; does no I/O, so `org/name` is a path here and the caller decides when no such path exists.
    pub fn parse(text: &str) -> Result<ModelRef, ReferenceError> {
        match join(text) {
            Some(at) => Ok(ModelRef::Merged {
                base: Box::new(parse_one(&text[..at])?),
                adapter: Box::new(parse_one(&text[at + 1..])?),
            }),
            None => parse_one(text),
        }
    }

    /// The hub repository that `text` is short for, should no such path exist: `org/name[@revision]`.
    pub fn shorthand(text: &str) -> Option<ModelRef> {
        let (name, revision) = text.split_once('@').map_or((text, None), |(n, r)| (n, Some(r)));
        let word = |word: &str| {
            !word.is_empty()
                && !word.starts_with(['.', '-'])
                && word.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        };
        let (org, name) = name.split_once('/')?;
        if !word(org) || !word(name) || revision.is_some_and(|r| r.is_empty() || r.contains('@')) {
            return None;
        }
        let (repository, revision) = (format!("{org}/{name}"), revision.map(str::to_owned));
        Some(ModelRef::Hub { site: Site::HuggingFace, repository, revision, file: None })
    }
}

/// Where base and adapter are joined, unless both are local paths: the first `+` after which stands a scheme or a path that starts with `.` or
/// `/`; in what starts with the scheme of a hub, whose names hold no `+`, the first one.
fn join(text: &str) -> Option<usize> {
    let schemed = |text: &str| text.split_once(':').is_some_and(|(scheme, _)| SCHEMES.contains(&scheme));
    let named = ["hf:", "modelscope:", "ollama:"].iter().any(|scheme| text.starts_with(scheme));
    let mut places = text.match_indices('+').map(|(at, _)| at);
    places.find(|&at| {
        let after = &text[at + 1..];
        schemed(after) || named || (schemed(text) && (after.starts_with('.') || after.starts_with('/')))
    })
}

fn parse_one(text: &str) -> Result<ModelRef, ReferenceError> {
    let fail = |reason, hint: &str| Err(ReferenceError::new(text, reason, hint));
    if text.is_empty() {
        return fail("it is empty", "give a directory, a file or `hf:org/name`");
    }
    let Some((scheme, rest)) = text.split_once(':') else {
        return Ok(ModelRef::Path(PathBuf::from(text)));
    };
    let looks_like_path = scheme.contains(['/', '\\', '.']) || scheme.is_empty();
    if looks_like_path {
        return Ok(ModelRef::Path(PathBuf::from(text)));
    }
    let bare = rest.strip_prefix("//").unwrap_or(rest);
    match scheme {
        "hf" => parse_hub(text, Site::HuggingFace, bare),
        "modelscope" => parse_hub(text, Site::ModelScope, bare),
        "ollama" => parse_ollama(text, bare),
        "https" | "http" if rest.starts_with("//") && rest.len() > 2 => link::parse(text),
        "https" | "http" => fail("the link has no host", "write `https://host/path`"),
        "s3" => parse_bucket(text, BucketStore::S3, rest),
        "gs" => parse_bucket(text, BucketStore::Gcs, rest),
        "sha256" => match rest.len() == 64 && rest.bytes().all(|b| b.is_ascii_hexdigit()) {
            true => Ok(ModelRef::Indexed(rest.to_ascii_lowercase())),
            false => fail("a SHA-256 has 64 hexadecimal digits", "write `sha256:` and all of them"),
        },
        "hfs" | "huggingface" => fail("the scheme is not known", "write `hf:org/name`"),
        "gcs" => fail("the scheme is not known", "write `gs://bucket/key`"),
        _ => fail("the scheme is not known", "for a local path with a colon in it, write `./…`"),
    }
}

fn parse_hub(text: &str, site: Site, rest: &str) -> Result<ModelRef, ReferenceError> {
    let fail = |reason, hint: &str| Err(ReferenceError::new(text, reason, hint));
    let scheme = site.scheme();
    let (org, after) = rest.split_once('/').unwrap_or((rest, ""));
    if rest.matches('@').count() > 1 {
        return fail("it has two revisions", &format!("write `{scheme}:org/name@revision/path`"));
    }
    let (repository, revision, file) = match after.split_once('@') {
        // What stands before the `@` is the name, or the `@` belongs to a file.
        Some((name, after)) if !name.contains('/') => {
            let parts = if after.starts_with("refs/") { 3 } else { 1 };
            let end = after.match_indices('/').nth(parts - 1).map_or(after.len(), |(at, _)| at);
            if after[..end].is_empty() {
                let hint = format!("write `{scheme}:org/name@main`, or leave out `@`");
                return fail("the revision after `@` is empty", &hint);
            }
            (name, Some(after[..end].to_owned()), after[end..].trim_start_matches('/'))
        }
        _ => {
            let (name, file) = after.split_once('/').unwrap_or((after, ""));
            (name, None, file)
        }
    };
    if org.is_empty() || repository.is_empty() {
        return fail(TWO_PARTS, &format!("write `{scheme}:org/name`"));
    }
    let word = |word: &str| {
        word != "." && word != ".." && word.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    if !word(org) || !word(repository) {
        let reason = "names of hub repositories have letters, digits, `.`, `_` and `-`";
        return fail(reason, &format!("write `{scheme}:org/name`"));
    }
    let file = Some(file.trim_end_matches('/')).filter(|file| !file.is_empty()).map(str::to_owned);
    Ok(ModelRef::Hub { site, repository: format!("{org}/{repository}"), revision, file })
}

fn parse_ollama(text: &str, rest: &str) -> Result<ModelRef, ReferenceError> {
    let last = rest.rfind('/').map_or(0, |at| at + 1);
    let (name, tag) = match rest[last..].split_once(':') {
        Some((name, tag)) => (&rest[..last + name.len()], Some(tag)),
        None => (rest, None),
    };
    let part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-:".contains(c))
    };
    let good = name.split('/').all(part) && name.split('/').count() <= 3 && tag.is_none_or(part);
    if !good {
        return Err(ReferenceError::new(
            text,
            "it names no model",
            "write `ollama:name` or `ollama:name:tag`",
        ));
    }
    Ok(ModelRef::Ollama { name: name.to_owned(), tag: tag.map(str::to_owned) })
}

fn parse_bucket(text: &str, store: BucketStore, rest: &str) -> Result<ModelRef, ReferenceError> {
    let rest = rest.strip_prefix("//").unwrap_or("");
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    let good = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if bucket.is_empty() || bucket.starts_with('.') || !bucket.chars().all(good) {
        let hint = format!("write `{}://bucket/key`", store.scheme());
        return Err(ReferenceError::new(text, "it names no bucket", &hint));
    }
    Ok(ModelRef::Bucket { store, bucket: bucket.to_owned(), key: key.trim_end_matches('/').to_owned() })
}

impl fmt::Display for ModelRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ModelRef::Path(path) => write!(f, "{}", path.display()),
            ModelRef::Hub { site, repository, revision, file } => {
                write!(f, "{}:{repository}", site.scheme())?;
                if let Some(revision) = revision {
                    write!(f, "@{revision}")?;
                }
                file.iter().try_for_each(|file| write!(f, "/{file}"))
            }
            ModelRef::Ollama { name, tag } => {
                write!(f, "ollama:{name}")?;
                tag.iter().try_for_each(|tag| write!(f, ":{tag}"))
            }
            ModelRef::Link(link) => f.write_str(link),
            ModelRef::Bucket { store, bucket, key } => write!(f, "{}://{bucket}/{key}", store.scheme()),
            ModelRef::Indexed(hex) => write!(f, "sha256:{hex}"),
            ModelRef::Merged { base, adapter } => write!(f, "{base}+{adapter}"),
        }
    }
}

#[cfg(test)]
#[path = "reference_tests.rs"]
mod tests;
