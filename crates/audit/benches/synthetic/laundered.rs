//! A Llama-like model of any size that is nowhere: every element is computed when it is asked for. And the same model laundered: hidden
//! units in another order, the residual stream in another basis with the gains folded in, noise on top.

use super::Shape;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use stemmata_model::{DType, Encoding, ReadError, Storage, Tensor, Weights};
use stemmata_stats::SplitMix64;

/// Normal values from which all weights are made.
const TABLE: usize = 1 << 22;
/// Channels that the rotation mixes with one another, after they were put in another order.
const BLOCK: usize = 16;
/// Standard deviation of the weights, and of the noise as a share of it.
const SIGMA: f32 = 0.02;
const NOISE: f32 = 0.05;

/// What a tensor does, which says how it changes with the basis.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Ones around which gains scatter.
    Gain,
    /// Rows lie in the residual stream; read after the gain of that name.
    Reads(u64, bool),
    /// Columns lie in the residual stream.
    Writes,
    /// As they, and one row or column for each hidden unit.
    UnitReads(u64),
    UnitWrites,
}

struct Entry {
    seed: u64,
    cols: usize,
    kind: Kind,
}

/// One of the two models.
pub(crate) struct Generated {
    tensors: Vec<Tensor>,
    entries: Vec<Entry>,
    normal: Arc<Vec<f32>>,
    residual: usize,
    hidden: usize,
    laundered: bool,
    read: AtomicU64,
}

/// The laundered candidate and its reference.
pub(crate) fn pair(shape: &Shape) -> [Generated; 2] {
    let mut random = SplitMix64::new(11);
    let mut normal: Vec<f32> = (0..TABLE).map(|_| random.normal() as f32).collect();
    // With the mean of a sample the check of each model by itself would see that these weights are no random start.
    let mean = (normal.iter().map(|x| f64::from(*x)).sum::<f64>() / TABLE as f64) as f32;
    normal.iter_mut().for_each(|x| *x -= mean);
    normal.extend_from_within(..shape.hidden.max(shape.residual) as usize);
    let normal = Arc::new(normal);
    [true, false].map(|laundered| Generated::new(shape, normal.clone(), laundered))
}

impl Generated {
    fn new(shape: &Shape, normal: Arc<Vec<f32>>, laundered: bool) -> Generated {
        let mut list: Vec<(String, [u64; 2])> = super::tensors(shape);
        let d = shape.residual;
        for layer in 0..shape.layers {
            for norm in ["input_layernorm", "post_attention_layernorm"] {
                list.push((format!("model.layers.{layer}.{norm}.weight"), [1, d]));
            }
        }
        list.push(("model.norm.weight".to_owned(), [1, d]));
        list.sort();
        let (tensors, entries) =
            list.into_iter().map(|(name, [rows, cols])| entry(&name, rows, cols)).unzip();
        let (residual, hidden) = (d as usize, shape.hidden as usize);
        Generated { tensors, entries, normal, residual, hidden, laundered, read: AtomicU64::new(0) }
    }

    /// Adds `scale` times normal values of one seed.
    fn add_normal(&self, seed: u64, scale: f32, out: &mut [f32]) {
        let mut random = SplitMix64::new(seed);
        let mut slice = || &self.normal[random.next_u64() as usize % TABLE..][..out.len()];
        let (a, b) = (slice(), slice());
        let scale = scale * std::f32::consts::FRAC_1_SQRT_2;
        out.iter_mut().zip(a).zip(b).for_each(|((x, a), b)| *x += scale * (a + b));
    }

    fn base_row(&self, entry: &Entry, row: usize, out: &mut [f32]) {
        out.fill(0.0);
        self.add_normal(entry.seed ^ row as u64, SIGMA, out);
    }

    fn gain(&self, seed: u64) -> Vec<f32> {
        let mut gain = vec![1.0; self.residual];
        self.add_normal(seed, 0.2, &mut gain);
        gain
    }

