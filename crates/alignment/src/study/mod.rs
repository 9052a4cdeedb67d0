//! The second look at a pair whose dependence was found: what kind of change is it?
//!
//! Answers: *which zeros, grids, roundings, ranks and directions does the difference have?* It measures; `evidence` judges.
//! A sample where tensors are large: at most [`MOST_TENSORS`] pairs, and of each about [`MOST_ELEMENTS`] elements, evenly
//! spaced. Small models are looked at whole. Only pairs that answer to each other at the identity alignment are read.

mod elements;
mod experts;
mod grid;
mod matrix;
pub(crate) mod rounding;
mod scaled;
mod spectrum;
mod tokens;

pub use elements::ElementFacts;
pub use experts::ExpertCopies;
pub use grid::GridFit;
pub use scaled::Scaled;
pub use spectrum::{Binades, Spectrum, Spikes};
pub use tokens::{ExtraRows, TokenRows};

use crate::{PairKey, PairPlan, Plan};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use stemmata_architecture::{Anatomy, Role, Term};
use stemmata_model::{ReadError, Span, Weights};

/// Pairs that are looked at.
pub const MOST_TENSORS: usize = 256;
/// Pairs without which nothing is said of the rest, where bytes are bounded.
const LEAST_TENSORS: usize = 8;
/// Elements of one pair that are looked at; more only where a single row is longer.
pub const MOST_ELEMENTS: u64 = 1 << 16;
/// Fewer rows or columns make a vector, which has no rank.
const SMALLEST_SIDE: u64 = 16;

/// How a study goes about it.
#[derive(Clone, Copy)]
pub struct Extent<'a> {
    /// Worker threads; 0 means one per processor.
    pub threads: usize,
    /// Bytes of either model that may be read, where these are bounded. Three quarters go to pairs, the rest to token embeddings; nothing is read
    /// where fewer than eight pairs are paid for.
    pub bytes: Option<u64>,
    /// Raised by the caller to stop.
    pub stop: &'a AtomicBool,
}

/// What the second look found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Study {
    /// One per pair that was read, in plan order.
    pub tensors: Vec<TensorStudy>,
    /// The token embeddings, where both have them with rows of equal length.
    pub tokens: Vec<TokenRows>,
    /// Experts beside the dense feed-forward of the other model.
    pub experts: Vec<ExpertCopies>,
    /// Whether anything was left out for size.
    pub sampled: bool,
}

/// One pair.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorStudy {
    /// Which.
    pub key: PairKey,
    /// Elements of the pair; what was read of them is in `elements`.
    pub size: u64,
    /// Counts over the elements.
    pub elements: ElementFacts,
    /// For the candidate and the reference: how well it is a rounding of the other to a grid of its own; `None` where its
    /// values are not on few levels.
    pub grids: [Option<GridFit>; 2],
    /// Singular values and vectors of an evenly spaced part of the matrix.
    pub spectrum: Option<Spectrum>,
    /// Whether rows or columns are the other side's times numbers; of the same matrices.
    pub scaled: Option<Scaled>,
}

