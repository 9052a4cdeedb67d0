//! The page of ratings.

use super::forest;
use super::markup::{Cell, Table, esc, facts, section, signed};
use super::notes;
use super::rating_beside;
use crate::human::points;
use crate::number::{NONE, bytes, effect, grouped, maybe, percent, short};
use crate::wire::{Fit, Rating, Ratings};

/// Components that get a figure, and decisions that get a row.
const FIGURES: usize = 6;
const DECISIONS: usize = 200;

pub(super) fn body(ratings: &Ratings) -> String {
    [top(ratings), inputs(ratings), found(ratings), made(ratings)].concat()
}

/// What was found, and how; without the frame of a page and without the inputs.
pub(super) fn sections(ratings: &Ratings) -> [String; 2] {
    [[top(ratings), found(ratings)].concat(), made(ratings)]
}

fn found(ratings: &Ratings) -> String {
    [figures(ratings), table(ratings), groups(ratings)].concat()
}

fn made(ratings: &Ratings) -> String {
    [
        terms(ratings),
        fits(ratings),
        sequential(ratings),
        rating_beside::body(ratings),
        notes::findings(&ratings.findings),
        methods(ratings),
        again(ratings),
    ]
    .concat()
}

fn rated(ratings: &Ratings, component: usize) -> Vec<&Rating> {
    ratings.ratings.iter().filter(|r| r.component as usize == component && r.rating.is_some()).collect()
}

fn top(ratings: &Ratings) -> String {
    let main = rated(ratings, 0);
    let (headline, lead) = match main.first() {
        None => (
            "NO RATING".to_owned(),
            "No two contestants have beaten or tied each other, directly or through others; the votes allow no number."
                .to_owned(),
        ),
        Some(first) => {
            let could: Vec<&&Rating> = main.iter().filter(|r| r.rank_low == Some(1)).collect();
            let lead = match could.len() {
                1 => format!(
                    "At a joint confidence of {} no other contestant of the {} can be first; its rating is {}.",
                    percent(ratings.level),
                    main.len(),
                    points(first.rating.unwrap_or(f64::NAN))
                ),
                n => format!(
                    "{} of {} contestants can be first at a joint confidence of {}; the highest rating is that of {}, {}.",
                    n,
                    main.len(),
                    percent(ratings.level),
                    first.contestant,
                    points(first.rating.unwrap_or(f64::NAN))
                ),
            };
            let headline = if could.len() == 1 { format!("{} leads", first.contestant) } else { "No certain leader".to_owned() };
            (headline, lead)
        }
    };
    let pairs = [
        (
            "votes",
            format!(
                "{} on {} pairs of {} contestants",
                grouped(ratings.votes),
                grouped(ratings.pairs),
                ratings.ratings.len()
            ),
        ),
        ("model", esc(&crate::human::model(ratings)).into_owned()),
        ("errors", esc(&crate::human::errors(ratings)).replace(" %", "\u{a0}%")),
    ];
    format!(
        "<div class=\"verdict {}\">\n<h1>{}</h1>\n<p class=\"lead\">{}</p>\n{}</div>\n",
        if main.is_empty() { "open" } else { "none" },
        esc(&headline),
        esc(&lead).replace(" %", "\u{a0}%"),
        facts(&pairs)
    )
}

fn inputs(ratings: &Ratings) -> String {
    let cards: String = ratings
        .inputs
        .iter()
        .map(|input| {
            let pairs = [
                ("votes", format!("{} in {} rows", grouped(input.votes), grouped(input.rows))),
                ("size", bytes(input.bytes)),
                ("digest", format!("<span class=\"digest\">{}</span>", esc(&input.digest))),
            ];
            let name = esc(&input.name);
            format!(
                "<article class=\"card\"><h3>votes</h3><p class=\"name\">{name}</p>{}</article>\n",
                facts(&pairs)
            )
        })
        .collect();
    section("inputs", "Inputs", &format!("<div class=\"pair\">{cards}</div>\n"))
}

