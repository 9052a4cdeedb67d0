//! A blame at a terminal: the map in runs, then layer by layer.

use super::merge;
use super::pen::{Paint, Pen};
use super::shared;
use super::table::{Align, Cell, Table};
use crate::number::{NONE, bytes, effect, grouped, percent};
use crate::text::wrap;
use crate::wire::{Blame, Expert, HeadPartner, Heads};
use crate::words;

pub(super) fn lines(blame: &Blame, pen: &Pen) -> Vec<String> {
    let mut lines = shared::inputs(&blame.inputs, pen);
    lines.push(String::new());
    lines.extend(runs(blame, pen));
    lines.extend(merge::lines(blame, pen));
    lines.extend(layers(blame, pen));
    lines.extend(experts(blame, pen));
    lines.extend(units(blame, pen));
    lines.extend(residual(blame, pen));
    lines.extend(heads(blame, pen));
    lines.extend(rows(blame, pen));
    lines.extend(shared::findings(&blame.findings, pen));
    lines.push(String::new());
    let level = serde_json::Value::from(blame.alpha);
    let last = format!(
        "family-wise {} = {level}, {} tests over all references, Bonferroni; {} read",
        pen.either("α", "alpha"),
        grouped(blame.tests as u64),
        bytes(blame.io.bytes_read)
    );
    lines.extend(wrap(&last, pen.width()));
    lines
}

fn runs(blame: &Blame, pen: &Pen) -> Vec<String> {
    if blame.runs.is_empty() {
        return vec!["no layer of the candidate can be tested against a layer of a reference".to_owned()];
    }
    let mut lines = Vec::new();
    let mut components: Vec<&str> = blame.runs.iter().map(|r| r.component).collect();
    components.dedup();
    for component in components {
        let of = blame.runs.iter().filter(|r| r.component == component);
        let text: Vec<String> = of
            .map(|r| {
                let from = match (r.reference, r.reference_layers) {
                    (Some(reference), Some(layers)) => {
                        format!("{} of {}", words::span(layers), blame.reference(reference))
                    }
                    _ => "none".to_owned(),
                };
                format!("{} {} {from}", words::span(r.layers), pen.either("←", "<-"))
            })
            .collect();
        lines.push(pen.paint(component, Paint::Dim));
        for run in text {
            lines.extend(wrap(&run, pen.width().saturating_sub(2)).iter().map(|line| format!("  {line}")));
        }
    }
    lines
}

fn layers(blame: &Blame, pen: &Pen) -> Vec<String> {
    let mut table = Table::new(&[
        ("", Align::Left),
        ("layer", Align::Left),
        ("comes from", Align::Left),
        ("p, corrected", Align::Left),
        ("effect", Align::Right),
    ]);
    for l in &blame.layers {
        let place = l.layer.map_or_else(|| "outside layers".to_owned(), |layer| format!("layer {layer}"));
        let from = match (l.reference, l.reference_layer) {
            (Some(reference), Some(layer)) => format!("{} layer {layer}", blame.reference(reference)),
            (Some(reference), None) => blame.reference(reference).to_owned(),
            (None, _) if l.log10_p.is_none() => "not tested".to_owned(),
            (None, _) => "none found".to_owned(),
        };
        row(
            &mut table,
            l.reference.is_some(),
            format!("{} {place}", l.component),
            from,
            l.log10_p,
            l.effect,
            pen,
        );
    }
    titled("", table.render(pen), pen)
}

fn experts(blame: &Blame, pen: &Pen) -> Vec<String> {
    let mut table = Table::new(&[
        ("", Align::Left),
        ("expert", Align::Left),
        ("comes from", Align::Left),
        ("p, corrected", Align::Left),
        ("effect", Align::Right),
    ]);
    for e in &blame.experts {
        let place = format!("{} layer {} expert {}", e.component, e.layer, e.expert);
        row(&mut table, e.reference.is_some(), place, expert_origin(blame, e), e.log10_p, e.effect, pen);
    }
    titled("experts", table.render(pen), pen)
}

fn units(blame: &Blame, pen: &Pen) -> Vec<String> {
    let mut table = Table::new(&[
        ("layer", Align::Left),
        ("units of", Align::Left),
        ("found", Align::Right),
        ("of", Align::Left),
        ("by", Align::Left),
        ("kept, in order", Align::Left),
    ]);
    for u in &blame.units {
        table.row(vec![
            Cell::new(format!("{} layer {}", u.component, u.layer)),
            Cell::new(format!("{} layer {}", blame.reference(u.reference), u.reference_layer)),
            Cell::new(grouped(u.matched)),
            Cell::new(format!("{} beside {}", grouped(u.units[0]), grouped(u.units[1]))),
            Cell::new(u.test),
            Cell::new(kept(u.kept.as_deref())),
        ]);
    }
    titled("hidden units found elsewhere", table.render(pen), pen)
}

fn residual(blame: &Blame, pen: &Pen) -> Vec<String> {
    let lines = blame.residual.iter().flat_map(|r| {
        let [c, other] = r.widths.map(grouped);
        let text = format!(
            "{}: {} channels of {c} have one counterpart among {other} of {}; in order: {}",
            r.component,
            grouped(r.matched),
            blame.reference(r.reference),
            kept(r.kept.as_deref())
        );
        let lines = wrap(&text, pen.width().saturating_sub(2));
        lines.into_iter().map(|line| format!("  {line}")).collect::<Vec<_>>()
    });
    titled("residual channels, as shared tokens tell", lines.collect(), pen)
}

