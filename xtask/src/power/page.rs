//! The page of the power study.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Cell;
use super::operations::{Before, Group, OPERATIONS, Operation};
use super::retrain::LEVELS;

/// Why rows that have failing cells fail. A failing cell whose row is not here is an error of the study.
const REASONS: &[(&str, &str)] = &[("rotated-embeddings", TOKENS_GONE), ("all-embeddings", TOKENS_GONE)];
const TOKENS_GONE: &str = "the token rows are new and the residual stream is rotated, so that only the gates of hidden units can tell the rotation. \
     They do while most of each gate is what it was; after training until seven tenths of the weight is new, the invariants by \
     which units are first paired have drifted too far (docs/methods/search.md, \"By units\").";

/// The page, and the rows that fail without a reason.
pub(super) struct Page {
    pub(super) text: String,
    pub(super) unexplained: Vec<&'static str>,
}

/// Writes the page from all cells.
pub(super) fn write(cells: &[Cell], bases: usize, date: Option<&str>, seconds: f64) -> Page {
    let mut text = String::from("# Power: what is found after which disguise\n");
    method(&mut text, bases, date, seconds);
    levels(&mut text, cells);
    let of = |operation: &Operation| -> Vec<&Cell> {
        cells.iter().filter(|cell| cell.operation.name == operation.name).collect()
    };
    for group in Group::ALL {
        let rows: Vec<_> = OPERATIONS.iter().filter(|o| o.group == group && !of(o).is_empty()).collect();
        if rows.is_empty() {
            continue;
        }
        let _ = writeln!(text, "\n## {}\n\n| operation | function |", group.title());
        text.pop();
        for level in &LEVELS {
            let _ = write!(text, " {} |", level.name);
        }
        text.push_str(" another base |\n|---|---|");
        text.push_str(&"---|".repeat(LEVELS.len()));
        text.push_str("--:|\n");
        for operation in rows {
            table_row(&mut text, operation, &of(operation));
        }
    }
    let unexplained = failures(&mut text, cells);
    reversed(&mut text, cells);
    Page { text, unexplained }
}

fn method(text: &mut String, bases: usize, date: Option<&str>, seconds: f64) {
    let date = date.map_or_else(String::new, |date| format!(" {date}."));
    let _ = writeln!(
        text,
        "\nMade by `cargo train power --bases {bases}` in {:.0} minutes of wall time, two models at a time.{date} The command trains its models, \
         disguises them, compares each candidate with its base by the defaults of `stemmata compare` (family-wise level 0.001, \
         `--search auto`), and writes this page. Code: `xtask/src/launder`, `xtask/src/power`. Nothing was tuned on it.\n\n\
         {bases} bases of Llama's layout (residual stream 64, 4 layers, 4 query and 2 key-value heads, 160 units, 258 tokens, \
         0.2 million parameters), each 300 steps from its own start on the same text in the same order. Retraining is on other \
         text. Symmetries, numbers and storage come *after* retraining, as a launderer disguises what he has tuned; changes \
         of structure, sparsity and tokenizer come *before* it, so that retraining heals them (zeros are put back). All \
         candidates are stored as bf16 unless the row says otherwise. *Kept* in the column \"function\" was checked: every candidate was run on 24 \
         tokens in f64 before it was stored, and no log-probability had moved by more than 10⁻⁶.\n\n\
         A cell says in how many of the bases dependence was found (`identical`, `derived`, `related`), and by the test with the \
         smallest p, exact tests before effect sizes. The number is the largest log10 p among the bases, raised by the number of \
         tests. *Effect* marks verdicts that rest on an effect size alone. The column \"another base\" counts the same candidates of \
         all columns against a base that they do not come from: there it must be 0.",
        (seconds / 60.0).ceil()
    );
}

/// How far each level goes, from the cells whose weights were only retrained.
fn levels(text: &mut String, cells: &[Cell]) {
    text.push_str("\n## The columns\n\n| column | steps | learning rate | relative change of the weights | cosine | loss |\n");
    text.push_str("|---|--:|--:|--:|--:|--:|\n");
    for (index, level) in LEVELS.iter().enumerate() {
        let of: Vec<&Cell> =
            cells.iter().filter(|cell| cell.level == index && cell.change.is_some()).collect();
        let mean =
            |f: &dyn Fn(&Cell) -> f64| of.iter().map(|cell| f(cell)).sum::<f64>() / of.len().max(1) as f64;
        let change = |cell: &Cell| cell.change.unwrap_or_default();
        let (steps, rate) = level.recipe.map_or((0, 0.0), |recipe| (recipe.steps, recipe.learning_rate));
        let _ = writeln!(
            text,
            "| {} | {steps} | {rate} | {:.3} | {:.3} | {:.2} |",
            level.name,
            mean(&|cell| change(cell).0),
            mean(&|cell| change(cell).1),
            mean(&|cell| cell.loss)
        );
    }
}

