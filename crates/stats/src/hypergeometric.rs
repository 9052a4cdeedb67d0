//! A finite population from a sample without replacement.

use statrs::function::factorial::ln_factorial;

/// How many of `population` are hits, from a simple random sample of `sample` with `hits`: the exact two-sided limits, each tail at
/// most (1 − level)/2 (the hypergeometric counterpart of Clopper and Pearson; Buonaccorsi 1987). Everything known where the sample is
/// the population.
pub fn hypergeometric_interval(hits: u64, sample: u64, population: u64, level: f64) -> (u64, u64) {
    let sample = sample.min(population);
    let hits = hits.min(sample);
    let tail = (1.0 - level) / 2.0;
    // P(X ≥ hits) rises with the number of hits in the population, P(X ≤ hits) falls.
    let (least, most) = (hits, population - (sample - hits));
    let at_least = |k: u64| (hits..=sample.min(k)).map(|x| density(x, sample, k, population)).sum::<f64>();
    let at_most = |k: u64| (0..=hits).map(|x| density(x, sample, k, population)).sum::<f64>();
    let search = |mut below: u64, mut above: u64, is_above: &dyn Fn(u64) -> bool| {
        while below < above {
            let middle = below + (above - below) / 2;
            if is_above(middle) { above = middle } else { below = middle + 1 }
        }
        below
    };
    let low = search(least, most, &|k| at_least(k) > tail);
    // One before the first number that is too large.
    let high = search(least, most + 1, &|k| k > most || at_most(k) <= tail);
    (low, high.saturating_sub(1).max(low))
}

/// P(X = x) for `sample` draws without replacement from `population` with `k` hits.
fn density(x: u64, sample: u64, k: u64, population: u64) -> f64 {
    if x > k || sample - x > population - k {
        return 0.0;
    }
    let choose = |n: u64, r: u64| ln_factorial(n) - ln_factorial(r) - ln_factorial(n - r);
    (choose(k, x) + choose(population - k, sample - x) - choose(population, sample)).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_cover_whatever_the_population() {
        // Enumerated: for each number of hits the chance that the limits hold it.
        for (population, sample) in [(30, 8), (50, 20), (12, 11)] {
            for k in 0..=population {
                let covered: f64 = (0..=sample)
                    .filter(|x| {
                        let (low, high) = hypergeometric_interval(*x, sample, population, 0.9);
                        low <= k && k <= high
                    })
                    .map(|x| density(x, sample, k, population))
                    .sum();
                assert!(covered >= 0.9 - 1e-9, "{population} {sample} {k}: {covered}");
            }
        }
    }

    #[test]
    fn limits_by_hand() {
        assert_eq!(hypergeometric_interval(3, 7, 7, 0.95), (3, 3));
        assert_eq!(hypergeometric_interval(0, 0, 9, 0.95), (0, 9));
        // No hit in 10 of 20: P(X = 0 | k) = C(20 − k, 10)/C(20, 10) is 0.0433 for k = 4 and 0.0163 for k = 5.
        assert_eq!(hypergeometric_interval(0, 10, 20, 0.95), (0, 4));
        assert_eq!(hypergeometric_interval(10, 10, 20, 0.95), (16, 20));
        let (low, high) = hypergeometric_interval(30, 100, 2_000_000, 0.95);
        assert!((low as f64 / 2e6 - 0.2124).abs() < 1e-3 && (high as f64 / 2e6 - 0.3998).abs() < 1e-3);
    }
}
