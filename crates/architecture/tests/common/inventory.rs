//! Reads the inventories of published families: names, shapes and types, written once per repetition.

use std::path::{Path, PathBuf};
use stemmata_model::{Checkpoint, Config, Container, DType, Declared, Encoding, Storage, Tensor, Value};

/// One inventory.
pub(crate) struct Published {
    pub(crate) id: String,
    pub(crate) title: String,
    /// Where the numbers are from.
    pub(crate) source: String,
    /// Where the names are from.
    pub(crate) names: String,
    pub(crate) checkpoint: Checkpoint,
}

pub(crate) fn folder() -> PathBuf {
    // Tests of other crates read them, too.
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../architecture/tests/families")
}

/// The identifiers of all inventories, in order.
pub(crate) fn all() -> Vec<String> {
    let entries = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name());
    let names = entries.filter_map(|name| Some(name.to_str()?.strip_suffix(".txt")?.to_owned()));
    let mut ids: Vec<String> = names.collect();
    ids.sort();
    ids
}

pub(crate) fn load(id: &str) -> Published {
    let mut config = Config::default();
    let mut tensors: Vec<Tensor> = Vec::new();
    let mut head = Vec::new();
    read("", id, &mut config, &mut tensors, &mut head);
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    let mut offset = 0;
    for tensor in &mut tensors {
        let len = tensor.shape.iter().product::<u64>() * 2;
        tensor.storage = Storage { file: 0, offset, len, strides: None };
        offset += len;
    }
    let fact = |key: &str| head.iter().find_map(|line| line.strip_prefix(key)).unwrap().to_owned();
    Published {
        id: id.to_owned(),
        title: fact("# title: "),
        source: fact("# configuration: "),
        names: fact("# names: "),
        checkpoint: Checkpoint {
            container: Container::Safetensors,
            files: Vec::new(),
            tensors,
            config,
            declared: Declared::default(),
            tokenizer: None,
        },
    }
}

/// Appends the tensors of `id` under `prefix`.
fn read(prefix: &str, id: &str, config: &mut Config, tensors: &mut Vec<Tensor>, head: &mut Vec<String>) {
    let text = std::fs::read_to_string(folder().join(format!("{id}.txt"))).unwrap();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["#", ..] if prefix.is_empty() => head.push(line.to_owned()),
            ["#", ..] => {}
            // A pipeline's components have configurations of their own, which say nothing of the others.
            ["config", ..] if !prefix.is_empty() => {}
            ["config", key, value] => {
                let value = value.parse().map_or_else(|_| Value::Text(value.to_owned()), Value::Int);
                config.entries.insert(key.to_owned(), value);
            }
            ["include", prefix, other] => read(prefix, other, config, tensors, head),
            [pattern, kind, extents] => {
                let shape: Vec<u64> = match extents {
                    "scalar" => Vec::new(),
                    _ => extents.split('x').map(|extent| extent.parse().unwrap()).collect(),
                };
                for name in expand(pattern) {
                    let storage = Storage { file: 0, offset: 0, len: 0, strides: None };
                    let encoding = Encoding::Plain(dtype(kind));
                    tensors.push(Tensor {
                        name: format!("{prefix}{name}"),
                        shape: shape.clone(),
                        encoding,
                        storage,
                    });
                }
            }
            _ => panic!("{id}: `{line}`"),
        }
    }
}

fn dtype(name: &str) -> DType {
    match name {
        "bf16" => DType::BF16,
        "f16" => DType::F16,
        "f32" => DType::F32,
        "f8_e4m3" => DType::F8E4M3,
        "i64" => DType::I64,
        "i32" => DType::I32,
        "bool" => DType::Bool,
        _ => panic!("type `{name}`"),
    }
}

/// Every name that a pattern with `{0-3,5}` or `{weight,bias}` stands for.
fn expand(pattern: &str) -> Vec<String> {
    let Some((before, rest)) = pattern.split_once('{') else { return vec![pattern.to_owned()] };
    let (inside, after) = rest.split_once('}').unwrap();
    let mut here: Vec<String> = Vec::new();
    for piece in inside.split(',') {
        match piece.split_once('-').map(|(first, last)| (first.parse::<u32>(), last.parse::<u32>())) {
            Some((Ok(first), Ok(last))) => here.extend((first..=last).map(|n| n.to_string())),
            _ => here.push(piece.to_owned()),
        }
    }
    let tails = expand(after);
    here.iter().flat_map(|middle| tails.iter().map(move |tail| format!("{before}{middle}{tail}"))).collect()
}
