//! What stands beside a verdict: an acquittal with its controls, and statistics that prove nothing.

use stemmata_audit::*;

/// The acquittal with five negative and three positive controls.
pub fn controlled() -> Comparison {
    let acquitted = super::acquitted();
    let tests = acquitted.judgement.verdict.tests;
    let run = |share, found, log10_p| ControlRun {
        share,
        kind: if found { Kind::Related } else { Kind::NoDependenceFound },
        log10_p,
        tests,
    };
    let controls = Controls {
        seed: 7,
        negative: [-0.4, 0.0, 0.0, -0.02, 0.0].map(|log10_p| run(0.0, false, log10_p)).to_vec(),
        positive: vec![run(0.008_45, false, -0.3), run(0.0169, true, -5.6), run(0.0338, true, -31.2)],
        power: Some((0.0169, 0.99)),
        bytes_read: 102_807_994_368,
    };
    Comparison { controls: Some(controls), ..acquitted }
}

pub fn context_statistics() -> Vec<ContextStatistic> {
    let background = Background { pairs: 351, low: 0.41, median: 0.9, high: 0.984 };
    let with = |name, value, n| ContextStatistic {
        name,
        value: Some(value),
        n,
        background: Some(background),
        reason: None,
    };
    vec![
        with("gain-cosine", 0.989, 57),
        with("norm-cosine", 0.996, 255),
        with("attention-profile", 0.927, 28),
        with("config-equality", 1.0, 11),
        with("embedding-cka", 0.62, 256),
        ContextStatistic {
            name: "activation-cka",
            value: None,
            n: 0,
            background: None,
            reason: Some("not tested: it needs the models to be run"),
        },
    ]
}
