//! Synthetic bf16 checkpoints in the Llama layout: Gaussian weights, and a second one with noise added.

#![allow(dead_code, reason = "each benchmark uses a part")]

pub(crate) mod laundered;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use stemmata_model::Weights;
use stemmata_stats::SplitMix64;

/// The weight file's name.
pub(crate) const FILE: &str = "model.safetensors";

/// Extents of a Llama-like model.
pub(crate) struct Shape {
    pub(crate) layers: u64,
    pub(crate) residual: u64,
    pub(crate) hidden: u64,
    pub(crate) kv: u64,
    pub(crate) vocabulary: u64,
}

/// About 2.3 GB.
pub(crate) const SMALL: Shape =
    Shape { layers: 4, residual: 4096, hidden: 14336, kv: 1024, vocabulary: 32_000 };
/// The shapes of Llama 3.1 8B, 16.1 GB.
pub(crate) const LLAMA_8B: Shape =
    Shape { layers: 32, residual: 4096, hidden: 14336, kv: 1024, vocabulary: 128_256 };

/// The shapes of Llama 3.1 70B, 141 GB.
pub(crate) const LLAMA_70B: Shape =
    Shape { layers: 80, residual: 8192, hidden: 28672, kv: 1024, vocabulary: 128_256 };

fn tensors(shape: &Shape) -> Vec<(String, [u64; 2])> {
    let (d, h, kv) = (shape.residual, shape.hidden, shape.kv);
    let mut list = vec![("model.embed_tokens.weight".to_owned(), [shape.vocabulary, d])];
    for layer in 0..shape.layers {
        for (name, extents) in [
            ("self_attn.q_proj", [d, d]),
            ("self_attn.k_proj", [kv, d]),
            ("self_attn.v_proj", [kv, d]),
            ("self_attn.o_proj", [d, d]),
            ("mlp.gate_proj", [h, d]),
            ("mlp.up_proj", [h, d]),
            ("mlp.down_proj", [d, h]),
        ] {
            list.push((format!("model.layers.{layer}.{name}.weight"), extents));
        }
    }
    list.push(("lm_head.weight".to_owned(), [shape.vocabulary, d]));
    list
}

/// Writes candidate and reference under `root` unless they are there; returns their directories.
pub(crate) fn pair(root: &Path, shape: &Shape) -> [PathBuf; 2] {
    ["candidate", "reference"].map(|name| {
        let directory = root.join(name);
        let done = directory.join("done");
        if !done.exists() {
            std::fs::create_dir_all(&directory).expect("the target directory is writable");
            write(&directory, shape, name == "candidate").expect("enough disk for the benchmark");
            std::fs::write(done, "").expect("the target directory is writable");
        }
        directory
    })
}

fn write(directory: &Path, shape: &Shape, noisy: bool) -> std::io::Result<()> {
    let list: Vec<_> = tensors(shape).into_iter().map(|(name, extents)| (name, extents.to_vec())).collect();
    let (mut out, at) = begin(directory, shape, &list)?;
    // Weights and noise come from tables of 64 Ki normal values: two sums of two look-ups per random word.
    let mut random = SplitMix64::new(1);
    let half: Vec<f32> = (0..32_768).map(|_| 0.02 * random.normal() as f32).collect();
    // With the mean of a sample the check of each model by itself would see that these weights are no random start.
    let table: Vec<f32> = half.iter().flat_map(|x| [*x, -*x]).collect();
    let (mut weights, mut noise) =
        (SplitMix64::new(0x243f_6a88_85a3_08d3), SplitMix64::new(0x1319_8a2e_0370_7344));
    let mut chunk = Vec::with_capacity(1 << 16);
    let mut left = at / 2;
    while left > 0 {
        chunk.clear();
        while chunk.len() < 1 << 16 && left > 0 {
            let (w, n) = (weights.next_u64(), noise.next_u64());
            // Two look-ups a value: 65 536 values alone leave a correlation of their rounding errors that billions of them show.
            let normal = |word: u64, i: u64| {
                let half = |shift: u64| table[(word >> (32 * i + shift)) as usize & 0xffff];
                std::f32::consts::FRAC_1_SQRT_2 * (half(0) + half(16))
            };
            for i in 0..left.min(2) {
                let value = normal(w, i);
                let added = if noisy { 0.05 * normal(n, i) } else { 0.0 };
                chunk.extend_from_slice(&half::bf16::from_f32(value + added).to_bits().to_le_bytes());
            }
            left = left.saturating_sub(2);
        }
        out.write_all(&chunk)?;
    }
    out.into_inner()?.sync_all()
}

/// Writes configuration and header; returns the file, at its first weight, and how many bytes of weights there are.
fn begin(
    directory: &Path,
    shape: &Shape,
    tensors: &[(String, Vec<u64>)],
) -> std::io::Result<(BufWriter<File>, u64)> {
    std::fs::write(directory.join("config.json"), config(shape))?;
    let (mut header, mut at) = (String::from("{"), 0);
    for (name, shape) in tensors {
        let end = at + shape.iter().product::<u64>() * 2;
        header += &format!(r#""{name}":{{"dtype":"BF16","shape":{shape:?},"data_offsets":[{at},{end}]}},"#);
        at = end;
    }
    header.pop();
    header.push('}');
    while header.len() % 8 != 0 {
        header.push(' ');
    }
    let mut out = BufWriter::with_capacity(1 << 22, File::create(directory.join(FILE))?);
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    Ok((out, at))
}

/// `config.json` of a Llama-like model.
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

/// Writes a computed model as bf16.
pub(crate) fn write_generated(directory: &Path, shape: &Shape, weights: &dyn Weights) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    let tensors = weights.tensors();
    let list: Vec<_> = tensors.iter().map(|t| (t.name.clone(), t.shape.clone())).collect();
    let (mut out, _) = begin(directory, shape, &list)?;
    let mut values = Vec::new();
    for (index, tensor) in tensors.iter().enumerate() {
        let step = 16 * tensor.shape.last().copied().unwrap_or(1);
        let mut start = 0;
        while start < tensor.elements() {
            values.resize(step.min(tensor.elements() - start) as usize, 0.0_f32);
            weights.read(index, start, &mut values).expect("computed weights can be read");
            for x in &values {
                out.write_all(&half::bf16::from_f32(*x).to_bits().to_le_bytes())?;
            }
            start += values.len() as u64;
        }
    }
    out.into_inner()?.sync_all()
}
