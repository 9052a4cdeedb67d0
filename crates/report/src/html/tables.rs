//! The evidence, the components and the change, as tables.

use super::markup::{self, Cell, Table, esc, p, section};
use crate::number::{NONE, effect, grouped, maybe, percent};
use crate::wire::{Evidence, Interval, Report};
use crate::words::{self, Outcome};

/// Tests of components, then of layers, then the nulls in words.
pub(super) fn evidence(report: &Report) -> String {
    if report.evidence.is_empty() {
        return String::new();
    }
    let main: Vec<&Evidence> = words::main_tests(report).collect();
    let layers: Vec<&Evidence> = report.evidence.iter().filter(|e| e.scope.contains('/')).collect();
    let mut body = table(report, &main, "Tests of whole components; p before correction");
    if !layers.is_empty() {
        let rows = table(report, &layers, "Tests of single layers; p before correction");
        body.push_str(&format!(
            "<details><summary>{} tests of single layers</summary>\n{rows}</details>\n",
            grouped(layers.len() as u64)
        ));
    }
    let mut nulls: Vec<(&str, &str, &str)> = Vec::new();
    for e in &report.evidence {
        let name = e.test.split('/').next().unwrap_or(e.test);
        if let Some(null) = e.null
            && !nulls.contains(&(name, null, e.p_kind.unwrap_or_default()))
        {
            nulls.push((name, null, e.p_kind.unwrap_or_default()));
        }
    }
    let items: String = nulls
        .iter()
        .map(|(name, null, kind)| format!("<li><b>{}</b> ({kind} p): {}.</li>", esc(name), esc(null)))
        .collect();
    if !items.is_empty() {
        body.push_str(&format!("<h3>Null hypotheses</h3>\n<ul>{items}</ul>\n"));
    }
    section("evidence", "Evidence", &body)
}

fn table(report: &Report, rows: &[&Evidence], caption: &str) -> String {
    let columns = [
        ("outcome", false),
        ("test", false),
        ("scope", false),
        ("statistic", true),
        ("n", true),
        ("p", true),
        ("effect", true),
        ("interval", true),
        ("detectable share", true),
    ];
    let mut table = Table::new(caption, &columns);
    for e in rows {
        let outcome = words::outcome(e, &report.verdict);
        let class = match outcome {
            Outcome::Found => "found",
            Outcome::NotFound => "",
            Outcome::Context => "context",
        };
        table.row(
            class,
            &[
                Cell::text(&format!("{} {}", outcome.symbol().replace('-', "–"), outcome.word())),
                Cell::text(e.test),
                Cell::text(&e.scope),
                Cell::right(statistic(e)),
                Cell::number(&grouped(e.n)),
                Cell::right(p(e.log10_p)),
                Cell::number(&e.effect.map_or_else(|| NONE.to_owned(), effect)),
                Cell::right(interval(e.interval)),
                Cell::number(&e.detectable.map_or_else(|| NONE.to_owned(), percent)),
            ],
        );
    }
    table.render()
}

fn statistic(e: &Evidence) -> String {
    let text = words::statistic(e);
    match text.split_once(" = ") {
        Some((symbol, value)) => format!("<i>{}</i> = {}", esc(symbol), markup::signed(value)),
        None => markup::signed(&text),
    }
}

fn interval(interval: Option<Interval>) -> String {
    match interval.and_then(|i| Some((i.low?, i.high?))) {
        Some((low, high)) => format!("[{}, {}]", markup::signed(&effect(low)), markup::signed(&effect(high))),
        None => "–".to_owned(),
    }
}

/// One row per component.
pub(super) fn components(report: &Report) -> String {
    if report.components.is_empty() {
        return String::new();
    }
    let columns = [
        ("component", false),
        ("verdict", false),
        ("share inherited", true),
        ("p, corrected", true),
        ("effect", true),
        ("interval", true),
        ("detectable share", true),
    ];
    let mut table = Table::new("What may be said of each component", &columns);
    for c in &report.components {
        table.row(
            if words::is_dependence(c.kind) { "found" } else { "" },
            &[
                Cell::text(c.name),
                Cell::text(c.kind),
                Cell::number(&c.share_inherited.map_or_else(|| NONE.to_owned(), percent)),
                Cell::right(p(c.log10_p)),
                Cell::number(&c.effect.map_or_else(|| NONE.to_owned(), effect)),
                Cell::right(interval(c.interval)),
                Cell::number(&c.detectable.map_or_else(|| NONE.to_owned(), percent)),
            ],
        );
    }
    let note = "<p class=\"small soft\">Share inherited: the share of the tested parameters that are equal or lie in layers where \
                dependence was found.</p>\n";
    section("components", "Components", &format!("{}{note}", table.render()))
}

/// How much changed, and whether it looks like noise.
pub(super) fn change(report: &Report) -> String {
    let columns = [
        ("part", false),
        ("values compared", true),
        ("values changed", true),
        ("relative change", true),
        ("cosine", true),
        ("scale", true),
    ];
    let mut table = Table::new("Tensors of equal shape, element by element", &columns);
    let whole = std::iter::once(("both models", report.change));
    for (name, change) in report.components.iter().map(|c| (c.name, c.change)).chain(whole) {
        let Some(change) = change else { continue };
        table.row(
            "",
            &[
                Cell::text(name),
                Cell::number(&grouped(change.elements)),
                Cell::number(&change.changed.map_or_else(|| NONE.to_owned(), percent)),
                Cell::number(&maybe(change.relative)),
                Cell::number(&change.cosine.map_or_else(|| NONE.to_owned(), effect)),
                Cell::number(&maybe(change.scale)),
            ],
        );
    }
    if report.change.is_none() && report.components.iter().all(|c| c.change.is_none()) {
        return String::new();
    }
    section("change", "How much changed", &format!("{}{}", table.render(), noise(report)))
}

fn noise(report: &Report) -> String {
    let columns = [
        ("component", false),
        ("σ", true),
        ("excess kurtosis", true),
        ("correlation with magnitude", true),
        ("spread of σ over tensors", true),
        ("Gaussian", false),
    ];
    let mut table = Table::new("The change described as added noise", &columns);
    let noisy: Vec<_> = report.components.iter().filter_map(|c| Some((c.name, c.noise?))).collect();
    if noisy.is_empty() {
        return String::new();
    }
    for (name, noise) in noisy {
        table.row(
            "",
            &[
                Cell::text(name),
                Cell::number(&maybe(noise.sigma)),
                Cell::number(&maybe(noise.excess_kurtosis)),
                Cell::number(&maybe(noise.magnitude_correlation)),
                Cell::number(&maybe(noise.sigma_variation)),
                Cell::text(if noise.gaussian { "yes" } else { "no" }),
            ],
        );
    }
    table.render()
}
