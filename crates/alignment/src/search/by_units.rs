//! The frame by units: what nobody can relabel away when the embeddings were replaced.
//!
//! Gate rows know one another: how large a row is, and how much of the other rows of its own and of other layers lies along it,
//! changes neither with the basis of the residual stream nor with the order of units. Units that are alike in these invariants
//! give a first rotation (orthogonal Procrustes, Schönemann 1966), the rotation gives better pairs, and so on (METHODS 5.3). Only
//! gates have a say, so sign tests of what their units read and write stay exact in this frame, too.

use super::features::Block;
use super::frame::{Directions, Frame, Hypothesis};
use super::matching::nearest;
use super::matrix::{Columns, centre, normalise};
use super::{QUERIES, on_both, picks};
use nalgebra::DMatrix;
use stemmata_fingerprint::CountSketch;
use stemmata_model::{ReadError, Weights};

/// Widest residual stream that is rotated whole; of a wider one the directions in which gates are largest.
const KEPT: usize = 256;
/// Rotations solved one after the other; the first few in the leading directions only, in which chance has least of a say.
const ROUNDS: usize = 8;
const GROWING: usize = 6;
/// Passes over the gates that look for their leading directions (Halko, Martinsson and Tropp 2011).
const PASSES: usize = 2;
/// Share of the largest variance below which a combination of invariants is left as it is.
const RIDGE: f64 = 1e-4;

