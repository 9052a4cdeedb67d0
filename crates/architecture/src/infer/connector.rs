//! A connector under unknown names: a projector, or a resampler with one cross-attention.
//!
//! Answers: *which of the tensors that sound like a connector is which part of it?*

use super::blocks::Slot;
use super::hints::{assign, bias_stem, component_score, score, weight_stem};
use super::surroundings::{Home, Placed};
use crate::rule::{Orientation, Rule, Split};
use crate::{Component, Role, Term};

/// What sounds like a connector, by shape. Says whether storage order decided anything.
pub(crate) fn connector(slots: &[Slot<'_>], homes: &[Home]) -> (Vec<Placed>, bool) {
    if homes.iter().any(|home| home.component == Component::Connector) {
        return (Vec::new(), false);
    }
    let vision = homes.iter().find(|h| h.component == Component::VisionTower).map(|h| h.residual);
    let ours: Vec<&Slot<'_>> =
        slots.iter().filter(|slot| component_score(slot.suffix, Component::Connector) > 0).collect();
    let packed =
        ours.iter().find(|slot| matches!(*slot.shape, [rows, cols] if cols.checked_mul(3) == Some(rows)));
    let output = output_of(&ours, packed.copied());

    let mut placed: Vec<Placed> = Vec::new();
    let mut taken: Vec<Role> = Vec::new();
    let mut give = |slot: &Slot<'_>, rule: Rule| {
        if !taken.contains(&rule.roles[0]) {
            taken.push(rule.roles[0]);
            let component = Component::Connector;
            placed.push(Placed { tensor: slot.tensor, component, rule, term: Term::Weight });
        }
    };
    let width = packed.map(|slot| slot.shape[1]);
    for slot in &ours {
        let is = |other: Option<&Slot<'_>>| other.is_some_and(|other| other.tensor == slot.tensor);
        match *slot.shape {
            _ if is(packed.copied()) => give(
                slot,
                Rule {
                    roles: vec![Role::Query, Role::Key, Role::Value],
                    split: Split::Equal,
                    ..Rule::plain(Role::Query)
                },
            ),
            _ if is(output) => give(slot, Rule::plain(Role::Output)),
            [_, cols] if Some(cols) == vision && width != Some(cols) => {
                give(slot, Rule::plain(Role::InputProjection))
            }
            // A bare matrix, no module around it: used as x @ matrix, so it lies [in, out].
            [rows, cols] if rows == cols && weight_stem(slot.suffix) == slot.suffix => {
                let orientation = Orientation::Transposed;
                give(slot, Rule { orientation, ..Rule::plain(Role::OutputProjection) });
            }
            [rows, cols] if rows == cols => give(slot, Rule::plain(Role::OutputProjection)),
            [rows, cols] if rows < cols && (Some(cols) == width || slot.suffix.contains("query")) => {
                give(slot, Rule::plain(Role::LatentQuery));
            }
            _ => {}
        }
    }
    let (norms, guessed) = norms(&ours, width);
    placed.extend(norms);
    (placed, guessed)
}

/// The square matrix that stands nearest to the packed attention input, by the start of its name.
fn output_of<'s, 'a>(ours: &[&'s Slot<'a>], packed: Option<&Slot<'a>>) -> Option<&'s Slot<'a>> {
    let square = |slot: &&&Slot<'_>| matches!(*slot.shape, [rows, cols] if rows == cols);
    match packed {
        Some(packed) => ours
            .iter()
            .filter(square)
            .filter(|slot| slot.shape[0] == packed.shape[1])
            .max_by_key(|slot| (common_prefix(slot.suffix, packed.suffix), std::cmp::Reverse(slot.tensor)))
            .copied(),
        None => ours.iter().filter(square).find(|slot| score(slot.suffix, Role::Output) > 1).copied(),
    }
}

fn common_prefix(a: &str, b: &str) -> usize {
    a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count()
}

/// A resampler's three norms: of the latents, of the inputs, of the result.
fn norms(ours: &[&Slot<'_>], width: Option<u64>) -> (Vec<Placed>, bool) {
    let biases: Vec<&str> = ours.iter().filter_map(|slot| bias_stem(slot.suffix)).collect();
    let gains: Vec<&&Slot<'_>> = ours
        .iter()
        .filter(|slot| matches!(*slot.shape, [len] if Some(len) == width) && bias_stem(slot.suffix).is_none())
        .filter(|slot| biases.contains(&weight_stem(slot.suffix)))
        .collect();
    const ROLES: [Role; 3] = [Role::QueryInputNorm, Role::InputNorm, Role::FinalNorm];
    if gains.len() != ROLES.len() {
        return (Vec::new(), false);
    }
    // The words that all three share say nothing.
    let names: Vec<&str> = gains.iter().map(|slot| slot.suffix).collect();
    let shared = names.iter().map(|name| common_prefix(name, names[0])).min().unwrap_or(0);
    let tails: Vec<&str> = names.iter().map(|name| name.get(shared..).unwrap_or(name)).collect();
    let (roles, guessed) = assign(&tails, &ROLES);
    let place = |(slot, role): (&&&Slot<'_>, Role)| Placed {
        tensor: slot.tensor,
        component: Component::Connector,
        rule: Rule::plain(role),
        term: Term::Weight,
    };
    (gains.iter().zip(roles).map(place).collect(), guessed)
}
