//! Roles inside one layer.
//!
//! Answers: *which of these tensors must be q, k, v, o, gate, up, down and the norms?* Shapes decide what is possible,
//! words choose among what shapes allow, storage order decides the rest and is reported as a guess.

use super::blocks::{Slot, counters, signature};
use super::feed_forward::{self, Kit};
use super::hints::{assign, bias_stem, weight_stem};
use crate::rule::{Orientation, Rule, Split};
use crate::{Role, Term};
use std::collections::{BTreeMap, HashMap};

/// One tensor with its role.
#[derive(Clone, Debug)]
pub(crate) struct Solved {
    /// Index into the slots that were given.
    pub(crate) slot: usize,
    pub(crate) rule: Rule,
    pub(crate) term: Term,
    pub(crate) expert: Option<u32>,
}

/// A layer's solution.
#[derive(Clone, Debug, Default)]
pub(crate) struct Solution {
    pub(crate) solved: Vec<Solved>,
    /// Whether storage order decided anything.
    pub(crate) guessed: bool,
    pub(crate) gated: bool,
    pub(crate) norm_biases: bool,
}

/// A matrix on its way to a role, seen as \[out, in\].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix<'a> {
    pub(crate) slot: usize,
    pub(crate) suffix: &'a str,
    pub(crate) rows: u64,
    pub(crate) cols: u64,
}

