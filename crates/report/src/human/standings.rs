//! Standings at a terminal: what was asked first, then views, abilities, families; each with its sources.

use super::pen::{Paint, Pen};
use super::rating::points;
use super::shared;
use super::table::{Align, Cell, Table};
use crate::number::{NONE, grouped, percent, short};
use crate::text::wrap;
use crate::wire::{AbilityScalePart, EstimatePart, Family, Named, OriginPart, Survey, ViewPart};

/// Rows of a table that are shown; the others are counted.
const ROWS: usize = 25;

pub(super) fn lines(s: &Survey, pen: &Pen) -> Vec<String> {
    let mut lines = Vec::new();
    for input in &s.inputs {
        let date = shared_date(input.date_from.as_deref(), input.date_to.as_deref());
        let text = format!("{}   {} rows, {date}", input.name, grouped(input.rows));
        lines.extend(pen.labelled(input.kind, &text));
    }
    lines.extend(contrasts(s, pen));
    for view in &s.views {
        lines.extend(table(
            &heading(s, &format!("by {}", view.by), &view.sources, pen),
            view_table(view),
            view.rows.len(),
            pen,
        ));
    }
    lines.extend(ratings(s, pen));
    lines.extend(abilities(s, pen));
    lines.extend(time(s, pen));
    lines.extend(families(s, pen));
    lines.extend(origins(s, pen));
    lines.extend(shared::findings(&s.findings, pen));
    lines.push(String::new());
    let mut last = vec![format!("seed {}", s.seed)];
    if let Some(cost) = s.cost {
        last.push(format!("{} s", short(cost.seconds_wall)));
        last.push(format!("peak {}", crate::number::bytes(cost.peak_memory_bytes)));
    }
    last.push("all rows: --format tsv, --format html".to_owned());
    lines.push(last.join(pen.either(" · ", " | ")));
    lines
}

/// `2025-01-01 to 2025-06-01`, one day, or that there is none.
pub(crate) fn shared_date(from: Option<&str>, to: Option<&str>) -> String {
    match (from, to) {
        (Some(from), Some(to)) if from == to => from.to_owned(),
        (Some(from), Some(to)) => format!("{from} to {to}"),
        _ => "undated".to_owned(),
    }
}

