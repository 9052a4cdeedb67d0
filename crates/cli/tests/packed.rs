//! Packed weights and adapters, from the command line.

mod support;

use serde_json::json;
use std::path::Path;
use support::{fixtures, read, run, write};

/// A path in this repository.
fn repository(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path).display().to_string()
}

/// Rows of bf16 numbers as codes of eight bits and the largest magnitude of each row, as bitsandbytes stores them.
fn quantize(bytes: &[u8], cols: usize) -> (Vec<u8>, Vec<u8>) {
    let (mut codes, mut scales) = (Vec::new(), Vec::new());
    let values = bytes.as_chunks::<2>().0.iter();
    let values: Vec<f32> = values.map(|b| f32::from_bits(u32::from(u16::from_le_bytes(*b)) << 16)).collect();
    for row in values.chunks_exact(cols) {
        let most = row.iter().fold(f32::MIN_POSITIVE, |most, value| most.max(value.abs()));
        scales.extend(most.to_le_bytes());
        codes.extend(row.iter().map(|value| ((value / most * 127.0).round() as i8).cast_unsigned()));
    }
    (codes, scales)
}

#[test]
fn a_quantised_copy_is_told_from_a_stranger() {
    let folder = tempfile::tempdir().unwrap();
    let mut tensors = read(&fixtures().join("minicpm-v"));
    let matrices: Vec<String> =
        tensors.keys().filter(|name| name.ends_with("_proj.weight")).cloned().collect();
    assert!(matrices.len() > 20, "{matrices:?}");
    for name in matrices {
        let (dtype, shape, bytes) = tensors.remove(&name).unwrap();
        assert_eq!(dtype, "BF16");
        let (codes, scales) = quantize(&bytes, shape[1].as_u64().unwrap() as usize);
        let scales_name = format!("{}.SCB", name.strip_suffix(".weight").unwrap());
        tensors.insert(scales_name, ("F32".to_owned(), json!([shape[0]]), scales));
        tensors.insert(name, ("I8".to_owned(), shape, codes));
    }
    write(folder.path(), &tensors, 1, |_| 0);
    std::fs::copy(fixtures().join("minicpm-v/config.json"), folder.path().join("config.json")).unwrap();
    let candidate = folder.path().to_str().unwrap();
    let (_, copy) = support::json(&["compare", candidate, "minicpm-v"]);
    assert_eq!(
        (&copy["verdict"]["kind"], &copy["verdict"]["relation"]),
        (&json!("derived"), &json!("quantized"))
    );
    let relative = copy["change"]["relative"].as_f64().unwrap();
    assert!((0.002..0.01).contains(&relative), "{relative}");
    assert_eq!(copy["candidate"]["parameters"], copy["reference"]["parameters"]);
    let (_, stranger) = support::json(&["compare", candidate, "minicpm-v-seed1"]);
    assert_eq!(stranger["verdict"]["kind"], "no-dependence-found");
}

#[test]
fn codes_that_cannot_be_decoded_are_listed_with_the_reason() {
    let (code, report) =
        support::json(&["inspect", &repository("attacks/packed/gptq-no-scales.safetensors")]);
    let of_code = |f: &&serde_json::Value| f["code"] == "undecodable-tensors";
    let finding = report["findings"].as_array().unwrap().iter().find(of_code).unwrap();
    assert_eq!((code, &finding["subject"]), (0, &json!("a.qweight")));
    assert_eq!(finding["message"], "1 tensors were not compared: its scales are missing");
}

#[test]
fn a_group_that_is_not_there_is_an_error_with_its_place() {
    let file = repository("attacks/packed/gptq-group-99.safetensors");
    let run = run(&["diff", &file, &file]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("input 31 is in group 99, there are 2"), "{}", run.stderr);
}

#[test]
fn an_adapter_is_merged_into_its_base() {
    let golden = |case: &str| repository(&format!("crates/source/tests/golden/{case}"));
    let merged = format!("{}+{}", golden("base"), golden("adapter"));
    let run = run(&["inspect", &merged]);
    assert!(run.code == 0 && run.stdout.contains("layers.0.q.weight\t12x8\tlora"), "{}", run.stdout);
}
