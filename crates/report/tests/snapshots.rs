//! What a user sees, in full.

mod common;

use common::{
    acquitted, blamed, context, controlled, derived, differing, inspected, listed, rated, shortened, summed,
    surveyed, unrated,
};
use stemmata_report::{
    Context, Format, Style, Timing, blame, comparison, difference, inspection, mergekit, rating, standings,
};

const WIDE: Style = Style { color: false, unicode: true, width: 110 };
const NARROW_ASCII: Style = Style { color: false, unicode: false, width: 72 };

#[test]
fn comparison_human() {
    insta::assert_snapshot!("derived-human", comparison(&derived(), Format::Human, &WIDE, &context()));
    insta::assert_snapshot!("acquitted-human", comparison(&acquitted(), Format::Human, &WIDE, &context()));
    let timed =
        Context { timing: Some(Timing { seconds_wall: 41.26, peak_memory_bytes: 412_000_000 }), ..context() };
    insta::assert_snapshot!(
        "derived-human-narrow",
        comparison(&derived(), Format::Human, &NARROW_ASCII, &timed)
    );
}

#[test]
fn comparison_rows_and_json() {
    for (name, value) in [("derived", derived()), ("acquitted", acquitted())] {
        let tsv = comparison(&value, Format::Tsv, &WIDE, &context());
        insta::assert_snapshot!(format!("{name}-tsv"), tsv);
        let mut short = value;
        short.judgement.layers.truncate(2);
        short.judgement.evidence.truncate(5);
        insta::assert_snapshot!(format!("{name}-json"), comparison(&short, Format::Json, &WIDE, &context()));
    }
}

#[test]
fn controls_stand_beside_the_verdict() {
    let human = comparison(&controlled(), Format::Human, &NARROW_ASCII, &context());
    let beside: Vec<&str> = human.lines().skip_while(|l| !l.starts_with("controls")).take(7).collect();
    insta::assert_snapshot!("controlled-human", beside.join("\n"));
    insta::assert_snapshot!("controlled-tsv", comparison(&controlled(), Format::Tsv, &WIDE, &context()));
    let json = comparison(&controlled(), Format::Json, &WIDE, &context());
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    insta::assert_snapshot!("controlled-json", serde_json::to_string_pretty(&value["controls"]).unwrap());
    let page = comparison(&controlled(), Format::Html, &WIDE, &context());
    assert!(page.contains("<h2 id=\"controls\">") && page.contains("<td>! found</td>"), "{page}");
    assert!(page.contains("<h2 id=\"context\">Context that is no evidence</h2>"), "{page}");
    assert!(!comparison(&acquitted(), Format::Html, &WIDE, &context()).contains("<h2 id=\"controls\">"));
}

#[test]
fn inspection_in_all_formats() {
    for format in [Format::Human, Format::Tsv, Format::Json] {
        let shown = inspection(&inspected(), format, &WIDE, &context());
        insta::assert_snapshot!(format!("inspection-{}", format.name()), shown);
    }
}

#[test]
fn blame_in_all_formats() {
    for format in [Format::Human, Format::Tsv, Format::Json] {
        let shown = blame(&blamed(), format, &WIDE, &context());
        insta::assert_snapshot!(format!("blame-{}", format.name()), shown);
    }
    assert!(mergekit(&blamed(), &context()).unwrap_err().contains("layer 3"));
}

#[test]
fn a_merge_in_all_formats() {
    for format in [Format::Human, Format::Tsv] {
        let shown = blame(&summed(), format, &WIDE, &context());
        insta::assert_snapshot!(format!("merge-{}", format.name()), shown);
    }
    insta::assert_snapshot!("merge-mergekit", mergekit(&summed(), &context()).unwrap());
}

#[test]
fn a_map_of_layers_is_one_line_and_a_heat_map() {
    let human = comparison(&shortened(), Format::Human, &WIDE, &context());
    assert!(human.contains("layer map  language-model: 0-1 ← 0-1, 2-3 ← 4-5\n"), "{human}");
    let ascii = comparison(&shortened(), Format::Human, &NARROW_ASCII, &context());
    assert!(ascii.contains("layer map  language-model: 0-1 <- 0-1, 2-3 <- 4-5\n"), "{ascii}");
    let page = comparison(&shortened(), Format::Html, &WIDE, &context());
    assert_eq!(
        page.matches("<rect ").count()
            - comparison(&derived(), Format::Html, &WIDE, &context()).matches("<rect ").count(),
        24
    );
}

