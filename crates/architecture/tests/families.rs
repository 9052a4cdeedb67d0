//! Published names and shapes, two layers each: everything maps, and views lie where they should.

mod common;

use common::{Inventory, check, part, view};
use stemmata_architecture::{Component, Norm, Role, RowOrder, Term};
use stemmata_model::DType;

type Lines = &'static [(&'static str, &'static [u64])];

fn llama_like(config: &[(&str, i64)], d: u64, kv: u64, h: u64, v: u64) -> Inventory {
    let q: &[u64] = &[d, d];
    Inventory::new(config)
        .many(&[
            ("model.embed_tokens.weight", &[v, d]),
            ("model.norm.weight", &[d]),
            ("lm_head.weight", &[v, d]),
        ])
        .layers(&[
            ("model.layers.{L}.self_attn.q_proj.weight", q),
            ("model.layers.{L}.self_attn.k_proj.weight", &[kv, d]),
            ("model.layers.{L}.self_attn.v_proj.weight", &[kv, d]),
            ("model.layers.{L}.self_attn.o_proj.weight", q),
            ("model.layers.{L}.mlp.gate_proj.weight", &[h, d]),
            ("model.layers.{L}.mlp.up_proj.weight", &[h, d]),
            ("model.layers.{L}.mlp.down_proj.weight", &[d, h]),
        ])
}

fn with_norms(inventory: Inventory, d: u64) -> Inventory {
    inventory.layers(&[
        ("model.layers.{L}.input_layernorm.weight", &[d]),
        ("model.layers.{L}.post_attention_layernorm.weight", &[d]),
    ])
}

fn heads(q: i64, kv: i64) -> Vec<(&'static str, i64)> {
    vec![("num_attention_heads", q), ("num_key_value_heads", kv)]
}

fn facts(anatomy: &stemmata_architecture::Anatomy, component: Component) -> (u64, u64, u64, u64, Norm, bool) {
    let info = anatomy.component(component).unwrap();
    (info.residual, info.query_heads, info.kv_heads, info.head_dim, info.norm, info.gated)
}

#[test]
fn llama_and_its_clones() {
    let llama = with_norms(llama_like(&heads(32, 32), 4096, 4096, 11008, 32000), 4096);
    let llama = llama.layers(&[("model.layers.{L}.self_attn.rotary_emb.inv_freq", &[64])]);
    let anatomy = check("llama", llama);
    assert_eq!(anatomy.ignored.len(), 2);
    assert_eq!(facts(&anatomy, Component::LanguageModel), (4096, 32, 32, 128, Norm::Rms, true));

    let mistral = with_norms(llama_like(&heads(32, 8), 4096, 1024, 14336, 32000), 4096);
    assert_eq!(
        facts(&check("llama", mistral), Component::LanguageModel),
        (4096, 32, 8, 128, Norm::Rms, true)
    );

    let yi = llama_like(&heads(32, 4), 4096, 512, 11008, 64000)
        .layers(&[("model.layers.{L}.ln1.weight", &[4096]), ("model.layers.{L}.ln2.weight", &[4096])]);
    let anatomy = check("llama", yi);
    assert_eq!(view(&anatomy, 1, None, Role::FeedForwardNorm), (1, 4096, 0, 4096, 1));
}

#[test]
fn heads_without_configuration() {
    let mistral = with_norms(llama_like(&[], 4096, 1024, 14336, 32000), 4096);
    let anatomy = check("llama", mistral);
    assert_eq!(facts(&anatomy, Component::LanguageModel), (4096, 32, 8, 128, Norm::Rms, true));
    assert!(anatomy.notes.iter().any(|note| note.contains("guess")), "{:?}", anatomy.notes);
    let lying = with_norms(llama_like(&heads(7, 3), 4096, 1024, 14336, 32000), 4096);
    assert_eq!(facts(&check("llama", lying), Component::LanguageModel), (4096, 32, 8, 128, Norm::Rms, true));
}

