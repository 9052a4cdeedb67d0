//! The page of standings. Every figure has its table below it and its sources beneath.

use super::adoption;
use super::forest::{self, Bar};
use super::markup::{Cell, Table, esc, facts, section, signed};
use super::notes;
use crate::human::points;
use crate::human::standings::{kinds, or_none, shared_date, sources, two};
use crate::number::{NONE, bytes, effect, grouped, percent, short};
use crate::wire::{AbilityScalePart, Named, Survey, ViewPart};

/// Rows of figures and of long tables.
const FIGURE: usize = 40;
pub(super) const ROWS: usize = 300;

pub(super) fn body(s: &Survey) -> String {
    [
        top(s),
        inputs(s),
        contrasts(s),
        views(s),
        ratings(s),
        abilities(s),
        adoption::time(s),
        adoption::families(s),
        adoption::origins(s),
        notes::findings(&s.findings),
        methods(s),
        again(s),
    ]
    .concat()
}

fn tight(text: &str) -> String {
    esc(text).replace(" %", "\u{a0}%").replace('-', "\u{2011}")
}

pub(super) fn source(s: &Survey, places: &[u32]) -> String {
    format!("<p class=\"small soft\">Source: {}.</p>\n", esc(&sources(s, places)))
}

pub(super) fn more(all: usize, shown: usize) -> String {
    if all <= shown {
        return String::new();
    }
    format!(
        "<p class=\"small soft\">And {} more, in the JSON and with <code>--format tsv</code>.</p>\n",
        grouped((all - shown) as u64)
    )
}

fn top(s: &Survey) -> String {
    let first = s.abilities.as_ref().and_then(|a| a.groups.first()?.scale.as_ref());
    let (headline, lead) = if let Some(c) = s.contrasts.first() {
        let half = (c.upper - c.lower) / 2.0;
        (
            format!("{} ± {} points", points(c.difference), points(half)).replace('-', "−"),
            format!(
                "{}, the best of “{}”, against {}, the best of “{}”; the first would win {} of votes between them, ties as halves.",
                c.first,
                c.first_set,
                c.second,
                c.second_set,
                percent(c.win_rate)
            ),
        )
    } else if let Some(scale) = first {
        let could: Vec<_> = scale.abilities.iter().filter(|a| a.rank_low == 1).collect();
        let name = scale.abilities.first().map_or("", |a| a.model.as_str());
        let leads = scale.abilities.first().map_or(0.0, |a| a.leads);
        (
            if could.len() == 1 { format!("{name} leads") } else { "No certain leader".to_owned() },
            format!(
                "{} of {} models can be first at a joint confidence of {}; the highest ability is that of {name}, which leads under \
                 {} of the weightings drawn.",
                could.len(),
                scale.abilities.len(),
                percent(s.level),
                percent(leads)
            ),
        )
    } else {
        let listed = s.models.iter().filter(|m| m.registered).count();
        (
            format!("{} models", grouped(listed as u64)),
            "What registries, hubs and saved comparisons say of them, by country, openness and organisation."
                .to_owned(),
        )
    };
    format!(
        "<div class=\"verdict none\">\n<h1>{}</h1>\n<p class=\"lead\">{}</p>\n</div>\n",
        esc(&headline),
        tight(&lead)
    )
}

fn inputs(s: &Survey) -> String {
    let columns = [
        ("table", false),
        ("what", false),
        ("date", false),
        ("rows", true),
        ("size", true),
        ("digest", false),
    ];
    let mut table = Table::new("Everything on this page comes from these files", &columns);
    for i in &s.inputs {
        let short = i.digest.get(..19).unwrap_or(&i.digest);
        table.row(
            "",
            &[
                Cell::text(&i.name),
                Cell::text(i.kind),
                Cell::text(&shared_date(i.date_from.as_deref(), i.date_to.as_deref())),
                Cell::number(&grouped(i.rows)),
                Cell::right(bytes(i.bytes)),
                Cell::text(&format!("{short}…")),
            ],
        );
    }
    section("inputs", "Inputs", &table.render())
}

