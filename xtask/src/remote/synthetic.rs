//! Llama-like bf16 models of any size that are nowhere: every byte is made when it is asked for.

use crate::remote::hub::{Content, File, Repository};
use half::bf16;
use std::collections::BTreeMap;
use std::sync::Arc;
use stemmata_stats::SplitMix64;

/// Normal values from which all weights are made, two at a time.
const TABLE: usize = 1 << 22;
/// Values made from one draw.
const RUN: usize = 1 << 10;
/// Standard deviation of the weights, and of the noise as a share of it.
const SIGMA: f32 = 0.02;
const NOISE: f32 = 0.05;

/// Extents of a Llama-like model.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) layers: u64,
    pub(crate) residual: u64,
    pub(crate) hidden: u64,
    pub(crate) kv: u64,
    pub(crate) vocabulary: u64,
}

/// The shapes of Llama 3.1 8B, 16.1 GB.
pub(crate) const LLAMA_8B: Shape =
    Shape { layers: 32, residual: 4096, hidden: 14336, kv: 1024, vocabulary: 128_256 };

/// What a model's weights are.
#[derive(Clone, Copy)]
pub(crate) struct Recipe {
    /// Of the weights.
    pub(crate) seed: u64,
    /// Of the noise on top, if any.
    pub(crate) noise: Option<u64>,
}

/// Normal values that several models share; shifted so that their mean is zero, since the check of each model by itself sees a mean.
pub(crate) fn table() -> Arc<Vec<f32>> {
    let mut random = SplitMix64::new(11);
    let mut table: Vec<f32> = (0..TABLE).map(|_| random.normal() as f32).collect();
    let mean = (table.iter().map(|x| f64::from(*x)).sum::<f64>() / TABLE as f64) as f32;
    table.iter_mut().for_each(|x| *x -= mean);
    table.extend_from_within(..RUN);
    Arc::new(table)
}

/// One weight file.
struct Weights {
    header: Vec<u8>,
    len: u64,
    recipe: Recipe,
    table: Arc<Vec<f32>>,
    /// Bytes from the first weight on where gains lie: start and end.
    gains: Vec<(u64, u64)>,
}

impl Weights {
    /// Values `run · RUN ..` of the file.
    fn run(&self, run: u64, out: &mut [f32; RUN]) {
        let gain = {
            let at = run * RUN as u64 * 2;
            let next = self.gains.partition_point(|(start, _)| *start <= at);
            next > 0 && at < self.gains[next - 1].1
        };
        let mut add = |seed: u64, sigma: f32| {
            let mut random = SplitMix64::new(SplitMix64::new(seed).next_u64() ^ run);
            let mut slice = || &self.table[random.next_u64() as usize % TABLE..][..RUN];
            let (a, b) = (slice(), slice());
            let scale = sigma * std::f32::consts::FRAC_1_SQRT_2;
            out.iter_mut().zip(a).zip(b).for_each(|((x, a), b)| *x += scale * (a + b));
        };
        add(self.recipe.seed, if gain { 10.0 * SIGMA } else { SIGMA });
        self.recipe.noise.iter().for_each(|seed| add(*seed, NOISE * SIGMA));
        if gain {
            out.iter_mut().for_each(|x| *x += 1.0);
        }
    }
}

impl Content for Weights {
    fn len(&self) -> u64 {
        self.len
    }

    fn fill(&self, start: u64, out: &mut [u8]) {
        let (mut at, mut out) = (start, out);
        let head = self.header.len() as u64;
        if at < head {
            let now = ((head - at) as usize).min(out.len());
            out[..now].copy_from_slice(&self.header[at as usize..][..now]);
            (at, out) = (at + now as u64, &mut out[now..]);
        }
        let mut bytes = [0_u8; 2 * RUN];
        while !out.is_empty() {
            let place = at - head;
            let (run, within) = (place / (2 * RUN as u64), (place % (2 * RUN as u64)) as usize);
            let mut values = [0.0; RUN];
            self.run(run, &mut values);
            for (pair, value) in bytes.chunks_exact_mut(2).zip(values) {
                pair.copy_from_slice(&bf16::from_f32(value).to_bits().to_le_bytes());
            }
            let now = (bytes.len() - within).min(out.len());
            out[..now].copy_from_slice(&bytes[within..][..now]);
            (at, out) = (at + now as u64, &mut out[now..]);
        }
    }
}