fn heads(blame: &Blame, pen: &Pen) -> Vec<String> {
    let mut table = Table::new(&[
        ("layer", Align::Left),
        ("heads of", Align::Left),
        ("found", Align::Right),
        ("of", Align::Left),
        ("OV, QK cosine", Align::Right),
        ("which is which", Align::Left),
    ]);
    for h in &blame.heads {
        let found = h.partners.iter().filter(|p| p.partner.is_some());
        let least = |cosine: fn(&HeadPartner) -> Option<f64>| {
            let least = found.clone().filter_map(cosine).min_by(f64::total_cmp);
            least.map_or_else(|| NONE.to_owned(), effect)
        };
        table.row(vec![
            Cell::new(format!("{} layer {}", h.component, h.layer)),
            Cell::new(format!("{} layer {}", blame.reference(h.reference), h.reference_layer)),
            Cell::new(grouped(h.found as u64)),
            Cell::new(format!("{} beside {}", h.heads[0], h.heads[1])),
            Cell::new(format!("{}, {}", least(|p| p.value_output), least(|p| p.query_key))),
            Cell::new(which(h, pen)),
        ]);
    }
    titled("attention heads of layers with an origin; least cosine of those found", table.render(pen), pen)
}

/// Heads that were found, in runs: candidate's from reference's.
fn which(h: &Heads, pen: &Pen) -> String {
    let found: Vec<[u32; 2]> = (0..).zip(&h.partners).filter_map(|(i, p)| Some([i, p.partner?])).collect();
    if found.len() == h.partners.len() && h.heads[0] == h.heads[1] && found.iter().all(|[i, j]| i == j) {
        return "all in their places".to_owned();
    }
    let mut runs: Vec<[[u32; 2]; 2]> = Vec::new();
    for [i, j] in found {
        match runs.last_mut() {
            Some([own, other]) if (own[1] + 1, other[1] + 1) == (i, j) => (own[1], other[1]) = (i, j),
            _ => runs.push([[i, i], [j, j]]),
        }
    }
    let arrow = pen.either("←", "<-");
    let text = |[own, other]: &[[u32; 2]; 2]| format!("{} {arrow} {}", words::run(*own), words::run(*other));
    listed(runs.iter().map(text).collect())
}

/// Runs that a line can hold; the rest are counted.
const SHOWN: usize = 4;

fn kept(runs: Option<&[[u32; 2]]>) -> String {
    let Some(runs) = runs else { return "none listed".to_owned() };
    listed(runs.iter().map(|run| words::run(*run)).collect())
}

fn listed(mut runs: Vec<String>) -> String {
    let more = runs.len().saturating_sub(SHOWN);
    runs.truncate(SHOWN);
    if more > 0 {
        runs.push(format!("and {more} runs more"));
    }
    if runs.is_empty() { "none".to_owned() } else { runs.join(", ") }
}

fn expert_origin(blame: &Blame, e: &Expert) -> String {
    match (e.reference, e.reference_layer, e.reference_expert) {
        (Some(reference), Some(layer), Some(expert)) => {
            format!("{} layer {layer} expert {expert}", blame.reference(reference))
        }
        (Some(reference), Some(layer), None) => {
            format!("{} layer {layer}, dense block", blame.reference(reference))
        }
        _ if e.log10_p.is_none() => "not tested".to_owned(),
        _ => "none found".to_owned(),
    }
}

fn row(
    table: &mut Table,
    found: bool,
    place: String,
    from: String,
    log10_p: Option<f64>,
    cosine: Option<f64>,
    pen: &Pen,
) {
    let (symbol, paint) = if found { ("!", Paint::Notice) } else { ("-", Paint::Plain) };
    table.row(vec![
        Cell::painted(symbol, paint),
        Cell::new(place),
        Cell::new(from),
        Cell::new(log10_p.map_or_else(|| NONE.to_owned(), |p| pen.glyphs().p(p))),
        Cell::new(cosine.map_or_else(|| NONE.to_owned(), effect)),
    ]);
}

fn rows(blame: &Blame, pen: &Pen) -> Vec<String> {
    let lines = blame.rows.iter().flat_map(|r| {
        let share = r.share.map_or_else(|| "none comparable".to_owned(), percent);
        let text = format!(
            "{}: {share} of {} rows equal bit by bit to those of {}",
            r.role,
            grouped(r.compared),
            blame.reference(r.reference)
        );
        let lines = wrap(&text, pen.width().saturating_sub(2));
        lines.into_iter().map(|line| format!("  {line}")).collect::<Vec<_>>()
    });
    titled("token rows at the same index", lines.collect(), pen)
}

fn titled(title: &str, lines: Vec<String>, pen: &Pen) -> Vec<String> {
    if lines.is_empty() {
        return lines;
    }
    let mut out = vec![String::new()];
    if !title.is_empty() {
        out.push(pen.paint(title, Paint::Dim));
    }
    out.extend(lines);
    out
}
