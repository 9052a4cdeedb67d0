//! How a user names a model. One grammar for command line, configuration and reports.
//!
//! ```text
//! ref      = path | "hf:" repo | "ollama:" name | "sha256:" hex | "https://" … | "s3://" …
//! path     = anything that names a local file or directory
//! repo     = org "/" name [ "@" revision ] [ "/" path ]
//! ```
//! A scheme that is not known is an error, never a path. A path that contains a colon is written `./…`.

use std::fmt;
use std::path::PathBuf;

/// A reference as written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModelRef {
    /// A local file or directory.
    Path(PathBuf),
    /// A hub repository.
    Hub {
        /// `org/name`.
        repository: String,
        /// Branch, tag or commit.
        revision: Option<String>,
        /// File inside the repository.
        file: Option<String>,
    },
    /// Another scheme of the grammar that this build cannot open yet.
    Remote {
        /// The scheme, without the colon.
        scheme: &'static str,
        /// The rest.
        rest: String,
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

impl ModelRef {
    /// Parses a reference; does no I/O, so `org/name` is a path here and the caller decides when no such path exists.
    pub fn parse(text: &str) -> Result<ModelRef, ReferenceError> {
        let fail = |reason, hint: &str| {
            Err(ReferenceError { text: crate::printable(text), reason, hint: hint.to_owned() })
        };
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
        match scheme {
            "hf" => parse_hub(text, rest.strip_prefix("//").unwrap_or(rest)),
            "ollama" => Ok(ModelRef::Remote { scheme: "ollama", rest: rest.to_owned() }),
            "https" => Ok(ModelRef::Remote { scheme: "https", rest: rest.to_owned() }),
            "http" => Ok(ModelRef::Remote { scheme: "http", rest: rest.to_owned() }),
            "s3" => Ok(ModelRef::Remote { scheme: "s3", rest: rest.to_owned() }),
            "gs" => Ok(ModelRef::Remote { scheme: "gs", rest: rest.to_owned() }),
            "modelscope" => Ok(ModelRef::Remote { scheme: "modelscope", rest: rest.to_owned() }),
            "sha256" => Ok(ModelRef::Remote { scheme: "sha256", rest: rest.to_owned() }),
            "hfs" | "huggingface" => fail("the scheme is not known", "write `hf:org/name`"),
            _ => fail("the scheme is not known", "for a local path with a colon in it, write `./…`"),
        }
    }
}

fn parse_hub(text: &str, rest: &str) -> Result<ModelRef, ReferenceError> {
    let fail = |reason, hint: &str| {
        Err(ReferenceError { text: crate::printable(text), reason, hint: hint.to_owned() })
    };
    let mut parts = rest.splitn(3, '/');
    let (Some(org), Some(name)) = (parts.next(), parts.next()) else {
        return fail("a hub repository has an organisation and a name", "write `hf:org/name`");
    };
    if rest.matches('@').count() > 1 {
        return fail("it has two revisions", "write `hf:org/name@revision/path`");
    }
    let (name, revision) = match name.split_once('@') {
        Some((_, "")) => {
            return fail("the revision after `@` is empty", "write `hf:org/name@main`, or leave out `@`");
        }
        Some((name, revision)) => (name, Some(revision.to_owned())),
        None => (name, None),
    };
    if org.is_empty() || name.is_empty() {
        return fail("a hub repository has an organisation and a name", "write `hf:org/name`");
    }
    let file = parts.next().filter(|file| !file.is_empty()).map(str::to_owned);
    Ok(ModelRef::Hub { repository: format!("{org}/{name}"), revision, file })
}

impl fmt::Display for ModelRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ModelRef::Path(path) => write!(f, "{}", path.display()),
            ModelRef::Hub { repository, revision, file } => {
                write!(f, "hf:{repository}")?;
                if let Some(revision) = revision {
                    write!(f, "@{revision}")?;
                }
                if let Some(file) = file {
                    write!(f, "/{file}")?;
                }
                Ok(())
            }
            ModelRef::Remote { scheme, rest } => write!(f, "{scheme}:{rest}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Result<ModelRef, &'static str>) {
        assert_eq!(ModelRef::parse(text).map_err(|error| error.reason), expect, "{text}");
    }

    #[test]
    fn grammar() {
        check("./a:b", Ok(ModelRef::Path("./a:b".into())));
        check("dir/model.gguf", Ok(ModelRef::Path("dir/model.gguf".into())));
        let hub = |revision: Option<&str>, file: Option<&str>| ModelRef::Hub {
            repository: "acme/nova".into(),
            revision: revision.map(Into::into),
            file: file.map(Into::into),
        };
        check("hf:acme/nova", Ok(hub(None, None)));
        check("hf://acme/nova@v1/model.gguf", Ok(hub(Some("v1"), Some("model.gguf"))));
        check("hf:acme/nova@", Err("the revision after `@` is empty"));
        check("hf:acme/nova@a@b", Err("it has two revisions"));
        check("hf:nova", Err("a hub repository has an organisation and a name"));
        check("ftp:acme/nova", Err("the scheme is not known"));
        check("", Err("it is empty"));
    }

    #[test]
    fn display_parses_back() {
        for text in ["hf:acme/nova@v1/x.gguf", "dir/model.gguf", "s3://bucket/prefix"] {
            let parsed = ModelRef::parse(text).unwrap();
            assert_eq!(ModelRef::parse(&parsed.to_string()).unwrap(), parsed);
        }
    }
}
