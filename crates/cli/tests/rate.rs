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
