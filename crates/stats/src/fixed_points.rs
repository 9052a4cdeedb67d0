//! Fixed points of a map between labelled sets under a uniform relabelling.

use statrs::function::gamma::ln_gamma;

/// log10 of the bound `P(K ≥ k) ≤ 1/k!` on the number of fixed points of *any* map between two sets whose labels are
/// related by a uniformly random permutation (each k-subset is fixed with probability at most (h−k)!/h!, and there are
/// C(h,k) of them). Holds for many-to-one maps such as nearest neighbours, so no assignment problem has to be solved.
pub fn fixed_points(k: u64) -> f64 {
    if k < 2 { 0.0 } else { -ln_gamma(k as f64 + 1.0) / std::f64::consts::LN_10 }
}

/// log10 of a bound on `P(K_1 + … + K_L ≥ k)` for fixed points in `sets` pairs of sets, *however the relabellings of different
/// sets depend on each other*. Each count has factorial moments `E[C(K, j)] ≤ 1/j!`, hence `E[(1+t)^K] ≤ e^t`; by convexity the
/// same holds for their mean k̄ = k/L, and Markov's inequality at `t = k̄ − 1` gives `e^(k̄−1)·k̄^(−k̄)`. For one set use
/// [`fixed_points`], which is sharper.
pub fn fixed_points_pooled(k: u64, sets: u64) -> f64 {
    match sets {
        0 => 0.0,
        1 => fixed_points(k),
        _ if k <= sets => 0.0,
        _ => {
            let mean = k as f64 / sets as f64;
            ((mean - 1.0 - mean * mean.ln()) / std::f64::consts::LN_10).min(0.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SplitMix64;

    #[test]
    fn small_factorials() {
        assert_eq!(fixed_points(0), 0.0);
        assert_eq!(fixed_points(1), 0.0);
        assert!((fixed_points(5) + 120f64.log10()).abs() < 1e-12);
        assert!((fixed_points(50) + 64.483_07).abs() < 1e-4);
    }

    #[test]
    fn bound_holds_for_an_arbitrary_map_under_random_relabelling() {
        // f is many-to-one on purpose; the relabelling is uniform. 20 000 draws; the bound for k = 4 is 1/24.
        let (h, draws) = (40_usize, 20_000);
        let f: Vec<usize> = (0..h).map(|i| (i * i + 3) % h).collect();
        let mut random = SplitMix64::new(3);
        let mut hits = [0_u32; 6];
        for _ in 0..draws {
            let mut label: Vec<usize> = (0..h).collect();
            random.shuffle(&mut label);
            let fixed = (0..h).filter(|&i| label[f[i]] == i).count();
            for (k, hit) in hits.iter_mut().enumerate() {
                *hit += u32::from(fixed >= k);
            }
        }
        for (k, &hit) in hits.iter().enumerate().skip(2) {
            let bound = 10f64.powf(fixed_points(k as u64)) * f64::from(draws);
            // Five standard deviations above the bound.
            assert!(f64::from(hit) <= bound + 5.0 * bound.sqrt(), "k = {k}: {hit} > {bound}");
        }
    }

    #[test]
    fn pooled_bound_holds_under_random_relabelling() {
        let (h, sets, draws) = (12_usize, 6, 20_000);
        let mut random = SplitMix64::new(8);
        let mut hits = [0_u32; 16];
        for _ in 0..draws {
            let mut total = 0;
            for _ in 0..sets {
                let mut label: Vec<usize> = (0..h).collect();
                random.shuffle(&mut label);
                total += (0..h).filter(|&i| label[i] == i).count();
            }
            for (k, hit) in hits.iter_mut().enumerate() {
                *hit += u32::from(total >= k);
            }
        }
        for (k, &hit) in hits.iter().enumerate() {
            let bound = 10f64.powf(fixed_points_pooled(k as u64, sets)) * f64::from(draws);
            assert!(f64::from(hit) <= bound + 5.0 * bound.sqrt(), "k = {k}: {hit} > {bound}");
        }
    }
}
