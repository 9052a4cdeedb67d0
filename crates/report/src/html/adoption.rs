//! The part of the page of standings on adoption: over time, by families, by origin.

use super::markup::{Cell, Table, section};
use super::standings::{ROWS, figure, more, source};
use crate::human::points;
use crate::human::standings::{estimate, or_none, precision, two};
use crate::number::grouped;
use crate::wire::{OriginPart, Survey};

pub(super) fn time(s: &Survey) -> String {
    let mut body = String::new();
    if !s.time.releases.is_empty() {
        let columns = [
            ("quarter", false),
            ("country", false),
            ("released", true),
            ("so far", true),
            ("best so far by rating", false),
            ("by ability", false),
        ];
        let mut table = Table::new("Releases by quarter, and the best so far of each country", &columns);
        for r in s.time.releases.iter().rev().take(ROWS) {
            table.row(
                "",
                &[
                    Cell::text(&r.quarter),
                    Cell::text(&r.country),
                    Cell::number(&grouped(r.models)),
                    Cell::number(&grouped(r.so_far)),
                    figure(r.best_rating.as_ref(), &points),
                    figure(r.best_ability.as_ref(), &two),
                ],
            );
        }
        body.push_str(&table.render());
        body.push_str(&more(s.time.releases.len(), ROWS));
        body.push_str(&source(s, &s.time.release_sources));
    }
    if !s.time.snapshots.is_empty() {
        let columns = [
            ("date", false),
            ("country", false),
            ("models", true),
            ("likes", true),
            ("downloads, 30 days", true),
            ("downloads so far", true),
        ];
        let mut table =
            Table::new("Likes (a stock) and downloads (of thirty days: a flow; so far: a stock)", &columns);
        for r in s.time.snapshots.iter().rev().take(ROWS) {
            table.row(
                "",
                &[
                    Cell::text(r.date.as_deref().unwrap_or("undated")),
                    Cell::text(&r.country),
                    Cell::number(&grouped(r.models)),
                    Cell::number(&or_none(r.likes, grouped)),
                    Cell::number(&or_none(r.downloads, grouped)),
                    Cell::number(&or_none(r.downloads_all_time, grouped)),
                ],
            );
        }
        body.push_str(&table.render());
        body.push_str(&more(s.time.snapshots.len(), ROWS));
        body.push_str(&source(s, &s.time.snapshot_sources));
    }
    section("time", "Over time", &body)
}

pub(super) fn families(s: &Survey) -> String {
    if s.families.list.is_empty() {
        return String::new();
    }
    let columns = [
        ("family", false),
        ("declare it", true),
        ("or a child", true),
        ("their downloads", true),
        ("right of those compared", false),
        ("by weights", true),
        ("undeclared", true),
    ];
    let mut table = Table::new(
        "Models that build on a root: what cards declare, and what comparisons of weights make of it",
        &columns,
    );
    let mut strata = Table::new(
        "Strata: who was compared",
        &[
            ("family", false),
            ("stratum", false),
            ("members", true),
            ("compared", true),
            ("depend", true),
            ("no answer", true),
        ],
    );
    let mut compared = false;
    for f in &s.families.list {
        table.row(
            "",
            &[
                Cell::text(&f.family),
                Cell::number(&grouped(f.direct)),
                Cell::number(&grouped(f.declared)),
                Cell::number(&or_none(f.downloads, grouped)),
                Cell::text(&precision(f)),
                Cell::number(&or_none(f.corrected.as_ref(), estimate)),
                Cell::number(&or_none(f.undeclared.as_ref(), estimate)),
            ],
        );
        for stratum in f.strata.iter().filter(|_| f.corrected.is_some()) {
            compared = true;
            strata.row(
                "",
                &[
                    Cell::text(&f.family),
                    Cell::text(&stratum.name),
                    Cell::number(&grouped(stratum.members)),
                    Cell::number(&grouped(stratum.sampled)),
                    Cell::number(&grouped(stratum.hits)),
                    Cell::number(&grouped(stratum.inconclusive)),
                ],
            );
        }
    }
    let note = if compared {
        "<p>The count by weights is Horvitz and Thompson's total; it and its interval are right if those compared were drawn at random \
         from each stratum. Plain training leaves no direction in the weights, so models that depend on each other count unless they \
         are known to have gone the other way.</p>\n"
    } else {
        "<p>Nothing was compared: these are claims of cards.</p>\n"
    };
    let under = if compared { strata.render() } else { String::new() };
    section(
        "families",
        "Families",
        &[table.render(), under, note.to_owned(), source(s, &s.families.sources)].concat(),
    )
}

pub(super) fn origins(s: &Survey) -> String {
    let Some(o) = &s.origins else { return String::new() };
    let counts = format!(
        "<p>Cards that name no base: {}. Compared, and no dependence was found: {}; without an answer: {}.</p>\n",
        grouped(o.none_declared),
        grouped(o.none_found),
        grouped(o.no_answer)
    );
    let body = [
        cross("By cards: publisher's country in rows, country of the declared root in columns", &o.declared),
        cross(
            "By weights: publisher's country in rows, country of the root that comparisons found in columns",
            &o.verified,
        ),
        counts,
        "<p class=\"small soft\">A country is data with a source, no verdict.</p>\n".to_owned(),
        source(s, &o.sources),
    ];
    section("origins", "Where the weights come from", &body.concat())
}

fn cross(caption: &str, cells: &[OriginPart]) -> String {
    if cells.is_empty() {
        return String::new();
    }
    let all = |f: &dyn Fn(&OriginPart) -> &str| {
        let mut names: Vec<String> = cells.iter().map(|c| f(c).to_owned()).collect();
        names.sort_unstable();
        names.dedup();
        names
    };
    let (rows, roots) = (all(&|c| &c.publisher), all(&|c| &c.root));
    let mut columns = vec![("publisher", false)];
    columns.extend(roots.iter().map(|r| (r.as_str(), true)));
    let mut table = Table::new(caption, &columns);
    for row in &rows {
        let mut line = vec![Cell::text(row)];
        for root in &roots {
            let count = cells.iter().find(|c| c.publisher == *row && c.root == *root).map_or(0, |c| c.models);
            line.push(Cell::number(&grouped(count)));
        }
        table.row("", &line);
    }
    table.render()
}
