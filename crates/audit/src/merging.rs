//! Is the model a merge of some of the references?

use crate::{AuditError, Settings, Subject};
use stemmata_alignment::mixture::{
    Gram, MOST_REFERENCES, MixturePass, atoms, grams, mixture_plan, overshoot, ratios,
};
use stemmata_evidence::merge::{
    Merge, MergeMethod, MergeOutcome, Weighed, is_ambiguous, settle, sparse, sparse_trials, weigh,
};
use stemmata_model::Weights;

/// What is said of the model as a sum of references.
#[derive(Clone, Debug, PartialEq)]
pub struct Merging {
    /// What was found. Models are numbered as in `references`: model i + 1 is reference `references[i]`.
    pub weighed: Weighed,
    /// References that have all matrices of the candidate's layers in their shapes.
    pub references: Vec<usize>,
    /// Further ones that were left out for their number.
    pub left_out: usize,
    /// Whether a sample was looked at.
    pub sampled: bool,
}

impl Merging {
    /// The reference that a model of a merge is.
    pub fn reference(&self, model: usize) -> usize {
        model.checked_sub(1).and_then(|i| self.references.get(i)).copied().unwrap_or_default()
    }

    /// References that can be looked at together.
    pub const MOST_REFERENCES: usize = MOST_REFERENCES;
}

/// Looks for a merge. `None` without the weights of the candidate and of a reference with its matrices.
pub(crate) fn look(
    candidate: &Subject,
    references: &[&Subject],
    settings: &Settings<'_>,
) -> Result<Option<Merging>, AuditError> {
    let Subject::Checkpoint(ours) = candidate else { return Ok(None) };
    let wholes: Vec<(usize, _)> = references
        .iter()
        .enumerate()
        .filter_map(|(i, subject)| match subject {
            Subject::Checkpoint(whole) => Some((i, whole)),
            Subject::Sketch(..) => None,
        })
        .collect();
    let anatomies: Vec<_> = wholes.iter().map(|(_, whole)| &whole.anatomy).collect();
    let plan = mixture_plan(&ours.anatomy, &anatomies);
    if plan.references.is_empty() {
        return Ok(None);
    }
    let theirs = plan.references.iter().map(|&i| wholes[i].1.weights() as &dyn Weights);
    let models: Vec<&dyn Weights> = std::iter::once(ours.weights() as &dyn Weights).chain(theirs).collect();
    let pass = MixturePass { plan: &plan, models: &models, threads: settings.threads, stop: settings.stop };
    let grams = grams(pass)?;
    let mut weighed = weigh(&grams);
    settings.check_stop()?;
    let significand = |model: usize| grams.iter().map(|g| g.significands[model]).max().unwrap_or(0);
    weighed.outcome = match weighed.outcome {
        MergeOutcome::Merge(merge) if is_ambiguous(&merge) => {
            let members = std::iter::once(0).chain(merge.parents.iter().copied());
            let significands: Vec<u32> = members.map(significand).collect();
            // Weights by part would need their own look; one set for the whole model is the usual case.
            let weights: Vec<f64> = merge.weights.iter().map(|w| w.value).collect();
            if significands.contains(&0) || !merge.groups.is_empty() {
                MergeOutcome::Relation(merge)
            } else {
                let weights = vec![weights; grams.len()];
                settle(*merge.clone(), &overshoot(pass, &merge.parents, &weights, &significands)?)
            }
        }
        MergeOutcome::NotFound if significand(0) > 0 => match in_elements(pass, &grams, significand(0))? {
            Some(merge) => MergeOutcome::Merge(Box::new(merge)),
            None => MergeOutcome::NotFound,
        },
        outcome => outcome,
    };
    let references = plan.references.iter().map(|&i| wholes[i].0).collect();
    Ok(Some(Merging { weighed, references, left_out: plan.left_out, sampled: plan.sampled }))
}

/// The sparse merge that explains most elements.
fn in_elements(pass: MixturePass<'_>, grams: &[Gram], significand: u32) -> Result<Option<Merge>, AuditError> {
    let mut best: Option<Merge> = None;
    for (base, others) in sparse_trials(grams) {
        let found = ratios(pass, base, others, significand)?;
        let plain = atoms(pass, base, others, found.factors, found.factors, significand)?;
        // Under normalisation both together have other factors than each alone.
        let joint = plain.rest_factors().unwrap_or(found.factors);
        let fitted = atoms(pass, base, others, found.factors, joint, significand)?;
        let (joint, counts) =
            if fitted.explained() > plain.explained() { (joint, fitted) } else { (found.factors, plain) };
        // x as a base and the base as a parent are another way to say the same, which names no method.
        let worth = |merge: &Merge| {
            let named = if merge.method == MergeMethod::Undetermined { 0.0 } else { 1.0 };
            named + merge.explained.map_or(0.0, |e| e[0])
        };
        if let Some(merge) = sparse(base, others, &found, joint, &counts)
            && best.as_ref().is_none_or(|best| worth(&merge) > worth(best))
        {
            best = Some(merge);
        }
    }
    Ok(best)
}
