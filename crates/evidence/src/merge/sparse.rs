//! Merges that drop parts of the differences: what single elements say.

use super::choose::Models;
use super::{Estimate, Merge, MergeBasis, MergeMethod};
use stemmata_alignment::mixture::{AtomCounts, Gram, Ratios};

/// Pairs and bases that are tried.
const PAIRS: usize = 3;
const BASES: usize = 3;
/// Share of the elements beside the base's that must be explained, and that may be by chance.
const EXPLAINED: f64 = 0.7;
const BY_CHANCE: f64 = 0.3;
/// Share of elements that must be the base's: else nothing was dropped.
const DROPPED: f64 = 0.01;
/// How much more often small differences must be dropped than large ones to call that trimming, and at most for chance.
const TRIMMED: f64 = 0.4;
const AT_RANDOM: f64 = 0.1;
/// Share of opposed elements that a sum may explain under an election, and must explain without one.
const ELECTED: f64 = 0.1;
const SUMMED: f64 = 0.5;
/// Elements below which a share says nothing.
const ENOUGH: u64 = 64;
/// Share of the kept elements above the size that the density is read at.
const KEPT: f64 = 0.9;
/// Below this share of its factor alone a difference was weighted anew where both were kept.
const NORMALIZED: f64 = 0.95;

/// Bases and pairs of models worth a look at single elements, most likely first. A base is likely where many elements equal it.
pub fn sparse_trials(grams: &[Gram]) -> Vec<(usize, [usize; 2])> {
    let Some(models) = Models::new(grams) else { return Vec::new() };
    let equal = |model: usize| grams.iter().map(|g| g.equal[model]).sum::<u64>();
    let mut by_equal = models.distinct.clone();
    by_equal.sort_by_key(|&m| std::cmp::Reverse(equal(m)));
    let mut trials = Vec::new();
    for (pair, _) in models.ranked(2).iter().take(PAIRS) {
        let bases = by_equal.iter().filter(|m| !pair.contains(m)).take(BASES);
        trials.extend(bases.map(|&base| (base, [pair[0], pair[1]])));
    }
    // A base takes part in the best sum where differences were raised.
    for (set, _) in models.ranked(3).iter().take(1) {
        let roles = [[0, 1, 2], [1, 0, 2], [2, 0, 1]];
        trials.extend(roles.map(|[b, i, j]| (set[b], [set[i], set[j]])));
    }
    let mut seen = Vec::new();
    trials.retain(|trial| {
        let new = !seen.contains(trial);
        seen.push(*trial);
        new
    });
    trials
}

/// The merge that one trial shows, if it does: `counts` were taken with `joint` as the factors of the sum of both differences.
pub fn sparse(
    base: usize,
    others: [usize; 2],
    ratios: &Ratios,
    joint: [f64; 2],
    counts: &AtomCounts,
) -> Option<Merge> {
    let (explained, chance) = (counts.explained(), counts.explained_by_chance());
    let dropped = counts.base as f64 / counts.n.max(1) as f64;
    let both_used = counts.single.iter().all(|s| *s >= ENOUGH);
    if explained < EXPLAINED || chance > BY_CHANCE || dropped < DROPPED || !both_used {
        return None;
    }
    let share = |a: u64, b: u64| if b >= ENOUGH { Some(a as f64 / b as f64) } else { None };
    let small = share(counts.same_sign_base[0], counts.same_sign[0])?;
    let large = share(counts.same_sign_base[1], counts.same_sign[1])?;
    let elected = share(counts.opposed_joint, counts.opposed).unwrap_or(0.0);
    let method = match () {
        () if small - large >= TRIMMED && elected <= ELECTED => MergeMethod::Ties,
        () if (small - large).abs() <= AT_RANDOM && elected <= ELECTED => MergeMethod::DareTies,
        () if (small - large).abs() <= AT_RANDOM && elected >= SUMMED => MergeMethod::DareLinear,
        () => MergeMethod::Undetermined,
    };
    let mut merge = Merge::new(method, MergeBasis::Elements, vec![base, others[0], others[1]]);
    merge.base = true;
    merge.densities = densities(method, counts, [small, large]);
    let alone = ratios.factors;
    // Under normalisation a difference alone has the whole weight, and beside the other one its share.
    merge.normalized =
        method != MergeMethod::Undetermined && joint.iter().zip(alone).all(|(j, a)| *j < NORMALIZED * a);
    let factors = if merge.normalized { joint } else { alone };
    let raised = |i: usize| match method {
        MergeMethod::DareTies | MergeMethod::DareLinear => merge.densities[i],
        _ => 1.0,
    };
    let weights = [1.0, factors[0] * raised(0), factors[1] * raised(1)];
    let unknown = |value: f64| Estimate { value, standard_error: f64::INFINITY };
    merge.weights = weights.map(unknown).to_vec();
    merge.explained = Some([explained, chance]);
    Some(merge)
}

/// The share of each difference that was kept. At random: where signs agree an element is the base's if both were dropped, each as often.
/// Trimmed: the share above the size that nine in ten of those kept have.
fn densities(method: MergeMethod, counts: &AtomCounts, [small, large]: [f64; 2]) -> Vec<f64> {
    match method {
        MergeMethod::DareTies | MergeMethod::DareLinear => vec![1.0 - ((small + large) / 2.0).sqrt(); 2],
        MergeMethod::Ties => {
            let share = |above: u64| (above as f64 / counts.all.max(1) as f64 / KEPT).min(1.0);
            counts.above.map(share).to_vec()
        }
        _ => Vec::new(),
    }
}
