//! Names that no family knows.

mod common;

use common::{Inventory, check, part, view};
use stemmata_architecture::{Component, Role, dissect};

fn key(anatomy: &stemmata_architecture::Anatomy, names: &[String]) -> Vec<String> {
    anatomy
        .parts
        .iter()
        .map(|p| format!("{} {:?} {:?} {} {:?}", names[p.view.tensor], p.layer, p.expert, p.role, p.term))
        .collect()
}

#[test]
fn renamed_decoder() {
    let inventory = Inventory::new(&[("n_heads", 32), ("n_kv_heads", 8)])
        .many(&[("nova.wte", &[32000, 4096]), ("nova.unembed", &[32000, 4096]), ("nova.final_norm", &[4096])])
        .layers(&[
            ("nova.blocks.{L}.ffn.w1", &[14336, 4096]),
            ("nova.blocks.{L}.ffn.w2", &[4096, 14336]),
            ("nova.blocks.{L}.ffn.w3", &[14336, 4096]),
            ("nova.blocks.{L}.mixer.wk", &[1024, 4096]),
            ("nova.blocks.{L}.mixer.wo", &[4096, 4096]),
            ("nova.blocks.{L}.mixer.wq", &[4096, 4096]),
            ("nova.blocks.{L}.mixer.wv", &[1024, 4096]),
            ("nova.blocks.{L}.norm_a", &[4096]),
            ("nova.blocks.{L}.norm_b", &[4096]),
        ]);
    let names: Vec<String> = inventory.checkpoint().tensors.iter().map(|t| t.name.clone()).collect();
    let inventory = Inventory::new(&[("n_heads", 32), ("n_kv_heads", 8)])
        .many(&names.iter().map(|name| (name.as_str(), shape_of(name))).collect::<Vec<_>>());
    let anatomy = check("inferred", inventory);
    let keys = key(&anatomy, &names);
    for expect in [
        "nova.blocks.1.ffn.w1 Some(1) None ffn.gate Weight",
        "nova.blocks.1.ffn.w3 Some(1) None ffn.up Weight",
        "nova.blocks.0.mixer.wo Some(0) None attn.o Weight",
        "nova.blocks.0.mixer.wv Some(0) None attn.v Weight",
        "nova.blocks.0.norm_b Some(0) None norm.pre_ffn Weight",
        "nova.unembed None None head Weight",
        "nova.final_norm None None norm.final Weight",
    ] {
        assert!(keys.iter().any(|found| found == expect), "{expect}: {keys:#?}");
    }
    assert!(!anatomy.notes.iter().any(|note| note.contains("guess")), "{:?}", anatomy.notes);
    assert_eq!(anatomy.component(Component::LanguageModel).unwrap().kv_heads, 8);
}

fn shape_of(name: &str) -> &'static [u64] {
    match name.rsplit(['.', '_']).next().unwrap_or_default() {
        "wte" | "unembed" => &[32000, 4096],
        "w1" | "w3" => &[14336, 4096],
        "w2" => &[4096, 14336],
        "wk" | "wv" => &[1024, 4096],
        "wq" | "wo" => &[4096, 4096],
        _ => &[4096],
    }
}

/// Storage order q, k, v, o, gate, up, down, norms; names say nothing.
const SILENT: &[&[u64]] = &[
    &[512, 512],
    &[128, 512],
    &[128, 512],
    &[512, 512],
    &[1024, 512],
    &[1024, 512],
    &[512, 1024],
    &[512],
    &[512],
];

#[test]
fn random_names_with_a_layer_index() {
    let mut inventory = Inventory::new(&[]).one("zz", &[9000, 512]);
    for layer in 0..3 {
        for (at, shape) in SILENT.iter().enumerate() {
            inventory = inventory.one(&format!("t.{layer:04}.a{}", 9 - at), shape);
        }
    }
    let anatomy = check("inferred", inventory);
    assert_eq!(anatomy.component(Component::LanguageModel).unwrap().layers, 3);
    assert_eq!(view(&anatomy, 2, None, Role::Up).0, 1024);
    assert!(anatomy.notes.iter().any(|note| note.contains("storage order")), "{:?}", anatomy.notes);
}

#[test]
fn names_without_any_order_fall_back_to_storage() {
    let mut inventory = Inventory::new(&[]).one("x0", &[9000, 512]);
    let mut serial = 1;
    for _ in 0..4 {
        for shape in SILENT {
            // Multiplicative scrambling: no counter in the names means anything.
            inventory = inventory.one(&format!("x{}", serial * 7919 % 10007), shape);
            serial += 1;
        }
    }
    let anatomy = check("inferred", inventory.one("y", &[512]));
    assert_eq!(anatomy.component(Component::LanguageModel).unwrap().layers, 4);
    let query = part(&anatomy, Component::LanguageModel, Some(0), None, Role::Query).view.tensor;
    let output = part(&anatomy, Component::LanguageModel, Some(0), None, Role::Output).view.tensor;
    assert_ne!(query, output);
}

