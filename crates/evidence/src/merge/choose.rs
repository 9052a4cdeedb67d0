//! Which references, if any, the model is a sum of.

use super::algebra::{Pool, scaled};
use super::shape::{Shape, shape};
use super::{
    Estimate, LEAST_GAIN, MOST_EXCESS, Merge, MergeBasis, MergeMethod, MergeOutcome, Weighed, is_ambiguous,
};
use stemmata_alignment::PairKey;
use stemmata_alignment::mixture::Gram;

/// References whose difference is below this share of their energy are equal.
const EQUAL: f64 = 1e-11;
/// Sets of one size that are looked at matrix by matrix, after ranking all by one fit for the whole model.
const CLOSELY: usize = 6;
/// A larger set is preferred only if it leaves less than this share of what the smaller one leaves.
const FEWER: f64 = 0.77;
/// A reference is no parent if a fit without it leaves at most this many times as much.
const NEEDLESS: f64 = 1.02;
/// Beyond this cosine parents have a common origin, and a model between them may have been trained there.
const STRANGERS: f64 = 0.5;
/// Share of a stranger in the model below which it is not called a parent.
const LEAST_WEIGHT: f64 = 0.05;

/// The models at hand.
pub(super) struct Models {
    /// One per matrix.
    pub(super) parts: Vec<(PairKey, Pool)>,
    /// Their sum.
    pub(super) whole: Pool,
    /// References that differ from each other.
    pub(super) distinct: Vec<usize>,
    /// References that are equal to an earlier one, with that one.
    equal: Vec<(usize, usize)>,
}

/// Chooses parents. Cost: O(k³) fits of up to three references, O(k⁴) for larger sets, k references.
pub fn weigh(grams: &[Gram]) -> Weighed {
    let nothing = Weighed {
        outcome: MergeOutcome::TooFew,
        single: None,
        single_excess: 0.0,
        best: None,
        equal: Vec::new(),
        elements: grams.iter().map(|g| g.n).sum(),
        matrices: grams.len(),
    };
    let Some(models) = Models::new(grams) else { return nothing };
    let equal = models.equal.clone();
    let ranked = models.ranked(1);
    let Some((set, _)) = ranked.first() else { return Weighed { equal, ..nothing } };
    let fit = models.whole.fit(set);
    let error = fit.standard_errors(models.whole.n)[0];
    let single = Some((set[0], Estimate { value: fit.weights[0], standard_error: error }));
    let (single_excess, single_squares) = (fit.excess(), fit.squares);
    let gain = |squares: f64| if single_squares > 0.0 { 1.0 - squares / single_squares } else { 0.0 };
    let mut weighed = Weighed { single, single_excess, equal, ..nothing };
    if models.distinct.len() < 2 {
        return weighed;
    }
    let pairs = models.ranked(2);
    let triples = models.ranked(3);
    let best = triples.first().filter(|t| t.1 < FEWER * pairs[0].1).unwrap_or(&pairs[0]);
    weighed.best = Some((best.0.clone(), gain(best.1)));
    weighed.outcome = if single_excess <= MOST_EXCESS {
        MergeOutcome::OneReference
    } else if let Some(shape) = models.at_rounding(&pairs, &triples).filter(|s| gain(s.squares) >= LEAST_GAIN)
    {
        models.outcome(shape)
    } else {
        models.strangers(&pairs, &gain).map_or(MergeOutcome::NotFound, |m| MergeOutcome::Merge(Box::new(m)))
    };
    weighed
}

/// Keeps the first of references that are equal.
fn collapse(whole: &Pool, models: usize) -> (Vec<usize>, Vec<(usize, usize)>) {
    let (mut distinct, mut equal) = (Vec::new(), Vec::new());
    for model in (1..models).filter(|&m| whole.product(m, m) > 0.0) {
        let apart = |other: usize| {
            whole.product(model, model) + whole.product(other, other) - 2.0 * whole.product(model, other)
        };
        match distinct.iter().find(|&&other| apart(other) <= EQUAL * whole.product(model, model)) {
            Some(&other) => equal.push((model, other)),
            None => distinct.push(model),
        }
    }
    (distinct, equal)
}

impl Models {
    /// `None` without any value.
    pub(super) fn new(grams: &[Gram]) -> Option<Models> {
        let parts = scaled(grams);
        let whole = Pool::sum(parts.iter().map(|(_, pool)| pool))?;
        let (distinct, equal) = collapse(&whole, grams.first().map_or(0, Gram::models));
        Some(Models { parts, whole, distinct, equal })
    }