/// Names and extents of all tensors. Every extent is a multiple of [`RUN`], so no run lies in two tensors.
fn tensors(shape: &Shape) -> Vec<(String, Vec<u64>)> {
    let Shape { layers, residual: d, hidden: h, kv, vocabulary } = *shape;
    let mut list = vec![("model.embed_tokens.weight".to_owned(), vec![vocabulary, d])];
    for layer in 0..layers {
        for (name, extents) in [
            ("self_attn.q_proj", vec![d, d]),
            ("self_attn.k_proj", vec![kv, d]),
            ("self_attn.v_proj", vec![kv, d]),
            ("self_attn.o_proj", vec![d, d]),
            ("mlp.gate_proj", vec![h, d]),
            ("mlp.up_proj", vec![h, d]),
            ("mlp.down_proj", vec![d, h]),
            ("input_layernorm", vec![d]),
            ("post_attention_layernorm", vec![d]),
        ] {
            list.push((format!("model.layers.{layer}.{name}.weight"), extents));
        }
    }
    list.extend([
        ("model.norm.weight".to_owned(), vec![d]),
        ("lm_head.weight".to_owned(), vec![vocabulary, d]),
    ]);
    list
}

/// The header of a safetensors file, the bytes of weights behind it, and where gains lie among them.
pub(crate) fn header(shape: &Shape) -> (Vec<u8>, u64, Vec<(u64, u64)>) {
    let (mut text, mut at, mut gains) = (String::from("{"), 0, Vec::new());
    for (name, extents) in tensors(shape) {
        let end = at + extents.iter().product::<u64>() * 2;
        text += &format!(r#""{name}":{{"dtype":"BF16","shape":{extents:?},"data_offsets":[{at},{end}]}},"#);
        if extents.len() == 1 {
            gains.push((at, end));
        }
        at = end;
    }
    text.pop();
    text.push('}');
    while text.len() % 8 != 0 {
        text.push(' ');
    }
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.extend(text.into_bytes());
    (bytes, at, gains)
}

/// `config.json`.
pub(crate) fn config(shape: &Shape) -> String {
    format!(
        r#"{{"model_type":"llama","architectures":["LlamaForCausalLM"],"hidden_size":{},"num_attention_heads":{},"num_key_value_heads":{},"num_hidden_layers":{},"intermediate_size":{},"vocab_size":{},"rms_norm_eps":1e-5}}"#,
        shape.residual,
        shape.residual / 128,
        shape.kv / 128,
        shape.layers,
        shape.hidden,
        shape.vocabulary
    )
}

/// A repository with one weight file and its configuration. The digest is of the recipe: nobody reads the whole file to check it.
pub(crate) fn repository(shape: &Shape, recipe: Recipe, table: &Arc<Vec<f32>>) -> Repository {
    let (header, bytes, gains) = header(shape);
    let len = header.len() as u64 + bytes;
    let weights = Weights { header, len, recipe, table: Arc::clone(table), gains };
    let digest = format!("{:016x}{:016x}{:032x}", recipe.seed, recipe.noise.unwrap_or(0), len);
    let config = File { content: Arc::new(config(shape).into_bytes()), sha256: None };
    let files = BTreeMap::from([
        ("config.json".to_owned(), config),
        ("model.safetensors".to_owned(), File { content: Arc::new(weights), sha256: Some(digest) }),
    ]);
    Repository { commit: format!("{:040x}", recipe.seed), files, gated: false }
}
