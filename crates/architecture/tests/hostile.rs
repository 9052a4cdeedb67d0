//! Whatever names, shapes and configurations say: no panic, views inside, keys unique, every tensor accounted for.

mod common;

use common::checkpoint;
use proptest::prelude::*;
use std::collections::HashSet;
use stemmata_architecture::{Anatomy, RowOrder, View, dissect};
use stemmata_model::{Checkpoint, Config, DType, Encoding, Storage, Tensor, Value};

const NAMES: &[&str] = &[
    "model.layers.0.self_attn.q_proj.weight",
    "model.layers.0.self_attn.qkv_proj.weight",
    "model.layers.0.self_attn.o_proj.weight",
    "model.layers.0.self_attn.sinks",
    "model.layers.4294967295.mlp.gate_up_proj.weight",
    "model.layers.0.mlp.experts.gate_up_proj",
    "model.layers.0.mlp.experts.gate_up_proj_bias",
    "model.layers.0.mlp.experts.down_proj",
    "model.layers.0.mlp.down_proj.weight",
    "model.norm.weight",
    "transformer.h.0.attn.c_attn.weight",
    "transformer.h.0.attn.c_attn.bias",
    "layers.0.attention.wq.weight",
    "layers.0.attention.wq.bias",
    "layers.0.attention.wk.weight",
    "blk.0.attn_q.weight",
    "blk.0.attn_q.bias",
    "blk.0.attn_qkv.weight",
    "blk.0.attn_output.weight",
    "blk.0.ffn_up.weight",
    "blk.0.ffn_down.weight",
    "blk.0.ffn_up_exps.weight",
    "resampler.attn.in_proj_weight",
    "resampler.proj",
    "vpm.embeddings.patch_embedding.weight",
    "a.0.q",
    "a.0.k",
    "a.0.v",
    "a.0.o",
    "a.1.q",
    "a.1.k",
    "a.1.v",
    "a.1.o",
    "a.0.e.0.x",
    "a.0.e.1.x",
    "a.1.e.0.x",
    "",
    ".",
    "..",
    "weight",
    "bias",
    "0",
    "0.0.0.0.0.0.0.0",
    "model.model.model.model",
    "模.型",
    "x\u{202e}.1.y",
];

fn extent() -> impl Strategy<Value = u64> {
    prop_oneof![
        8 => prop_oneof![Just(1u64), Just(2), Just(4), Just(8), Just(12), Just(16), Just(24), Just(64)],
        2 => 0u64..20,
        1 => prop_oneof![Just(u64::MAX), Just(1 << 40), Just(1 << 63), Just(3_000_000)],
    ]
}

fn config() -> impl Strategy<Value = Config> {
    let keys = prop_oneof![
        Just("num_attention_heads"),
        Just("num_key_value_heads"),
        Just("head_dim"),
        Just("hidden_size"),
        Just("llama.attention.head_count"),
        Just("llama.attention.head_count_kv"),
        Just("n_head"),
    ];
    let value = prop_oneof![
        Just(Value::Int(0)),
        Just(Value::Int(-1)),
        Just(Value::Int(i64::MAX)),
        Just(Value::Float(f64::NAN)),
        (1i64..9).prop_map(Value::Int),
        Just(Value::List(vec![Value::Int(2), Value::Null])),
        Just(Value::Null),
    ];
    (prop::collection::btree_map(keys.prop_map(str::to_owned), value, 0..5), any::<bool>()).prop_map(
        |(mut entries, llama)| {
            if llama {
                entries.insert("general.architecture".to_owned(), Value::Text("llama".to_owned()));
            }
            Config { entries }
        },
    )
}

fn tensor() -> impl Strategy<Value = Tensor> {
    let name = prop_oneof![6 => prop::sample::select(NAMES).prop_map(str::to_owned), 1 => "[a-c.0-3]{0,12}"];
    let dtype = prop_oneof![8 => Just(DType::BF16), 1 => Just(DType::U8), 1 => Just(DType::F8E4M3)];
    (name, prop::collection::vec(extent(), 0..5), dtype, any::<u64>()).prop_map(
        |(name, shape, dtype, offset)| Tensor {
            name,
            shape,
            encoding: Encoding::Plain(dtype),
            storage: Storage { file: 0, offset, len: 0, strides: None },
        },
    )
}

fn last_element(view: &View) -> u128 {
    let order = |row: u64| u128::from(view.stored_row(row));
    // Reordering permutes rows inside whole heads, so the last stored row is the last logical one.
    let last_row = order(view.rows - 1).max(u128::from(view.rows - 1));
    u128::from(view.first)
        + last_row * u128::from(view.row_stride)
        + u128::from(view.cols - 1) * u128::from(view.col_stride)
}

fn assert_sound(checkpoint: &Checkpoint, anatomy: &Anatomy) {
    let mut keys = HashSet::new();
    let mut placed = HashSet::new();
    for part in &anatomy.parts {
        assert!(keys.insert((part.component, part.layer, part.expert, part.role, part.term)), "{part:?}");
        placed.insert(part.view.tensor);
        let view = &part.view;
        let total: u64 = checkpoint.tensors[view.tensor].shape.iter().product();
        assert!(view.rows > 0 && view.cols > 0 && last_element(view) < u128::from(total), "{part:?}");
        if let RowOrder::RotaryInterleaved { head_dim } = view.order {
            assert!(head_dim >= 2 && head_dim % 2 == 0 && view.rows % head_dim == 0, "{part:?}");
        }
    }
    assert!(anatomy.parts.is_sorted_by_key(|p| (p.component, p.layer, p.expert, p.role, p.term)));
    let mut all: Vec<usize> =
        placed.into_iter().chain(anatomy.unmapped.clone()).chain(anatomy.ignored.clone()).collect();
    all.sort_unstable();
    assert_eq!(all, (0..checkpoint.tensors.len()).collect::<Vec<_>>(), "each tensor has exactly one fate");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn any_inventory_is_taken_apart_soundly(mut tensors in prop::collection::vec(tensor(), 0..24), config in config()) {
        tensors.sort_by(|a, b| a.name.cmp(&b.name));
        tensors.dedup_by(|a, b| a.name == b.name);
        let checkpoint = checkpoint(tensors, config);
        assert_sound(&checkpoint, &dissect(&checkpoint));
    }
}

#[test]
fn many_tensors_take_linear_time() {
    let many = |name: &dyn Fn(u64) -> String| {
        let tensor = |at: u64| Tensor {
            name: name(at),
            shape: vec![16 + at % 9, 16],
            encoding: Encoding::Plain(DType::BF16),
            storage: Storage { file: 0, offset: at, len: 0, strides: None },
        };
        let mut tensors: Vec<Tensor> = (0..200_000).map(tensor).collect();
        tensors.sort_by(|a, b| a.name.cmp(&b.name));
        checkpoint(tensors, Config::default())
    };
    // Counters everywhere, one block of everything, one name per tensor, deep names.
    let shapes: [&dyn Fn(u64) -> String; 5] = [
        &|at| format!("a.{}.b.{}.c.{}", at % 7, at % 11, at),
        &|at| format!("model.layers.{}.mlp.experts.{}.up_proj.weight", at / 256, at % 256),
        &|at| format!("x{at}"),
        &|at| format!("{}.{at}", "model.".repeat(100)),
        &|at| format!("z.{}.w{}", at % 2, at),
    ];
    for name in shapes {
        let checkpoint = many(name);
        assert_sound(&checkpoint, &dissect(&checkpoint));
    }
}
