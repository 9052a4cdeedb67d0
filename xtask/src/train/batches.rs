//! Which tokens come at which step, and how well a text can be predicted without reading it in order.

use crate::material::random::Random;

/// Windows of a token stream.
#[derive(Debug)]
pub(crate) struct Batch {
    /// [size, length], row by row.
    pub(crate) inputs: Vec<u32>,
    /// The token after each input.
    pub(crate) targets: Vec<u32>,
    /// Number of windows.
    pub(crate) size: usize,
}

impl Batch {
    /// Windows at random places; the order of the data is the state of `random`.
    pub(crate) fn draw(random: &mut Random, stream: &[u32], size: usize, length: usize) -> Self {
        let starts: Vec<usize> = (0..size).map(|_| random.below(stream.len() - length)).collect();
        let window = |shift: usize| {
            starts.iter().flat_map(|start| &stream[start + shift..][..length]).copied().collect()
        };
        Self { inputs: window(0), targets: window(1), size }
    }

    /// Every target counts the same.
    pub(crate) fn weights(&self) -> Vec<f32> {
        vec![1.0; self.targets.len()]
    }
}

/// Entropy in nats of the tokens' own frequencies: what is left to a model that ignores the context.
pub(crate) fn unigram_entropy(stream: &[u32]) -> f64 {
    let mut counts = std::collections::BTreeMap::<u32, usize>::new();
    stream.iter().for_each(|id| *counts.entry(*id).or_default() += 1);
    let total = stream.len() as f64;
    counts.values().map(|count| *count as f64 / total).map(|share| -share * share.ln()).sum()
}