    /// Sets of one size by what they leave, the least first; equal ones in the order of the references.
    pub(super) fn ranked(&self, size: usize) -> Vec<(Vec<usize>, f64)> {
        let mut sets: Vec<Vec<usize>> = vec![Vec::new()];
        for _ in 0..size {
            let longer = sets.iter().flat_map(|set| {
                let after = self.distinct.iter().filter(|m| set.last().is_none_or(|last| *m > last));
                after.map(|m| set.iter().copied().chain([*m]).collect())
            });
            sets = longer.collect();
        }
        let mut ranked: Vec<(Vec<usize>, f64)> = sets
            .into_iter()
            .map(|set| {
                let squares = self.whole.fit(&set).squares;
                (set, squares)
            })
            .collect();
        ranked.sort_by(|a, b| a.1.total_cmp(&b.1));
        ranked
    }

    /// The smallest set that leaves nothing but rounding.
    fn at_rounding(&self, pairs: &[(Vec<usize>, f64)], triples: &[(Vec<usize>, f64)]) -> Option<Shape> {
        let best = |sets: &[(Vec<usize>, f64)]| {
            let shapes = sets.iter().take(CLOSELY).map(|(set, _)| shape(&self.parts, set));
            shapes.min_by(|a, b| a.squares.total_cmp(&b.squares))
        };
        let (two, three) = (best(pairs), best(triples));
        let rounded = |shape: &Shape| shape.squares <= MOST_EXCESS * shape.floor;
        let less = |few: &Shape, more: &Option<Shape>| {
            more.as_ref().is_some_and(|more| rounded(more) && more.squares < FEWER * few.squares)
        };
        if let Some(two) = two.filter(|two| rounded(two) && !less(two, &three)) {
            return Some(two);
        }
        three.filter(rounded).or_else(|| self.eliminated())
    }

    /// From all references down to those that are needed.
    fn eliminated(&self) -> Option<Shape> {
        let mut set = self.distinct.clone();
        let all = self.whole.fit(&set);
        if all.excess() > MOST_EXCESS {
            return None;
        }
        loop {
            let without = |i: usize| {
                let rest: Vec<usize> = set.iter().copied().filter(|m| *m != set[i]).collect();
                let squares = self.whole.fit(&rest).squares;
                (rest, squares)
            };
            let least = (0..set.len()).map(without).min_by(|a, b| a.1.total_cmp(&b.1))?;
            if least.1 > NEEDLESS * all.squares || set.len() <= 2 {
                return Some(shape(&self.parts, &set));
            }
            set = least.0;
        }
    }

    fn outcome(&self, shape: Shape) -> MergeOutcome {
        if shape.is_passthrough() {
            return MergeOutcome::Layers;
        }
        let alternatives = self.alternatives(&shape);
        let merge = shape.merge(alternatives);
        // A single positive weight: the sum may as well be that reference, of the candidate and the others.
        if is_ambiguous(&merge) && merge.weights.iter().filter(|w| w.value > 0.0).count() < 2 {
            return MergeOutcome::Relation(Box::new(merge));
        }
        MergeOutcome::Merge(Box::new(merge))
    }

    /// References that leave nothing but rounding in the place of a parent.
    fn alternatives(&self, found: &Shape) -> Vec<(usize, usize)> {
        let mut alternatives = Vec::new();
        for place in 0..found.set.len() {
            for &other in self.distinct.iter().filter(|m| !found.set.contains(m)) {
                let mut set = found.set.clone();
                set[place] = other;
                let replaced = shape(&self.parts, &set);
                if replaced.squares <= MOST_EXCESS * replaced.floor {
                    alternatives.push((place, other));
                }
            }
        }
        alternatives
    }

    /// Two parents without a common origin, neither of which explains the model alone.
    fn strangers(&self, pairs: &[(Vec<usize>, f64)], gain: &dyn Fn(f64) -> f64) -> Option<Merge> {
        let (set, squares) = pairs.first()?;
        let fit = self.whole.fit(set);
        let apart = self.whole.cosine(set[0], set[1]).abs() <= STRANGERS;
        let both = fit.weights.iter().all(|w| *w >= LEAST_WEIGHT);
        if !apart || !both || gain(*squares) < LEAST_GAIN {
            return None;
        }
        let errors = fit.standard_errors(self.whole.n);
        let estimates = fit.weights.iter().zip(errors);
        let mut merge = Merge::new(MergeMethod::Undetermined, MergeBasis::Strangers, set.clone());
        merge.weights = estimates.map(|(w, e)| Estimate { value: *w, standard_error: e }).collect();
        merge.excess = fit.excess();
        Some(merge)
    }
}