#[test]
fn qwen2_biases() {
    let qwen = with_norms(llama_like(&heads(28, 4), 3584, 512, 18944, 152064), 3584)
        .text("model_type", "qwen2")
        .layers(&[
            ("model.layers.{L}.self_attn.q_proj.bias", &[3584]),
            ("model.layers.{L}.self_attn.k_proj.bias", &[512]),
            ("model.layers.{L}.self_attn.v_proj.bias", &[512]),
        ]);
    let anatomy = check("qwen2", qwen);
    assert_eq!(facts(&anatomy, Component::LanguageModel), (3584, 28, 4, 128, Norm::Rms, true));
    assert_eq!(anatomy.parts.iter().filter(|part| part.term == Term::Bias).count(), 6);
}

#[test]
fn qwen3_head_norms() {
    let qwen = with_norms(llama_like(&heads(32, 8), 4096, 1024, 12288, 151936), 4096).layers(&[
        ("model.layers.{L}.self_attn.q_norm.weight", &[128]),
        ("model.layers.{L}.self_attn.k_norm.weight", &[128]),
    ]);
    check("qwen3", qwen);
}

#[test]
fn phi3_fused_rows() {
    // Phi-3-medium: 40 query and 10 key-value heads of 128.
    let phi = |config: &[(&str, i64)]| {
        let inventory = Inventory::new(config)
            .many(&[
                ("model.embed_tokens.weight", &[32064, 5120]),
                ("model.norm.weight", &[5120]),
                ("lm_head.weight", &[32064, 5120]),
            ])
            .layers(&[
                ("model.layers.{L}.self_attn.qkv_proj.weight", &[7680, 5120]),
                ("model.layers.{L}.self_attn.o_proj.weight", &[5120, 5120]),
                ("model.layers.{L}.mlp.gate_up_proj.weight", &[35840, 5120]),
                ("model.layers.{L}.mlp.down_proj.weight", &[5120, 17920]),
            ]);
        with_norms(inventory, 5120)
    };
    for config in [heads(40, 10), vec![]] {
        let anatomy = check("phi3", phi(&config));
        assert_eq!(view(&anatomy, 0, None, Role::Query), (5120, 5120, 0, 5120, 1));
        assert_eq!(view(&anatomy, 0, None, Role::Key), (1280, 5120, 5120 * 5120, 5120, 1));
        assert_eq!(view(&anatomy, 0, None, Role::Value), (1280, 5120, 6400 * 5120, 5120, 1));
        assert_eq!(view(&anatomy, 0, None, Role::Up), (17920, 5120, 17920 * 5120, 5120, 1));
        assert_eq!(facts(&anatomy, Component::LanguageModel), (5120, 40, 10, 128, Norm::Rms, true));
    }
}

const GPT2: Lines = &[
    ("h.{L}.ln_1.weight", &[768]),
    ("h.{L}.ln_1.bias", &[768]),
    ("h.{L}.attn.bias", &[1, 1, 1024, 1024]),
    ("h.{L}.attn.c_attn.weight", &[768, 2304]),
    ("h.{L}.attn.c_attn.bias", &[2304]),
    ("h.{L}.attn.c_proj.weight", &[768, 768]),
    ("h.{L}.attn.c_proj.bias", &[768]),
    ("h.{L}.ln_2.weight", &[768]),
    ("h.{L}.ln_2.bias", &[768]),
    ("h.{L}.mlp.c_fc.weight", &[768, 3072]),
    ("h.{L}.mlp.c_fc.bias", &[3072]),
    ("h.{L}.mlp.c_proj.weight", &[3072, 768]),
    ("h.{L}.mlp.c_proj.bias", &[768]),
];

