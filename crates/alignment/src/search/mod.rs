//! Looking for the candidate's units among the reference's, wherever they were moved.
//!
//! Relabelled hidden units and a rotated residual stream leave nothing for a comparison at equal indices. Here units are matched
//! by what decides whether they fire (their gate rows, in a residual frame that no hidden unit had a part in), and then the
//! *other* two matrices are asked: do the signs agree (METHODS S3, exact: neither gates nor frames notice when the sign of a
//! unit flips), and do they, matched by themselves, pick the same partner (S4, an effect size, also under signed rescaling)?

mod by_units;
mod experts;
mod features;
mod frame;
mod heads;
mod learned;
mod matching;
mod matrix;
mod partners;
mod rescaled;
mod untrained;

pub use experts::ExpertMatch;
pub use frame::{Basis, Hypothesis, SharedTokens};
pub use heads::{HeadMap, HeadPick};
pub use rescaled::Rescaled;
pub use untrained::UntrainedTokens;

use crate::Channel;
use experts::match_experts;
use features::{Block, Units};
use frame::Frame;
use heads::Attention;
use matching::nearest;
use matrix::{centre, dot, normalise};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use stemmata_architecture::{Anatomy, ChannelAxis, Component, Part, Role, Term, View};
use stemmata_fingerprint::picked;
use stemmata_model::{ReadError, Weights};
use stemmata_stats::longest_increasing;

/// Units of the side with fewer of them that look for a partner among all units of the other.
const QUERIES: u64 = 2048;
/// Mean of 1 − cos² between units up to which they are taken to be equal but for rounding and scale: bf16 leaves a millionth or two.
const EQUAL: f64 = 2e-5;
/// Layers that are looked at before the rest.
const FIRST_LAYERS: usize = 4;

/// One layer's units of the candidate among one layer's units of the reference.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerMatch {
    /// Component.
    pub component: Component,
    /// Layer of the candidate.
    pub layer: u32,
    /// Layer of the reference.
    pub reference_layer: u32,
    /// How the residual bases were taken to correspond.
    pub hypothesis: Hypothesis,
    /// Whether the blocks have gates; without, two matrices must agree instead of three.
    pub gated: bool,
    /// Units of the candidate and of the reference that took part.
    pub units: (u64, u64),
    /// By index within an expert, over units whose gate has a mutual nearest neighbour: the sum of the cosines of what the unit
    /// reads and what it writes with its partner's. Empty where there is no gate.
    pub channels: Vec<Channel>,
    /// The same for units of the same index, in the frame by tokens. Empty elsewhere, where there is no gate, or not as many units.
    pub in_place: Vec<Channel>,
    /// Units so matched, and those of them whose partner has the opposite sign.
    pub matched: (u64, u64),
    /// Units for which gate, up and down (up and down where there is no gate), each matched by itself and whatever its sign,
    /// pick the same partner.
    pub agreeing: u64,
    /// Units among the matched whose partner carries the same index within its expert.
    pub unmoved: u64,
    /// Units of one expert of the candidate and of the reference, picked or not.
    pub hidden: (u64, u64),
    /// Widths of the two residual streams.
    pub residual: (u64, u64),
    /// The matched: unit of the candidate, unit of the reference, increasing in the first; all experts counted through.
    pub partners: Vec<(u32, u32)>,
    /// Where the experts of a mixture lie in another mixture, by the partners of their units; empty beside a dense block.
    pub experts: Vec<ExpertMatch>,
    /// Longest increasing run of the partners' labels among the matched, in the order of the candidate's labels; `None` where
    /// labels mean nothing, with several experts, or where both models' units lie in the order of their lengths.
    pub in_order: Option<u64>,
    /// Mean of 1 − cos² between the rows of agreeing units and their partners', over their matrices; what rounding leaves is
    /// a millionth or two for bf16. `None` without agreeing units.
    pub residue: Option<f64>,
    /// Whether the gains before the block are one number, in the candidate and the reference.
    pub flat_gains: [bool; 2],
    /// What matched units read and what heads write, row by row, where units are equal up to rounding and scale in the basis as
    /// stored; else nothing was looked at.
    pub rescaled: Rescaled,
}

