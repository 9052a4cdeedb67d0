//! `standings` and what stands beside `rate`, from the command line: exit codes, messages, the same bytes whatever the order of rows.

mod support;

use support::{json, run};

const VOTES: &str = "../../crates/rating/tests/golden/votes.csv";

fn write(folder: &std::path::Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn scores() -> Vec<String> {
    let mut rows = Vec::new();
    for m in 0..6_u32 {
        for t in 0..5_u32 {
            let percent = 20 + 9 * m + (m * 7 + t * 5) % 6;
            rows.push(format!("m{m},t{t},h,{percent},100,500"));
        }
    }
    rows
}

#[test]
fn abilities_do_not_depend_on_the_order_of_rows_and_carry_the_date() {
    let folder = tempfile::tempdir().unwrap();
    let header = "model,task,harness,score,scale,items\n";
    let mut rows = scores();
    let one = write(folder.path(), "scores.csv", &format!("{header}{}\n", rows.join("\n")));
    let dated = format!("{one}@2026-01-31");
    let (code, value) = json(&["standings", "--benchmarks", &dated]);
    assert_eq!(code, 0);
    assert_eq!(value["inputs"][0]["date_to"], "2026-01-31");
    assert_eq!(value["abilities"]["groups"][0]["scale"]["abilities"][0]["model"], "m5");
    let first = run(&["standings", "--benchmarks", &dated]).stdout;
    rows.reverse();
    write(folder.path(), "scores.csv", &format!("{header}{}\n", rows.join("\n")));
    assert_eq!(run(&["standings", "--benchmarks", &dated]).stdout, first);
}

#[test]
fn what_cannot_be_read_is_an_error_with_its_row() {
    let folder = tempfile::tempdir().unwrap();
    let bad = write(folder.path(), "bad.csv", "model,task,score,items\na,t,0.5,10\na,t,1.5,10\n");
    let refused = run(&["standings", "--benchmarks", &bad]);
    let expected = format!("error: cannot read `{bad}`: row 3: the score is not between 0 and 1");
    assert!(refused.code == 2 && refused.stderr.starts_with(&expected), "{}", refused.stderr);
    let few = write(folder.path(), "few.csv", "model,task,score,items\na,t,0.5,10\nb,t,0.6,10\nc,t,0.7,10\n");
    assert_eq!(run(&["standings", "--benchmarks", &few, "-q"]).code, 3);
    let registry = write(folder.path(), "models.csv", "model,organisation\na,x\n");
    for (arguments, message) in [
        (&["standings"][..], "no table"),
        (&["standings", "--benchmarks", "nowhere.csv"], "cannot read `nowhere.csv`"),
        (&["standings", "--models", &registry, "--best", "open"], "--best compares"),
        (
            &["standings", "--models", &registry, "--best", "open", "--best", "country=us"],
            "no model in `open`",
        ),
        (&["standings", "--models", &registry, "--best", "shut"], "a set of models is"),
        (&["standings", "--benchmarks", &few, "--anchor", "a=1"], "two anchors"),
        (&["standings", "--models", &registry, "--family", "z"], "no registry lists `z`"),
        (&["standings", "--models", &registry, "-o", &registry], "it is one of the tables"),
        (&["standings", "--ratings", &registry], "there is no column `rating` or `median`"),
    ] {
        let refused = run(arguments);
        assert!(refused.code == 2 && refused.stderr.contains(message), "{arguments:?}: {}", refused.stderr);
    }
}

#[test]
fn votes_by_parts_proposals_and_legacy_elo() {
    let (code, value) = json(&["rate", VOTES, "--by", "prompt", "--next-pairs", "3", "--legacy-elo=20"]);
    assert_eq!(code, 0);
    let parts = value["parts"]["list"].as_array().unwrap();
    let votes: u64 = parts.iter().map(|p| p["votes"].as_u64().unwrap()).sum();
    assert!(parts.len() > 1 && Some(votes) == value["votes"].as_u64());
    assert_eq!(value["next_pairs"].as_array().unwrap().len(), 3);
    let elo = value["legacy_elo"]["list"].as_array().unwrap();
    assert!(elo.iter().all(|r| r["low"].as_f64() < r["high"].as_f64()));
    let (_, plain) = json(&["rate", VOTES]);
    assert!(
        ["parts", "next_pairs", "legacy_elo", "clones", "weight"].iter().all(|key| plain.get(key).is_none())
    );
    let refused = run(&["rate", VOTES, "--window", "prompt=month"]);
    assert!(refused.code == 2 && refused.stderr.contains("names no part"), "{}", refused.stderr);
    let refused = run(&["rate", VOTES, "--weight", "session"]);
    assert!(refused.code == 2 && refused.stderr.contains("is no weight"), "{}", refused.stderr);
}

#[test]
fn contestants_of_the_same_weights_count_once() {
    let folder = tempfile::tempdir().unwrap();
    let votes = write(folder.path(), "v.csv", "left,right,winner\na,c,left\nc,b,left\na,b,tie\nb,c,left\n");
    let report = r#"{"schema_version":"1.0.0","inputs":[{"role":"candidate","ref":"b"},{"role":"reference","ref":"hf:org/a@main"}],
        "verdict":{"kind":"identical","tier":"exact","direction":"unknown"}}"#;
    let report = write(folder.path(), "report.json", report);
    let (_, value) = json(&["rate", &votes, "--clones", &report]);
    assert_eq!(value["clones"]["groups"][0], serde_json::json!(["a", "b"]));
    assert_eq!(
        (value["clones"]["votes_left_out"].as_u64(), value["ratings"].as_array().unwrap().len()),
        (Some(1), 2)
    );
    let broken = write(folder.path(), "broken.json", "{}");
    let refused = run(&["rate", &votes, "--clones", &broken]);
    assert!(refused.code == 2 && refused.stderr.contains("no saved report"), "{}", refused.stderr);
}