/// The sources of a figure with their dates.
pub(crate) fn sources(s: &Survey, places: &[u32]) -> String {
    let each = places.iter().filter_map(|i| s.inputs.get(*i as usize)).filter(|i| i.kind != "report");
    let mut names: Vec<String> = each
        .map(|i| match (&i.date_from, &i.date_to) {
            (None, _) => i.name.clone(),
            (from, to) => format!("{} ({})", i.name, shared_date(from.as_deref(), to.as_deref())),
        })
        .collect();
    let reports =
        places.iter().filter(|i| s.inputs.get(**i as usize).is_some_and(|i| i.kind == "report")).count();
    if reports > 0 {
        names.push(format!("{reports} saved comparisons"));
    }
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn heading(s: &Survey, title: &str, places: &[u32], pen: &Pen) -> Vec<String> {
    let mut lines = vec![String::new()];
    lines.extend(wrap(title, pen.width()).iter().map(|line| pen.paint(line, Paint::Strong)));
    lines.extend(pen.labelled("source", &sources(s, places)));
    lines
}

fn table(heading: &[String], (table, shown): (Table, usize), all: usize, pen: &Pen) -> Vec<String> {
    let rows = table.render(pen);
    if rows.is_empty() {
        return Vec::new();
    }
    let mut lines = heading.to_vec();
    lines.extend(rows);
    if all > shown {
        lines.push(format!("{} and {} more", pen.either("…", "..."), grouped((all - shown) as u64)));
    }
    lines
}

pub(crate) fn or_none<T>(x: Option<T>, f: impl Fn(T) -> String) -> String {
    x.map_or_else(|| NONE.to_owned(), f)
}

fn named(x: Option<&Named>, f: &dyn Fn(f64) -> String) -> String {
    or_none(x, |n| format!("{} {}", f(n.value), n.model))
}

fn contrasts(s: &Survey, pen: &Pen) -> Vec<String> {
    let mut lines = Vec::new();
    for c in &s.contrasts {
        lines.extend(heading(
            s,
            &format!("best of `{}` against best of `{}`", c.first_set, c.second_set),
            &c.sources,
            pen,
        ));
        let half = (c.upper - c.lower) / 2.0;
        let text = format!(
            "{} {} {} points [{}, {}]: {} against {}; wins {} of votes between them, ties as halves",
            points(c.difference),
            pen.either("±", "+-"),
            points(half),
            points(c.lower),
            points(c.upper),
            c.first,
            c.second,
            percent(c.win_rate)
        );
        lines.extend(pen.labelled("difference", &text));
        let text = format!(
            "[{}, {}] for the best of the {} and of the {} rated models, whoever they are ({} level; errors of different models \
             taken as independent)",
            points(c.whoever_lower),
            points(c.whoever_upper),
            grouped(c.first_rated),
            grouped(c.second_rated),
            percent(s.level)
        );
        lines.extend(pen.labelled("whoever", &text));
    }
    lines
}

fn view_table(view: &ViewPart) -> (Table, usize) {
    let has = |f: &dyn Fn(&crate::wire::ViewRow) -> bool| view.rows.iter().any(f);
    let (rated, able) = (has(&|r| r.best_rating.is_some()), has(&|r| r.best_ability.is_some()));
    let (likes, downloads) = (has(&|r| r.likes.is_some()), has(&|r| r.downloads.is_some()));
    let mut columns = vec![(view.by, Align::Left), ("models", Align::Right), ("share", Align::Right)];
    if rated {
        columns.push(("best by rating", Align::Left));
    }
    if able {
        columns.push(("best by ability", Align::Left));
    }
    if likes {
        columns.extend([("likes", Align::Right), ("most liked", Align::Left)]);
    }
    if downloads {
        columns.push(("downloads", Align::Right));
    }
    let mut table = Table::new(&columns);
    for r in view.rows.iter().take(ROWS) {
        let mut cells =
            vec![Cell::new(r.name.clone()), Cell::new(grouped(r.models)), Cell::new(percent(r.share))];
        if rated {
            cells.push(Cell::new(named(r.best_rating.as_ref(), &points)));
        }
        if able {
            cells.push(Cell::new(named(r.best_ability.as_ref(), &two)));
        }
        if likes {
            cells.push(Cell::new(or_none(r.likes, grouped)));
            cells.push(Cell::new(named(r.most_liked.as_ref(), &|x| grouped(x as u64))));
        }
        if downloads {
            cells.push(Cell::new(or_none(r.downloads, grouped)));
        }
        table.row(cells);
    }
    (table, view.rows.len().min(ROWS))
}

/// Abilities with two decimals.
pub(crate) fn two(x: f64) -> String {
    format!("{:.2}", x + 0.0)
}

fn ratings(s: &Survey, pen: &Pen) -> Vec<String> {
    let rated: Vec<_> = s.models.iter().filter(|m| m.rating.is_some()).collect();
    let mut table_of = Table::new(&[
        ("rating", Align::Right),
        ("interval", Align::Left),
        ("model", Align::Left),
        ("organisation", Align::Left),
        ("country", Align::Left),
        ("openness", Align::Left),
    ]);
    for m in rated.iter().take(ROWS) {
        let Some(r) = &m.rating else { continue };
        table_of.row(vec![
            Cell::new(points(r.rating)),
            Cell::new(format!("[{}, {}]", points(r.lower), points(r.upper))),
            Cell::new(m.model.clone()),
            Cell::new(m.organisation.clone()),
            Cell::new(m.country.clone()),
            Cell::new(m.openness.unwrap_or("unknown")),
        ]);
    }
    let places = kinds(s, &["ratings"]);
    table(&heading(s, "published ratings", &places, pen), (table_of, rated.len().min(ROWS)), rated.len(), pen)
}

/// Places of the inputs of these kinds.
pub(crate) fn kinds(s: &Survey, kinds: &[&str]) -> Vec<u32> {
    let each = s.inputs.iter().enumerate();
    each.filter(|(_, i)| kinds.contains(&i.kind)).map(|(n, _)| n as u32).collect()
}

fn abilities(s: &Survey, pen: &Pen) -> Vec<String> {
    let Some(part) = &s.abilities else { return Vec::new() };
    let mut lines = Vec::new();
    for (number, group) in part.groups.iter().enumerate() {
        let title = format!(
            "abilities{}: {} models on {} benchmarks, {} scores",
            if number > 0 { format!(", set {number}, on a scale of its own") } else { String::new() },
            group.names.models.len(),
            group.names.units.len(),
            grouped(group.scores)
        );
        lines.extend(heading(s, &title, &part.sources, pen));
        match &group.scale {
            None => lines.extend(pen.labelled("scale", &format!("none ({})", group.status))),
            Some(scale) => lines.extend(scale_lines(s, scale, pen)),
        }
    }
    lines
}

fn scale_lines(s: &Survey, scale: &AbilityScalePart, pen: &Pen) -> Vec<String> {
    let mut table = Table::new(&[
        ("rank", Align::Right),
        ("model", Align::Left),
        ("ability", Align::Right),
        ("interval", Align::Left),
        ("places", Align::Right),
        ("leads", Align::Right),
        ("group", Align::Right),
        ("on", Align::Right),
    ]);
    let dash = pen.either("–", "-");
    let range = |a: u32, b: u32| if a == b { a.to_string() } else { format!("{a}{dash}{b}") };
    for a in scale.abilities.iter().take(ROWS) {
        table.row(vec![
            Cell::new(range(a.rank_low, a.rank_high)),
            Cell::new(a.model.clone()),
            Cell::new(or_none(a.ability, two)),
            Cell::new(match (a.lower, a.upper) {
                (Some(lower), Some(upper)) => format!("[{}, {}]", two(lower), two(upper)),
                _ => String::new(),
            }),
            Cell::new(range(a.place_best, a.place_worst)),
            Cell::new(percent(a.leads)),
            Cell::new(a.group.to_string()),
            Cell::new(a.units.to_string()),
        ]);
    }
    let mut lines = table.render(pen);
    if scale.abilities.len() > ROWS {
        lines.push(format!("{} and {} more", pen.either("…", "..."), scale.abilities.len() - ROWS));
    }
    let text = format!(
        "{} intervals; spread beside ability {} logits; degrees of freedom {}; the order of {} of {} pairs is certain together",
        percent(s.level),
        short(scale.spread),
        scale.freedom,
        grouped(scale.pairs_decided),
        grouped(scale.pairs)
    );
    lines.extend(pen.labelled("scale", &text));
    let first = scale.abilities.first().map(|a| a.model.as_str());
    let others: Vec<String> = scale
        .omissions
        .iter()
        .filter(|o| o.leader.as_deref() != first)
        .map(|o| format!("without {}: {}", o.unit, o.leader.as_deref().unwrap_or("no scale")))
        .collect();
    let text =
        if others.is_empty() { "the same without any one benchmark".to_owned() } else { others.join("; ") };
    lines.extend(pen.labelled("first", &text));
    let text = format!(
        "{} drawn uniformly; with equal weights {} leads; {} of the scores were missing and taken from the scale",
        grouped(u64::from(scale.weightings)),
        scale.equal_weights,
        grouped(scale.filled)
    );
    lines.extend(pen.labelled("weights", &text));
    lines
}

fn time(s: &Survey, pen: &Pen) -> Vec<String> {
    let mut releases = Table::new(&[
        ("quarter", Align::Left),
        ("country", Align::Left),
        ("models", Align::Right),
        ("so far", Align::Right),
        ("best so far by rating", Align::Left),
        ("by ability", Align::Left),
    ]);
    let skip = s.time.releases.len().saturating_sub(ROWS);
    for r in s.time.releases.iter().skip(skip) {
        releases.row(vec![
            Cell::new(r.quarter.clone()),
            Cell::new(r.country.clone()),
            Cell::new(grouped(r.models)),
            Cell::new(grouped(r.so_far)),
            Cell::new(named(r.best_rating.as_ref(), &points)),
            Cell::new(named(r.best_ability.as_ref(), &two)),
        ]);
    }
    let head = heading(s, "releases", &s.time.release_sources, pen);
    let mut lines = table(&head, (releases, s.time.releases.len() - skip), s.time.releases.len(), pen);
    let mut counts = Table::new(&[
        ("date", Align::Left),
        ("country", Align::Left),
        ("models", Align::Right),
        ("likes", Align::Right),
        ("downloads, 30 days", Align::Right),
        ("so far", Align::Right),
    ]);
    let skip = s.time.snapshots.len().saturating_sub(ROWS);
    for r in s.time.snapshots.iter().skip(skip) {
        counts.row(vec![
            Cell::new(r.date.clone().unwrap_or_else(|| "undated".to_owned())),
            Cell::new(r.country.clone()),
            Cell::new(grouped(r.models)),
            Cell::new(or_none(r.likes, grouped)),
            Cell::new(or_none(r.downloads, grouped)),
            Cell::new(or_none(r.downloads_all_time, grouped)),
        ]);
    }
    let head = heading(s, "likes and downloads", &s.time.snapshot_sources, pen);
    lines.extend(table(&head, (counts, s.time.snapshots.len() - skip), s.time.snapshots.len(), pen));
    lines
}

/// A total with its interval.
pub(crate) fn estimate(e: &EstimatePart) -> String {
    format!("{} [{}, {}]", short(e.total), short(e.lower.floor()), short(e.upper.ceil()))
}

/// How many of the declared ones looked at are right.
pub(crate) fn precision(f: &Family) -> String {
    or_none(f.precision.as_ref(), |p| {
        format!("{} of {} [{}, {}]", p.hits, p.sampled, percent(p.lower), percent(p.upper))
    })
}

fn families(s: &Survey, pen: &Pen) -> Vec<String> {
    let mut table_of = Table::new(&[
        ("family", Align::Left),
        ("declare it", Align::Right),
        ("or a child", Align::Right),
        ("right of those compared", Align::Left),
        ("by weights", Align::Left),
        ("undeclared", Align::Left),
    ]);
    for f in s.families.list.iter().take(ROWS) {
        table_of.row(vec![
            Cell::new(f.family.clone()),
            Cell::new(grouped(f.direct)),
            Cell::new(grouped(f.declared)),
            Cell::new(precision(f)),
            Cell::new(or_none(f.corrected.as_ref(), estimate)),
            Cell::new(or_none(f.undeclared.as_ref(), estimate)),
        ]);
    }
    let head = heading(s, "families", &s.families.sources, pen);
    table(&head, (table_of, s.families.list.len().min(ROWS)), s.families.list.len(), pen)
}

fn origins(s: &Survey, pen: &Pen) -> Vec<String> {
    let Some(o) = &s.origins else { return Vec::new() };
    let mut lines = heading(s, "publisher's country and country of the root weights", &o.sources, pen);
    let text = format!("{}; {} cards name no base", cells(&o.declared, pen), grouped(o.none_declared));
    lines.extend(pen.labelled("declared", &text));
    let text = format!(
        "{}; compared and no dependence found: {}; without an answer: {}",
        cells(&o.verified, pen),
        grouped(o.none_found),
        grouped(o.no_answer)
    );
    lines.extend(pen.labelled("by weights", &text));
    lines
}

fn cells(list: &[OriginPart], pen: &Pen) -> String {
    let arrow = pen.either("←", "<-");
    let each = list.iter().map(|c| format!("{} {arrow} {}: {}", c.publisher, c.root, grouped(c.models)));
    if list.is_empty() { "none".to_owned() } else { each.collect::<Vec<_>>().join(", ") }
}