#[test]
fn difference_in_all_formats() {
    for format in [Format::Human, Format::Tsv, Format::Json] {
        let shown = difference(&differing(), false, format, &WIDE, &context());
        insta::assert_snapshot!(format!("difference-{}", format.name()), shown);
    }
    let totals = difference(&differing(), true, Format::Human, &WIDE, &context());
    insta::assert_snapshot!("difference-stat", totals);
}

#[test]
fn ratings_in_all_formats() {
    let command = "stemmata rate --anchor=south=1100.0 --cluster=user --position votes.csv".to_owned();
    let context = Context { command, ..context() };
    insta::assert_snapshot!("rating-human", rating(&rated(), Format::Human, &WIDE, &context));
    // The last digits of logarithms are those of the system's library.
    let mut json = serde_json::from_str(&rating(&rated(), Format::Json, &WIDE, &context)).unwrap();
    rounded(&mut json);
    insta::assert_snapshot!("rating-json", serde_json::to_string_pretty(&json).unwrap());
    let tsv = rating(&rated(), Format::Tsv, &WIDE, &context);
    let lines: Vec<Vec<&str>> = tsv.lines().map(|line| line.split('\t').collect()).collect();
    insta::assert_snapshot!("rating-tsv-columns", lines[0].join("\n"));
    assert_eq!((lines.len(), lines[7][0], lines[7][2]), (8, "top", ""));
    assert!(lines.iter().all(|cells| cells.len() == lines[0].len()), "{tsv}");
    insta::assert_snapshot!("rating-human-narrow", rating(&rated(), Format::Human, &NARROW_ASCII, &context));
    insta::assert_snapshot!("unrated-human", rating(&unrated(), Format::Human, &WIDE, &context));
    let page = rating(&rated(), Format::Html, &WIDE, &context);
    assert!(page.contains("&lt;b&gt;east&lt;/b&gt;") && !page.contains("<b>east"), "{page}");
    for heading in ["Ratings", "Ranks", "Terms", "Fit", "Any time", "Findings", "Methods"] {
        assert!(page.contains(&format!(">{heading}</h2>")), "{heading}");
    }
    // One dot and two lines for each of six contestants with a number.
    assert_eq!(page.matches("<circle class=\"mark\"").count(), 6);
    let empty = rating(&unrated(), Format::Html, &WIDE, &context);
    assert!(empty.contains("<h1>NO RATING</h1>") && !empty.contains("<circle"), "{empty}");
}

#[test]
fn standings_in_all_formats() {
    let command = "stemmata standings --benchmarks=scores.csv@2026-01-31".to_owned();
    let context = Context { command, ..context() };
    insta::assert_snapshot!("standings-human", standings(&surveyed(), Format::Human, &WIDE, &context));
    insta::assert_snapshot!(
        "standings-human-narrow",
        standings(&surveyed(), Format::Human, &NARROW_ASCII, &context)
    );
    insta::assert_snapshot!("listed-human", standings(&listed(), Format::Human, &WIDE, &context));
    let tsv = standings(&surveyed(), Format::Tsv, &WIDE, &context);
    let lines: Vec<Vec<&str>> = tsv.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!((lines.len(), lines[1][0], lines[1][7]), (7, "西", "1200.0"));
    assert!(lines.iter().all(|cells| cells.len() == lines[0].len()) && tsv.contains("'=cmd()"), "{tsv}");
    let page = standings(&surveyed(), Format::Html, &WIDE, &context);
    assert!(
        page.contains("&lt;b&gt;east&lt;/b&gt;")
            && !page.contains("<b>east")
            && !page.contains("<script>.csv")
    );
    for heading in [
        "Inputs",
        "Best against best",
        "Published ratings",
        "Abilities by benchmarks",
        "Over time",
        "Families",
    ] {
        assert!(page.contains(&format!(">{heading}</h2>")), "{heading}");
    }
    // A dot for each rating and each ability; a source under each part.
    assert_eq!(page.matches("<circle class=\"mark\"").count(), 3 + 5);
    assert!(page.matches("Source: ").count() >= 8, "{}", page.matches("Source: ").count());
}

/// Six significant digits; what is only rounding becomes 0.
fn rounded(value: &mut serde_json::Value) {
    use serde_json::Value;
    match value {
        Value::Number(n) if n.is_f64() => {
            let x = n.as_f64().unwrap();
            let short: f64 = if x.abs() < 1e-9 { 0.0 } else { format!("{x:.5e}").parse().unwrap() };
            *value = Value::from(short);
        }
        Value::Array(items) => items.iter_mut().for_each(rounded),
        Value::Object(fields) => fields.values_mut().for_each(rounded),
        _ => {}
    }
}
