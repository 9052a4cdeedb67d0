//! The verdict and what it is about.

use super::markup::{esc, facts, p, section};
use crate::number::{bytes, grouped, parameters, percent};
use crate::wire::{Input, Report};
use crate::words;

/// The headline, its sentence, and what decided it.
pub(super) fn verdict(report: &Report) -> String {
    let verdict = &report.verdict;
    let class = match verdict.kind {
        kind if words::is_dependence(kind) => "dependence",
        "no-dependence-found" => "none",
        _ => "open",
    };
    let alpha = serde_json::Value::from(verdict.alpha);
    let mut rule = format!("{} tests, family-wise α = {alpha}, Bonferroni", grouped(verdict.tests as u64));
    if verdict.tests > 0 {
        rule.push_str(&format!("; smallest p after correction: {}", p(verdict.log10_p)));
    }
    format!(
        "<div class=\"verdict {class}\">\n<h1>{}</h1>\n<p class=\"lead\">{}.</p>\n<p class=\"soft\">{rule}</p>\n{}</div>\n",
        words::headline(verdict.kind),
        esc(&capital(&words::sentence(verdict))).replace(" %", "\u{a0}%"),
        facts(&reading(report))
    )
}

fn reading(report: &Report) -> Vec<(&'static str, String)> {
    let verdict = &report.verdict;
    let mut pairs = Vec::new();
    if words::is_dependence(verdict.kind) {
        let direction = match verdict.direction {
            "candidate-from-reference" => "candidate ← reference",
            "reference-from-candidate" => "candidate → reference",
            _ => "unknown",
        };
        pairs.push(("direction", direction.to_owned()));
        pairs.push(("relation", esc(verdict.relation.unwrap_or("not known")).into_owned()));
        if let Some(cue) = &verdict.cue {
            pairs.push(("cue", esc(cue).into_owned()));
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
        pairs.push(("power", esc(&text).replace(" %", "\u{a0}%")));
        pairs.push((
            "reading",
            "Not to find dependence is not to find independence. It means that these tests, with this power, saw none."
                .to_owned(),
        ));
    }
    pairs
}

/// Both models, side by side.
pub(super) fn inputs(report: &Report) -> String {
    let cards: String = report.inputs.iter().map(card).collect();
    section("inputs", "Inputs", &format!("<div class=\"pair\">{cards}</div>\n"))
}

fn card(input: &Input) -> String {
    let mut pairs = vec![
        (
            "parameters",
            format!(
                "{} <span class=\"soft\">({})</span>",
                parameters(input.parameters),
                grouped(input.parameters)
            ),
        ),
        ("architecture", esc(&words::architecture(input)).into_owned()),
        ("stored as", format!("{}, {}", esc(&input.encoding), esc(&input.format))),
        ("declared", esc(&words::declared(input)).into_owned()),
        ("digest", format!("<span class=\"digest\">{}</span>", esc(&input.digest))),
    ];
    if !input.notes.is_empty() {
        let notes: Vec<_> = input.notes.iter().map(|note| esc(note).into_owned()).collect();
        pairs.push(("notes", notes.join("<br>")));
    }
    let files = if input.files.is_empty() {
        String::new()
    } else {
        let items: String = input
            .files
            .iter()
            .map(|f| {
                let (name, digest) = (esc(&f.name), esc(&f.sha256));
                format!("<li>{name} ({})<br><span class=\"digest\">{digest}</span></li>", bytes(f.bytes))
            })
            .collect();
        let noun = if input.files.len() == 1 { "file" } else { "files" };
        format!(
            "<details class=\"small\"><summary>{} {noun}, SHA-256</summary><ul>{items}</ul></details>",
            input.files.len()
        )
    };
    format!(
        "<article class=\"card\"><h3>{}</h3><p class=\"name\">{}</p>{}{files}</article>\n",
        input.role,
        esc(&input.reference),
        facts(&pairs)
    )
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}
