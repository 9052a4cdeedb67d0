//! Runs the binary on the fixtures, and rewrites checkpoints the way other tools would.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The folder of fixture models.
pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/models")
}

/// `stemmata` in the folder of fixture models, for tests that need more of it than its output.
pub fn stemmata(arguments: &[&str]) -> std::process::Command {
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("stemmata"));
    command.current_dir(fixtures()).args(arguments).env("LC_ALL", "C.UTF-8");
    command
}

/// Copies the fixture `name` to a folder of that name under `folder`.
pub fn copy(name: &str, folder: &Path) -> PathBuf {
    let copied = folder.join(name);
    std::fs::create_dir(&copied).unwrap();
    for entry in std::fs::read_dir(fixtures().join(name)).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, copied.join(path.file_name().unwrap())).unwrap();
    }
    copied
}

/// What one run gave.
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Runs `stemmata` in the folder of fixture models.
pub fn run(arguments: &[&str]) -> Run {
    let output = stemmata(arguments).output().expect("it starts");
    Run {
        code: output.status.code().expect("it is not ended by a signal"),
        stdout: String::from_utf8(output.stdout).expect("results are UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("messages are UTF-8"),
    }
}

/// Runs with `--json` and parses.
pub fn json(arguments: &[&str]) -> (i32, Value) {
    let run = run(&[arguments, &["--json", "-q"]].concat());
    (
        run.code,
        serde_json::from_str(&run.stdout).unwrap_or_else(|e| panic!("{e}: {}{}", run.stdout, run.stderr)),
    )
}

/// Tensor name to (dtype, shape, bytes).
pub type Tensors = BTreeMap<String, (String, Value, Vec<u8>)>;

/// Reads all safetensors files of a folder.
pub fn read(folder: &Path) -> Tensors {
    let mut tensors = Tensors::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "safetensors") {
            continue;
        }
        let bytes = std::fs::read(path).unwrap();
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
        for (name, entry) in header.as_object().unwrap().iter().filter(|(name, _)| *name != "__metadata__") {
            let at = |i: usize| 8 + length + entry["data_offsets"][i].as_u64().unwrap() as usize;
            let dtype = entry["dtype"].as_str().unwrap().to_owned();
            tensors.insert(name.clone(), (dtype, entry["shape"].clone(), bytes[at(0)..at(1)].to_vec()));
        }
    }
    tensors
}

/// Writes a checkpoint whose tensor i lies in shard `shard_of(i)` of `shards`, in the order that `shard_of` visits them.
pub fn write(folder: &Path, tensors: &Tensors, shards: usize, shard_of: impl Fn(usize) -> usize) {
    let mut map = serde_json::Map::new();
    for shard in 0..shards {
        let name = format!("model-{:05}-of-{shards:05}.safetensors", shard + 1);
        let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
        for (i, (tensor, (dtype, shape, bytes))) in tensors.iter().enumerate().rev() {
            if shard_of(i) == shard {
                let end = data.len() + bytes.len();
                header.insert(
                    tensor.clone(),
                    json!({"dtype": dtype, "shape": shape, "data_offsets": [data.len(), end]}),
                );
                map.insert(tensor.clone(), json!(name));
                data.extend_from_slice(bytes);
            }
        }
        let header = serde_json::to_vec(&header).unwrap();
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header);
        file.extend(data);
        std::fs::write(folder.join(name), file).unwrap();
    }
    let index = serde_json::to_vec(&json!({"metadata": {}, "weight_map": map})).unwrap();
    std::fs::write(folder.join("model.safetensors.index.json"), index).unwrap();
}