    fn row(&self, entry: &Entry, row: usize, out: &mut [f32]) {
        match (entry.kind, self.laundered) {
            (Kind::Gain, false) => out.copy_from_slice(&self.gain(entry.seed)),
            (Kind::Gain, true) => out.fill(1.0),
            (_, false) => self.base_row(entry, row, out),
            (Kind::Reads(gain, gained), true) => {
                self.base_row(entry, row, out);
                self.fold_and_rotate(gained.then_some(gain), out);
            }
            (Kind::UnitReads(gain), true) => {
                self.base_row(entry, self.unit(row), out);
                self.fold_and_rotate(Some(gain), out);
            }
            (Kind::Writes | Kind::UnitWrites, true) => {
                let (block, at) = (row / BLOCK, row % BLOCK);
                let mut whole = vec![0.0; entry.cols];
                let mut one = vec![0.0; entry.cols];
                for k in 0..BLOCK {
                    let (from, sign) = self.channel(block * BLOCK + k);
                    let sign = if (at & k).count_ones() % 2 == 0 { sign } else { -sign };
                    self.base_row(entry, from, &mut one);
                    whole.iter_mut().zip(&one).for_each(|(sum, x)| *sum += 0.25 * sign * x);
                }
                let moved = entry.kind == Kind::UnitWrites;
                out.iter_mut()
                    .enumerate()
                    .for_each(|(u, x)| *x = whole[if moved { self.unit(u) } else { u }]);
            }
        }
        if self.laundered && entry.kind != Kind::Gain {
            self.add_normal(!entry.seed ^ row as u64, NOISE * SIGMA, out);
        }
    }

    /// Where a hidden unit of the laundered model was before.
    fn unit(&self, unit: usize) -> usize {
        (unit * 4001 + 17) % self.hidden
    }

    /// Where a channel of the laundered model was before its block was mixed, and its sign.
    fn channel(&self, i: usize) -> (usize, f32) {
        let sign = SplitMix64::new(i as u64 ^ 0xc0ff_ee00).next_u64() & 1;
        ((i * 2731 + 5) % self.residual, if sign == 0 { 1.0 } else { -1.0 })
    }

    fn fold_and_rotate(&self, gain: Option<u64>, row: &mut [f32]) {
        if let Some(seed) = gain {
            row.iter_mut().zip(self.gain(seed)).for_each(|(x, g)| *x *= g);
        }
        let before = row.to_vec();
        for (i, x) in row.iter_mut().enumerate() {
            let (from, sign) = self.channel(i);
            *x = 0.25 * sign * before[from];
        }
        // Walsh and Hadamard's transform of each block.
        for block in row.chunks_exact_mut(BLOCK) {
            for half in [1, 2, 4, 8] {
                for i in (0..BLOCK).filter(|i| i & half == 0) {
                    let (a, b) = (block[i], block[i + half]);
                    (block[i], block[i + half]) = (a + b, a - b);
                }
            }
        }
    }
}

fn entry(name: &str, rows: u64, cols: u64) -> (Tensor, Entry) {
    let seed = |name: &str| {
        let mix = |h: u64, b: u8| SplitMix64::new(h ^ u64::from(b)).next_u64();
        name.bytes().fold(7, mix) << 20
    };
    let layer = name.strip_prefix("model.layers.").and_then(|rest| rest.split('.').next()).unwrap_or("");
    let norm = |which: &str| seed(&format!("model.layers.{layer}.{which}.weight"));
    let has = |part: &str| name.contains(part);
    let kind = match () {
        () if has("norm") => Kind::Gain,
        () if has("o_proj") => Kind::Writes,
        () if has("down_proj") => Kind::UnitWrites,
        () if has("mlp") => Kind::UnitReads(norm("post_attention_layernorm")),
        () if has("self_attn") => Kind::Reads(norm("input_layernorm"), true),
        () if has("lm_head") => Kind::Reads(seed("model.norm.weight"), true),
        () => Kind::Reads(0, false),
    };
    let shape = if kind == Kind::Gain { vec![cols] } else { vec![rows, cols] };
    let storage = Storage { file: 0, offset: 0, len: rows * cols * 2, strides: None };
    let tensor = Tensor { name: name.to_owned(), shape, encoding: Encoding::Plain(DType::BF16), storage };
    (tensor, Entry { seed: seed(name), cols: cols as usize, kind })
}

impl Weights for Generated {
    fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    fn read(&self, tensor: usize, start: u64, out: &mut [f32]) -> Result<(), ReadError> {
        let entry = &self.entries[tensor];
        let mut row = vec![0.0; entry.cols];
        let mut at = start as usize;
        let mut left = out;
        while !left.is_empty() {
            let within = at % entry.cols;
            let (now, later) = left.split_at_mut(left.len().min(entry.cols - within));
            self.row(entry, at / entry.cols, &mut row);
            now.copy_from_slice(&row[within..within + now.len()]);
            at += now.len();
            left = later;
        }
        self.read.fetch_add(2 * (at as u64 - start), Ordering::Relaxed);
        Ok(())
    }

    fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }
}
