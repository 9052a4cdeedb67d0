//! The naming scheme of the copy that hides its parent: every tensor of the MiniCPM-V layout under another name.
//!
//! The language model keeps its inner names, as the copy of 2024 did. Tower and resampler take names that belong
//! to no published family, so that a reader has to work out what they are.

/// The new name of a tensor of the MiniCPM-V layout.
pub(crate) fn rename(name: &str) -> String {
    let (component, rest) = name.split_once('.').unwrap_or((name, ""));
    match component {
        "llm" => format!("language_model.{rest}"),
        "vpm" => format!("vision_encoder.{}", substitute(rest, TOWER)),
        _ => format!("perceiver.{}", substitute(rest, RESAMPLER)),
    }
}

const TOWER: &[(&str, &str)] = &[
    ("embeddings.patch_embedding", "patches.projection"),
    ("embeddings.position_embedding.weight", "patches.positions"),
    ("encoder.layers", "blocks"),
    ("layer_norm1", "norm_1"),
    ("layer_norm2", "norm_2"),
    ("self_attn.q_proj", "attention.query"),
    ("self_attn.k_proj", "attention.key"),
    ("self_attn.v_proj", "attention.value"),
    ("self_attn.out_proj", "attention.mix"),
    ("mlp.fc1", "feed_forward.expand"),
    ("mlp.fc2", "feed_forward.contract"),
    ("post_layernorm", "norm_out"),
];

const RESAMPLER: &[(&str, &str)] = &[
    ("query", "latents"),
    ("kv_proj", "from_vision"),
    ("attn.in_proj_weight", "cross.packed_weight"),
    ("attn.in_proj_bias", "cross.packed_bias"),
    ("attn.out_proj", "cross.mix"),
    ("ln_q", "norm_latents"),
    ("ln_kv", "norm_inputs"),
    ("ln_post", "norm_out"),
    ("proj", "to_language"),
];

fn substitute(name: &str, table: &[(&str, &str)]) -> String {
    let at_boundary = |tail: &str| tail.is_empty() || tail.starts_with('.');
    for (old, new) in table {
        let found = name
            .match_indices(old)
            .find(|(at, _)| (*at == 0 || name[..*at].ends_with('.')) && at_boundary(&name[at + old.len()..]));
        if let Some((at, _)) = found {
            let replaced = format!("{}{new}{}", &name[..at], &name[at + old.len()..]);
            // The stack of layers and the tensor within it are two substitutions.
            return if *new == "blocks" { substitute(&replaced, table) } else { replaced };
        }
    }
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_gets_its_scheme() {
        let cases = [
            ("llm.lm_head.weight", "language_model.lm_head.weight"),
            ("vpm.encoder.layers.1.self_attn.q_proj.bias", "vision_encoder.blocks.1.attention.query.bias"),
            ("vpm.post_layernorm.weight", "vision_encoder.norm_out.weight"),
            ("vpm.embeddings.position_embedding.weight", "vision_encoder.patches.positions"),
            ("resampler.query", "perceiver.latents"),
            ("resampler.kv_proj.weight", "perceiver.from_vision.weight"),
            ("resampler.attn.out_proj.bias", "perceiver.cross.mix.bias"),
            ("resampler.proj", "perceiver.to_language"),
        ];
        for (old, new) in cases {
            assert_eq!(rename(old), new);
        }
    }
}
