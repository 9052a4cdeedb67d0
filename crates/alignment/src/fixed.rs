//! Nearest neighbours among projected feed-forward units (METHODS S2).

/// Units kept per tensor and buckets of their projection.
pub(crate) const UNITS: u64 = 256;
pub(crate) const BUCKETS: usize = 256;

/// Buckets after which it is asked whether a unit can still win.
const PREFIX: usize = 64;
/// Room for the rounding of f32 sums in that question.
const SLACK: f32 = 1e-4;

/// How many units of `candidate` have the unit of the same label in `reference` as their nearest neighbour by cosine.
/// Both are `units × buckets`, row-major. A tie matches nothing, nor does a zero vector. O(units²·buckets) at worst; among
/// strangers the first units already beat the own label, and beside a copy most units are ruled out by a prefix
/// (Cauchy and Schwarz on the rest).
pub(crate) fn count_fixed(candidate: &[f32], reference: &[f32], buckets: usize) -> (u64, u64) {
    let (candidate, reference) = (normed(candidate, buckets), normed(reference, buckets));
    let units = candidate.len().min(reference.len());
    let is_fixed = |&i: &usize| {
        let c = &candidate[i];
        let own = dot(&c.unit, &reference[i].unit);
        // A tie is no match: which label it would go to must not depend on labels.
        own > 0.0 && reference.iter().take(units).enumerate().all(|(j, r)| j == i || below(c, r, own))
    };
    ((0..units).filter(is_fixed).count() as u64, units as u64)
}

/// A unit of length one, and how much of its length lies beyond the prefix.
struct Normed {
    unit: Vec<f32>,
    rest: f32,
}

fn normed(flat: &[f32], buckets: usize) -> Vec<Normed> {
    let length = |part: &[f32]| part.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
    let one = |unit: &[f32]| {
        let norm = length(unit);
        let scale = if norm > 0.0 && norm.is_finite() { 1.0 / norm } else { 0.0 };
        let unit: Vec<f32> = unit.iter().map(|x| (f64::from(*x) * scale) as f32).collect();
        let rest = length(&unit[PREFIX.min(unit.len())..]) as f32;
        Normed { unit, rest }
    };
    flat.chunks_exact(buckets).map(one).collect()
}

/// Whether the cosine of two units is below `bound`.
fn below(a: &Normed, b: &Normed, bound: f32) -> bool {
    let prefix = PREFIX.min(a.unit.len());
    let most = dot(&a.unit[..prefix], &b.unit[..prefix]) + a.rest * b.rest + SLACK;
    most < bound || dot(&a.unit, &b.unit) < bound
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

    #[test]
    fn what_a_prefix_rules_out_is_what_all_cosines_rule_out() {
        let mut random = SplitMix64::new(7);
        for noise in [0.0, 0.5, 2.0, 4.0, 8.0] {
            let a: Vec<f32> = (0..48 * BUCKETS).map(|_| random.normal() as f32).collect();
            let mut b: Vec<f32> = a.iter().map(|x| x + noise * random.normal() as f32).collect();
            // One unit stands twice: whoever is nearest to it has no label.
            b.copy_within(5 * BUCKETS..6 * BUCKETS, 9 * BUCKETS);
            let (c, r) = (normed(&a, BUCKETS), normed(&b, BUCKETS));
            let plain = (0..48).filter(|&i| {
                let cosines: Vec<f32> = r.iter().map(|r| dot(&c[i].unit, &r.unit)).collect();
                cosines[i] > 0.0 && cosines.iter().enumerate().all(|(j, x)| j == i || *x < cosines[i])
            });
            assert_eq!(count_fixed(&a, &b, BUCKETS), (plain.count() as u64, 48), "noise {noise}");
        }
    }
}
