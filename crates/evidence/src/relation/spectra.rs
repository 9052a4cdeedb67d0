//! Changes told by their directions: low rank, one direction taken out, training, a common start.

use super::{Finding, child, name};
use crate::{Direction, Evidence, Scope, TestKind};
use std::collections::{BTreeMap, BTreeSet};
use stemmata_alignment::study::{Spectrum, TensorStudy, TokenRows};
use stemmata_architecture::{Axis, Role};
use stemmata_stats::ratio_interval;

/// Share of the changed matrices that must be of low rank.
const LOW_RANK: f64 = 0.9;
/// A change must stand above the rounding by this factor in energy before its rank means anything.
const ABOVE_ROUNDING: f64 = 8.0;
/// Elements in different binades that are needed to see whose rounding was last, and how far the shares must lie apart: 0.13 for a
/// child and 0 for two adapters on one base in simulation, with a standard error of at most 0.03 at this many elements.
const BINADE_ELEMENTS: u64 = 500;
const BINADE_GAP: f64 = 0.05;
/// Cosine of left vectors that are one direction.
const COMMON_LEFT: f64 = 0.98;
/// What is left along a direction that was taken out, as a share of what was there, in energy.
const TAKEN_OUT: f64 = 0.01;
/// Correlation inside the largest directions, geometric mean over both orders. Measured (change.md): at most 0.574 over 60 pairs
/// that share only their start, at least 0.830 over 50 parents with children, up to three times the parent's training.
const LEARNED_APART: f64 = 0.6;
const LEARNED_TOGETHER: f64 = 0.7;
/// The same over the correlation outside. A common start shows outside, common training inside too.
const START_ONLY: f64 = 0.97;
const TRAINED_TOGETHER: f64 = 0.985;
/// Equal values other than zero that make an equal matrix.
const KEPT: u64 = 256;
/// Correlation that is left of a start in every block. By chance it is n^−½, below 0.01 where a block has 10⁴ weights.
const START_LEFT: f64 = 0.03;
/// Share of the change that belongs to one side, below which that side is where training started; 0.5 is the middle.
const BELONGS: f64 = 0.3;
/// Share of the change that each side must have before both are said to have moved.
const MOVED: f64 = 0.15;
/// Level of the interval of that share.
const LEVEL: f64 = 0.999;
/// Matrices that are needed for it.
const FEWEST: usize = 6;
/// Untouched token rows that make a clock.
const CLOCK_ROWS: u64 = 4;

fn spectra<'a>(tensors: &'a [&TensorStudy]) -> impl Iterator<Item = (&'a TensorStudy, &'a Spectrum)> + Clone {
    tensors.iter().filter_map(|t| t.spectrum.as_ref().map(|s| (*t, s)))
}

/// A change of low rank in nearly every matrix that changed.
pub(super) fn low_rank(tensors: &[&TensorStudy]) -> Option<Finding> {
    let floor = |s: &Spectrum| s.rounding_squares[0].max(s.rounding_squares[1]);
    let visible: Vec<(&TensorStudy, &Spectrum)> =
        spectra(tensors).filter(|(_, s)| s.change_squares > ABOVE_ROUNDING * floor(s)).collect();
    let ranks: Vec<(&TensorStudy, &Spectrum, usize)> =
        visible.iter().filter_map(|(t, s)| Some((*t, *s, s.rank().filter(|k| *k > 0)?))).collect();
    if ranks.is_empty() || (ranks.len() as f64) < LOW_RANK * visible.len() as f64 {
        return None;
    }
    if let Some(found) = abliterated(&ranks) {
        return Some(found);
    }
    let largest = ranks.iter().map(|(.., k)| *k).max()?;
    let roles: BTreeSet<String> =
        ranks.iter().map(|(t, ..)| format!("{:?}", t.key.role).to_lowercase()).collect();
    let roles: Vec<String> = roles.into_iter().collect();
    let (mut n, mut within) = (0, [0, 0]);
    for binades in ranks.iter().filter_map(|(_, s, _)| s.binades) {
        n += binades.n;
        within[0] += binades.within[0];
        within[1] += binades.within[1];
    }
    let share = within.map(|w| w as f64 / n.max(1) as f64);
    let side = usize::from(share[1] > share[0]);
    let decided = n >= BINADE_ELEMENTS && share[side] - share[1 - side] >= BINADE_GAP;
    let mut cue = format!(
        "low rank: the change of {} matrices ({}) has rank {largest} or less above rounding",
        ranks.len(),
        roles.join(", ")
    );
    if decided {
        cue.push_str(&format!(
            "; what is left is the rounding of the {} ({:.1} % within half a step of its values, {:.1} % of the {}'s, over {n} values)",
            name(side),
            100.0 * share[side],
            100.0 * share[1 - side],
            name(1 - side)
        ));
    }
    Finding::new("lora-merged", if decided { child(side) } else { Direction::Unknown }, cue)
}

