//! Every value of files written by the reference libraries, against what those libraries read back.

mod common;

use common::{golden, golden_dir, values, with_derived};
use stemmata_formats::{Detected, Limits, Parsed, detect, parse};
use stemmata_model::{Container, Value};

fn open(name: &str) -> (Parsed, Vec<u8>) {
    let bytes = std::fs::read(golden_dir().join(name)).unwrap();
    (parse(&bytes, name, 7, &Limits::default()).unwrap(), bytes)
}

fn codes(parsed: &Parsed) -> Vec<&'static str> {
    parsed.hazards.iter().map(|hazard| hazard.code).collect()
}

#[test]
fn every_value_of_every_tensor() {
    let read = |name: &str| std::fs::read_to_string(golden_dir().join(name)).unwrap();
    let index = read("index.tsv") + &read("more.tsv");
    let mut compared = 0;
    for (name, bytes) in golden() {
        let parsed = parse(&bytes, &name, 7, &Limits::default()).unwrap();
        let truth: Vec<f32> = std::fs::read(golden_dir().join(format!("{name}.f32")))
            .unwrap()
            .as_chunks::<4>()
            .0
            .iter()
            .map(|b| f32::from_le_bytes(*b))
            .collect();
        let lines: Vec<Vec<&str>> = index
            .lines()
            .map(|line| line.split('\t').collect())
            .filter(|line: &Vec<&str>| line[0] == name)
            .collect();
        let names: Vec<&str> = parsed.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
        assert_eq!(names, lines.iter().map(|line| line[1]).collect::<Vec<_>>(), "{name}");
        let bytes = with_derived(&parsed, &bytes);
        for (tensor, line) in parsed.tensors.iter().zip(&lines) {
            let subject = format!("{name}: {}", tensor.name);
            assert_eq!(tensor.encoding.to_string(), line[2], "{subject}");
            let shape: Vec<u64> =
                line[3].split(',').filter(|n| !n.is_empty()).map(|n| n.parse().unwrap()).collect();
            assert_eq!(tensor.shape, shape, "{subject}");
            assert_eq!(tensor.storage.file, 7);
            let found = values(tensor, &bytes);
            let start: usize = line[4].parse().unwrap();
            assert_eq!(found.len() as u64, tensor.elements(), "{subject}");
            for (at, (found, truth)) in found.iter().zip(&truth[start..]).enumerate() {
                let same = found.to_bits() == truth.to_bits() || found.is_nan() && truth.is_nan();
                assert!(same, "{subject}[{at}]: {found} is not {truth}");
                compared += 1;
            }
        }
    }
    assert!(compared > 20_000, "{compared}");
}

#[test]
fn containers_and_hazards() {
    for (name, container, hazards) in [
        ("plain.safetensors", Container::Safetensors, &[][..]),
        ("small.safetensors", Container::Safetensors, &[]),
        ("blocks.gguf", Container::Gguf, &[]),
        ("new.pt", Container::TorchZip, &["expanded-view", "shared-storage"]),
        ("old.pt", Container::TorchLegacy, &["expanded-view", "shared-storage"]),
        ("wrapped.pt", Container::TorchZip, &["other-entries", "expanded-view", "shared-storage"]),
        ("eight.pt", Container::TorchZip, &[]),
        ("stored.npz", Container::Npz, &[]),
        ("deflated.npz", Container::Npz, &[]),
        ("half.npy", Container::Npy, &["type-by-convention"]),
        ("plain.onnx", Container::Onnx, &[]),
        ("tree.msgpack", Container::Msgpack, &[]),
        ("few.gguf", Container::Gguf, &["missing-scale"]),
        ("big.gguf", Container::Gguf, &["missing-scale", "big-endian"]),
        ("module.pt", Container::TorchZip, &["pickle-global", "pickle-global", "pickle-global"]),
    ] {
        let (parsed, _) = open(name);
        assert_eq!(parsed.container, container, "{name}");
        assert_eq!(codes(&parsed), hazards, "{name}: {:?}", parsed.hazards);
    }
}

#[test]
fn what_a_gguf_file_says() {
    let (parsed, bytes) = open("blocks.gguf");
    assert_eq!(detect(&bytes).unwrap(), Detected::Gguf);
    assert_eq!(parsed.declared.base_model, ["acme/nova"]);
    assert_eq!(parsed.declared.license.as_deref(), Some("mit"));
    assert_eq!(parsed.declared.name.as_deref(), Some("Golden"));
    let tokenizer = parsed.tokenizer.unwrap();
    assert_eq!(tokenizer.tokens, ["<s>", "a", "é"]);
    assert_eq!(tokenizer.kind.as_deref(), Some("gpt2"));
    assert_eq!(parsed.config.count("llama.block_count"), Some(2));
    assert_eq!(parsed.config.get("golden.float"), Some(&Value::Float(0.5)));
    assert_eq!(parsed.config.flag("golden.flag"), Some(true));
}

#[test]
fn what_a_big_endian_gguf_file_says() {
    let (parsed, _) = open("big.gguf");
    assert_eq!(parsed.config.count("llama.block_count"), Some(3));
    assert_eq!(parsed.config.get("golden.float"), Some(&Value::Float(0.5)));
    let list = [1, 70_000, -3].map(Value::Int).to_vec();
    assert_eq!(parsed.config.get("golden.list"), Some(&Value::List(list)));
}

#[test]
fn metadata_of_safetensors() {
    let (parsed, _) = open("plain.safetensors");
    assert_eq!(parsed.metadata.get("note").map(String::as_str), Some("é"));
}
