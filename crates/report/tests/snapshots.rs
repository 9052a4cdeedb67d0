//! What a user sees, in full.

mod common;

use common::{acquitted, context, derived, differing, inspected};
use stemmata_report::{Context, Format, Style, Timing, comparison, difference, inspection};

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
fn inspection_in_all_formats() {
    for format in [Format::Human, Format::Tsv, Format::Json] {
        let shown = inspection(&inspected(), format, &WIDE, &context());
        insta::assert_snapshot!(format!("inspection-{}", format.name()), shown);
    }
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
