//! `inspect` as a gate: exit codes by level, a log for scanners, values when they are asked for.

mod support;

use serde_json::Value;
use support::{copy, run};

/// Attacks and golden files, from the folder of fixtures.
const ATTACKS: &str = "../../attacks";

fn code(arguments: &[&str]) -> i32 {
    run(&[&["inspect"], arguments, &["-q"]].concat()).code
}

#[test]
fn the_level_decides() {
    let pickle = format!("{ATTACKS}/torch/system-value.pt");
    assert_eq!(code(&[&pickle]), 0);
    assert_eq!(code(&[&pickle, "--exit-code"]), 1);
    let odd = format!("{ATTACKS}/safetensors/path-name.safetensors");
    assert_eq!(code(&[&odd, "--exit-code"]), 0);
    assert_eq!(code(&[&odd, "--exit-code=warning"]), 1);
    assert_eq!(code(&["gpt2-tiny", "--exit-code=danger"]), 0);
    // What cannot be read is no pass.
    assert_eq!(code(&[&format!("{ATTACKS}/safetensors/overlap.safetensors"), "--exit-code"]), 2);
    assert_eq!(run(&["compare", "gpt2-tiny", "gpt2-tiny", "--format", "sarif"]).code, 2);
}

#[test]
fn a_log_names_what_would_be_called() {
    let outcome =
        run(&["inspect", &format!("{ATTACKS}/torch/system-value.pt"), "--format", "sarif", "--exit-code"]);
    assert_eq!(outcome.code, 1);
    let log: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let results = log["runs"][0]["results"].as_array().unwrap();
    let call = results.iter().find(|result| result["ruleId"] == "pickle-global").unwrap();
    assert_eq!(call["level"], "error");
    assert!(call["message"]["text"].as_str().unwrap().contains("system"), "{call}");
    let place = &call["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "system-value.pt");
    assert!(place["region"]["byteOffset"].as_u64().is_some(), "{call}");
}

#[test]
fn files_beside_the_weights_are_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let model = copy("gpt2-tiny", folder.path());
    let path = model.to_str().unwrap();
    assert_eq!(code(&[path, "--exit-code"]), 0);
    for (name, content) in [
        ("chat_template.jinja", "{{ ''.__class__ }}"),
        ("tokenizer_config.json", r#"{"chat_template":[{"name":"a","template":"{% include 'b' %}"}]}"#),
        ("helper.so", "\u{7f}ELF"),
    ] {
        let file = model.join(name);
        let before = std::fs::read(&file).ok();
        std::fs::write(&file, content).unwrap();
        assert_eq!(code(&[path, "--exit-code"]), 1, "{name}");
        match before {
            Some(before) => std::fs::write(&file, before).unwrap(),
            None => std::fs::remove_file(&file).unwrap(),
        }
    }
}

#[test]
fn values_that_are_no_numbers_are_counted_when_asked_for() {
    let golden = "../../crates/formats/tests/golden/plain.safetensors";
    let found = |arguments: &[&str]| {
        let outcome = run(&[&["inspect", golden, "--json", "-q"], arguments].concat());
        let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
        let findings = report["findings"].as_array().unwrap().clone();
        findings.iter().filter(|f| f["code"] == "non-finite-values").count()
    };
    assert_eq!(found(&[]), 0);
    assert!(found(&["--values"]) >= 3);
}
