//! The wire format of a diff.

use super::comparison::{Input, Io, Remark, Tool};
use super::{SCHEMA_VERSION, convert, finite};
use crate::Context;
use crate::text::clean;
use serde::Serialize;
use stemmata_audit::{self as audit, Status};

/// Outcome of `diff`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Version of this format.
    pub schema_version: &'static str,
    /// What wrote it.
    pub tool: Tool,
    /// The command line that gives the result again.
    pub command: String,
    /// Candidate, then reference.
    pub inputs: Vec<Input>,
    /// Rows per status, and elements.
    pub totals: Totals,
    /// One per logical tensor.
    pub tensors: Vec<Row>,
    /// Remarks on the reading.
    pub findings: Vec<Remark>,
    /// Cost.
    pub io: Io,
}

/// Sums over the rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// `=`
    pub same: u64,
    /// `R`
    pub renamed: u64,
    /// `~`, equal shape.
    pub changed: u64,
    /// `~`, another shape.
    pub reshaped: u64,
    /// `+`
    pub added: u64,
    /// `-`
    pub removed: u64,
    /// Elements compared.
    pub elements: u64,
    /// Elements that differ.
    pub elements_changed: u64,
}

/// One logical tensor.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Git's letter.
    pub letter: char,
    /// `same`, `renamed`, `changed`, `reshaped`, `added`, `removed`.
    pub status: &'static str,
    /// Purpose; nothing for tensors without a role.
    pub place: Option<String>,
    /// Name in the candidate.
    pub candidate: Option<String>,
    /// Name in the reference.
    pub reference: Option<String>,
    /// Rows and columns.
    pub shape: [u64; 2],
    /// Elements compared, when compared.
    pub elements: Option<u64>,
    /// Share of elements that differ.
    pub changed: Option<f64>,
    /// ‖candidate − reference‖ / ‖reference‖.
    pub relative: Option<f64>,
    /// Cosine.
    pub cosine: Option<f64>,
}

impl Difference {
    /// Converts a diff.
    pub fn new(d: &audit::Difference, context: &Context) -> Difference {
        Difference {
            schema_version: SCHEMA_VERSION,
            tool: Tool::new(context),
            command: clean(&context.command),
            inputs: vec![Input::new("candidate", &d.candidate), Input::new("reference", &d.reference)],
            totals: totals(&d.rows),
            tensors: d.rows.iter().map(row).collect(),
            findings: convert::remarks(&d.findings),
            io: Io::new(d.bytes_read, context),
        }
    }
}

fn totals(rows: &[audit::DifferenceRow]) -> Totals {
    let mut totals = Totals::default();
    for row in rows {
        *match row.status {
            Status::Same => &mut totals.same,
            Status::Renamed => &mut totals.renamed,
            Status::Changed => &mut totals.changed,
            Status::Reshaped => &mut totals.reshaped,
            Status::Added => &mut totals.added,
            Status::Removed => &mut totals.removed,
        } += 1;
        if let Some(moments) = &row.moments {
            totals.elements += moments.n;
            totals.elements_changed += moments.changed;
        }
    }
    totals
}

fn row(r: &audit::DifferenceRow) -> Row {
    let named = |text: &str| (!text.is_empty()).then(|| clean(text));
    let moments = r.moments.filter(|m| m.n > 0);
    Row {
        letter: r.status.letter(),
        status: match r.status {
            Status::Same => "same",
            Status::Renamed => "renamed",
            Status::Changed => "changed",
            Status::Reshaped => "reshaped",
            Status::Added => "added",
            Status::Removed => "removed",
        },
        place: named(&r.place),
        candidate: named(&r.candidate),
        reference: named(&r.reference),
        shape: [r.shape.0, r.shape.1],
        elements: moments.map(|m| m.n),
        changed: moments.and_then(|m| finite(m.changed as f64 / m.n as f64)),
        relative: moments.and_then(|m| finite(m.relative_change())),
        cosine: moments.and_then(|m| finite(m.cosine())),
    }
}