/// The frame by units from some layers of both models (`blocks[layer][side]`), all of one width on each side. `None` without
/// gates. O(units · residual · K + units² · K) time for each layer, memory O(units · K), K at most 256.
pub(crate) fn by_units(
    weights: [&dyn Weights; 2],
    blocks: &[[Block<'_>; 2]],
    threads: usize,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<Option<Frame>, ReadError> {
    let Some(first) = blocks.first() else { return Ok(None) };
    let widths = [0, 1].map(|side| first[side].residual() as usize);
    let alike = |pair: &[Block<'_>; 2]| {
        (0..2).all(|s| pair[s].is_gated() && pair[s].residual() as usize == widths[s])
    };
    let kept = widths[0].min(widths[1]).min(KEPT);
    if !blocks.iter().all(alike) || kept < 8 {
        return Ok(None);
    }
    let (c, r) = on_both(|side| {
        let of_side = || blocks.iter().map(|pair| &pair[side]);
        let basis = leading(weights[side], &of_side().collect::<Vec<_>>(), widths[side], kept, stop)?;
        let directions = Directions::Dense(basis.clone());
        let gates = blocks.iter().map(|pair| {
            let picked = &picks(pair[0].units(), pair[1].units(), QUERIES)[side];
            let mut gates = pair[side].keys(weights[side], &directions, picked, stop)?;
            centre(&mut gates);
            Ok(gates)
        });
        Ok((basis, gates.collect::<Result<Vec<_>, ReadError>>()?))
    });
    let ((c_basis, c), (r_basis, r)) = (c?, r?);
    let Some(found) = align(&c, &r, threads, stop)? else { return Ok(None) };
    let [candidate, reference] = [found.rotations[0].clone() * c_basis, found.rotations[1].clone() * r_basis];
    let finite = |m: &Columns| m.iter().all(|x| x.is_finite());
    Ok((finite(&candidate) && finite(&reference)).then_some(Frame {
        hypothesis: Hypothesis::ByUnits { units: found.pairs },
        candidate: Directions::Dense(candidate),
        reference: Directions::Dense(reference),
        channels: Vec::new(),
    }))
}

/// `kept` orthonormal directions of a `width`-wide residual space in which the gates of these layers are largest; all of them
/// where as many are kept.
fn leading(
    weights: &dyn Weights,
    blocks: &[&Block<'_>],
    width: usize,
    kept: usize,
    stop: &dyn Fn() -> bool,
) -> Result<Columns, ReadError> {
    if kept == width {
        return Ok(Columns::identity(width, width));
    }
    // A start that has every channel in one direction; two passes turn it to where the weights are.
    let hash = CountSketch::new(width, kept, 2);
    let mut basis = Columns::zeros(kept, width);
    for channel in 0..width {
        let (direction, sign) = hash.slot(channel);
        basis[(direction, channel)] = sign;
    }
    for _ in 0..PASSES {
        let mut next = Columns::zeros(width, kept);
        for block in blocks {
            block.each_gate(weights, width, stop, &mut |rows| {
                let along = &basis * &rows;
                next.gemm(1.0, &rows, &along.transpose(), 1.0);
            })?;
        }
        basis = next.qr().q().transpose();
    }
    Ok(basis)
}

/// Rotations of both models' spaces into one, K' × K each, and how many units of all layers they pair.
struct Alignment {
    rotations: [Columns; 2],
    pairs: u64,
}

/// Pairs layers of centred gates (K × units each) and solves the rotation in turn.
fn align(
    candidate: &[Columns],
    reference: &[Columns],
    threads: usize,
    stop: &dyn Fn() -> bool,
) -> Result<Option<Alignment>, ReadError> {
    let (ours, theirs) = (invariants(candidate), invariants(reference));
    let mut pairs: Vec<Vec<(usize, usize)>> = Vec::new();
    for (a, b) in ours.iter().zip(&theirs) {
        let Some((a, b)) = whitened(a, b) else { return Ok(None) };
        pairs.push(nearest(&a, &b, false, threads).mutual().collect());
    }
    let mut rotations = None;
    for round in 0..ROUNDS {
        if stop() {
            return Err(ReadError::Interrupted);
        }
        let Some(both) = procrustes(candidate, reference, &pairs, (round + 1).min(GROWING)) else {
            return Ok(None);
        };
        for ((pairs, c), r) in pairs.iter_mut().zip(candidate).zip(reference) {
            let [mut c, mut r] = [&both[0] * c, &both[1] * r];
            normalise(&mut c);
            normalise(&mut r);
            *pairs = nearest(&c, &r, false, threads).mutual().collect();
        }
        rotations = Some(both);
    }
    let pairs = pairs.iter().map(|pairs| pairs.len() as u64).sum();
    Ok(rotations.map(|rotations| Alignment { rotations, pairs }))
}

/// For each layer the invariants of its units, one column a unit: |x|², xᵀGx for the Gram matrix G of each layer, and xᵀGG'x
/// for each two of them; logarithms.
fn invariants(layers: &[Columns]) -> Vec<DMatrix<f64>> {
    let grams: Vec<Columns> = layers
        .iter()
        .map(|x| {
            let gram = x * x.transpose();
            let trace = gram.trace();
            if trace > 0.0 { gram * (x.nrows() as f32 / trace) } else { gram }
        })
        .collect();
    let product = |a: &Columns, b: &Columns, unit: usize| -> f64 {
        let terms = a
            .column(unit)
            .iter()
            .zip(b.column(unit).iter())
            .map(|(x, y)| f64::from(*x) * f64::from(*y))
            .sum::<f64>();
        terms.max(f64::MIN_POSITIVE).ln()
    };
    let of_layer = |x: &Columns| {
        let images: Vec<Columns> = grams.iter().map(|gram| gram * x).collect();
        let mut list: Vec<(&Columns, &Columns)> = vec![(x, x)];
        list.extend(images.iter().map(|y| (x, y)));
        list.extend(images.iter().enumerate().flat_map(|(i, a)| images[i..].iter().map(move |b| (a, b))));
        DMatrix::from_fn(list.len(), x.ncols(), |which, unit| product(list[which].0, list[which].1, unit))
    };
    layers.iter().map(of_layer).collect()
}

/// Both sets of invariants, each less its mean, in combinations of variance one, as columns of length one.
fn whitened(a: &DMatrix<f64>, b: &DMatrix<f64>) -> Option<(Columns, Columns)> {
    let centred = |m: &DMatrix<f64>| {
        let mean = m.column_mean();
        DMatrix::from_fn(m.nrows(), m.ncols(), |i, j| m[(i, j)] - mean[i])
    };
    let (a, b) = (centred(a), centred(b));
    let covariance = (&a * a.transpose() + &b * b.transpose()) / (a.ncols() + b.ncols()).max(1) as f64;
    if covariance.iter().any(|x| !x.is_finite()) {
        return None;
    }
    let eigen = covariance.symmetric_eigen();
    let ridge = RIDGE * eigen.eigenvalues.max();
    let mut whiten = eigen.eigenvectors.transpose();
    for (mut row, lambda) in whiten.row_iter_mut().zip(eigen.eigenvalues.iter()) {
        let variance = lambda.max(0.0) + ridge;
        row *= if variance > 0.0 { variance.sqrt().recip() } else { 0.0 };
    }
    let [mut a, mut b] = [a, b].map(|m| (&whiten * m).map(|x| x as f32));
    normalise(&mut a);
    normalise(&mut b);
    Some((a, b))
}

/// The rotations that bring the paired gates of all layers together, in `sixths` of all directions, those in which they agree most.
fn procrustes(
    candidate: &[Columns],
    reference: &[Columns],
    pairs: &[Vec<(usize, usize)>],
    sixths: usize,
) -> Option<[Columns; 2]> {
    let (n, m) = (candidate.first()?.nrows(), reference.first()?.nrows());
    let mut product = Columns::zeros(n, m);
    for ((pairs, c), r) in pairs.iter().zip(candidate).zip(reference) {
        let c = Columns::from_fn(n, pairs.len(), |row, pair| c[(row, pairs[pair].0)]);
        let r = Columns::from_fn(pairs.len(), m, |pair, row| r[(row, pairs[pair].1)]);
        product.gemm(1.0, &c, &r, 1.0);
    }
    if product.iter().any(|x| !x.is_finite()) {
        return None;
    }
    let kept = (n.min(m) * sixths / GROWING).max(4).min(n.min(m));
    let solved = product.svd(true, true);
    let (u, v_t) = (solved.u?, solved.v_t?);
    Some([u.columns(0, kept).transpose(), v_t.rows(0, kept).into_owned()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use stemmata_stats::SplitMix64;

    const D: usize = 24;
    const H: usize = 90;

    /// Three layers of gates whose directions differ in size, as those of trained models do.
    fn gates(seed: u64) -> Vec<Columns> {
        let mut random = SplitMix64::new(seed);
        (0..3)
            .map(|_| {
                let sizes: Vec<f64> = (0..D).map(|_| (0.7 * random.normal()).exp()).collect();
                Columns::from_fn(D, H, |row, _| (random.normal() * sizes[row]) as f32)
            })
            .collect()
    }

    /// In another basis and order, with noise.
    fn moved(layers: &[Columns], sigma: f64) -> Vec<Columns> {
        let mut random = SplitMix64::new(99);
        let rotation = Columns::from_fn(D, D, |_, _| random.normal() as f32).qr().q();
        let mut move_one = |x: &Columns| {
            let noisy = x.map(|x| x + (sigma * random.normal()) as f32);
            &rotation * Columns::from_fn(D, H, |row, unit| noisy[(row, place(unit))])
        };
        layers.iter().map(&mut move_one).collect()
    }

    fn place(unit: usize) -> usize {
        (unit * 7 + 5) % H
    }

    fn centred(mut layers: Vec<Columns>) -> Vec<Columns> {
        layers.iter_mut().for_each(centre);
        layers
    }

    #[test]
    fn a_rotated_and_relabelled_copy_is_aligned() {
        let reference = gates(1);
        let candidate = centred(moved(&reference, 0.1));
        let reference = centred(reference);
        let found = align(&candidate, &reference, 2, &|| false).unwrap().unwrap();
        assert_eq!(found.pairs, 3 * H as u64);
        let [c, r] = [&found.rotations[0] * &candidate[1], &found.rotations[1] * &reference[1]];
        for unit in 0..H {
            let (c, r) = (c.column(unit), r.column(place(unit)));
            assert!((c - r).norm() < 0.4 * r.norm(), "unit {unit}");
        }
        let alone = align(&candidate, &reference, 1, &|| false).unwrap().unwrap();
        assert_eq!(alone.rotations, found.rotations);
    }

    #[test]
    fn strangers_stay_strangers() {
        let (candidate, reference) = (centred(gates(2)), centred(gates(3)));
        let found = align(&candidate, &reference, 2, &|| false).unwrap().unwrap();
        assert!(found.pairs < 5 * 3 * H as u64 / 6, "{}", found.pairs);
    }

    #[test]
    fn nothing_to_align_is_no_alignment() {
        assert!(align(&[], &[], 1, &|| false).unwrap().is_none());
        let zero = vec![Columns::zeros(D, H)];
        assert!(align(&zero, &zero, 1, &|| false).unwrap().is_none_or(|found| found.pairs == 0));
        let stopped = align(&centred(gates(1)), &centred(gates(1)), 1, &|| true);
        assert!(matches!(stopped, Err(ReadError::Interrupted)));
    }
}