#[test]
fn gpt2_is_stored_transposed() {
    for prefix in ["", "transformer."] {
        let mut inventory = Inventory::new(&[("n_head", 12), ("n_embd", 768)]);
        for (name, shape) in
            [("wte.weight", &[50257, 768][..]), ("wpe.weight", &[1024, 768]), ("ln_f.weight", &[768])]
        {
            inventory = inventory.one(&format!("{prefix}{name}"), shape);
        }
        for (name, shape) in GPT2 {
            inventory = inventory.layers(&[(&format!("{prefix}{name}"), shape)]);
        }
        let anatomy = check("gpt2", inventory.one(&format!("{prefix}ln_f.bias"), &[768]));
        assert_eq!(anatomy.ignored.len(), 2);
        assert_eq!(view(&anatomy, 1, None, Role::Key), (768, 768, 768, 1, 2304));
        assert_eq!(view(&anatomy, 1, None, Role::Down), (768, 3072, 0, 1, 768));
        assert_eq!(facts(&anatomy, Component::LanguageModel), (768, 12, 12, 64, Norm::Layer, false));
        let bias = anatomy.parts.iter().find(|p| p.role == Role::Value && p.term == Term::Bias).unwrap();
        assert_eq!((bias.view.rows, bias.view.cols, bias.view.first), (1, 768, 1536));
    }
}

fn attention(d: u64, kv: u64, v: u64) -> Inventory {
    let inventory = Inventory::new(&[])
        .many(&[
            ("model.embed_tokens.weight", &[v, d]),
            ("model.norm.weight", &[d]),
            ("lm_head.weight", &[v, d]),
        ])
        .layers(&[
            ("model.layers.{L}.self_attn.q_proj.weight", &[d, d]),
            ("model.layers.{L}.self_attn.k_proj.weight", &[kv, d]),
            ("model.layers.{L}.self_attn.v_proj.weight", &[kv, d]),
            ("model.layers.{L}.self_attn.o_proj.weight", &[d, d]),
        ]);
    with_norms(inventory, d)
}

#[test]
fn mixtures() {
    let mixtral = attention(4096, 1024, 32000).layers(&[
        ("model.layers.{L}.block_sparse_moe.gate.weight", &[8, 4096]),
        ("model.layers.{L}.block_sparse_moe.experts.{E}.w1.weight", &[14336, 4096]),
        ("model.layers.{L}.block_sparse_moe.experts.{E}.w2.weight", &[4096, 14336]),
        ("model.layers.{L}.block_sparse_moe.experts.{E}.w3.weight", &[14336, 4096]),
    ]);
    let anatomy = check("mixtral", mixtral);
    assert_eq!(view(&anatomy, 1, Some(1), Role::Down), (4096, 14336, 0, 14336, 1));

    let qwen = attention(2048, 2048, 151936).layers(&[
        ("model.layers.{L}.mlp.gate.weight", &[60, 2048]),
        ("model.layers.{L}.mlp.experts.{E}.gate_proj.weight", &[1408, 2048]),
        ("model.layers.{L}.mlp.experts.{E}.up_proj.weight", &[1408, 2048]),
        ("model.layers.{L}.mlp.experts.{E}.down_proj.weight", &[2048, 1408]),
        ("model.layers.{L}.mlp.shared_expert.gate_proj.weight", &[5632, 2048]),
        ("model.layers.{L}.mlp.shared_expert.up_proj.weight", &[5632, 2048]),
        ("model.layers.{L}.mlp.shared_expert.down_proj.weight", &[2048, 5632]),
        ("model.layers.{L}.mlp.shared_expert_gate.weight", &[1, 2048]),
        ("model.layers.{L}.self_attn.q_proj.bias", &[2048]),
        ("model.layers.{L}.self_attn.k_proj.bias", &[2048]),
        ("model.layers.{L}.self_attn.v_proj.bias", &[2048]),
    ]);
    check("qwen-moe", qwen);

    let fused = attention(2048, 512, 151936).layers(&[
        ("model.layers.{L}.mlp.gate.weight", &[128, 2048]),
        ("model.layers.{L}.mlp.experts.gate_up_proj", &[128, 1536, 2048]),
        ("model.layers.{L}.mlp.experts.down_proj", &[128, 2048, 768]),
    ]);
    let anatomy = check("qwen-moe", fused);
    assert_eq!(view(&anatomy, 0, Some(2), Role::Up), (768, 2048, (2 * 1536 + 768) * 2048, 2048, 1));
    assert_eq!(view(&anatomy, 0, Some(127), Role::Down), (2048, 768, 127 * 2048 * 768, 768, 1));
}

