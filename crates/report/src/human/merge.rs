//! What `blame` says of merges, at a terminal.

use super::pen::{Paint, Pen};
use super::table::{Align, Cell, Table};
use crate::number::{NONE, grouped, percent, short};
use crate::text::wrap;
use crate::wire::{Blame, Merge, Merging};

pub(super) fn lines(blame: &Blame, pen: &Pen) -> Vec<String> {
    let Some(merging) = &blame.merging else { return Vec::new() };
    let mut lines = vec![String::new(), pen.paint("merge", Paint::Dim)];
    let mut say = |text: &str| {
        let lines_of = wrap(text, pen.width().saturating_sub(2));
        lines.extend(lines_of.iter().map(|line| format!("  {line}")));
    };
    match (&merging.merge, merging.outcome) {
        (Some(merge), "merge") => {
            say(&statement(merge));
            say(&basis(merge, merging));
        }
        (Some(_), _) => say(
            "a sum of these models holds up to rounding, and which of them is the merge of the others cannot be told:",
        ),
        (None, "one-reference") => {
            say(&format!("none: {} alone leaves nothing but rounding", single(blame, merging)));
        }
        (None, "layers") => say("none: every part is that of one reference, as the map of layers says"),
        (None, "too-few-references") => {
            say("not looked for: fewer than two references have the same matrices")
        }
        (None, _) => say(&not_found(blame, merging)),
    }
    for equal in &merging.equal {
        let (a, b) = (blame.reference(equal.reference), blame.reference(equal.to));
        say(&format!("{a} equals {b} value by value and was left out"));
    }
    if merging.left_out > 0 {
        say(&format!(
            "{} further references were left out for their number",
            grouped(merging.left_out as u64)
        ));
    }
    if let Some(merge) = &merging.merge {
        lines.extend(parents(blame, merge, pen));
        lines.extend(groups(blame, merge, pen));
    }
    lines
}

fn statement(merge: &Merge) -> String {
    let how = match merge.method {
        "undetermined" => "a merge, method not determined".to_owned(),
        method => format!("a merge, method {method}"),
    };
    let alike = match merge.method {
        "slerp" | "linear" if merge.slerp_alike => "; slerp and linear cannot be told apart here",
        _ => "",
    };
    let over = match merge.granularity {
        "model" => String::new(),
        granularity => format!("; weights differ by {granularity}"),
    };
    format!("{how}{alike}{over}")
}

fn basis(merge: &Merge, merging: &Merging) -> String {
    let alone = merging.single.and_then(|s| s.residual).map_or_else(|| NONE.to_owned(), times);
    let own = merge.residual.map_or_else(|| NONE.to_owned(), times);
    match (merge.basis, merge.explained) {
        ("rounding", _) => format!("it leaves {own} of rounding; the best single reference leaves {alone}"),
        ("elements", Some([explained, chance])) => format!(
            "{} of the values beside the base's are the base plus a multiple of one difference or of both; {} would be by chance",
            percent(explained),
            percent(chance)
        ),
        _ => format!(
            "the parents have no common origin; their sum leaves {own} of rounding, so something else was done as well; the best \
             single reference leaves {alone}"
        ),
    }
}

fn times(residual: f64) -> String {
    format!("{} times the energy", short(residual))
}

fn single(blame: &Blame, merging: &Merging) -> String {
    merging.single.map_or_else(|| NONE.to_owned(), |s| blame.reference(s.reference).to_owned())
}

fn not_found(blame: &Blame, merging: &Merging) -> String {
    let best = merging.best.as_ref().and_then(|b| Some((b, b.gain?)));
    let sum = best.map_or_else(String::new, |(best, gain)| {
        let names: Vec<&str> = best.references.iter().map(|&r| blame.reference(r)).collect();
        format!(
            "; the best sum, of {}, explains {} of what {} alone leaves, which training between relatives does too",
            names.join(" and "),
            percent(gain),
            single(blame, merging)
        )
    });
    format!("none found{sum}")
}

fn weight(value: Option<f64>, error: Option<f64>, pen: &Pen) -> String {
    match (value, error) {
        (Some(value), Some(error)) => format!("{value:.4} {} {error:.0e}", pen.either("±", "+-")),
        (Some(value), None) => format!("{value:.3}"),
        _ => NONE.to_owned(),
    }
}

fn parents(blame: &Blame, merge: &Merge, pen: &Pen) -> Vec<String> {
    let mut table = Table::new(&[
        ("", Align::Left),
        ("parent", Align::Left),
        ("weight", Align::Left),
        ("density", Align::Right),
        ("or", Align::Left),
    ]);
    for parent in &merge.parents {
        let is_base = merge.base == Some(parent.reference);
        let name = blame.reference(parent.reference);
        let others: Vec<&str> = parent.alternatives.iter().map(|&r| blame.reference(r)).collect();
        table.row(vec![
            Cell::new("!"),
            Cell::new(if is_base { format!("{name} (base)") } else { name.to_owned() }),
            Cell::new(weight(parent.weight, parent.standard_error, pen)),
            Cell::new(parent.density.map_or_else(|| NONE.to_owned(), |d| format!("{d:.2}"))),
            Cell::new(others.join(", ")),
        ]);
    }
    table.render(pen)
}

fn groups(blame: &Blame, merge: &Merge, pen: &Pen) -> Vec<String> {
    if merge.groups.is_empty() {
        return Vec::new();
    }
    let mut columns = vec![("part", Align::Left)];
    let names: Vec<&str> = merge.parents.iter().map(|p| blame.reference(p.reference)).collect();
    columns.extend(names.iter().map(|name| (*name, Align::Left)));
    let mut table = Table::new(&columns);
    for group in &merge.groups {
        let layer = group.layer.map(|layer| format!("layer {layer}"));
        let block = group.block.map(str::to_owned);
        let part: Vec<String> = layer.into_iter().chain(block).collect();
        let part = if part.is_empty() { "outside layers".to_owned() } else { part.join(" ") };
        let cells = group.weights.iter().zip(&group.standard_errors);
        let cells = cells.map(|(w, e)| Cell::new(weight(*w, *e, pen)));
        table.row(std::iter::once(Cell::new(part)).chain(cells).collect());
    }
    table.render(pen)
}
