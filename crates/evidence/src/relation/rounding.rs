//! Changes that can be repeated, or that leave zeros: casts, quantisation, pruning.

use super::{Finding, child, name, spectra};
use crate::Direction;
use stemmata_alignment::study::{ElementFacts, GridFit, TensorStudy};

/// Share of elements that may miss a repeated cast: tools differ in how they treat subnormal and exceeding values.
const CAST_MISSES: f64 = 1e-4;
/// Values that the format does not hold, beyond ten times the misses, before a cast is told from a copy.
const BEYOND: u64 = 16;
/// Share of elements that must lie within half a step, and where their mean place in the half-cell must be (rounding: 0.5).
/// A change of Gaussian shape that fills cells to 0.4 leaves them in 2 % of the elements or more (figures in change.md).
const WITHIN: f64 = 0.985;
const FILL: std::ops::RangeInclusive<f64> = 0.4..=0.6;
/// Share of the elements on few levels that must lie in tensors that pass.
const PASSING: f64 = 0.9;
/// Zeros that make a model pruned, as a share of what was looked at: below this they may be anything.
const ZEROS: f64 = 0.05;
/// How many times fewer zeros the other side must have of its own.
const FEWER: u64 = 100;
/// Share of kept values that must be equal for the order to be stated: nobody fills zeros and keeps every other value.
const KEPT: f64 = 0.99;

fn sum(tensors: &[&TensorStudy]) -> ElementFacts {
    let mut facts = ElementFacts::default();
    tensors.iter().for_each(|t| facts.add(&t.elements));
    facts
}

/// One side is the other rounded to a 16-bit format, value by value, and the other has values that the format does not hold.
pub(super) fn cast(tensors: &[&TensorStudy]) -> Option<Finding> {
    let facts = sum(tensors);
    let misses = (CAST_MISSES * facts.n as f64) as u64;
    for side in 0..2 {
        let formats = [
            ("bf16", facts.bf16_of_other[side], facts.bf16_exact),
            ("f16", facts.f16_of_other[side], facts.f16_exact),
        ];
        for (format, same, exact) in formats {
            // The other side must hold more than the format does, and not by a few odd values.
            let beyond = facts.n - exact[1 - side];
            if same + misses >= facts.n && beyond >= BEYOND + 10 * (facts.n - same) {
                let cue = format!(
                    "repeated rounding: the {} is the {} rounded to {format} ({same} of {} values looked at)",
                    name(side),
                    name(1 - side),
                    facts.n
                );
                return Finding::new("cast", child(side), cue);
            }
        }
    }
    None
}

/// One side lies on few levels and is the other rounded to them.
pub(super) fn quantized(tensors: &[&TensorStudy]) -> Option<Finding> {
    (0..2).find_map(|side| {
        let fits: Vec<(&GridFit, u64)> =
            tensors.iter().filter_map(|t| t.grids[side].as_ref().map(|fit| (fit, t.size))).collect();
        let passes = |fit: &GridFit| {
            fit.within as f64 >= WITHIN * fit.tested as f64 && FILL.contains(&fit.fill)
        };
        let on_grid: u64 = fits.iter().map(|(_, size)| size).sum();
        let passing: u64 = fits.iter().filter(|(fit, _)| passes(fit)).map(|(_, size)| size).sum();
        let all: u64 = tensors.iter().map(|t| t.size).sum();
        if on_grid == 0 || 2 * on_grid < all || (passing as f64) < PASSING * on_grid as f64 {
            return None;
        }
        let tested: u64 = fits.iter().map(|(fit, _)| fit.tested).sum();
        let within: u64 = fits.iter().map(|(fit, _)| fit.within).sum();
        let fill = fits.iter().map(|(fit, _)| fit.fill * fit.tested as f64).sum::<f64>() / tested as f64;
        let cue = format!(
            "repeated rounding: {:.2} % of the {}'s values lie within half a step of the {}'s grid and fill the cells evenly (mean \
             place {fill:.2} of the half-cell; rounding leaves 0.5); a model within a few hundredths of a step of the {} would do the \
             same, and so would noise made to fill the cells",
            100.0 * within as f64 / tested as f64,
            name(1 - side),
            name(side),
            name(1 - side)
        );
        // Two roundings of a third model look alike when one grid is much finer.
        let both = tensors.iter().filter(|t| t.grids.iter().all(Option::is_some)).map(|t| t.size).sum::<u64>();
        let direction = if 2 * both < on_grid { child(side) } else { Direction::Unknown };
        Finding::new("quantized", direction, cue)
    })
}

/// One side has zeros where the other has values.
pub(super) fn pruned(tensors: &[&TensorStudy]) -> Option<Finding> {
    (0..2).find_map(|side| {
        // On few levels zero is one of them.
        let tensors: Vec<&TensorStudy> = tensors.iter().copied().filter(|t| t.grids[side].is_none()).collect();
        let facts = sum(&tensors);
        let (zeros, others) = (facts.zero_here_only[side], facts.zero_here_only[1 - side]);
        if zeros == 0 || (zeros as f64) < ZEROS * facts.n as f64 || zeros < FEWER * others {
            return None;
        }
        let kept = facts.kept_equal as f64 / facts.both_nonzero.max(1) as f64;
        if kept < KEPT && !spectra::share_training(&tensors) {
            return None;
        }
        let sparse: Vec<&TensorStudy> = tensors
            .iter()
            .copied()
            .filter(|t| t.elements.zero_here_only[side] as f64 >= ZEROS * t.elements.n as f64)
            .collect();
        let facts = sum(&sparse);
        let pattern = if facts.fours_half_zero[side] as f64 >= 0.999 * facts.fours as f64 {
            ", two of every four neighbours"
        } else {
            ""
        };
        let cue = format!(
            "zeros: {:.1} % of the {}'s values in {} tensors are zero where the {} has values{pattern}; of the kept values {:.1} % \
             are equal",
            100.0 * facts.zero_here_only[side] as f64 / facts.n as f64,
            name(side),
            sparse.len(),
            name(1 - side),
            100.0 * kept
        );
        let direction = if kept >= KEPT { child(side) } else { Direction::Unknown };
        Finding::new("pruned", direction, cue)
    })
}