fn contrasts(s: &Survey) -> String {
    if s.contrasts.is_empty() {
        return String::new();
    }
    let columns = [
        ("best of", false),
        ("against best of", false),
        ("models", false),
        ("points", true),
        ("these two", true),
        ("whoever is best", true),
        ("wins", true),
    ];
    let mut table = Table::new("Differences of published ratings with their intervals", &columns);
    for c in &s.contrasts {
        table.row(
            "",
            &[
                Cell::text(&c.first_set),
                Cell::text(&c.second_set),
                Cell::text(&format!("{} – {}", c.first, c.second)),
                Cell::number(&points(c.difference)),
                interval(Some(c.lower), Some(c.upper), &points),
                interval(Some(c.whoever_lower), Some(c.whoever_upper), &points),
                Cell::right(tight(&percent(c.win_rate))),
            ],
        );
    }
    let note = "<p>“These two” takes the two models as named beforehand. “Whoever is best” also allows for the choice: limits of all \
                models in either set that hold together. Published tables give no covariances, so errors of different models are \
                taken as independent.</p>\n";
    section(
        "best",
        "Best against best",
        &format!("{}{note}{}", table.render(), source(s, &s.contrasts[0].sources)),
    )
}

fn interval(lower: Option<f64>, upper: Option<f64>, f: &dyn Fn(f64) -> String) -> Cell {
    match (lower, upper) {
        (Some(lower), Some(upper)) => Cell::right(format!("[{}, {}]", signed(&f(lower)), signed(&f(upper)))),
        _ => Cell::number(NONE),
    }
}

/// A model with its figure, or a dash.
pub(super) fn figure(x: Option<&Named>, f: &dyn Fn(f64) -> String) -> Cell {
    match x {
        Some(n) => Cell::text(&format!("{} {}", f(n.value).replace('-', "−"), n.model)),
        None => Cell::text("–"),
    }
}

fn views(s: &Survey) -> String {
    let each: String = s.views.iter().map(|view| one_view(s, view)).collect();
    section("views", "By country, openness and organisation", &each)
}

fn one_view(s: &Survey, view: &ViewPart) -> String {
    let has = |f: &dyn Fn(&crate::wire::ViewRow) -> bool| view.rows.iter().any(f);
    let (rated, able) = (has(&|r| r.best_rating.is_some()), has(&|r| r.best_ability.is_some()));
    let (likes, downloads) = (has(&|r| r.likes.is_some()), has(&|r| r.downloads.is_some()));
    let mut columns = vec![(view.by, false), ("models", true), ("share", true)];
    if rated {
        columns.push(("best by rating", false));
    }
    if able {
        columns.push(("best by ability", false));
    }
    if likes {
        columns.extend([("likes", true), ("most liked", false)]);
    }
    if downloads {
        columns.extend([("downloads, 30 days", true), ("so far", true)]);
    }
    let mut table = Table::new(&format!("Registered models by {}", view.by), &columns);
    for r in view.rows.iter().take(ROWS) {
        let mut cells = vec![
            Cell::text(&r.name),
            Cell::number(&grouped(r.models)),
            Cell::right(tight(&percent(r.share))),
        ];
        if rated {
            cells.push(figure(r.best_rating.as_ref(), &points));
        }
        if able {
            cells.push(figure(r.best_ability.as_ref(), &two));
        }
        if likes {
            cells.push(Cell::number(&or_none(r.likes, grouped)));
            cells.push(figure(r.most_liked.as_ref(), &|x| grouped(x as u64)));
        }
        if downloads {
            cells.push(Cell::number(&or_none(r.downloads, grouped)));
            cells.push(Cell::number(&or_none(r.downloads_all_time, grouped)));
        }
        table.row("", &cells);
    }
    let bars: Vec<Bar> = view
        .rows
        .iter()
        .take(12)
        .map(|r| Bar { name: r.name.clone(), value: r.share * 100.0, label: percent(r.share) })
        .collect();
    let caption = format!("Share of the {} registered models.", grouped(view.models));
    format!(
        "<h3>By {}</h3>\n{}{}{}{}",
        view.by,
        forest::bars(&bars, &caption),
        table.render(),
        more(view.rows.len(), ROWS),
        source(s, &view.sources)
    )
}

