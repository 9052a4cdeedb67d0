//! The same command gives the same bytes, whatever the number of threads and the order of shards.

mod support;

use proptest::prelude::*;
use serde_json::Value;
use std::path::Path;
use support::{fixtures, json, read, run, write};

#[test]
fn threads_and_backend_do_not_change_a_byte() {
    for format in ["json", "html", "tsv", "human"] {
        let with = |extra: &[&str]| {
            run(&[&["compare", "llama3-v", "minicpm-v", "--format", format, "-q"][..], extra].concat()).stdout
        };
        let one = with(&["--threads", "1"]);
        assert!(!one.is_empty());
        for extra in [&["--threads", "2"][..], &["--threads", "7"], &["--mmap"], &[]] {
            assert_eq!(with(extra), one, "{format} {extra:?}");
        }
    }
}

/// A report without what must differ when files are cut differently: names and digests of files, the command.
fn essence(mut report: Value) -> Value {
    let top = report.as_object_mut().unwrap();
    top.remove("command");
    // The card's base model is compared with the name of the folder.
    top["findings"].as_array_mut().unwrap().retain(|f| f["code"] != "declared-base-differs");
    for input in top["inputs"].as_array_mut().unwrap() {
        let input = input.as_object_mut().unwrap();
        ["ref", "digest", "files"].iter().for_each(|key| {
            input.remove(*key);
        });
    }
    report
}

fn side_files(from: &Path, to: &Path) {
    for name in ["config.json", "tokenizer.json", "README.md"] {
        std::fs::copy(from.join(name), to.join(name)).unwrap();
    }
}

#[test]
fn the_order_of_the_shard_map_does_not_change_a_byte() {
    let folder = tempfile::tempdir().unwrap();
    let source = fixtures().join("minicpm-v");
    for entry in std::fs::read_dir(&source).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    let report = || run(&["compare", "llama3-v", folder.path().to_str().unwrap(), "--json", "-q"]).stdout;
    let before = report();
    let map = folder.path().join("model.safetensors.index.json");
    let mut value: Value = serde_json::from_slice(&std::fs::read(&map).unwrap()).unwrap();
    let entries = value["weight_map"].as_object().unwrap();
    value["weight_map"] = Value::Object(entries.iter().rev().map(|(k, v)| (k.clone(), v.clone())).collect());
    std::fs::write(&map, serde_json::to_vec(&value).unwrap()).unwrap();
    assert_eq!(report(), before);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]
    #[test]
    fn resharding_changes_nothing_but_the_files(shards in 1_usize..6, salt in any::<u64>()) {
        let folder = tempfile::tempdir().unwrap();
        let source = fixtures().join("minicpm-v");
        let tensors = read(&source);
        write(folder.path(), &tensors, shards, |i| {
            // Every shard gets something, the rest is scattered.
            if i < shards { i } else { (salt.wrapping_mul(i as u64 * 2 + 1) >> 33) as usize % shards }
        });
        side_files(&source, folder.path());
        let path = folder.path().to_str().unwrap();
        let plain = json(&["compare", "minicpm-v-ft", "minicpm-v"]).1;
        prop_assert_eq!(essence(json(&["compare", "minicpm-v-ft", path]).1), essence(plain));
        prop_assert_eq!(&json(&["compare", path, "minicpm-v"]).1["verdict"]["kind"], "identical");
    }
}
