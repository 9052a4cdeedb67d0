//! Tables to facts: digests, dates, and which columns were not used.

use super::findings::say;
use super::{From, StandingsSettings};
use crate::finding::Finding;
use crate::rating::Hashed;
use crate::{AuditError, printable};
use std::io::{BufReader, Read};
use stemmata_model::Level;
use stemmata_rating::tables::{
    self, Alias, Benchmark, Date, DrawnFacts, Evidence, ModelFacts, PublishedRating, RegionFacts, Snapshot,
    Table, TableError,
};

/// What a table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TableKind {
    /// Scores on benchmarks.
    Benchmarks,
    /// Published ratings with intervals.
    Ratings,
    /// Likes, downloads, trending.
    Snapshot,
    /// The registry of models.
    Models,
    /// Where organisations are.
    Regions,
    /// Other names of models.
    Aliases,
    /// A sample that was drawn from the registry.
    Drawn,
    /// A saved report of `compare`.
    Report,
}

impl TableKind {
    /// Name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            TableKind::Benchmarks => "benchmarks",
            TableKind::Ratings => "ratings",
            TableKind::Snapshot => "snapshot",
            TableKind::Models => "models",
            TableKind::Regions => "regions",
            TableKind::Aliases => "aliases",
            TableKind::Drawn => "drawn",
            TableKind::Report => "report",
        }
    }
}

/// An opened table.
pub struct TableInput<'a> {
    /// What it holds.
    pub kind: TableKind,
    /// As the user wrote it, without the date.
    pub name: String,
    /// The date that the user gave it; rows with a date of their own keep it.
    pub date: Option<Date>,
    /// Its bytes.
    pub bytes: Box<dyn Read + 'a>,
}

/// A table that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableFile {
    /// What it holds.
    pub kind: TableKind,
    /// As the user wrote it, printable.
    pub name: String,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
    /// Rows.
    pub rows: u64,
    /// First and last date in it, or the one that the user gave it.
    pub dates: Option<(Date, Date)>,
}

/// The facts of all tables.
#[derive(Default)]
pub(crate) struct Tables {
    pub(crate) benchmarks: From<Benchmark>,
    pub(crate) ratings: From<PublishedRating>,
    pub(crate) snapshots: From<Snapshot>,
    pub(crate) models: From<ModelFacts>,
    pub(crate) regions: From<RegionFacts>,
    pub(crate) aliases: From<Alias>,
    pub(crate) drawn: From<DrawnFacts>,
    pub(crate) reports: From<Evidence>,
    /// Names of the inputs, printable.
    pub(crate) names: Vec<String>,
}

pub(super) fn read(
    inputs: Vec<TableInput<'_>>,
    settings: &StandingsSettings,
    findings: &mut Vec<Finding>,
) -> Result<(Vec<TableFile>, Tables), AuditError> {
    let mut out = Tables::default();
    let mut files = Vec::with_capacity(inputs.len());
    for (number, input) in inputs.into_iter().enumerate() {
        let name = printable(&input.name);
        let failed = |source| AuditError::Table { path: name.clone(), source };
        let mut hashed = Hashed::new(input.bytes);
        let (rows, dates) =
            one(input.kind, &mut hashed, number, &input.date, settings, &mut out, &name, findings)
                .map_err(failed)?;
        // The digest is that of the whole file, also where a reader stopped at its end mark.
        std::io::copy(&mut hashed, &mut std::io::sink())
            .map_err(|source| failed(stemmata_rating::votes::VoteError::Io { line: 1, source }.into()))?;
        let (sha256, bytes, _) = hashed.finish();
        let dated = dates.or(input.date.map(|d| (d.clone(), d)));
        let timeless = matches!(input.kind, TableKind::Aliases | TableKind::Drawn | TableKind::Report);
        if dated.is_none() && !timeless {
            let text = "no date: write FILE@2025-12-11, or add a column; without it nobody can say of when the figures are";
            say(findings, Level::Warning, "undated-source", &name, text.to_owned());
        }
        out.names.push(name.clone());
        files.push(TableFile { kind: input.kind, name, sha256, bytes, rows, dates: dated });
    }
    Ok((files, out))
}