#[test]
fn gpt_oss_interleaves_and_transposes() {
    let inventory =
        Inventory::new(&[("num_attention_heads", 64), ("num_key_value_heads", 8), ("head_dim", 64)])
            .many(&[
                ("model.embed_tokens.weight", &[201088, 2880]),
                ("model.norm.weight", &[2880]),
                ("lm_head.weight", &[201088, 2880]),
            ])
            .layers(&[
                ("model.layers.{L}.self_attn.q_proj.weight", &[4096, 2880]),
                ("model.layers.{L}.self_attn.q_proj.bias", &[4096]),
                ("model.layers.{L}.self_attn.k_proj.weight", &[512, 2880]),
                ("model.layers.{L}.self_attn.v_proj.weight", &[512, 2880]),
                ("model.layers.{L}.self_attn.o_proj.weight", &[2880, 4096]),
                ("model.layers.{L}.self_attn.o_proj.bias", &[2880]),
                ("model.layers.{L}.self_attn.sinks", &[64]),
                ("model.layers.{L}.mlp.router.weight", &[32, 2880]),
                ("model.layers.{L}.mlp.router.bias", &[32]),
                ("model.layers.{L}.mlp.experts.gate_up_proj", &[32, 2880, 5760]),
                ("model.layers.{L}.mlp.experts.gate_up_proj_bias", &[32, 5760]),
                ("model.layers.{L}.mlp.experts.down_proj", &[32, 2880, 2880]),
                ("model.layers.{L}.mlp.experts.down_proj_bias", &[32, 2880]),
            ]);
    let anatomy = check("gpt-oss", with_norms(inventory, 2880));
    let expert = 2880 * 5760;
    assert_eq!(view(&anatomy, 0, Some(3), Role::Gate), (2880, 2880, 3 * expert, 2, 5760));
    assert_eq!(view(&anatomy, 0, Some(3), Role::Up), (2880, 2880, 3 * expert + 1, 2, 5760));
    // Square, so only the family's habit tells.
    assert_eq!(view(&anatomy, 1, Some(1), Role::Down), (2880, 2880, 2880 * 2880, 1, 2880));
    assert_eq!(facts(&anatomy, Component::LanguageModel), (2880, 64, 8, 64, Norm::Rms, true));
    let bias =
        |p: &&stemmata_architecture::Part| p.role == Role::Up && p.term == Term::Bias && p.expert == Some(1);
    let bias = anatomy.parts.iter().find(bias).unwrap().view;
    assert_eq!((bias.rows, bias.cols, bias.first, bias.col_stride), (1, 2880, 5761, 2));
}

#[test]
fn gpt_oss_in_four_bits_is_stored_the_other_way_round() {
    let inventory =
        Inventory::new(&[("num_attention_heads", 64), ("num_key_value_heads", 8), ("head_dim", 64)])
            .many(&[("model.embed_tokens.weight", &[201088, 2880]), ("model.norm.weight", &[2880])])
            .layers(&[
                ("model.layers.{L}.self_attn.q_proj.weight", &[4096, 2880]),
                ("model.layers.{L}.self_attn.k_proj.weight", &[512, 2880]),
                ("model.layers.{L}.self_attn.v_proj.weight", &[512, 2880]),
                ("model.layers.{L}.self_attn.o_proj.weight", &[2880, 4096]),
                ("model.layers.{L}.self_attn.sinks", &[64]),
                ("model.layers.{L}.mlp.router.weight", &[32, 2880]),
                ("model.layers.{L}.mlp.experts.gate_up_proj_blocks", &[32, 5760, 2880]),
                ("model.layers.{L}.mlp.experts.down_proj_blocks", &[32, 2880, 2880]),
            ]);
    let anatomy = check("gpt-oss", with_norms(inventory, 2880));
    let expert = 2880 * 5760;
    assert_eq!(view(&anatomy, 0, Some(3), Role::Up), (2880, 2880, 3 * expert + 2880, 5760, 1));
    assert_eq!(view(&anatomy, 1, Some(1), Role::Down), (2880, 2880, 2880 * 2880, 2880, 1));
}

