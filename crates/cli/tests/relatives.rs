//! Which came first, by other models of the line, end to end. The line is drawn: a random start, what training puts on top of it as a few strong
//! directions, and dense changes.

mod support;

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use stemmata_stats::SplitMix64;
use support::{Tensors, json as report, run, write};

const RESIDUAL: usize = 64;
const HIDDEN: usize = 96;
const LAYERS: usize = 4;
const VOCABULARY: usize = 128;

/// Matrices by name: rows, columns, values.
type Model = BTreeMap<String, (usize, usize, Vec<f64>)>;

fn drawn(seed: u64, mut fill: impl FnMut(&mut SplitMix64, usize, usize) -> Vec<f64>) -> Model {
    let mut random = SplitMix64::new(seed);
    let layer = |i: usize| {
        [
            ("self_attn.q_proj", RESIDUAL, RESIDUAL),
            ("self_attn.k_proj", RESIDUAL / 2, RESIDUAL),
            ("self_attn.v_proj", RESIDUAL / 2, RESIDUAL),
            ("self_attn.o_proj", RESIDUAL, RESIDUAL),
            ("mlp.gate_proj", HIDDEN, RESIDUAL),
            ("mlp.up_proj", HIDDEN, RESIDUAL),
            ("mlp.down_proj", RESIDUAL, HIDDEN),
        ]
        .map(|(name, rows, cols)| (format!("model.layers.{i}.{name}.weight"), rows, cols))
    };
    let outside =
        ["model.embed_tokens.weight", "lm_head.weight"].map(|n| (n.to_owned(), VOCABULARY, RESIDUAL));
    let all = outside.into_iter().chain((0..LAYERS).flat_map(layer));
    all.map(|(name, rows, cols)| (name, (rows, cols, fill(&mut random, rows, cols)))).collect()
}

/// A random start.
fn start(seed: u64) -> Model {
    drawn(seed, |random, rows, cols| (0..rows * cols).map(|_| 0.02 * random.normal()).collect())
}

/// What training puts on top: six strong directions per matrix.
fn learned(seed: u64) -> Model {
    drawn(seed, |random, rows, cols| {
        let mut out = vec![0.0; rows * cols];
        for _ in 0..6 {
            let [left, right] =
                [rows, cols].map(|n| (0..n).map(|_| random.normal() / (n as f64).sqrt()).collect::<Vec<_>>());
            for (row, l) in out.chunks_mut(cols).zip(&left) {
                row.iter_mut().zip(&right).for_each(|(x, r)| *x += l * r);
            }
        }
        out
    })
}

/// What further training changes: everything a little, with heavier tails than noise has.
fn change(seed: u64) -> Model {
    drawn(seed, |random, rows, cols| {
        (0..rows * cols).map(|_| 0.004 * random.normal() * random.normal()).collect()
    })
}

fn sum(parts: &[(f64, &Model)]) -> Model {
    let mut out = parts[0].1.clone();
    for (name, (_, _, values)) in &mut out {
        for (i, x) in values.iter_mut().enumerate() {
            *x = parts.iter().map(|(weight, model)| weight * model[name].2[i]).sum();
        }
    }
    out
}

fn save(folder: &Path, name: &str, model: &Model) -> String {
    let path: PathBuf = folder.join(name);
    std::fs::create_dir(&path).unwrap();
    let f32s = |values: &[f64]| values.iter().flat_map(|x| (*x as f32).to_le_bytes()).collect::<Vec<u8>>();
    let mut tensors: Tensors = model
        .iter()
        .map(|(name, (rows, cols, values))| {
            (name.clone(), ("F32".to_owned(), json!([rows, cols]), f32s(values)))
        })
        .collect();
    let norms = (0..LAYERS).flat_map(|i| {
        ["input_layernorm", "post_attention_layernorm"].map(|norm| format!("model.layers.{i}.{norm}.weight"))
    });
    for norm in norms.chain(["model.norm.weight".to_owned()]) {
        tensors.insert(norm, ("F32".to_owned(), json!([RESIDUAL]), f32s(&[1.0; RESIDUAL])));
    }
    write(&path, &tensors, 1, |_| 0);
    let config = json!({
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": RESIDUAL, "num_attention_heads": 4,
        "num_key_value_heads": 2, "num_hidden_layers": LAYERS, "intermediate_size": HIDDEN, "vocab_size": VOCABULARY,
        "rms_norm_eps": 1e-5
    });
    std::fs::write(path.join("config.json"), config.to_string()).unwrap();
    path.to_string_lossy().into_owned()
}

/// Outgroup, parent, two children and their average.
fn line(folder: &Path) -> [String; 5] {
    let start = start(1);
    let outgroup = sum(&[(1.0, &start), (1.0, &learned(2))]);
    let parent = sum(&[(1.0, &start), (1.0, &learned(3))]);
    let [child, other] = [4, 5].map(|seed| sum(&[(1.0, &parent), (1.0, &change(seed))]));
    let merge = sum(&[(0.5, &child), (0.5, &other)]);
    [("outgroup", &outgroup), ("parent", &parent), ("child", &child), ("other", &other), ("merge", &merge)]
        .map(|(name, model)| save(folder, name, model))
}

fn verdict(report: &Value) -> [&str; 3] {
    ["kind", "relation", "direction"].map(|key| report["verdict"][key].as_str().unwrap_or("none"))
}

fn roles(report: &Value) -> Vec<&str> {
    report["relatives"].as_array().unwrap().iter().map(|r| r["role"].as_str().unwrap()).collect()
}

