//! What follows the first decision where only so many bytes may be fetched: maps of layers, searches, the kind of change.
#![cfg(feature = "net")]

#[path = "../../source/tests/hub/mod.rs"]
mod hub;

use half::bf16;
use hub::{Faults, Hub, Manners, of_directory};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use stemmata_audit::{Access, Budget, Comparison, Direction, Kind, SearchMode, Settings, compare};
use stemmata_stats::SplitMix64;

const RESIDUAL: usize = 256;
const HIDDEN: usize = 704;
const LAYERS: usize = 10;

/// Matrices by name: rows, columns, values. Ten layers take 15 MB.
type Model = BTreeMap<String, (usize, usize, Vec<f32>)>;

fn model(seed: u64) -> Model {
    let mut random = SplitMix64::new(seed);
    let mut model = Model::new();
    let mut add = |name: String, rows: usize, cols: usize| {
        let values = (0..rows * cols).map(|_| bf16::from_f64(0.02 * random.normal()).to_f32()).collect();
        model.insert(name, (rows, cols, values));
    };
    add("model.embed_tokens.weight".to_owned(), 512, RESIDUAL);
    for layer in 0..LAYERS {
        for (part, rows, cols) in [
            ("self_attn.q_proj", RESIDUAL, RESIDUAL),
            ("self_attn.k_proj", 64, RESIDUAL),
            ("self_attn.v_proj", 64, RESIDUAL),
            ("self_attn.o_proj", RESIDUAL, RESIDUAL),
            ("mlp.gate_proj", HIDDEN, RESIDUAL),
            ("mlp.up_proj", HIDDEN, RESIDUAL),
            ("mlp.down_proj", RESIDUAL, HIDDEN),
        ] {
            add(format!("model.layers.{layer}.{part}.weight"), rows, cols);
        }
    }
    model
}

fn write(folder: &Path, model: &Model, layers: usize) {
    std::fs::create_dir_all(folder).unwrap();
    let (mut header, mut at, mut bytes) = (Vec::new(), 0, Vec::new());
    for (name, (rows, cols, values)) in model {
        let end = at + 2 * values.len();
        header.push(format!(
            r#""{name}":{{"dtype":"BF16","shape":[{rows},{cols}],"data_offsets":[{at},{end}]}}"#
        ));
        bytes.extend(values.iter().flat_map(|value| bf16::from_f32(*value).to_le_bytes()));
        at = end;
    }
    let header = format!("{{{}}}", header.join(","));
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.into_bytes());
    file.extend(bytes);
    std::fs::write(folder.join("model.safetensors"), file).unwrap();
    let config = format!(
        r#"{{"model_type":"llama","hidden_size":{RESIDUAL},"intermediate_size":{HIDDEN},"num_hidden_layers":{layers},"num_attention_heads":4,"num_key_value_heads":1,"head_dim":64,"vocab_size":512}}"#
    );
    std::fs::write(folder.join("config.json"), config).unwrap();
}

/// The layers of `model` in this order.
fn layers(model: &Model, order: &[usize]) -> Model {
    let mut made: Model = model
        .iter()
        .filter(|(name, _)| !name.contains(".layers."))
        .map(|(n, m)| (n.clone(), m.clone()))
        .collect();
    for (to, from) in order.iter().enumerate() {
        let prefix = format!("model.layers.{from}.");
        for (name, matrix) in model {
            if let Some(rest) = name.strip_prefix(&prefix) {
                made.insert(format!("model.layers.{to}.{rest}"), matrix.clone());
            }
        }
    }
    made
}

/// Hidden units of every layer in another order.
fn relabelled(model: &Model) -> Model {
    let mut made = model.clone();
    // Coprime to the number of units.
    let from = |unit: usize| unit * 315 % HIDDEN;
    for (name, (rows, cols, values)) in &mut made {
        let old = values.clone();
        let (rows, cols) = (*rows, *cols);
        let outputs = name.contains("gate_proj") || name.contains("up_proj");
        if outputs || name.contains("down_proj") {
            for (i, value) in values.iter_mut().enumerate() {
                let (row, col) = (i / cols, i % cols);
                let (row, col) = if outputs { (from(row), col) } else { (row, from(col)) };
                assert!(row < rows);
                *value = old[row * cols + col];
            }
        }
    }
    made
}

