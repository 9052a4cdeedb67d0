//! Feed-forward units on their way to nearest-neighbour matching: projections and strongest coordinates of the picked ones.

use crate::PairPlan;
use crate::fixed;
use stemmata_fingerprint::{CountSketch, SelfCheck, check_labels, picked, strongest};

/// What one side's picked units have shown so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct UnitSums {
    /// Projected units in the order of the picks: unit by unit, or bucket by bucket when read across.
    projected: Vec<f32>,
    /// Largest magnitude of each unit and the coordinate where it lies.
    strongest: Vec<(f32, u64)>,
}

impl UnitSums {
    /// Adds what a later stripe gave. Read across, every stripe holds some coordinates of all units.
    pub(crate) fn merge(&mut self, later: UnitSums, across: bool) {
        if !across || self.projected.is_empty() {
            self.projected.extend(later.projected);
            self.strongest.extend(later.strongest);
            return;
        }
        self.projected.iter_mut().zip(later.projected).for_each(|(total, part)| *total += part);
        for (best, new) in self.strongest.iter_mut().zip(later.strongest) {
            if new.0 > best.0 {
                *best = new;
            }
        }
    }

    /// The projected units, unit by unit.
    pub(crate) fn into_projected(self, across: bool) -> Vec<f32> {
        let units = self.strongest.len();
        if !across || units == 0 {
            return self.projected;
        }
        let unit = |kept: usize| self.projected.iter().skip(kept).step_by(units).copied();
        (0..units).flat_map(unit).collect()
    }
}

/// Which units of a pair are kept and how they are projected. A unit is a row, or a column when the pair is read flipped.
pub(crate) struct Units {
    picked: Vec<u64>,
    /// Over the coordinates of a unit; `None` when this pair has no units.
    projection: Option<CountSketch>,
    across: bool,
}

impl Units {
    pub(crate) fn new(pair: &PairPlan) -> Units {
        let dims = if pair.flipped { pair.rows } else { pair.cols };
        let projection = pair.units.then(|| CountSketch::new(dims as usize, fixed::BUCKETS, 0));
        Units { picked: Units::picked(pair), projection, across: pair.flipped }
    }

    fn picked(pair: &PairPlan) -> Vec<u64> {
        let units = if pair.flipped { pair.cols } else { pair.rows };
        match &pair.sample {
            _ if !pair.units => Vec::new(),
            // Units are rows, and other rows are not at hand.
            Some(sample) if !pair.flipped => sample.indices().take(fixed::UNITS as usize).collect(),
            _ => picked(units, fixed::UNITS).collect(),
        }
    }

    /// Whether `row` holds anything of a picked unit.
    pub(crate) fn wants(&self, row: u64) -> bool {
        self.projection.is_some() && (self.across || self.picked.binary_search(&row).is_ok())
    }

    /// Adds a row of one side.
    pub(crate) fn add(&self, row: u64, values: &[f32], out: &mut UnitSums) {
        let Some(projection) = &self.projection else { return };
        if self.across {
            // Row `row` holds coordinate `row` of every unit, and one bucket of all units lies together.
            let (bucket, sign) = projection.slot(row as usize);
            let units = self.picked.len();
            out.projected.resize(units * fixed::BUCKETS, 0.0);
            out.strongest.resize(units, (0.0, u64::MAX));
            let of_bucket = out.projected[bucket * units..][..units].iter_mut();
            for ((unit, total), best) in self.picked.iter().zip(of_bucket).zip(&mut out.strongest) {
                let x = values[*unit as usize];
                let x = if x.is_finite() { x } else { 0.0 };
                *total += sign * x;
                if x.abs() > best.0 {
                    *best = (x.abs(), row);
                }
            }
        } else if self.picked.binary_search(&row).is_ok() {
            let start = out.projected.len();
            out.projected.resize(start + fixed::BUCKETS, 0.0);
            projection.add(values, &mut out.projected[start..]);
            out.strongest.push(strongest(values));
        }
    }

    /// Whether one side's labels show in its own weights.
    pub(crate) fn check(pair: &PairPlan, sums: &UnitSums) -> SelfCheck {
        check_labels(Units::picked(pair).into_iter().zip(sums.strongest.iter().map(|best| best.1)))
    }
}
