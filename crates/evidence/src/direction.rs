//! Which came first, and how: only cues that cannot be reversed (METHODS 8).

use crate::change::{Change, Noise, is_gaussian};
use crate::{Direction, Evidence, Scope, TestKind};
use stemmata_alignment::PairMeasurement;
use stemmata_model::Encoding;
use stemmata_stats::{PKind, PValue, normal_log10_two_sided};

/// How the compared matrices are stored, as far as it matters here.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StorageFacts {
    /// Most common encoding of the candidate's matrices, for instance `bf16`.
    pub candidate_encoding: String,
    /// Most common encoding of the reference's matrices.
    pub reference_encoding: String,
    /// Bits per element of the candidate's matrices, scales included.
    pub candidate_bits: f64,
    /// Bits per element of the reference's matrices.
    pub reference_bits: f64,
    /// Largest relative error that rounding to the candidate's encodings leaves, see [`rounding`].
    pub candidate_rounding: f64,
    /// The same of the reference.
    pub reference_rounding: f64,
    /// Numbers that the candidate stores, those that no tensor with a role holds included; 0 if not known.
    pub candidate_parameters: u64,
    /// The same of the reference.
    pub reference_parameters: u64,
    /// Significand bits (hidden bit included) of the coarser of the two, when both are floating point.
    pub significand_bits: Option<u32>,
}

/// What the cues say; nothing, to begin with.
#[derive(Default)]
pub(crate) struct Reading {
    pub(crate) direction: Direction,
    pub(crate) relation: Option<&'static str>,
    pub(crate) cue: Option<String>,
    pub(crate) evidence: Option<Evidence>,
}

const ORDER_NULL: &str = "independent noise was added to the candidate's weights and gave the reference's";
const REVERSE_NULL: &str = "independent noise was added to the reference's weights and gave the candidate's";

/// Largest relative error that rounding to an encoding leaves on bell-shaped weights, with a margin of about one half:
/// measured on Gaussian rows with the published rounding rules.
pub fn rounding(encoding: Encoding) -> f64 {
    // Floats of eight bits spend most of them on range: what is left of the value is three or four bits.
    let name = encoding.to_string();
    if name.starts_with("f8_e4m3") {
        return 0.04;
    }
    if name.starts_with("f8_e5m2") {
        return 0.08;
    }
    match encoding.bits_per_element() {
        b if b >= 15.0 => 0.003,
        b if b >= 8.0 => 0.01,
        b if b >= 6.0 => 0.04,
        b if b >= 5.0 => 0.08,
        b if b >= 4.0 => 0.16,
        b if b >= 3.0 => 0.30,
        _ => 0.60,
    }
}

/// Reads the cues. Only called when dependence was found.
pub(crate) fn read(
    pairs: &[&PairMeasurement],
    change: &Change,
    noise: Option<&Noise>,
    storage: &StorageFacts,
) -> Reading {
    let nothing = Reading::default();
    if change.changed == 0.0 {
        return Reading { relation: Some("copy"), cue: Some("every value is equal".to_owned()), ..nothing };
    }
    let (c, r) = (storage.candidate_bits, storage.reference_bits);
    let (coarser, rounding) =
        if c < r { (c, storage.candidate_rounding) } else { (r, storage.reference_rounding) };
    if (c - r).abs() > 1.0 && change.relative <= rounding {
        let (coarse, fine, encoding) = if c < r {
            ("candidate", "reference", &storage.candidate_encoding)
        } else {
            ("reference", "candidate", &storage.reference_encoding)
        };
        // Only the size of the difference was measured. Rounding the finer one explains it; so would a light change of
        // a model that was made from the coarser one. The order stays open until the rounding is repeated.
        let relation = if coarser >= 15.0 { "cast" } else { "quantized" };
        let cue = format!(
            "storage grid: the {coarse} is stored as {encoding} and differs from the {fine} by no more than that grid's \
             rounding would leave"
        );
        return Reading { relation: Some(relation), cue: Some(cue), ..nothing };
    }
    if storage.candidate_encoding != storage.reference_encoding && change.relative <= 0.003 {
        let cue = format!(
            "the values are stored as {} and {} and differ by no more than rounding between the two would leave",
            storage.candidate_encoding, storage.reference_encoding
        );
        return Reading { relation: Some("cast"), cue: Some(cue), ..nothing };
    }
    let off_axis = (1.0 - change.cosine.powi(2)).max(0.0).sqrt();
    if off_axis <= 0.003 && change.cosine > 0.0 && (change.scale - 1.0).abs() > 0.001 {
        return Reading {
            relation: Some("scaled"),
            cue: Some(format!("scale {:.6}", change.scale)),
            ..nothing
        };
    }
    match noise {
        Some(noise) if noise.gaussian => noise_order(pairs),
        _ => nothing,
    }
}

/// Noise that was added to X is uncorrelated with X, and correlated with X + noise. Two asymptotic z-tests, one for each
/// order; an order is asserted when the other is rejected below 1e-6 and it is not itself rejected: |z| below 4, or below a
/// hundredth of the other's where billions of elements make even the bias of storage rounding visible.
fn noise_order(pairs: &[&PairMeasurement]) -> Reading {
    let (mut with_r, mut with_c, mut var_r, mut var_c, mut n) = (0.0, 0.0, 0.0, 0.0, 0);
    // A tensor that was replaced or paired wrongly says nothing about the order of the others.
    for m in pairs.iter().filter_map(|p| p.moments.as_ref()).filter(|m| is_gaussian(m)) {
        let sigma2 = m.difference_squares / m.n as f64;
        with_r += m.dot - m.reference_squares;
        with_c += m.candidate_squares - m.dot;
        var_r += sigma2 * m.reference_squares;
        var_c += sigma2 * m.candidate_squares;
        n += m.n;
    }
    let z_r = if var_r > 0.0 { with_r / var_r.sqrt() } else { 0.0 };
    let z_c = if var_c > 0.0 { with_c / var_c.sqrt() } else { 0.0 };
    let decided = |rejected: f64, kept: f64| {
        normal_log10_two_sided(rejected) < -6.0 && kept.abs() < (0.01 * rejected.abs()).max(4.0)
    };
    let (direction, z, null) = if decided(z_c, z_r) {
        (Direction::CandidateFromReference, z_c, ORDER_NULL)
    } else if decided(z_r, z_c) {
        (Direction::ReferenceFromCandidate, z_r, REVERSE_NULL)
    } else {
        (Direction::Unknown, z_c, ORDER_NULL)
    };
    let log10 = normal_log10_two_sided(z);
    let cue = (direction != Direction::Unknown).then(|| {
        let (from, to) = match direction {
            Direction::CandidateFromReference => ("reference", "candidate"),
            _ => ("candidate", "reference"),
        };
        format!(
            "noise order: the difference is uncorrelated with the {from} (z = {:.1}) and correlated with the {to} (z = {z:.1})",
            if direction == Direction::CandidateFromReference { z_r } else { z_c }
        )
    });
    Reading {
        direction,
        // Without an order two siblings with noise of their own would do as well.
        relation: (direction != Direction::Unknown).then_some("noised-copy"),
        cue,
        evidence: Some(Evidence {
            test: TestKind::NoiseOrder,
            scope: Scope::Model,
            p: Some(PValue::new(log10, PKind::Asymptotic, null, n)),
            statistic: z,
            n,
            effect: None,
            interval: None,
            detectable: None,
        }),
    }
}