/// Every matrix on a grid of fifteen levels to each 32 neighbours.
fn rounded(model: &Model) -> Model {
    let mut made = model.clone();
    for (_, _, values) in made.values_mut() {
        for block in values.chunks_mut(32) {
            let step = block.iter().fold(0.0_f32, |most, x| most.max(x.abs())) / 7.0;
            block.iter_mut().for_each(|x| *x = (*x / step).round() * step);
        }
    }
    made
}

fn run(models: &[(&str, Model, usize)], candidate: &str, megabytes: u64) -> Comparison {
    let folder = tempfile::tempdir().unwrap();
    let digest = |bytes: &[u8]| {
        Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        })
    };
    let mut served = BTreeMap::new();
    for (name, model, layers) in models {
        let path = folder.path().join(name);
        write(&path, model, *layers);
        served.insert(format!("acme/{name}"), of_directory(&path, &digest));
    }
    let hub = Hub::start(served, Faults::default(), Manners::default());
    let access =
        Access { offline: false, hub: hub.url.clone(), pause: Duration::from_millis(1), ..Access::default() };
    let stop = AtomicBool::new(false);
    let budget = Budget::Bytes(megabytes * 1_000_000);
    let settings = Settings {
        access: Some(&access),
        budget,
        threads: 2,
        search: SearchMode::Auto,
        ..Settings::new(&stop)
    };
    let result = compare(&format!("hf:acme/{candidate}"), "hf:acme/base", &settings, &mut |_| {}).unwrap();
    let fetched = hub.sent("acme/base").max(hub.sent(&format!("acme/{candidate}")));
    assert!(fetched <= megabytes * 1_000_000, "{fetched} bytes of {candidate} under {megabytes} MB");
    result
}

fn is_left(result: &Comparison, what: &str) -> bool {
    result.judgement.not_tested.iter().any(|n| n.what.contains(what))
}

#[test]
fn a_map_of_layers_is_made_of_blocks_of_rows() {
    let base = model(1);
    let order = [0, 1, 2, 5, 6, 7, 8, 9];
    let models = [("base", base.clone(), LAYERS), ("short", layers(&base, &order), order.len())];
    let result = run(&models, "short", 10);
    let verdict = &result.judgement.verdict;
    assert_eq!((verdict.kind, verdict.relation), (Kind::Related, Some("layers-dropped")), "{verdict:?}");
    let map = &result.measurement.structure.maps[0];
    assert_eq!(map.from, order.iter().map(|layer| Some(*layer)).collect::<Vec<_>>());
    // Too little for a map: nothing is said of layers, and what it takes is.
    let result = run(&models, "short", 4);
    assert!(result.measurement.structure.maps.is_empty() && result.measurement.structure.reserved == 0);
    assert_eq!(result.judgement.verdict.relation, None, "{:?}", result.judgement.verdict);
    assert!(is_left(&result, "layers in other places") && is_left(&result, "kind of change"));
}

#[test]
fn the_kind_of_change_is_read_off_a_sample() {
    let base = model(1);
    let models = [("base", base.clone(), LAYERS), ("rounded", rounded(&base), LAYERS)];
    let result = run(&models, "rounded", 10);
    let verdict = &result.judgement.verdict;
    assert_eq!(
        (verdict.kind, verdict.relation, verdict.direction),
        (Kind::Derived, Some("quantized"), Direction::CandidateFromReference)
    );
    assert!(is_left(&result, "kind of change in all weights"));
}

#[test]
fn units_in_other_places_are_searched_where_that_is_paid_for() {
    let base = model(1);
    let models =
        [("base", base.clone(), LAYERS), ("moved", relabelled(&base), LAYERS), ("other", model(2), LAYERS)];
    let result = run(&models, "moved", 45);
    assert_eq!(result.judgement.verdict.relation, Some("relabelled"), "{:?}", result.judgement.verdict);
    assert_eq!(result.measurement.searched.len(), 4);
    assert!(is_left(&result, "units in other places in 6 layers"));
    // Where it is not, what looks like training is not called so.
    let result = run(&models, "moved", 10);
    assert_eq!((result.judgement.verdict.kind, result.judgement.verdict.relation), (Kind::Related, None));
    assert!(result.measurement.searched.is_empty() && result.measurement.search_tests == 0);
    assert!(is_left(&result, "units and residual channels") && is_left(&result, "kind of change"));
    for megabytes in [4, 10, 45] {
        let result = run(&models, "other", megabytes);
        assert_eq!(result.judgement.verdict.kind, Kind::NoDependenceFound);
    }
}
