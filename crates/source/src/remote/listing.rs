//! What lies there: the listings of hubs and object stores.

use super::address::{Address, encode};
use super::client::Client;
use super::file::Described;
use super::{FetchError, Repository};
use crate::access::Credential;
use crate::stores::is_commit;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use stemmata_model::{BucketStore, ModelRef, Site};

/// Files of one listing, at most.
const FILES: usize = 50_000;
/// Pages of one listing of an object store, at most.
const PAGES: usize = 50;

/// A name that stays inside: no empty part, no `.` and `..`, no backslash.
fn stays_inside(name: &str) -> bool {
    name.len() <= 1024
        && !name.contains(['\\', '\0'])
        && name.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}

fn parse_json(bytes: &[u8], subject: &str) -> Result<Value, FetchError> {
    serde_json::from_slice(bytes).map_err(|_| FetchError::new(subject, "its listing is no JSON"))
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

fn sha256(text: Option<&str>) -> Option<String> {
    text.filter(|t| t.len() == 64 && t.bytes().all(|b| b.is_ascii_hexdigit())).map(str::to_ascii_lowercase)
}

fn too_many(subject: &str) -> FetchError {
    FetchError::new(subject, format!("it lists more than {FILES} files"))
}

/// `GET /api/models/<repository>/revision/<revision>?blobs=true`: the commit and its files with sizes and, for large ones, digests.
pub(super) fn hub(client: &Arc<Client>, reference: &ModelRef) -> Result<Repository, FetchError> {
    let ModelRef::Hub { repository, revision, file, .. } = reference else {
        return Err(FetchError::new(&reference.to_string(), "it is no repository"));
    };
    let (subject, access) = (format!("hf:{repository}"), &client.access);
    let asked = encode(revision.as_deref().unwrap_or("main")).replace('/', "%2F");
    let address = format!("{}/api/models/{repository}/revision/{asked}?blobs=true", access.hub);
    let credential = access.hub_token.clone().map(Credential::Bearer);
    let listed = parse_json(&client.listing(&subject, &address, credential.as_ref())?, &subject)?;
    let commit = text(&listed, "sha").filter(|sha| is_commit(sha));
    let commit = commit.ok_or_else(|| FetchError::new(&subject, "its listing names no commit"))?.to_owned();
    if let Some(revision) = revision.as_deref().filter(|r| is_commit(r) && **r != commit) {
        let reason = format!("commit {revision} was asked for, and the hub answers with {commit}");
        return Err(FetchError::new(&subject, reason));
    }
    let siblings = listed.get("siblings").and_then(Value::as_array);
    let siblings = siblings.ok_or_else(|| FetchError::new(&subject, "its listing names no files"))?;
    if siblings.len() > FILES {
        return Err(too_many(&subject));
    }
    let mut files = BTreeMap::new();
    for sibling in siblings {
        let Some(name) = text(sibling, "rfilename").filter(|name| stays_inside(name)) else { continue };
        let lfs = sibling.get("lfs").filter(|lfs| lfs.is_object());
        let size =
            lfs.and_then(|lfs| lfs.get("size")).or_else(|| sibling.get("size")).and_then(Value::as_u64);
        let described = Described {
            address: format!("{}/{repository}/resolve/{commit}/{}", access.hub, encode(name)),
            len: size,
            sha256: sha256(lfs.and_then(|lfs| text(lfs, "sha256").or_else(|| text(lfs, "oid")))),
            commit: Some(commit.clone()),
        };
        files.insert(name.to_owned(), described);
    }
    let resolved = ModelRef::Hub {
        site: Site::HuggingFace,
        repository: repository.clone(),
        revision: Some(commit.clone()),
        file: file.clone(),
    };
    let client = Arc::clone(client);
    let commit = Some(commit);
    Ok(Repository { client, files, credential, resolved, pinned: true, commit, file: file.clone() })
}

/// `GET /api/v1/models/<repository>/repo/files?Revision=<revision>&Recursive=true`. Files have digests; the whole has no commit.
pub(super) fn modelscope(client: &Arc<Client>, reference: &ModelRef) -> Result<Repository, FetchError> {
    let ModelRef::Hub { repository, revision, file, .. } = reference else {
        return Err(FetchError::new(&reference.to_string(), "it is no repository"));
    };
    let subject = format!("modelscope:{repository}");
    let revision = revision.clone().unwrap_or_else(|| "master".to_owned());
    let asked = encode(&revision).replace('/', "%2F");
    let root = format!("{}/api/v1/models/{repository}/repo", client.access.modelscope);
    let address = format!("{root}/files?Revision={asked}&Recursive=true");
    let listed = parse_json(&client.listing(&subject, &address, None)?, &subject)?;
    let entries = listed.get("Data").and_then(|d| d.get("Files")).and_then(Value::as_array);
    let entries = entries.ok_or_else(|| FetchError::new(&subject, "its listing names no files"))?;
    if entries.len() > FILES {
        return Err(too_many(&subject));
    }
    let mut files = BTreeMap::new();
    for entry in entries.iter().filter(|entry| text(entry, "Type") != Some("tree")) {
        let Some(name) = text(entry, "Path").filter(|name| stays_inside(name)) else { continue };
        let described = Described {
            address: format!("{root}?Revision={asked}&FilePath={}", encode(name).replace('/', "%2F")),
            len: entry.get("Size").and_then(Value::as_u64),
            sha256: sha256(text(entry, "Sha256")),
            commit: None,
        };
        files.insert(name.to_owned(), described);
    }
    let resolved = ModelRef::Hub {
        site: Site::ModelScope,
        repository: repository.clone(),
        revision: Some(revision),
        file: file.clone(),
    };
    let client = Arc::clone(client);
    Ok(Repository {
        client,
        files,
        credential: None,
        resolved,
        pinned: false,
        commit: None,
        file: file.clone(),
    })
}

/// One file behind a link.
pub(super) fn link(client: &Arc<Client>, link: &str) -> Result<Repository, FetchError> {
    let address = Address::parse(link).ok_or_else(|| FetchError::new(link, "it is no web address"))?;
    let path = address.path.split('?').next().unwrap_or_default();
    let name = path.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("model").to_owned();
    let described = Described { address: address.text(), ..Described::default() };
    Ok(Repository {
        client: Arc::clone(client),
        files: BTreeMap::from([(name.clone(), described)]),
        credential: None,
        resolved: ModelRef::Link(link.to_owned()),
        pinned: false,
        commit: None,
        file: Some(name),
    })
}

/// `GET /<bucket>?list-type=2&prefix=…`, which S3 and Google's store share.
pub(super) fn bucket(client: &Arc<Client>, reference: &ModelRef) -> Result<Repository, FetchError> {
    let ModelRef::Bucket { store, bucket, key } = reference else {
        return Err(FetchError::new(&reference.to_string(), "it is no bucket"));
    };
    let subject = reference.to_string();
    let access = &client.access;
    // Amazon takes signed requests where the bucket lies, and others anywhere.
    let amazon = match &access.s3_keys {
        Some(keys) => format!("s3.{}.amazonaws.com", keys.region),
        None => "s3.amazonaws.com".to_owned(),
    };
    let root = match (store, &access.s3) {
        (BucketStore::S3, Some(endpoint)) => format!("{endpoint}/{bucket}"),
        // Buckets with a dot in their name have no certificate as a host.
        (BucketStore::S3, None) if bucket.contains('.') => format!("https://{amazon}/{bucket}"),
        (BucketStore::S3, None) => format!("https://{bucket}.{amazon}"),
        _ => format!("{}/{bucket}", access.gcs),
    };
    let credential = match store {
        BucketStore::S3 => access.s3_keys.clone().map(|keys| Credential::S3(Box::new(keys))),
        _ => access.gcs_token.clone().map(Credential::Bearer),
    };
    let mut files = BTreeMap::new();
    let mut token = String::new();
    for page in 0.. {
        let prefix = encode(key).replace('/', "%2F");
        let address = format!("{root}?list-type=2&prefix={prefix}{token}");
        let bytes = client.listing(&subject, &address, credential.as_ref())?;
        let page_text =
            String::from_utf8(bytes).map_err(|_| FetchError::new(&subject, "its listing is no text"))?;
        for entry in elements(&page_text, "Contents") {
            let name = element(entry, "Key").map(unescape).unwrap_or_default();
            let len = element(entry, "Size").and_then(|size| size.parse().ok());
            files.insert(
                name.clone(),
                Described { address: format!("{root}/{}", encode(&name)), len, ..Described::default() },
            );
        }
        if files.len() > FILES {
            return Err(too_many(&subject));
        }
        match element(&page_text, "NextContinuationToken").filter(|_| page < PAGES) {
            Some(next) => {
                token = format!("&continuation-token={}", encode(&unescape(next)).replace('/', "%2F"))
            }
            None => break,
        }
    }
    let single = files.contains_key(key);
    let folder = key.rsplit_once('/').map_or("", |(folder, _)| folder);
    let prefix = match (single, key.is_empty()) {
        (true, _) if folder.is_empty() => String::new(),
        (true, _) => format!("{folder}/"),
        (false, true) => String::new(),
        (false, false) => format!("{key}/"),
    };
    let inside = |(name, file): (String, Described)| {
        let wanted = if single { name == *key } else { true };
        let name = name.strip_prefix(&prefix).filter(|name| wanted && stays_inside(name))?.to_owned();
        Some((name, file))
    };
    let files: BTreeMap<String, Described> = files.into_iter().filter_map(inside).collect();
    if files.is_empty() {
        return Err(FetchError::new(&subject, "the store lists nothing under that key"));
    }
    let file = single.then(|| key.rsplit('/').next().unwrap_or(key).to_owned());
    let (client, resolved) = (Arc::clone(client), reference.clone());
    Ok(Repository { client, files, credential, resolved, pinned: false, commit: None, file })
}

/// The contents of all elements of one name, without attributes and not nested, as listings of stores have them.
fn elements<'a>(xml: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut rest = xml;
    std::iter::from_fn(move || {
        let start = rest.find(&open)? + open.len();
        let end = start + rest[start..].find(&close)?;
        let inside = &rest[start..end];
        rest = &rest[end + close.len()..];
        Some(inside)
    })
}

fn element<'a>(xml: &'a str, name: &'a str) -> Option<&'a str> {
    elements(xml, name).next()
}

fn unescape(text: &str) -> String {
    let pairs = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    pairs.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_leave_are_not_listed() {
        for name in ["model.safetensors", "a/b.gguf", "..a", "a..b"] {
            assert!(stays_inside(name), "{name}");
        }
        for name in ["", "/etc/passwd", "../x", "a/../../x", "a//b", ".", "a\\..\\x", "a\0"] {
            assert!(!stays_inside(name), "{name}");
        }
    }

    #[test]
    fn listings_of_stores_are_read() {
        let xml = "<R><Contents><Key>a/b &amp;amp; c.gguf</Key><Size>12</Size></Contents><Contents><Key>d</Key></Contents></R>";
        let keys: Vec<String> =
            elements(xml, "Contents").filter_map(|e| element(e, "Key")).map(unescape).collect();
        assert_eq!(keys, ["a/b &amp; c.gguf", "d"]);
        assert_eq!(element(xml, "NextContinuationToken"), None);
        assert_eq!(elements("<Key><Key>", "Key").count(), 0);
    }
}
