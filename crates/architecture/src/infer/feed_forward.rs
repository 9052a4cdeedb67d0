//! Feed-forward blocks by their shapes.
//!
//! Answers: *which matrices are gate, up and down?*

use super::blocks::Slot;
use super::hints::{assign, score};
use super::solve::Matrix;
use crate::Role;
use crate::rule::{Orientation, Rule, Split};
use std::collections::BTreeMap;

/// A feed-forward block that was found.
#[derive(Clone, Debug)]
pub(crate) struct Kit {
    /// Slot to rule.
    pub(crate) rules: BTreeMap<usize, Rule>,
    pub(crate) gated: bool,
    /// Whether storage order told gate from up.
    pub(crate) guessed: bool,
    /// Whether experts are stacked in it.
    pub(crate) stacked: bool,
}

/// The feed-forward block among \[out, in\] matrices in storage order.
pub(crate) fn dense(matrices: &[Matrix<'_>], residual: u64) -> Option<Kit> {
    let mut widths: Vec<u64> =
        matrices.iter().filter(|m| m.rows == residual && m.cols != residual).map(|m| m.cols).collect();
    widths.sort_unstable_by(|a, b| b.cmp(a));
    widths.dedup();
    let readers =
        |width: u64| matrices.iter().filter(|m| m.rows == width && m.cols == residual).collect::<Vec<_>>();
    let writers =
        |width: u64| matrices.iter().filter(|m| m.rows == residual && m.cols == width).collect::<Vec<_>>();
    // Widest first: where the attention width differs from the residual width, it makes a pair like a plain block.
    let gated =
        widths.iter().find_map(|&width| match (readers(width).as_slice(), writers(width).as_slice()) {
            ([a, b], [down]) => Some(gate_and_up(&[a, b], down)),
            _ => None,
        });
    let fused = || {
        widths.iter().find_map(|&width| {
            let double = readers(width.checked_mul(2)?);
            match (readers(width).as_slice(), double.as_slice(), writers(width).as_slice()) {
                ([], [both], [down]) => {
                    let roles = vec![Role::Gate, Role::Up];
                    // That the gate is the first half is a habit, not a fact.
                    let both_rule =
                        Rule { roles, split: Split::Equal, guessed: true, ..Rule::plain(Role::Gate) };
                    let rules = [(both.slot, both_rule), (down.slot, Rule::plain(Role::Down))];
                    Some(Kit { rules: rules.into(), gated: true, guessed: false, stacked: false })
                }
                _ => None,
            }
        })
    };
    let plain = || {
        let pairs =
            widths.iter().filter_map(|&width| match (readers(width).as_slice(), writers(width).as_slice()) {
                ([up], [down]) => Some((**up, **down)),
                _ => None,
            });
        // A pair that sounds like q and o is attention; among the others the widest wins.
        let sounds = |(up, down): &(Matrix<'_>, Matrix<'_>)| {
            let block = score(up.suffix, Role::Up) + score(down.suffix, Role::Down);
            block >= score(up.suffix, Role::Query) + score(down.suffix, Role::Output)
        };
        let (up, down) = pairs.into_iter().find(sounds)?;
        let rules = [(up.slot, Rule::plain(Role::Up)), (down.slot, Rule::plain(Role::Down))];
        Some(Kit { rules: rules.into(), gated: false, guessed: false, stacked: false })
    };
    gated.or_else(fused).or_else(plain)
}

fn gate_and_up(pair: &[&Matrix<'_>; 2], down: &Matrix<'_>) -> Kit {
    let (roles, guessed) = assign(&[pair[0].suffix, pair[1].suffix], &[Role::Gate, Role::Up]);
    let mut rules: BTreeMap<usize, Rule> = pair
        .iter()
        .zip(roles)
        .map(|(matrix, role)| (matrix.slot, Rule { guessed, ..Rule::plain(role) }))
        .collect();
    rules.insert(down.slot, Rule::plain(Role::Down));
    Kit { rules, gated: true, guessed, stacked: false }
}

/// The block whose matrices are stacked over experts, \[E, out, in\] or \[E, in, out\].
pub(crate) fn stacked(slots: &[Slot<'_>], order: &[usize], residual: u64) -> Option<Kit> {
    let cubes = |turned: bool| -> Vec<Matrix<'_>> {
        order
            .iter()
            .filter_map(|&at| match *slots[at].shape {
                [_, a, b] => {
                    let (rows, cols) = if turned { (b, a) } else { (a, b) };
                    Some(Matrix { slot: at, suffix: slots[at].suffix, rows, cols })
                }
                _ => None,
            })
            .collect()
    };
    let (turned, kit) =
        [false, true].into_iter().find_map(|turned| Some((turned, dense(&cubes(turned), residual)?)))?;
    let orientation = if turned { Orientation::Transposed } else { Orientation::Stored };
    let rules = kit.rules.into_iter().map(|(slot, rule)| (slot, Rule { orientation, unstack: true, ..rule }));
    Some(Kit { rules: rules.collect(), stacked: true, ..kit })
}
