//! A comparison at a terminal.

use super::pen::{Paint, Pen};
use super::table::{Align, Cell, Table};
use super::{curve, shared};
use crate::number::{NONE, bytes, effect, grouped, maybe, percent, short};
use crate::text::wrap;
use crate::wire::{Interval, Report};
use crate::words::{self, Outcome};

pub(super) fn lines(report: &Report, pen: &Pen) -> Vec<String> {
    let mut lines = shared::inputs(&report.inputs, pen);
    lines.push(String::new());
    lines.extend(verdict(report, pen));
    lines.extend(controls(report, pen));
    lines.extend(tests(report, pen));
    lines.extend(components(report, pen));
    lines.extend(curve::lines(report, pen));
    lines.extend(layer_maps(report, pen));
    lines.push(String::new());
    lines.extend(reading(report, pen));
    lines.extend(relatives(report, pen));
    lines.extend(not_tested(report, pen));
    lines.extend(shared::findings(&report.findings, pen));
    lines.push(String::new());
    lines.extend(wrap(&last(report, pen), pen.width()));
    lines
}

fn verdict(report: &Report, pen: &Pen) -> Vec<String> {
    let verdict = &report.verdict;
    let word = words::headline(verdict.kind);
    let paint = if words::is_dependence(verdict.kind) { Paint::Notice } else { Paint::Strong };
    let text = format!("{} ({})", words::sentence(verdict), words::rule(verdict, pen.glyphs()));
    let indent = (word.len() + 2).max(11);
    let wrapped = wrap(&text, pen.width().saturating_sub(indent));
    let mut lines = Vec::new();
    for (i, line) in wrapped.iter().enumerate() {
        let word = if i == 0 { word } else { "" };
        lines.push(format!("{}{}{line}", pen.paint(word, paint), " ".repeat(indent - word.len())));
    }
    lines
}

/// What the same tests say of pairs whose answer is known, and what that cost.
fn controls(report: &Report, pen: &Pen) -> Vec<String> {
    let Some(controls) = &report.controls else { return Vec::new() };
    let (negative, positive) = words::controls(controls, pen.glyphs());
    let cost =
        format!("{} more passes over both models, {} read", controls.passes(), bytes(controls.bytes_read));
    let mut lines = vec![String::new()];
    lines.extend(pen.labelled("controls", &format!("negative: {negative}")));
    lines.extend(pen.labelled("", &format!("positive: {positive}")));
    lines.extend(pen.labelled("", &cost));
    lines
}

fn tests(report: &Report, pen: &Pen) -> Vec<String> {
    let level = report.evidence.iter().find_map(|e| e.interval).map_or(0.95, |i| i.level);
    let header = format!("effect [{} interval]", percent(level));
    let mut table = Table::new(&[
        ("", Align::Left),
        ("test", Align::Left),
        ("scope", Align::Left),
        ("statistic", Align::Left),
        ("n", Align::Right),
        ("p", Align::Left),
        (&header, Align::Left),
    ]);
    for e in words::main_tests(report) {
        let outcome = words::outcome(e, &report.verdict);
        let paint = if outcome == Outcome::Found { Paint::Notice } else { Paint::Plain };
        let p = e.log10_p.map_or_else(|| "not a test".to_owned(), |log10| pen.glyphs().p(log10));
        table.row(vec![
            Cell::painted(outcome.symbol(), paint),
            Cell::new(e.test),
            Cell::new(e.scope.clone()),
            Cell::new(words::statistic(e)),
            Cell::new(grouped(e.n)),
            Cell::new(p),
            Cell::new(with_interval(e.effect, e.interval)),
        ]);
    }
    let mut lines = table.render(pen);
    if !lines.is_empty() {
        lines.insert(0, String::new());
        lines.push(pen.paint("! found   - not found   ~ context only", Paint::Dim));
    }
    lines
}

fn with_interval(x: Option<f64>, interval: Option<Interval>) -> String {
    let Some(x) = x else { return String::new() };
    match interval.and_then(|i| Some((i.low?, i.high?))) {
        Some((low, high)) => format!("{} [{}, {}]", effect(x), effect(low), effect(high)),
        None => effect(x),
    }
}

fn components(report: &Report, pen: &Pen) -> Vec<String> {
    let noisy = report.components.iter().any(|c| c.noise_sigma.is_some());
    let mut columns = vec![
        ("component", Align::Left),
        ("verdict", Align::Left),
        ("share inherited", Align::Right),
        ("values changed", Align::Right),
        ("relative change", Align::Right),
        ("cosine", Align::Right),
    ];
    if noisy {
        columns.push((pen.either("noise σ", "noise sigma"), Align::Right));
    }
    let mut table = Table::new(&columns);
    for c in &report.components {
        let change = c.change;
        let mut row = vec![
            Cell::new(c.name),
            Cell::new(c.kind),
            Cell::new(c.share_inherited.map_or_else(|| NONE.to_owned(), percent)),
            Cell::new(change.and_then(|x| x.changed).map_or_else(|| NONE.to_owned(), percent)),
            Cell::new(maybe(change.and_then(|x| x.relative))),
            Cell::new(change.and_then(|x| x.cosine).map_or_else(|| NONE.to_owned(), effect)),
        ];
        if noisy {
            row.push(Cell::new(maybe(c.noise_sigma)));
        }
        table.row(row);
    }
    let mut lines = table.render(pen);
    if !lines.is_empty() {
        lines.insert(0, String::new());
    }
    lines
}

