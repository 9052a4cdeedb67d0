//! The page about a labelled collection.

use super::labels::{Label, Zoo, expected};
use super::{Outcome, Seen};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use stemmata_audit::{Direction, Kind};

const RELATIONS: [&str; 7] =
    ["identical", "derived", "ancestor", "siblings", "same-init", "distilled", "independent"];
const KINDS: [Kind; 5] =
    [Kind::Identical, Kind::Derived, Kind::Related, Kind::NoDependenceFound, Kind::Inconclusive];

pub(super) fn page(zoo: &Zoo, outcomes: &[Outcome], date: Option<&str>) -> String {
    let mut out = format!(
        "# A labelled collection of real models\n\nMade by `cargo xtask zoo --zoo DIR` on a collection of {} tiny trained models with known \
         lineage ({} pairs) that is not part of this repository.{} Nothing was tuned on it. Every pair was compared by the defaults of \
         `stemmata compare`, the child as the candidate. An adapter alone holds no weights of its base; it counts as `BASE+ADAPTER` only.\n",
        zoo.models.len(),
        outcomes.len(),
        date.map_or_else(String::new, |date| format!(" {date}."))
    );
    verdicts(&mut out, outcomes);
    relations(&mut out, zoo, outcomes);
    directions(&mut out, zoo, outcomes);
    errors(&mut out, zoo, outcomes);
    out
}

fn is_adapter(zoo: &Zoo, label: &Label) -> bool {
    [&label.candidate, &label.reference].iter().any(|model| zoo.kind(model) == "lora")
}

fn verdicts(out: &mut String, outcomes: &[Outcome]) {
    out.push_str("\n## Verdicts\n\n| truth | pairs |");
    KINDS.iter().for_each(|kind| _ = write!(out, " {} |", kind.name()));
    out.push_str("\n|---|--:|");
    KINDS.iter().for_each(|_| out.push_str("--:|"));
    out.push('\n');
    for relation in RELATIONS {
        let of: Vec<&Outcome> = outcomes.iter().filter(|o| o.label.relation == relation).collect();
        let _ = write!(out, "| {relation} | {} |", of.len());
        for kind in KINDS {
            let _ = write!(out, " {} |", of.iter().filter(|o| o.seen.kind == kind).count());
        }
        out.push('\n');
    }
}

/// Whether the relation is the expected one; `None` where there is none to expect.
fn named(zoo: &Zoo, label: &Label, seen: &Seen) -> Option<bool> {
    let expected = expected(zoo, label)?;
    (!expected.is_empty()).then(|| seen.relation.is_some_and(|relation| expected.contains(&relation)))
}

fn relations(out: &mut String, zoo: &Zoo, outcomes: &[Outcome]) {
    out.push_str(
        "\n## Relation named\n\nOf pairs one step apart, without the lone adapter. *Beside all others*: all other models of the collection but the adapter \
         were named with `--relatives` where two models alone left the order open, whatever they are.\n\n\
         | truth | pairs | two models alone | beside all others |\n|---|--:|--:|--:|\n",
    );
    let mut total = [0; 3];
    for relation in ["identical", "derived", "same-init"] {
        let mut row = [0; 3];
        for o in outcomes.iter().filter(|o| o.label.relation == relation) {
            let Some(alone) = named(zoo, &o.label, &o.seen) else { continue };
            let beside =
                o.with_relatives.as_ref().and_then(|seen| named(zoo, &o.label, seen)).unwrap_or(alone);
            row = [row[0] + 1, row[1] + usize::from(alone), row[2] + usize::from(beside)];
        }
        total = std::array::from_fn(|i| total[i] + row[i]);
        let _ = writeln!(out, "| {relation} | {} | {} | {} |", row[0], row[1], row[2]);
    }
    let share = |n: usize| 100.0 * n as f64 / total[0].max(1) as f64;
    let _ = writeln!(
        out,
        "| all | {} | {} ({:.0} %) | {} ({:.0} %) |",
        total[0],
        total[1],
        share(total[1]),
        total[2],
        share(total[2])
    );
}

fn directions(out: &mut String, zoo: &Zoo, outcomes: &[Outcome]) {
    out.push_str(
        "\n## Direction\n\nAsserted, and of these right. Siblings have none; what is asserted of them is asserted beside a model with the very values \
         of the parent, or is wrong. Where two models alone leave the order open, parents and ancestors, and every eighth pair of the list if its models are \
         siblings, were asked again beside all other models of the collection.\n\n\
         | truth | pairs | alone | right | asked again | asserted then | right |\n|---|--:|--:|--:|--:|--:|--:|\n",
    );
    for relation in ["derived", "ancestor", "siblings"] {
        let of: Vec<&Outcome> =
            outcomes.iter().filter(|o| o.label.relation == relation && !is_adapter(zoo, &o.label)).collect();
        let count = |test: &dyn Fn(&&Outcome) -> bool| of.iter().filter(|o| test(o)).count();
        let right =
            |seen: &Seen| relation != "siblings" && seen.direction == Direction::CandidateFromReference;
        let asserted = |seen: &Seen| seen.direction != Direction::Unknown;
        let again = |test: &dyn Fn(&Seen) -> bool| count(&|o| o.with_relatives.as_ref().is_some_and(test));
        let _ = writeln!(
            out,
            "| {relation} | {} | {} | {} | {} | {} | {} |",
            of.len(),
            count(&|o| asserted(&o.seen)),
            count(&|o| right(&o.seen)),
            again(&|_| true),
            again(&asserted),
            again(&right)
        );
    }
}