#[test]
fn deepseek_v3_with_its_extra_layer() {
    let inventory =
        Inventory::new(&[("num_attention_heads", 128), ("v_head_dim", 128), ("num_hidden_layers", 61)])
            .many(&[
                ("model.embed_tokens.weight", &[129280, 7168]),
                ("model.norm.weight", &[7168]),
                ("lm_head.weight", &[129280, 7168]),
                ("model.layers.61.embed_tokens.weight", &[129280, 7168]),
                ("model.layers.61.enorm.weight", &[7168]),
                ("model.layers.61.hnorm.weight", &[7168]),
                ("model.layers.61.eh_proj.weight", &[7168, 14336]),
                ("model.layers.61.shared_head.norm.weight", &[7168]),
                ("model.layers.61.shared_head.head.weight", &[129280, 7168]),
            ])
            .encoded("model.layers.0.self_attn.o_proj.weight_scale_inv", &[56, 128], DType::F32)
            .layers(&[
                ("model.layers.{L}.self_attn.q_a_proj.weight", &[1536, 7168]),
                ("model.layers.{L}.self_attn.q_a_layernorm.weight", &[1536]),
                ("model.layers.{L}.self_attn.q_b_proj.weight", &[24576, 1536]),
                ("model.layers.{L}.self_attn.kv_a_proj_with_mqa.weight", &[576, 7168]),
                ("model.layers.{L}.self_attn.kv_a_layernorm.weight", &[512]),
                ("model.layers.{L}.self_attn.kv_b_proj.weight", &[32768, 512]),
                ("model.layers.{L}.self_attn.o_proj.weight", &[7168, 16384]),
                ("model.layers.{L}.mlp.gate.weight", &[256, 7168]),
                ("model.layers.{L}.mlp.gate.e_score_correction_bias", &[256]),
                ("model.layers.{L}.mlp.experts.{E}.gate_proj.weight", &[2048, 7168]),
                ("model.layers.{L}.mlp.experts.{E}.up_proj.weight", &[2048, 7168]),
                ("model.layers.{L}.mlp.experts.{E}.down_proj.weight", &[7168, 2048]),
                ("model.layers.{L}.mlp.shared_experts.gate_proj.weight", &[2048, 7168]),
                ("model.layers.{L}.mlp.shared_experts.up_proj.weight", &[2048, 7168]),
                ("model.layers.{L}.mlp.shared_experts.down_proj.weight", &[7168, 2048]),
            ]);
    let anatomy = check("deepseek", with_norms(inventory, 7168));
    assert_eq!(anatomy.ignored.len(), 1);
    assert_eq!(facts(&anatomy, Component::LanguageModel), (7168, 128, 128, 128, Norm::Rms, true));
    part(&anatomy, Component::LanguageModel, Some(61), None, Role::Head);
}

#[test]
fn native_names_are_rotary_interleaved() {
    let inventory = Inventory::new(&[("n_heads", 32), ("n_kv_heads", 8)])
        .many(&[
            ("tok_embeddings.weight", &[32000, 4096]),
            ("norm.weight", &[4096]),
            ("output.weight", &[32000, 4096]),
        ])
        .layers(&[
            ("layers.{L}.attention_norm.weight", &[4096]),
            ("layers.{L}.attention.wq.weight", &[4096, 4096]),
            ("layers.{L}.attention.wk.weight", &[1024, 4096]),
            ("layers.{L}.attention.wv.weight", &[1024, 4096]),
            ("layers.{L}.attention.wo.weight", &[4096, 4096]),
            ("layers.{L}.ffn_norm.weight", &[4096]),
            ("layers.{L}.feed_forward.w1.weight", &[14336, 4096]),
            ("layers.{L}.feed_forward.w2.weight", &[4096, 14336]),
            ("layers.{L}.feed_forward.w3.weight", &[14336, 4096]),
        ]);
    let anatomy = check("meta", inventory);
    let order = |role| part(&anatomy, Component::LanguageModel, Some(0), None, role).view.order;
    assert_eq!(order(Role::Key), RowOrder::RotaryInterleaved { head_dim: 128 });
    assert_eq!(order(Role::Value), RowOrder::Stored);
}