#[test]
fn renamed_mixture_and_gpt2() {
    let inventory = Inventory::new(&[]).many(&[("a.tok", &[9000, 512]), ("a.out", &[9000, 512])]).layers(&[
        ("a.deck.{L}.q", &[512, 512]),
        ("a.deck.{L}.k", &[128, 512]),
        ("a.deck.{L}.v", &[128, 512]),
        ("a.deck.{L}.o", &[512, 512]),
        ("a.deck.{L}.choose", &[2, 512]),
        ("a.deck.{L}.many.{E}.gate", &[768, 512]),
        ("a.deck.{L}.many.{E}.up", &[768, 512]),
        ("a.deck.{L}.many.{E}.down", &[512, 768]),
        ("a.deck.{L}.n1", &[512]),
        ("a.deck.{L}.n2", &[512]),
    ]);
    let anatomy = check("inferred", inventory);
    assert_eq!(view(&anatomy, 1, Some(1), Role::Down), (512, 768, 0, 768, 1));
    part(&anatomy, Component::LanguageModel, Some(1), None, Role::Router);

    let inventory =
        Inventory::new(&[]).many(&[("m.words", &[9000, 768]), ("m.pos", &[1024, 768])]).layers(&[
            ("m.b.{L}.qkv.w", &[768, 2304]),
            ("m.b.{L}.qkv.b", &[2304]),
            ("m.b.{L}.out.w", &[768, 768]),
            ("m.b.{L}.out.b", &[768]),
            ("m.b.{L}.fc.w", &[768, 3072]),
            ("m.b.{L}.fc.b", &[3072]),
            ("m.b.{L}.back.w", &[3072, 768]),
            ("m.b.{L}.back.b", &[768]),
            ("m.b.{L}.n1.g", &[768]),
            ("m.b.{L}.n1.b", &[768]),
            ("m.b.{L}.n2.g", &[768]),
            ("m.b.{L}.n2.b", &[768]),
        ]);
    let anatomy = check("inferred", inventory);
    assert_eq!(view(&anatomy, 0, None, Role::Key), (768, 768, 768, 1, 2304));
    assert_eq!(view(&anatomy, 0, None, Role::Down), (768, 3072, 0, 1, 768));
}

#[test]
fn renamed_tower_beside_a_known_decoder() {
    let inventory = Inventory::new(&[])
        .many(&[("embed_tokens.weight", &[9000, 512]), ("eye.stem.w", &[96, 3, 8, 8]), ("eye.stem.b", &[96])])
        .layers(&[
            ("layers.{L}.self_attn.q_proj.weight", &[512, 512]),
            ("layers.{L}.mlp.up_proj.weight", &[1024, 512]),
            ("eye.rung.{L}.query.w", &[96, 96]),
            ("eye.rung.{L}.key.w", &[96, 96]),
            ("eye.rung.{L}.value.w", &[96, 96]),
            ("eye.rung.{L}.out.w", &[96, 96]),
            ("eye.rung.{L}.fc1.w", &[384, 96]),
            ("eye.rung.{L}.fc2.w", &[96, 384]),
            ("eye.rung.{L}.n1.w", &[96]),
            ("eye.rung.{L}.n1.b", &[96]),
            ("eye.rung.{L}.n2.w", &[96]),
            ("eye.rung.{L}.n2.b", &[96]),
        ]);
    let anatomy = dissect(&inventory.checkpoint());
    assert_eq!((anatomy.family.as_str(), anatomy.inferred, anatomy.unmapped.len()), ("llama", true, 0));
    part(&anatomy, Component::VisionTower, Some(1), None, Role::Value);
    part(&anatomy, Component::VisionTower, None, None, Role::PatchEmbedding);
}

#[test]
fn what_does_not_repeat_stays_unmapped() {
    let anatomy = dissect(&Inventory::new(&[]).many(&[("a", &[3, 4]), ("b", &[5]), ("c", &[])]).checkpoint());
    assert_eq!((anatomy.parts.len(), anatomy.unmapped.len()), (0, 3));
}

#[test]
fn adapters_and_quantised_payloads() {
    use stemmata_model::DType;
    let adapter = Inventory::new(&[]).layers(&[
        ("base_model.model.model.layers.{L}.self_attn.q_proj.lora_A.weight", &[8, 512]),
        ("base_model.model.model.layers.{L}.self_attn.q_proj.lora_B.weight", &[512, 8]),
    ]);
    let anatomy = dissect(&adapter.checkpoint());
    assert_eq!(
        (anatomy.family.as_str(), anatomy.parts.len(), anatomy.unmapped.len()),
        ("lora-adapter", 0, 4)
    );

    let packed = Inventory::new(&[])
        .one("model.embed_tokens.weight", &[9000, 512])
        .encoded("model.layers.0.mlp.up_proj.qweight", &[64, 1024], DType::I32)
        .encoded("model.layers.0.mlp.up_proj.scales", &[4, 1024], DType::F16)
        .encoded("model.layers.0.mlp.down_proj.weight", &[512, 1024], DType::F8E4M3)
        .encoded("model.layers.0.mlp.down_proj.weight_scale", &[512, 1], DType::F32);
    let anatomy = dissect(&packed.checkpoint());
    assert_eq!((anatomy.parts.len(), anatomy.ignored.len(), anatomy.unmapped.len()), (2, 3, 0));
    assert!(anatomy.notes.iter().any(|note| note.starts_with("quantised tensors not decoded: 1")));
}