#[allow(clippy::too_many_arguments, reason = "one call, beside the loop that it was cut from")]
fn one(
    kind: TableKind,
    bytes: &mut impl Read,
    number: usize,
    given: &Option<Date>,
    settings: &StandingsSettings,
    out: &mut Tables,
    name: &str,
    findings: &mut Vec<Finding>,
) -> Result<(u64, Option<(Date, Date)>), TableError> {
    if kind == TableKind::Report {
        let mut text = Vec::new();
        let io = |source| stemmata_rating::votes::VoteError::Io { line: 1, source };
        bytes.take(REPORT_BYTES).read_to_end(&mut text).map_err(io)?;
        out.reports.push((tables::evidence(&text)?, number));
        return Ok((1, None));
    }
    let table = tables::read(BufReader::new(bytes))?;
    let rows = table.rows.len() as u64;
    unused(kind, &table, name, findings);
    let mut dates = Dates { given: given.clone(), seen: None };
    match kind {
        TableKind::Benchmarks => {
            let list = tables::benchmarks(&table)?;
            keep(&mut out.benchmarks, list, number, |b| dates.settle(&mut b.date));
        }
        TableKind::Ratings => {
            let list = tables::ratings(&table, settings.category.as_deref())?;
            keep(&mut out.ratings, list, number, |r| dates.settle(&mut r.date));
        }
        TableKind::Snapshot => {
            keep(&mut out.snapshots, tables::snapshots(&table)?, number, |s| dates.settle(&mut s.date));
        }
        TableKind::Models => keep(&mut out.models, tables::models(&table)?, number, |_| ()),
        TableKind::Regions => keep(&mut out.regions, tables::regions(&table)?, number, |_| ()),
        TableKind::Drawn => keep(&mut out.drawn, tables::drawn(&table)?, number, |_| ()),
        TableKind::Aliases | TableKind::Report => {
            keep(&mut out.aliases, tables::aliases(&table)?, number, |_| ());
        }
    }
    Ok((rows, dates.seen))
}

/// No report of a comparison is longer.
const REPORT_BYTES: u64 = 256 << 20;

struct Dates {
    given: Option<Date>,
    seen: Option<(Date, Date)>,
}

impl Dates {
    /// A row without a date has that of the table.
    fn settle(&mut self, date: &mut Option<Date>) {
        match date {
            None => date.clone_from(&self.given),
            Some(date) => {
                let (low, high) = self.seen.get_or_insert_with(|| (date.clone(), date.clone()));
                if *date < *low {
                    low.clone_from(date);
                } else if *date > *high {
                    high.clone_from(date);
                }
            }
        }
    }
}

fn keep<T>(out: &mut From<T>, list: Vec<T>, number: usize, mut change: impl FnMut(&mut T)) {
    for mut fact in list {
        change(&mut fact);
        out.push((fact, number));
    }
}

/// Columns that mean nothing here are named, so that a misspelt one is seen.
fn unused(kind: TableKind, table: &Table, name: &str, findings: &mut Vec<Finding>) {
    let model = ["model_id", "modelId", "model_api_name", "model", "model_name", "contestant"];
    let organisation = ["organisation", "organization", "org", "hf_org"];
    let own: &[&str] = match kind {
        TableKind::Benchmarks => {
            &["task", "benchmark", "score", "items", "n", "harness", "protocol", "date", "scale"]
        }
        TableKind::Ratings => &[
            "rating",
            "median",
            "lower",
            "upper",
            "rating_q025",
            "rating_q975",
            "p2.5",
            "p97.5",
            "category",
            "date",
        ],
        TableKind::Snapshot => &["likes", "downloads", "downloads_all_time", "trending", "date"],
        TableKind::Models => &[
            "licence",
            "license",
            "openness",
            "base_model",
            "released",
            "actual_release_date",
            "release_date",
            "stratum",
        ],
        TableKind::Regions => &["country", "region"],
        TableKind::Aliases => &["name", "alias"],
        TableKind::Drawn => &["family", "stratum", "members", "drawn", "inclusion"],
        TableKind::Report => &[],
    };
    let known = |column: &str| {
        let of_model = kind != TableKind::Regions && model.contains(&column);
        let of_organisation =
            matches!(kind, TableKind::Models | TableKind::Regions) && organisation.contains(&column);
        own.contains(&column) || of_model || of_organisation || ["", "source", "notes"].contains(&column)
    };
    let rest: Vec<String> =
        table.columns.iter().filter(|c| !known(c)).take(20).map(|c| format!("`{}`", printable(c))).collect();
    if !rest.is_empty() {
        say(findings, Level::Note, "columns-ignored", name, format!("not used: {}", rest.join(", ")));
    }
}