/// Looks at the pairs of `plan` that have equal shapes, at token embeddings and at experts. O(budget) time and memory
/// O(threads · [`MOST_ELEMENTS`]).
pub fn study(
    plan: &Plan,
    anatomies: [&Anatomy; 2],
    weights: [&dyn Weights; 2],
    extent: &Extent<'_>,
) -> Result<Study, ReadError> {
    let Extent { threads, bytes, stop } = *extent;
    let equal = |pair: &&PairPlan| {
        let (c, r) = (&pair.candidate, &pair.reference);
        pair.key.term == Term::Weight && (c.rows, c.cols) == (r.rows, r.cols)
    };
    let all: Vec<&PairPlan> = plan.pairs.iter().filter(equal).collect();
    // Proportional places, so that no role is favoured by a stride that divides the number of roles.
    let spread = |kept: usize| (0..kept).map(|i| all[i * all.len() / kept]).collect::<Vec<&PairPlan>>();
    let mut chosen = spread(all.len().min(MOST_TENSORS));
    if let Some(bytes) = bytes {
        let cost = |pairs: &[&PairPlan]| {
            pairs.iter().map(|pair| matrix::cost(pair, weights, MOST_ELEMENTS)).fold(0, u64::saturating_add)
        };
        while !chosen.is_empty() && cost(&chosen) > bytes / 4 * 3 {
            chosen = spread(chosen.len() - 1);
        }
        if chosen.len() < all.len().min(LEAST_TENSORS) {
            return Ok(Study::default());
        }
    }
    let kept = chosen.len();
    let threads = match threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    };
    let next = AtomicUsize::new(0);
    let announced = Announced { of: Mutex::new(0), pairs: &chosen, weights };
    let work = || -> Result<Vec<(usize, TensorStudy)>, ReadError> {
        let mut done = Vec::new();
        while let Some((i, pair)) = {
            let i = next.fetch_add(1, Ordering::Relaxed);
            chosen.get(i).map(|pair| (i, *pair))
        } {
            if stop.load(Ordering::Relaxed) {
                return Err(ReadError::Interrupted);
            }
            announced.make_sure_of(i)?;
            done.push((i, tensor(pair, weights)?));
        }
        Ok(done)
    };
    let mut tensors = std::thread::scope(|scope| {
        let helpers: Vec<_> = (1..threads.clamp(1, kept.max(1)))
            .filter_map(|_| std::thread::Builder::new().spawn_scoped(scope, work).ok())
            .collect();
        let mut done = work()?;
        for helper in helpers {
            done.extend(helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok::<_, ReadError>(done)
    })?;
    tensors.sort_by_key(|(i, _)| *i);
    let tensors: Vec<TensorStudy> = tensors.into_iter().map(|(_, study)| study).collect();
    let sampled = kept < all.len() || tensors.iter().any(|t| t.elements.n < t.size);
    let mut tokens = Vec::new();
    for pair in plan.pairs.iter().filter(|pair| pair.key.role == Role::TokenEmbedding) {
        tokens.extend(tokens::rows(pair, weights, bytes.map(|bytes| bytes / 8))?);
    }
    // Which experts there are to look at is only known by then, so they have no share.
    let experts = if bytes.is_none() { experts::copies(plan, anatomies, weights)? } else { Vec::new() };
    Ok(Study { tensors, tokens, experts, sampled })
}

/// Pairs that are announced together: at most 16 MiB of bf16 of each side.
const TOGETHER: usize = 16;

/// Announces pairs before they are read, where that pays.
struct Announced<'a> {
    /// Pairs that were.
    of: Mutex<usize>,
    pairs: &'a [&'a PairPlan],
    weights: [&'a dyn Weights; 2],
}

impl Announced<'_> {
    fn make_sure_of(&self, index: usize) -> Result<(), ReadError> {
        let mut of = self.of.lock().unwrap_or_else(|e| e.into_inner());
        while *of <= index {
            let end = self.pairs.len().min(*of + TOGETHER);
            for (side, weights) in self.weights.iter().enumerate().filter(|(_, w)| w.wants_announcement()) {
                let pairs = self.pairs[*of..end].iter();
                let wanted: Vec<Span> =
                    pairs.flat_map(|pair| matrix::wanted(pair, side, MOST_ELEMENTS)).collect();
                weights.announce(&wanted)?;
            }
            *of = end;
        }
        Ok(())
    }
}

fn tensor(pair: &PairPlan, weights: [&dyn Weights; 2]) -> Result<TensorStudy, ReadError> {
    let [c, r] = matrix::read(pair, weights, MOST_ELEMENTS)?;
    let bits = |side: usize, tensor: usize| {
        weights[side].tensors().get(tensor).map_or(32.0, |t| t.encoding.bits_per_element())
    };
    let bits = [bits(0, pair.candidate.tensor), bits(1, pair.reference.tensor)];
    let elements = elements::count(&c, &r);
    let grids = [grid::fit(&c, &r, bits[0]), grid::fit(&r, &c, bits[1])]
        .map(|fit| fit.filter(|_| elements.equal < elements.n));
    let matrix_like = pair.rows.min(pair.cols) >= SMALLEST_SIDE && pair.key.role != Role::TokenEmbedding;
    let is_changed = matrix_like && elements.equal < elements.n;
    let significands = [0, 1].map(|side| elements.significand(side));
    Ok(TensorStudy {
        key: pair.key,
        size: pair.rows * pair.cols,
        elements,
        grids,
        spectrum: is_changed.then(|| spectrum::of(&c, &r, significands)),
        scaled: is_changed.then(|| scaled::of(&c, &r, significands)),
    })
}
