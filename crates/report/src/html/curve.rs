//! The layer curve: effect with its interval per layer, one panel per component, all on one scale.
//!
//! Widths are shares of the page and heights are pixels, so that text keeps its size on a phone.

use super::markup::{self, Cell, Table, esc, p};
use crate::number::{effect, grouped};
use crate::wire::{Layer, Report};
use std::fmt::Write;

/// Height of the plotting area, pixels.
const HEIGHT: f64 = 170.0;
/// Share of the width left of the first layer and right of the last. The axis labels stand further left, in a margin
/// that the style sheet leaves (`--gutter`, 48 pixels).
const PAD: f64 = 1.5;

/// All panels and the numbers.
pub(super) fn section(report: &Report) -> String {
    if report.layers.is_empty() {
        return String::new();
    }
    let low = report.layers.iter().filter_map(|l| l.effect).fold(0.0, f64::min);
    let bottom = if low < -0.12 { -1.0 } else { -0.1 };
    let mut body = String::from(
        "<p class=\"soft\">Mean cosine of matching channels, layer by layer: 0 is what independent models give, 1 is equality \
         up to scale. The band is the interval. <span class=\"key full\"></span> dependence survives the correction, \
         <span class=\"key\"></span> it does not.</p>\n",
    );
    for component in &report.components {
        let layers: Vec<&Layer> = report
            .layers
            .iter()
            .filter(|l| l.component == component.name && l.candidate_layer.is_some())
            .collect();
        if !layers.is_empty() {
            body.push_str(&panel(component.name, &layers, bottom));
        }
    }
    body.push_str(&numbers(report));
    markup::section("layers", "Layer by layer", &body)
}

fn panel(name: &str, layers: &[&Layer], bottom: f64) -> String {
    let x = |i: usize| match layers.len() {
        1 => 50.0,
        n => PAD + (100.0 - 2.0 * PAD) * i as f64 / (n - 1) as f64,
    };
    let top = 1.05;
    let y = |effect: f64| HEIGHT * (top - effect.clamp(bottom, top)) / (top - bottom);
    let dependent = layers.iter().filter(|l| l.dependent).count();
    let heading = format!("{name}: {dependent} of {} layers dependent", grouped(layers.len() as u64));
    let mut svg = format!(
        "<figure class=\"gutter\"><svg height=\"{}\" role=\"img\" aria-label=\"{}; numbers in the table below\">\n",
        HEIGHT + 52.0,
        esc(&heading)
    );
    let _ = writeln!(svg, "<text class=\"strong\" x=\"-48\" y=\"12\">{}</text>", esc(&heading));
    let _ = writeln!(svg, "<svg y=\"28\" width=\"100%\" height=\"{}\" overflow=\"visible\">", HEIGHT + 24.0);
    let ticks: &[f64] =
        if bottom < -0.5 { &[-1.0, -0.5, 0.0, 0.5, 1.0] } else { &[0.0, 0.25, 0.5, 0.75, 1.0] };
    for tick in ticks {
        let (at, class) = (y(*tick), if *tick == 0.0 { "zero" } else { "gridline" });
        let _ = writeln!(svg, "<line class=\"{class}\" x1=\"0\" x2=\"100%\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>");
        let label = if *tick < 0.0 { format!("−{}", -tick) } else { format!("{tick}") };
        let _ = writeln!(svg, "<text x=\"-12\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>", at + 4.0);
    }
    shapes(&mut svg, layers, &x, &y);
    for (i, layer) in layers.iter().enumerate() {
        let Some(effect) = layer.effect else { continue };
        let class = if layer.dependent { "dot dependent" } else { "dot" };
        let radius = if layers.len() > 60 { 2.5 } else { 4.0 };
        let _ = writeln!(
            svg,
            "<circle class=\"{class}\" cx=\"{:.2}%\" cy=\"{:.1}\" r=\"{radius}\"><title>{}</title></circle>",
            x(i),
            y(effect),
            esc(&format!("layer {}: {}", number_of(layer), crate::number::effect(effect)))
        );
    }
    let _ = writeln!(svg, "<text x=\"-48\" y=\"{:.1}\">layer</text>", HEIGHT + 18.0);
    // About eight labels, the first and the last among them.
    let step = layers.len().saturating_sub(1).div_ceil(8).max(1);
    for (i, layer) in layers.iter().enumerate() {
        let last = i + 1 == layers.len();
        if last || (i % step == 0 && i + step <= layers.len() - 1 + step / 2) {
            let _ = writeln!(
                svg,
                "<text x=\"{:.2}%\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                x(i),
                HEIGHT + 18.0,
                number_of(layer)
            );
        }
    }
    svg.push_str("</svg></svg></figure>\n");
    svg
}

/// The band and the line, in a drawing that is stretched to the width.
fn shapes(svg: &mut String, layers: &[&Layer], x: &dyn Fn(usize) -> f64, y: &dyn Fn(f64) -> f64) {
    let (mut above, mut below, mut line) = (String::new(), Vec::new(), String::new());
    for (i, layer) in layers.iter().enumerate() {
        let Some(effect) = layer.effect else { continue };
        let ends = layer.interval.and_then(|interval| Some((interval.low?, interval.high?)));
        let (low, high) = ends.unwrap_or((effect, effect));
        let _ = write!(above, "{:.3},{:.2} ", x(i), y(high));
        below.push(format!("{:.3},{:.2}", x(i), y(low)));
        let _ = write!(line, "{:.3},{:.2} ", x(i), y(effect));
    }
    below.reverse();
    let _ = writeln!(
        svg,
        "<svg width=\"100%\" height=\"{HEIGHT}\" viewBox=\"0 0 100 {HEIGHT}\" preserveAspectRatio=\"none\">\
         <polygon class=\"band\" points=\"{above}{}\"/>\
         <polyline class=\"curve\" vector-effect=\"non-scaling-stroke\" points=\"{}\"/></svg>",
        below.join(" "),
        line.trim_end()
    );
}

fn number_of(layer: &Layer) -> String {
    layer.candidate_layer.map_or_else(|| "outside layers".to_owned(), |index| index.to_string())
}

fn numbers(report: &Report) -> String {
    let columns = [
        ("component", false),
        ("layer", true),
        ("reference layer", true),
        ("effect", true),
        ("interval", true),
        ("p", true),
        ("dependence", false),
    ];
    let mut table = Table::new("Effect per layer; p after correction over the layer's own tests", &columns);
    for layer in &report.layers {
        let unplaced = if layer.candidate_layer.is_some() { "none" } else { "outside layers" };
        let reference = layer.reference_layer.map_or_else(|| unplaced.to_owned(), |index| index.to_string());
        let interval = layer.interval.and_then(|i| Some((i.low?, i.high?)));
        let interval = interval.map(|(low, high)| {
            format!("[{}, {}]", markup::signed(&effect(low)), markup::signed(&effect(high)))
        });
        table.row(
            if layer.dependent { "found" } else { "" },
            &[
                Cell::text(layer.component),
                Cell::number(&number_of(layer)),
                Cell::number(&reference),
                Cell::number(&layer.effect.map_or_else(|| "-".to_owned(), effect)),
                Cell::right(interval.unwrap_or_else(|| "–".to_owned())),
                Cell::right(p(layer.log10_p)),
                Cell::text(if layer.dependent { "found" } else { "not found" }),
            ],
        );
    }
    format!("<details><summary>The numbers</summary>\n{}</details>\n", table.render())
}