#[test]
fn a_sample_is_drawn_compared_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut registry = "model,base_model\nroot,\n".to_owned();
    (0..30).for_each(|i| registry.push_str(&format!("d{i:02},{}\n", if i < 12 { "root" } else { "" })));
    let registry = write(folder.path(), "registry.csv", &registry);
    let drawn = folder.path().join("drawn.csv");
    let drawn = drawn.to_str().unwrap();
    let draw =
        ["standings", "--models", &registry, "--family", "root", "--sample", "5", "--seed", "7", "-o", drawn];
    assert_eq!(run(&draw).code, 0);
    let table = std::fs::read_to_string(drawn).unwrap();
    let rows: Vec<&str> = table.lines().skip(2).collect();
    assert_eq!(rows.len(), 10, "{table}");
    assert!(rows[0].starts_with("root,d") && rows[0].contains(",declared,12,5,0.41666"), "{table}");
    let reports: Vec<String> = rows
        .iter()
        .map(|row| {
            let model = row.split(',').nth(1).unwrap();
            let kind = if row.contains(",declared,") { "identical" } else { "no-dependence-found" };
            let text = format!(
                r#"{{"schema_version":"1.0.0","inputs":[{{"role":"candidate","ref":"{model}"}},{{"role":"reference","ref":"root"}}],"verdict":{{"kind":"{kind}","tier":"exact","direction":"unknown"}}}}"#
            );
            write(folder.path(), &format!("{model}.json"), &text)
        })
        .collect();
    let mut count =
        vec!["standings", "--models", &registry, "--family", "root", "--drawn", drawn, "--reports"];
    count.extend(reports.iter().map(String::as_str));
    let (code, report) = json(&count);
    let family = &report["families"]["list"][0];
    assert_eq!((code, family["corrected"]["total"].as_f64()), (0, Some(12.0)), "{family}");
    assert_eq!(family["strata"][0]["drawn"].as_u64(), Some(5));
    assert!(!report["findings"].to_string().contains("sample-incomplete"));
    let refused = run(&["standings", "--models", &registry, "--sample", "5"]);
    assert_eq!(refused.code, 2, "a sample needs a family");
}
