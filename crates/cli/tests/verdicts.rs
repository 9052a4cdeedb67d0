//! The re-enactment, end to end, and the exit codes.

mod support;

use serde_json::Value;
use support::{fixtures, json, run};

fn verdict(candidate: &str, reference: &str) -> Value {
    let (code, report) = json(&["compare", candidate, reference]);
    assert_eq!(code, 0);
    report
}

#[test]
fn the_renamed_and_noised_copy_is_found_with_its_noise_and_direction() {
    let report = verdict("llama3-v", "minicpm-v");
    assert_eq!(report["verdict"]["kind"], "derived");
    assert_eq!(report["verdict"]["relation"], "noised-copy");
    assert_eq!(report["verdict"]["direction"], "candidate-from-reference");
    assert!(report["verdict"]["log10_p"].as_f64().unwrap() < -100.0);
    let components = report["components"].as_array().unwrap();
    assert_eq!(components.len(), 3);
    for component in components {
        assert_eq!(component["kind"], "derived", "{component}");
        assert_eq!(component["share_inherited"], 1.0);
        // The truth is 1/708; storage rounding is subtracted. Three per cent is ten standard errors of the smallest part.
        let sigma = component["noise_sigma"].as_f64().unwrap();
        assert!((sigma * 708.0 - 1.0).abs() < 0.03, "{sigma}");
    }
    // And the other way round.
    let turned = verdict("minicpm-v", "llama3-v");
    assert_eq!(turned["verdict"]["direction"], "reference-from-candidate");
}

#[test]
fn the_same_recipe_with_another_seed_is_acquitted_with_its_power() {
    let report = verdict("minicpm-v-seed1", "minicpm-v");
    assert_eq!(report["verdict"]["kind"], "no-dependence-found");
    let share = report["verdict"]["power"]["smallest_share"].as_f64().unwrap();
    assert!(share > 0.0 && share < 0.05, "{share}");
    assert_eq!(report["verdict"]["direction"], "unknown");
    let gpt2 = verdict("gpt2-tiny-seed1", "gpt2-tiny");
    assert_eq!(gpt2["verdict"]["kind"], "no-dependence-found");
}

#[test]
fn a_fine_tune_and_a_quantised_file_are_related_and_a_copy_is_identical() {
    let tuned = verdict("minicpm-v-ft", "minicpm-v");
    assert_eq!(tuned["verdict"]["kind"], "related");
    assert!(tuned["components"].as_array().unwrap().iter().all(|c| c["noise_sigma"].is_null()));
    let quantised = verdict("minicpm-v.gguf", "minicpm-v");
    assert_eq!(quantised["verdict"]["relation"], "quantized");
    assert_eq!(verdict("minicpm-v", "minicpm-v")["verdict"]["kind"], "identical");
}

#[test]
fn a_sketch_stands_in_for_its_model() {
    let folder = tempfile::tempdir().unwrap();
    let sketch = folder.path().join("minicpm-v.sketch");
    let sketch = sketch.to_str().unwrap();
    assert_eq!(run(&["sketch", "minicpm-v", "-o", sketch, "-q"]).code, 0);
    assert_eq!(verdict("minicpm-v", sketch)["verdict"]["kind"], "identical");
    assert_eq!(verdict("llama3-v", sketch)["verdict"]["kind"], "related");
    assert_eq!(verdict("minicpm-v-seed1", sketch)["verdict"]["kind"], "no-dependence-found");
    let other = folder.path().join("other.sketch");
    assert_eq!(run(&["sketch", "llama3-v", "--seed", "1", "-o", other.to_str().unwrap(), "-q"]).code, 0);
    let refused = run(&["compare", other.to_str().unwrap(), sketch, "-q"]);
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("`seed` differs"), "{}", refused.stderr);
}

#[test]
fn exit_codes_follow_the_table() {
    assert_eq!(run(&["compare", "llama3-v", "minicpm-v", "--exit-code", "-q"]).code, 1);
    assert_eq!(run(&["compare", "minicpm-v-seed1", "minicpm-v", "--exit-code", "-q"]).code, 0);
    for arguments in [&["compare", "nowhere", "minicpm-v"][..], &["compare", "minicpm-v"], &["frobnicate"]] {
        let refused = run(arguments);
        assert_eq!(refused.code, 2, "{arguments:?}");
        assert!(refused.stdout.is_empty() && refused.stderr.contains("error:"), "{}", refused.stderr);
    }
    // Nothing corresponds: a vision tower against nothing of its kind.
    let folder = tempfile::tempdir().unwrap();
    let header = br#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header);
    file.extend_from_slice(&[0; 8]);
    let path = folder.path().join("odd.safetensors");
    std::fs::write(&path, file).unwrap();
    let (code, report) = json(&["compare", path.to_str().unwrap(), "minicpm-v"]);
    assert_eq!((code, report["verdict"]["kind"].as_str()), (3, Some("inconclusive")));
    assert!(!report["verdict"]["missing"].as_array().unwrap().is_empty());
}

#[test]
fn errors_name_the_file_and_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read(fixtures().join("llama3-v/model.safetensors")).unwrap();
    let path = folder.path().join("cut.safetensors");
    std::fs::write(&path, &whole[..whole.len() - 1000]).unwrap();
    let out = folder.path().join("report.json");
    let refused = run(&["compare", path.to_str().unwrap(), "minicpm-v", "-o", out.to_str().unwrap(), "-q"]);
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("cut.safetensors"), "{}", refused.stderr);
    assert!(!out.exists());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let nowhere = run(&["compare", "llama3-v", "minicpm-v", "-o", "/nonexistent/report.json", "-q"]);
    assert_eq!(nowhere.code, 2);
}

#[test]
fn diff_shows_renamed_and_changed_tensors() {
    let (code, report) = json(&["diff", "llama3-v", "minicpm-v"]);
    assert_eq!(code, 0);
    let rows = report["tensors"].as_array().or(report["rows"].as_array()).expect("a list of rows");
    assert!(rows.len() >= 89);
    let same = run(&["diff", "minicpm-v", "minicpm-v", "--format", "tsv", "-q"]);
    assert!(same.stdout.lines().skip(1).all(|line| line.starts_with("same\t")), "{}", same.stdout);
}

#[test]
fn completions_manual_and_explanations_are_there() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(run(&["completions", shell]).stdout.contains("compare"), "{shell}");
    }
    assert!(run(&["man"]).stdout.starts_with(".ie"));
    assert!(run(&["explain", "undeclared-base"]).stdout.contains("claim"));
    assert_eq!(run(&["explain", "no-such-code"]).code, 2);
}
