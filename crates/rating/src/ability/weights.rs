//! Under how many weightings of the units does a model lead?

use super::Score;
use super::fit::State;
use stemmata_stats::SplitMix64;

/// Weightings drawn uniformly from all that are not negative and sum to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Weighting {
    /// How many were drawn.
    pub draws: u32,
    /// Share of them that each model leads, in the order of the group's models.
    pub leads: Vec<f64>,
    /// Scores that are missing and taken from the scale, of all.
    pub filled: (u64, u64),
    /// Who leads with equal weights.
    pub equal: String,
    pub(crate) equal_place: usize,
}

impl Weighting {
    pub(super) fn named(self, name: &dyn Fn(usize) -> String) -> Weighting {
        Weighting { equal: name(self.equal_place), ..self }
    }
}

/// Mean scores under weights drawn from Dirichlet(1, …, 1), the uniform distribution on the simplex: exponential variables over their
/// sum. Where two are equal the first leads.
pub(super) fn weigh(
    state: &State,
    cells: &[Score],
    (models, units): (usize, usize),
    draws: u32,
    seed: u64,
) -> Weighting {
    let mut matrix = vec![0.0; models * units];
    for i in 0..models {
        for j in 0..units {
            let cell = Score { model: i as u32, unit: j as u32, score: 0.0, items: 1.0 };
            matrix[i * units + j] = state.at(&cell, 0.0).expected;
        }
    }
    cells.iter().for_each(|c| matrix[c.model as usize * units + c.unit as usize] = c.score);
    let leader = |weights: &[f64]| {
        let mut best = (f64::NEG_INFINITY, 0);
        for (i, row) in matrix.chunks_exact(units).enumerate() {
            let mean: f64 = row.iter().zip(weights).map(|(s, w)| s * w).sum();
            if mean > best.0 {
                best = (mean, i);
            }
        }
        best.1
    };
    let equal_place = leader(&vec![1.0; units]);
    let mut random = SplitMix64::new(seed ^ 0x7765_6967_6874_0000);
    let mut counts = vec![0_u32; models];
    let mut weights = vec![0.0; units];
    for _ in 0..draws {
        // The length of the weights does not decide who leads.
        weights.iter_mut().for_each(|w| *w = -(1.0 - random.uniform()).ln());
        counts[leader(&weights)] += 1;
    }
    let leads = counts.iter().map(|n| f64::from(*n) / f64::from(draws.max(1))).collect();
    let all = (models * units) as u64;
    Weighting { draws, leads, filled: (all - cells.len() as u64, all), equal: String::new(), equal_place }
}