fn figures(ratings: &Ratings) -> String {
    let mut body = String::new();
    for number in 0..ratings.components.len() {
        let rows = rated(ratings, number);
        if rows.is_empty() {
            continue;
        }
        if number >= FIGURES {
            body.push_str("<p class=\"small soft\">Further components are in the table only.</p>\n");
            break;
        }
        let caption = format!(
            "Dot: rating. Thick line: {0} interval of one contestant. Thin line: interval that holds together with all others. \
             The intervals are of the difference to the mean of the contestants shown.",
            percent(ratings.level)
        );
        if number > 0 {
            body.push_str(&format!("<h3>Component {number}, on a scale of its own</h3>\n"));
        }
        body.push_str(&forest::figure(&rows, &caption));
    }
    section("forest", "Ratings", &body)
}

fn table(ratings: &Ratings) -> String {
    let adjusted = ratings.ratings.iter().any(|r| r.adjusted.is_some());
    let sampled = ratings.ratings.iter().any(|r| r.bootstrap_lower.is_some());
    let top = format!("top {}", ratings.top);
    let mut columns = vec![
        ("contestant", false),
        ("rank", true),
        ("rating", true),
        ("interval", true),
        ("together with all", true),
        (top.as_str(), true),
        ("votes", true),
        ("won", true),
        ("lost", true),
        ("tied", true),
        ("both bad", true),
    ];
    if adjusted {
        columns.extend([("with terms", true), ("interval", true), ("change", true), ("± error", true)]);
    }
    if sampled {
        columns.push(("bootstrap", true));
    }
    if ratings.components.len() > 1 {
        columns.push(("component", true));
    }
    let mut table = Table::new(
        "Ranks are sets that hold together; a dash stands where the votes allow no number",
        &columns,
    );
    let number = |x: Option<f64>| Cell::number(&x.map_or_else(|| NONE.to_owned(), points));
    let share = |x: Option<f64>| Cell::number(&x.map_or_else(|| NONE.to_owned(), percent));
    for r in &ratings.ratings {
        let rank = match (r.rank_low, r.rank_high) {
            (Some(low), Some(high)) if low == high => low.to_string(),
            (Some(low), Some(high)) => format!("{low}–{high}"),
            _ => "–".to_owned(),
        };
        let mut cells = vec![
            Cell::text(&r.contestant),
            Cell::right(rank),
            number(r.rating),
            interval(r.lower, r.upper),
            interval(r.simultaneous_lower, r.simultaneous_upper),
            share(r.top),
            Cell::number(&grouped(r.votes)),
            Cell::number(&grouped(r.wins)),
            Cell::number(&grouped(r.losses)),
            Cell::number(&grouped(r.ties)),
            share(r.both_bad_rate),
        ];
        if adjusted {
            let a = r.adjusted.as_ref();
            cells.push(number(a.and_then(|a| a.rating)));
            cells.push(interval(a.and_then(|a| a.lower), a.and_then(|a| a.upper)));
            cells.push(number(a.and_then(|a| a.change)));
            cells.push(number(a.and_then(|a| a.change_error)));
        }
        if sampled {
            cells.push(interval(r.bootstrap_lower, r.bootstrap_upper));
        }
        if ratings.components.len() > 1 {
            cells.push(Cell::right(r.component.to_string()));
        }
        table.row("", &cells);
    }
    section("ratings", "Ranks", &table.render())
}

fn interval(lower: Option<f64>, upper: Option<f64>) -> Cell {
    match (lower, upper) {
        (Some(lower), Some(upper)) => {
            Cell::right(format!("[{}, {}]", signed(&points(lower)), signed(&points(upper))))
        }
        _ => Cell::number(NONE),
    }
}

fn groups(ratings: &Ratings) -> String {
    let rows: String = ratings
        .groups
        .iter()
        .map(|g| {
            let names: Vec<_> = g.contestants.iter().map(|name| esc(name)).collect();
            let place =
                if g.component > 0 { format!(" of component {}", g.component) } else { String::new() };
            format!("<li><b>Group {}{place}:</b> {}</li>\n", g.group, names.join(", "))
        })
        .collect();
    let note = "<p class=\"soft\">Each group holds its first contestant and those that are in no earlier group and not certainly \
                below that one. Members of one group are not told apart from its first; they need not be equals.</p>\n";
    if rows.is_empty() { rows } else { section("groups", "Groups", &format!("{note}<ul>{rows}</ul>\n")) }
}

