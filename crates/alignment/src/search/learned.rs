//! Directions along which the rows of trained tokens lie, and rows without them.
//!
//! What training writes into the rows of an embedding lies along few directions, other ones in every model. A row that was met once or twice has a
//! little of the same; without these directions it is its random start again (docs/methods/untrained-tokens.md).

use super::matrix::{Columns, gram};
use stemmata_stats::SplitMix64;

/// Most directions, and the share of the width that they may take.
const DIRECTIONS: usize = 256;
const SHARE: usize = 4;
/// Fewest rows that show them.
const FEWEST: usize = 16;
/// Steps of the iteration towards them. They need not be exact: what they leave is measured.
const STEPS: usize = 3;

/// The directions, and what they leave of the trained.
pub(crate) struct Learned {
    /// Width × directions, orthonormal.
    basis: Columns,
    /// Of the squared cosines between rows of other trained tokens, the share that is left without the directions.
    pub(crate) left: f64,
}

impl Learned {
    /// From unit rows of trained tokens, width × n: every other one shows the directions, the rest what they leave. O(width · n ·
    /// directions) time.
    pub(crate) fn of(rows: &Columns) -> Learned {
        let half = |first: usize| {
            let at: Vec<usize> = (first..rows.ncols()).step_by(2).collect();
            rows.select_columns(&at)
        };
        let (seen, held_out) = (half(0), half(1));
        let k = (rows.nrows() / SHARE).min(seen.ncols() / 2).min(DIRECTIONS);
        if seen.ncols() < FEWEST || k == 0 {
            return Learned { basis: Columns::zeros(rows.nrows(), 0), left: 1.0 };
        }
        let mut random = SplitMix64::new(0x6c_6561_726e);
        let mut basis = (&seen * Columns::from_fn(seen.ncols(), k, |_, _| random.normal() as f32)).qr().q();
        for _ in 0..STEPS {
            basis = (&seen * (seen.transpose() * &basis)).qr().q();
        }
        let mut learned = Learned { basis, left: 1.0 };
        let (before, after) = (between(&held_out), between(&learned.without(&held_out)));
        if before > 0.0 {
            learned.left = (after / before).min(1.0);
        }
        learned
    }

    /// Rows without the directions, not scaled.
    pub(crate) fn without(&self, rows: &Columns) -> Columns {
        rows - &self.basis * (self.basis.transpose() * rows)
    }

    /// Share of the width that the directions take.
    pub(crate) fn share(&self) -> f64 {
        self.basis.ncols() as f64 / self.basis.nrows() as f64
    }
}

/// Sum of squared inner products over all pairs of columns.
fn between(columns: &Columns) -> f64 {
    let gram = gram(columns);
    let pairs = (0..gram.ncols()).flat_map(|j| (0..j).map(move |i| (i, j)));
    pairs.map(|(i, j)| f64::from(gram[(i, j)]).powi(2)).sum()
}

#[cfg(test)]
mod tests {
    use super::super::matrix::{dot, normalise};
    use super::*;

    #[test]
    fn what_lies_along_few_directions_is_taken_away_and_no_more() {
        let (d, n, k) = (64, 200, 12);
        let mut random = SplitMix64::new(3);
        let mut normal = |rows, cols| Columns::from_fn(rows, cols, |_, _| random.normal() as f32);
        let mut trained = normal(d, k) * normal(k, n) + normal(d, n) * 0.3;
        normalise(&mut trained);
        let learned = Learned::of(&trained);
        assert!((learned.share() - 0.25).abs() < 1e-9);
        assert!(learned.left < 0.01, "{}", learned.left);
        // Random rows lose the share of the width only.
        let mut random_rows = normal(d, n);
        normalise(&mut random_rows);
        let rest = learned.without(&random_rows).norm_squared() / n as f32;
        assert!((rest - 0.75).abs() < 0.05, "{rest}");
        assert!(Learned::of(&random_rows).left > 0.4);
    }

    #[test]
    fn too_few_rows_have_no_directions() {
        let rows = Columns::from_element(64, 30, 0.125);
        let learned = Learned::of(&rows);
        assert_eq!((learned.share(), learned.left), (0.0, 1.0));
        assert!((dot(&learned.without(&rows), 0, &rows, 0) - 1.0).abs() < 1e-6);
    }
}
