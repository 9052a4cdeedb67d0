//! Controls of a comparison: the same tests under the same rule on pairs whose answer is known by construction.

use crate::compare::decide;
use crate::input::Model;
use crate::{AuditError, Event, Finding, Settings, Watch};
use stemmata_alignment::{Control, Measurement};
use stemmata_evidence::{Judgement, Kind, StorageFacts};
use stemmata_model::Level;
use stemmata_stats::SplitMix64;

/// Shares of the positive controls, in units of the smallest share of the power statement.
const MULTIPLES: [f64; 3] = [0.5, 1.0, 2.0];

/// What the controls said.
#[derive(Clone, Debug, PartialEq)]
pub struct Controls {
    /// Seed of the draws.
    pub seed: u64,
    /// The candidate drawn again from the null, against the reference.
    pub negative: Vec<ControlRun>,
    /// The same with a share of the reference mixed in; empty where the tests could not state a share that they would find.
    pub positive: Vec<ControlRun>,
    /// The share that the stated probability of detection belongs to, and that probability.
    pub power: Option<(f64, f64)>,
    /// Bytes of weights fetched for them, of both sides.
    pub bytes_read: u64,
}

/// One control.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ControlRun {
    /// Cosine with the reference that was built in; 0 in a negative control.
    pub share: f64,
    /// The verdict.
    pub kind: Kind,
    /// Its smallest p-value after correction, log10.
    pub log10_p: f64,
    /// Tests in its family.
    pub tests: usize,
}

impl ControlRun {
    /// Whether dependence was found.
    pub fn is_found(&self) -> bool {
        self.kind.is_dependence()
    }
}

/// Runs `settings.controls` negative controls, then the positive ones.
///
/// Each is a pass over both models, with a map of layers and a search where the rule asks for them. The checks of symmetry are
/// those of the original: a test that was dropped there is dropped here.
pub(crate) fn run(
    models: [Model<'_>; 2],
    storage: &StorageFacts,
    measured: &Measurement,
    judgement: &Judgement,
    settings: &Settings<'_>,
    watch: Watch<'_>,
) -> Result<Controls, AuditError> {
    let [c, r] = models;
    let bytes = || c.weights.bytes_read() + r.weights.bytes_read();
    let before = bytes();
    let mut draws = SplitMix64::new(settings.params.seed);
    let mut watch = |event| match event {
        Event::Working { elements, elements_total, bytes, tensors, tensors_total, .. } => {
            watch(Event::Working {
                doing: "controls",
                elements,
                elements_total,
                bytes,
                tensors,
                tensors_total,
            });
        }
        other => watch(other),
    };
    let mut one = |share: f64| {
        let (ours, theirs) = ((c.weights, c.anatomy), (r.weights, r.anatomy));
        let control = Control::new(ours, theirs, &measured.pairs, draws.next_u64(), share);
        let candidate = Model { weights: &control, ..c };
        let (_, judged) = decide([candidate, r], storage, Some(&measured.checks), settings, &mut watch)?;
        let verdict = &judged.verdict;
        let run = ControlRun { share, kind: verdict.kind, log10_p: verdict.log10_p, tests: verdict.tests };
        Ok::<_, AuditError>((run, verdict.power))
    };
    let mut negative = Vec::new();
    let mut power = judgement.verdict.power;
    for _ in 0..settings.controls {
        let (run, its_power) = one(0.0)?;
        negative.push(run);
        // Where the pair depends, what the tests would have found is read off a pair that does not.
        power = power.or(its_power);
    }
    let power = power.map(|p| (p.smallest_share, p.probability));
    let mut positive = Vec::new();
    for multiple in MULTIPLES {
        let share = power.map(|(share, _)| multiple * share);
        if let Some(share) = share.filter(|share| *share > 0.0 && *share <= 1.0) {
            positive.push(one(share)?.0);
        }
    }
    Ok(Controls { seed: settings.params.seed, negative, positive, power, bytes_read: bytes() - before })
}

/// What controls say against the comparison that they were made for.
pub(crate) fn findings(controls: &Controls) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |code, message: String| {
        findings.push(Finding { code, level: Level::Warning, side: "", subject: String::new(), message });
    };
    let wrong = controls.negative.iter().filter(|run| run.is_found()).count();
    if wrong > 0 {
        let n = controls.negative.len();
        add("negative-control-found", format!("dependence was found in {wrong} of {n} negative controls"));
    }
    for run in controls.positive.iter().filter(|run| !run.is_found()) {
        // At the stated share itself one in a hundred may be missed.
        if controls.power.is_some_and(|(share, _)| run.share > 1.5 * share) {
            let message = format!("{:.2} % of the reference's weights were not found", 100.0 * run.share);
            add("positive-control-missed", message);
        }
    }
    findings
}
