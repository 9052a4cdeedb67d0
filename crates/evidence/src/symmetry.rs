//! Which tests have their null: at least one of the two models must have the symmetry that they rest on.
//!
//! A model that was trained symmetrically depends on no fixed pattern ([`stemmata_alignment::SelfCheck`]). Where *both* models
//! depend on one along an axis, nobody vouches for the null, and the tests along that axis are dropped. Dropping tests never
//! raises the rate of false accusations.

use std::borrow::Cow;
use stemmata_alignment::{Measurement, Pattern, Side};
use stemmata_architecture::{ChannelAxis, Component};

/// Level of the checks of one model along one axis of one component. Losing an axis by chance takes a false alarm on both
/// sides.
const LEVEL: f64 = 1e-3;

/// A symmetry that neither model has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BrokenSymmetry {
    /// Signs of the channels of an axis.
    Signs(Component, ChannelAxis),
    /// Labels of feed-forward units.
    Labels(Component),
}

impl std::fmt::Display for BrokenSymmetry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            BrokenSymmetry::Signs(component, axis) => {
                write!(f, "sign-flip/{} of the {}", axis.name(), component.name())
            }
            BrokenSymmetry::Labels(component) => write!(f, "fixed-points of the {}", component.name()),
        }
    }
}

/// All symmetries that neither model has. O(checks).
pub fn broken(measurement: &Measurement) -> Vec<BrokenSymmetry> {
    let mut tallies: std::collections::BTreeMap<(BrokenSymmetry, Side), (u32, f64)> =
        std::collections::BTreeMap::new();
    for check in &measurement.checks {
        let symmetry = match check.check.pattern {
            Pattern::Ones(axis) | Pattern::Diagonal(axis) => BrokenSymmetry::Signs(check.component, axis),
            Pattern::Labels => BrokenSymmetry::Labels(check.component),
        };
        let tally = tallies.entry((symmetry, check.side)).or_insert((0, 0.0));
        tally.0 += 1;
        tally.1 = tally.1.min(if check.guessed { f64::NEG_INFINITY } else { check.check.log10_p });
    }
    let fails = |key: &(BrokenSymmetry, Side)| {
        tallies
            .get(key)
            .is_some_and(|(count, smallest)| smallest + f64::from(*count).log10() <= LEVEL.log10())
    };
    let candidates = tallies.keys().filter(|(_, side)| *side == Side::Candidate);
    candidates.filter(|key| fails(key) && fails(&(key.0, Side::Reference))).map(|key| key.0).collect()
}

/// The measurement without what has no null.
pub(crate) fn without<'a>(measurement: &'a Measurement, broken: &[BrokenSymmetry]) -> Cow<'a, Measurement> {
    if broken.is_empty() {
        return Cow::Borrowed(measurement);
    }
    let mut kept = measurement.clone();
    for groups in [&mut kept.groups, &mut kept.pooled] {
        groups.retain(|g| !broken.contains(&BrokenSymmetry::Signs(g.component, g.axis)));
    }
    for found in &mut kept.searched {
        if broken.contains(&BrokenSymmetry::Signs(found.component, ChannelAxis::Hidden)) {
            found.in_place.clear();
            found.channels.clear();
        }
    }
    kept.searched.retain(|found| !broken.contains(&BrokenSymmetry::Labels(found.component)));
    kept.fixed_points.retain(|f| !broken.contains(&BrokenSymmetry::Labels(f.component)));
    Cow::Owned(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use stemmata_alignment::{SelfCheck, SymmetryCheck};

    fn check(side: Side, pattern: Pattern, log10_p: f64, guessed: bool) -> SymmetryCheck {
        let check = SelfCheck { pattern, log10_p };
        SymmetryCheck { component: Component::LanguageModel, side, guessed, check }
    }

    #[test]
    fn an_axis_falls_only_when_neither_model_vouches_for_it() {
        use Side::{Candidate, Reference};
        let hidden = Pattern::Ones(ChannelAxis::Hidden);
        let of = |checks: Vec<SymmetryCheck>| broken(&Measurement { checks, ..Measurement::default() });
        let (bad, good) = (-9.0, -0.3);
        assert!(
            of(vec![check(Candidate, hidden, bad, false), check(Reference, hidden, good, false)]).is_empty()
        );
        let both = vec![
            check(Candidate, hidden, bad, false),
            check(Reference, Pattern::Diagonal(ChannelAxis::Hidden), bad, false),
            check(Candidate, Pattern::Labels, bad, false),
            check(Reference, Pattern::Labels, good, false),
        ];
        let hidden_signs = BrokenSymmetry::Signs(Component::LanguageModel, ChannelAxis::Hidden);
        assert_eq!(of(both), [hidden_signs]);
        let guess = vec![check(Candidate, hidden, good, true), check(Reference, hidden, bad, false)];
        assert_eq!(of(guess), [hidden_signs]);
        // One of a hundred checks at 1 % is chance.
        let many = |side| (0..100).map(move |i| check(side, hidden, if i == 0 { -2.0 } else { good }, false));
        assert!(of(many(Candidate).chain(many(Reference)).collect()).is_empty());
    }
}
