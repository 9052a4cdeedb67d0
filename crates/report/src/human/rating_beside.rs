//! What stands beside ratings at a terminal: parts, clones, proposals, online Elo.

use super::pen::{Paint, Pen};
use super::rating::points;
use super::table::{Align, Cell, Table};
use crate::number::{NONE, grouped, percent};
use crate::text::wrap;
use crate::wire::{PartRating, Ratings};

/// Rows of each table.
const ROWS: usize = 30;

pub(super) fn lines(ratings: &Ratings, pen: &Pen) -> Vec<String> {
    [parts(ratings, pen), proposals(ratings, pen), elo(ratings, pen)].concat()
}

/// Which names were counted as one.
pub(super) fn clones(ratings: &Ratings, pen: &Pen) -> Vec<String> {
    let Some(clones) = &ratings.clones else { return Vec::new() };
    let each: Vec<String> = clones.groups.iter().map(|names| names.join(" = ")).collect();
    let text = match each.is_empty() {
        true => "none of the contestants".to_owned(),
        false => {
            format!("{}; votes between them left out: {}", each.join("; "), grouped(clones.votes_left_out))
        }
    };
    pen.labelled("one", &text)
}

/// A rating with its rank set.
pub(crate) fn part_rating(r: &PartRating, dash: &str) -> String {
    match (r.rating, r.rank_low, r.rank_high) {
        (Some(rating), Some(low), Some(high)) if low == high => format!("{} ({low})", points(rating)),
        (Some(rating), Some(low), Some(high)) => format!("{} ({low}{dash}{high})", points(rating)),
        _ => NONE.to_owned(),
    }
}

fn parts(ratings: &Ratings, pen: &Pen) -> Vec<String> {
    let Some(parts) = &ratings.parts else { return Vec::new() };
    let mut table = Table::new(&[
        (parts.by, Align::Left),
        ("votes", Align::Right),
        ("sets", Align::Right),
        ("first, with rank set", Align::Left),
        ("second", Align::Left),
        ("third", Align::Left),
    ]);
    for part in parts.list.iter().take(ROWS) {
        let place = |i: usize| match part.ratings.get(i).filter(|r| r.component == 0 && r.rating.is_some()) {
            Some(r) => format!("{} {}", r.contestant, part_rating(r, pen.either("–", "-"))),
            None => NONE.to_owned(),
        };
        table.row(vec![
            Cell::new(part.part.clone()),
            Cell::new(grouped(part.votes)),
            Cell::new(part.components.to_string()),
            Cell::new(place(0)),
            Cell::new(place(1)),
            Cell::new(place(2)),
        ]);
    }
    let title = format!("by {} of `{}`, each rated by itself", parts.by, parts.column);
    with_title(&title, table.render(pen), parts.list.len(), pen)
}

fn proposals(ratings: &Ratings, pen: &Pen) -> Vec<String> {
    let Some(pairs) = &ratings.next_pairs else { return Vec::new() };
    let mut table = Table::new(&[
        ("next pair", Align::Left),
        ("against", Align::Left),
        ("votes", Align::Right),
        ("gain of one vote", Align::Right),
        ("order", Align::Left),
    ]);
    for p in pairs.iter().take(ROWS) {
        table.row(vec![
            Cell::new(p.first.clone()),
            Cell::new(p.second.clone()),
            Cell::new(grouped(p.votes)),
            Cell::new(p.gain.map_or_else(|| NONE.to_owned(), percent)),
            Cell::new(if p.decided { "decided" } else { "open" }),
        ]);
    }
    with_title("pairs that a vote says the most on", table.render(pen), pairs.len(), pen)
}

fn elo(ratings: &Ratings, pen: &Pen) -> Vec<String> {
    let Some(elo) = &ratings.legacy_elo else { return Vec::new() };
    let mut table = Table::new(&[
        ("contestant", Align::Left),
        ("median", Align::Right),
        ("range over orders", Align::Left),
        ("places", Align::Right),
    ]);
    let dash = pen.either("–", "-");
    for r in elo.list.iter().take(ROWS) {
        table.row(vec![
            Cell::new(r.contestant.clone()),
            Cell::new(points(r.median)),
            Cell::new(format!("[{}, {}]", points(r.low), points(r.high))),
            Cell::new(match r.place_best == r.place_worst {
                true => r.place_best.to_string(),
                false => format!("{}{dash}{}", r.place_best, r.place_worst),
            }),
        ]);
    }
    let title = format!(
        "online Elo (legacy: it depends on the order of votes; {} random orders of the same votes)",
        elo.orders
    );
    with_title(&title, table.render(pen), elo.list.len(), pen)
}

fn with_title(title: &str, rows: Vec<String>, all: usize, pen: &Pen) -> Vec<String> {
    if rows.is_empty() {
        return rows;
    }
    let mut lines = vec![String::new()];
    lines.extend(wrap(title, pen.width()).iter().map(|line| pen.paint(line, Paint::Strong)));
    lines.extend(rows);
    if all > ROWS {
        lines.push(format!("{} and {} more: --json", pen.either("…", "..."), grouped((all - ROWS) as u64)));
    }
    lines
}
