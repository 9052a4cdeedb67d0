//! Corrections for having asked more than one question; all in log10.

/// Bonferroni: the smallest of `log10_ps`, raised by the number of questions asked (which may exceed the number given).
pub fn bonferroni(log10_ps: &[f64], questions: usize) -> f64 {
    let smallest = log10_ps.iter().copied().fold(0.0_f64, f64::min);
    (smallest + (questions.max(log10_ps.len()).max(1) as f64).log10()).min(0.0)
}

/// Holm's step-down adjusted p-values (Holm 1979), in the order given. Valid under any dependence.
pub fn holm(log10_ps: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..log10_ps.len()).collect();
    order.sort_by(|&i, &j| log10_ps[i].total_cmp(&log10_ps[j]).then(i.cmp(&j)));
    let mut adjusted = vec![0.0; log10_ps.len()];
    let mut running = f64::NEG_INFINITY;
    for (rank, &i) in order.iter().enumerate() {
        let raised = log10_ps[i] + ((log10_ps.len() - rank) as f64).log10();
        running = running.max(raised).min(0.0);
        adjusted[i] = running;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holm_matches_the_textbook() {
        // p = .01 .04 .03 .005 -> .03 .06 .06 .02 (R: p.adjust(c(.01,.04,.03,.005), "holm")).
        let p = [0.01_f64, 0.04, 0.03, 0.005].map(f64::log10);
        let expected = [0.03, 0.06, 0.06, 0.02];
        for (got, want) in holm(&p).iter().zip(expected) {
            assert!((10f64.powf(*got) - want).abs() < 1e-12);
        }
    }

    #[test]
    fn bonferroni_counts_what_was_asked() {
        assert!((bonferroni(&[-5.0, -3.0], 10) + 4.0).abs() < 1e-12);
        assert_eq!(bonferroni(&[], 3), 0.0);
    }
}
