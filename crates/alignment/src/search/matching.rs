//! Nearest neighbours between two sets of unit-length columns.

use super::matrix::Columns;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Candidate columns compared at once.
const BLOCK: usize = 128;

/// For each column of one set the column of the other set it is nearest to; `u32::MAX` where nothing is.
pub(crate) struct Nearest {
    pub(crate) of_candidate: Vec<u32>,
    pub(crate) of_reference: Vec<u32>,
}

impl Nearest {
    /// Pairs that are each other's nearest.
    pub(crate) fn mutual(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.of_candidate.iter().enumerate().filter_map(|(i, &j)| {
            let back = *self.of_reference.get(j as usize)?;
            (back as usize == i).then_some((i, j as usize))
        })
    }
}

/// Best partner so far: similarity and index. A tie matches nothing: which label it went to would depend on labels.
#[derive(Clone, Copy)]
struct Best(f32, u32);

impl Best {
    const NONE: Best = Best(0.0, u32::MAX);

    fn offer(&mut self, similarity: f32, index: u32) {
        if similarity > self.0 {
            *self = Best(similarity, index);
        } else if similarity == self.0 {
            self.1 = u32::MAX;
        }
    }
}

/// Nearest neighbours by cosine, or by its magnitude if `either_sign`. O(n·m·K) on `threads` threads; the outcome does not
/// depend on their number.
pub(crate) fn nearest(
    candidate: &Columns,
    reference: &Columns,
    either_sign: bool,
    threads: usize,
) -> Nearest {
    let (n, m) = (candidate.ncols(), reference.ncols());
    let transposed = candidate.transpose();
    let next = AtomicUsize::new(0);
    let work = || {
        let (mut rows, mut columns) = (Vec::new(), vec![Best::NONE; m]);
        loop {
            let first = next.fetch_add(BLOCK, Ordering::Relaxed);
            if first >= n {
                return (rows, columns);
            }
            let count = BLOCK.min(n - first);
            let similarity = transposed.rows(first, count).into_owned() * reference;
            let mut best = vec![Best::NONE; count];
            for (j, column) in similarity.column_iter().enumerate() {
                for (i, &x) in column.iter().enumerate() {
                    let x = if either_sign { x.abs() } else { x };
                    best[i].offer(x, j as u32);
                    columns[j].offer(x, (first + i) as u32);
                }
            }
            rows.push((first, best));
        }
    };
    let mut parts = Vec::new();
    std::thread::scope(|scope| {
        let spawned: Vec<_> = (1..threads.max(1))
            .map_while(|_| std::thread::Builder::new().spawn_scoped(scope, work).ok())
            .collect();
        parts.push(work());
        parts.extend(spawned.into_iter().filter_map(|thread| thread.join().ok()));
    });
    let mut out = Nearest { of_candidate: vec![u32::MAX; n], of_reference: vec![u32::MAX; m] };
    let mut best_of_reference = vec![Best::NONE; m];
    for (rows, columns) in parts {
        for (first, best) in rows {
            for (i, best) in best.into_iter().enumerate() {
                out.of_candidate[first + i] = best.1;
            }
        }
        for (total, part) in best_of_reference.iter_mut().zip(columns) {
            match (part.0 == total.0, part.0 > total.0) {
                (true, _) if part.0 > 0.0 => total.1 = u32::MAX,
                (_, true) => *total = part,
                _ => {}
            }
        }
    }
    for (slot, best) in out.of_reference.iter_mut().zip(best_of_reference) {
        *slot = best.1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::matrix::normalise;
    use stemmata_stats::SplitMix64;

    fn random(rows: usize, cols: usize, seed: u64) -> Columns {
        let mut random = SplitMix64::new(seed);
        let mut out = Columns::from_fn(rows, cols, |_, _| random.normal() as f32);
        normalise(&mut out);
        out
    }

    #[test]
    fn a_shuffled_noisy_copy_is_matched_whatever_the_threads() {
        let a = random(32, 300, 1);
        let order: Vec<usize> = (0..300).map(|i| (i * 7 + 3) % 300).collect();
        let noise = random(32, 300, 2);
        let b = Columns::from_fn(32, 300, |r, c| {
            let sign = if c % 2 == 0 { 1.0 } else { -1.0 };
            sign * (a[(r, order[c])] + 0.3 * noise[(r, c)])
        });
        let found = nearest(&b, &a, true, 1);
        assert!((0..300).all(|c| found.of_candidate[c] as usize == order[c]));
        assert_eq!(found.mutual().count(), 300);
        let signed = nearest(&b, &a, false, 1);
        assert!((0..300).all(|c| (signed.of_candidate[c] as usize == order[c]) == (c % 2 == 0)));
        for threads in [2, 3] {
            let again = nearest(&b, &a, true, threads);
            assert_eq!(
                (again.of_candidate, again.of_reference),
                (found.of_candidate.clone(), found.of_reference.clone())
            );
        }
    }

    #[test]
    fn ties_and_zeros_match_nothing() {
        let a = Columns::from_fn(2, 3, |r, c| if c < 2 && r == 0 { 1.0 } else { 0.0 });
        let found = nearest(&a, &a, false, 2);
        assert_eq!(found.of_candidate, [u32::MAX; 3]);
        assert_eq!(found.mutual().count(), 0);
    }
}