/// Rank one in matrices that write to the residual stream, along one direction that one side has lost.
fn abliterated(ranks: &[(&TensorStudy, &Spectrum, usize)]) -> Option<Finding> {
    let writes = |role: Role| matches!(role, Role::Output | Role::Down);
    if ranks.len() < 2 || !ranks.iter().all(|(t, _, k)| *k == 1 && writes(t.key.role)) {
        return None;
    }
    let first = &ranks[0].1.left;
    let common = |s: &Spectrum| {
        s.left.len() == first.len()
            && s.left.iter().zip(first).map(|(a, b)| a * b).sum::<f64>().abs() >= COMMON_LEFT
    };
    if !ranks.iter().all(|(_, s, _)| common(s)) {
        return None;
    }
    let total = |side: usize| ranks.iter().map(|(_, s, _)| s.along_left[side]).sum::<f64>();
    let side = usize::from(total(1) < total(0));
    let left = total(side) / total(1 - side);
    let whole = ranks
        .iter()
        .all(|(t, s, _)| s.rows as u64 == t.size / s.cols.max(1) as u64 || t.elements.n == t.size);
    let cue = format!(
        "one direction taken out: the change of {} matrices that write to the residual stream has rank one and a common left \
         vector; the {} keeps {left:.4} of the {}'s energy along it",
        ranks.len(),
        name(side),
        name(1 - side)
    );
    let direction = if whole && left <= TAKEN_OUT { child(side) } else { Direction::Unknown };
    Finding::new("abliterated", direction, cue)
}

/// How the two sides correlate.
struct Correlations {
    /// Inside the largest directions, geometric mean over both orders.
    spike: f64,
    /// Outside, likewise.
    bulk: f64,
    /// The larger of the two orders' coefficients inside over outside.
    larger_ratio: f64,
}

/// Correlations inside and outside the largest directions, pooled over matrices; geometric mean over both orders.
fn correlations(tensors: &[&TensorStudy]) -> Option<Correlations> {
    let (mut spike, mut bulk) = ([0.0; 2], [0.0; 2]);
    for side in 0..2 {
        let (mut sums, mut n) = ([0.0; 4], 0);
        for (_, s) in spectra(tensors) {
            let (x, w) = (&s.spikes[side], 1.0 / s.squares[side].max(f64::MIN_POSITIVE));
            let parts = [x.spike_product, x.spike_squares, x.bulk_product, x.bulk_squares];
            sums.iter_mut().zip(parts).for_each(|(sum, part)| *sum += w * part);
            n += 1;
        }
        if n == 0 || sums[1] <= 0.0 || sums[3] <= 0.0 {
            return None;
        }
        (spike[side], bulk[side]) = ((sums[0] / sums[1]).max(0.0), (sums[2] / sums[3]).max(0.0));
    }
    let ratio = |side: usize| spike[side] / bulk[side].max(f64::MIN_POSITIVE);
    Some(Correlations {
        spike: (spike[0] * spike[1]).sqrt(),
        bulk: (bulk[0] * bulk[1]).sqrt(),
        larger_ratio: ratio(0).max(ratio(1)),
    })
}

/// Whether what the layers learned, and not only where they started, is common.
pub(super) fn share_training(tensors: &[&TensorStudy]) -> bool {
    let layers: Vec<&TensorStudy> = tensors.iter().copied().filter(|t| t.key.layer.is_some()).collect();
    let kept = !layers.is_empty() && layers.iter().all(|t| t.elements.equal == t.elements.n);
    kept || correlations(&layers)
        .is_some_and(|c| c.spike >= LEARNED_TOGETHER && c.spike >= TRAINED_TOGETHER * c.bulk)
}

