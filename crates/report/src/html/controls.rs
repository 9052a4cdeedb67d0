//! What stands beside the verdict: controls, and the statistics that are no evidence.

use super::markup::{self, Cell, Table, esc, p};
use crate::number::{Glyphs, NONE, bytes, effect, grouped, percent};
use crate::wire::{ContextStatistic, ControlRun, Report};
use crate::words;

/// The controls, where they were asked for.
pub(super) fn section(report: &Report) -> String {
    let Some(controls) = &report.controls else { return String::new() };
    let (negative, positive) = words::controls(controls, Glyphs { unicode: true });
    let columns = [
        ("control", false),
        ("share built in", true),
        ("outcome", false),
        ("verdict", false),
        ("smallest p, corrected", true),
        ("tests", true),
    ];
    let mut table = Table::new("The same tests under the same rule on pairs whose answer is known", &columns);
    let mut row = |name: &str, run: &ControlRun| {
        let outcome = if run.found { "! found" } else { "– not found" };
        table.row(
            if run.found { "found" } else { "" },
            &[
                Cell::text(name),
                Cell::number(&run.share.map_or_else(|| NONE.to_owned(), percent)),
                Cell::text(outcome),
                Cell::text(run.kind),
                Cell::right(p(run.log10_p)),
                Cell::number(&grouped(run.tests as u64)),
            ],
        );
    };
    for (i, run) in (1..).zip(&controls.negative.runs) {
        row(&format!("negative {i}"), run);
    }
    for (i, run) in (1..).zip(&controls.positive) {
        row(&format!("positive {i}"), run);
    }
    let note = format!(
        "<p class=\"small soft\">A negative control is the candidate with fair random signs on its channels and new labels on its \
         units: it has the candidate\u{2019}s shapes, norms and singular values, and depends on the reference by chance alone. A \
         positive control has the stated cosine with the reference by construction. {} more passes over both models, {} read; \
         seed {}.</p>\n",
        controls.passes(),
        bytes(controls.bytes_read),
        controls.seed
    );
    let body = format!(
        "<p>Negative: {}.</p>\n<p>Positive: {}.</p>\n<details><summary>Each control</summary>\n{}</details>\n{note}",
        esc(&negative),
        esc(&positive).replace(" %", "\u{a0}%"),
        table.render()
    );
    markup::section("controls", "Controls", &body)
}

/// The other models, where some were named.
pub(super) fn relatives(report: &Report) -> String {
    if report.relatives.is_empty() {
        return String::new();
    }
    let columns = [
        ("relative", false),
        ("role", false),
        ("beside the candidate", false),
        ("beside the reference", false),
    ];
    let mut table = Table::new("Other models, each compared with both", &columns);
    for relative in &report.relatives {
        let [candidate, reference] = [relative.to_candidate, relative.to_reference].map(words::seen);
        let cells = [&relative.reference, words::role(relative.role), &candidate, &reference].map(Cell::text);
        table.row("", &cells);
    }
    let note = "<p class=\"small soft\">A model that shares only the random start shows which of two holds more of it. That one came first, unless both come \
                  from a third: so no order is stated beside a model that may stand between.</p>\n";
    markup::section("relatives", "Relatives", &format!("{}{note}", table.render()))
}

/// What a statistic is, and why it is no evidence.
const NOTES: &[(&str, &str, &str)] = &[
    (
        "gain-cosine",
        "cosine of the weights of all normalisations",
        "Gains are positive and near one another, so their cosine is near 1 in any two models. An accusation of January 2026 that \
         rested on it (0.989) was withdrawn with an apology.",
    ),
    (
        "norm-cosine",
        "cosine of the vectors of the tensors\u{2019} norms",
        "Norms are positive and follow from shapes, initial scale and weight decay: what the recipe says, not where weights come from.",
    ),
    (
        "attention-profile",
        "correlation over depth of the spread of q, k, v and o",
        "A few smooth numbers, which the recipe draws. A model was accused in July 2025 at 0.927; the answer to it found 0.91 between \
         two models of other makers.",
    ),
    (
        "config-equality",
        "share of equal fields of the configurations",
        "Architectures are reused openly. A published tool confirms a match on equal fields without reading a \
         weight.",
    ),
    (
        "embedding-cka",
        "linear CKA of the embeddings of shared tokens",
        "Tokens mean the same in every model. A stand-in, from weights alone, for CKA of activations.",
    ),
    (
        "activation-cka",
        "linear CKA of activations on shared inputs",
        "Shared inputs make it high for independent models: 0.75 and 0.83 were measured between models of different makers.",
    ),
];

/// The statistics of known false accusations, labelled so that nobody takes them for evidence.
pub(super) fn context(report: &Report) -> String {
    if report.context.is_empty() {
        return String::new();
    }
    let columns = [
        ("statistic", false),
        ("this pair", true),
        ("over", true),
        ("independent models: median", true),
        ("5 % to 95 %", true),
    ];
    let mut table = Table::new("No test, no null, no part in the verdict", &columns);
    let mut reasons = String::new();
    for statistic in &report.context {
        let note = NOTES.iter().find(|(name, ..)| *name == statistic.name);
        let (what, why) = note.map_or((statistic.name, ""), |(_, what, why)| (*what, *why));
        table.row("context", &cells(statistic, what));
        let missing =
            statistic.reason.map_or_else(String::new, |reason| format!(" No value here: {reason}."));
        reasons.push_str(&format!("<li><b>{}</b>: {}{}</li>\n", esc(what), esc(why), esc(&missing)));
    }
    let pairs = report.context.iter().find_map(|c| c.background).map_or(0, |b| b.pairs);
    let body = format!(
        "<p>Models were accused of copying by numbers like these. They are printed beside the values that <b>independent</b> models have, so \
         that a high one is not mistaken for evidence.</p>\n{}<p class=\"small soft\">Independent models: {} pairs of small models that \
         were trained from independent random starts by one recipe. Larger models have other values; the reasons are the \
         same.</p>\n<h3>Why they are no evidence</h3>\n<ul>\n{reasons}</ul>\n",
        table.render(),
        grouped(pairs)
    );
    markup::section("context", "Context that is no evidence", &body)
}

fn cells(statistic: &ContextStatistic, what: &str) -> Vec<Cell> {
    let number = |x: Option<f64>| x.map_or_else(|| NONE.to_owned(), effect);
    let range = statistic.background.and_then(|b| Some(format!("{} to {}", effect(b.low?), effect(b.high?))));
    vec![
        Cell::text(what),
        Cell::number(&number(statistic.value)),
        Cell::number(&if statistic.n > 0 { grouped(statistic.n) } else { NONE.to_owned() }),
        Cell::number(&number(statistic.background.and_then(|b| b.median))),
        Cell::number(&range.unwrap_or_else(|| NONE.to_owned())),
    ]
}
