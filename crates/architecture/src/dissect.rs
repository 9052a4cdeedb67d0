//! From a checkpoint's inventory to its anatomy.
//!
//! Answers: *what is every tensor for?* Reads names, shapes, encodings and configuration; never a number. Never fails:
//! what cannot be placed is listed as unmapped.

use crate::dimensions::{Configured, Dimensions, Evidence, resolve};
use crate::families::{Match, Named, choose};
use crate::layout::{Piece, Surroundings, lay_out, matrix_extents};
use crate::names::{Kind, kinds, strip};
use crate::notes::Notes;
use crate::rule::{Heads, Orientation, Rotary, Split};
use crate::{Anatomy, Component, Part, Role, Term, infer, summary};
use std::collections::{BTreeMap, HashMap, HashSet};
use stemmata_model::{Checkpoint, Tensor};

/// More parts than this are not kept; the largest public mixtures have some 50 000.
const PART_LIMIT: usize = 2_000_000;

/// Takes a checkpoint apart: which tensor is which part of which component, and how it lies there.
pub fn dissect(checkpoint: &Checkpoint) -> Anatomy {
    let tensors = &checkpoint.tensors;
    let kinds = kinds(tensors);
    let mut notes = Notes::default();
    let mut ignored = Vec::new();
    for (index, kind) in kinds.iter().enumerate() {
        match kind {
            Kind::SideTensor => ignored.push(index),
            Kind::Packed => {
                notes.count("quantised tensors not decoded", &tensors[index].name);
                ignored.push(index);
            }
            Kind::Adapter => notes.count("low-rank adapter tensors", &tensors[index].name),
            Kind::Candidate => {}
        }
    }
    let of_kind = |kind| (0..tensors.len()).filter(|&index| kinds[index] == kind).collect::<Vec<_>>();
    let (candidates, adapters) = (of_kind(Kind::Candidate), of_kind(Kind::Adapter));
    if adapters.len() > candidates.len() {
        let mut unmapped = [candidates, adapters].concat();
        unmapped.sort_unstable();
        return Anatomy {
            family: "lora-adapter".to_owned(),
            inferred: false,
            components: Vec::new(),
            parts: Vec::new(),
            unmapped,
            ignored,
            notes: notes.finish(),
        };
    }
    let named: Vec<Named<'_>> = candidates
        .iter()
        .filter_map(|&tensor| Some(Named { tensor, name: strip(&tensors[tensor].name)? }))
        .collect();
    let choices = choose(tensors, &named, &checkpoint.config);
    let mut matches: Vec<Match> = choices.iter().flat_map(|choice| choice.matches.iter().cloned()).collect();
    let known: HashSet<usize> = matches.iter().map(|m| m.tensor).collect();
    let left: Vec<usize> = candidates.iter().copied().filter(|index| !known.contains(index)).collect();
    let inferred = infer::infer(checkpoint, &left, &matches, &mut notes);
    matches.extend(inferred);
    matches.sort_by_key(|found| found.tensor);
    let norms = matches.iter().rev().filter_map(|found| Some((found.component, found.norm?))).collect();

    let parts = assemble(checkpoint, &matches, &mut notes);
    let placed: HashSet<usize> = parts.iter().map(|part| part.view.tensor).collect();
    let mut unmapped = [candidates, adapters].concat();
    unmapped.retain(|index| !placed.contains(index));
    unmapped.sort_unstable();
    let by_inference = matches.iter().filter(|m| m.inferred && placed.contains(&m.tensor)).count();
    if by_inference > 0 {
        notes.say(format!("roles of {by_inference} tensors were inferred, not known by name"));
    }
    let layered = |component| move |m: &Match| m.component == component && m.layer.is_some() && !m.inferred;
    let family = choices
        .iter()
        .filter(|choice| choice.matches.iter().any(layered(Component::LanguageModel)))
        .chain(choices.iter().filter(|choice| choice.matches.iter().any(layered(Component::VisionTower))))
        .chain(choices.iter().filter(|_| by_inference == 0))
        .next()
        .map_or("inferred", |choice| choice.family.id.as_str());
    Anatomy {
        family: family.to_owned(),
        inferred: by_inference > 0,
        components: summary::summarise(&checkpoint.config, &parts, &norms, &mut notes),
        parts,
        unmapped,
        ignored,
        notes: notes.finish(),
    }
}

type Key = (Component, Option<u32>, Option<u32>, Role, Term);

