//! Directories that are not as they should be: shards that are missing or too many, side files that are broken.

mod support;

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use support::{copy, json, run};

/// A copy of a sharded fixture in a folder of its own.
fn model() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let model = copy("minicpm-v", folder.path());
    (folder, model)
}

/// Level, subject and message of the finding with this code.
fn finding(model: &Path, code: &str) -> Option<[String; 3]> {
    let (exit, report) = json(&["inspect", model.to_str().unwrap()]);
    assert_eq!(exit, 0);
    let findings: Vec<&Value> =
        report["findings"].as_array().unwrap().iter().filter(|f| f["code"] == code).collect();
    assert!(findings.len() <= 1, "{findings:?}");
    let found = findings.first()?;
    assert!(found["explanation"].is_string(), "{found}");
    Some(["level", "subject", "message"].map(|key| found[key].as_str().unwrap().to_owned()))
}

#[test]
fn a_model_without_all_its_shards_says_which_are_missing() {
    let (_folder, model) = model();
    let first = "model-00001-of-00002.safetensors";
    assert_eq!(finding(&model, "missing-shards"), None);
    let expected = Some(["warning", first, "1 of 2 shards were read; not read: 2"].map(str::to_owned));
    assert_eq!(finding(&model.join(first), "missing-shards"), expected);
    fs::remove_file(model.join("model.safetensors.index.json")).unwrap();
    assert_eq!(finding(&model, "missing-shards"), None);
    fs::remove_file(model.join("model-00002-of-00002.safetensors")).unwrap();
    assert_eq!(finding(&model, "missing-shards"), expected);
}

#[test]
fn a_weight_file_that_the_index_does_not_mention_is_told() {
    let (_folder, model) = model();
    assert_eq!(finding(&model, "unindexed-file"), None);
    fs::copy(model.join("model-00001-of-00002.safetensors"), model.join("stray.safetensors")).unwrap();
    let [level, subject, _] = finding(&model, "unindexed-file").unwrap();
    assert_eq!((level.as_str(), subject.as_str()), ("warning", "stray.safetensors"));
}

#[test]
fn broken_side_files_are_findings_and_the_audit_goes_on() {
    let long = |limit: usize| vec![b' '; limit + 1];
    for (name, code, content) in [
        ("README.md", "card-unreadable", long(4 << 20)),
        ("README.md", "card-unreadable", b"---\nlicense: mit\n---\n\xff\xfe".to_vec()),
        ("tokenizer.json", "tokenizer-unreadable", long(64 << 20)),
        ("tokenizer.json", "tokenizer-unreadable", b"{\"model\": \xff".to_vec()),
        ("tokenizer.json", "tokenizer-unreadable", b"{".to_vec()),
        ("config.json", "config-unreadable", long(16 << 20)),
        ("config.json", "config-unreadable", b"\xff".to_vec()),
        ("config.json", "config-unreadable", b"{\"hidden_size\": ".to_vec()),
        ("config.json", "config-unreadable", Vec::new()),
    ] {
        let (_folder, model) = model();
        fs::write(model.join(name), content).unwrap();
        let [_, subject, message] = finding(&model, code).unwrap_or_else(|| panic!("{name}"));
        assert_eq!(subject, name);
        assert!(!message.contains(model.to_str().unwrap()), "{message}");
        let (exit, report) = json(&["compare", "llama3-v", model.to_str().unwrap()]);
        assert_eq!((exit, report["verdict"]["kind"].as_str()), (0, Some("derived")), "{name}");
    }
}

#[test]
fn side_files_that_are_no_files_are_not_followed() {
    for name in ["README.md", "tokenizer.json", "config.json"] {
        let code =
            format!("{}-unreadable", if name == "README.md" { "card" } else { &name[..name.len() - 5] });
        let (folder, model) = model();
        let outside = folder.path().join("outside");
        fs::write(&outside, "---\nlicense: secret\n---\n").unwrap();
        let place = model.join(name);
        fs::remove_file(&place).unwrap();
        std::os::unix::fs::symlink(&outside, &place).unwrap();
        let [_, _, message] = finding(&model, &code).unwrap();
        assert!(message.contains("outside the checkpoint"), "{message}");
        fs::remove_file(&place).unwrap();
        fs::create_dir(&place).unwrap();
        let [_, _, message] = finding(&model, &code).unwrap();
        assert!(message.contains("a directory"), "{message}");
    }
}

#[test]
fn a_broken_index_or_shard_is_an_error() {
    for name in ["model.safetensors.index.json", "model-00002-of-00002.safetensors"] {
        let (_folder, model) = model();
        fs::write(model.join(name), "{").unwrap();
        let refused = run(&["inspect", model.to_str().unwrap()]);
        assert!(refused.code == 2 && refused.stderr.contains(name), "{}", refused.stderr);
    }
}

#[test]
fn hints_say_what_this_build_can_do() {
    for (model, hint) in [
        ("nowhere", "check the spelling"),
        ("acme/nova", "fetch it with another tool first"),
        ("minicpm-v/config.json", "give the directory"),
        ("minicpm-v/model.safetensors.index.json", "give the directory"),
        ("minicpm-v/README.md", "give the directory"),
    ] {
        let refused = run(&["inspect", model, "--offline"]);
        assert!(refused.code == 2 && refused.stderr.contains(hint), "{}", refused.stderr);
    }
}

#[test]
fn a_name_that_spells_an_escape_is_not_shown_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let entry = |value: u8| ("U8".to_owned(), serde_json::json!([1]), vec![value]);
    let names = ["a\u{1b}", r"a\u{1b}"];
    let tensors = names.iter().map(|name| ((*name).to_owned(), entry(1))).collect();
    support::write(folder.path(), &tensors, 1, |_| 0);
    let odd = folder.path().join(r"b\u{1b}.safetensors");
    fs::rename(folder.path().join("model-00001-of-00001.safetensors"), &odd).unwrap();
    let (_, report) = json(&["inspect", odd.to_str().unwrap()]);
    let shown = |list: &str| -> Vec<String> {
        let entries = report[list].as_array().unwrap();
        entries.iter().map(|e| e["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(shown("tensors"), [r"a\u{1b}", r"a\\u{1b}"]);
    assert_eq!(shown("files"), [r"b\\u{1b}.safetensors"]);
    assert!(report["input"]["files"][0]["name"] == r"b\\u{1b}.safetensors");
    let subjects: Vec<&str> =
        report["findings"].as_array().unwrap().iter().filter_map(|f| f["subject"].as_str()).collect();
    assert!(subjects.contains(&r"b\\u{1b}.safetensors: a\u{1b}"), "{subjects:?}");

    let sketch = folder.path().join("s.sketch");
    assert_eq!(run(&["sketch", odd.to_str().unwrap(), "-q", "-o", sketch.to_str().unwrap()]).code, 0);
    let (_, report) = json(&["compare", sketch.to_str().unwrap(), sketch.to_str().unwrap()]);
    let note = report["inputs"][0]["notes"][0].as_str().unwrap();
    assert!(note.ends_with(r"/b\\u{1b}.safetensors"), "{note}");
}
