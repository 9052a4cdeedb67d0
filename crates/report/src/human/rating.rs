//! Ratings at a terminal: the table first, then how far it can be trusted.

use super::pen::{Paint, Pen};
use super::rating_beside;
use super::shared;
use super::table::{Align, Cell, Table};
use crate::number::{NONE, grouped, percent, short};
use crate::wire::{Fit, Rating, RatingComponent, Ratings};

/// Rows that are shown; the others are counted.
const ROWS: usize = 60;

pub(super) fn lines(ratings: &Ratings, pen: &Pen) -> Vec<String> {
    let mut lines = Vec::new();
    for input in &ratings.inputs {
        let text = format!("{}   {} votes in {} rows", input.name, grouped(input.votes), grouped(input.rows));
        lines.extend(pen.labelled("votes", &text));
    }
    lines.extend(pen.labelled("model", &model(ratings)));
    lines.extend(pen.labelled("errors", &errors(ratings)));
    lines.extend(rating_beside::clones(ratings, pen));
    lines.push(String::new());
    lines.extend(table(ratings, pen).render(pen));
    if ratings.ratings.len() > ROWS {
        let more = grouped((ratings.ratings.len() - ROWS) as u64);
        lines.push(format!("{} and {more} more: --format tsv", pen.either("…", "...")));
    }
    for (number, component) in ratings.components.iter().enumerate() {
        if let Some(fit) = &component.fit {
            let several = ratings.components.iter().filter(|c| c.fit.is_some()).count() > 1;
            lines.push(String::new());
            if several {
                let text = format!("component {number}, {} contestants", component.contestants);
                lines.push(pen.paint(&text, Paint::Dim));
            }
            lines.extend(facts(ratings, component, fit, pen));
        }
    }
    lines.extend(terms(ratings, pen));
    lines.extend(sequential(ratings, pen));
    lines.extend(rating_beside::lines(ratings, pen));
    lines.extend(shared::findings(&ratings.findings, pen));
    lines.push(String::new());
    let dot = pen.either(" · ", " | ");
    let mut last = vec![format!("seed {}", ratings.seed)];
    if let Some(cost) = ratings.cost {
        last.push(format!("{} s", short(cost.seconds_wall)));
        last.push(format!("peak {}", crate::number::bytes(cost.peak_memory_bytes)));
    }
    last.push("details: --format html".to_owned());
    lines.push(last.join(dot));
    lines
}

pub(crate) fn model(ratings: &Ratings) -> String {
    let ties = match (ratings.model, ratings.both_bad) {
        ("bradley-terry", "tie") => "ties and both-bad count as half a win for each",
        ("bradley-terry", _) => "ties count as half a win for each; both-bad is left out",
        (_, "tie") => "ties are fitted; both-bad counts as a tie",
        _ => "ties are fitted; both-bad is left out",
    };
    let zero = match &ratings.anchor {
        Some(anchor) => format!("{} is set to {}", anchor.contestant, points(anchor.rating)),
        None => "the mean is 1000".to_owned(),
    };
    let ties = match &ratings.weight {
        Some(column) => format!("{ties}; each vote counts by `{column}`"),
        None => ties.to_owned(),
    };
    format!("{}; {ties}; 400 points are odds of ten to one; {zero}", ratings.model)
}

pub(crate) fn errors(ratings: &Ratings) -> String {
    let units = match ratings.clusters.as_slice() {
        [] => "each vote taken as independent (--cluster names a column of votes that belong together)"
            .to_owned(),
        columns => {
            let each = columns.iter().map(|c| format!("`{}` ({} values)", c.column, grouped(c.clusters)));
            format!("sandwich, clustered by {}", each.collect::<Vec<_>>().join(" and "))
        }
    };
    format!("{} intervals; {units}", percent(ratings.level))
}

/// Points with one decimal.
pub(crate) fn points(x: f64) -> String {
    format!("{:.1}", x + 0.0)
}

fn table(ratings: &Ratings, pen: &Pen) -> Table {
    let several = ratings.components.iter().filter(|c| c.fit.is_some()).count() > 1;
    let adjusted = ratings.ratings.iter().any(|r| r.adjusted.is_some());
    let both_bad = ratings.ratings.iter().any(|r| r.both_bad > 0);
    let top = format!("top {}", ratings.top);
    let mut columns = vec![
        ("rank", Align::Right),
        ("contestant", Align::Left),
        ("rating", Align::Right),
        ("interval", Align::Left),
        (top.as_str(), Align::Right),
        ("group", Align::Right),
        ("votes", Align::Right),
    ];
    if both_bad {
        columns.push(("both bad", Align::Right));
    }
    if adjusted {
        columns.push(("adjusted", Align::Right));
    }
    if several {
        columns.push(("component", Align::Right));
    }
    let mut table = Table::new(&columns);
    for r in ratings.ratings.iter().take(ROWS) {
        let number = |x: Option<f64>, f: &dyn Fn(f64) -> String| x.map_or_else(|| NONE.to_owned(), f);
        let mut cells = vec![
            Cell::new(ranks(r, pen)),
            Cell::new(r.contestant.clone()),
            Cell::new(number(r.rating, &points)),
            Cell::new(interval(r.lower, r.upper)),
            Cell::new(number(r.top, &percent)),
            Cell::new(r.group.map_or_else(|| NONE.to_owned(), |g| g.to_string())),
            Cell::new(grouped(r.votes)),
        ];
        if both_bad {
            cells.push(Cell::new(number(r.both_bad_rate, &percent)));
        }
        if adjusted {
            cells.push(Cell::new(number(r.adjusted.as_ref().and_then(|a| a.rating), &points)));
        }
        if several {
            cells.push(Cell::new(r.component.to_string()));
        }
        table.row(cells);
    }
    table
}