/// What could be searched: a function of shapes alone, so that the number of tests is known before any weight is read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SearchPlan {
    /// (component, layer), all that both models have, in order.
    pub layers: Vec<(Component, u32)>,
    /// Most tests that a search can add: per layer and per component one sign test and one agreement for each hypothesis and one sign test
    /// of units in place in the frame by tokens, per layer also one test of the order of labels for each hypothesis, per component one of
    /// the order of residual channels and one of token rows.
    pub tests: usize,
}

impl SearchPlan {
    /// A few layers spread over each component, to begin with.
    pub fn first(&self) -> Vec<(Component, u32)> {
        let mut first = Vec::new();
        for layers in self.layers.chunk_by(|a, b| a.0 == b.0) {
            let n = layers.len();
            let few = n.min(FIRST_LAYERS);
            first.extend((0..few).map(|k| layers[(2 * k + 1) * n / (2 * few)]));
        }
        first
    }
}

/// What could be searched in a pair. O(parts).
pub fn search_plan(candidate: &Anatomy, reference: &Anatomy) -> SearchPlan {
    let mut plan = SearchPlan::default();
    for component in [Component::LanguageModel, Component::VisionTower] {
        let [ours, theirs] = [candidate, reference].map(|anatomy| blocks(anatomy, component));
        // With as many layers each is held against that of the same number; else its partner is looked for.
        let same_depth = depth(candidate, component) == depth(reference, component);
        let open =
            ours.into_iter().filter(|l| if same_depth { theirs.contains(l) } else { !theirs.is_empty() });
        plan.layers.extend(open.map(|layer| (component, layer)));
    }
    let mut present: Vec<Component> = plan.layers.iter().map(|layer| layer.0).collect();
    present.dedup();
    let has_tokens = |component: &&Component| {
        [candidate, reference].iter().all(|anatomy| embedding(anatomy, **component).is_some())
    };
    let with_tokens = present.iter().filter(has_tokens).count();
    plan.tests = Basis::ALL.len() * (3 * plan.layers.len() + 2 * present.len())
        + plan.layers.len()
        + 2 * present.len()
        + with_tokens;
    plan
}

fn depth(anatomy: &Anatomy, component: Component) -> u32 {
    anatomy.component(component).map_or(0, |info| info.layers)
}

/// Layers with a feed-forward block that can be searched.
fn blocks(anatomy: &Anatomy, component: Component) -> Vec<u32> {
    let layers = 0..depth(anatomy, component);
    layers.filter(|layer| Block::of(anatomy, component, *layer).is_some()).collect()
}