fn terms(ratings: &Ratings) -> String {
    if ratings.terms.is_empty() {
        return String::new();
    }
    let mut columns =
        vec![("term", false), ("nats", true), ("interval", true), ("points", true), ("component", true)];
    let caption = match &ratings.penalty {
        None => "Coefficients beside the strengths, without a penalty",
        Some(_) => {
            columns.push(("kept", true));
            "Coefficients beside the strengths, shrunk by a ridge"
        }
    };
    let mut table = Table::new(caption, &columns);
    for t in &ratings.terms {
        let ends = match (t.lower, t.upper) {
            (Some(lower), Some(upper)) => format!("[{}, {}]", signed(&effect(lower)), signed(&effect(upper))),
            _ => "–".to_owned(),
        };
        let mut cells = vec![
            Cell::text(&t.name),
            Cell::number(&t.estimate.map_or_else(|| NONE.to_owned(), effect)),
            Cell::right(ends),
            Cell::number(&t.estimate.map_or_else(|| NONE.to_owned(), |x| points(x * ratings.points_per_nat))),
            Cell::right(t.component.to_string()),
        ];
        if ratings.penalty.is_some() {
            cells.push(Cell::right(t.kept.map_or_else(|| NONE.to_owned(), percent)));
        }
        table.row("", &cells);
    }
    let ridge = ratings.penalty.as_ref().map(|penalty| {
        let terms = penalty.effective_terms.map_or_else(|| NONE.to_owned(), |x| format!("{x:.2}"));
        format!(
            " Ridge of {} votes: the penalty is {0}/2 times the sum of squared coefficients, on none of the strengths. Intervals are of the \
             coefficients as shrunk, which lie nearer to 0 than those without it; kept is the share of a coefficient's own effect that is left. \
             {terms} effective terms.",
            penalty.lambda
        )
    });
    let note = format!(
        "<p class=\"small soft\">Position: advantage of the first seat. Styles: per standard deviation of their values.{}</p>\n",
        ridge.unwrap_or_default()
    );
    section("terms", "Terms", &format!("{}{note}", table.render()))
}

fn fits(ratings: &Ratings) -> String {
    let mut body = String::new();
    for (number, component) in ratings.components.iter().enumerate() {
        let Some(fit) = &component.fit else { continue };
        if number > 0 {
            body.push_str(&format!("<h3>Component {number}</h3>\n"));
        }
        body.push_str(&facts(&of_fit(ratings, fit)));
    }
    section("fit", "Fit", &body)
}

fn of_fit(ratings: &Ratings, fit: &Fit) -> Vec<(&'static str, String)> {
    let mut pairs = vec![
        (
            "log-likelihood",
            format!("{:.1} with {} parameters", fit.log_likelihood.unwrap_or(f64::NAN), fit.parameters)
                .replace('-', "−"),
        ),
        (
            "convergence",
            format!("Newton steps: {}; largest gradient: {} votes", fit.steps, signed(&maybe(fit.gradient))),
        ),
        ("units", format!("{} independent units behind the errors", grouped(fit.units))),
        (
            "order",
            format!(
                "certain for {} of {} pairs together ({}, {} standard errors)",
                grouped(fit.pairs_decided),
                grouped(fit.pairs),
                fit.pairs_by,
                maybe(fit.quantile_pairs)
            ),
        ),
    ];
    if let Some(tie) = fit.tie {
        let name = if ratings.model == "davidson" { "ν" } else { "η" };
        pairs.push(("ties", format!("{name} = {}", short(tie))));
    }
    if let Some(mean) = fit.mean_square {
        let beyond =
            percent(fit.pairs_beyond as f64 / fit.checked_pairs.max(1) as f64).replace(' ', "\u{a0}");
        pairs.push((
            "single pairs",
            format!(
                "mean square {} over {} pairs with 30 votes or more (1 if the model holds); {beyond} beyond 95\u{a0}%",
                short(mean),
                grouped(fit.checked_pairs)
            ),
        ));
    }
    pairs.push((
        "cycles",
        format!(
            "{} of three by majority, {} of them certain",
            grouped(fit.cycles),
            grouped(fit.certain_cycles)
        ),
    ));
    for cycle in &fit.cycles_listed {
        pairs.push((
            "certain cycle",
            esc(&format!("{} > {} > {} > {}", cycle[0], cycle[1], cycle[2], cycle[0])).into_owned(),
        ));
    }
    if let Some(flip) = &fit.flip {
        let text = format!(
            "without {} of the votes {} would be before {}",
            grouped(flip.votes),
            flip.rival,
            flip.first
        );
        pairs.push(("first place", esc(&text).into_owned()));
    }
    if fit.bootstrap_samples > 0 {
        let text =
            format!("{} samples, {} without a finite fit", fit.bootstrap_samples, fit.bootstrap_without_fit);
        pairs.push(("bootstrap", text));
    }
    pairs
}