/// Lays every match out; what does not fit stays unmapped with a note.
fn assemble(checkpoint: &Checkpoint, matches: &[Match], notes: &mut Notes) -> Vec<Part> {
    let tensors = &checkpoint.tensors;
    let context = Context::gather(checkpoint, matches);
    let mut keys: HashSet<Key> = HashSet::new();
    let mut parts: Vec<Part> = Vec::new();
    for found in matches {
        let tensor = &tensors[found.tensor];
        let around = context.around(found);
        let budget = PART_LIMIT - parts.len();
        let pieces = match lay_out(found.tensor, &tensor.shape, &found.rule, found.term, &around, budget) {
            Ok(pieces) => pieces,
            Err(reason) => {
                notes.count(&format!("left unmapped because {reason}"), &tensor.name);
                continue;
            }
        };
        if found.rule.rotary == Rotary::Always
            || (found.rule.rotary == Rotary::ByArchitecture && found.interleaved)
        {
            notes.say("q and k rows are taken to be in adjacent rotary pairs, as the names and the architecture have it");
        }
        let key = |piece: &Piece| {
            (found.component, found.layer, piece.expert.or(found.expert), piece.role, found.term)
        };
        if pieces.iter().any(|piece| keys.contains(&key(piece))) {
            notes.count("left unmapped because another tensor has the same purpose", &tensor.name);
            continue;
        }
        for piece in pieces {
            let key = key(&piece);
            keys.insert(key);
            let (component, layer, expert, role, term) = key;
            let guessed = found.rule.guessed;
            parts.push(Part { component, layer, expert, role, term, guessed, view: piece.view });
        }
    }
    parts.sort_by_key(|part| (part.component, part.layer, part.expert, part.role, part.term));
    parts
}

/// What tensors say about their neighbours.
struct Context {
    dimensions: BTreeMap<Component, Dimensions>,
    attention_inputs: HashMap<(Component, Option<u32>), u64>,
    block_inputs: HashMap<(Component, Option<u32>), u64>,
    hidden: HashMap<(Component, Option<u32>), u64>,
}

impl Context {
    fn gather(checkpoint: &Checkpoint, matches: &[Match]) -> Context {
        let mut evidence: BTreeMap<Component, Evidence> = BTreeMap::new();
        let (mut attention_inputs, mut hidden) = (HashMap::new(), HashMap::new());
        let mut block_inputs = HashMap::new();
        for found in matches.iter().filter(|found| found.term == Term::Weight) {
            let shape = &checkpoint.tensors[found.tensor].shape;
            if let (Split::Squares, Some((_, inputs))) = (found.rule.split, matrix_extents(shape)) {
                block_inputs.entry((found.component, found.layer)).or_insert(inputs);
            }
            let Some((role, rows, cols)) = whole(&checkpoint.tensors[found.tensor], found) else { continue };
            evidence.entry(found.component).or_default().observe(role, rows, cols);
            let place = (found.component, found.layer);
            match role {
                Role::Output | Role::LinearAttentionOutput => {
                    _ = attention_inputs.entry(place).or_insert(cols)
                }
                Role::Down => _ = hidden.entry(place).or_insert(cols),
                _ => {}
            }
        }
        let dimensions = evidence
            .iter()
            .map(|(component, evidence)| {
                (*component, resolve(evidence, &Configured::new(&checkpoint.config, *component)))
            })
            .collect();
        Context { dimensions, attention_inputs, block_inputs, hidden }
    }

    fn around(&self, found: &Match) -> Surroundings {
        let dimensions = self.dimensions.get(&found.component).copied().unwrap_or_default();
        let place = (found.component, found.layer);
        Surroundings {
            residual: dimensions.residual,
            attention_inputs: self.attention_inputs.get(&place).copied().unwrap_or(0),
            hidden: self.hidden.get(&place).copied().unwrap_or(0),
            query_heads: dimensions.query_heads,
            kv_heads: dimensions.kv_heads,
            query_width: dimensions.query_width,
            guessed_heads: dimensions.guessed,
            block_inputs: self.block_inputs.get(&place).copied().unwrap_or(0),
            interleaved: found.interleaved,
        }
    }
}

/// (role, rows, columns) where a tensor is one matrix or vector as a whole.
fn whole(tensor: &Tensor, found: &Match) -> Option<(Role, u64, u64)> {
    let [role] = found.rule.roles.as_slice() else { return None };
    if found.rule.unstack || found.rule.split != Split::None || found.rule.heads != Heads::None {
        return None;
    }
    let (rows, cols) = match tensor.shape.as_slice() {
        [] => (1, 1),
        [cols] => (1, *cols),
        shape => matrix_extents(shape)?,
    };
    Some(if found.rule.orientation == Orientation::Transposed {
        (*role, cols, rows)
    } else {
        (*role, rows, cols)
    })
}
