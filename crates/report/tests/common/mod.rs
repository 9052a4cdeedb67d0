//! Realistic results, made up: a noised copy of a vision-language model, and an acquittal.
#![allow(dead_code, unreachable_pub, unused_imports)]

mod beside;
mod blamed;
mod others;
mod rated;
mod surveyed;

pub use beside::{context_statistics, controlled};
pub use blamed::{blamed, shortened, summed};
pub use others::{differing, inspected};
pub use rated::{rated, unrated};
pub use surveyed::{listed, surveyed};

use stemmata_architecture::{ChannelAxis, Component};
use stemmata_audit::*;
use stemmata_report::Context;

pub const SIGN_NULL: &str = "the two models grew from independent random starts; then the signs of matching channels \
     are fair coins, whatever data, order, tokenizer or recipe they share";
pub const LABEL_NULL: &str = "the two models grew from independent random starts; then the labels of feed-forward \
     units are a uniformly random permutation of one another";

pub fn context() -> Context {
    Context {
        command: "stemmata compare ./nova-vl ./pioneer-vl --alpha 0.001".to_owned(),
        version: "0.1.0".to_owned(),
        timing: None,
    }
}

pub fn facts(reference: &str, digit: char, layers: &[(&'static str, u32)]) -> InputFacts {
    InputFacts {
        reference: reference.to_owned(),
        resolved: None,
        digest: format!("sha256:{}", digit.to_string().repeat(64)),
        files: vec![FileDigest {
            name: "model.safetensors".to_owned(),
            len: 16_062_177_280,
            sha256: digit.to_string().repeat(64),
        }],
        format: "safetensors".to_owned(),
        family: "llava".to_owned(),
        inferred: false,
        parameters: 8_031_088_640,
        encoding: "bf16".to_owned(),
        layers: layers.to_vec(),
        declared_base: Vec::new(),
        declared_license: Some("apache-2.0".to_owned()),
        notes: Vec::new(),
    }
}

/// A number in −1..1 that depends on its arguments only.
fn wobble(a: u32, b: u32) -> f64 {
    let x = (f64::from(a) * 12.989_8 + f64::from(b) * 78.233).sin() * 43_758.545_3;
    2.0 * (x - x.floor()) - 1.0
}

pub fn sign(axis: ChannelAxis, scope: Scope, t: f64, n: u64, cosine: f64) -> Evidence {
    let floor = -(n as f64) * std::f64::consts::LOG10_2;
    let log10 = (2f64.log10() - t * t / 2.0 / std::f64::consts::LN_10).max(floor);
    let half = 1.96 * (1.0 - cosine * cosine).max(1e-4).sqrt() / (n as f64).sqrt();
    Evidence {
        test: TestKind::SignFlip(axis),
        scope,
        p: Some(PValue::new(log10, PKind::Exact, SIGN_NULL, n)),
        statistic: t,
        n,
        effect: Some(cosine),
        interval: Some(Interval { low: cosine - half, high: cosine + half, level: 0.95 }),
        detectable: Some(6.2 / (n as f64).sqrt()),
    }
}

pub fn fixed(scope: Scope, k: u64, n: u64) -> Evidence {
    let log10 = -(1..=k).map(|i| (i as f64).log10()).sum::<f64>();
    let share = k as f64 / n as f64;
    Evidence {
        test: TestKind::FixedPoints,
        scope,
        p: Some(PValue::new(log10, PKind::Exact, LABEL_NULL, n)),
        statistic: k as f64,
        n,
        effect: Some(share),
        interval: Some(Interval { low: (share - 1e-4).max(0.0), high: (share + 4e-4).min(1.0), level: 0.95 }),
        detectable: None,
    }
}

pub fn identity(component: Component, equal: u64, n: u64) -> Evidence {
    Evidence {
        test: TestKind::ExactIdentity,
        scope: Scope::Component(component),
        p: None,
        statistic: equal as f64,
        n,
        effect: Some(equal as f64 / n as f64),
        interval: None,
        detectable: None,
    }
}

fn layer(component: Component, index: Option<u32>, cosine: f64, half: f64, log10_p: f64) -> LayerEffect {
    LayerEffect {
        component,
        candidate_layer: index,
        reference_layer: index,
        effect: Some(cosine),
        interval: Some(Interval { low: cosine - half, high: cosine + half, level: 0.95 }),
        log10_p,
        dependent: log10_p < -5.4,
    }
}

fn change(elements: u64, changed: f64, relative: f64, cosine: f64) -> Change {
    Change { elements, changed, relative, cosine, scale: 1.0 + relative * relative / 10.0 }
}

fn not_tested() -> Vec<NotTested> {
    let item = |what: &str, reason: &str| NotTested { what: what.to_owned(), reason: reason.to_owned() };
    vec![
        item("relabelled units, heads or residual channels", "only the identity alignment was tested"),
        item("distillation and other inheritance of behaviour", "weights cannot show it"),
        item("2 tensors of the candidate (4198400 parameters)", "the other model has no counterpart"),
    ]
}

/// Language model noised, vision tower copied, connector trained anew.
pub fn derived() -> Comparison {
    use Component::{Connector, LanguageModel, VisionTower};
    let counts = [("language-model", 32), ("vision-tower", 24), ("connector", 0)];
    let noise = Noise {
        sigma: 0.001_003,
        excess_kurtosis: 0.004_1,
        magnitude_correlation: -0.000_7,
        sigma_variation: 0.012,
        gaussian: true,
    };
    let mut evidence = vec![
        sign(ChannelAxis::Hidden, Scope::Component(LanguageModel), 667.3, 458_752, 0.985),
        sign(ChannelAxis::Value, Scope::Component(LanguageModel), 178.9, 32_768, 0.991),
        sign(ChannelAxis::Residual, Scope::Component(LanguageModel), 63.8, 4096, 0.997),
        fixed(Scope::Component(LanguageModel), 458_752, 458_752),
        sign(ChannelAxis::Value, Scope::Component(VisionTower), 156.7, 24_576, 1.0),
        fixed(Scope::Component(VisionTower), 98_304, 98_304),
        sign(ChannelAxis::Hidden, Scope::Component(Connector), -0.41, 4096, -0.006),
    ];
    let mut layers = Vec::new();
    for index in 0..32 {
        let cosine = 0.96 + 0.03 * f64::from(index) / 31.0 + 0.006 * wobble(index, 1);
        evidence.push(sign(
            ChannelAxis::Hidden,
            Scope::Layer(LanguageModel, Some(index)),
            118.0,
            14_336,
            cosine,
        ));
        layers.push(layer(LanguageModel, Some(index), cosine, 0.004, -3020.0));
    }
    layers.push(layer(LanguageModel, None, 0.993, 0.001, -2600.0));
    for index in 0..24 {
        evidence.push(sign(ChannelAxis::Value, Scope::Layer(VisionTower, Some(index)), 32.0, 1024, 1.0));
        layers.push(layer(VisionTower, Some(index), 1.0, 0.0, -308.0));
    }
    layers.push(layer(Connector, None, -0.006, 0.031, -0.1));
    let tests = evidence.len();
    evidence.extend([
        identity(LanguageModel, 0, 291),
        identity(VisionTower, 389, 389),
        identity(Connector, 0, 4),
    ]);
    evidence.push(Evidence {
        test: TestKind::NoiseOrder,
        scope: Scope::Model,
        p: Some(PValue::new(
            -81_250.4,
            PKind::Asymptotic,
            "independent noise was added to the candidate's weights and gave the reference's",
            7_500_000_000,
        )),
        statistic: 611.7,
        n: 7_500_000_000,
        effect: None,
        interval: None,
        detectable: None,
    });
    let whole =
        |low: f64| Some((low, Interval { low: low - 0.001, high: (low + 0.001).min(1.0), level: 0.95 }));
    let components = vec![
        ComponentVerdict {
            component: LanguageModel,
            kind: Kind::Derived,
            share_inherited: 1.0,
            log10_p: -138_000.2,
            effect: whole(0.985),
            noise: Some(noise),
            change: Some(change(7_504_924_672, 0.9987, 0.0488, 0.998_81)),
            detectable: Some(0.009),
        },
        ComponentVerdict {
            component: VisionTower,
            kind: Kind::Identical,
            share_inherited: 1.0,
            log10_p: -5330.0,
            effect: whole(1.0),
            noise: None,
            change: Some(change(303_966_208, 0.0, 0.0, 1.0)),
            detectable: Some(0.04),
        },
        ComponentVerdict {
            component: Connector,
            kind: Kind::NoDependenceFound,
            share_inherited: 0.0,
            log10_p: 0.0,
            effect: Some((-0.006, Interval { low: -0.037, high: 0.025, level: 0.95 })),
            noise: None,
            change: Some(change(20_979_712, 1.0, 1.414, -0.002)),
            detectable: Some(0.097),
        },
    ];
    let finding = |code, level, side, subject: &str, message: &str| Finding {
        code,
        level,
        side,
        subject: subject.to_owned(),
        message: message.to_owned(),
    };
    Comparison {
        candidate: facts("./nova-vl", 'a', &counts),
        reference: InputFacts {
            declared_base: vec!["example/pioneer-base".to_owned()],
            encoding: "f16".to_owned(),
            ..facts("./pioneer-vl", 'b', &counts)
        },
        measurement: Default::default(),
        judgement: Judgement {
            broken: vec![],
            verdict: Verdict {
                kind: Kind::Derived,
            tier: stemmata_audit::Tier::Exact,
                relation: Some("noised-copy"),
                direction: Direction::CandidateFromReference,
                cue: Some(
                    "noise order: the difference is uncorrelated with the reference (z = -0.6) and correlated with \
                     the candidate (z = 611.7)"
                        .to_owned(),
                ),
                log10_p: -137_998.4,
                tests,
                alpha: 1e-3,
                power: None,
                missing: Vec::new(),
            },
            components,
            evidence,
            layers,
            change: Some(change(7_829_870_592, 0.957_3, 0.0479, 0.998_85)),
            not_tested: not_tested(),
        },
        findings: vec![
            finding(
                "undeclared-base",
                Level::Note,
                "candidate",
                "",
                "dependence was found and the card names no base model",
            ),
            finding(
                "pickle-global",
                Level::Danger,
                "candidate",
                "optimizer.bin",
                "the pickle names `os.system`, which a loader that trusts it would call",
            ),
            finding(
                "unmapped-tensors",
                Level::Warning,
                "candidate",
                "adapter.extra.weight",
                "2 tensors were not compared",
            ),
        ],
        context: Vec::new(),
        controls: None,
        relatives: Vec::new(),
        bytes_read: 32_124_354_560,
        seed: 0,
    }
}

/// Two models of one family that share nothing.
pub fn acquitted() -> Comparison {
    use Component::LanguageModel;
    let counts = [("language-model", 28)];
    let mut evidence = vec![
        sign(ChannelAxis::Hidden, Scope::Component(LanguageModel), 0.73, 229_376, 0.0011),
        sign(ChannelAxis::Value, Scope::Component(LanguageModel), -1.18, 28_672, -0.0052),
        sign(ChannelAxis::Residual, Scope::Component(LanguageModel), 1.62, 3072, 0.019),
        fixed(Scope::Component(LanguageModel), 31, 229_376),
    ];
    let mut layers = Vec::new();
    for index in 0..28 {
        let t = 1.7 * wobble(index, 2);
        let e = sign(
            ChannelAxis::Hidden,
            Scope::Layer(LanguageModel, Some(index)),
            t,
            8192,
            0.008 * wobble(index, 2),
        );
        layers.push(LayerEffect {
            component: LanguageModel,
            candidate_layer: Some(index),
            reference_layer: Some(index),
            effect: e.effect,
            interval: e.interval,
            log10_p: e.p.map_or(0.0, |p| p.log10()),
            dependent: false,
        });
        evidence.push(e);
    }
    evidence[3].p = Some(PValue::new(-0.21, PKind::Exact, LABEL_NULL, 229_376));
    let tests = evidence.len();
    evidence.push(identity(LanguageModel, 0, 255));
    let counted = [facts("./wren-3b", 'c', &counts), facts("./kite-3b", 'd', &counts)];
    let [candidate, reference] =
        counted.map(|f| InputFacts { family: "llama".to_owned(), parameters: 3_212_749_824, ..f });
    let all = change(3_212_749_824, 1.0, 1.41, 0.0003);
    Comparison {
        candidate,
        reference,
        measurement: Default::default(),
        judgement: Judgement {
            broken: vec![],
            verdict: Verdict {
                kind: Kind::NoDependenceFound,
                tier: stemmata_audit::Tier::Exact,
                relation: None,
                direction: Direction::Unknown,
                cue: None,
                log10_p: 0.0,
                tests,
                alpha: 1e-3,
                power: Some(Power {
                    probability: 0.99,
                    smallest_share: 0.0169,
                    smallest_share_one_layer: Some(0.0874),
                }),
                missing: Vec::new(),
            },
            components: vec![ComponentVerdict {
                component: LanguageModel,
                kind: Kind::NoDependenceFound,
                share_inherited: 0.0,
                log10_p: 0.0,
                effect: Some((0.0011, Interval { low: -0.003, high: 0.0052, level: 0.95 })),
                noise: None,
                change: Some(all),
                detectable: Some(0.0169),
            }],
            evidence,
            layers,
            change: Some(all),
            not_tested: not_tested()[..2].to_vec(),
        },
        findings: Vec::new(),
        context: context_statistics(),
        controls: None,
        relatives: Vec::new(),
        bytes_read: 12_850_999_296,
        seed: 0,
    }
}
