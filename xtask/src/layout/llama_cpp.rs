//! A Llama-style model as llama.cpp's converter lays it out in a GGUF file.

use super::array::Array;
use super::gguf::{Encoding, Value, Writer};
use crate::material::tokenizer::Tokenizer;

/// What the key-value section says about a Llama-style decoder.
#[derive(Clone, Debug)]
pub(crate) struct Description {
    pub(crate) name: String,
    pub(crate) layers: usize,
    pub(crate) hidden: usize,
    pub(crate) intermediate: usize,
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) context: usize,
    pub(crate) theta: f32,
    pub(crate) epsilon: f32,
}

/// The file's bytes: matrices in Q8_0, norms in F32. Array names are those of a Hugging Face Llama.
pub(crate) fn write(description: &Description, tokenizer: &Tokenizer, arrays: &[Array]) -> Vec<u8> {
    let mut writer = Writer::default();
    describe(&mut writer, description, tokenizer);
    for array in arrays {
        let name = tensor_name(&array.name);
        if array.shape.len() == 1 {
            writer.tensor(&name, &array.shape, Encoding::F32, &array.values);
            continue;
        }
        let values = if name.ends_with("attn_q.weight") {
            interleave(&array.values, array.shape[1], description.heads)
        } else if name.ends_with("attn_k.weight") {
            interleave(&array.values, array.shape[1], description.kv_heads)
        } else {
            array.values.clone()
        };
        writer.tensor(&name, &array.shape, Encoding::Q8_0, &values);
    }
    writer.finish()
}

fn describe(writer: &mut Writer, description: &Description, tokenizer: &Tokenizer) {
    const MOSTLY_Q8_0: u32 = 7;
    let number = |value: usize| Value::U32(value as u32);
    let Description { layers, hidden, intermediate, heads, kv_heads, context, .. } = *description;
    writer.pair("general.architecture", Value::Text("llama".into()));
    writer.pair("general.name", Value::Text(description.name.clone()));
    writer.pair("general.file_type", Value::U32(MOSTLY_Q8_0));
    writer.pair("general.quantization_version", Value::U32(2));
    writer.pair("llama.block_count", number(layers));
    writer.pair("llama.context_length", number(context));
    writer.pair("llama.embedding_length", number(hidden));
    writer.pair("llama.feed_forward_length", number(intermediate));
    writer.pair("llama.attention.head_count", number(heads));
    writer.pair("llama.attention.head_count_kv", number(kv_heads));
    writer.pair("llama.attention.layer_norm_rms_epsilon", Value::F32(description.epsilon));
    writer.pair("llama.rope.dimension_count", number(hidden / heads));
    writer.pair("llama.rope.freq_base", Value::F32(description.theta));
    writer.pair("llama.vocab_size", number(tokenizer.len()));
    const ORDINARY: i32 = 1;
    const CONTROL: i32 = 3;
    let kinds = (0..tokenizer.len()).map(|id| if id < tokenizer.ordinary() { ORDINARY } else { CONTROL });
    writer.pair("tokenizer.ggml.model", Value::Text("gpt2".into()));
    writer.pair("tokenizer.ggml.pre", Value::Text("gpt-2".into()));
    writer.pair("tokenizer.ggml.tokens", Value::Texts(tokenizer.vocabulary()));
    writer.pair("tokenizer.ggml.token_type", Value::Integers(kinds.collect()));
    writer.pair("tokenizer.ggml.merges", Value::Texts(tokenizer.merges()));
    writer.pair("tokenizer.ggml.bos_token_id", Value::U32(tokenizer.special(super::BEGIN)));
    writer.pair("tokenizer.ggml.eos_token_id", Value::U32(tokenizer.special(super::END)));
}

/// `model.layers.3.mlp.up_proj.weight` becomes `blk.3.ffn_up.weight`.
fn tensor_name(name: &str) -> String {
    const WHOLE: &[(&str, &str)] = &[
        ("model.embed_tokens.weight", "token_embd.weight"),
        ("model.norm.weight", "output_norm.weight"),
        ("lm_head.weight", "output.weight"),
    ];
    const WITHIN: &[(&str, &str)] = &[
        ("input_layernorm", "attn_norm"),
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("self_attn.o_proj", "attn_output"),
        ("post_attention_layernorm", "ffn_norm"),
        ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"),
        ("mlp.down_proj", "ffn_down"),
    ];
    if let Some((_, new)) = WHOLE.iter().find(|(old, _)| *old == name) {
        return (*new).to_owned();
    }
    let (layer, inner) = name
        .strip_prefix("model.layers.")
        .and_then(|rest| rest.split_once('.'))
        .expect("the trainer names its tensors as Hugging Face Llama does");
    let inner = WITHIN.iter().fold(inner.to_owned(), |inner, (old, new)| inner.replace(old, new));
    format!("blk.{layer}.{inner}")
}

/// Rows of q or k from half-split to interleaved rotary order: row `2 i + j` of a head was its row `j w/2 + i`.
fn interleave(values: &[f32], columns: usize, heads: usize) -> Vec<f32> {
    let width = values.len() / columns / heads;
    let mut result = Vec::with_capacity(values.len());
    for head in 0..heads {
        for row in 0..width {
            let source = head * width + (row % 2) * (width / 2) + row / 2;
            result.extend(&values[source * columns..][..columns]);
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_converter() {
        assert_eq!(tensor_name("model.layers.11.self_attn.o_proj.weight"), "blk.11.attn_output.weight");
        assert_eq!(tensor_name("model.layers.0.post_attention_layernorm.weight"), "blk.0.ffn_norm.weight");
        assert_eq!(tensor_name("lm_head.weight"), "output.weight");
    }

    #[test]
    fn halves_are_interleaved_within_each_head() {
        let rows: Vec<f32> = (0..8).map(|row| row as f32).collect();
        assert_eq!(interleave(&rows, 1, 2), [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]);
    }
}
