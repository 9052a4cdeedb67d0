//! How many votes did each pair get? Counts by seating, and votes in an order that does not depend on how they came.

use crate::votes::{Outcome, Votes};

/// Votes of one seating of two contestants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cell {
    /// In the first seat.
    pub(crate) first: u32,
    /// In the second seat.
    pub(crate) second: u32,
    /// Votes by outcome, in the order of [`Outcome::ALL`]. Whole numbers below 2^53, so that sums are exact.
    pub(crate) votes: [f64; 4],
}

impl Cell {
    /// Both seatings of a pair seen from the lower number; the outcomes change their sides.
    fn lower_first(self) -> Cell {
        let [first, second, tie, bad] = self.votes;
        if self.first < self.second {
            return self;
        }
        Cell { first: self.second, second: self.first, votes: [second, first, tie, bad] }
    }
}

/// Up to this many contestants counts are added up in a full square; beyond it votes are sorted.
const SQUARE: usize = 2048;

/// Counts by seating, sorted by (first, second); seatings without votes are left out.
pub(crate) fn cells(votes: &Votes) -> Vec<Cell> {
    let n = votes.contestants.len();
    if n <= SQUARE {
        let mut counts = vec![0_u64; n * n * 4];
        for row in 0..votes.len() {
            let place = (votes.first[row] as usize * n + votes.second[row] as usize) * 4;
            counts[place + votes.outcome[row] as usize] += votes.count(row);
        }
        return counts
            .chunks_exact(4)
            .enumerate()
            .filter(|(_, c)| c.iter().any(|c| *c > 0))
            .map(|(place, c)| Cell {
                first: (place / n) as u32,
                second: (place % n) as u32,
                votes: [c[0] as f64, c[1] as f64, c[2] as f64, c[3] as f64],
            })
            .collect();
    }
    let mut keys: Vec<(u64, u64)> =
        (0..votes.len()).map(|row| (key(votes, row), votes.count(row))).filter(|(_, n)| *n > 0).collect();
    keys.sort_unstable();
    let mut out: Vec<Cell> = Vec::new();
    for (key, count) in keys {
        let (first, second, outcome) = parts(key);
        match out.last_mut() {
            Some(cell) if (cell.first, cell.second) == (first, second) => {
                cell.votes[outcome as usize] += count as f64;
            }
            _ => {
                let mut votes = [0.0; 4];
                votes[outcome as usize] = count as f64;
                out.push(Cell { first, second, votes });
            }
        }
    }
    out
}

/// Counts by pair, sorted, the lower number first.
pub(crate) fn pairs(cells: &[Cell]) -> Vec<Cell> {
    let mut turned: Vec<Cell> = cells.iter().map(|cell| cell.lower_first()).collect();
    turned.sort_by_key(|cell| (cell.first, cell.second));
    let mut out: Vec<Cell> = Vec::with_capacity(turned.len());
    for cell in turned {
        match out.last_mut() {
            Some(last) if (last.first, last.second) == (cell.first, cell.second) => {
                last.votes.iter_mut().zip(cell.votes).for_each(|(sum, more)| *sum += more);
            }
            _ => out.push(cell),
        }
    }
    out
}

/// Bits of a contestant's number in a key; the reader's limit is far below.
const BITS: u32 = 14;

fn key(votes: &Votes, row: usize) -> u64 {
    (u64::from(votes.first[row]) << (BITS + 2))
        | (u64::from(votes.second[row]) << 2)
        | votes.outcome[row] as u64
}

fn parts(key: u64) -> (u32, u32, Outcome) {
    let contestant = |shift: u32| ((key >> shift) as u32) & ((1 << BITS) - 1);
    (contestant(BITS + 2), contestant(2), Outcome::ALL[(key & 3) as usize])
}

/// The same cells with each vote counted by its weight. Sums are made in the order of [`Same`], so that the order of rows leaves no trace.
pub(crate) fn weighted(cells: &[Cell], same: &[Same]) -> Vec<Cell> {
    let mut out: Vec<Cell> = cells.iter().map(|cell| Cell { votes: [0.0; 4], ..*cell }).collect();
    for same in same {
        let place = out.binary_search_by_key(&(same.first, same.second), |cell| (cell.first, cell.second));
        if let Ok(place) = place {
            out[place].votes[same.outcome as usize] += same.votes * same.weight;
        }
    }
    out
}

/// Votes of one cluster that say the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Same {
    /// Number of the cluster.
    pub(crate) cluster: u32,
    /// In the first seat.
    pub(crate) first: u32,
    /// In the second seat.
    pub(crate) second: u32,
    /// What they say.
    pub(crate) outcome: Outcome,
    /// How many they are.
    pub(crate) votes: f64,
    /// How much each of them counts.
    pub(crate) weight: f64,
    /// One row of the table that says it; which one matters only where styles are in the table, and then there is one.
    pub(crate) row: u32,
}