fn sequential(ratings: &Ratings) -> String {
    let Some(sequential) = &ratings.sequential else { return String::new() };
    let columns = [("above", false), ("below", false), ("won", true), ("lost", true), ("log10 e", true)];
    let mut table = Table::new("Pairs decided by their direct votes", &columns);
    for d in sequential.decisions.iter().take(DECISIONS) {
        table.row(
            "",
            &[
                Cell::text(&d.above),
                Cell::text(&d.below),
                Cell::number(&grouped(d.wins)),
                Cell::number(&grouped(d.losses)),
                Cell::number(&maybe(d.log10_e)),
            ],
        );
    }
    let text = format!(
        "<p>Pairs decided: {}. That any of these decisions is ever wrong has probability at most {}, however often one looks and \
         whenever one stops; {} ordered pairs share it.</p>\n",
        grouped(sequential.decisions.len() as u64),
        percent(sequential.alpha).replace(' ', "\u{a0}"),
        grouped(sequential.tests)
    );
    let rows = if sequential.decisions.is_empty() { String::new() } else { table.render() };
    section("sequential", "Any time", &format!("{text}{rows}"))
}

fn methods(ratings: &Ratings) -> String {
    let law = match ratings.model {
        "davidson" => {
            "P(first) : P(tie) : P(second) = e^(d/2) : ν : e^(−d/2), d the difference of strengths (Davidson 1970)"
        }
        "rao-kupper" => {
            "P(first) = σ(d − ln η), P(second) = σ(−d − ln η), the rest is a tie (Rao and Kupper 1967)"
        }
        _ => {
            "P(first) = σ(d), d the difference of strengths; a tie counts as half a win for each (Bradley and Terry 1952)"
        }
    };
    let mut pairs = vec![
        ("model", law.to_owned()),
        (
            "existence",
            "Numbers exist within strongly connected sets of contestants only (Ford 1957); nobody else gets one.".to_owned(),
        ),
        (
            "errors",
            "Sandwich of the scores of clusters, m/(m − 1) for m clusters, quantiles of Student's t with m − 1 degrees of freedom (Liang \
             and Zeger 1986); two ways as V₁ + V₂ − V₁₂ (Cameron, Gelbach and Miller 2011). They hold at a time fixed beforehand."
                .to_owned(),
        ),
        (
            "ranks",
            "A contestant is above another where their difference exceeds the largest studentised difference that the errors give in \
             95 % (or the level chosen) of draws; ranks are the sets that this leaves (Mogstad, Romano, Shaikh and Wilhelm 2024)."
                .to_owned(),
        ),
    ];
    if ratings.sequential.is_some() {
        pairs.push((
            "any time",
            "Betting mixture against a chance of at most one half each time (Robbins 1970; Ville 1939); where votes come in clusters, \
             a cluster is one bet."
                .to_owned(),
        ));
    }
    section("methods", "Methods", &format!("<div class=\"method\">{}</div>\n", facts(&pairs)))
}

fn again(ratings: &Ratings) -> String {
    let mut pairs = vec![
        ("seed", ratings.seed.to_string()),
        ("version", format!("{} {}", ratings.tool.name, esc(&ratings.tool.version))),
    ];
    if let Some(cost) = ratings.cost {
        pairs.push(("time", format!("{} s", short(cost.seconds_wall))));
        pairs.push(("peak memory", bytes(cost.peak_memory_bytes)));
    }
    let body = format!(
        "<p>The same votes give the same bytes.</p>\n<pre class=\"command\" tabindex=\"0\">{}</pre>\n{}",
        esc(&ratings.command),
        facts(&pairs)
    );
    section("again", "Do it again", &body)
}
