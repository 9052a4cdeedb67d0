//! Controls, and the statistics that prove nothing, end to end.

mod support;

use serde_json::Value;
use support::{json, run};

fn controls(arguments: &[&str]) -> Value {
    let (code, report) = json(arguments);
    assert_eq!(code, 0);
    report["controls"].clone()
}

#[test]
fn an_acquittal_shows_that_strangers_pass_and_a_share_is_found() {
    let (code, report) = json(&["compare", "minicpm-v-seed1", "minicpm-v", "--controls=4"]);
    assert_eq!((code, report["verdict"]["kind"].as_str()), (0, Some("no-dependence-found")));
    let controls = &report["controls"];
    assert_eq!(controls["negative"]["made"], 4);
    assert_eq!(controls["negative"]["found"], 0);
    let share = report["verdict"]["power"]["smallest_share"].as_f64().unwrap();
    assert_eq!(controls["detectable_share"].as_f64(), Some(share));
    let positive = controls["positive"].as_array().unwrap();
    let shares: Vec<f64> = positive.iter().map(|run| run["share"].as_f64().unwrap() / share).collect();
    assert_eq!(shares, [0.5, 1.0, 2.0]);
    assert_eq!(positive[2]["found"], true);
    let tests = report["verdict"]["tests"].as_u64();
    for run in positive.iter().chain(controls["negative"]["runs"].as_array().unwrap()) {
        assert_eq!(run["tests"].as_u64(), tests, "a control is put to the same family of tests");
    }
    let read = |value: &Value| value["bytes_read"].as_u64().unwrap();
    assert!(read(controls) > 0 && read(controls) < read(&report["io"]));
}

#[test]
fn what_everybody_shares_is_not_found_in_a_model_drawn_from_itself() {
    for model in ["minicpm-v", "gpt2-tiny"] {
        let controls = controls(&["compare", model, model, "--controls=3", "--seed=5"]);
        assert_eq!((&controls["negative"]["found"], &controls["seed"]), (&Value::from(0), &Value::from(5)));
    }
    // The language model has residual signs, so its draws are no parallel copies and a share can be stated.
    let positive = controls(&["compare", "minicpm-v", "minicpm-v", "--controls=1"])["positive"].clone();
    assert_eq!(positive[2]["found"], true);
}

#[test]
fn controls_depend_on_the_seed_and_on_nothing_else() {
    let with = |threads: &str, seed: &str| {
        let fixed = ["compare", "minicpm-v-seed1", "minicpm-v", "--controls=2"];
        let run = run(&[&fixed[..], &[threads, seed, "--json", "-q"]].concat());
        assert_eq!(run.code, 0, "{}", run.stderr);
        run.stdout
    };
    let one = with("--threads=1", "--seed=0");
    assert_eq!(one, with("--threads=3", "--seed=0"));
    // Negative controls may all have a p of 1.
    let runs = |text: &str| serde_json::from_str::<Value>(text).unwrap()["controls"]["positive"].clone();
    assert_ne!(runs(&one), runs(&with("--threads=3", "--seed=1")));
}

#[test]
fn without_the_option_there_are_no_controls_and_a_sketch_has_none() {
    let (_, report) = json(&["compare", "gpt2-tiny-seed1", "gpt2-tiny"]);
    assert!(report.get("controls").is_none());
    let plain = run(&["compare", "gpt2-tiny-seed1", "gpt2-tiny", "--format=tsv", "-q"]).stdout;
    assert_eq!((plain.lines().count(), plain.contains("control")), (2, false));
    let rows = run(&["compare", "gpt2-tiny-seed1", "gpt2-tiny", "--controls=1", "--format=tsv", "-q"]).stdout;
    let kinds: Vec<&str> = rows.lines().map(|line| line.split('\t').nth(10).unwrap()).collect();
    let positive = ["positive-control"; 3];
    assert_eq!(kinds, [&["row", "comparison", "negative-control"][..], &positive].concat());
    let folder = tempfile::tempdir().unwrap();
    let sketch = folder.path().join("a.sketch");
    let sketch = sketch.to_str().unwrap();
    assert_eq!(run(&["sketch", "gpt2-tiny", "-o", sketch, "-q"]).code, 0);
    let refused = run(&["compare", "gpt2-tiny-seed1", sketch, "--controls", "-q"]);
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("compare --controls needs the weights"), "{}", refused.stderr);
}

#[test]
fn statistics_that_prove_nothing_stand_beside_what_independent_models_have() {
    let value = |report: &Value, name: &str| {
        let list = report["context"].as_array().unwrap();
        list.iter().find(|c| c["name"] == name).unwrap().clone()
    };
    let (_, strangers) = json(&["compare", "minicpm-v-seed1", "minicpm-v"]);
    let (_, same) = json(&["compare", "minicpm-v", "minicpm-v"]);
    for name in ["gain-cosine", "norm-cosine", "attention-profile", "config-equality", "embedding-cka"] {
        let (apart, equal) = (value(&strangers, name), value(&same, name));
        assert!((equal["value"].as_f64().unwrap() - 1.0).abs() < 1e-9, "{equal}");
        assert!(apart["value"].is_number() && apart["background"]["pairs"].as_u64() > Some(100), "{apart}");
    }
    // The point of showing them: independent by construction, and yet.
    assert!(value(&strangers, "gain-cosine")["value"].as_f64() > Some(0.99));
    assert_eq!(value(&strangers, "config-equality")["value"], 1.0);
    assert!(value(&strangers, "activation-cka")["reason"].as_str().unwrap().contains("not tested"));
}
