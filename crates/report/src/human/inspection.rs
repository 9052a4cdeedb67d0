//! An inspection at a terminal.

use super::pen::{Paint, Pen};
use super::shared;
use super::table::{Align, Cell, Table};
use crate::number::{NONE, bytes, grouped, parameters};
use crate::wire::{Inspection, Tensor};
use crate::words;

pub(super) fn lines(inspection: &Inspection, pen: &Pen) -> Vec<String> {
    let input = &inspection.input;
    let mut lines = shared::inputs(std::slice::from_ref(input), pen);
    lines.push(String::new());
    lines.extend(pen.labelled("format", &input.format));
    lines.extend(pen.labelled("digest", &input.digest));
    lines.extend(pen.labelled("declared", &words::declared(input)));
    if let Some(tokenizer) = &inspection.tokenizer {
        let kind = tokenizer.kind.as_deref().map_or_else(String::new, |kind| format!(" ({kind})"));
        lines
            .extend(pen.labelled("tokenizer", &format!("{} tokens{kind}", grouped(tokenizer.tokens as u64))));
    }
    for note in &input.notes {
        lines.extend(pen.labelled("note", note));
    }
    lines.extend(block(components(inspection).render(pen)));
    lines.extend(block(files(inspection).render(pen)));
    lines.extend(block(encodings(&inspection.tensors).render(pen)));
    lines.extend(shared::findings(&inspection.findings, pen));
    lines.push(String::new());
    let count = grouped(inspection.tensors.len() as u64);
    lines.push(pen.paint(&format!("{count} tensors; each of them: --format tsv"), Paint::Plain));
    lines
}

fn block(mut lines: Vec<String>) -> Vec<String> {
    if !lines.is_empty() {
        lines.insert(0, String::new());
    }
    lines
}

fn components(inspection: &Inspection) -> Table {
    let mut table = Table::new(&[
        ("component", Align::Left),
        ("parameters", Align::Right),
        ("tensors", Align::Right),
        ("layers", Align::Right),
        ("width", Align::Right),
        ("heads", Align::Right),
        ("kv heads", Align::Right),
        ("head width", Align::Right),
        ("norm", Align::Left),
        ("gated", Align::Left),
    ]);
    let known = |n: Option<u64>| Cell::new(n.map_or_else(|| NONE.to_owned(), |n| n.to_string()));
    for c in &inspection.components {
        table.row(vec![
            Cell::new(c.name),
            Cell::new(parameters(c.parameters)),
            Cell::new(grouped(c.tensors as u64)),
            Cell::new(c.layers.to_string()),
            known(c.width),
            known(c.query_heads),
            known(c.kv_heads),
            known(c.head_width),
            Cell::new(c.norm),
            Cell::new(if c.gated { "yes" } else { "no" }),
        ]);
    }
    table
}

fn files(inspection: &Inspection) -> Table {
    let mut table = Table::new(&[("file", Align::Left), ("size", Align::Right), ("sha256", Align::Left)]);
    for file in &inspection.files {
        let digest = inspection.input.files.iter().find(|f| f.name == file.name);
        let digest = digest.map_or_else(|| "not hashed: --digests".to_owned(), |f| f.sha256.clone());
        table.row(vec![Cell::new(file.name.clone()), Cell::new(bytes(file.bytes)), Cell::new(digest)]);
    }
    table
}

/// Tensors and elements per encoding, in name order.
fn encodings(tensors: &[Tensor]) -> Table {
    let mut sums: std::collections::BTreeMap<&str, (u64, u64)> = std::collections::BTreeMap::new();
    for tensor in tensors {
        let sum = sums.entry(&tensor.encoding).or_default();
        let elements = tensor.shape.iter().fold(1_u64, |product, side| product.saturating_mul(*side));
        *sum = (sum.0 + 1, sum.1.saturating_add(elements));
    }
    let mut table =
        Table::new(&[("encoding", Align::Left), ("tensors", Align::Right), ("elements", Align::Right)]);
    for (encoding, (count, elements)) in sums {
        table.row(vec![Cell::new(encoding), Cell::new(grouped(count)), Cell::new(parameters(elements))]);
    }
    table
}
