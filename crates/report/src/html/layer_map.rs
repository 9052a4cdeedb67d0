//! Every layer against every layer, as a small heat map with its map in words.

use super::markup::{self, esc};
use crate::wire::{LayerMap, Report};
use crate::words;
use std::fmt::Write;

/// Largest side of a cell, pixels, and the widest drawing; larger grids shrink their cells.
const CELL: f64 = 28.0;
const WIDEST: f64 = 640.0;
/// p of 10^−DARKEST and below is drawn in full.
const DARKEST: f64 = 40.0;

/// One figure per component; nothing when layers of other numbers were not looked at.
pub(super) fn section(report: &Report) -> String {
    let body: String = report.layer_maps.iter().map(|map| figure(map, report)).collect();
    match body.is_empty() {
        true => body,
        false => markup::section("layer-map", "Which layer comes from which", &body),
    }
}

fn figure(map: &LayerMap, report: &Report) -> String {
    let (rows, columns) = (map.candidate_layers.len(), map.reference_layers.len());
    let side = (WIDEST / rows.max(columns).max(1) as f64).min(CELL);
    let level = report.verdict.alpha.log10() - (report.verdict.tests.max(1) as f64).log10();
    let mut svg = format!(
        "<p><b>{}</b>: {}</p>\n<p class=\"soft small\">Rows are layers of the candidate, columns layers of the reference. The \
         darker a square, the smaller p of that pair; framed squares reject after correction over the whole family.</p>\n\
         <figure><svg width=\"{:.0}\" height=\"{:.0}\" role=\"img\" aria-label=\"p of every pair of layers; numbers in the \
         JSON\">\n",
        esc(map.component),
        esc(&words::layer_runs(map, "←")),
        side * columns as f64 + 2.0,
        side * rows as f64 + 2.0
    );
    for (row, cells) in map.log10_p.iter().enumerate() {
        for (column, log10_p) in cells.iter().enumerate().filter_map(|(j, p)| Some((j, (*p)?))) {
            let shade = (-log10_p / DARKEST).clamp(0.0, 1.0).max(0.08);
            let frame = if log10_p <= level { " stroke=\"var(--found)\"" } else { "" };
            let _ = writeln!(
                svg,
                "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"var(--accent)\" \
                 fill-opacity=\"{shade:.2}\"{frame}><title>candidate {}, reference {}</title></rect>",
                1.0 + side * column as f64,
                1.0 + side * row as f64,
                side - 1.0,
                side - 1.0,
                map.candidate_layers[row],
                map.reference_layers[column]
            );
        }
    }
    svg.push_str("</svg></figure>\n");
    svg
}