fn table_row(text: &mut String, operation: &Operation, cells: &[&Cell]) {
    let function = match (operation.before, operation.keeps) {
        (Before::Nothing, true) => "kept",
        (Before::Tower, _) => "kept in the tower",
        (Before::Half | Before::TwoOfFour, _) | (_, false) => "changed",
        (_, true) => "changed, then healed",
    };
    let _ = write!(text, "| {} | {function} |", operation.words);
    for level in 0..LEVELS.len() {
        let of: Vec<&Cell> = cells.iter().copied().filter(|cell| cell.level == level).collect();
        let _ = write!(text, " {} |", in_short(&of));
    }
    let wrong = cells.iter().filter(|cell| cell.other.found).count();
    let _ = writeln!(text, " {wrong} of {} |", cells.len());
}

/// `3/3 sign-flip/hidden −158`.
fn in_short(cells: &[&Cell]) -> String {
    let found: Vec<_> = cells.iter().map(|cell| &cell.own).filter(|outcome| outcome.found).collect();
    let mut tests: BTreeMap<&str, usize> = BTreeMap::new();
    for outcome in &found {
        *tests.entry(outcome.test.unwrap_or("equal values")).or_default() += 1;
    }
    let mut short = format!("{}/{}", found.len(), cells.len());
    if found.is_empty() {
        let kinds: std::collections::BTreeSet<&str> = cells.iter().map(|cell| cell.own.kind).collect();
        let _ = write!(short, " {}", kinds.into_iter().collect::<Vec<_>>().join(", "));
        return short;
    }
    let alone = tests.len() == 1;
    let names = tests.iter().map(|(test, n)| if alone { (*test).to_owned() } else { format!("{n} {test}") });
    let _ = write!(short, " {}", names.collect::<Vec<_>>().join(", "));
    let weakest = found.iter().map(|outcome| outcome.log10_p).fold(f64::NEG_INFINITY, f64::max);
    let _ = write!(short, " −{:.0}", weakest.abs());
    if found.iter().any(|outcome| outcome.by_effect) {
        short.push_str(" *effect*");
    }
    short
}

/// Cells in which a base was missed, with the reason; returns the rows that have none.
fn failures(text: &mut String, cells: &[Cell]) -> Vec<&'static str> {
    let wrong = cells.iter().filter(|cell| cell.other.found).count();
    let missed = cells.iter().filter(|cell| !cell.own.found).count();
    let _ = writeln!(
        text,
        "\n## Cells that fail\n\nOf {} candidates, {} were traced to their base, {missed} were not, and {wrong} were accused against \
         another base.\n",
        cells.len(),
        cells.len() - missed
    );
    let mut unexplained = Vec::new();
    for operation in OPERATIONS {
        let Some(levels) = levels_with(cells, operation, |cell| !cell.own.found) else { continue };
        let reason = REASONS.iter().find(|(name, _)| *name == operation.name);
        if reason.is_none() {
            unexplained.push(operation.name);
        }
        let reason = reason.map_or("", |(_, reason)| *reason);
        let _ = writeln!(text, "- **{}** ({levels}): {reason}", operation.words);
    }
    unexplained
}

/// Verdicts that turn parent and child round.
fn reversed(text: &mut String, cells: &[Cell]) {
    text.push_str("\n## Order\n\nCandidates of which the verdict says that the base came from them:\n\n");
    let mut none = true;
    for operation in OPERATIONS {
        let Some(levels) = levels_with(cells, operation, |cell| cell.own.reversed) else { continue };
        none = false;
        let _ = writeln!(text, "- **{}** ({levels})", operation.words);
    }
    if none {
        text.push_str("none.\n");
    }
}

/// The columns of a row in which some candidate is of a kind, if any.
fn levels_with(cells: &[Cell], operation: &Operation, is: fn(&Cell) -> bool) -> Option<String> {
    let of = || cells.iter().filter(|cell| cell.operation.name == operation.name);
    let has = |level: usize| of().any(|cell| cell.level == level && is(cell));
    let names: Vec<&str> = (0..LEVELS.len()).filter(|level| has(*level)).map(|l| LEVELS[l].name).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn reasons_are_of_rows_and_rows_are_told_apart() {
        let names: BTreeSet<&str> = OPERATIONS.iter().map(|operation| operation.name).collect();
        let words: BTreeSet<&str> = OPERATIONS.iter().map(|operation| operation.words).collect();
        assert_eq!((names.len(), words.len()), (OPERATIONS.len(), OPERATIONS.len()));
        assert!(REASONS.iter().all(|(name, _)| names.contains(name)));
    }
}