#[test]
fn an_outgroup_shows_the_parent() {
    let folder = tempfile::tempdir().unwrap();
    let [outgroup, parent, child, other, _] = line(folder.path());
    let (_, alone) = report(&["compare", &child, &parent]);
    assert_eq!(verdict(&alone), ["related", "trained-further", "unknown"], "{}", alone["verdict"]);
    assert!(alone.get("relatives").is_none());

    let (_, forth) = report(&["compare", &child, &parent, "--relatives", &outgroup]);
    assert_eq!(
        verdict(&forth),
        ["derived", "trained-further", "candidate-from-reference"],
        "{}",
        forth["verdict"]
    );
    assert_eq!(roles(&forth), ["common-start"]);
    assert_eq!(forth["relatives"][0]["to_reference"]["relation"], "shared-initialisation");
    assert!(
        forth["evidence"]
            .as_array()
            .unwrap()
            .iter()
            .any(|e| e["test"] == "outgroup-order" && e["log10_p"].is_null())
    );
    let (_, back) = report(&["compare", &parent, &child, "--relatives", &outgroup]);
    assert_eq!(verdict(&back)[2], "reference-from-candidate");

    // A further child of the parent does not hide the order; the parent of two children does.
    let (_, beside) = report(&["compare", &child, &parent, "--relatives", &other, &outgroup]);
    assert_eq!(
        (verdict(&beside)[2], roles(&beside)),
        ("candidate-from-reference", vec!["aside", "common-start"])
    );
    let (_, siblings) = report(&["compare", &child, &other, "--relatives", &outgroup, &parent]);
    assert_eq!((verdict(&siblings)[2], roles(&siblings)), ("unknown", vec!["common-start", "between"]));

    let shown =
        run(&["compare", &child, &parent, "--relatives", &outgroup, "--format", "human", "--color", "never"]);
    assert!(shown.stdout.contains("shares the random start only"), "{}", shown.stdout);
}

#[test]
fn a_light_child_is_excluded_by_a_heavy_one_that_learned_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let [outgroup, parent, _, other, _] = line(folder.path());
    let base = sum(&[(1.0, &start(1)), (1.0, &learned(3))]);
    let (light, heavy) = (
        sum(&[(1.0, &base), (0.02, &change(6)), (0.01, &change(7))]),
        sum(&[(1.0, &base), (1.0, &change(6)), (1.0, &change(8))]),
    );
    let [light, heavy] = [("light", light), ("heavy", heavy)].map(|(name, m)| save(folder.path(), name, &m));
    // Too small a change for the outgroup: of a child that learned something else it may be the parent too.
    let (_, hidden) = report(&["compare", &other, &parent, "--relatives", &outgroup, &light]);
    assert_eq!((verdict(&hidden)[2], roles(&hidden)), ("unknown", vec!["common-start", "between"]));
    let (_, cleared) = report(&["compare", &other, &parent, "--relatives", &outgroup, &light, &heavy]);
    assert_eq!(
        (verdict(&cleared)[2], roles(&cleared)),
        ("candidate-from-reference", vec!["common-start", "aside", "aside"])
    );
    let (_, beside) = report(&["compare", &heavy, &parent, "--relatives", &outgroup, &light]);
    assert_eq!(verdict(&beside)[2], "candidate-from-reference");
    // Nor is the order of the two themselves open then.
    let (_, open) = report(&["compare", &parent, &light, "--relatives", &outgroup, &other]);
    assert_eq!(verdict(&open)[2], "unknown", "{}", open["verdict"]);
    let (_, told) = report(&["compare", &parent, &light, "--relatives", &outgroup, &heavy]);
    assert_eq!(verdict(&told)[2], "reference-from-candidate", "{}", told["verdict"]);
    assert!(told["verdict"]["cue"].as_str().unwrap().contains("exclusion"), "{}", told["verdict"]);
    // Two children of a parent that is shown have no order, light or not.
    let (_, siblings) = report(&["compare", &heavy, &light, "--relatives", &outgroup, &parent, &other]);
    assert_eq!(verdict(&siblings)[2], "unknown", "{}", siblings["verdict"]);
}

#[test]
fn a_merge_came_from_its_parents() {
    let folder = tempfile::tempdir().unwrap();
    let [_, parent, child, other, merge] = line(folder.path());
    let (_, found) = report(&["compare", &merge, &child, "--relatives", &parent, &other]);
    assert_eq!(verdict(&found), ["derived", "merge", "candidate-from-reference"], "{}", found["verdict"]);
    assert_eq!(roles(&found), ["unused", "merge-parent"], "{}", found["verdict"]);
    assert!(found["verdict"]["cue"].as_str().unwrap().contains("weight 0.500"), "{}", found["verdict"]);
    let (_, back) = report(&["compare", &child, &merge, "--relatives", &other]);
    assert_eq!(verdict(&back)[2], "reference-from-candidate");
}

#[test]
fn relatives_need_their_weights() {
    let folder = tempfile::tempdir().unwrap();
    let sketch = folder.path().join("m.sketch").to_string_lossy().into_owned();
    assert_eq!(run(&["sketch", "minicpm-v", "-o", &sketch]).code, 0);
    let refused = run(&["compare", "minicpm-v-ft", "minicpm-v", "--relatives", &sketch]);
    assert_eq!(refused.code, 2);
    assert!(
        refused.stderr.contains("m.sketch") && refused.stderr.contains("--relatives"),
        "{}",
        refused.stderr
    );
}
