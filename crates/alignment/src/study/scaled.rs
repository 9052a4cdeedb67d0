//! How much of a matrix is the other one's, with a number for the whole, for each row or for each column.
//!
//! Gains folded into a matrix scale its columns, units and value channels scaled or turned in sign its rows (METHODS 2.1). Training does
//! neither: it leaves as much with a number for each row as without.

use super::matrix::Matrix;
use crate::search::Rescaled;

/// Rows or columns that are tried to be made again.
const LINES: usize = 64;

/// Energies of what is left of the candidate, and what explains most of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scaled {
    /// ‖C‖².
    pub squares: f64,
    /// ‖C − R‖².
    pub difference: f64,
    /// What the best number for the whole matrix leaves.
    pub whole: f64,
    /// What the best number for each row leaves, or for each column, whichever leaves less.
    pub lines: f64,
    /// Rows or columns that differ from zero on both sides, and those of them with a negative number.
    pub signs: (u64, u64),
    /// Some of them, made again from the other side.
    pub repeated: Rescaled,
}

/// Sums along one row or column.
#[derive(Clone, Copy, Default)]
struct Line {
    candidate: f64,
    reference: f64,
    product: f64,
}

impl Line {
    fn add(&mut self, c: f32, r: f32) {
        let (c, r) = (f64::from(c), f64::from(r));
        self.candidate += c * c;
        self.reference += r * r;
        self.product += c * r;
    }

    /// What the best number leaves of the candidate.
    fn left(&self) -> f64 {
        let explained = if self.reference > 0.0 { self.product * self.product / self.reference } else { 0.0 };
        (self.candidate - explained).max(0.0)
    }
}

/// O(elements).
pub(super) fn of(c: &Matrix, r: &Matrix, significands: [u32; 2]) -> Scaled {
    let (mut rows, mut columns) = (vec![Line::default(); c.rows], vec![Line::default(); c.cols]);
    for (at, row) in rows.iter_mut().enumerate() {
        for ((&c, &r), column) in c.row(at).iter().zip(r.row(at)).zip(&mut columns) {
            row.add(c, r);
            column.add(c, r);
        }
    }
    let mut all = Line::default();
    for row in &rows {
        all.candidate += row.candidate;
        all.reference += row.reference;
        all.product += row.product;
    }
    let sum = |lines: &[Line]| lines.iter().map(Line::left).sum::<f64>();
    let by_rows = sum(&rows) <= sum(&columns);
    let lines = if by_rows { &rows } else { &columns };
    let both = lines.iter().filter(|line| line.product != 0.0);
    let mut repeated = Rescaled::default();
    let kept = lines.len().min(LINES);
    for at in (0..kept).map(|i| i * lines.len() / kept) {
        let line = |m: &Matrix| -> Vec<f32> {
            if by_rows { m.row(at).to_vec() } else { (0..m.rows).map(|row| m.row(row)[at]).collect() }
        };
        repeated.look(&line(c), &line(r), significands);
    }
    Scaled {
        squares: all.candidate,
        difference: (all.candidate + all.reference - 2.0 * all.product).max(0.0),
        whole: all.left(),
        lines: sum(lines),
        signs: (both.clone().count() as u64, both.filter(|line| line.product < 0.0).count() as u64),
        repeated,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stemmata_stats::SplitMix64;

    fn drawn(seed: u64) -> Matrix {
        let mut random = SplitMix64::new(seed);
        Matrix { rows: 48, cols: 40, values: (0..48 * 40).map(|_| random.normal() as f32).collect() }
    }

    fn map(m: &Matrix, change: impl Fn(usize, usize, f32) -> f32) -> Matrix {
        let values = m.values.iter().enumerate();
        Matrix { values: values.map(|(i, x)| change(i / m.cols, i % m.cols, *x)).collect(), ..*m }
    }

    #[test]
    fn scaled_rows_and_columns_leave_nothing_and_training_does() {
        let parent = drawn(1);
        let number =
            |i: usize| if i.is_multiple_of(3) { -0.5 - 0.1 * i as f32 } else { 0.7 + 0.05 * i as f32 };
        for child in [map(&parent, |row, _, x| number(row) * x), map(&parent, |_, col, x| number(col) * x)] {
            let found = of(&child, &parent, [24, 24]);
            assert!(found.lines < 1e-9 * found.squares && found.whole > 0.5 * found.squares, "{found:?}");
            assert_eq!(found.signs.1, found.signs.0.div_ceil(3));
            assert_eq!(found.repeated.of_other[0] + found.repeated.both, found.repeated.rows);
        }
        let noise = drawn(2);
        let trained = map(&parent, |row, col, x| x + 0.4 * noise.values[row * parent.cols + col]);
        let found = of(&trained, &parent, [24, 24]);
        assert!(found.lines > 0.9 * found.whole, "{found:?}");
    }
}
