//! A model cut in width, end to end.

mod support;

use serde_json::Value;
use std::path::{Path, PathBuf};
use support::{Tensors, fixtures, json, read, run, write};

const BASE: &str = "minicpm-v";
/// Widths of the fixture's language model.
const RESIDUAL: usize = 128;
const HIDDEN: usize = 192;

fn numbers(shape: &Value) -> Vec<usize> {
    shape.as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect()
}

/// Keeps `rows` and `cols` of a bf16 matrix, or the `cols` of a vector.
fn pick(
    tensor: &(String, Value, Vec<u8>),
    rows: Option<&[usize]>,
    cols: Option<&[usize]>,
) -> (String, Value, Vec<u8>) {
    let shape = numbers(&tensor.1);
    let width = *shape.last().unwrap();
    let height = if shape.len() == 2 { shape[0] } else { 1 };
    let all = |n: usize| (0..n).collect::<Vec<_>>();
    let rows = rows.map_or_else(|| all(height), <[usize]>::to_vec);
    let cols = cols.map_or_else(|| all(width), <[usize]>::to_vec);
    let at = |r: usize, c: usize| 2 * (r * width + c);
    let bytes = rows.iter().flat_map(|&r| cols.iter().flat_map(move |&c| [at(r, c), at(r, c) + 1]));
    let shape: Vec<usize> = if shape.len() == 2 { vec![rows.len(), cols.len()] } else { vec![cols.len()] };
    (tensor.0.clone(), serde_json::json!(shape), bytes.map(|i| tensor.2[i]).collect())
}

/// The fixture's language model with only these residual channels and hidden units.
fn cut(folder: &Path, channels: &[usize], units: &[usize]) -> PathBuf {
    let mut out = Tensors::new();
    for (name, tensor) in
        read(&fixtures().join(BASE)).into_iter().filter(|(name, _)| name.starts_with("llm."))
    {
        let of = |part: &str| name.contains(part);
        let (rows, cols) = match () {
            () if of("gate_proj") || of("up_proj") => (Some(units), Some(channels)),
            () if of("down_proj") => (Some(channels), Some(units)),
            () if of("o_proj") => (Some(channels), None),
            () => (None, Some(channels)),
        };
        out.insert(name, pick(&tensor, rows, cols));
    }
    write(folder, &out, 1, |_| 0);
    let config = std::fs::read_to_string(fixtures().join(BASE).join("config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&config).unwrap();
    config["hidden_size"] = channels.len().into();
    config["intermediate_size"] = units.len().into();
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    folder.to_owned()
}

fn without(n: usize, every: usize) -> Vec<usize> {
    (0..n).filter(|i| i % every != every - 1).collect()
}

/// Runs of three: 0-2, 4-6, …
fn runs(n: u64, every: u64) -> Value {
    (0..n / every).map(|i| serde_json::json!([i * every, (i + 1) * every - 2])).collect()
}

#[test]
fn pruned_width_is_named_and_what_is_left_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    let made = cut(folder.path(), &without(RESIDUAL, 8), &without(HIDDEN, 4));
    let made = made.to_str().unwrap();
    let (_, report) = json(&["compare", made, BASE]);
    assert_eq!(report["verdict"]["kind"], "related", "{}", report["verdict"]);
    assert_eq!(report["verdict"]["relation"], "width-pruned");
    let cue = report["direction"]["cue"].as_str().or(report["verdict"]["cue"].as_str()).unwrap_or_default();
    assert!(cue.contains("144 beside 192"), "{cue}");
    let (_, blame) = json(&["blame", made, "--among", "minicpm-v-seed1", BASE]);
    let layers = blame["layers"].as_array().unwrap().iter().filter(|l| !l["layer"].is_null());
    assert!(layers.clone().count() == 4 && layers.clone().all(|l| l["reference"] == 1), "{layers:?}");
    assert!(layers.into_iter().all(|l| l["layer"] == l["reference_layer"]));
    let units = blame["units"].as_array().unwrap();
    assert_eq!(units.len(), 4);
    for unit in units {
        assert_eq!(unit["units"], serde_json::json!([144, 192]));
        assert_eq!(unit["kept"], runs(HIDDEN as u64, 4), "{unit}");
    }
    assert_eq!(blame["residual"][0]["kept"], runs(RESIDUAL as u64, 8));
    let shown = run(&["blame", made, "--among", BASE, "-q", "--format", "human"]).stdout;
    assert!(shown.contains("hidden units found elsewhere"), "{shown}");
}

#[test]
fn a_stranger_of_another_width_is_acquitted() {
    let folder = tempfile::tempdir().unwrap();
    let made = cut(folder.path(), &without(RESIDUAL, 8), &without(HIDDEN, 4));
    let made = made.to_str().unwrap();
    let (_, report) = json(&["compare", made, "minicpm-v-seed1"]);
    assert_ne!(report["verdict"]["kind"], "related");
    let (_, blame) = json(&["blame", made, "--among", "minicpm-v-seed1"]);
    assert!(blame["layers"].as_array().unwrap().iter().all(|l| l["reference"].is_null()));
    assert_eq!(blame["units"], serde_json::json!([]));
}
