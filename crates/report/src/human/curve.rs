//! The layer curve as one line of blocks, or of digits.

use super::pen::{Paint, Pen};
use crate::text::wrap;
use crate::wire::{Layer, Report};

const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// One line per component that has layers, with a legend.
pub(super) fn lines(report: &Report, pen: &Pen) -> Vec<String> {
    let mut rows: Vec<(String, String)> = Vec::new();
    for component in &report.components {
        let of = |inside: bool| {
            report
                .layers
                .iter()
                .filter(move |l| l.component == component.name && l.candidate_layer.is_some() == inside)
        };
        let layers: Vec<&Layer> = of(true).collect();
        if layers.is_empty() {
            continue;
        }
        let dependent = layers.iter().filter(|l| l.dependent).count();
        let outside = match of(false).next() {
            Some(l) if l.dependent => "; so are the tensors outside layers",
            _ => "",
        };
        let facts = format!("{dependent} of {} layers dependent{outside}", layers.len());
        rows.push((format!("{}  {facts}", component.name), curve(&layers, pen)));
    }
    if rows.is_empty() {
        return Vec::new();
    }
    let scale = pen.either("0 (▁) to 1 (█)", "0 (0) to 1 (9)");
    let mut out =
        vec![String::new(), pen.paint(&format!("layers, first to last; effect from {scale}"), Paint::Dim)];
    for (head, curve) in rows {
        out.extend(wrap(&head, pen.width().saturating_sub(2)).iter().map(|line| format!("  {line}")));
        out.push(format!("  {curve}"));
    }
    out
}

/// One character per layer; neighbours share one where there are more layers than columns.
fn curve(layers: &[&Layer], pen: &Pen) -> String {
    let columns = pen.width().saturating_sub(4).max(8);
    let per_column = layers.len().div_ceil(columns);
    let mark = |bin: &[&Layer]| {
        let effects: Vec<f64> = bin.iter().filter_map(|l| l.effect).collect();
        if effects.is_empty() {
            return '?';
        }
        let mean = (effects.iter().sum::<f64>() / effects.len() as f64).clamp(0.0, 1.0);
        if pen.glyphs().unicode {
            BLOCKS[(mean * 7.0).round() as usize]
        } else {
            char::from(b'0' + (mean * 9.0).round() as u8)
        }
    };
    layers.chunks(per_column).map(mark).collect()
}
