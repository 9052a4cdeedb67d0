//! Blocks that several results have.

use super::pen::{Paint, Pen};
use super::table::{Align, Cell, Table};
use crate::number::parameters;
use crate::text::wrap;
use crate::wire::{Input, Remark};
use crate::words;

/// One line per model.
pub(super) fn inputs(inputs: &[Input], pen: &Pen) -> Vec<String> {
    let mut table = Table::new(&[
        ("", Align::Left),
        ("", Align::Left),
        ("", Align::Right),
        ("", Align::Left),
        ("", Align::Left),
    ]);
    for input in inputs {
        table.row(vec![
            Cell::painted(input.role, Paint::Dim),
            Cell::new(input.reference.clone()),
            Cell::new(parameters(input.parameters)),
            Cell::new(input.encoding.clone()),
            Cell::new(words::architecture(input)),
        ]);
    }
    let mut lines = table.render(pen);
    for input in inputs {
        if let Some(resolved) = &input.resolved {
            lines.push(pen.paint(&format!("{} is {resolved}", input.role), Paint::Dim));
        }
    }
    lines
}

/// How many findings are listed before the rest is counted.
const FINDINGS: usize = 12;

/// Findings, the most serious first, each once, at most twelve.
pub(super) fn findings(findings: &[Remark], pen: &Pen) -> Vec<String> {
    let rank = |level: &str| match level {
        "danger" => 0,
        "warning" => 1,
        _ => 2,
    };
    let mut sorted: Vec<&Remark> = findings.iter().collect();
    sorted.sort_by_key(|f| rank(f.level));
    let mut unique: Vec<&Remark> = Vec::new();
    for finding in sorted {
        if !unique.contains(&finding) {
            unique.push(finding);
        }
    }
    let mut lines = Vec::new();
    if unique.is_empty() {
        return lines;
    }
    lines.push(String::new());
    lines.push(pen.paint("findings", Paint::Dim));
    for finding in unique.iter().take(FINDINGS) {
        let paint = match finding.level {
            "danger" => Paint::Danger,
            "warning" => Paint::Notice,
            _ => Paint::Plain,
        };
        let place = format!("{} {}", finding.side, finding.subject);
        let place = place.trim();
        let colon = if place.is_empty() { "" } else { ": " };
        let text = format!("{}  {place}{colon}{}", finding.code, finding.message);
        for (i, line) in wrap(&text, pen.width().saturating_sub(11)).iter().enumerate() {
            let level = if i == 0 { finding.level } else { "" };
            let pad = " ".repeat(9 - level.len());
            lines.push(format!("  {}{pad}{line}", pen.paint(level, paint)));
        }
    }
    if unique.len() > FINDINGS {
        let more = unique.len() - FINDINGS;
        lines.push(format!("  {} and {more} more: --format json", pen.either("…", "...")));
    }
    lines
}