/// A search under way: frames are made once and kept.
pub struct Search<'a> {
    weights: [&'a dyn Weights; 2],
    anatomies: [&'a Anatomy; 2],
    threads: usize,
    stop: &'a AtomicBool,
    shared: SharedTokens,
    /// Most units of the side with fewer of them that look for a partner.
    queries: u64,
    frames: BTreeMap<(Component, Basis), Option<Arc<Frame>>>,
    /// Where layers have no partner of the same number: the one whose gates are nearest.
    partners: BTreeMap<Component, BTreeMap<u32, u32>>,
}

impl<'a> Search<'a> {
    /// A search of `candidate` against `reference`; nothing is read yet.
    pub fn new(
        candidate: (&'a dyn Weights, &'a Anatomy),
        reference: (&'a dyn Weights, &'a Anatomy),
        threads: usize,
        stop: &'a AtomicBool,
    ) -> Search<'a> {
        let threads = match threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n.min(64),
        };
        Search {
            weights: [candidate.0, reference.0],
            anatomies: [candidate.1, reference.1],
            threads,
            stop,
            shared: SharedTokens::default(),
            queries: QUERIES,
            frames: BTreeMap::new(),
            partners: BTreeMap::new(),
        }
    }

    /// Lets every unit look for its partner: a layer then costs O(units of the candidate · units of the reference · K).
    pub fn of_all_units(self) -> Search<'a> {
        Search { queries: u64::MAX, ..self }
    }

    /// Says which rows of the embeddings mean the same.
    pub fn sharing(self, shared: SharedTokens) -> Search<'a> {
        Search { shared, ..self }
    }

    /// Elements of both sides that looking at a layer reads, for each hypothesis.
    pub fn elements(&self, component: Component, layer: u32) -> u64 {
        self.anatomies
            .iter()
            .filter_map(|a| Block::of(a, component, layer))
            .map(|block| block.elements())
            .sum()
    }

    /// Matches the units of one layer under every hypothesis that applies.
    ///
    /// O(units² · K + units · residual · K) time with K at most 512; memory O(units · K).
    pub fn examine(&mut self, component: Component, layer: u32) -> Result<Vec<LayerMatch>, ReadError> {
        let partner = self.partner(component, layer)?;
        let ours = Block::of(self.anatomies[0], component, layer);
        let theirs = partner.and_then(|layer| Block::of(self.anatomies[1], component, layer));
        let (Some(ours), Some(theirs), Some(partner)) = (ours, theirs, partner) else {
            return Ok(Vec::new());
        };
        let stopped = || self.stop.load(Ordering::Relaxed);
        let widths = [ours.residual(), theirs.residual()];
        let picks = picks(ours.units(), theirs.units(), self.queries);
        let mut matches: Vec<LayerMatch> = Vec::new();
        for basis in Basis::ALL {
            // Where most units were found in the basis as it is, no other basis is asked.
            if matches.iter().any(|m| 2 * m.agreeing > m.units.0.min(m.units.1)) {
                break;
            }
            let Some(frame) = self.frame(component, widths, basis)? else { continue };
            let sides = [(&ours, &frame.candidate), (&theirs, &frame.reference)];
            let (c, r) = on_both(|side| {
                let (block, directions) = sides[side];
                block.read(self.weights[side], directions, &picks[side], &stopped)
            });
            let mut found = compare_units(c?, r?, &picks, [ours.width(), theirs.width()], self.threads);
            if basis != Basis::ByTokens {
                found.in_place.clear();
            }
            let rescaled = self.rescaled((component, layer, partner), [&ours, &theirs], basis, &found)?;
            matches.push(LayerMatch {
                component,
                layer,
                reference_layer: partner,
                hypothesis: frame.hypothesis,
                gated: found.gated,
                units: (picks[0].len() as u64, picks[1].len() as u64),
                channels: found.channels,
                in_place: found.in_place,
                matched: found.matched,
                agreeing: found.agreeing,
                unmoved: found.unmoved,
                hidden: (ours.width() as u64, theirs.width() as u64),
                residual: (widths[0], widths[1]),
                experts: match_experts(&found.partners, [&ours, &theirs].map(|b| b.experts().collect())),
                partners: found.partners,
                in_order: found.in_order.filter(|_| {
                    [&ours, &theirs].into_iter().all(|block| block.units() == block.width() as u64)
                }),
                residue: found.residue,
                flat_gains: found.flat_gains,
                rescaled,
            });
        }
        Ok(matches)
    }

    /// Rows that should be multiples of one another: of `up` for matched units, of values for heads that were found.
    fn rescaled(
        &mut self,
        (component, layer, partner): (Component, u32, u32),
        blocks: [&Block<'_>; 2],
        basis: Basis,
        found: &Found,
    ) -> Result<Rescaled, ReadError> {
        let mut total = Rescaled::default();
        if basis != Basis::AsStored || found.residue.is_none_or(|residue| residue > EQUAL) {
            return Ok(total);
        }
        let (weights, stop) = (self.weights, self.stop);
        let stopped = || stop.load(Ordering::Relaxed);
        if let [Some(c), Some(r)] = blocks.map(Block::only_up) {
            let units: Vec<(u64, u64)> =
                found.partners.iter().map(|(c, r)| (u64::from(*c), u64::from(*r))).collect();
            total.merge(rescaled::rescaled(weights, [c, r], &units, &stopped)?);
        }
        let attention = [(0, layer), (1, partner)]
            .map(|(side, layer)| Attention::of(self.anatomies[side], component, layer));
        if let ([Some(c), Some(r)], Some(map)) = (attention, self.heads_in(basis, component, layer, partner)?)
        {
            let values = heads::value_rows(&map, [&c, &r]);
            total.merge(rescaled::rescaled(weights, [c.value(), r.value()], &values, &stopped)?);
        }
        Ok(total)
    }

    /// Looks for the query heads of a layer among those of the reference's layer `partner`, in the first frame in which more than
    /// half of them are found, else in the one with most. `None` where heads cannot be told apart (latent and linear attention).
    ///
    /// O(elements · K + heads² · width² · K) time with K at most 512; memory O((rows of Q, K and V + columns of O) · K).
    pub fn heads(
        &mut self,
        component: Component,
        layer: u32,
        partner: u32,
    ) -> Result<Option<HeadMap>, ReadError> {
        let mut best: Option<HeadMap> = None;
        for basis in Basis::ALL {
            if best.as_ref().is_some_and(|map| 2 * map.found() > map.picks.len()) {
                break;
            }
            let Some(map) = self.heads_in(basis, component, layer, partner)? else { continue };
            if best.as_ref().is_none_or(|before| before.found() < map.found()) {
                best = Some(map);
            }
        }
        Ok(best)
    }

    /// As [`Search::heads`], in one basis; `None` also where it cannot be had.
    pub fn heads_in(
        &mut self,
        basis: Basis,
        component: Component,
        layer: u32,
        partner: u32,
    ) -> Result<Option<HeadMap>, ReadError> {
        let ours = Attention::of(self.anatomies[0], component, layer);
        let theirs = Attention::of(self.anatomies[1], component, partner);
        let (Some(ours), Some(theirs)) = (ours, theirs) else { return Ok(None) };
        let widths = [ours.residual(), theirs.residual()];
        let Some(frame) = self.frame(component, widths, basis)? else { return Ok(None) };
        let stopped = || self.stop.load(Ordering::Relaxed);
        let picks = heads::picks(self.weights, [&ours, &theirs], &frame, self.threads, &stopped)?;
        Ok(Some(HeadMap {
            component,
            layer,
            reference_layer: partner,
            basis,
            heads: (ours.heads(), theirs.heads()),
            groups: (ours.groups(), theirs.groups()),
            picks,
        }))
    }

    /// Residual channels that are each other's only counterpart over shared tokens, candidate's and reference's, increasing in the
    /// first; empty where the stream was rotated, or tokens are not shared.
    pub fn residual_channels(&mut self, component: Component) -> Result<Vec<(u32, u32)>, ReadError> {
        let width = |anatomy: &Anatomy| anatomy.component(component).map_or(0, |info| info.residual);
        let frame = self.frame(component, self.anatomies.map(width), Basis::ByTokens)?;
        Ok(frame.map_or_else(Vec::new, |frame| frame.channels.clone()))
    }

    /// What the rows of tokens say that neither model seems to have met; `None` where there are too few of them.
    ///
    /// O(tokens · residual) time, one pass over both embeddings; memory O(tokens + residual).
    pub fn untrained_tokens(&self, component: Component) -> Result<Option<UntrainedTokens>, ReadError> {
        let views = self.anatomies.map(|anatomy| embedding(anatomy, component));
        let [Some(c), Some(r)] = views else { return Ok(None) };
        let stopped = || self.stop.load(Ordering::Relaxed);
        untrained::untrained(component, self.weights, [c, r], &self.shared, &stopped)
    }

    /// A frame of a component, made when first asked for; `None` where the hypothesis does not apply.
    fn frame(
        &mut self,
        component: Component,
        widths: [u64; 2],
        basis: Basis,
    ) -> Result<Option<Arc<Frame>>, ReadError> {
        if let Some(frame) = self.frames.get(&(component, basis)) {
            return Ok(frame.clone().filter(|frame| frame.widths() == widths));
        }
        let stopped = || self.stop.load(Ordering::Relaxed);
        let made = match (basis, self.anatomies.map(|anatomy| embedding(anatomy, component))) {
            (Basis::AsStored, _) => frame::as_stored(widths[0], widths[1]),
            (Basis::ByTokens, [Some(c), Some(r)]) => {
                let alike = self.anatomies.into_iter().all(|anatomy| {
                    anatomy.component(component).is_some_and(|info| ChannelAxis::Residual.holds_for(info))
                });
                frame::by_tokens(self.weights, [c, r], &self.shared, alike, self.threads, &stopped)?
            }
            (Basis::ByTokens, _) => None,
            (Basis::ByUnits, _) => {
                let layers = search_plan(self.anatomies[0], self.anatomies[1]).first();
                let mut blocks = Vec::new();
                for (_, layer) in layers.into_iter().filter(|place| place.0 == component) {
                    let partner = self.partner(component, layer)?;
                    let ours = Block::of(self.anatomies[0], component, layer);
                    let theirs = partner.and_then(|layer| Block::of(self.anatomies[1], component, layer));
                    blocks.extend(ours.zip(theirs).map(|(ours, theirs)| [ours, theirs]));
                }
                by_units::by_units(self.weights, &blocks, self.threads, &stopped)?
            }
        };
        let made = made.map(Arc::new);
        self.frames.insert((component, basis), made.clone());
        Ok(made.filter(|frame| frame.widths() == widths))
    }
}

