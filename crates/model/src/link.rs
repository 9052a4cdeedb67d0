//! Links as they are copied from a browser.

use super::{ModelRef, ReferenceError, Site};

/// A page of a repository is the repository; every other link is the file it leads to.
pub(super) fn parse(text: &str) -> Result<ModelRef, ReferenceError> {
    let (_, rest) = text.split_once("://").unwrap_or(("", text));
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let path = path.split(['?', '#']).next().unwrap_or(path);
    if host.contains('@') {
        let hint = "leave out what stands before the `@`; tokens are read from the environment";
        return Err(ReferenceError::new(text, "the link holds a name or a password", hint));
    }
    let parts: Vec<String> = path.split('/').filter(|part| !part.is_empty()).map(decode).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let hub = |site, org: &str, name: &str, revision: Option<&str>, file: &[&str]| {
        let repository = format!("{org}/{name}");
        let file = Some(file.join("/")).filter(|file| !file.is_empty());
        Ok(ModelRef::Hub { site, repository, revision: revision.map(str::to_owned), file })
    };
    let host = host.strip_prefix("www.").unwrap_or(host);
    let found = match (host, parts.as_slice()) {
        ("huggingface.co" | "hf.co", ["datasets" | "spaces", ..]) => {
            return Err(ReferenceError::new(text, "it is no model", "give the page of a model"));
        }
        ("huggingface.co" | "hf.co", [org, name]) => hub(Site::HuggingFace, org, name, None, &[]),
        (
            "huggingface.co" | "hf.co",
            [org, name, "tree" | "blob" | "resolve" | "raw", "refs", kind, at, file @ ..],
        ) => hub(Site::HuggingFace, org, name, Some(&format!("refs/{kind}/{at}")), file),
        (
            "huggingface.co" | "hf.co",
            [org, name, "tree" | "blob" | "resolve" | "raw", revision, file @ ..],
        ) => hub(Site::HuggingFace, org, name, Some(revision), file),
        (
            "modelscope.cn" | "modelscope.ai",
            ["models", org, name] | ["models", org, name, "summary" | "files"],
        ) => hub(Site::ModelScope, org, name, None, &[]),
        (
            "modelscope.cn" | "modelscope.ai",
            ["models", org, name, "file", "view", revision, file @ ..]
            | ["models", org, name, "resolve" | "tree", revision, file @ ..],
        ) => hub(Site::ModelScope, org, name, Some(revision), file),
        _ => return Ok(ModelRef::Link(text.to_owned())),
    };
    found.and_then(|found| {
        // What a link hides behind `%` is checked like what is written out.
        match super::parse_one(&found.to_string()) {
            Ok(parsed) if parsed == found => Ok(found),
            _ => {
                Err(ReferenceError::new(text, "it names no repository", "write `hf:org/name@revision/path`"))
            }
        }
    })
}

/// `%20` and its like; what decodes to no text stays as it is.
fn decode(part: &str) -> String {
    let bytes = part.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let hex = part.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| part.to_owned())
}
