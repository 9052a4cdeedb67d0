//! TSV: a header and rows. Columns are only ever appended.

use crate::text::tsv_cell;
use crate::wire::{Blame, ControlRun, Difference, Inspection, Ratings, Report, Survey};

/// One row for the pair; with controls one for each of them, too, and two more columns that tell the rows apart.
pub(crate) fn comparison(report: &Report) -> String {
    let verdict = &report.verdict;
    let mut header = vec![
        "candidate",
        "reference",
        "verdict",
        "relation",
        "direction",
        "log10_p",
        "effect",
        "power_smallest_share",
        "tests_run",
        "tests_skipped",
    ];
    let row = vec![
        tsv_cell(&report.candidate().reference),
        tsv_cell(&report.reference().reference),
        verdict.kind.to_owned(),
        verdict.relation.unwrap_or_default().to_owned(),
        verdict.direction.to_owned(),
        number(verdict.log10_p),
        number(report.components.iter().find_map(|c| c.effect)),
        number(verdict.power.and_then(|p| p.smallest_share)),
        verdict.tests.to_string(),
        report.not_tested.len().to_string(),
    ];
    let Some(controls) = &report.controls else { return lines(&header, [row]) };
    header.extend(["row", "share"]);
    let of_kind = |kind: &str, run: &ControlRun| {
        let mut cells = vec![row[0].clone(), row[1].clone(), run.kind.to_owned()];
        cells.resize(header.len(), String::new());
        cells[5] = number(run.log10_p);
        cells[8] = run.tests.to_string();
        cells[10] = kind.to_owned();
        cells[11] = number(run.share);
        cells
    };
    let negative = controls.negative.runs.iter().map(|run| of_kind("negative-control", run));
    let positive = controls.positive.iter().map(|run| of_kind("positive-control", run));
    let pair = [row.clone(), vec!["comparison".to_owned(), String::new()]].concat();
    lines(&header, std::iter::once(pair).chain(negative).chain(positive))
}

/// One row per layer, per expert and per parent of a merge.
pub(crate) fn blame(blame: &Blame) -> String {
    let header = [
        "component",
        "layer",
        "expert",
        "reference",
        "reference_layer",
        "reference_expert",
        "log10_p",
        "effect",
        "merge_method",
        "merge_weight",
        "merge_weight_se",
    ];
    let index = |x: Option<u32>| x.map_or_else(String::new, |x| x.to_string());
    let name = |x: Option<usize>| tsv_cell(x.map_or("", |x| blame.reference(x)));
    let empty = || [const { String::new() }; 3];
    let layers = blame.layers.iter().map(|l| {
        let cells = [
            l.component.to_owned(),
            index(l.layer),
            String::new(),
            name(l.reference),
            index(l.reference_layer),
            String::new(),
            number(l.log10_p),
            number(l.effect),
        ];
        cells.into_iter().chain(empty()).collect()
    });
    let experts = blame.experts.iter().map(|e| {
        let cells = [
            e.component.to_owned(),
            e.layer.to_string(),
            e.expert.to_string(),
            name(e.reference),
            index(e.reference_layer),
            index(e.reference_expert),
            number(e.log10_p),
            number(e.effect),
        ];
        cells.into_iter().chain(empty()).collect()
    });
    let merges = blame.merging.iter().filter(|m| m.outcome == "merge").filter_map(|m| m.merge.as_ref());
    let parents = merges.flat_map(|merge| {
        merge.parents.iter().map(|p| {
            let mut cells = vec![String::new(); 8];
            cells[3] = name(Some(p.reference));
            cells.extend([merge.method.to_owned(), number(p.weight), number(p.standard_error)]);
            cells
        })
    });
    lines(&header, layers.chain(experts).chain(parents))
}

/// One row per stored tensor.
pub(crate) fn inspection(inspection: &Inspection) -> String {
    let header = ["name", "shape", "encoding", "file", "purpose"];
    let rows = inspection.tensors.iter().map(|t| {
        let shape: Vec<String> = t.shape.iter().map(u64::to_string).collect();
        vec![
            tsv_cell(&t.name),
            shape.join("x"),
            tsv_cell(&t.encoding),
            tsv_cell(&t.file),
            tsv_cell(&t.purpose),
        ]
    });
    lines(&header, rows)
}

