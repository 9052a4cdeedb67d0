//! Operations on the numbers themselves: noise, rounding, zeros, sums with other models.

use super::decoder::{Block, Decoder};
use super::matrix::Matrix;
use crate::material::random::Random;

/// Values that share a step when rounded to a few bits.
const GROUP: usize = 32;

/// Gaussian noise on every matrix, `share` times the matrix's own deviation.
pub(crate) fn add_noise(model: &mut Decoder, share: f64, random: &mut Random) {
    let mut noise = |matrix: &mut Matrix| {
        let deviation = share * matrix.deviation();
        matrix.values.iter_mut().for_each(|x| *x += deviation * random.normal());
    };
    noise(&mut model.embedding);
    noise(&mut model.head);
    model.blocks.iter_mut().flat_map(Block::matrices_mut).for_each(noise);
}

/// Round to nearest, symmetric, one step per group of 32 of a row: the layers' matrices.
pub(crate) fn quantise(model: &mut Decoder, bits: u32) {
    let largest = f64::from((1_u32 << (bits - 1)) - 1);
    for matrix in model.blocks.iter_mut().flat_map(Block::matrices_mut) {
        for row in matrix.values.chunks_mut(matrix.cols) {
            for group in row.chunks_mut(GROUP) {
                let step = group.iter().fold(0.0_f64, |most, x| most.max(x.abs())) / largest;
                if step > 0.0 {
                    group.iter_mut().for_each(|x| *x = (*x / step).round() * step);
                }
            }
        }
    }
}

/// Sets the smaller half of every layer matrix to zero.
pub(crate) fn prune_half(model: &mut Decoder) {
    for matrix in model.blocks.iter_mut().flat_map(Block::matrices_mut) {
        let mut sizes: Vec<f64> = matrix.values.iter().map(|x| x.abs()).collect();
        sizes.sort_by(f64::total_cmp);
        let limit = sizes[sizes.len() / 2];
        matrix.values.iter_mut().filter(|x| x.abs() < limit).for_each(|x| *x = 0.0);
    }
}

/// Sets the two smaller of every four values along a row of every layer matrix to zero.
pub(crate) fn prune_two_of_four(model: &mut Decoder) {
    for matrix in model.blocks.iter_mut().flat_map(Block::matrices_mut) {
        for four in matrix.values.chunks_mut(4) {
            let mut order: Vec<usize> = (0..four.len()).collect();
            order.sort_by(|a, b| four[*a].abs().total_cmp(&four[*b].abs()));
            order.iter().take(2).for_each(|i| four[*i] = 0.0);
        }
    }
}

/// Zeros wherever a layer matrix of `pattern` has them.
pub(crate) fn zero_where(model: &mut Decoder, pattern: &mut Decoder) {
    let matrices = model.blocks.iter_mut().flat_map(Block::matrices_mut);
    for (matrix, pattern) in matrices.zip(pattern.blocks.iter_mut().flat_map(Block::matrices_mut)) {
        let zeros = matrix.values.iter_mut().zip(&pattern.values).filter(|(_, pattern)| **pattern == 0.0);
        zeros.for_each(|(x, _)| *x = 0.0);
    }
}

/// `share` of this model and the rest of another one, tensor by tensor, gains included.
pub(crate) fn merge(model: &mut Decoder, other: &Decoder, share: f64) {
    let mut other = other.clone();
    let mix = |x: &mut [f64], y: &[f64]| {
        x.iter_mut().zip(y).for_each(|(x, y)| *x = share * *x + (1.0 - share) * y);
    };
    mix(&mut model.embedding.values, &other.embedding.values);
    mix(&mut model.head.values, &other.head.values);
    mix(&mut model.norm, &other.norm);
    for (block, other) in model.blocks.iter_mut().zip(&mut other.blocks) {
        mix(&mut block.attention_norm, &other.attention_norm);
        mix(&mut block.feed_forward_norm, &other.feed_forward_norm);
        block.matrices_mut().zip(other.matrices_mut()).for_each(|(x, y)| mix(&mut x.values, &y.values));
    }
}

/// A random change of this rank on every layer matrix, of `share` times its norm: an adapter merged.
pub(crate) fn add_low_rank(model: &mut Decoder, rank: usize, share: f64, random: &mut Random) {
    for matrix in model.blocks.iter_mut().flat_map(Block::matrices_mut) {
        let left = Matrix::gaussian(matrix.rows, rank, 1.0, random);
        let change = left.times(&Matrix::gaussian(rank, matrix.cols, 1.0, random));
        let scale = share * matrix.deviation() / change.deviation();
        matrix.values.iter_mut().zip(&change.values).for_each(|(x, change)| *x += scale * change);
    }
}

/// ‖A − B‖ / ‖B‖ and the cosine of A and B over the matrices of two dense decoders of one shape.
pub(crate) fn change(model: &Decoder, base: &Decoder) -> (f64, f64) {
    let (arrays, others) = (model.arrays(), base.arrays());
    let (mut differences, mut ours, mut theirs, mut products) = (0.0, 0.0, 0.0, 0.0);
    for (array, other) in arrays.iter().zip(&others).filter(|(array, _)| array.shape.len() > 1) {
        for (x, y) in array.values.iter().zip(&other.values) {
            let (x, y) = (f64::from(*x), f64::from(*y));
            differences += (x - y) * (x - y);
            ours += x * x;
            theirs += y * y;
            products += x * y;
        }
    }
    ((differences / theirs).sqrt(), products / (ours * theirs).sqrt())
}