/// The token embedding of a component.
fn embedding(anatomy: &Anatomy, component: Component) -> Option<&View> {
    let wanted =
        |p: &&Part| p.component == component && p.role == Role::TokenEmbedding && p.term == Term::Weight;
    anatomy.parts.iter().find(wanted).map(|p| &p.view)
}

/// What `work` gives for the candidate (0) and the reference (1), at the same time where the system has a thread to give.
fn on_both<T: Send>(
    work: impl Fn(usize) -> Result<T, ReadError> + Sync,
) -> (Result<T, ReadError>, Result<T, ReadError>) {
    std::thread::scope(|scope| {
        let other = std::thread::Builder::new().spawn_scoped(scope, || work(1));
        let candidate = work(0);
        let reference = match other {
            Ok(thread) => thread.join().unwrap_or(Err(ReadError::Interrupted)),
            Err(_) => work(1),
        };
        (candidate, reference)
    })
}

/// Which units of candidate and reference take part: all of the larger side, at most `queries` evenly spaced ones of the other.
/// A function of the numbers of units alone.
fn picks(candidate: u64, reference: u64, queries: u64) -> [Vec<u64>; 2] {
    let few = |n: u64| picked(n, queries).collect();
    if candidate <= reference {
        [few(candidate), (0..reference).collect()]
    } else {
        [(0..candidate).collect(), few(reference)]
    }
}

