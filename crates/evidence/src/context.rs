//! Statistics of sizes and depths, by which independent models were accused. Context: none of them enters a verdict.
//!
//! They compare what no training run draws at random: how large weights are, and how that goes with depth. Models of one recipe
//! agree in both, whoever made them (`docs/methods/false-friends.md`).

use std::collections::BTreeMap;
use stemmata_alignment::{Measurement, Moments, PairMeasurement};
use stemmata_architecture::{Component, Role, Term};

/// Fewer layers make no profile.
const FEWEST_LAYERS: usize = 3;

/// Cosine of the two vectors of Frobenius norms, one entry per pair of tensors over their common corner, and how many there
/// are. `None` where only sketches were compared, or one side is zero. O(pairs).
pub fn norm_cosine(measurement: &Measurement) -> Option<(f64, u64)> {
    let squares = measurement.pairs.iter().filter_map(|p| p.moments);
    let (mut n, mut dot, mut own, mut other) = (0, 0.0, 0.0, 0.0);
    for m in squares {
        n += 1;
        dot += (m.candidate_squares * m.reference_squares).sqrt();
        own += m.candidate_squares;
        other += m.reference_squares;
    }
    let scale = (own * other).sqrt();
    (scale > 0.0 && scale.is_finite()).then(|| (dot / scale, n))
}

/// Cosine of the gains of all normalisations of the language model, one after the other, and the number of tensors. Gains are
/// positive and near one another, so it is near 1 by construction. `None` where there are none. O(pairs).
pub fn gain_cosine(measurement: &Measurement) -> Option<(f64, u64)> {
    let is_gain = |p: &&PairMeasurement| {
        let role = matches!(
            p.key.role,
            Role::AttentionNorm
                | Role::PostAttentionNorm
                | Role::FeedForwardNorm
                | Role::PostFeedForwardNorm
                | Role::FinalNorm
        );
        role && (p.key.component, p.key.term) == (Component::LanguageModel, Term::Weight)
    };
    let (mut n, mut all) = (0, Moments::default());
    for moments in measurement.pairs.iter().filter(is_gain).filter_map(|p| p.moments) {
        n += 1;
        all.add(&moments);
    }
    let cosine = all.cosine();
    (cosine != 0.0 && cosine.is_finite()).then_some((cosine, n))
}

/// Correlation over layers of the spread of the weights of q, k, v and o, averaged over the four, and the number of layers that
/// both language models have (arXiv 2507.03014). The spread is the root mean square, which is the standard deviation where
/// weights have mean zero, so that no further read is needed. `None` with fewer than three layers. O(pairs).
pub fn attention_profile(measurement: &Measurement) -> Option<(f64, u64)> {
    let mut correlations = Vec::new();
    let mut layers = 0;
    for role in [Role::Query, Role::Key, Role::Value, Role::Output] {
        let of_role = |p: &&PairMeasurement| {
            (p.key.component, p.key.role, p.key.term) == (Component::LanguageModel, role, Term::Weight)
        };
        let spreads: BTreeMap<u32, (f64, f64)> = measurement
            .pairs
            .iter()
            .filter(of_role)
            .filter_map(|p| Some((p.key.layer?, p.moments?)))
            .filter(|(_, m)| m.n > 0)
            .map(|(layer, m)| {
                let spread = |squares: f64| (squares / m.n as f64).sqrt();
                (layer, (spread(m.candidate_squares), spread(m.reference_squares)))
            })
            .collect();
        if spreads.len() >= FEWEST_LAYERS {
            layers = layers.max(spreads.len() as u64);
            correlations.extend(correlation(&spreads.into_values().collect::<Vec<_>>()));
        }
    }
    let n = correlations.len() as f64;
    (n > 0.0).then(|| (correlations.iter().sum::<f64>() / n, layers))
}

/// Pearson's, which z-scores both curves; `None` where one does not vary.
fn correlation(pairs: &[(f64, f64)]) -> Option<f64> {
    let n = pairs.len() as f64;
    let mean = pairs.iter().fold((0.0, 0.0), |sum, p| (sum.0 + p.0 / n, sum.1 + p.1 / n));
    let (mut both, mut one, mut other) = (0.0, 0.0, 0.0);
    for (a, b) in pairs {
        let (a, b) = (a - mean.0, b - mean.1);
        both += a * b;
        one += a * a;
        other += b * b;
    }
    let scale = (one * other).sqrt();
    (scale > 0.0 && scale.is_finite()).then(|| both / scale)
}

#[cfg(test)]
mod tests {
    use super::*;
    use stemmata_alignment::PairKey;

    fn pair(layer: u32, role: Role, (own, other): (f64, f64)) -> PairMeasurement {
        let key = PairKey {
            component: Component::LanguageModel,
            layer: Some(layer),
            expert: None,
            role,
            term: Term::Weight,
        };
        PairMeasurement {
            key,
            candidate: 0,
            reference: 0,
            candidate_shape: (5, 2),
            reference_shape: (5, 2),
            moments: Some(Moments {
                n: 10,
                candidate_squares: 10.0 * own * own,
                reference_squares: 10.0 * other * other,
                ..Moments::default()
            }),
            identical: false,
        }
    }

    fn measurement(pairs: Vec<PairMeasurement>) -> Measurement {
        Measurement { pairs, ..Measurement::default() }
    }

    #[test]
    fn norms_in_proportion_have_cosine_1_whatever_the_weights_are() {
        let all = [(1.0, 2.0), (3.0, 6.0)];
        let pairs = all.into_iter().zip(0..).map(|(norms, layer)| pair(layer, Role::Up, norms)).collect();
        let (cosine, n) = norm_cosine(&measurement(pairs)).unwrap();
        assert!((cosine - 1.0).abs() < 1e-12 && n == 2);
        let apart = vec![pair(0, Role::Up, (1.0, 0.0)), pair(1, Role::Up, (0.0, 1.0))];
        assert_eq!(norm_cosine(&measurement(apart)).unwrap().0, 0.0);
        assert_eq!(norm_cosine(&Measurement::default()), None);
    }

    #[test]
    fn gains_count_as_one_vector_and_other_tensors_not_at_all() {
        let with_dot = |role, layer, dot| {
            let mut pair = pair(layer, role, (1.0, 1.0));
            pair.moments.as_mut().unwrap().dot = dot;
            pair
        };
        let pairs = vec![
            with_dot(Role::AttentionNorm, 0, 10.0),
            with_dot(Role::FinalNorm, 1, 5.0),
            with_dot(Role::Up, 2, -10.0),
        ];
        assert_eq!(gain_cosine(&measurement(pairs)), Some((0.75, 2)));
        assert_eq!(gain_cosine(&measurement(vec![with_dot(Role::Up, 0, 10.0)])), None);
    }

    #[test]
    fn a_profile_is_compared_by_its_shape_over_depth_and_averaged_over_roles() {
        let rising = |layer: u32| f64::from(layer) + 1.0;
        let mut pairs: Vec<_> =
            (0..4).map(|l| pair(l, Role::Query, (rising(l), 5.0 + 2.0 * rising(l)))).collect();
        assert_eq!(attention_profile(&measurement(pairs.clone())).unwrap(), (1.0, 4));
        pairs.extend((0..4).map(|l| pair(l, Role::Output, (rising(l), 9.0 - rising(l)))));
        assert!(attention_profile(&measurement(pairs.clone())).unwrap().0.abs() < 1e-12);
        pairs.retain(|p| p.key.layer < Some(2));
        assert_eq!(attention_profile(&measurement(pairs)), None, "two layers always lie on a line");
    }
}