fn ranks(r: &Rating, pen: &Pen) -> String {
    match (r.rank_low, r.rank_high) {
        (Some(low), Some(high)) if low == high => low.to_string(),
        (Some(low), Some(high)) => format!("{low}{}{high}", pen.either("–", "-")),
        _ => NONE.to_owned(),
    }
}

fn interval(lower: Option<f64>, upper: Option<f64>) -> String {
    match (lower, upper) {
        (Some(lower), Some(upper)) => format!("[{}, {}]", points(lower), points(upper)),
        _ => String::new(),
    }
}

fn facts(ratings: &Ratings, component: &RatingComponent, fit: &Fit, pen: &Pen) -> Vec<String> {
    let mut lines = Vec::new();
    let tie = match (ratings.model, fit.tie) {
        ("davidson", Some(tie)) => format!("; {} = {}", pen.either("ν", "nu"), short(tie)),
        ("rao-kupper", Some(tie)) => format!("; {} = {}", pen.either("η", "eta"), short(tie)),
        _ => String::new(),
    };
    let text = format!(
        "log-likelihood {:.1}, parameters {}{tie}; Newton steps {}; independent units behind the errors {}",
        fit.log_likelihood.unwrap_or(f64::NAN),
        fit.parameters,
        fit.steps,
        grouped(fit.units),
    );
    lines.extend(pen.labelled("fit", &text));
    let certain = ratings.ratings.iter().filter(|r| {
        ratings.components.get(r.component as usize).is_some_and(|c| std::ptr::eq(c, component))
            && r.rank_low.is_some()
            && r.rank_low == r.rank_high
    });
    let text = format!(
        "the order of {} of {} pairs is certain together ({}, {} standard errors); {} of {} contestants have one rank",
        grouped(fit.pairs_decided),
        grouped(fit.pairs),
        fit.pairs_by,
        fit.quantile_pairs.map_or_else(|| NONE.to_owned(), short),
        certain.count(),
        component.contestants,
    );
    lines.extend(pen.labelled("ranks", &text));
    let mut checks = match fit.mean_square {
        Some(mean) => format!(
            "{} pairs with 30 votes or more: mean square {} (1 if the model holds), {} beyond 95 %; ",
            grouped(fit.checked_pairs),
            short(mean),
            percent(fit.pairs_beyond as f64 / fit.checked_pairs.max(1) as f64)
        ),
        None => String::new(),
    };
    checks.push_str(&format!(
        "{} cycles of three by majority, {} of them certain",
        grouped(fit.cycles),
        grouped(fit.certain_cycles)
    ));
    lines.extend(pen.labelled("checks", &checks));
    if let Some(flip) = &fit.flip {
        let text = format!(
            "without {} of the votes {} would be before {}",
            grouped(flip.votes),
            flip.rival,
            flip.first
        );
        lines.extend(pen.labelled("first", &text));
    }
    lines
}

fn terms(ratings: &Ratings, pen: &Pen) -> Vec<String> {
    let mut table = Table::new(&[
        ("term", Align::Left),
        ("nats", Align::Right),
        ("interval", Align::Left),
        ("points", Align::Right),
    ]);
    for term in &ratings.terms {
        let (Some(estimate), Some(lower), Some(upper)) = (term.estimate, term.lower, term.upper) else {
            continue;
        };
        table.row(vec![
            Cell::new(term.name.clone()),
            Cell::new(short(estimate)),
            Cell::new(format!("[{}, {}]", short(lower), short(upper))),
            Cell::new(points(estimate * ratings.points_per_nat)),
        ]);
    }
    let rows = table.render(pen);
    if rows.is_empty() {
        return rows;
    }
    let penalty = ratings.penalty.iter().flat_map(|penalty| {
        let effective = penalty.effective_terms.map_or_else(|| "-".to_owned(), |x| format!("{x:.2}"));
        let text = format!(
            "ridge of {} votes on the terms: {effective} effective terms; intervals are of the coefficients as shrunk",
            penalty.lambda
        );
        pen.labelled("penalty", &text)
    });
    [vec![String::new()], rows, penalty.collect()].concat()
}

fn sequential(ratings: &Ratings, pen: &Pen) -> Vec<String> {
    let Some(sequential) = &ratings.sequential else { return Vec::new() };
    let text = format!(
        "pairs decided by their direct votes, at any time of looking: {} (e-values, {} ordered pairs, {} in all)",
        grouped(sequential.decisions.len() as u64),
        grouped(sequential.tests),
        percent(sequential.alpha),
    );
    pen.labelled("any time", &text)
}
