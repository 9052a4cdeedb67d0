//! Operations that leave the function of a decoder unchanged.

use super::decoder::{Block, Decoder, Expert};
use super::matrix::{Matrix, factor, permutation, sign};
use crate::material::random::Random;

/// Standard deviation of matrices that are drawn anew.
const FRESH: f64 = 0.02;

/// A random sign for every residual channel.
pub(crate) fn flip_residual_signs(model: &mut Decoder, random: &mut Random) {
    let signs: Vec<f64> = (0..model.residual()).map(|_| sign(random)).collect();
    scale_readers(model, &signs);
    for block in &mut model.blocks {
        for writer in block.writers() {
            signs.iter().enumerate().for_each(|(i, sign)| writer.scale_row(i, *sign));
        }
    }
}

/// Multiplies the columns of everything that reads the stream: embedding, readers, head.
fn scale_readers(model: &mut Decoder, factors: &[f64]) {
    model.embedding.scale_cols(factors);
    model.head.scale_cols(factors);
    for block in &mut model.blocks {
        block.attention_readers().into_iter().for_each(|reader| reader.scale_cols(factors));
        block.feed_forward_readers().for_each(|reader| reader.scale_cols(factors));
    }
}

/// Residual channels in another order, gains with them.
pub(crate) fn permute_residual(model: &mut Decoder, random: &mut Random) {
    let order = permutation(model.residual(), random);
    let gains = |gain: &mut Vec<f64>| *gain = order.iter().map(|i| gain[*i]).collect();
    let columns = |matrix: &mut Matrix| *matrix = matrix.pick_cols(&order);
    columns(&mut model.embedding);
    columns(&mut model.head);
    gains(&mut model.norm);
    for block in &mut model.blocks {
        gains(&mut block.attention_norm);
        gains(&mut block.feed_forward_norm);
        block.attention_readers().into_iter().for_each(columns);
        block.feed_forward_readers().for_each(columns);
        block.writers().for_each(|writer| *writer = writer.pick_rows(&order));
    }
}

/// Multiplies gains into the matrices behind them and leaves others instead.
fn exchange_gains(model: &mut Decoder, mut new: impl FnMut() -> f64) {
    let mut exchange = |gain: &mut Vec<f64>| {
        let factors: Vec<f64> = gain
            .iter_mut()
            .map(|gain| {
                let old = std::mem::replace(gain, new());
                old / *gain
            })
            .collect();
        factors
    };
    let factors = exchange(&mut model.norm);
    model.head.scale_cols(&factors);
    for block in &mut model.blocks {
        let factors = exchange(&mut block.attention_norm);
        block.attention_readers().into_iter().for_each(|reader| reader.scale_cols(&factors));
        let factors = exchange(&mut block.feed_forward_norm);
        block.feed_forward_readers().for_each(|reader| reader.scale_cols(&factors));
    }
}

/// Random positive gains, the old ones folded into the matrices.
pub(crate) fn replace_gains(model: &mut Decoder, random: &mut Random) {
    exchange_gains(model, || factor(random));
}

/// Rotates the residual stream; gains are folded into the matrices, embedding and head are untied.
pub(crate) fn rotate_residual(model: &mut Decoder, random: &mut Random) {
    exchange_gains(model, || 1.0);
    let rotation = Matrix::orthogonal(model.residual(), random);
    let back = rotation.transposed();
    let reader = |matrix: &mut Matrix| *matrix = matrix.times(&rotation);
    reader(&mut model.embedding);
    reader(&mut model.head);
    for block in &mut model.blocks {
        block.attention_readers().into_iter().for_each(reader);
        block.feed_forward_readers().for_each(reader);
        block.writers().for_each(|writer| *writer = back.times(writer));
    }
}

/// The whole stream three times as large, and what is added to its mean square with it.
pub(crate) fn scale_residual(model: &mut Decoder, _: &mut Random) {
    const SCALE: f64 = 3.0;
    let scale = |matrix: &mut Matrix| matrix.values.iter_mut().for_each(|x| *x *= SCALE);
    scale(&mut model.embedding);
    model.blocks.iter_mut().flat_map(Block::writers).for_each(scale);
    model.epsilon *= SCALE * SCALE;
}