const GGUF: Lines = &[
    ("blk.{L}.attn_norm.weight", &[4096]),
    ("blk.{L}.attn_q.weight", &[4096, 4096]),
    ("blk.{L}.attn_k.weight", &[1024, 4096]),
    ("blk.{L}.attn_k.bias", &[1024]),
    ("blk.{L}.attn_v.weight", &[1024, 4096]),
    ("blk.{L}.attn_output.weight", &[4096, 4096]),
    ("blk.{L}.ffn_norm.weight", &[4096]),
    ("blk.{L}.ffn_gate_inp.weight", &[8, 4096]),
    ("blk.{L}.ffn_gate_exps.weight", &[8, 14336, 4096]),
    ("blk.{L}.ffn_up_exps.weight", &[8, 14336, 4096]),
    ("blk.{L}.ffn_down_exps.weight", &[8, 4096, 14336]),
];

#[test]
fn gguf_order_depends_on_the_architecture() {
    for (architecture, interleaved) in [("llama", true), ("qwen3moe", false)] {
        let keys = [("attention.head_count", 32), ("attention.head_count_kv", 8)];
        let keys = keys.map(|(key, value)| (format!("{architecture}.{key}"), value));
        let keys: Vec<(&str, i64)> = keys.iter().map(|(key, value)| (key.as_str(), *value)).collect();
        let inventory = Inventory::new(&keys)
            .text("general.architecture", architecture)
            .many(&[
                ("token_embd.weight", &[32000, 4096]),
                ("output_norm.weight", &[4096]),
                ("output.weight", &[32000, 4096]),
                ("rope_freqs.weight", &[64]),
            ])
            .layers(GGUF);
        let anatomy = check("gguf", inventory);
        let expect =
            if interleaved { RowOrder::RotaryInterleaved { head_dim: 128 } } else { RowOrder::Stored };
        for term in [Term::Weight, Term::Bias] {
            let key = anatomy.parts.iter().find(|p| p.role == Role::Key && p.term == term).unwrap();
            assert_eq!(key.view.order, expect, "{architecture}");
        }
        assert_eq!(view(&anatomy, 1, Some(7), Role::Down), (4096, 14336, 7 * 4096 * 14336, 14336, 1));
    }
}

#[test]
fn gguf_fused_names() {
    let gpt2 = Inventory::new(&[("gpt2.attention.head_count", 12)])
        .text("general.architecture", "gpt2")
        .many(&[
            ("token_embd.weight", &[50257, 768]),
            ("position_embd.weight", &[1024, 768]),
            ("output_norm.weight", &[768]),
            ("output_norm.bias", &[768]),
        ])
        .layers(&[
            ("blk.{L}.attn_norm.weight", &[768]),
            ("blk.{L}.attn_norm.bias", &[768]),
            ("blk.{L}.attn_qkv.weight", &[2304, 768]),
            ("blk.{L}.attn_qkv.bias", &[2304]),
            ("blk.{L}.attn_output.weight", &[768, 768]),
            ("blk.{L}.ffn_up.weight", &[3072, 768]),
            ("blk.{L}.ffn_down.weight", &[768, 3072]),
        ]);
    let anatomy = check("gguf", gpt2);
    assert_eq!(view(&anatomy, 0, None, Role::Value), (768, 768, 1536 * 768, 768, 1));
    assert_eq!(facts(&anatomy, Component::LanguageModel), (768, 12, 12, 64, Norm::Layer, false));

    let phi3 = Inventory::new(&[]).text("general.architecture", "phi3").layers(&[
        ("blk.{L}.attn_qkv.weight", &[9216, 3072]),
        ("blk.{L}.attn_output.weight", &[3072, 3072]),
        ("blk.{L}.ffn_up.weight", &[16384, 3072]),
        ("blk.{L}.ffn_down.weight", &[3072, 8192]),
    ]);
    assert_eq!(view(&check("gguf", phi3), 0, None, Role::Up), (8192, 3072, 8192 * 3072, 3072, 1));
}