/// Whether a direction was stated only when others were shown.
fn beside_others(o: &Outcome) -> bool {
    o.with_relatives.as_ref().is_some_and(|seen| seen.direction != Direction::Unknown)
}

/// What is wrong or left open about a pair, and why.
fn error(zoo: &Zoo, o: &Outcome) -> Option<(&'static str, &'static str)> {
    let (label, seen) = (&o.label, &o.seen);
    let kinds = [zoo.kind(&label.candidate), zoo.kind(&label.reference)];
    let depends = matches!(seen.kind, Kind::Identical | Kind::Derived | Kind::Related);
    let wanted =
        matches!(label.relation.as_str(), "identical" | "derived" | "ancestor" | "siblings" | "same-init");
    if kinds.contains(&"lora") {
        return (seen.kind != Kind::NoDependenceFound || wanted)
            .then_some(("a lone adapter: inconclusive", "an adapter holds none of the weights of its base"));
    }
    match (label.relation.as_str(), depends) {
        ("independent" | "distilled", true) => {
            return Some(("independent models called dependent", "not explained"));
        }
        ("same-init", false) => {
            return Some((
                "a common start not found",
                "one side was laundered in every way at once, and too few tokens are left that training never met: a start that is all \
                 two models share leaves cosines of 0.1 to 0.15 between weights, too little to find units by",
            ));
        }
        (_, false) if wanted => {
            return Some((
                "dependence not found",
                if kinds.contains(&"merge") {
                    "a merge with a small share of the line, beside a relative of it that was laundered in every way at once: units of so mixed a \
                     model match neither parent, signs were rescaled, and too few tokens are left that training never met"
                } else {
                    "not explained"
                },
            ));
        }
        ("siblings", true) if beside_others(o) => {
            return Some((
                "siblings with a direction beside all others",
                "a model with the parent's values (another container, order or scale), or within rounding of them, is one of the two",
            ));
        }
        ("siblings", true) if seen.direction != Direction::Unknown => {
            return Some((
                "siblings with a direction",
                "the other side holds the parent's values (another container, names, order or scale) or lies within rounding of them: \
                 the cue says that a copy would have done as well",
            ));
        }
        _ => {}
    }
    if seen.direction == Direction::ReferenceFromCandidate
        && matches!(label.relation.as_str(), "derived" | "ancestor")
    {
        return Some(("direction wrong", "not explained"));
    }
    if named(zoo, label, seen) != Some(false) {
        return None;
    }
    Some(match (label.relation.as_str(), kinds) {
        ("derived", ["merge", _]) => (
            "a merge not named from one of its parents alone",
            "two models alone do not show that one is an average: `--relatives` and `blame --among` name the parents",
        ),
        ("derived", ["train", _]) => (
            "training not named",
            "trained until more than half of the weight was new: neither training nor a common start alone is shown, so nothing is said",
        ),
        ("same-init", _) => (
            "a common start under another name",
            "more is alike than a start alone leaves, and less than training together; or the residual stream was rotated or cut, which is named \
             where too few tokens are left that training never met",
        ),
        _ => ("another relation named", "not explained"),
    })
}

fn errors(out: &mut String, zoo: &Zoo, outcomes: &[Outcome]) {
    let mut groups: BTreeMap<(&str, &str), Vec<&Outcome>> = BTreeMap::new();
    for o in outcomes {
        if let Some(what) = error(zoo, o) {
            groups.entry(what).or_default().push(o);
        }
    }
    out.push_str("\n## Every error, with its cause\n\nDirections that were left open are counted above and are no errors.\n");
    for ((what, cause), pairs) in groups {
        let _ = writeln!(out, "\n**{what}** ({} pairs): {cause}.\n", pairs.len());
        // By the second model, so that a long list stays readable.
        let mut by: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for o in pairs {
            let (one, other) = source_first(zoo, &o.label, &o.seen);
            let said = o.seen.relation.map_or_else(|| o.seen.kind.name().to_owned(), str::to_owned);
            by.entry(one).or_default().push(format!("{other} ({said})"));
        }
        for (one, others) in by {
            let _ = writeln!(out, "- {one} beside {}", others.join(", "));
        }
    }
}

/// The model under which a pair is listed: an adapter, the side that is said to come first, else the reference.
fn source_first<'a>(zoo: &Zoo, label: &'a Label, seen: &Seen) -> (&'a str, &'a str) {
    let candidate_first =
        zoo.kind(&label.candidate) == "lora" || seen.direction == Direction::ReferenceFromCandidate;
    if candidate_first { (&label.candidate, &label.reference) } else { (&label.reference, &label.candidate) }
}
