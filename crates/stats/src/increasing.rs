//! Labels that kept their order: the longest increasing subsequence under a uniform relabelling.

use statrs::function::gamma::ln_gamma;

/// Positions of a longest strictly increasing subsequence of `labels`, by patience sorting (Fredman 1975).
/// O(n log n).
pub fn longest_increasing(labels: &[u64]) -> Vec<usize> {
    // `ends[k]`: position of the smallest label that ends an increasing subsequence of length k + 1.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = vec![None; labels.len()];
    for (at, label) in labels.iter().enumerate() {
        let length = ends.partition_point(|end| labels[*end] < *label);
        before[at] = length.checked_sub(1).map(|shorter| ends[shorter]);
        if length == ends.len() {
            ends.push(at);
        } else {
            ends[length] = at;
        }
    }
    let mut chain: Vec<usize> =
        std::iter::successors(ends.last().copied(), |at| before.get(*at).copied().flatten()).collect();
    chain.reverse();
    chain
}

/// log10 of the bound `P(L ≥ k) ≤ C(n, k)/k!` on the longest increasing subsequence of a uniformly random permutation of `n`
/// labels: the expected number of increasing subsequences of length k. At most 0.
pub fn increasing_labels(k: u64, n: u64) -> f64 {
    let k = k.min(n);
    let ln_factorial = |x: u64| ln_gamma(x as f64 + 1.0);
    let ln = ln_factorial(n) - ln_factorial(n - k) - 2.0 * ln_factorial(k);
    (ln / std::f64::consts::LN_10).min(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SplitMix64;

    #[test]
    fn the_longest_chain_increases_and_none_is_longer() {
        assert!(longest_increasing(&[]).is_empty());
        assert_eq!(longest_increasing(&[3, 1, 2, 2, 5, 4]), [1, 3, 5]);
        let mut random = SplitMix64::new(4);
        for _ in 0..200 {
            let labels: Vec<u64> = (0..9).map(|_| random.next_u64() % 12).collect();
            let chain = longest_increasing(&labels);
            assert!(chain.windows(2).all(|w| w[0] < w[1] && labels[w[0]] < labels[w[1]]));
            let increasing = |subset: u32| {
                let chosen: Vec<u64> = (0..9).filter(|i| subset >> i & 1 == 1).map(|i| labels[i]).collect();
                chosen.windows(2).all(|w| w[0] < w[1])
            };
            let longest = (0..1_u32 << 9).filter(|s| increasing(*s)).map(u32::count_ones).max();
            assert_eq!(Some(chain.len() as u32), longest);
        }
    }

    #[test]
    fn the_bound_holds_for_random_permutations_and_is_exact_for_sorted_ones() {
        assert_eq!(increasing_labels(0, 5), 0.0);
        assert!((increasing_labels(20, 20) + ln_gamma(21.0) / std::f64::consts::LN_10).abs() < 1e-9);
        let mut random = SplitMix64::new(5);
        let n = 60;
        let mut counts = vec![0_u32; n + 1];
        let trials = 4000;
        for _ in 0..trials {
            let mut labels: Vec<u64> = (0..n as u64).collect();
            (1..n).rev().for_each(|i| labels.swap(i, (random.next_u64() % (i as u64 + 1)) as usize));
            counts[longest_increasing(&labels).len()] += 1;
        }
        let mut tail = 0;
        for k in (0..=n).rev() {
            tail += counts[k];
            let bound = 10f64.powf(increasing_labels(k as u64, n as u64)) * f64::from(trials);
            assert!(f64::from(tail) <= bound + 4.0 * bound.sqrt(), "k = {k}: {tail} above {bound}");
        }
    }
}
