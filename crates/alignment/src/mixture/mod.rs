//! One model beside many: inner products of the matrices that all of them have, from which merges are read.
//!
//! Answers: *how do the candidate's values lie to sums of the references' values?* It measures; `evidence` judges. A sample where
//! matrices are large: at most [`MOST_TENSORS`] of them and of each about [`MOST_ELEMENTS`] elements, in evenly spaced bands of rows.
//! Only matrices that answer to each other at the identity alignment are read. Models are numbered with the candidate as 0.

mod atoms;
mod gram;

pub use atoms::{AtomCounts, Overshoot, Ratios, atoms, overshoot, ratios};
pub use gram::{Gram, grams};

use crate::PairKey;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use stemmata_architecture::{Anatomy, Component, Part, Term, View};
use stemmata_fingerprint::{RowReader, flipped};
use stemmata_model::{ReadError, Weights};

/// Matrices that are looked at.
pub const MOST_TENSORS: usize = 512;
/// Elements of one matrix that are looked at; more only where four rows are longer.
pub const MOST_ELEMENTS: u64 = 1 << 15;
/// References that are looked at. The cost grows with their square.
pub const MOST_REFERENCES: usize = 64;
/// Rows that are read together.
const BAND: u64 = 4;

/// Which matrices of which models are read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MixturePlan {
    /// Matrices, in key order.
    pub places: Vec<Place>,
    /// Indices of the references that have every matrix of the candidate's layers in its shape; model i + 1 is the i-th of them.
    pub references: Vec<usize>,
    /// Further references that would do and are beyond [`MOST_REFERENCES`].
    pub left_out: usize,
    /// Whether matrices or rows were left out for size.
    pub sampled: bool,
}

/// One matrix in all models.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// Which, by the candidate.
    pub key: PairKey,
    /// Where it lies, the candidate first.
    views: Vec<View>,
}

fn key(part: &Part) -> PairKey {
    PairKey {
        component: part.component,
        layer: part.layer,
        expert: part.expert,
        role: part.role,
        term: part.term,
    }
}

/// Pairs the matrices of the first component that has layers. O(parts · references).
pub fn mixture_plan(candidate: &Anatomy, references: &[&Anatomy]) -> MixturePlan {
    let of = |component: Component| {
        candidate.parts.iter().filter(is_matrix).filter(move |p| p.component == component)
    };
    let Some(component) = Component::ALL.into_iter().find(|c| of(*c).any(|p| p.layer.is_some())) else {
        return MixturePlan::default();
    };
    let fits = |anatomy: &Anatomy| {
        of(component).filter(|p| p.layer.is_some()).all(|part| find(anatomy, part).is_some())
    };
    let mut fitting: Vec<usize> = (0..references.len()).filter(|&i| fits(references[i])).collect();
    let left_out = fitting.len().saturating_sub(MOST_REFERENCES);
    fitting.truncate(MOST_REFERENCES);
    if fitting.is_empty() {
        return MixturePlan { left_out, ..MixturePlan::default() };
    }
    let chosen: Vec<&Anatomy> = fitting.iter().map(|&i| references[i]).collect();
    let (places, sampled) = places(of(component), &chosen);
    MixturePlan { places, references: fitting, left_out, sampled }
}

/// Pairs the matrices of all components that every model has in one shape; there may be none. O(parts · models).
pub fn common_plan(first: &Anatomy, others: &[&Anatomy]) -> MixturePlan {
    let (places, sampled) = places(first.parts.iter().filter(is_matrix), others);
    MixturePlan { places, references: (0..others.len()).collect(), left_out: 0, sampled }
}

fn is_matrix(part: &&Part) -> bool {
    part.term == Term::Weight && part.view.rows.min(part.view.cols) > 1
}

/// Where a model has a part of another one, in its shape. The parts of an anatomy are in the order of their keys.
fn find(anatomy: &Anatomy, part: &Part) -> Option<View> {
    let place = anatomy.parts.binary_search_by(|p| key(p).cmp(&key(part))).ok()?;
    let view = anatomy.parts[place].view;
    ((view.rows, view.cols) == (part.view.rows, part.view.cols)).then_some(view)
}

