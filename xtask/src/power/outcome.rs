//! What the default comparison says of a pair, and which test found it.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use stemmata_audit::{Direction, Evidence, TestKind, Tier, compare};

use super::{reference, words};
use crate::calibration::settings;

/// The verdict in short.
pub(super) struct Outcome {
    /// Whether dependence was found.
    pub(super) found: bool,
    /// The word of the verdict.
    pub(super) kind: &'static str,
    /// Whether the verdict says that the base came from the candidate.
    pub(super) reversed: bool,
    /// The test with the smallest p among those that reject, exact ones before effect sizes.
    pub(super) test: Option<&'static str>,
    /// Whether it rests on an effect size alone.
    pub(super) by_effect: bool,
    /// That p, raised by the number of tests.
    pub(super) log10_p: f64,
}

/// Compares two models with the settings of `stemmata compare`.
pub(super) fn of(candidate: &Path, base: &Path) -> Result<Outcome, String> {
    let stop = AtomicBool::new(false);
    let result = compare(&reference(candidate), &reference(base), &settings(&stop), &mut |_| {});
    let judgement = result.map_err(|error| format!("{}: {}", reference(candidate), words(error)))?.judgement;
    let verdict = &judgement.verdict;
    let by_effect = verdict.tier == Tier::Effect;
    let deciding = |e: &&Evidence| {
        let finds = match e.test {
            TestKind::UnitAgreement(_) => by_effect,
            // These describe a dependence that other tests have found.
            TestKind::ExactIdentity | TestKind::NoiseOrder | TestKind::TrainingOrder => false,
            _ => true,
        };
        finds && verdict.rejects(e)
    };
    let p = |e: &Evidence| e.p.map_or(0.0, |p| p.log10());
    let best = judgement.evidence.iter().filter(deciding).min_by(|a, b| p(a).total_cmp(&p(b)));
    Ok(Outcome {
        found: verdict.kind.is_dependence(),
        kind: verdict.kind.name(),
        reversed: verdict.direction == Direction::ReferenceFromCandidate,
        test: best.map(|e| e.test.name()),
        by_effect,
        log10_p: best.map_or(0.0, |e| p(e) + (verdict.tests.max(1) as f64).log10()),
    })
}
