//! `rate` from the command line: exit codes, messages, streams, the same bytes whatever the order of rows.

mod support;

use std::io::Write;
use std::process::Stdio;
use support::{json, run, stemmata};

const VOTES: &str = "../../crates/rating/tests/golden/votes.csv";

fn votes(folder: &std::path::Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn ratings_are_printed_and_an_anchor_shifts_them() {
    let (code, plain) = json(&["rate", VOTES]);
    assert_eq!((code, plain["model"].as_str()), (0, Some("bradley-terry")));
    let (_, anchored) = json(&["rate", VOTES, "--anchor", "oak=1114"]);
    let of = |value: &serde_json::Value, i: usize, key: &str| value["ratings"][i][key].as_f64().unwrap();
    let oak = anchored["ratings"].as_array().unwrap().iter().find(|r| r["contestant"] == "oak").unwrap();
    assert!((oak["rating"].as_f64().unwrap() - 1114.0).abs() < 1e-9);
    let shift = of(&anchored, 0, "rating") - of(&plain, 0, "rating");
    for i in 0..7 {
        for key in ["rating", "lower", "upper", "simultaneous_lower"] {
            assert!((of(&anchored, i, key) - of(&plain, i, key) - shift).abs() < 1e-9, "{key}");
        }
    }
    let human = run(&["rate", VOTES, "--cluster", "session", "--format", "human"]);
    assert!(human.stdout.contains("clustered by `session` (220 values)"), "{}", human.stdout);
    assert_eq!(run(&["rate", VOTES]).stdout.lines().count(), 8);
}

const PARQUET: &str = "../../crates/rating/tests/parquet/arena-pyarrow.parquet";

#[cfg(not(feature = "parquet"))]
#[test]
fn a_build_without_parquet_says_how_to_get_it_or_convert() {
    let refused = run(&["rate", PARQUET]);
    assert_eq!((refused.code, refused.stdout.as_str()), (2, ""));
    assert!(
        refused.stderr.contains("this is a Parquet file, which this build does not read"),
        "{}",
        refused.stderr
    );
    assert!(
        refused.stderr.contains("--features parquet") && refused.stderr.contains("duckdb"),
        "{}",
        refused.stderr
    );
}

#[cfg(feature = "parquet")]
#[test]
fn parquet_gives_the_ratings_of_the_same_lines_and_damage_is_an_error() {
    let lines = PARQUET.replace("arena-pyarrow.parquet", "arena.jsonl");
    let options = [
        "--cluster=evaluation_session_id",
        "--window=timestamp=month",
        "--style=length=conv_metadata.sum_assistant_a_tokens,conv_metadata.sum_assistant_b_tokens",
    ];
    let rated = |file: &str| json(&[&["rate", file][..], &options].concat());
    let ((code, parquet), (_, text)) = (rated(PARQUET), rated(&lines));
    assert_eq!(code, 0);
    for key in ["ratings", "terms", "parts", "log_likelihood", "votes", "clusters"] {
        assert_eq!(parquet[key], text[key], "{key}");
    }
    let bytes = std::fs::read(PARQUET).unwrap();
    assert_eq!(parquet["inputs"][0]["bytes"].as_u64(), Some(bytes.len() as u64));
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.parquet");
    let broken = broken.to_str().unwrap();
    // Lengths and places of the footer turned over; among them are some on which the decoder itself panics.
    for at in (bytes.len() / 2..bytes.len()).step_by(31) {
        let mut changed = bytes.clone();
        changed[at] ^= 0x55;
        std::fs::write(broken, changed).unwrap();
        let outcome = run(&["rate", broken]);
        assert!(outcome.code == 0 || outcome.code == 2 || outcome.code == 3, "{at}: {}", outcome.stderr);
        assert!(!outcome.stderr.contains("panicked"), "{at}: {}", outcome.stderr);
    }
    let spoilt = PARQUET.replace("arena-pyarrow", "spoilt");
    let refused = run(&["rate", &spoilt]);
    assert!(refused.stderr.contains("row 41: unknown outcome `invalid`"), "{}", refused.stderr);
    let mut piped = stemmata(&["rate", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    piped.stdin.take().unwrap().write_all(&bytes).unwrap();
    let outcome = piped.wait_with_output().unwrap();
    assert_eq!(outcome.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&outcome.stderr).contains("cannot come through a pipe"));
}

#[test]
fn a_ridge_is_shown_with_what_it_leaves() {
    let (_, free) = json(&["rate", VOTES, "--position"]);
    assert!(free["penalty"].is_null() && free["terms"][0]["kept"].is_null());
    let (code, shrunk) = json(&["rate", VOTES, "--position", "--ridge", "40"]);
    assert_eq!((code, shrunk["penalty"]["kind"].as_str()), (0, Some("ridge")));
    assert_eq!(shrunk["penalty"]["lambda"].as_f64(), Some(40.0));
    let kept = shrunk["terms"][0]["kept"].as_f64().unwrap();
    assert!(kept > 0.0 && kept < 1.0 && shrunk["penalty"]["effective_terms"].as_f64() == Some(kept));
    let size = |report: &serde_json::Value| report["terms"][0]["estimate"].as_f64().unwrap().abs();
    assert!(size(&shrunk) < size(&free));
    assert_eq!(shrunk["ratings"][0]["rating"], free["ratings"][0]["rating"], "strengths have no penalty");
    let codes: Vec<&str> =
        shrunk["findings"].as_array().unwrap().iter().filter_map(|f| f["code"].as_str()).collect();
    assert!(codes.contains(&"penalised-terms"), "{codes:?}");
    assert!(shrunk["command"].as_str().unwrap().contains("--ridge=40"));
    let human = run(&["rate", VOTES, "--position", "--ridge", "40", "--format", "human"]);
    assert!(human.stdout.contains("ridge of 40 votes on the terms"), "{}", human.stdout);
    let html = run(&["rate", VOTES, "--position", "--ridge", "40", "--format", "html"]);
    assert!(html.stdout.contains("shrunk by a ridge") && html.stdout.contains("Ridge of 40 votes"));
    let (_, unused) = json(&["rate", VOTES, "--ridge", "40"]);
    assert!(unused["findings"].to_string().contains("penalty-unused"));
    assert_eq!(run(&["rate", VOTES, "--ridge", "-1"]).code, 2);
}

#[test]
fn nothing_rated_is_inconclusive_and_what_cannot_be_read_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let chain = votes(folder.path(), "chain.csv", "left,right,winner\na,b,left\nb,c,left\n");
    assert_eq!(run(&["rate", &chain, "-q"]).code, 3);
    let bad = votes(folder.path(), "bad.csv", "model_a,model_b,winner\na,b,model_a\na,b,Model_A\n");
    let refused = run(&["rate", &bad]);
    assert_eq!((refused.code, refused.stdout.as_str()), (2, ""));
    let expected = format!("error: cannot read `{bad}`: line 3: unknown outcome `Model_A`\nhint:  ");
    assert!(refused.stderr.starts_with(&expected), "{}", refused.stderr);
    for (arguments, message) in [
        (&["rate", "nowhere.csv"][..], "cannot read `nowhere.csv`"),
        (&["rate", VOTES, "--anchor", "yew=1000"], "the anchor `yew` is no contestant"),
        (&["rate", VOTES, "--cluster", "user"], "there is no column `user`"),
        (&["rate", VOTES, "--cluster", "session", "--cluster", "prompt", "--cluster", "winner"], "not by 3"),
        (&["rate", &chain, "--anchor", "a=1"], "the votes allow no rating for the anchor `a`"),
        (&["rate", VOTES, "--anchor", "oak"], "NAME=1000"),
        (&["rate", VOTES, "-o", VOTES], "it holds the votes"),
    ] {
        let refused = run(arguments);
        assert!(refused.code == 2 && refused.stderr.contains(message), "{arguments:?}: {}", refused.stderr);
    }
}

#[test]
fn standard_input_several_files_and_every_order_give_the_same_ratings() {
    let text = std::fs::read_to_string(support::fixtures().join(VOTES)).unwrap();
    let (header, rows) = text.split_once('\n').unwrap();
    let lines: Vec<&str> = rows.lines().collect();
    let (front, back) = lines.split_at(300);
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = [("one.csv", back), ("two.csv", front)]
        .map(|(name, rows)| votes(folder.path(), name, &format!("{header}\n{}\n", rows.join("\n"))));
    let options = ["--cluster", "session", "--bootstrap", "20", "--sequential", "--position"];
    let whole = run(&[&["rate", VOTES], &options[..]].concat()).stdout;
    assert_eq!(run(&[&["rate", &one, &two], &options[..]].concat()).stdout, whole);
    let mut child = stemmata(&[&["rate", "-"], &options[..]].concat())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert_eq!(String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap(), whole);
}

#[test]
fn json_carries_digests_and_no_time_unless_asked() {
    let (_, value) = json(&["rate", VOTES]);
    let digest = value["inputs"][0]["digest"].as_str().unwrap();
    let bytes = std::fs::read(support::fixtures().join(VOTES)).unwrap();
    assert!(digest.starts_with("sha256:") && value["inputs"][0]["bytes"] == bytes.len());
    assert!(value.get("cost").is_none());
    let (_, timed) = json(&["rate", VOTES, "--timing"]);
    assert!(timed["cost"]["seconds_wall"].as_f64().unwrap() > 0.0);
}