/// The residual width: the extent that most matrices share.
pub(crate) fn residual_width(slots: &[Slot<'_>]) -> Option<u64> {
    let mut votes: BTreeMap<u64, usize> = BTreeMap::new();
    for slot in slots {
        match slot.shape {
            [size] => *votes.entry(*size).or_default() += 1,
            [.., rows, cols] if slot.shape.len() <= 3 => {
                *votes.entry(*rows).or_default() += 1;
                if cols != rows {
                    *votes.entry(*cols).or_default() += 1;
                }
            }
            _ => {}
        }
    }
    votes
        .into_iter()
        .filter(|(extent, _)| *extent > 1)
        .max_by_key(|&(extent, votes)| (votes, extent))
        .map(|(d, _)| d)
}

/// Solves one layer; `None` unless attention or a feed-forward block is found.
pub(crate) fn solve(slots: &[Slot<'_>], residual: u64) -> Option<Solution> {
    let mut order: Vec<usize> = (0..slots.len()).collect();
    order.sort_by_key(|&at| (slots[at].place, at));
    let biases = bias_partners(slots);
    let turned = conv1d(slots, &biases);
    let mut out = Solution::default();
    let mut roles: BTreeMap<usize, Rule> = BTreeMap::new();

    let (experts, in_experts) = experts(slots, residual);
    let matrices: Vec<Matrix<'_>> = order
        .iter()
        .copied()
        .filter(|at| !in_experts.contains_key(at) && !biases.contains_key(at))
        .filter_map(|at| match *slots[at].shape {
            [rows, cols] if turned => {
                Some(Matrix { slot: at, suffix: slots[at].suffix, rows: cols, cols: rows })
            }
            [rows, cols] => Some(Matrix { slot: at, suffix: slots[at].suffix, rows, cols }),
            _ => None,
        })
        .collect();
    let stacked = feed_forward::stacked(slots, &order, residual);
    let routed = experts.is_some() || stacked.is_some();
    let dense = feed_forward::dense(&matrices, residual);
    let mut left = matrices;
    for kit in [stacked.as_ref(), dense.as_ref()].into_iter().flatten() {
        let shared = routed && !kit.stacked;
        out.gated |= kit.gated;
        out.guessed |= kit.guessed;
        roles.extend(
            kit.rules.iter().map(|(slot, rule)| (*slot, if shared { share(rule) } else { rule.clone() })),
        );
        left.retain(|matrix| !kit.rules.contains_key(&matrix.slot));
    }
    if let Some((count, kit)) = &experts {
        out.gated |= kit.gated;
        out.guessed |= kit.guessed;
        let router = left.iter().position(|m| m.rows == *count && m.cols == residual && m.rows != m.cols);
        if let Some(at) = router {
            roles.insert(left.remove(at).slot, Rule::plain(Role::Router));
        }
    }
    out.guessed |= attention(&left, residual, &mut roles);
    let found_matrices = !roles.is_empty() || experts.is_some();
    if turned {
        roles.values_mut().for_each(|rule| rule.orientation = Orientation::Transposed);
    }
    out.guessed |= vectors(slots, &order, residual, &biases, &mut roles);
    for (&bias, &owner) in &biases {
        if let Some(rule) = roles.get(&owner) {
            out.norm_biases |= matches!(rule.roles[..], [Role::AttentionNorm | Role::FeedForwardNorm]);
            let rule = Rule { term: Some(Term::Bias), ..rule.clone() };
            out.solved.push(Solved { slot: bias, rule, term: Term::Bias, expert: None });
        }
    }
    let plain = |(slot, rule)| Solved { slot, rule, term: Term::Weight, expert: None };
    out.solved.extend(roles.into_iter().map(plain));
    if let Some((_, kit)) = &experts {
        out.solved.extend(in_experts.iter().filter_map(|(&slot, &(expert, template))| {
            let rule = kit.rules.get(&template)?.clone();
            Some(Solved { slot, rule, term: Term::Weight, expert: Some(expert) })
        }));
    }
    found_matrices.then_some(out)
}

/// The same rule for the shared expert of a mixture.
fn share(rule: &Rule) -> Rule {
    let roles = rule.roles.iter().map(|role| match role {
        Role::Gate => Role::SharedGate,
        Role::Up => Role::SharedUp,
        Role::Down => Role::SharedDown,
        other => *other,
    });
    Rule { roles: roles.collect(), ..rule.clone() }
}

/// Bias slots and the slots they belong to.
fn bias_partners(slots: &[Slot<'_>]) -> BTreeMap<usize, usize> {
    let mut owners: HashMap<&str, usize> = HashMap::new();
    for (at, slot) in slots.iter().enumerate().filter(|(_, slot)| bias_stem(slot.suffix).is_none()) {
        owners.entry(weight_stem(slot.suffix)).or_insert(at);
    }
    let partner = |(at, slot): (usize, &Slot<'_>)| {
        let stem = bias_stem(slot.suffix).filter(|_| slot.shape.len() == 1)?;
        Some((at, *owners.get(stem)?))
    };
    slots.iter().enumerate().filter_map(partner).collect()
}

/// Whether the biases say that matrices are stored as \[in, out\].
fn conv1d(slots: &[Slot<'_>], biases: &BTreeMap<usize, usize>) -> bool {
    let vote = |(bias, owner): (&usize, &usize)| match (slots[*bias].shape, slots[*owner].shape) {
        ([len], [rows, cols]) if rows != cols && len == cols => 1,
        ([len], [rows, cols]) if rows != cols && len == rows => -1,
        _ => 0,
    };
    biases.iter().map(vote).sum::<i64>() > 0
}

/// Slots of numbered experts: slot to (expert, the slot of expert 0 with the same name).
type InExperts = BTreeMap<usize, (u32, usize)>;

/// The experts of a mixture that are numbered in the names: how many, and the solution of the first.
fn experts<'a>(slots: &[Slot<'a>], residual: u64) -> (Option<(u64, Kit)>, InExperts) {
    let numbered = slots.iter().enumerate().map(|(at, slot)| Slot { tensor: at, ..slot.clone() });
    let mut candidates: Vec<_> =
        counters(numbered).into_iter().filter(|(_, counter)| counter.len() > 1).collect();
    candidates.sort_by_key(|(prefix, _)| *prefix);
    for (_, counter) in candidates {
        let Some((&base, template)) = counter.first_key_value() else { continue };
        let wanted = signature(template);
        if template.len() < 2 || counter.values().any(|slots| signature(slots) != wanted) {
            continue;
        }
        let mut ordered = template.clone();
        ordered.sort_by_key(|slot| (slot.place, slot.tensor));
        let matrices: Vec<Matrix<'_>> = ordered
            .iter()
            .filter_map(|slot| match *slot.shape {
                [rows, cols] => Some(Matrix { slot: slot.tensor, suffix: slot.suffix, rows, cols }),
                _ => None,
            })
            .collect();
        let Some(kit) = feed_forward::dense(&matrices, residual) else { continue };
        let first: HashMap<&str, usize> = template.iter().map(|slot| (slot.suffix, slot.tensor)).collect();
        let members = counter.iter().flat_map(|(value, slots)| {
            let first = &first;
            slots.iter().filter_map(move |slot| Some((slot.tensor, (value - base, *first.get(slot.suffix)?))))
        });
        return (Some((counter.len() as u64, kit)), members.collect());
    }
    (None, InExperts::new())
}

/// Names q, k, v and o among the matrices that no feed-forward block took; says whether order decided.
fn attention(left: &[Matrix<'_>], residual: u64, roles: &mut BTreeMap<usize, Rule>) -> bool {
    let of =
        |rows: u64, cols: u64| left.iter().filter(|m| m.rows == rows && m.cols == cols).collect::<Vec<_>>();
    let mut guessed = false;
    let mut fused_rules: Vec<(usize, Rule)> = Vec::new();
    let mut give = |group: &[&Matrix<'_>], wanted: &[Role]| {
        let names: Vec<&str> = group.iter().map(|matrix| matrix.suffix).collect();
        let (given, tied) = assign(&names, wanted);
        guessed |= tied;
        for (matrix, role) in group.iter().zip(given) {
            roles.insert(matrix.slot, Rule { guessed: tied, ..Rule::plain(role) });
        }
    };
    use Role::{Key, Output, Query, Value};
    let squares = of(residual, residual);
    let readers: Vec<u64> = {
        let mut widths: Vec<u64> =
            left.iter().filter(|m| m.cols == residual && m.rows != residual).map(|m| m.rows).collect();
        widths.sort_unstable();
        widths.dedup();
        widths
    };
    // Attention width that differs from the residual width.
    let other = readers.iter().copied().find(|&width| of(residual, width).len() == 1);
    let mut query_width = residual;
    if let Some(width) = other {
        match of(width, residual).as_slice() {
            [query] => give(&[query], &[Query]),
            group @ [_, _, _] => give(group, &[Query, Key, Value]),
            _ => return guessed,
        }
        give(&of(residual, width), &[Output]);
        query_width = width;
    } else {
        let pairs = readers.iter().filter(|&&width| of(width, residual).len() == 2).count();
        match squares.as_slice() {
            group @ [_, _, _, _] => give(group, &[Query, Key, Value, Output]),
            group @ [_, _] if pairs > 0 => give(group, &[Query, Output]),
            [output] => give(&[output], &[Output]),
            _ => return guessed,
        }
    }
    for &width in readers.iter().filter(|&&width| Some(width) != other) {
        match of(width, residual).as_slice() {
            group @ [_, _] if width < query_width => give(group, &[Key, Value]),
            [fused] if width > query_width && (width - query_width).is_multiple_of(2) => {
                let split =
                    if width == query_width.saturating_mul(3) { Split::Equal } else { Split::Attention };
                let roles = vec![Query, Key, Value];
                let rule = Rule { roles, split, guessed: true, ..Rule::plain(Query) };
                fused_rules.push((fused.slot, rule));
            }
            _ => {}
        }
    }
    roles.extend(fused_rules);
    guessed
}

/// Names the norms among the vectors that are no biases; says whether order decided.
fn vectors(
    slots: &[Slot<'_>],
    order: &[usize],
    residual: u64,
    biases: &BTreeMap<usize, usize>,
    roles: &mut BTreeMap<usize, Rule>,
) -> bool {
    let vectors = |size: &dyn Fn(u64) -> bool| -> Vec<usize> {
        let fits = |at: &usize| matches!(slots[*at].shape, [len] if size(*len)) && !biases.contains_key(at);
        order.iter().copied().filter(fits).collect()
    };
    let mut guessed = false;
    let mut give = |group: &[usize], wanted: &[Role]| {
        let names: Vec<&str> = group.iter().map(|&at| slots[at].suffix).collect();
        let (given, tied) = assign(&names, wanted);
        guessed |= tied;
        roles.extend(group.iter().zip(given).map(|(&at, role)| (at, Rule::plain(role))));
    };
    use Role::{AttentionNorm, FeedForwardNorm, PostAttentionNorm, PostFeedForwardNorm};
    let wide = vectors(&|len| len == residual);
    let with_bias = |at: &usize| biases.values().any(|owner| owner == at);
    let (biased, bare): (Vec<usize>, Vec<usize>) = wide.iter().partition(|at| with_bias(at));
    match (wide.as_slice(), biased.as_slice(), bare.as_slice()) {
        ([only], ..) => give(&[*only], &[AttentionNorm]),
        (norms @ [_, _], ..) => give(norms, &[AttentionNorm, FeedForwardNorm]),
        // Two norms with biases, two gains of the residual branches without.
        (_, norms @ [_, _], scales @ [_, _]) => {
            give(norms, &[AttentionNorm, FeedForwardNorm]);
            give(scales, &[Role::LayerScale, Role::FeedForwardLayerScale]);
        }
        (norms @ [_, _, _, _], ..) => {
            give(norms, &[AttentionNorm, PostAttentionNorm, FeedForwardNorm, PostFeedForwardNorm]);
        }
        _ => {}
    }
    let narrow = vectors(&|len| len < residual && len > 1);
    if let [a, b] = narrow[..]
        && slots[a].shape == slots[b].shape
    {
        give(&[a, b], &[Role::QueryNorm, Role::KeyNorm]);
    }
    guessed
}