/// One line per component, where layers of other numbers were looked at.
fn layer_maps(report: &Report, pen: &Pen) -> Vec<String> {
    let mut lines = Vec::new();
    for map in &report.layer_maps {
        let found = map.runs.iter().any(|run| run.reference.is_some());
        let text = match found {
            true => words::layer_runs(map, pen.either("←", "<-")),
            false => "no layer depends on any layer of the reference at equal indices".to_owned(),
        };
        let text = format!("{}: {text}", map.component);
        if lines.is_empty() {
            lines.push(String::new());
        }
        lines.extend(pen.labelled("layer map", &text));
    }
    lines
}

/// The other models, and what they are to the pair.
fn relatives(report: &Report, pen: &Pen) -> Vec<String> {
    if report.relatives.is_empty() {
        return Vec::new();
    }
    let mut table = Table::new(&[
        ("relative", Align::Left),
        ("role", Align::Left),
        ("beside the candidate", Align::Left),
        ("beside the reference", Align::Left),
    ]);
    for relative in &report.relatives {
        let [candidate, reference] = [relative.to_candidate, relative.to_reference].map(words::seen);
        table.row(vec![
            Cell::new(relative.reference.clone()),
            Cell::new(words::role(relative.role)),
            Cell::new(candidate),
            Cell::new(reference),
        ]);
    }
    let mut lines = table.render(pen);
    lines.insert(0, String::new());
    lines
}

fn reading(report: &Report, pen: &Pen) -> Vec<String> {
    let verdict = &report.verdict;
    let mut lines = Vec::new();
    if words::is_dependence(verdict.kind) {
        let direction = match verdict.direction {
            "candidate-from-reference" => pen.either("candidate ← reference", "candidate <- reference"),
            "reference-from-candidate" => pen.either("candidate → reference", "candidate -> reference"),
            _ => "unknown",
        };
        let relation = verdict.relation.unwrap_or("not known");
        lines.extend(pen.labelled("direction", &format!("{direction}   relation: {relation}")));
        if let Some(cue) = &verdict.cue {
            lines.extend(pen.labelled("cue", cue));
        }
    }
    if let Some(power) = verdict.power {
        let share = |x: Option<f64>| x.map_or_else(|| "no share".to_owned(), percent);
        let text = format!(
            "with {} probability: {} kept in all layers, or {} kept in one typical layer",
            percent(power.probability),
            share(power.smallest_share),
            share(power.smallest_share_one_layer)
        );
        lines.extend(pen.labelled("power", &text));
    }
    if let Some(change) = words::change(report) {
        lines.extend(pen.labelled("change", &change));
    }
    for c in &report.components {
        if let (Some(noise), Some(sigma)) = (c.noise, c.noise_sigma) {
            let text = format!(
                "{}: Gaussian, {} = {}; excess kurtosis {}; correlation with magnitude {}; spread over tensors {}",
                c.name,
                pen.either("σ", "sigma"),
                short(sigma),
                maybe(noise.excess_kurtosis),
                maybe(noise.magnitude_correlation),
                maybe(noise.sigma_variation)
            );
            lines.extend(pen.labelled("noise", &text));
        }
    }
    lines.extend(pen.labelled("declared", &words::declared(report.candidate())));
    if !report.context.is_empty() {
        let text = format!(
            "{} statistics that are no evidence, beside their values among independent models: --format html",
            report.context.len()
        );
        lines.extend(pen.labelled("context", &text));
    }
    lines
}

fn not_tested(report: &Report, pen: &Pen) -> Vec<String> {
    if report.not_tested.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![String::new(), pen.paint("not tested", Paint::Dim)];
    for item in &report.not_tested {
        let text = format!("{}: {}", item.what, item.reason);
        for (i, line) in wrap(&text, pen.width().saturating_sub(4)).iter().enumerate() {
            lines.push(format!("{}{line}", if i == 0 { "  - " } else { "    " }));
        }
    }
    lines
}

fn last(report: &Report, pen: &Pen) -> String {
    let dot = pen.either(" · ", " | ");
    let mut parts = vec![
        format!("seed {}", report.seed),
        format!("{} tests, Bonferroni", grouped(report.verdict.tests as u64)),
        format!("{} read", bytes(report.io.bytes_read)),
    ];
    if let Some(seconds) = report.io.seconds_wall {
        parts.push(format!("{} s", short(seconds)));
    }
    if let Some(peak) = report.io.peak_memory_bytes {
        parts.push(format!("peak {}", bytes(peak)));
    }
    parts.push("details: --format html".to_owned());
    parts.join(dot)
}