/// Hidden units in another order, in each expert its own.
pub(crate) fn permute_units(model: &mut Decoder, random: &mut Random) {
    for expert in model.blocks.iter_mut().flat_map(|block| &mut block.experts) {
        let order = permutation(expert.up.rows, random);
        pick_units(expert, &order);
    }
}

/// Keeps these units in this order.
pub(crate) fn pick_units(expert: &mut Expert, which: &[usize]) {
    expert.gate = expert.gate.pick_rows(which);
    expert.up = expert.up.pick_rows(which);
    expert.down = expert.down.pick_cols(which);
}

/// What a unit reads times a positive factor, what it writes divided by it.
pub(crate) fn scale_units(model: &mut Decoder, random: &mut Random) {
    scale_units_by(model, || factor(random));
}

/// The same with random signs.
pub(crate) fn scale_units_signed(model: &mut Decoder, random: &mut Random) {
    scale_units_by(model, || sign(random) * factor(random));
}

fn scale_units_by(model: &mut Decoder, mut draw: impl FnMut() -> f64) {
    for expert in model.blocks.iter_mut().flat_map(|block| &mut block.experts) {
        for unit in 0..expert.up.rows {
            let by = draw();
            expert.up.scale_row(unit, by);
            expert.down.scale_col(unit, 1.0 / by);
        }
    }
}

/// Key-value groups in another order, and the query heads of each group in another order.
pub(crate) fn permute_heads(model: &mut Decoder, random: &mut Random) {
    let (group, width, kv_heads) = (model.group(), model.width, model.kv_heads);
    let channels = |heads: &[usize]| -> Vec<usize> {
        heads.iter().flat_map(|head| head * width..(head + 1) * width).collect()
    };
    for block in &mut model.blocks {
        let groups = permutation(kv_heads, random);
        let heads: Vec<usize> = groups
            .iter()
            .flat_map(|old| permutation(group, random).into_iter().map(move |head| old * group + head))
            .collect();
        let (narrow, wide) = (channels(&groups), channels(&heads));
        block.query = block.query.pick_rows(&wide);
        block.key = block.key.pick_rows(&narrow);
        block.value = block.value.pick_rows(&narrow);
        block.output = block.output.pick_cols(&wide);
    }
}

/// Every value channel times a factor with a sign, the columns that read it divided by it.
pub(crate) fn scale_values(model: &mut Decoder, random: &mut Random) {
    let (group, width) = (model.group(), model.width);
    for block in &mut model.blocks {
        for channel in 0..block.value.rows {
            let by = sign(random) * factor(random);
            block.value.scale_row(channel, by);
            for head in channel / width * group..(channel / width + 1) * group {
                block.output.scale_col(head * width + channel % width, 1.0 / by);
            }
        }
    }
}

/// The values of every key-value head mixed by a random invertible matrix, undone in the columns that read them.
pub(crate) fn mix_values(model: &mut Decoder, random: &mut Random) {
    let (group, width, kv_heads) = (model.group(), model.width, model.kv_heads);
    for block in &mut model.blocks {
        for kv in 0..kv_heads {
            let (mix, back) = Matrix::invertible(width, random);
            let rows: Vec<usize> = (kv * width..(kv + 1) * width).collect();
            let mixed = mix.times(&block.value.pick_rows(&rows));
            rows.iter()
                .enumerate()
                .for_each(|(i, row)| block.value.row_mut(*row).copy_from_slice(mixed.row(i)));
            for head in kv * group..(kv + 1) * group {
                let columns: Vec<usize> = (head * width..(head + 1) * width).collect();
                let undone = block.output.pick_cols(&columns).times(&back);
                for i in 0..undone.rows {
                    block.output.row_mut(i)[head * width..(head + 1) * width].copy_from_slice(undone.row(i));
                }
            }
        }
    }
}

/// Queries of every rotary pair times a positive factor, keys divided by it.
pub(crate) fn scale_queries(model: &mut Decoder, random: &mut Random) {
    change_pairs(model, || (factor(random), 0.0));
}

/// Queries and keys of every rotary pair turned by the same angle.
pub(crate) fn turn_queries(model: &mut Decoder, random: &mut Random) {
    change_pairs(model, || (1.0, std::f64::consts::TAU * random.unit()));
}

