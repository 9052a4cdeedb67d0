//! What stands beside ratings on the page: parts, clones, proposals, online Elo.

use super::markup::{Cell, Table, esc, section, signed};
use crate::human::{part_rating, points};
use crate::number::{NONE, grouped, percent};
use crate::wire::Ratings;

/// Rows of each table, and contestants of the table of parts.
const ROWS: usize = 200;
const CONTESTANTS: usize = 40;

pub(super) fn body(ratings: &Ratings) -> String {
    [parts(ratings), clones(ratings), proposals(ratings), elo(ratings)].concat()
}

fn parts(ratings: &Ratings) -> String {
    let Some(parts) = &ratings.parts else { return String::new() };
    let names: Vec<&str> = ratings.ratings.iter().take(CONTESTANTS).map(|r| r.contestant.as_str()).collect();
    let mut columns = vec![("contestant", false)];
    columns.extend(parts.list.iter().take(ROWS).map(|p| (p.part.as_str(), true)));
    let mut table = Table::new(
        "Rating and rank set in each part, rated by itself; a dash where its votes allow no number on the largest scale",
        &columns,
    );
    let mut votes = vec![Cell::text("votes")];
    votes.extend(parts.list.iter().take(ROWS).map(|p| Cell::number(&grouped(p.votes))));
    table.row("context", &votes);
    for name in names {
        let mut cells = vec![Cell::text(name)];
        for part in parts.list.iter().take(ROWS) {
            let own = part.ratings.iter().find(|r| r.contestant == name && r.component == 0);
            cells.push(match own.map(|r| part_rating(r, "–")) {
                Some(text) if text != NONE => Cell::right(signed(&text)),
                _ => Cell::number(NONE),
            });
        }
        table.row("", &cells);
    }
    let note = format!(
        "<p class=\"soft\">By {} of <code>{}</code>. Parts share no zero{}.</p>\n",
        parts.by,
        esc(&parts.column),
        if ratings.anchor.is_some() {
            " unless the anchor is rated in both"
        } else {
            ": each has the mean 1000"
        }
    );
    section("parts", "By parts of the votes", &format!("{note}{}", table.render()))
}

fn clones(ratings: &Ratings) -> String {
    let Some(clones) = &ratings.clones else { return String::new() };
    let items: String = clones
        .groups
        .iter()
        .map(|names| format!("<li>{}</li>\n", names.iter().map(|n| esc(n)).collect::<Vec<_>>().join(" = ")))
        .collect();
    let body = format!(
        "<p>Contestants whose weights saved comparisons found to be identical count once, under the first name; {} votes between them \
         are left out.</p>\n<ul>{items}</ul>\n",
        grouped(clones.votes_left_out)
    );
    section("clones", "Counted as one", &body)
}

fn proposals(ratings: &Ratings) -> String {
    let Some(pairs) = &ratings.next_pairs else { return String::new() };
    let columns =
        [("pair", false), ("against", false), ("votes", true), ("gain of one vote", true), ("order", false)];
    let mut table = Table::new(
        "Share by which one vote is expected to reduce the variances of all undecided orders",
        &columns,
    );
    for p in pairs.iter().take(ROWS) {
        table.row(
            "",
            &[
                Cell::text(&p.first),
                Cell::text(&p.second),
                Cell::number(&grouped(p.votes)),
                Cell::right(esc(&p.gain.map_or_else(|| NONE.to_owned(), percent)).replace(' ', "\u{a0}")),
                Cell::text(if p.decided { "decided" } else { "open" }),
            ],
        );
    }
    let none = "<p>No order is open, or there are too many contestants to say.</p>\n".to_owned();
    section("next", "Pairs to vote on next", &if pairs.is_empty() { none } else { table.render() })
}

fn elo(ratings: &Ratings) -> String {
    let Some(elo) = &ratings.legacy_elo else { return String::new() };
    let columns =
        [("contestant", false), ("median", true), ("lowest", true), ("highest", true), ("places", true)];
    let mut table =
        Table::new(&format!("Online Elo over {} random orders of the same votes", elo.orders), &columns);
    for r in elo.list.iter().take(ROWS) {
        table.row(
            "",
            &[
                Cell::text(&r.contestant),
                Cell::number(&points(r.median)),
                Cell::number(&points(r.low)),
                Cell::number(&points(r.high)),
                Cell::right(match r.place_best == r.place_worst {
                    true => r.place_best.to_string(),
                    false => format!("{}–{}", r.place_best, r.place_worst),
                }),
            ],
        );
    }
    let note = "<p class=\"soft\">A legacy view for comparison: its numbers depend on the order in which the same votes are read, which \
                says nothing of strength. The ratings above do not.</p>\n";
    section("elo", "Online Elo", &format!("{note}{}", table.render()))
}
