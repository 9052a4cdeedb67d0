use super::*;
use crate::SplitMix64;
use proptest::prelude::*;

/// P(|S| ≥ |s|) by enumerating all sign patterns.
fn enumerate(terms: &[f64]) -> f64 {
    let observed: f64 = terms.iter().sum::<f64>().abs();
    let patterns = 1_u32 << terms.len();
    let hits = (0..patterns)
        .filter(|pattern| {
            let sum: f64 =
                terms.iter().enumerate().map(|(i, a)| if pattern >> i & 1 == 1 { -a } else { *a }).sum();
            sum.abs() >= observed - 1e-12
        })
        .count();
    hits as f64 / f64::from(patterns)
}

proptest! {
    /// The bound is above the true tail probability for any magnitudes, and scale does not matter.
    #[test]
    fn bound_covers_the_exact_tail(terms in prop::collection::vec(-10.0..10.0_f64, 1..12), scale in 1e-6..1e6_f64) {
        let outcome = sign_flip(&terms);
        let exact = enumerate(&terms);
        prop_assert!(10f64.powf(outcome.log10_p) >= exact - 1e-9, "{} < {exact}", outcome.log10_p);
        let scaled: Vec<f64> = terms.iter().map(|a| a * scale).collect();
        prop_assert!((sign_flip(&scaled).log10_p - outcome.log10_p).abs() < 1e-6);
    }
}

#[test]
fn never_looser_than_hoeffding_and_reaches_the_floor() {
    let mut random = SplitMix64::new(7);
    for shift in [0.0, 0.1, 0.5, 1.0, 3.0] {
        let terms: Vec<f64> = (0..400).map(|_| random.normal() + shift).collect();
        let outcome = sign_flip(&terms);
        let hoeffding = ((LN_2 - outcome.statistic.powi(2) / 2.0) / LN_10).min(0.0);
        assert!(outcome.log10_p <= hoeffding + 1e-9, "{shift}");
    }
    let agreeing = vec![1.0; 960];
    let expected = (LN_2 - 960.0 * LN_2) / LN_10;
    assert!((sign_flip(&agreeing).log10_p - expected).abs() < 1e-9);
}

#[test]
fn depth_is_not_limited_by_floating_point() {
    let terms: Vec<f64> = (0..20_000).map(|i| 1.0 + f64::from(i % 7)).collect();
    assert!(sign_flip(&terms).log10_p < -6000.0);
}

#[test]
fn zeros_and_non_finite_terms_carry_no_evidence() {
    assert_eq!(sign_flip(&[]).log10_p, 0.0);
    assert_eq!(sign_flip(&[0.0, f64::NAN, f64::INFINITY]).n, 0);
    assert_eq!(sign_flip(&[0.0, 1.0, 2.0]), sign_flip(&[1.0, 0.0, 2.0, f64::NAN]));
}

#[test]
fn one_dominant_term_proves_nothing() {
    let mut terms = vec![1e-3; 50];
    terms.push(1e6);
    assert!(sign_flip(&terms).log10_p > -17.0);
    assert!(
        sign_flip(&[1e6, -1e-3, 1e-3]).log10_p > -0.01,
        "a single coin can never be below 1/2, two-sided 1"
    );
}

#[test]
fn tiny_terms_of_the_other_sign_keep_the_bound_above_the_tail() {
    let mut terms = vec![1.0];
    terms.extend((0..100).map(|i| if i % 2 == 0 { 1e-20 } else { -1e-20 }));
    assert!(sign_flip(&terms).log10_p > -0.01, "one coin decides: the two-sided tail is 1");
}

#[test]
fn detectable_share_is_detected() {
    // Terms ρ·1 + N(0, 0.2²): at the share that the formula names, at least 96 % of 500 simulated runs reject, for few
    // channels as for many. 1 in 1e6 false alarms: Bin(500, 0.99) is below 480 with probability 2e-7.
    for m in [64_usize, 100, 300] {
        let (noise, log10_alpha) = (0.2, -3.0);
        let mut random = SplitMix64::new(11);
        let squares = m as f64 * noise * noise;
        let share = detectable_share(squares, m as f64, m as f64, log10_alpha, 0.99).unwrap();
        let found = (0..500)
            .filter(|_| {
                let terms: Vec<f64> = (0..m).map(|_| share + noise * random.normal()).collect();
                sign_flip(&terms).log10_p <= log10_alpha
            })
            .count();
        assert!(found >= 480, "{found} of 500 at {m} channels");
    }
    assert_eq!(
        detectable_share(1.0, 10.0, 10.0, -3.0, 0.99),
        None,
        "ten channels cannot reach 1e-3 two-sided with power"
    );
}