/// All votes sorted by cluster, then by what they say. The order of rows in the input leaves no trace, not even in the last bit
/// of a sum.
pub(crate) fn by_cluster(votes: &Votes, cluster: &[u32]) -> Vec<Same> {
    let whole = |row: usize| (u64::from(cluster[row]) << (2 * BITS + 2)) | key(votes, row);
    let same = |key: u64, count: u64, row: u32| {
        let (first, second, outcome) = parts(key);
        let weight = votes.weight(row as usize);
        Same {
            cluster: (key >> (2 * BITS + 2)) as u32,
            first,
            second,
            outcome,
            votes: count as f64,
            weight,
            row,
        }
    };
    if votes.count.is_empty() && votes.styles.is_empty() && votes.weight.is_empty() {
        let mut keys: Vec<u64> = (0..votes.len()).map(whole).collect();
        keys.sort_unstable();
        return keys.into_iter().map(|key| same(key, 1, 0)).collect();
    }
    let styles = |row: u32| votes.styles.iter().map(move |column| column[row as usize]);
    let mut keys: Vec<(u64, u32)> =
        (0..votes.len()).filter(|row| votes.count(*row) > 0).map(|row| (whole(row), row as u32)).collect();
    keys.sort_unstable_by(|(a, left), (b, right)| {
        let by_style = || {
            let mut pairs = styles(*left).zip(styles(*right));
            pairs.find_map(|(a, b)| Some(a.total_cmp(&b)).filter(|o| o.is_ne()))
        };
        let by_count = || {
            let by_weight = votes.weight(*left as usize).total_cmp(&votes.weight(*right as usize));
            votes.count(*left as usize).cmp(&votes.count(*right as usize)).then(by_weight)
        };
        a.cmp(b).then_with(|| by_style().unwrap_or_else(by_count))
    });
    keys.into_iter().map(|(key, row)| same(key, votes.count(row as usize), row)).collect()
}

/// All votes, each its own cluster: what is equal is counted together.
pub(crate) fn unclustered(votes: &Votes, cells: &[Cell]) -> Vec<Same> {
    if !votes.styles.is_empty() || !votes.weight.is_empty() {
        return by_cluster(votes, &vec![0; votes.len()]);
    }
    let mut out = Vec::with_capacity(cells.len() * 3);
    for cell in cells {
        for outcome in Outcome::ALL {
            let votes = cell.votes[outcome as usize];
            if votes > 0.0 {
                out.push(Same {
                    cluster: 0,
                    first: cell.first,
                    second: cell.second,
                    outcome,
                    votes,
                    weight: 1.0,
                    row: 0,
                });
            }
        }
    }
    out
}

/// Numbers for the combinations of two cluster columns, in order of the pairs of numbers.
pub(crate) fn crossed(left: &[u32], right: &[u32]) -> Vec<u32> {
    let whole = |row: usize| (u64::from(left[row]) << 32) | u64::from(right[row]);
    let mut seen: Vec<u64> = (0..left.len()).map(whole).collect();
    seen.sort_unstable();
    seen.dedup();
    // INVARIANT: every row has been seen; there are fewer rows than u32 holds.
    (0..left.len()).map(|row| seen.binary_search(&whole(row)).unwrap_or(0) as u32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn votes(contestants: usize) -> Votes {
        use Outcome::{BothBad, First, Second, Tie};
        Votes {
            contestants: (0..contestants).map(|i| i.to_string()).collect(),
            first: vec![1, 0, 1, 0, 2],
            second: vec![0, 1, 0, 2, 0],
            outcome: vec![First, First, Tie, BothBad, Second],
            count: vec![2, 1, 1, 5, 0],
            clusters: vec![vec![1, 0, 1, 0, 0]],
            ..Votes::default()
        }
    }

    #[test]
    fn counts_by_seating_and_by_pair_in_both_ways() {
        for contestants in [3, SQUARE + 1] {
            let cells = cells(&votes(contestants));
            let of = |first, second, votes| Cell { first, second, votes };
            assert_eq!(
                cells,
                [
                    of(0, 1, [1.0, 0.0, 0.0, 0.0]),
                    of(0, 2, [0.0, 0.0, 0.0, 5.0]),
                    of(1, 0, [2.0, 0.0, 1.0, 0.0])
                ]
            );
            assert_eq!(pairs(&cells), [of(0, 1, [1.0, 2.0, 1.0, 0.0]), of(0, 2, [0.0, 0.0, 0.0, 5.0])]);
        }
    }

    #[test]
    fn clusters_come_in_order_without_votes_that_count_nothing() {
        let votes = votes(3);
        let sorted = by_cluster(&votes, &votes.clusters[0]);
        let brief: Vec<_> = sorted.iter().map(|s| (s.cluster, s.first, s.second, s.votes)).collect();
        assert_eq!(brief, [(0, 0, 1, 1.0), (0, 0, 2, 5.0), (1, 1, 0, 2.0), (1, 1, 0, 1.0)]);
        assert_eq!(crossed(&[1, 0, 1], &[5, 5, 4]), [2, 0, 1]);
    }
}
