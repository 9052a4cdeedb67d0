//! How many votes decide who is first? Votes whose removal changes first place, found by influence and proved by a new fit.

use crate::fit::{Design, Fit, fit};
use crate::ranks::order;

/// Contestants behind the first that are tried.
const RIVALS: usize = 5;
/// Contestants up to which this is done: each trial is a fit.
pub(crate) const MOST: usize = 600;
/// Trials for one rival, each with an eighth more votes, before it is given up.
const TRIALS: u32 = 12;

/// Votes without which another contestant would be first.
#[derive(Clone, Debug, PartialEq)]
pub struct Flip {
    /// Who is first, as a place in the component.
    pub(crate) first: u32,
    /// Who would be.
    pub(crate) rival: u32,
    /// Names of both.
    pub names: [String; 2],
    /// Votes removed: an upper bound on the fewest that are enough.
    pub votes: u64,
}

/// Removes the votes that speak most for the first against a rival, by their influence on the difference of strengths (one Newton
/// step: H⁻¹ times the score), until the rival is in front in a new fit. `None` where no trial ends so.
pub(crate) fn flip(fitted: &Fit, design: &Design) -> Option<Flip> {
    let order = order(&fitted.strengths);
    let (&first, rivals) = order.split_first()?;
    let inverse = fitted.inverse_information(design)?;
    let mut best: Option<Flip> = None;
    for &rival in rivals.iter().take(RIVALS) {
        let mut influence = Vec::with_capacity(design.rows.len() * 3);
        for (place, row) in design.rows.iter().enumerate() {
            let d = fitted.difference(row.first, row.second, &[]);
            let along = |i: u32, j: usize| inverse.at(i as usize, j);
            let side = inverse.side - 1;
            let (a, b) = (row.first, row.second);
            let gain = along(a, first) - along(a, rival) - along(b, first) + along(b, rival);
            let of_tie =
                if fitted.tie.is_some() { inverse.at(side, first) - inverse.at(side, rival) } else { 0.0 };
            let counts = [row.votes.0, row.votes.1, row.votes.2];
            for (kind, count) in counts.into_iter().enumerate() {
                let mut one = [0.0; 3];
                one[kind] = 1.0;
                let terms = fitted.model.terms(d, fitted.tie.unwrap_or(0.0), (one[0], one[1], one[2]));
                let effect = terms.d * gain + terms.t * of_tie;
                if count > 0.0 && effect > 0.0 {
                    influence.push((effect, place * 3 + kind, count));
                }
            }
        }
        influence.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let gap = fitted.strengths[first] - fitted.strengths[rival];
        let most = best.as_ref().map_or(u64::MAX, |flip| flip.votes);
        if let Some(votes) = fewest(fitted, design, (first, rival), gap, &influence, most) {
            best = Some(Flip { first: first as u32, rival: rival as u32, names: Default::default(), votes });
        }
    }
    best
}

/// Votes that have to go, below `most`: the fewest of those in front of the list that are enough, between a number that is and one
/// that is not.
fn fewest(
    fitted: &Fit,
    design: &Design,
    (first, rival): (usize, usize),
    gap: f64,
    influence: &[(f64, usize, f64)],
    most: u64,
) -> Option<u64> {
    let enough = |votes: u64| {
        let mut rows = design.rows.clone();
        let mut left = votes as f64;
        for (_, slot, count) in influence {
            let taken = left.min(*count);
            left -= taken;
            let row = &mut rows[slot / 3].votes;
            match slot % 3 {
                0 => row.0 -= taken,
                1 => row.1 -= taken,
                _ => row.2 -= taken,
            }
            if left <= 0.0 {
                break;
            }
        }
        rows.retain(|row| row.votes.0 + row.votes.1 + row.votes.2 > 0.0);
        let without = Design { rows, ..design.clone() };
        let again = without.is_linked().then(|| fit(&without, fitted.model, Some(fitted)).ok()).flatten();
        again.is_some_and(|again| again.strengths[rival] > again.strengths[first])
    };
    // As many as would do if influence did not change as votes go.
    let (mut guess, mut shift) = (0.0, 0.0);
    for (effect, _, count) in influence {
        let taken = ((gap - shift) / effect).ceil().clamp(0.0, *count);
        shift += taken * effect;
        guess += taken;
    }
    let ceiling = most.saturating_sub(1);
    let mut high = (guess as u64).clamp(1, ceiling.max(1));
    let mut low = 0;
    let mut trials = 0;
    while !enough(high) {
        trials += 1;
        if high >= ceiling || trials >= TRIALS {
            return None;
        }
        low = high;
        high = (high + high.div_ceil(8)).min(ceiling);
    }
    // Within one in a thousand: it is an upper bound anyway.
    while high - low > 1 + high / 1000 {
        let middle = low + (high - low) / 2;
        if enough(middle) { high = middle } else { low = middle }
    }
    Some(high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::Row;
    use crate::model::Model;

    #[test]
    fn a_lead_of_ten_votes_falls_with_eleven() {
        let rows = vec![Row { first: 0, second: 1, votes: (110.0, 100.0, 0.0) }];
        let design = Design { contestants: 2, rows, terms: 0, values: Vec::new(), ridge: 0.0 };
        let fitted = fit(&design, Model::BradleyTerry, None).unwrap();
        let flip = flip(&fitted, &design).unwrap();
        assert_eq!((flip.first, flip.rival), (0, 1));
        // 110 − 10 = 100 is a tie; one more is needed.
        assert_eq!(flip.votes, 11);
    }

    #[test]
    fn nobody_flips_who_cannot() {
        let rows = vec![Row { first: 0, second: 1, votes: (10.0, 1.0, 0.0) }];
        let design = Design { contestants: 2, rows, terms: 0, values: Vec::new(), ridge: 0.0 };
        let fitted = fit(&design, Model::BradleyTerry, None).unwrap();
        // Nine fewer make a tie, ten fewer an undefeated rival without a number.
        assert_eq!(flip(&fitted, &design), None);
    }
}