/// One row per logical tensor.
pub(crate) fn difference(difference: &Difference) -> String {
    let header =
        ["status", "place", "candidate", "reference", "rows", "columns", "changed", "relative", "cosine"];
    let rows = difference.tensors.iter().map(|r| {
        let name = |text: &Option<String>| tsv_cell(text.as_deref().unwrap_or_default());
        vec![
            r.status.to_owned(),
            name(&r.place),
            name(&r.candidate),
            name(&r.reference),
            r.shape[0].to_string(),
            r.shape[1].to_string(),
            number(r.changed),
            number(r.relative),
            number(r.cosine),
        ]
    });
    lines(&header, rows)
}

/// One row per contestant; empty cells where the votes allow no number.
pub(crate) fn rating(ratings: &Ratings) -> String {
    let header = [
        "contestant",
        "component",
        "rating",
        "lower",
        "upper",
        "simultaneous_lower",
        "simultaneous_upper",
        "rank_low",
        "rank_high",
        "top",
        "group",
        "votes",
        "wins",
        "losses",
        "ties",
        "both_bad",
        "adjusted",
        "adjusted_lower",
        "adjusted_upper",
        "adjusted_change",
        "adjusted_change_error",
        "bootstrap_lower",
        "bootstrap_upper",
    ];
    let whole = |x: Option<u32>| x.map_or_else(String::new, |x| x.to_string());
    let rows = ratings.ratings.iter().map(|r| {
        let adjusted = r.adjusted.as_ref();
        vec![
            tsv_cell(&r.contestant),
            r.component.to_string(),
            number(r.rating),
            number(r.lower),
            number(r.upper),
            number(r.simultaneous_lower),
            number(r.simultaneous_upper),
            whole(r.rank_low),
            whole(r.rank_high),
            number(r.top),
            whole(r.group),
            r.votes.to_string(),
            r.wins.to_string(),
            r.losses.to_string(),
            r.ties.to_string(),
            r.both_bad.to_string(),
            number(adjusted.and_then(|a| a.rating)),
            number(adjusted.and_then(|a| a.lower)),
            number(adjusted.and_then(|a| a.upper)),
            number(adjusted.and_then(|a| a.change)),
            number(adjusted.and_then(|a| a.change_error)),
            number(r.bootstrap_lower),
            number(r.bootstrap_upper),
        ]
    });
    lines(&header, rows)
}

/// One row per model; the numbers on a scale are those of the largest set of benchmarks.
pub(crate) fn standings(survey: &Survey) -> String {
    let header = [
        "model",
        "organisation",
        "country",
        "openness",
        "licence",
        "released",
        "base",
        "rating",
        "rating_lower",
        "rating_upper",
        "rating_date",
        "ability",
        "ability_lower",
        "ability_upper",
        "rank_low",
        "rank_high",
        "leads",
        "likes",
        "downloads",
        "downloads_all_time",
        "trending",
    ];
    let scale = survey.abilities.as_ref().and_then(|a| a.groups.first()?.scale.as_ref());
    let text = |x: Option<&str>| tsv_cell(x.unwrap_or_default());
    let whole = |x: Option<u64>| x.map_or_else(String::new, |x| x.to_string());
    let rows = survey.models.iter().map(|m| {
        let rating = m.rating.as_ref();
        let ability = scale.and_then(|s| s.abilities.iter().find(|a| a.model == m.model));
        vec![
            tsv_cell(&m.model),
            tsv_cell(&m.organisation),
            tsv_cell(&m.country),
            text(m.openness),
            text(m.licence.as_deref()),
            text(m.released.as_deref()),
            text(m.base.as_deref()),
            number(rating.map(|r| r.rating)),
            number(rating.map(|r| r.lower)),
            number(rating.map(|r| r.upper)),
            text(rating.and_then(|r| r.date.as_deref())),
            number(m.ability),
            number(ability.and_then(|a| a.lower)),
            number(ability.and_then(|a| a.upper)),
            whole(ability.map(|a| u64::from(a.rank_low))),
            whole(ability.map(|a| u64::from(a.rank_high))),
            number(ability.map(|a| a.leads)),
            whole(m.likes),
            whole(m.downloads),
            whole(m.downloads_all_time),
            number(m.trending),
        ]
    });
    lines(&header, rows)
}

fn lines(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut out = header.join("\t");
    out.push('\n');
    for row in rows {
        out.push_str(&row.join("\t"));
        out.push('\n');
    }
    out
}

/// Full precision, an empty cell for nothing. A minus sign in a number is no formula.
fn number(x: Option<f64>) -> String {
    x.map_or_else(String::new, |x| serde_json::Value::from(x).to_string())
}