fn ratings(s: &Survey) -> String {
    let rated: Vec<_> = s.models.iter().filter_map(|m| Some((m, m.rating.as_ref()?))).collect();
    if rated.is_empty() {
        return String::new();
    }
    let marks: Vec<forest::Mark<'_>> = rated
        .iter()
        .take(FIGURE)
        .map(|(m, r)| forest::Mark {
            name: &m.model,
            value: Some(r.rating),
            inner: (Some(r.lower), Some(r.upper)),
            outer: (None, None),
        })
        .collect();
    let caption = format!("The {} highest published ratings with their published intervals.", marks.len());
    let columns = [
        ("model", false),
        ("rating", true),
        ("interval", true),
        ("organisation", false),
        ("country", false),
        ("openness", false),
        ("licence", false),
        ("date", false),
    ];
    let mut table = Table::new("Published ratings", &columns);
    for (m, r) in rated.iter().take(ROWS) {
        table.row(
            "",
            &[
                Cell::text(&m.model),
                Cell::number(&points(r.rating)),
                interval(Some(r.lower), Some(r.upper), &points),
                Cell::text(&m.organisation),
                Cell::text(&m.country),
                Cell::text(m.openness.unwrap_or("unknown")),
                Cell::text(m.licence.as_deref().unwrap_or("–")),
                Cell::text(r.date.as_deref().unwrap_or("undated")),
            ],
        );
    }
    let body = [
        forest::marks(
            &marks,
            &caption,
            "Published ratings with intervals; numbers in the table below",
            &points,
        ),
        table.render(),
        more(rated.len(), ROWS),
        source(s, &kinds(s, &["ratings", "models", "regions"])),
    ];
    section("published", "Published ratings", &body.concat())
}

fn abilities(s: &Survey) -> String {
    let Some(part) = &s.abilities else { return String::new() };
    let mut body = String::new();
    for (number, group) in part.groups.iter().enumerate() {
        if number > 0 {
            body.push_str(&format!("<h3>Set {number}, on a scale of its own</h3>\n"));
        }
        body.push_str(&format!(
            "<p>{} models, {} benchmarks, {} scores.</p>\n",
            group.names.models.len(),
            group.names.units.len(),
            grouped(group.scores)
        ));
        match &group.scale {
            Some(scale) => body.push_str(&scale_body(scale)),
            None => body.push_str(&format!("<p>No scale: {}.</p>\n", esc(group.status))),
        }
    }
    body.push_str(&source(s, &part.sources));
    section("abilities", "Abilities by benchmarks", &body)
}

