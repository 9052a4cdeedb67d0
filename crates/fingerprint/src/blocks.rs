//! Which rows of a matrix are read when not all can be: blocks of rows, fixed before any value is seen.

use stemmata_architecture::{Component, Role, RowOrder, Term, View};
use stemmata_model::{Span, Weights};
use stemmata_stats::SplitMix64;

/// Elements of one block, as far as whole rows allow: 64 KiB of bf16, which is what one request of a hub's storage handles best.
pub const BLOCK: u64 = 1 << 15;

/// Equally tall blocks of rows, spread evenly over a matrix from a random start (systematic sampling). A function of the extents, the count and
/// the salt alone, so two models of one shape give up the same rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocks {
    rows: u64,
    /// Rows of one block; the last may have fewer.
    height: u64,
    count: u64,
    /// Where the first block lies within its share of the matrix, in 2⁻³².
    phase: u64,
}

impl Blocks {
    /// `count` blocks of a matrix of `rows` × `cols`, or all of it where it has no more.
    pub fn new(rows: u64, cols: u64, count: u64, salt: u64) -> Blocks {
        let height = (BLOCK / cols.max(1)).clamp(1, rows.max(1));
        let count = count.min(rows.div_ceil(height));
        Blocks { rows, height, count, phase: SplitMix64::new(salt).next_u64() >> 32 }
    }

    fn bands(&self) -> u64 {
        self.rows.div_ceil(self.height)
    }

    /// Whether every row is read.
    pub fn is_all(&self) -> bool {
        self.count == self.bands()
    }

    /// (first row, rows) of each block, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        (0..self.count).map(|i| {
            let place = ((u128::from(i) << 32) + u128::from(self.phase)) * u128::from(self.bands());
            let first = (place / (u128::from(self.count) << 32)) as u64 * self.height;
            (first, self.height.min(self.rows - first))
        })
    }

    /// Rows in all blocks.
    pub fn rows(&self) -> u64 {
        self.iter().map(|(_, rows)| rows).sum()
    }

    /// Numbers of the rows in all blocks, in order.
    pub fn indices(&self) -> impl Iterator<Item = u64> + '_ {
        self.iter().flat_map(|(first, rows)| first..first + rows)
    }
}

/// A number for each tensor, so that different tensors give up different rows.
pub fn salt(
    (component, layer, expert): (Component, Option<u32>, Option<u32>),
    (role, term): (Role, Term),
    seed: u64,
) -> u64 {
    let place = |index: Option<u32>| index.map_or(u64::MAX, u64::from);
    let words = [component as u64, place(layer), place(expert), role as u64, term as u64];
    words.iter().fold(seed, |salt, word| SplitMix64::new(salt ^ word).next_u64())
}

/// Bytes of `cols` values of one row; `None` where a row does not lie in one piece.
pub fn row_cost(weights: &dyn Weights, view: &View, cols: u64) -> Option<u64> {
    let dense = view.col_stride == 1 || cols <= 1;
    weights.cost(view.tensor, cols).filter(|_| dense)
}

/// The elements of rows `first .. first + rows` of a matrix, `cols` of each.
pub fn spans(view: &View, first: u64, rows: u64, cols: u64) -> Vec<Span> {
    let span = |start, len| Span { tensor: view.tensor, start, len };
    if view.order == RowOrder::Stored && view.row_stride == cols {
        return vec![span(view.first + first * view.row_stride, rows * cols)];
    }
    (first..first + rows).map(|row| span(view.first + view.stored_row(row) * view.row_stride, cols)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_apart_in_order_and_inside() {
        for (rows, cols, count) in
            [(4096, 4096, 2), (1, 4096, 1), (28_672, 8192, 7), (100, 1 << 17, 9), (77, 3, 5)]
        {
            for salt in 0..20 {
                let blocks = Blocks::new(rows, cols, count, salt);
                let list: Vec<(u64, u64)> = blocks.iter().collect();
                assert!(list.windows(2).all(|w| w[0].0 + w[0].1 <= w[1].0), "{list:?}");
                assert!(list.iter().all(|(first, n)| *n > 0 && first + n <= rows), "{list:?}");
                assert_eq!(blocks.indices().count() as u64, blocks.rows());
            }
        }
    }

    #[test]
    fn all_means_all_and_none_means_none() {
        let all = Blocks::new(1000, 100, u64::MAX, 3);
        assert!(all.is_all());
        assert_eq!(all.rows(), 1000);
        let none = Blocks::new(1000, 100, 0, 3);
        assert_eq!((none.rows(), none.is_all()), (0, false));
    }

    #[test]
    fn every_row_has_about_the_same_chance() {
        let mut hits = [0_u32; 64];
        for salt in 0..4000 {
            for row in Blocks::new(64, BLOCK, 4, salt).indices() {
                hits[row as usize] += 1;
            }
        }
        // 250 expected, binomial with standard deviation below 16; six of them.
        assert!(hits.iter().all(|n| (154..=346).contains(n)), "{hits:?}");
    }
}
