//! A model and what came after it, by its outgroups.

use crate::input::Whole;
use crate::{AuditError, Settings, Subject};
use stemmata_alignment::mixture::{Gram, MixturePass, common_plan, grams};
use stemmata_evidence::{Order, is_opposed, order};
use stemmata_model::Weights;

/// A model among others.
pub(crate) struct Line<'a> {
    root: &'a Whole,
    others: &'a [&'a Whole],
    /// Places of those that came from the root or beside it, as all outgroups say that say something.
    after: Vec<usize>,
}

impl<'a> Line<'a> {
    /// Asks the outgroups about each place of `trained`. O(|outgroups| · |trained|) bounded samples of three models.
    pub(crate) fn of(
        root: &'a Whole,
        others: &'a [&'a Whole],
        [outgroups, trained]: [&[usize]; 2],
        settings: &Settings<'_>,
    ) -> Result<Line<'a>, AuditError> {
        let mut after = Vec::new();
        for &i in trained {
            let mut said = Vec::new();
            for &outgroup in outgroups {
                said.extend(order_of(others[outgroup], [root, others[i]], settings)?.and_then(|o| o.earlier));
            }
            if !said.is_empty() && said.iter().all(|earlier| *earlier == 0) {
                after.push(i);
            }
        }
        Ok(Line { root, others, after })
    }

    /// Whether a model is no parent of the root and of `later`: it has no matrix of their width, came after the root, or is excluded.
    pub(crate) fn clears(
        &self,
        i: usize,
        later: &Whole,
        settings: &Settings<'_>,
    ) -> Result<bool, AuditError> {
        let model = self.others[i];
        Ok(self.after.contains(&i)
            || common_plan(&self.root.anatomy, &[&model.anatomy]).places.is_empty()
            || is_opposed(&grams_of([model, self.root, later], settings)?, 0, [1, 2])
            || self.witness(model, settings)?.is_some())
    }

    /// What came after the root and shows that `model` is no ancestor of the root: else it were one of both.
    pub(crate) fn witness(
        &self,
        model: &Whole,
        settings: &Settings<'_>,
    ) -> Result<Option<usize>, AuditError> {
        for &i in &self.after {
            if is_opposed(&grams_of([model, self.root, self.others[i]], settings)?, 0, [1, 2]) {
                return Ok(Some(i));
            }
        }
        Ok(None)
    }
}

/// Whether a model cannot be an ancestor of both others: what they have beside it is opposed
/// ([docs/methods/relatives.md](../../../docs/methods/relatives.md)). All three must be checkpoints with the same matrices; `false` says nothing.
pub fn is_no_ancestor(model: &str, others: [&str; 2], settings: &Settings<'_>) -> Result<bool, AuditError> {
    let mut subjects = Vec::new();
    for text in [model, others[0], others[1]] {
        let subject = Subject::open(text, settings, &mut |_| {})?;
        subject.needs_weights("a look at three models")?;
        subjects.push(subject);
    }
    let [Some(model), Some(first), Some(second)] = [0, 1, 2].map(|i| subjects[i].checkpoint()) else {
        return Ok(false);
    };
    Ok(is_opposed(&grams_of([model, first, second], settings)?, 0, [1, 2]))
}

/// What an outgroup says of two models.
pub(crate) fn order_of(
    outgroup: &Whole,
    pair: [&Whole; 2],
    settings: &Settings<'_>,
) -> Result<Option<Order>, AuditError> {
    Ok(order(&grams_of([outgroup, pair[0], pair[1]], settings)?, 0, [1, 2]))
}

/// Inner products of three models over a sample of the matrices that all have.
fn grams_of(models: [&Whole; 3], settings: &Settings<'_>) -> Result<Vec<Gram>, AuditError> {
    let [first, second, third] = models;
    let plan = common_plan(&first.anatomy, &[&second.anatomy, &third.anatomy]);
    let models = models.map(|model| model.weights() as &dyn Weights);
    let pass = MixturePass { plan: &plan, models: &models, threads: settings.threads, stop: settings.stop };
    let grams = grams(pass)?;
    settings.check_stop()?;
    Ok(grams)
}