fn scale_body(scale: &AbilityScalePart) -> String {
    let marks: Vec<forest::Mark<'_>> = scale
        .abilities
        .iter()
        .take(FIGURE)
        .map(|a| forest::Mark {
            name: &a.model,
            value: a.ability,
            inner: (a.lower, a.upper),
            outer: (a.simultaneous_lower, a.simultaneous_upper),
        })
        .collect();
    let caption = "Dot: ability. Thick line: interval of one model. Thin line: interval that holds together with all others.";
    let columns = [
        ("model", false),
        ("rank", true),
        ("ability", true),
        ("interval", true),
        ("together with all", true),
        ("without one benchmark", true),
        ("error over benchmarks", true),
        ("leads", true),
        ("benchmarks", true),
    ];
    let title = "Ranks are sets that hold together; “leads”: share of weightings of the benchmarks under which its mean score is the highest";
    let mut table = Table::new(title, &columns);
    let range = |a: u32, b: u32| if a == b { a.to_string() } else { format!("{a}–{b}") };
    for a in scale.abilities.iter().take(ROWS) {
        table.row(
            "",
            &[
                Cell::text(&a.model),
                Cell::right(range(a.rank_low, a.rank_high)),
                Cell::number(&or_none(a.ability, two)),
                interval(a.lower, a.upper, &two),
                interval(a.simultaneous_lower, a.simultaneous_upper, &two),
                Cell::right(range(a.place_best, a.place_worst)),
                Cell::number(&or_none(a.jackknife, two)),
                Cell::right(tight(&percent(a.leads))),
                Cell::number(&a.units.to_string()),
            ],
        );
    }
    let columns = [
        ("benchmark", false),
        ("slope", true),
        ("error", true),
        ("difficulty", true),
        ("models", true),
        ("misfit", true),
        ("first without it", false),
        ("moves most", false),
    ];
    let mut units = Table::new(
        "Benchmarks: slope in logits per unit of ability, the ability that scores one half, mean squared residual",
        &columns,
    );
    for (u, o) in scale.units.iter().zip(&scale.omissions) {
        let moved = o
            .moved
            .as_ref()
            .zip(o.change)
            .map(|(name, change)| format!("{name} {}", two(change).replace('-', "−")));
        units.row(
            "",
            &[
                Cell::text(&u.unit),
                Cell::number(&or_none(u.slope, two)),
                Cell::number(&or_none(u.slope_error, two)),
                Cell::number(&or_none(u.difficulty, two)),
                Cell::number(&u.models.to_string()),
                Cell::number(&or_none(u.misfit, effect)),
                Cell::text(o.leader.as_deref().unwrap_or("no scale")),
                Cell::text(&moved.unwrap_or_else(|| "–".to_owned())),
            ],
        );
    }
    let pairs = [
        (
            "spread",
            format!(
                "{} logits between models on one benchmark, beside ability and the noise of items",
                short(scale.spread)
            ),
        ),
        ("fit", format!("degrees of freedom: {}; χ² {}", scale.freedom, short(scale.chi_square))),
        (
            "order",
            format!(
                "certain for {} of {} pairs together",
                grouped(scale.pairs_decided),
                grouped(scale.pairs)
            ),
        ),
        (
            "weightings",
            format!(
                "{} drawn uniformly; {} missing scores taken from the scale; with equal weights {} leads",
                grouped(u64::from(scale.weightings)),
                grouped(scale.filled),
                esc(&scale.equal_weights)
            ),
        ),
    ];
    [
        forest::marks(&marks, caption, "Abilities with intervals; numbers in the table below", &two),
        table.render(),
        more(scale.abilities.len(), ROWS),
        units.render(),
        facts(&pairs),
    ]
    .concat()
}

fn methods(s: &Survey) -> String {
    let mut pairs = Vec::new();
    if s.abilities.is_some() {
        pairs.push((
            "ability",
            "Expected score σ(a·θ − b) for ability θ, a and b of each benchmark under one harness (two-parameter logistic); binomial noise \
             of items and a spread on the logit scale (Williams 1982), quasi-likelihood; zero and unit: mean 0 and standard deviation 1, or \
             two anchors. Benchmarks share a scale where at least two models link them."
                .to_owned(),
        ));
        pairs.push((
            "ranks",
            "A model is above another where their difference exceeds the largest studentised difference that the errors give in 95 % (or the \
             level chosen) of draws; ranks are the sets that this leaves."
                .to_owned(),
        ));
    }
    if !s.contrasts.is_empty() {
        pairs.push((
            "best against best",
            "Standard errors from published 95 % intervals; limits that hold together by Šidák 1967."
                .to_owned(),
        ));
    }
    if s.families.list.iter().any(|f| f.corrected.is_some()) {
        pairs.push((
            "by weights",
            "Horvitz and Thompson 1952 over strata; exact hypergeometric limits of each stratum, put together by Zou and Donner 2008.".to_owned(),
        ));
    }
    pairs.push(("views", "Counts of the registry as it is: no sample, so no interval. Sums of likes and downloads are of the latest date only.".to_owned()));
    section("methods", "Methods", &format!("<div class=\"method\">{}</div>\n", facts(&pairs)))
}

fn again(s: &Survey) -> String {
    let mut pairs =
        vec![("seed", s.seed.to_string()), ("version", format!("{} {}", s.tool.name, esc(&s.tool.version)))];
    if let Some(cost) = s.cost {
        pairs.push(("time", format!("{} s", short(cost.seconds_wall))));
        pairs.push(("peak memory", bytes(cost.peak_memory_bytes)));
    }
    let body = format!(
        "<p>The same tables give the same bytes.</p>\n<pre class=\"command\" tabindex=\"0\">{}</pre>\n{}",
        esc(&s.command),
        facts(&pairs)
    );
    section("again", "Do it again", &body)
}