/// `draw` gives factor and angle of each pair of each key-value head.
fn change_pairs(model: &mut Decoder, mut draw: impl FnMut() -> (f64, f64)) {
    let (group, width, half) = (model.group(), model.width, model.width / 2);
    let turn = |matrix: &mut Matrix, head: usize, pair: usize, (by, angle): (f64, f64)| {
        let (first, second) = (head * width + pair, head * width + pair + half);
        let (sine, cosine) = angle.sin_cos();
        for j in 0..matrix.cols {
            let (x, y) = (matrix.at(first, j), matrix.at(second, j));
            matrix.row_mut(first)[j] = by * (x * cosine - y * sine);
            matrix.row_mut(second)[j] = by * (x * sine + y * cosine);
        }
    };
    for block in &mut model.blocks {
        for kv in 0..block.key.rows / width {
            for pair in 0..half {
                let (by, angle) = draw();
                turn(&mut block.key, kv, pair, (1.0 / by, angle));
                for head in kv * group..(kv + 1) * group {
                    turn(&mut block.query, head, pair, (by, angle));
                }
            }
        }
    }
}

/// One vector added to every row of the head, and a constant to every row of a router: softmax does not see either.
pub(crate) fn shift_softmax(model: &mut Decoder, random: &mut Random) {
    let mut shift = |matrix: &mut Matrix| {
        let deviation = matrix.deviation();
        let by: Vec<f64> = (0..matrix.cols).map(|_| deviation * random.normal()).collect();
        for row in matrix.values.chunks_mut(by.len()) {
            row.iter_mut().zip(&by).for_each(|(x, by)| *x += by);
        }
    };
    shift(&mut model.head);
    model.blocks.iter_mut().filter_map(|block| block.router.as_mut()).for_each(shift);
}

/// A block that writes nothing, before the block of this number; what it reads with is random.
pub(crate) fn insert_block(model: &mut Decoder, before: usize, random: &mut Random) {
    let Some(mut block) = model.blocks.first().cloned() else { return };
    for matrix in block.matrices_mut() {
        *matrix = Matrix::gaussian(matrix.rows, matrix.cols, FRESH, random);
    }
    block.writers().for_each(|writer| *writer = Matrix::zeros(writer.rows, writer.cols));
    block.attention_norm.fill(1.0);
    block.feed_forward_norm.fill(1.0);
    model.blocks.insert(before.min(model.blocks.len()), block);
}

/// A quarter of the units twice, each copy writing half, and as many units again that write nothing, all shuffled.
pub(crate) fn widen_units(model: &mut Decoder, random: &mut Random) {
    for expert in model.blocks.iter_mut().flat_map(|block| &mut block.experts) {
        let units = expert.up.rows;
        let twice: Vec<usize> = permutation(units, random).into_iter().take(units / 4).collect();
        let dead: Vec<usize> = (0..twice.len()).collect();
        twice.iter().for_each(|unit| expert.down.scale_col(*unit, 0.5));
        let all: Vec<usize> = (0..units).chain(twice).chain(dead.iter().copied()).collect();
        pick_units(expert, &all);
        for unit in all.len() - dead.len()..all.len() {
            for matrix in [&mut expert.gate, &mut expert.up] {
                matrix.row_mut(unit).iter_mut().for_each(|x| *x = FRESH * random.normal());
            }
            expert.down.scale_col(unit, 0.0);
        }
        let order = permutation(all.len(), random);
        pick_units(expert, &order);
    }
}

/// Experts in another order, router rows with them.
pub(crate) fn permute_experts(model: &mut Decoder, random: &mut Random) {
    for block in &mut model.blocks {
        let Some(router) = &mut block.router else { continue };
        let order = permutation(block.experts.len(), random);
        *router = router.pick_rows(&order);
        block.experts = order.iter().map(|i| block.experts[*i].clone()).collect();
    }
}

/// Every symmetry of a dense decoder that leaves the numbering of tokens and layers alone.
pub(crate) fn all(model: &mut Decoder, random: &mut Random) {
    rotate_residual(model, random);
    replace_gains(model, random);
    permute_units(model, random);
    scale_units_signed(model, random);
    permute_heads(model, random);
    mix_values(model, random);
    scale_queries(model, random);
    turn_queries(model, random);
}
