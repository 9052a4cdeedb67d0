//! What a decoder computes: log-probabilities of the next token, in f64, without a tensor library.

use super::decoder::{Block, CHOSEN, Decoder, Expert, THETA};
use super::matrix::{Matrix, dot};

/// Log-probabilities after each of these tokens, numbered as by the first tokenizer.
pub(crate) fn log_probabilities(model: &Decoder, tokens: &[usize]) -> Vec<Vec<f64>> {
    let mut stream: Vec<Vec<f64>> =
        tokens.iter().map(|token| model.embedding.row(model.rows[*token]).to_vec()).collect();
    for block in &model.blocks {
        let normed: Vec<_> =
            stream.iter().map(|x| rms_norm(x, &block.attention_norm, model.epsilon)).collect();
        for (x, change) in stream.iter_mut().zip(attention(model, block, &normed)) {
            add(x, &change);
        }
        for x in &mut stream {
            let normed = rms_norm(x, &block.feed_forward_norm, model.epsilon);
            add(x, &feed_forward(block, &normed));
        }
    }
    let logits = |x: &Vec<f64>| apply(&model.head, &rms_norm(x, &model.norm, model.epsilon));
    stream
        .iter()
        .map(|x| {
            let logits = logits(x);
            let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let total = largest + logits.iter().map(|x| (x - largest).exp()).sum::<f64>().ln();
            model.rows.iter().map(|row| logits[*row] - total).collect()
        })
        .collect()
}

/// The largest difference of two models' log-probabilities after any of these tokens.
pub(crate) fn drift(a: &Decoder, b: &Decoder, tokens: &[usize]) -> f64 {
    let (a, b) = (log_probabilities(a, tokens), log_probabilities(b, tokens));
    let pairs = a.iter().flatten().zip(b.iter().flatten());
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

fn apply(matrix: &Matrix, x: &[f64]) -> Vec<f64> {
    (0..matrix.rows).map(|i| dot(matrix.row(i), x)).collect()
}

fn add(x: &mut [f64], change: &[f64]) {
    x.iter_mut().zip(change).for_each(|(x, change)| *x += change);
}

fn rms_norm(x: &[f64], gain: &[f64], epsilon: f64) -> Vec<f64> {
    let inverse = 1.0 / (dot(x, x) / x.len() as f64 + epsilon).sqrt();
    x.iter().zip(gain).map(|(x, gain)| x * inverse * gain).collect()
}

fn attention(model: &Decoder, block: &Block, normed: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let width = model.width;
    let turned = |matrix: &Matrix, position: usize| {
        let mut x = apply(matrix, &normed[position]);
        x.chunks_mut(width).for_each(|head| rotate(head, position));
        x
    };
    let queries: Vec<_> = (0..normed.len()).map(|position| turned(&block.query, position)).collect();
    let keys: Vec<_> = (0..normed.len()).map(|position| turned(&block.key, position)).collect();
    let values: Vec<_> = normed.iter().map(|x| apply(&block.value, x)).collect();
    (0..normed.len())
        .map(|position| {
            let mut mixed = vec![0.0; model.heads * width];
            for head in 0..model.heads {
                let shared = head / model.group() * width..(head / model.group() + 1) * width;
                let own = head * width..(head + 1) * width;
                let scores: Vec<f64> = (0..=position)
                    .map(|seen| dot(&queries[position][own.clone()], &keys[seen][shared.clone()]))
                    .map(|score| score / (width as f64).sqrt())
                    .collect();
                let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let weights: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
                let total: f64 = weights.iter().sum();
                for (weight, values) in weights.iter().zip(&values) {
                    let part: Vec<f64> = values[shared.clone()].iter().map(|v| v * weight / total).collect();
                    add(&mut mixed[own.clone()], &part);
                }
            }
            apply(&block.output, &mixed)
        })
        .collect()
}

/// Turns the pairs (i, i + width / 2) by the position's angles.
fn rotate(head: &mut [f64], position: usize) {
    let half = head.len() / 2;
    for i in 0..half {
        let angle = position as f64 * THETA.powf(-(i as f64) / half as f64);
        let (sine, cosine) = angle.sin_cos();
        let (x, y) = (head[i], head[i + half]);
        (head[i], head[i + half]) = (x * cosine - y * sine, y * cosine + x * sine);
    }
}

fn feed_forward(block: &Block, x: &[f64]) -> Vec<f64> {
    let Some(router) = &block.router else { return expert(&block.experts[0], x) };
    let scores = apply(router, x);
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    order.truncate(CHOSEN);
    let weights: Vec<f64> = order.iter().map(|i| (scores[*i] - scores[order[0]]).exp()).collect();
    let total: f64 = weights.iter().sum();
    let mut sum = vec![0.0; x.len()];
    for (i, weight) in order.iter().zip(weights) {
        let part: Vec<f64> = expert(&block.experts[*i], x).iter().map(|y| y * weight / total).collect();
        add(&mut sum, &part);
    }
    sum
}

fn expert(expert: &Expert, x: &[f64]) -> Vec<f64> {
    let (gate, up) = (apply(&expert.gate, x), apply(&expert.up, x));
    let units: Vec<f64> = gate.iter().zip(&up).map(|(gate, up)| gate / (1.0 + (-gate).exp()) * up).collect();
    apply(&expert.down, &units)
}