/// The parts that all models have, and whether matrices or rows are left out for size.
fn places<'a>(parts: impl Iterator<Item = &'a Part>, others: &[&Anatomy]) -> (Vec<Place>, bool) {
    let place = |part: &Part| {
        let views = others.iter().map(|anatomy| find(anatomy, part));
        let views: Option<Vec<View>> = std::iter::once(Some(part.view)).chain(views).collect();
        Some(Place { key: key(part), views: turned(views?) })
    };
    let all: Vec<Place> = parts.filter_map(place).collect();
    // Proportional places, so that no role is favoured by a stride that divides the number of roles.
    let kept = all.len().min(MOST_TENSORS);
    let places: Vec<Place> = (0..kept).map(|i| all[i * all.len() / kept].clone()).collect();
    let sampled = kept < all.len() || places.iter().any(|p| p.rows() < p.views[0].rows);
    (places, sampled)
}

/// Where the candidate stores a matrix column by column, rows and columns are exchanged, so that rows are read in one piece.
fn turned(views: Vec<View>) -> Vec<View> {
    if views[0].col_stride <= views[0].row_stride {
        return views;
    }
    let turned: Option<Vec<View>> = views.iter().map(flipped).collect();
    turned.unwrap_or(views)
}

impl Place {
    /// Rows that are looked at.
    fn rows(&self) -> u64 {
        let View { rows, cols, .. } = self.views[0];
        if rows * cols <= MOST_ELEMENTS { rows } else { (self.bands() * BAND).min(rows) }
    }

    fn bands(&self) -> u64 {
        let View { rows, cols, .. } = self.views[0];
        let all = rows.div_ceil(BAND);
        if rows * cols <= MOST_ELEMENTS { all } else { (MOST_ELEMENTS / (BAND * cols)).clamp(1, all) }
    }

    /// The sample of one model; what is not finite counts as zero.
    fn read(&self, model: usize, weights: &dyn Weights, out: &mut Vec<f32>) -> Result<(), ReadError> {
        let view = &self.views[model];
        let (all, wanted) = (view.rows.div_ceil(BAND), self.bands());
        out.clear();
        let mut reader = RowReader::default();
        for band in (0..wanted).map(|i| i * all / wanted) {
            let first = band * BAND;
            let rows = BAND.min(view.rows - first);
            let start = out.len();
            out.resize(start + (rows * view.cols) as usize, 0.0);
            reader.read(weights, view, first, view.cols as usize, &mut out[start..])?;
        }
        out.iter_mut().filter(|x| !x.is_finite()).for_each(|x| *x = 0.0);
        Ok(())
    }
}

/// How a pass runs.
#[derive(Clone, Copy)]
pub struct MixturePass<'a> {
    /// What is read.
    pub plan: &'a MixturePlan,
    /// All models, the candidate first, then the references of the plan.
    pub models: &'a [&'a dyn Weights],
    /// Worker threads; 0 means one per processor.
    pub threads: usize,
    /// Raised by the caller to stop.
    pub stop: &'a AtomicBool,
}

impl MixturePass<'_> {
    /// `one` of every matrix, in plan order whatever the number of threads.
    fn each<T: Send>(
        &self,
        one: impl Fn(usize, &Place) -> Result<T, ReadError> + Sync,
    ) -> Result<Vec<T>, ReadError> {
        let places = &self.plan.places;
        let threads = match self.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        };
        let next = AtomicUsize::new(0);
        let work = || -> Result<Vec<(usize, T)>, ReadError> {
            let mut done = Vec::new();
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                let Some(place) = places.get(i) else { return Ok(done) };
                if self.stop.load(Ordering::Relaxed) {
                    return Err(ReadError::Interrupted);
                }
                done.push((i, one(i, place)?));
            }
        };
        let mut done = std::thread::scope(|scope| {
            let helpers: Vec<_> = (1..threads.clamp(1, places.len().max(1)))
                .filter_map(|_| std::thread::Builder::new().spawn_scoped(scope, work).ok())
                .collect();
            let mut done = work()?;
            for helper in helpers {
                done.extend(helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
            }
            Ok::<_, ReadError>(done)
        })?;
        done.sort_by_key(|(i, _)| *i);
        Ok(done.into_iter().map(|(_, value)| value).collect())
    }

    /// The sample of some models at one place.
    fn read(&self, place: &Place, models: &[usize]) -> Result<Vec<Vec<f32>>, ReadError> {
        let one = |&model: &usize| {
            let mut values = Vec::new();
            place.read(model, self.models[model], &mut values)?;
            Ok(values)
        };
        models.iter().map(one).collect()
    }
}

#[cfg(test)]
mod tests;
