//! Which units and models can stand on one scale? Each unit has a scale of its own, known up to a shift and a stretch; two scales
//! become one where they share at least two models.

use super::{Scores, Unplaced};
use std::collections::{BTreeMap, BTreeSet};

/// Units and models that are linked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Linked {
    pub(super) models: Vec<u32>,
    pub(super) units: Vec<u32>,
}

/// What is linked, and what is on no scale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Links {
    /// Most scores first. A model may be in several, if it is the only one that they share.
    pub(super) groups: Vec<Linked>,
    pub(super) models: Vec<(u32, Unplaced)>,
    pub(super) units: Vec<(u32, Unplaced)>,
}

/// Models that a unit must have to say something of any of them: two fix its scale.
const FEWEST: usize = 3;

/// Takes off what has no finite place, then joins units until none share two models.
pub(super) fn link(scores: &Scores) -> Links {
    let mut models: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    let mut units: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    let mut value: BTreeMap<(u32, u32), f64> = BTreeMap::new();
    for cell in &scores.cells {
        models.entry(cell.model).or_default().insert(cell.unit);
        units.entry(cell.unit).or_default().insert(cell.model);
        value.insert((cell.model, cell.unit), cell.score);
    }
    let (mut models_off, mut units_off) = (Vec::new(), Vec::new());
    loop {
        let bound = |mut scores: Box<dyn Iterator<Item = f64> + '_>| -> Option<Unplaced> {
            let first = scores.next()?;
            match (first, scores.all(|s| s == first)) {
                (1.0, true) => Some(Unplaced::AllFull),
                (0.0, true) => Some(Unplaced::AllZero),
                _ => None,
            }
        };
        let of_unit = |u: u32, list: &BTreeSet<u32>| {
            let few = (list.len() < FEWEST).then_some(Unplaced::FewModels);
            few.or_else(|| bound(Box::new(list.iter().map(|m| value[&(*m, u)]))))
        };
        if let Some((u, why)) = units.iter().find_map(|(u, list)| Some((*u, of_unit(*u, list)?))) {
            units_off.push((u, why));
            units.remove(&u);
            models.values_mut().for_each(|list| {
                list.remove(&u);
            });
            continue;
        }
        let of_model = |m: u32, list: &BTreeSet<u32>| match list.is_empty() {
            true => Some(Unplaced::NoUnits),
            false => bound(Box::new(list.iter().map(|u| value[&(m, *u)]))),
        };
        if let Some((m, why)) = models.iter().find_map(|(m, list)| Some((*m, of_model(*m, list)?))) {
            models_off.push((m, why));
            models.remove(&m);
            units.values_mut().for_each(|list| {
                list.remove(&m);
            });
            continue;
        }
        break;
    }
    models_off.sort_unstable_by_key(|(m, _)| *m);
    units_off.sort_unstable_by_key(|(u, _)| *u);
    let mut sets: Vec<(BTreeSet<u32>, BTreeSet<u32>)> =
        units.into_iter().map(|(u, members)| (BTreeSet::from([u]), members)).collect();
    // Joining makes sets that share more, so it is tried again from the start until nothing joins.
    let mut at = 0;
    while at < sets.len() {
        let partner =
            (at + 1..sets.len()).find(|&other| sets[at].1.intersection(&sets[other].1).nth(1).is_some());
        match partner {
            Some(other) => {
                let (units, members) = sets.swap_remove(other);
                sets[at].0.extend(units);
                sets[at].1.extend(members);
                at = 0;
            }
            None => at += 1,
        }
    }
    let size = |set: &(BTreeSet<u32>, BTreeSet<u32>)| {
        value.keys().filter(|(m, u)| set.0.contains(u) && set.1.contains(m)).count()
    };
    let mut sized: Vec<_> = sets.into_iter().map(|set| (size(&set), set)).collect();
    sized.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.0.cmp(&b.1.0)));
    let groups = sized.into_iter().map(|(_, (units, models))| Linked {
        models: models.into_iter().collect(),
        units: units.into_iter().collect(),
    });
    Links { groups: groups.collect(), models: models_off, units: units_off }
}
