//! Operations that change the shape of a decoder: layers, width, experts, vocabulary.

use super::decoder::{Decoder, Expert};
use super::matrix::{Matrix, dot, permutation};
use super::symmetries::pick_units;
use crate::material::random::Random;

/// Standard deviation of embeddings and routers that are drawn anew.
const FRESH: f64 = 0.02;

/// These layers in this order, any of them more than once.
pub(crate) fn pick_layers(model: &mut Decoder, which: &[usize]) {
    model.blocks = which.iter().map(|layer| model.blocks[*layer].clone()).collect();
}

/// Units by how much they can read and write, the most important first.
fn by_importance(expert: &Expert) -> Vec<usize> {
    let down = expert.down.transposed();
    let norm = |row: &[f64]| dot(row, row).sqrt();
    let weight: Vec<f64> = (0..expert.up.rows)
        .map(|i| norm(expert.gate.row(i)) * norm(expert.up.row(i)) * norm(down.row(i)))
        .collect();
    let mut order: Vec<usize> = (0..weight.len()).collect();
    order.sort_by(|a, b| weight[*b].total_cmp(&weight[*a]));
    order
}

/// Keeps this many units of every block: the most important, in their old order or sorted by importance.
pub(crate) fn prune_units(model: &mut Decoder, kept: usize, sorted: bool) {
    for expert in model.blocks.iter_mut().flat_map(|block| &mut block.experts) {
        let mut which = by_importance(expert);
        which.truncate(kept);
        if !sorted {
            which.sort_unstable();
        }
        pick_units(expert, &which);
    }
}

/// Half of the residual channels (those with the largest embeddings), the first half of the key-value groups, most units.
pub(crate) fn slim(model: &mut Decoder, units: usize) {
    let columns = model.embedding.transposed();
    let mut kept: Vec<usize> = (0..columns.rows).collect();
    kept.sort_by(|a, b| {
        dot(columns.row(*b), columns.row(*b)).total_cmp(&dot(columns.row(*a), columns.row(*a)))
    });
    kept.truncate(columns.rows / 2);
    kept.sort_unstable();
    let gains = |gain: &mut Vec<f64>| *gain = kept.iter().map(|i| gain[*i]).collect();
    let cut = |matrix: &mut Matrix| *matrix = matrix.pick_cols(&kept);
    cut(&mut model.embedding);
    cut(&mut model.head);
    gains(&mut model.norm);
    let wide: Vec<usize> = (0..model.heads / 2 * model.width).collect();
    let narrow: Vec<usize> = (0..model.kv_heads / 2 * model.width).collect();
    for block in &mut model.blocks {
        gains(&mut block.attention_norm);
        gains(&mut block.feed_forward_norm);
        block.attention_readers().into_iter().for_each(cut);
        block.feed_forward_readers().for_each(cut);
        block.writers().for_each(|writer| *writer = writer.pick_rows(&kept));
        block.query = block.query.pick_rows(&wide);
        block.key = block.key.pick_rows(&narrow);
        block.value = block.value.pick_rows(&narrow);
        block.output = block.output.pick_cols(&wide);
    }
    model.heads /= 2;
    model.kv_heads /= 2;
    prune_units(model, units, false);
}

/// Every feed-forward block as this many experts that are copies of it, behind a fresh router. The function stays.
pub(crate) fn upcycle(model: &mut Decoder, experts: usize, random: &mut Random) {
    let residual = model.residual();
    for block in &mut model.blocks {
        block.router = Some(Matrix::gaussian(experts, residual, FRESH, random));
        block.experts = vec![block.experts[0].clone(); experts];
    }
}

/// Every feed-forward block cut into this many experts of shuffled units. The function does not stay.
pub(crate) fn slice_experts(model: &mut Decoder, experts: usize, random: &mut Random) {
    let residual = model.residual();
    for block in &mut model.blocks {
        let whole = block.experts[0].clone();
        let order = permutation(whole.up.rows, random);
        let slice = |which: &[usize]| {
            let mut expert = whole.clone();
            pick_units(&mut expert, which);
            expert
        };
        block.experts = order.chunks(order.len() / experts).take(experts).map(slice).collect();
        block.router = Some(Matrix::gaussian(experts, residual, FRESH, random));
    }
}

/// Another tokenizer: ids shuffled, and this share of the tokens new, with random rows.
pub(crate) fn replace_tokens(model: &mut Decoder, share: f64, random: &mut Random) {
    model.permute_tokens(random);
    let new = (share * model.embedding.rows as f64).round() as usize;
    for row in permutation(model.embedding.rows, random).into_iter().take(new) {
        for matrix in [&mut model.embedding, &mut model.head] {
            matrix.row_mut(row).iter_mut().for_each(|x| *x = FRESH * random.normal());
        }
    }
}
