//! A diff at a terminal, like `git diff --stat`.

use super::pen::{Paint, Pen};
use super::shared;
use super::table::{Align, Cell, Table};
use crate::number::{bytes, effect, grouped, maybe, percent};
use crate::wire::{Difference, Row};

pub(super) fn lines(difference: &Difference, stat_only: bool, pen: &Pen) -> Vec<String> {
    let mut lines = shared::inputs(&difference.inputs, pen);
    let mut table = Table::new(&[
        ("", Align::Left),
        ("tensor", Align::Left),
        ("shape", Align::Right),
        ("changed", Align::Right),
        ("relative", Align::Right),
        ("cosine", Align::Right),
    ]);
    let told: &[Row] = if stat_only { &[] } else { &difference.tensors };
    for row in told {
        let paint = if row.letter == '=' { Paint::Dim } else { Paint::Notice };
        table.row(vec![
            Cell::painted(row.letter.to_string(), paint),
            Cell::new(name(row, pen)),
            Cell::new(format!("{}{}{}", row.shape[0], pen.either("×", "x"), row.shape[1])),
            Cell::new(row.changed.map_or_else(String::new, percent)),
            Cell::new(row.relative.map_or_else(String::new, |x| maybe(Some(x)))),
            Cell::new(row.cosine.map_or_else(String::new, effect)),
        ]);
    }
    let rows = table.render(pen);
    if !rows.is_empty() {
        lines.push(String::new());
        lines.extend(rows);
    }
    lines.push(String::new());
    lines.extend(totals(difference, pen));
    lines.extend(shared::findings(&difference.findings, pen));
    lines
}

/// The purpose where there is one, and both names where they differ.
fn name(row: &Row, pen: &Pen) -> String {
    let stored = match (&row.reference, &row.candidate) {
        (Some(from), Some(to)) if from != to => format!("{from} {} {to}", pen.either("→", "->")),
        (_, Some(name)) | (Some(name), None) => name.clone(),
        (None, None) => String::new(),
    };
    match &row.place {
        Some(place) if row.letter != 'R' => place.clone(),
        _ => stored,
    }
}

fn totals(difference: &Difference, pen: &Pen) -> Vec<String> {
    let t = &difference.totals;
    let count = |n: u64, word: &str| (n > 0).then(|| format!("{} {word}", grouped(n)));
    let counts: Vec<String> = [
        count(t.same, "equal"),
        count(t.renamed, "equal under another name"),
        count(t.changed, "changed"),
        count(t.reshaped, "of another shape"),
        count(t.added, "added"),
        count(t.removed, "removed"),
    ]
    .into_iter()
    .flatten()
    .collect();
    let tensors = format!("{} tensors: {}", grouped(difference.tensors.len() as u64), counts.join(", "));
    let share = match t.elements {
        0 => "no value was compared".to_owned(),
        n => format!(
            "{} of {} compared values differ",
            percent(t.elements_changed as f64 / n as f64),
            grouped(n)
        ),
    };
    let mut lines = crate::text::wrap(tensors.trim_end_matches(": "), pen.width());
    lines.extend(crate::text::wrap(
        &format!("{share}; {} read", bytes(difference.io.bytes_read)),
        pen.width(),
    ));
    lines
}
