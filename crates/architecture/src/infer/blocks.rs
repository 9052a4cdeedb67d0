//! Repetition in names and in storage order.
//!
//! Answers: *which tensors form layer 0, 1, 2 …?* Must not know: roles.

use std::collections::{BTreeMap, HashMap};
use stemmata_model::Tensor;

/// A transformer layer has at least a fused input, an output and two feed-forward matrices.
const SMALLEST_BLOCK: usize = 4;
/// Digit runs looked at in one name.
const RUN_LIMIT: usize = 6;
/// Longest period looked for in storage order; a dense layer has about ten tensors, with biases twenty.
const PERIOD_LIMIT: usize = 64;

/// One tensor of a block, under the part of its name that repeats.
#[derive(Clone, Debug)]
pub(crate) struct Slot<'a> {
    pub(crate) suffix: &'a str,
    pub(crate) shape: &'a [u64],
    pub(crate) tensor: usize,
    /// (file, offset): the order of storage.
    pub(crate) place: (u32, u64),
}

/// The layers of one tower: index and slots, slots in name order.
#[derive(Clone, Debug)]
pub(crate) struct Tower<'a> {
    /// What stands before the layer index; empty when found by storage order.
    pub(crate) prefix: &'a str,
    pub(crate) layers: Vec<(u32, Vec<Slot<'a>>)>,
    /// Whether only the storage order tells the layers.
    pub(crate) by_order: bool,
}

/// Runs of digits in a name, as byte ranges.
pub(crate) fn digit_runs(name: &str) -> Vec<(usize, usize)> {
    let bytes = name.as_bytes();
    let mut runs = Vec::new();
    let mut at = 0;
    while at < bytes.len() && runs.len() < RUN_LIMIT {
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let start = at;
        while at < bytes.len() && bytes[at].is_ascii_digit() {
            at += 1;
        }
        runs.push((start, at));
    }
    runs
}

/// Values of a counter in names: value to what follows it.
pub(crate) type Counter<'a> = BTreeMap<u32, Vec<Slot<'a>>>;

/// Every (text before a digit run) with what was counted there.
pub(crate) fn counters<'a>(slots: impl Iterator<Item = Slot<'a>>) -> HashMap<&'a str, Counter<'a>> {
    let mut counters: HashMap<&str, Counter<'_>> = HashMap::new();
    for slot in slots {
        for (start, end) in digit_runs(slot.suffix) {
            let Ok(value) = slot.suffix[start..end].parse::<u32>() else { continue };
            let inner = Slot { suffix: &slot.suffix[end..], ..slot.clone() };
            counters.entry(&slot.suffix[..start]).or_default().entry(value).or_default().push(inner);
        }
    }
    counters
}

/// (suffix, shape) of every slot.
pub(crate) type Signature<'a> = Vec<(&'a str, &'a [u64])>;

/// Shapes under their repeating names: two layers of the same make have equal signatures.
pub(crate) fn signature<'a>(slots: &[Slot<'a>]) -> Signature<'a> {
    let mut signature: Vec<_> = slots.iter().map(|slot| (slot.suffix, slot.shape)).collect();
    signature.sort_unstable();
    signature
}

/// A tensor as a slot under its whole name.
pub(crate) fn slot(tensors: &[Tensor], index: usize) -> Slot<'_> {
    let tensor = &tensors[index];
    let place = (tensor.storage.file, tensor.storage.offset);
    Slot { suffix: &tensor.name, shape: &tensor.shape, tensor: index, place }
}

/// Candidate towers by names, outermost counters first. A tensor may be in several; the first that makes sense has it.
pub(crate) fn by_names<'a>(tensors: &'a [Tensor], left: &[usize]) -> Vec<Tower<'a>> {
    let counted = counters(left.iter().map(|&index| slot(tensors, index)));
    let mut towers: Vec<Tower<'_>> = counted
        .into_iter()
        .filter(|(_, counter)| counter.len() > 1)
        .filter(|(_, counter)| counter.values().filter(|slots| slots.len() >= SMALLEST_BLOCK).count() > 1)
        .filter(|(_, counter)| repeats(counter))
        .map(|(prefix, counter)| {
            let one_based = counter.keys().next() == Some(&1);
            let layers =
                counter.into_iter().map(|(value, slots)| (value - u32::from(one_based), slots)).collect();
            Tower { prefix, layers, by_order: false }
        })
        .collect();
    towers.sort_by_key(|tower| (tower.prefix.len(), tower.prefix));
    towers
}

/// Whether one signature covers at least half of the counter's values, twice at least.
fn repeats(counter: &Counter<'_>) -> bool {
    let mut seen: HashMap<Signature<'_>, usize> = HashMap::new();
    for slots in counter.values() {
        *seen.entry(signature(slots)).or_default() += 1;
    }
    seen.values().max().is_some_and(|&most| most > 1 && most * 2 >= counter.len())
}

/// The tower that the storage order shows, for names that say nothing: the longest stretch in which every shape comes
/// back after a fixed number of tensors.
pub(crate) fn by_order<'a>(tensors: &'a [Tensor], left: &[usize]) -> Option<Tower<'a>> {
    let mut slots: Vec<Slot<'_>> = left.iter().map(|&index| slot(tensors, index)).collect();
    slots.sort_by_key(|slot| (slot.place, slot.tensor));
    let mut best: Option<(usize, usize, usize)> = None;
    for period in SMALLEST_BLOCK..=PERIOD_LIMIT.min(slots.len() / 2) {
        let (mut run, mut start) = (0, 0);
        for at in 0..slots.len() - period {
            if slots[at].shape != slots[at + period].shape {
                (run, start) = (0, at + 1);
                continue;
            }
            run += 1;
            let covered = run / period * period + period;
            // Strictly more: a multiple of the period covers no more than the period does.
            if run >= period && best.is_none_or(|(most, ..)| covered > most) {
                best = Some((covered, start, period));
            }
        }
    }
    let (covered, start, period) = best.filter(|(covered, ..)| covered * 2 >= slots.len())?;
    let layers = slots[start..start + covered]
        .chunks_exact(period)
        .enumerate()
        .map(|(layer, block)| {
            (layer as u32, block.iter().map(|slot| Slot { suffix: "", ..slot.clone() }).collect())
        })
        .collect();
    Some(Tower { prefix: "", layers, by_order: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_digits() {
        assert_eq!(digit_runs("h12.w3"), [(1, 3), (5, 6)]);
        assert_eq!(digit_runs("模7"), [(3, 4)]);
        assert_eq!(digit_runs("none"), []);
        assert_eq!(digit_runs(&"1.".repeat(50)).len(), RUN_LIMIT);
    }
}
