//! Vision-language models: several families in one checkpoint.

mod common;

use common::{Inventory, check, part};
use stemmata_architecture::{Component, Norm, Role, Term};

fn tower(inventory: Inventory, prefix: &str, d: u64, h: u64, patch: u64, positions: u64) -> Inventory {
    let mut out = inventory
        .one(&format!("{prefix}embeddings.patch_embedding.weight"), &[d, 3, patch, patch])
        .one(&format!("{prefix}embeddings.position_embedding.weight"), &[positions, d]);
    for term in ["weight", "bias"] {
        out = out.one(&format!("{prefix}post_layernorm.{term}"), &[d]);
        for name in ["layer_norm1", "layer_norm2"] {
            out = out.layers(&[(&format!("{prefix}encoder.layers.{{L}}.{name}.{term}"), &[d])]);
        }
    }
    for (name, rows, cols) in [
        ("self_attn.q_proj", d, d),
        ("self_attn.k_proj", d, d),
        ("self_attn.v_proj", d, d),
        ("self_attn.out_proj", d, d),
        ("mlp.fc1", h, d),
        ("mlp.fc2", d, h),
    ] {
        out = out.layers(&[
            (&format!("{prefix}encoder.layers.{{L}}.{name}.weight"), &[rows, cols]),
            (&format!("{prefix}encoder.layers.{{L}}.{name}.bias"), &[rows]),
        ]);
    }
    out
}

fn decoder(inventory: Inventory, prefix: &str, d: u64, kv: u64, h: u64, v: u64) -> Inventory {
    let layer = format!("{prefix}model.layers.{{L}}.");
    let mut out = inventory
        .one(&format!("{prefix}lm_head.weight"), &[v, d])
        .one(&format!("{prefix}model.embed_tokens.weight"), &[v, d])
        .one(&format!("{prefix}model.norm.weight"), &[d]);
    for (name, shape) in [
        ("self_attn.q_proj", &[d, d][..]),
        ("self_attn.k_proj", &[kv, d]),
        ("self_attn.v_proj", &[kv, d]),
        ("self_attn.o_proj", &[d, d]),
        ("mlp.gate_proj", &[h, d]),
        ("mlp.up_proj", &[h, d]),
        ("mlp.down_proj", &[d, h]),
        ("input_layernorm", &[d]),
        ("post_attention_layernorm", &[d]),
    ] {
        out = out.layers(&[(&format!("{layer}{name}.weight"), shape)]);
    }
    out
}

fn resampler(mut inventory: Inventory, prefix: &str, d: u64, from: u64) -> Inventory {
    for (name, shape) in [
        ("query", &[96, d][..]),
        ("proj", &[d, d]),
        ("kv_proj.weight", &[d, from]),
        ("attn.in_proj_weight", &[3 * d, d]),
        ("attn.in_proj_bias", &[3 * d]),
        ("attn.out_proj.weight", &[d, d]),
        ("attn.out_proj.bias", &[d]),
        ("ln_q.weight", &[d]),
        ("ln_q.bias", &[d]),
        ("ln_kv.weight", &[d]),
        ("ln_kv.bias", &[d]),
        ("ln_post.weight", &[d]),
        ("ln_post.bias", &[d]),
    ] {
        inventory = inventory.one(&format!("{prefix}{name}"), shape);
    }
    inventory
}

fn minicpm(prefixes: [&str; 3]) -> Inventory {
    let config =
        [("num_attention_heads", 32), ("num_key_value_heads", 8), ("vision_config.num_attention_heads", 16)];
    let inventory = decoder(Inventory::new(&config), prefixes[0], 4096, 1024, 14336, 128256);
    let inventory = tower(inventory, prefixes[1], 1152, 4304, 14, 4900);
    resampler(inventory, prefixes[2], 4096, 1152)
}

#[test]
fn minicpm_llama3_v() {
    let anatomy = check("llama", minicpm(["llm.", "vpm.", "resampler."]));
    let vision = anatomy.component(Component::VisionTower).unwrap();
    assert_eq!(
        (vision.residual, vision.query_heads, vision.head_dim, vision.norm),
        (1152, 16, 72, Norm::Layer)
    );
    let view = |role| part(&anatomy, Component::Connector, None, None, role).view;
    assert_eq!((view(Role::Key).rows, view(Role::Key).first), (4096, 4096 * 4096));
    assert_eq!((view(Role::OutputProjection).row_stride, view(Role::OutputProjection).col_stride), (1, 4096));
    let patch = part(&anatomy, Component::VisionTower, None, None, Role::PatchEmbedding).view;
    assert_eq!((patch.rows, patch.cols), (1152, 588));
    let biases = anatomy.parts.iter().filter(|p| p.component == Component::Connector && p.term == Term::Bias);
    assert_eq!(biases.count(), 7);
}

#[test]
fn unknown_prefixes_keep_their_components() {
    let checkpoint = minicpm(["language_model.", "my_image_tower.", "bridge_x."]).checkpoint();
    let renamed = stemmata_architecture::dissect(&checkpoint);
    assert!(renamed.inferred);
    assert_eq!(renamed.unmapped, [0usize; 0], "{:?}", renamed.notes);
    let plain = stemmata_architecture::dissect(&minicpm(["llm.", "vpm.", "resampler."]).checkpoint());
    let keys = |anatomy: &stemmata_architecture::Anatomy| {
        anatomy.parts.iter().map(|p| (p.component, p.layer, p.role, p.term)).collect::<Vec<_>>()
    };
    assert_eq!(keys(&renamed), keys(&plain));
}

#[test]
fn llava() {
    let inventory = decoder(Inventory::new(&[]), "language_model.", 4096, 4096, 11008, 32064);
    let inventory = tower(inventory, "vision_tower.vision_model.", 1024, 4096, 14, 577).many(&[
        ("vision_tower.vision_model.embeddings.class_embedding", &[1024]),
        ("vision_tower.vision_model.pre_layrnorm.weight", &[1024]),
        ("vision_tower.vision_model.pre_layrnorm.bias", &[1024]),
        ("multi_modal_projector.linear_1.weight", &[4096, 1024]),
        ("multi_modal_projector.linear_1.bias", &[4096]),
        ("multi_modal_projector.linear_2.weight", &[4096, 4096]),
        ("multi_modal_projector.linear_2.bias", &[4096]),
    ]);
    check("llama", inventory);

    let old = decoder(Inventory::new(&[]), "", 4096, 4096, 11008, 32000);
    let old = tower(old, "model.vision_tower.vision_tower.vision_model.", 1024, 4096, 14, 577).many(&[
        ("model.mm_projector.0.weight", &[4096, 1024]),
        ("model.mm_projector.0.bias", &[4096]),
        ("model.mm_projector.2.weight", &[4096, 4096]),
        ("model.mm_projector.2.bias", &[4096]),
    ]);
    let anatomy = check("llama", old);
    part(&anatomy, Component::Connector, None, None, Role::OutputProjection);
}
