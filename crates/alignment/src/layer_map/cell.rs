//! One layer of the candidate against one layer of the reference.

use stemmata_stats::{fixed_points, sign_flip};

/// Outcome of the sign-flip test on projected channels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SignOutcome {
    /// Studentised sum.
    pub statistic: f64,
    /// Two-sided bound, log10.
    pub log10_p: f64,
    /// Channels that are not zero.
    pub n: u64,
    /// Mean cosine of the projected channels, −1 to 1.
    pub effect: f64,
}

impl SignOutcome {
    /// The test on channels given as (product, reach); `None` where no channel differs from zero. O(channels).
    pub(crate) fn of(channels: &[(f64, f64)]) -> Option<SignOutcome> {
        let products: Vec<f64> = channels.iter().map(|c| c.0).collect();
        let outcome = sign_flip(&products);
        let reach: f64 = channels.iter().map(|c| c.1).sum();
        let total: f64 = products.iter().sum();
        (outcome.n > 0).then(|| SignOutcome {
            statistic: outcome.statistic,
            log10_p: outcome.log10_p,
            n: outcome.n,
            effect: if reach > 0.0 { (total / reach).clamp(-1.0, 1.0) } else { 0.0 },
        })
    }
}

/// One cell of the grid: at most two exact tests.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LayerCell {
    /// Hidden and value channels together; `None` where the shapes differ or no symmetry holds.
    pub signs: Option<SignOutcome>,
    /// (fixed, matched) feed-forward units, where the block has no gate.
    pub fixed: Option<(u64, u64)>,
}

impl LayerCell {
    /// Tests made.
    pub fn tests(&self) -> usize {
        usize::from(self.signs.is_some()) + usize::from(self.fixed.is_some())
    }

    /// Smallest p of the cell's tests, before any correction, log10; 0 without tests.
    pub fn log10_p(&self) -> f64 {
        let signs = self.signs.map_or(0.0, |s| s.log10_p);
        signs.min(self.fixed.map_or(0.0, |(fixed, _)| fixed_points(fixed)))
    }

    /// Mean cosine of the channels; the share of fixed points where there is no sign test.
    pub fn effect(&self) -> Option<f64> {
        let share = |(fixed, units): (u64, u64)| (units > 0).then(|| fixed as f64 / units as f64);
        self.signs.map(|s| s.effect).or_else(|| self.fixed.and_then(share))
    }
}
