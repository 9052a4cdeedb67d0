//! Words that all renderers for people share.

use crate::number::{Glyphs, NONE, grouped, maybe, percent, short};
use crate::wire::{Controls, Evidence, Input, LayerMap, LayerRun, Report, Seen, Verdict};

/// The verdict in capitals.
pub(crate) fn headline(kind: &str) -> &'static str {
    match kind {
        "identical" => "IDENTICAL",
        "derived" => "DERIVED",
        "related" => "RELATED",
        "no-dependence-found" => "NO DEPENDENCE FOUND",
        _ => "INCONCLUSIVE",
    }
}

/// Whether the verdict asserts dependence.
pub(crate) fn is_dependence(kind: &str) -> bool {
    matches!(kind, "identical" | "derived" | "related")
}

/// One plain sentence, without a full stop.
pub(crate) fn sentence(verdict: &Verdict) -> String {
    match (verdict.kind, verdict.direction) {
        ("identical", _) => "every value of the candidate equals the reference's".to_owned(),
        ("derived", "reference-from-candidate") => {
            "the weights are not independent, and a cue says that the reference came from the candidate"
                .to_owned()
        }
        ("derived", _) => {
            "the weights are not independent, and a cue says that the candidate came from the reference"
                .to_owned()
        }
        ("related", _) if verdict.tier == "effect" => {
            "the units of one model are found in the other: an effect size under a stated assumption, no exact \
             test; which came first, or whether both have a common ancestor, is open"
                .to_owned()
        }
        ("related", _) => {
            "the weights are not independent; which came first, or whether both have a common ancestor, \
                           is open"
                .to_owned()
        }
        ("no-dependence-found", _) => {
            match verdict.power.and_then(|p| Some((p.smallest_share?, p.probability))) {
                Some((share, probability)) => format!(
                    "the tests would have found {} of the reference's weights kept at the same places, with {} probability",
                    percent(share),
                    percent(probability)
                ),
                None => "no test found dependence; their power is not known".to_owned(),
            }
        }
        _ if verdict.missing.is_empty() => "the tests cannot decide".to_owned(),
        _ => verdict.missing.join("; "),
    }
}

/// How the decision was made.
pub(crate) fn rule(verdict: &Verdict, glyphs: Glyphs) -> String {
    let alpha = if glyphs.unicode { "α" } else { "alpha" };
    let tests = if verdict.tests == 1 { "test" } else { "tests" };
    let p = match verdict.log10_p {
        Some(log10) if verdict.tests > 0 => format!("; p {}", relation_to(&glyphs.p(log10))),
        _ => String::new(),
    };
    let level = serde_json::Value::from(verdict.alpha);
    format!("family-wise {alpha} = {level}, {} {tests}, Bonferroni{p}", grouped(verdict.tests as u64))
}

/// `= 0.4` or, for what is a bound already, itself.
fn relation_to(p: &str) -> String {
    if p.starts_with(['≤', '<']) { p.to_owned() } else { format!("= {p}") }
}

/// What a relative is to the pair.
pub(crate) fn role(role: &str) -> &'static str {
    match role {
        "common-start" => "shares the random start only",
        "merge-parent" => "parent of the merge",
        "copy" => "copy of one of the two",
        "between" => "both may come from it",
        "unused" => "not needed",
        _ => "cannot be what both come from",
    }
}

/// What is said of a relative and one side, in few words.
pub(crate) fn seen(seen: Seen) -> String {
    let order = match seen.direction {
        "candidate-from-reference" => ", came from it",
        "reference-from-candidate" => ", it came from this",
        _ => "",
    };
    format!("{}{order}", seen.relation.unwrap_or(seen.kind))
}

/// Negative and positive controls, each in one line.
pub(crate) fn controls(controls: &Controls, glyphs: Glyphs) -> (String, String) {
    let negative = &controls.negative;
    let p = negative.smallest_log10_p.map_or_else(|| NONE.to_owned(), |log10| glyphs.p(log10));
    let first = format!(
        "dependence found in {} of {} draws of the candidate from the null; smallest p {}",
        negative.found,
        negative.made,
        relation_to(&p)
    );
    let runs = controls.positive.iter().map(|run| {
        let share = run.share.map_or_else(|| NONE.to_owned(), percent);
        format!("{share} {}", if run.found { "found" } else { "not found" })
    });
    let second = match runs.collect::<Vec<_>>() {
        runs if runs.is_empty() => "none made: the tests state no share that they would find".to_owned(),
        runs => format!("of the reference's weights mixed into such draws, {}", runs.join(", ")),
    };
    (first, second)
}