struct Found {
    gated: bool,
    channels: Vec<Channel>,
    in_place: Vec<Channel>,
    matched: (u64, u64),
    agreeing: u64,
    unmoved: u64,
    partners: Vec<(u32, u32)>,
    in_order: Option<u64>,
    residue: Option<f64>,
    flat_gains: [bool; 2],
}

/// `widths` are the numbers of units of one expert of candidate and reference.
fn compare_units(
    mut c: Units,
    mut r: Units,
    picks: &[Vec<u64>; 2],
    widths: [usize; 2],
    threads: usize,
) -> Found {
    let sorted = [&c, &r].into_iter().all(is_sorted);
    for units in [&mut c, &mut r] {
        if let Some(gate) = &mut units.gate {
            // A direction that all gates share says nothing about which is which. Gates have no arbitrary sign.
            centre(gate);
            normalise(gate);
        }
        normalise(&mut units.up);
        normalise(&mut units.down);
    }
    let up = nearest(&c.up, &r.up, true, threads);
    let down = nearest(&c.down, &r.down, true, threads);
    let gate = match (&c.gate, &r.gate) {
        (Some(c), Some(r)) => Some(nearest(c, r, false, threads)),
        _ => None,
    };
    let mut found = Found {
        gated: gate.is_some(),
        channels: Vec::new(),
        in_place: Vec::new(),
        matched: (0, 0),
        agreeing: 0,
        unmoved: 0,
        partners: Vec::new(),
        in_order: None,
        residue: None,
        flat_gains: [c.flat_gain, r.flat_gain],
    };
    // Asked from the side with fewer units: the others have partners that were not picked.
    let few = |nearest: &matching::Nearest| {
        if picks[0].len() <= picks[1].len() {
            nearest.of_candidate.clone()
        } else {
            nearest.of_reference.clone()
        }
    };
    let (by_up, by_down, by_gate) = (few(&up), few(&down), gate.as_ref().map(few));
    let (many, width) =
        if picks[0].len() <= picks[1].len() { (&picks[1], widths[1]) } else { (&picks[0], widths[0]) };
    // Experts that are copies of one another have the same unit at the same index: which copy is nearest means nothing.
    let unit = |partner: u32| many.get(partner as usize).map(|unit| *unit as usize % width);
    let (mut residue, mut rows) = (0.0, 0_u64);
    for (i, &partner) in by_up.iter().enumerate() {
        let same = unit(partner).is_some()
            && unit(partner) == unit(by_down[i])
            && by_gate.as_ref().is_none_or(|gate| unit(gate[i]) == unit(partner));
        if same {
            found.agreeing += 1;
            let (i, j) =
                if picks[0].len() <= picks[1].len() { (i, partner as usize) } else { (partner as usize, i) };
            let gates = c.gate.as_ref().zip(r.gate.as_ref());
            for (c, r) in [(&c.up, &r.up), (&c.down, &r.down)].into_iter().chain(gates) {
                residue += 1.0 - dot(c, i, r, j).powi(2);
                rows += 1;
            }
        }
    }
    found.residue = (rows > 0).then(|| residue / rows as f64);
    let reads_and_writes = |i: usize, j: usize| dot(&c.up, i, &r.up, j) + dot(&c.down, i, &r.down, j);
    let add = |channels: &mut Vec<Channel>, at: usize, product: f64| {
        channels.resize(channels.len().max(widths[0]), Channel::default());
        channels[at].product += product;
        channels[at].reach += 2.0;
    };
    for (i, j) in gate.as_ref().unwrap_or(&up).mutual() {
        found.partners.push((picks[0][i] as u32, picks[1][j] as u32));
        let label = |side: usize, at: usize| picks[side][at] as usize % widths[side];
        found.unmoved += u64::from(label(0, i) == label(1, j));
        if gate.is_some() {
            let product = reads_and_writes(i, j);
            found.matched.1 += u64::from(product < 0.0);
            add(&mut found.channels, label(0, i), product);
        }
    }
    if gate.is_some() && widths[0] == widths[1] {
        // All units of one side are picked, so that each of the other has its namesake.
        let places = 0..picks[0].len().min(picks[1].len());
        let namesakes = places.filter_map(|at| match picks[0].len() <= picks[1].len() {
            true => Some((at, picks[1].binary_search(&picks[0][at]).ok()?)),
            false => Some((picks[0].binary_search(&picks[1][at]).ok()?, at)),
        });
        for (i, j) in namesakes {
            add(&mut found.in_place, picks[0][i] as usize % widths[0], reads_and_writes(i, j));
        }
    }
    found.matched.0 = found.partners.len() as u64;
    let labels: Vec<u64> = found.partners.iter().map(|(_, label)| u64::from(*label)).collect();
    found.in_order = (!sorted).then(|| longest_increasing(&labels).len() as u64);
    found
}

/// Whether the units of one model lie in the order of their lengths, up or down, in any of their matrices.
fn is_sorted(units: &Units) -> bool {
    [Some(&units.up), Some(&units.down), units.gate.as_ref()].into_iter().flatten().any(frame::lie_by_length)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
