//! Equal to an independent implementation (`golden/make.py`) on made-up votes whose sessions share a mood.

use serde_json::Value;
use stemmata_rating::votes::{Limits, Reader, Style, Syntax, Votes, Wanted};
use stemmata_rating::{Model, Options, POINTS, Standings, rate};

const CSV: &str = include_str!("golden/votes.csv");
const JSONL: &str = include_str!("golden/votes.jsonl");

fn expected() -> Value {
    serde_json::from_str(include_str!("golden/expected.json")).unwrap()
}

fn read(syntax: Syntax, text: &str, clusters: &[&str], styles: Vec<Style>) -> Votes {
    let wanted =
        Wanted { clusters: clusters.iter().map(|c| (*c).to_owned()).collect(), styles, ..Wanted::default() };
    let mut reader = Reader::new(wanted, Limits::default());
    reader.read(syntax, text.as_bytes()).unwrap();
    reader.finish()
}

fn csv(clusters: &[&str]) -> Votes {
    read(Syntax::Csv, CSV, clusters, Vec::new())
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

/// A number of each contestant, in the order of names.
fn by_name(standings: &Standings, f: impl Fn(&stemmata_rating::Rating) -> f64) -> Vec<f64> {
    let mut all: Vec<_> = standings.contestants.iter().collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all.iter().map(|c| f(c.rating.as_ref().unwrap())).collect()
}

#[track_caller]
fn close(got: &[f64], want: &[f64], within: f64) {
    assert_eq!(got.len(), want.len());
    for (got, want) in got.iter().zip(want) {
        assert!((got - want).abs() <= within, "{got} {want}");
    }
}

#[test]
fn strengths_of_the_three_models() {
    let expected = expected();
    for model in Model::ALL {
        let want = &expected[model.name()];
        let standings = rate(&csv(&[]), &Options { model, ..Options::default() }).unwrap();
        let strengths = by_name(&standings, |r| (r.value - 1000.0) / POINTS);
        // Differences by numerical derivatives are good to about 1e-9.
        let within = if model == Model::BradleyTerry { 1e-12 } else { 1e-8 };
        close(&strengths, &numbers(&want["strengths"]), within);
        let scale = standings.components[0].scale.as_ref().unwrap().as_ref().unwrap();
        close(&[scale.log_likelihood], &[want["log_likelihood"].as_f64().unwrap()], 1e-8);
        assert_eq!(scale.tie.is_some(), model != Model::BradleyTerry);
        if let Some(tie) = scale.tie {
            close(&[tie], &[want["tie"].as_f64().unwrap()], 1e-8);
        }
    }
}

#[test]
fn errors_by_vote_by_session_and_two_ways() {
    let expected = expected();
    let cases: [(&str, &[&str]); 3] =
        [("votes", &[]), ("session", &["session"]), ("both", &["session", "prompt"])];
    for (name, clusters) in cases {
        let standings = rate(&csv(clusters), &Options::default()).unwrap();
        let errors = by_name(&standings, |r| r.standard_error / POINTS);
        close(&errors, &numbers(&expected["errors"][name]), 1e-11);
    }
    let [votes, session] = ["votes", "session"].map(|k| numbers(&expected["errors"][k]));
    assert!(votes.iter().zip(session).filter(|(v, s)| s > v).count() >= 4, "moods make errors larger");
}

#[test]
fn position_and_length_without_penalty() {
    let expected = &expected()["terms"];
    let length = |first: &str, second: &str| {
        vec![Style::Contrast { first: first.to_owned(), second: second.to_owned() }]
    };
    for votes in [
        read(Syntax::Csv, CSV, &["session"], length("length_a", "length_b")),
        read(Syntax::JsonLines, JSONL, &["session"], length("meta.a.words", "meta.b.words")),
    ] {
        let options = Options { position: true, styles: vec!["length".to_owned()], ..Options::default() };
        let standings = rate(&votes, &options).unwrap();
        let adjusted = by_name(&standings, |r| (r.adjusted.unwrap().value - 1000.0) / POINTS);
        close(&adjusted, &numbers(&expected["strengths"]), 1e-8);
        let scale = standings.components[0].scale.as_ref().unwrap().as_ref().unwrap();
        let terms = scale.terms.as_ref().unwrap().as_ref().unwrap();
        let want = |key: &str| expected[key].as_f64().unwrap();
        close(&[terms[0].estimate, terms[1].estimate], &[want("position"), want("length")], 1e-8);
        let (mean, deviation) = terms[1].scale.unwrap();
        close(&[mean, deviation], &[want("mean"), want("deviation")], 1e-12);
        // The data were made with a left advantage of 0.15 and no effect of length.
        assert!(terms[0].interval.0 < 0.15 && terms[0].interval.1 > 0.15, "{terms:?}");
        assert!(terms[1].interval.0 < 0.0 && terms[1].interval.1 > 0.0, "{terms:?}");
    }
}

#[test]
fn the_order_of_rows_leaves_no_trace() {
    let wanted = |text: &str| {
        let style = Style::Contrast { first: "length_a".to_owned(), second: "length_b".to_owned() };
        read(Syntax::Csv, text, &["session", "prompt"], vec![style])
    };
    let (header, rows) = CSV.split_once('\n').unwrap();
    let mut lines: Vec<&str> = rows.lines().collect();
    let options = Options {
        position: true,
        styles: vec!["length".to_owned()],
        bootstrap: 20,
        sequential: true,
        ..Options::default()
    };
    let first = rate(&wanted(CSV), &options).unwrap();
    lines.reverse();
    lines.rotate_left(123);
    let again = rate(&wanted(&format!("{header}\n{}\n", lines.join("\n"))), &options).unwrap();
    assert_eq!(first, again);
    let other = rate(&wanted(CSV), &Options { seed: 1, ..options.clone() }).unwrap();
    assert_ne!(first, other, "a seed that changes nothing is not used");
}

#[test]
fn bootstrap_and_sandwich_agree() {
    for clusters in [&[][..], &["session"]] {
        let options = Options { bootstrap: 2000, ..Options::default() };
        let standings = rate(&csv(clusters), &options).unwrap();
        for c in &standings.contestants {
            let rating = c.rating.as_ref().unwrap();
            let (low, high) = rating.bootstrap.unwrap();
            let width = (high - low) / (2.0 * 1.96 * rating.standard_error);
            // The relative error of a width from 2,000 samples is about 0.03; four of it, and the sandwich's own.
            assert!((0.85..1.18).contains(&width), "{} {width}", c.name);
        }
    }
}