/// What a test's outcome is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Rejects its null after correction.
    Found,
    /// Does not.
    NotFound,
    /// Takes no part in the decision on dependence.
    Context,
}

impl Outcome {
    /// Symbol, ASCII.
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Outcome::Found => "!",
            Outcome::NotFound => "-",
            Outcome::Context => "~",
        }
    }

    /// The same in words.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Outcome::Found => "found",
            Outcome::NotFound => "not found",
            Outcome::Context => "context",
        }
    }
}

/// Outcome of a test under the verdict's correction.
pub(crate) fn outcome(evidence: &Evidence, verdict: &Verdict) -> Outcome {
    let threshold = verdict.alpha.log10() - (verdict.tests.max(1) as f64).log10();
    match (evidence.test, evidence.log10_p) {
        // Says which came first once dependence is found; not in the family.
        ("noise-order", _) | (_, None) => Outcome::Context,
        (_, Some(log10)) if log10 <= threshold => Outcome::Found,
        _ => Outcome::NotFound,
    }
}

/// `layer 3` or `layers 4-7`.
pub(crate) fn span([first, last]: [u32; 2]) -> String {
    if first == last { format!("layer {first}") } else { format!("layers {first}-{last}") }
}

/// First and last of a run of numbers.
pub(crate) fn run([first, last]: [u32; 2]) -> String {
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

/// A map in runs: `0-3 ← 0-3, 4 ← none, 5-7 ← 2-4`.
pub(crate) fn layer_runs(map: &LayerMap, arrow: &str) -> String {
    let text = |of: &LayerRun| {
        let from = of.reference.map_or_else(|| "none".to_owned(), run);
        format!("{} {arrow} {from}", run(of.candidate))
    };
    map.runs.iter().map(text).collect::<Vec<_>>().join(", ")
}

/// The statistic with its symbol; n stands in the column beside it.
pub(crate) fn statistic(evidence: &Evidence) -> String {
    let count = |name: &str| match evidence.statistic {
        Some(k) => format!("{name} = {}", grouped(k as u64)),
        None => NONE.to_owned(),
    };
    match evidence.test {
        "fixed-points" | "layer-map/fixed-points" => count("K"),
        test if test.starts_with("unit-agreement") => count("A"),
        "exact-identity" => count("E"),
        "noise-order" => format!("z = {}", maybe(evidence.statistic)),
        _ => format!("T = {}", maybe(evidence.statistic)),
    }
}

/// Tests of whole components or of the model, not of single layers.
pub(crate) fn main_tests(report: &Report) -> impl Iterator<Item = &Evidence> {
    report.evidence.iter().filter(|e| !e.scope.contains('/'))
}

/// Family and layers: `llama, 32 layers` or `llava, language-model 32 + vision-tower 24 layers`.
pub(crate) fn architecture(input: &Input) -> String {
    let layered: Vec<_> = input.layers.iter().filter(|l| l.layers > 0).collect();
    let name = format!("{}{}", input.architecture, if input.inferred { " (inferred)" } else { "" });
    match layered.as_slice() {
        [] => name,
        [one] => format!("{name}, {} layers", one.layers),
        many => {
            let parts: Vec<String> = many.iter().map(|l| format!("{} {}", l.component, l.layers)).collect();
            format!("{name}, {} layers", parts.join(" + "))
        }
    }
}

/// What the card declares, in one line.
pub(crate) fn declared(input: &Input) -> String {
    let base = match input.declared.base_model.as_slice() {
        [] => "(none)".to_owned(),
        many => many.join(", "),
    };
    match &input.declared.license {
        Some(license) => format!("base_model: {base}; license: {license}"),
        None => format!("base_model: {base}"),
    }
}

/// The change over all pairs, in one line.
pub(crate) fn change(report: &Report) -> Option<String> {
    let change = report.change?;
    Some(format!(
        "{} of {} values differ; relative change {}; cosine {}; scale {}",
        change.changed.map_or_else(|| NONE.to_owned(), percent),
        grouped(change.elements),
        change.relative.map_or_else(|| NONE.to_owned(), short),
        change.cosine.map_or_else(|| NONE.to_owned(), crate::number::effect),
        maybe(change.scale),
    ))
}
