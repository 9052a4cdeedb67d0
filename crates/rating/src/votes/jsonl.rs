//! JSON Lines: one object per line; only the fields that are asked for are kept.

use super::columns::{Naming, Record, Wanted, bounded, count, part, style, weight};
use super::error::shown;
use super::{Limits, VoteError};
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use std::collections::HashMap;
use std::io::BufRead;

/// Reads all objects.
pub(super) fn read(
    mut input: impl BufRead,
    wanted: &Wanted,
    limits: &Limits,
    keep: &mut dyn FnMut(&Record<'_>) -> Result<(), VoteError>,
) -> Result<(), VoteError> {
    let mut keys: Vec<&str> = Naming::ALL.iter().flat_map(|naming| naming.columns()).copied().collect();
    keys.push("count");
    keys.extend(wanted.clusters.iter().map(|path| root(path)));
    keys.extend(wanted.styles.iter().flat_map(|s| s.columns()).map(root));
    keys.extend(wanted.weight.iter().map(|path| root(path)));
    keys.extend(wanted.part.iter().map(|part| root(&part.column)));
    let mut naming: Option<Naming> = None;
    let (mut raw, mut line) = (Vec::new(), 0);
    loop {
        raw.clear();
        line += 1;
        let mut bounded_input = std::io::Read::take(&mut input, limits.record_bytes + 1);
        let read =
            bounded_input.read_until(b'\n', &mut raw).map_err(|source| VoteError::Io { line, source })?;
        if read == 0 {
            return if naming.is_some() { Ok(()) } else { Err(VoteError::Empty) };
        }
        if raw.len() as u64 > limits.record_bytes {
            return Err(VoteError::TooLong { line, what: "a record", limit: limits.record_bytes });
        }
        let text = raw.trim_ascii();
        if text.is_empty() {
            continue;
        }
        let object = parse(text, &keys, line)?;
        let naming = match naming {
            Some(naming) => naming,
            None => *naming.insert(Naming::find(|column| object.contains_key(column), line)?),
        };
        record(&object, naming, wanted, limits, line, keep)?;
    }
}

fn record(
    object: &HashMap<&str, Value>,
    naming: Naming,
    wanted: &Wanted,
    limits: &Limits,
    line: u64,
    keep: &mut dyn FnMut(&Record<'_>) -> Result<(), VoteError>,
) -> Result<(), VoteError> {
    let missing = |column: &str| VoteError::MissingColumn { line, column: shown(column) };
    let mut cells = Vec::with_capacity(4);
    for column in naming.columns() {
        cells.push(plain(object.get(column).ok_or_else(|| missing(column))?, column, line)?);
    }
    let texts: Vec<&str> = cells.iter().map(AsRef::as_ref).collect();
    let count = match object.get("count") {
        None => 1,
        Some(value) => count(&plain(value, "count", line)?, line)?,
    };
    let mut clusters = Vec::with_capacity(wanted.clusters.len());
    for path in &wanted.clusters {
        let value = plain(find(object, path).ok_or_else(|| missing(path))?, path, line)?;
        if value.is_empty() {
            return Err(VoteError::EmptyCluster { line, column: shown(path) });
        }
        bounded(&value, limits, line)?;
        clusters.push(value);
    }
    let mut styles = Vec::with_capacity(wanted.styles.len());
    for term in &wanted.styles {
        let mut numbers = Vec::with_capacity(2);
        for path in term.columns() {
            numbers.push(amount(find(object, path).ok_or_else(|| missing(path))?, path, line)?);
        }
        styles.push(style(term, &numbers, line)?);
    }
    let text = |path: &str| -> Result<_, VoteError> {
        plain(find(object, path).ok_or_else(|| missing(path))?, path, line)
    };
    let weight = match &wanted.weight {
        Some(path) => Some(weight(&text(path)?, path, line)?),
        None => None,
    };
    let part = match &wanted.part {
        Some(wanted) => Some(part(wanted, &text(&wanted.column)?, limits, line)?),
        None => None,
    };
    keep(&Record {
        line,
        first: bounded(texts[0], limits, line)?,
        second: bounded(texts[1], limits, line)?,
        outcome: naming.outcome(&texts, line)?,
        count,
        clusters: clusters.iter().map(AsRef::as_ref).collect(),
        styles,
        weight,
        part,
    })
}

/// The key of the outermost object on the way to `path`.
fn root(path: &str) -> &str {
    path.split('.').next().unwrap_or(path)
}

fn find<'v>(object: &'v HashMap<&str, Value>, path: &str) -> Option<&'v Value> {
    let mut steps = path.split('.');
    let mut value = object.get(steps.next()?)?;
    for step in steps {
        value = value.as_object()?.get(step)?;
    }
    Some(value)
}

/// A text, number or truth value as text; null is empty.
fn plain<'v>(value: &'v Value, column: &str, line: u64) -> Result<std::borrow::Cow<'v, str>, VoteError> {
    match value {
        Value::String(text) => Ok(text.as_str().into()),
        Value::Number(number) => Ok(number.to_string().into()),
        Value::Bool(truth) => Ok(truth.to_string().into()),
        Value::Null => Ok("".into()),
        _ => {
            let what = format!("`{}` holds a list or an object", shown(column));
            Err(VoteError::Syntax { line, what })
        }
    }
}

/// A number, or the sum of the numbers in an object.
fn amount(value: &Value, column: &str, line: u64) -> Result<f64, VoteError> {
    let bad = || VoteError::Number { line, column: shown(column), value: shown(&value.to_string()) };
    match value {
        Value::Object(parts) => parts.values().map(|part| part.as_f64().ok_or_else(bad)).sum(),
        value => value.as_f64().ok_or_else(bad),
    }
}

fn parse<'k>(text: &[u8], keys: &[&'k str], line: u64) -> Result<HashMap<&'k str, Value>, VoteError> {
    let bad = |error: serde_json::Error| VoteError::Syntax { line, what: shown(&error.to_string()) };
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let object = Seed(keys).deserialize(&mut deserializer).map_err(bad)?;
    deserializer.end().map_err(bad)?;
    Ok(object)
}

/// Keeps the fields named in the list; a field that comes twice is an error, because readers disagree which one counts.
struct Seed<'a, 'k>(&'a [&'k str]);

impl<'de, 'k> DeserializeSeed<'de> for Seed<'_, 'k> {
    type Value = HashMap<&'k str, Value>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, 'k> Visitor<'de> for Seed<'_, 'k> {
    type Value = HashMap<&'k str, Value>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut kept = HashMap::new();
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            match self.0.iter().find(|wanted| **wanted == key) {
                Some(wanted) => {
                    if kept.insert(*wanted, map.next_value()?).is_some() {
                        return Err(serde::de::Error::custom("a field comes twice"));
                    }
                }
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(kept)
    }
}
