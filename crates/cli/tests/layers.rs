//! Dropped, repeated, reordered and merged layers, end to end, on models rewritten from the fixtures.

mod support;

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use support::{Tensors, fixtures, json, read, run, write};

/// The layer number in a tensor name (`….layers.3.…` or `….h.3.…`), with what stands before and after it.
fn split(name: &str) -> Option<(&str, u32, &str)> {
    let mark = ["layers.", "h."].into_iter().find_map(|mark| Some(name.find(mark)? + mark.len()))?;
    let end = mark + name[mark..].find('.')?;
    Some((&name[..mark], name[mark..end].parse().ok()?, &name[end..]))
}

/// Only layers of the language model are moved.
fn is_layer(name: &str) -> bool {
    split(name).is_some() && !name.contains("vpm") && !name.contains("resampler")
}

fn depth(tensors: &Tensors) -> u32 {
    let layers: BTreeSet<u32> =
        tensors.keys().filter(|n| is_layer(n)).filter_map(|n| split(n)).map(|s| s.1).collect();
    layers.len() as u32
}

/// Writes a model whose layer i is layer `order[i].1` of the fixture `order[i].0`; all else comes from `base`.
fn assemble(folder: &Path, base: &str, order: &[(&str, u32)]) -> PathBuf {
    let mut out: Tensors = read(&fixtures().join(base));
    out.retain(|name, _| !is_layer(name));
    for (i, (source, layer)) in order.iter().enumerate() {
        for (name, tensor) in read(&fixtures().join(source)) {
            if let Some((before, number, after)) = split(&name).filter(|_| is_layer(&name))
                && number == *layer
            {
                out.insert(format!("{before}{i}{after}"), tensor);
            }
        }
    }
    let made = folder.join("made");
    std::fs::create_dir_all(&made).unwrap();
    write(&made, &out, 1, |_| 0);
    let config = std::fs::read_to_string(fixtures().join(base).join("config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&config).unwrap();
    for key in ["num_hidden_layers", "n_layer"] {
        if config.get(key).is_some() {
            config[key] = order.len().into();
        }
    }
    std::fs::write(made.join("config.json"), config.to_string()).unwrap();
    made
}

/// (relation, direction, reference layers of the language model, report) of a model made of layers of `base`.
fn compared(base: &str, layers: &[u32]) -> (Value, Value, Vec<Option<u64>>, Value) {
    let folder = tempfile::tempdir().unwrap();
    let order: Vec<(&str, u32)> = layers.iter().map(|layer| (base, *layer)).collect();
    let made = assemble(folder.path(), base, &order);
    let (code, report) = json(&["compare", made.to_str().unwrap(), base]);
    assert_eq!(code, 0);
    let of = report["layers"].as_array().unwrap().iter();
    let mapped = of
        .filter(|l| l["component"] == "language-model" && !l["candidate_layer"].is_null())
        .map(|l| l["reference_layer"].as_u64())
        .collect();
    (report["verdict"]["relation"].clone(), report["verdict"]["direction"].clone(), mapped, report)
}

fn expected(layers: &[u32]) -> Vec<Option<u64>> {
    layers.iter().map(|l| Some(u64::from(*l))).collect()
}

#[test]
fn dropped_repeated_and_reordered_layers_are_found_and_measured() {
    for base in ["gpt2-tiny", "minicpm-v"] {
        let n = depth(&read(&fixtures().join(base)));
        assert!(n >= 2, "{base} has {n} layers");
        let all: Vec<u32> = (0..n).collect();
        let dropped: Vec<u32> = all.iter().copied().filter(|l| *l != n - 2).collect();
        let repeated: Vec<u32> = (0..n).chain(n / 2..n).collect();
        let turned: Vec<u32> = (n / 2..n).chain(0..n / 2).collect();
        for (layers, relation, direction) in [
            (dropped, "layers-dropped", "unknown"),
            (repeated, "layers-repeated", "candidate-from-reference"),
            (turned, "layers-reordered", "unknown"),
        ] {
            let (found, way, mapped, report) = compared(base, &layers);
            assert_eq!(mapped, expected(&layers), "{base}");
            assert_eq!((found, way), (relation.into(), direction.into()), "{base}");
            // Layers are copied, so nothing changes along the map.
            assert_eq!(report["change"]["changed"], 0.0);
            assert_eq!(report["components"][0]["share_inherited"], 1.0);
            let not_tested = report["not_tested"].as_array().unwrap();
            assert!(not_tested.iter().all(|n| !n["what"].as_str().unwrap().contains("dropped")));
        }
    }
}

#[test]
fn an_independent_model_has_no_map_and_its_tests_are_counted_either_way() {
    let (_, stranger) = json(&["compare", "gpt2-tiny-seed1", "gpt2-tiny"]);
    assert_eq!(stranger["verdict"]["kind"], "no-dependence-found");
    let map = &stranger["layer_maps"][0];
    assert!(map["runs"].as_array().unwrap().iter().all(|run| run["reference"].is_null()));
    // The family was fixed before a weight was read: a copy, where no map is looked for, has as many tests.
    let (_, copy) = json(&["compare", "gpt2-tiny", "gpt2-tiny"]);
    assert_eq!(copy["layer_maps"], Value::Array(Vec::new()));
    assert_eq!(copy["verdict"]["tests"], stranger["verdict"]["tests"]);
}

#[test]
fn a_sketch_of_the_reference_gives_the_same_map() {
    let folder = tempfile::tempdir().unwrap();
    let sketch = folder.path().join("whole.sketch");
    let sketch = sketch.to_str().unwrap();
    let base = "minicpm-v";
    assert_eq!(run(&["sketch", base, "-o", sketch, "-q"]).code, 0);
    let made = assemble(folder.path(), base, &[(base, 0), (base, 2)]);
    let (_, report) = json(&["compare", made.to_str().unwrap(), sketch]);
    assert_eq!(report["verdict"]["relation"], "layers-dropped");
    let second = report["layers"].as_array().unwrap().iter().find(|l| l["candidate_layer"] == 1).unwrap();
    assert_eq!(second["reference_layer"], 2);
    // What is sketched for the map alone keeps the same channels as a whole sketch.
    let (_, whole) = json(&["compare", made.to_str().unwrap(), base]);
    assert_eq!(report["layer_maps"], whole["layer_maps"]);
}

#[test]
fn blame_tells_the_references_of_a_merge_apart_and_writes_its_recipe() {
    let folder = tempfile::tempdir().unwrap();
    let (left, right) = ("gpt2-tiny", "gpt2-tiny-seed1");
    let made = assemble(folder.path(), left, &[(left, 0), (left, 1), (right, 0), (right, 1)]);
    let made = made.to_str().unwrap();
    let (code, blame) = json(&["blame", made, "--among", left, right]);
    assert_eq!(code, 0);
    let layers = blame["layers"].as_array().unwrap().iter().filter(|l| !l["layer"].is_null());
    let origins: Vec<(u64, u64)> =
        layers.map(|l| (l["reference"].as_u64().unwrap(), l["reference_layer"].as_u64().unwrap())).collect();
    assert_eq!(origins, [(0, 0), (0, 1), (1, 0), (1, 1)]);
    let share = |i: usize| blame["rows"][i]["share"].as_f64().unwrap();
    assert!(share(0) == 1.0 && share(1) < 0.01);
    let recipe = run(&["blame", made, "--among", left, right, "--format", "mergekit", "-q"]);
    assert_eq!(recipe.code, 0);
    assert!(recipe.stdout.contains("model: \"gpt2-tiny\"\n        layer_range: [0, 2]"), "{}", recipe.stdout);
    assert!(recipe.stdout.contains("model: \"gpt2-tiny-seed1\"\n        layer_range: [0, 2]"));
    // With one reference missing there is no recipe.
    let partial = run(&["blame", made, "--among", left, "--format", "mergekit", "-q"]);
    assert_eq!((partial.code, partial.stdout.as_str()), (2, ""));
    assert_eq!(run(&["compare", left, right, "--format", "mergekit"]).code, 2);
}
