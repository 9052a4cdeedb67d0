//! Shard maps (`*.index.json`): which file holds which tensor. Both sides are attacker-chosen text.

use crate::document::{Refusal, document};
use crate::hazards::Hazards;
use crate::json::{Kind, Scalar, Scanner};
use crate::{FormatError, Limits};
use std::collections::{BTreeMap, BTreeSet};
use stemmata_model::{Hazard, Level, printable};

/// Where the tensors of a sharded checkpoint lie, as its map claims.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardMap {
    /// Tensor name to file: relative, forward slashes, plain components only.
    pub entries: BTreeMap<String, String>,
    /// Bytes of all tensors, as claimed; often wrong.
    pub total_size: Option<u64>,
}

/// Longest path of a shard in bytes.
const PATH_BYTES: usize = 1024;

/// Reads a shard map called `name` whose shards must end in `extension`. A map that names a file outside its own
/// directory is refused as a whole: joining such a path is how loaders have been made to read other files.
pub fn parse_shard_map(
    bytes: &[u8],
    name: &str,
    extension: &str,
    limits: &Limits,
) -> Result<(ShardMap, Vec<Hazard>), FormatError> {
    let text = document(bytes, name, limits.document_bytes)?;
    let file = printable(name);
    let mut hazards = Hazards::new(name);
    let mut reader = Reader { file: &file, name, extension, limits, map: ShardMap::default(), mapped: false };
    let mut scanner = Scanner::new(text, limits.json_depth);
    scanner
        .object(|scanner, key| match &*key {
            "weight_map" => reader.weight_map(scanner),
            "metadata" => reader.metadata(scanner),
            _ => Ok(scanner.skip()?),
        })
        .and_then(|()| Ok(scanner.end()?))
        .map_err(|refusal| refusal.into_format(&file, 0))?;
    if !reader.mapped {
        return Err(malformed(&file, bytes.len(), "shard map", "`weight_map` is missing"));
    }
    let map = reader.map;
    let shards: BTreeSet<&str> = map.entries.values().map(String::as_str).collect();
    let mut folded = BTreeMap::new();
    for shard in shards {
        if let Some(other) = folded.insert(shard.to_lowercase(), shard) {
            hazards.part("case-collision", Level::Warning, shard, || {
                format!(
                    "differs from `{}` in case only: some file systems hold one of them",
                    printable(other)
                )
            });
        }
    }
    map.entries.keys().for_each(|tensor| hazards.tensor_name(tensor));
    Ok((map, hazards.finish()))
}

struct Reader<'r> {
    file: &'r str,
    name: &'r str,
    extension: &'r str,
    limits: &'r Limits,
    map: ShardMap,
    mapped: bool,
}

impl Reader<'_> {
    fn metadata(&mut self, scanner: &mut Scanner) -> Result<(), Refusal> {
        if scanner.kind()? != Kind::Object {
            return Ok(scanner.skip()?);
        }
        scanner.object(|scanner, key| {
            if key != "total_size" || scanner.kind()? != Kind::Number {
                return Ok(scanner.skip()?);
            }
            if let Scalar::Number(text) = scanner.scalar()? {
                // Some writers store a float.
                let whole = |size: f64| (size >= 0.0 && size < 2f64.powi(63)).then_some(size as u64);
                self.map.total_size = text.parse().ok().or_else(|| text.parse().ok().and_then(whole));
            }
            Ok::<_, Refusal>(())
        })
    }

    fn weight_map(&mut self, scanner: &mut Scanner) -> Result<(), Refusal> {
        if std::mem::replace(&mut self.mapped, true) {
            return Ok(scanner.fail("`weight_map` occurs twice")?);
        }
        scanner.object(|scanner, tensor| {
            let at = scanner.offset();
            let shard = scanner.string()?;
            let (claimed, limit) = (self.map.entries.len() as u64 + 1, self.limits.tensors);
            if claimed > limit {
                let (file, subject) = (self.file.to_owned(), "the number of tensors so far".into());
                return Err(FormatError::Limit { file, subject, claimed, limit }.into());
            }
            let subject = format!("tensor `{}`", printable(&tensor));
            if tensor.len() > self.limits.name_bytes {
                let (claimed, limit) = (tensor.len() as u64, self.limits.name_bytes as u64);
                let subject = format!("the name length in bytes of {subject}");
                return Err(FormatError::Limit { file: self.file.to_owned(), subject, claimed, limit }.into());
            }
            if let Some(reason) = refuse_path(&shard, self.name, self.extension) {
                let reason = format!("shard `{}` {reason}", printable(&shard));
                return Err(malformed(self.file, at, &subject, &reason).into());
            }
            if self.map.entries.insert(tensor.into_owned(), shard.into_owned()).is_some() {
                return Err(malformed(self.file, at, &subject, "the name occurs twice").into());
            }
            Ok(())
        })
    }
}

fn malformed(file: &str, at: usize, subject: &str, reason: &str) -> FormatError {
    FormatError::Malformed {
        file: file.to_owned(),
        subject: subject.to_owned(),
        start: at as u64,
        end: at as u64 + 1,
        reason: reason.to_owned(),
    }
}

/// Why `path` may not be joined to the directory of the map, if it may not.
fn refuse_path(path: &str, map: &str, extension: &str) -> Option<&'static str> {
    let hidden = |c: char| c.is_control() || !printable(c.encode_utf8(&mut [0; 4])).starts_with(c);
    if path.len() > PATH_BYTES {
        Some("is too long for a path")
    } else if path.chars().any(hidden) {
        Some("holds control or invisible characters")
    } else if path.starts_with('/') {
        Some("is an absolute path")
    } else if path.contains('\\') {
        Some("holds a backslash")
    } else if path.contains(':') {
        Some("holds a colon, as a drive letter or a stream does")
    } else if path.split('/').any(|part| part == "..") {
        Some("leaves the directory")
    } else if path.split('/').any(|part| part.is_empty() || part == ".") {
        Some("has an empty component")
    } else if path == map || path == map.rsplit('/').next().unwrap_or(map) {
        Some("is the shard map itself")
    } else if !path.ends_with(extension) {
        Some("has another extension than the container")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(shard: &str, expect: Option<&str>) {
        let text = format!("{{\"metadata\":{{\"total_size\":8.0}},\"weight_map\":{{\"a\":\"{shard}\"}}}}");
        let outcome =
            parse_shard_map(text.as_bytes(), "m.index.safetensors", ".safetensors", &Limits::default());
        match (outcome, expect) {
            (Ok((map, _)), None) => assert_eq!(map.total_size, Some(8)),
            (Err(error), Some(part)) => assert!(error.to_string().contains(part), "{error}"),
            (outcome, expect) => panic!("{shard}: {outcome:?}, expected {expect:?}"),
        }
    }

    #[test]
    fn paths() {
        check("model-00001-of-00002.safetensors", None);
        check("sub/model.safetensors", None);
        check("a..b.safetensors", None);
        check("../model.safetensors", Some("leaves the directory"));
        check("a/../../model.safetensors", Some("leaves the directory"));
        check("/etc/x.safetensors", Some("absolute"));
        check("a//x.safetensors", Some("empty component"));
        check("./x.safetensors", Some("empty component"));
        check("..\\\\x.safetensors", Some("backslash"));
        check("C:x.safetensors", Some("colon"));
        check("x\\u0000.safetensors", Some("control"));
        check("x\\u202e.safetensors", Some("control or invisible"));
        check("x.bin", Some("another extension"));
        check("m.index.safetensors", Some("the shard map itself"));
    }
}