/// A common start and nothing learned together. What was not laid side by side rightly has nothing in common, inside or outside, and
/// what was may have kept what it learned: so the attention and the feed-forward of every layer must have kept something of the start, and
/// neither, over all layers, may have learned the same.
pub(super) fn start_alone(tensors: &[&TensorStudy]) -> Option<Finding> {
    let Correlations { spike, bulk, larger_ratio } = correlations(tensors)?;
    // A model merged with a stranger holds half of each spike and half of the bulk: seen from its parent the ratio is 1.
    if spike > LEARNED_APART || larger_ratio >= START_ONLY {
        return None;
    }
    let (mut blocks, mut kinds) = (BTreeMap::new(), BTreeMap::new());
    let inside = || tensors.iter().filter(|t| t.key.layer.is_some());
    // Equal matrices have no spectrum, and more in common than a start.
    let (equal, changed): (Vec<&TensorStudy>, Vec<&TensorStudy>) =
        inside().partition(|t| t.spectrum.is_none());
    let is_kept = |t: &&TensorStudy| t.elements.equal == t.elements.n && t.elements.kept_equal >= KEPT;
    if changed.is_empty() || equal.iter().any(is_kept) {
        return None;
    }
    for tensor in changed {
        let (rows, columns) = tensor.key.role.axes();
        let feeds = [rows, columns].contains(&Axis::Hidden);
        blocks.entry((tensor.key.layer, feeds)).or_insert_with(Vec::new).push(tensor);
        kinds.entry(feeds).or_insert_with(Vec::new).push(tensor);
    }
    let started = blocks.values().filter_map(|of| correlations(of)).all(|c| c.bulk >= START_LEFT);
    let apart = kinds.values().filter_map(|of| correlations(of)).all(|c| c.spike < LEARNED_TOGETHER);
    let cue = format!(
        "common start: correlation {bulk:.3} outside the largest directions of the weights and only {spike:.3} inside, where \
         training shows"
    );
    Finding::new("shared-initialisation", Direction::Unknown, cue).filter(|_| started && apart)
}

/// A dense change: training after a common trained model, or from a common start.
pub(super) fn trained(tensors: &[&TensorStudy], tokens: Option<&TokenRows>) -> Option<Finding> {
    if let Some(found) = start_alone(tensors) {
        return Some(found);
    }
    let Correlations { spike, bulk, .. } = correlations(tensors)?;
    if spike < LEARNED_TOGETHER || spike < TRAINED_TOGETHER * bulk {
        return None;
    }
    let order = order(tensors);
    let clock = tokens.filter(|t| t.scaled_rows >= CLOCK_ROWS);
    let by_clock = clock.map(|t| usize::from(t.factor > 1.0));
    let by_change = order.as_ref().and_then(|order| order.later);
    let both_moved = order.as_ref().is_some_and(|order| order.both_moved);
    let (change, weights) = spectra(tensors)
        .fold((0.0, 0.0), |(d, w), (_, s)| (d + s.change_squares, w + (s.squares[0] * s.squares[1]).sqrt()));
    // More than the weights themselves: another scale, or values that were not decoded to one.
    if change > 2.0 * weights {
        return None;
    }
    let mut cue = format!(
        "training: a dense change of {:.3} of the weights; what was learned is common (correlation {spike:.3} inside the largest \
         directions, {bulk:.3} outside)",
        (change / weights).sqrt()
    );
    if let Some(t) = clock {
        cue.push_str(&format!("; {} token rows differ by a factor of {:.4} alone", t.scaled_rows, t.factor));
    }
    match (by_change, by_clock) {
        (Some(a), Some(b)) if a != b => {}
        (Some(later), _) | (None, Some(later)) if !both_moved => {
            cue.push_str(&format!("; if one comes from the other, the {} is the later", name(later)));
        }
        _ => {}
    }
    if both_moved {
        cue.push_str("; each holds a part of the change that the other never had");
    }
    Some(Finding {
        relation: Some(if both_moved { "common-ancestor" } else { "trained-further" }),
        // Two children of one parent, one of them close to it, look like parent and child.
        direction: Direction::Unknown,
        cue,
        evidence: order.map(|order| order.evidence),
    })
}

/// To which side the change belongs.
struct Order {
    /// The side that went further, if the other one's share is small.
    later: Option<usize>,
    /// Whether neither share is small.
    both_moved: bool,
    evidence: Evidence,
}

/// Which side the change belongs to: β = ⟨R, T⟩·(−1)/‖T‖² over the largest directions T of D = C − R. R that never saw T has
/// β near 0, C that never saw it has β near 1, two children of one parent lie between. Training strengthens what is there, which
/// moves β beyond the ends.
fn order(tensors: &[&TensorStudy]) -> Option<Order> {
    let pairs: Vec<(f64, f64)> = spectra(tensors)
        .filter(|(_, s)| s.top_squares > 0.0)
        .map(|(_, s)| {
            let w = 1.0 / s.squares[1].max(f64::MIN_POSITIVE);
            (-w * s.with_top[1], w * s.top_squares)
        })
        .collect();
    if pairs.len() < FEWEST {
        return None;
    }
    let (share, interval) = ratio_interval(&pairs, LEVEL)?;
    let later = match () {
        () if interval.high <= BELONGS => Some(0),
        () if interval.low >= 1.0 - BELONGS => Some(1),
        () => None,
    };
    let evidence = Evidence {
        test: TestKind::TrainingOrder,
        scope: Scope::Model,
        p: None,
        statistic: share,
        n: pairs.len() as u64,
        effect: Some(share),
        interval: Some(interval),
        detectable: None,
    };
    let both_moved = interval.low >= MOVED && interval.high <= 1.0 - MOVED;
    Some(Order { later, both_moved, evidence })
}
