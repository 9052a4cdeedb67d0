//! What does a saved `compare` report say of two models? Only what a count of lineage needs.

use super::json::{Value, parse};
use super::{TableError, bounded};

/// Whether the weights of two models depend on each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kinship {
    /// All values are equal.
    Identical,
    /// The candidate's weights come from the reference's.
    FromReference,
    /// The reference's weights come from the candidate's.
    FromCandidate,
    /// They depend on each other; who came first is unknown.
    Related,
    /// No dependence was found; what would have been found the report says.
    NoneFound,
    /// The report is inconclusive.
    Inconclusive,
}

/// One report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The candidate as written.
    pub candidate: String,
    /// The reference as written.
    pub reference: String,
    /// What was found.
    pub kinship: Kinship,
    /// Whether the finding rests on exact tests; otherwise on an effect size under a stated assumption.
    pub exact: bool,
}

/// Reads a saved report of `stemmata compare --format json`.
///
/// # Errors
/// It is no such report, or of a version that is not known.
pub fn evidence(bytes: &[u8]) -> Result<Evidence, TableError> {
    let shape =
        |what: &str| TableError::Shape { what: format!("it is no saved report of `compare`: {what}") };
    let value = parse(bytes)?;
    let version = value.get("schema_version").and_then(Value::text);
    if !version.is_some_and(|v| v.starts_with("1.")) {
        return Err(shape("its `schema_version` is missing or not 1"));
    }
    let Some(Value::List(inputs)) = value.get("inputs") else { return Err(shape("it has no `inputs`")) };
    let name = |role: &str| -> Result<String, TableError> {
        let input = inputs.iter().find(|i| i.get("role").and_then(Value::text) == Some(role));
        let name = input.and_then(|i| i.get("ref")?.text());
        let name = name.ok_or_else(|| shape("it names no candidate or no reference"))?;
        Ok(bounded(name, 1)?.to_owned())
    };
    let verdict = value.get("verdict").ok_or_else(|| shape("it has no `verdict`"))?;
    let of = |key: &str| verdict.get(key).and_then(Value::text).unwrap_or_default();
    let kinship = match (of("kind"), of("direction")) {
        ("identical", _) => Kinship::Identical,
        ("derived" | "related", "candidate-from-reference") => Kinship::FromReference,
        ("derived" | "related", "reference-from-candidate") => Kinship::FromCandidate,
        ("derived" | "related", "unknown") => Kinship::Related,
        ("no-dependence-found", _) => Kinship::NoneFound,
        ("inconclusive", _) => Kinship::Inconclusive,
        _ => return Err(shape("its verdict is of a kind or direction that is not known")),
    };
    Ok(Evidence {
        candidate: name("candidate")?,
        reference: name("reference")?,
        kinship,
        exact: of("tier") == "exact",
    })
}
