//! Nearest neighbours among projected feed-forward units (METHODS S2).

/// Units kept per tensor and buckets of their projection.
pub(crate) const UNITS: u64 = 256;
pub(crate) const BUCKETS: usize = 256;

/// How many units of `candidate` have the unit of the same label in `reference` as their nearest neighbour by cosine.
/// Both are `units × buckets`, row-major. A tie matches nothing, nor does a zero vector. O(units²·buckets).
pub(crate) fn count_fixed(candidate: &[f32], reference: &[f32], buckets: usize) -> (u64, u64) {
    let normed = |flat: &[f32]| -> Vec<Vec<f32>> {
        flat.chunks_exact(buckets)
            .map(|unit| {
                let norm = unit.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
                let scale = if norm > 0.0 && norm.is_finite() { 1.0 / norm } else { 0.0 };
                unit.iter().map(|x| (f64::from(*x) * scale) as f32).collect()
            })
            .collect()
    };
    let (candidate, reference) = (normed(candidate), normed(reference));
    let units = candidate.len().min(reference.len());
    let mut fixed = 0;
    for (i, c) in candidate.iter().enumerate().take(units) {
        let mut best = (0.0_f32, usize::MAX);
        for (j, r) in reference.iter().enumerate().take(units) {
            let cosine = dot(c, r);
            if cosine > best.0 {
                best = (cosine, j);
            } else if cosine == best.0 {
                // A tie is no match: which label it would go to must not depend on labels.
                best.1 = usize::MAX;
            }
        }
        fixed += u64::from(best.1 == i);
    }
    (fixed, units as u64)
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; 16];
    for (a, b) in a.chunks_exact(16).zip(b.chunks_exact(16)) {
        for i in 0..16 {
            lanes[i] += a[i] * b[i];
        }
    }
    lanes.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use stemmata_stats::SplitMix64;

    #[test]
    fn a_noisy_copy_keeps_its_labels_and_a_stranger_does_not() {
        let mut random = SplitMix64::new(2);
        let a: Vec<f32> = (0..64 * BUCKETS).map(|_| random.normal() as f32).collect();
        let noisy: Vec<f32> = a.iter().map(|x| x + 0.5 * random.normal() as f32).collect();
        let stranger: Vec<f32> = (0..64 * BUCKETS).map(|_| random.normal() as f32).collect();
        assert_eq!(count_fixed(&a, &noisy, BUCKETS), (64, 64));
        assert!(count_fixed(&a, &stranger, BUCKETS).0 < 8, "P(K >= 8) <= 1/8! = 2.5e-5");
        assert_eq!(count_fixed(&vec![0.0; 64 * BUCKETS], &a, BUCKETS).0, 0);
    }
}
