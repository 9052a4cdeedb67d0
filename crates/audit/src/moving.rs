//! Layers of a blame that no test at equal indices explains: their units may lie elsewhere in a reference.

use crate::input::Whole;
use crate::{AuditError, Event, ExpertOrigin, LayerOrigin, SearchMode, Settings, Subject, Watch};
use std::collections::{BTreeMap, BTreeSet};
use stemmata_alignment::{Basis, ExpertMatch, LayerMatch, Search, SearchPlan, SharedTokens, search_plan};
use stemmata_architecture::{ChannelAxis, Component, Part, Role};
use stemmata_evidence::{BrokenSymmetry, Evidence, Scope, TestKind, search_tests};
use stemmata_stats::longest_increasing;

/// Where the hidden units of a layer were found that lie elsewhere in a reference.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitOrigin {
    /// Component.
    pub component: Component,
    /// Layer of the candidate.
    pub layer: u32,
    /// Which reference, and its layer.
    pub from: (usize, u32),
    /// The test that decides; a name that ends with the basis in which units were found.
    pub test: TestKind,
    /// Hidden units of the candidate's and of the reference's layer; of one expert in mixtures.
    pub units: (u64, u64),
    /// Units that found each other.
    pub matched: u64,
    /// The reference's units that are left in the candidate, as first and last of every run, where all units of the narrower layer
    /// were found in the order that they have in the reference (nine in ten of them).
    pub kept: Option<Vec<(u32, u32)>>,
}

/// Residual channels that one model has of another, as shared tokens tell.
#[derive(Clone, Debug, PartialEq)]
pub struct ResidualOrigin {
    /// Component.
    pub component: Component,
    /// Which reference.
    pub reference: usize,
    /// Widths of the candidate's and of the reference's residual stream.
    pub widths: (u64, u64),
    /// Channels that have one counterpart. None do where the stream was rotated.
    pub matched: u64,
    /// As of units.
    pub kept: Option<Vec<(u32, u32)>>,
}

/// What was found elsewhere.
#[derive(Clone, Debug, Default)]
pub(crate) struct Moved {
    pub(crate) units: Vec<UnitOrigin>,
    pub(crate) residual: Vec<ResidualOrigin>,
    /// Experts of mixtures, of layers that got their origin here.
    pub(crate) experts: Vec<ExpertOrigin>,
}

/// The family of tests of a blame.
#[derive(Clone, Copy)]
pub(crate) struct Family {
    pub(crate) tests: usize,
    pub(crate) alpha: f64,
}

/// Tests that looking for units of a reference can add; none without weights on both sides.
pub(crate) fn tests(ours: &Subject, theirs: &Subject, settings: &Settings<'_>) -> usize {
    match (ours, theirs) {
        (Subject::Checkpoint(c), Subject::Checkpoint(r)) if settings.search != SearchMode::Never => {
            search_plan(&c.anatomy, &r.anatomy).tests
        }
        _ => 0,
    }
}

/// Looks for the units of layers without an origin, or with one of another width, and gives the former the origin that is found. `broken` are the symmetries
/// that the candidate and each reference lack.
pub(crate) fn look(
    ours: &Subject,
    theirs: &[Subject],
    broken: &[&[BrokenSymmetry]],
    layers: &mut [LayerOrigin],
    family: Family,
    settings: &Settings<'_>,
    watch: Watch<'_>,
) -> Result<Moved, AuditError> {
    let Subject::Checkpoint(c) = ours else { return Ok(Moved::default()) };
    // Of a layer that was found, but with more or fewer units, it is still asked which of them are left.
    let is_cut = |origin: &LayerOrigin| {
        let of = |whole: &Whole, layer| hidden(whole, origin.component, layer);
        match origin.from.and_then(|(reference, layer)| Some((&theirs[reference], layer?))) {
            Some((Subject::Checkpoint(r), layer)) => of(c, origin.layer.unwrap_or(layer)) != of(r, layer),
            _ => false,
        }
    };
    let open: BTreeSet<(Component, u32)> = layers
        .iter()
        .filter(|origin| origin.from.is_none() || is_cut(origin))
        .filter_map(|origin| Some((origin.component, origin.layer?)))
        .collect();
    let mut best: BTreeMap<(Component, u32), Found> = BTreeMap::new();
    let mut moved = Moved::default();
    for (reference, subject) in theirs.iter().enumerate() {
        let Subject::Checkpoint(r) = subject else { continue };
        if settings.search == SearchMode::Never || open.is_empty() {
            continue;
        }
        let mut beside = Beside::new(c, r, reference, broken[reference], family, settings);
        let found = beside.all(&open, watch)?;
        let components: BTreeSet<Component> = found.iter().map(|f| f.origin.component).collect();
        for component in components {
            moved.residual.extend(beside.residual(component)?);
        }
        for found in found {
            let place = (found.origin.component, found.origin.layer);
            if best.get(&place).is_none_or(|before| found.log10_p < before.log10_p) {
                best.insert(place, found);
            }
        }
    }
    for origin in layers {
        let Some(found) = origin.layer.and_then(|layer| best.get(&(origin.component, layer))) else {
            continue;
        };
        let (reference, layer) = found.origin.from;
        if origin.from.is_some() {
            continue;
        }
        origin.from = Some((reference, Some(layer)));
        origin.log10_p = (found.log10_p + (family.tests as f64).log10()).min(0.0);
        origin.effect = found.effect;
        origin.tested = true;
        moved.experts.extend(found.experts.iter().map(|expert| ExpertOrigin {
            component: origin.component,
            layer: found.origin.layer,
            expert: expert.candidate,
            from: expert.reference.map(|other| (reference, layer, Some(other))),
            log10_p: origin.log10_p,
            effect: Some(expert.share),
        }));
    }
    moved.units = best.into_values().map(|found| found.origin).collect();
    moved.residual.retain(|r| moved.units.iter().any(|unit| unit.from.0 == r.reference));
    Ok(moved)
}

/// Units of the first feed-forward block of a layer.
fn hidden(whole: &Whole, component: Component, layer: u32) -> Option<u64> {
    let of = |p: &&Part| (p.component, p.layer, p.role) == (component, Some(layer), Role::Up);
    whole.anatomy.parts.iter().find(of).map(|part| part.view.rows)
}

struct Found {
    origin: UnitOrigin,
    experts: Vec<ExpertMatch>,
    /// Of the test that decides, before correction.
    log10_p: f64,
    effect: Option<f64>,
}

/// The candidate beside one reference.
struct Beside<'a> {
    search: Search<'a>,
    plan: SearchPlan,
    reference: usize,
    widths: BTreeMap<Component, (u64, u64)>,
    broken: &'a [BrokenSymmetry],
    family: Family,
}

impl<'a> Beside<'a> {
    fn new(
        c: &'a Whole,
        r: &'a Whole,
        reference: usize,
        broken: &'a [BrokenSymmetry],
        family: Family,
        settings: &Settings<'a>,
    ) -> Beside<'a> {
        let (ours, theirs) = (c.model(), r.model());
        let search = Search::new(
            (ours.weights, ours.anatomy),
            (theirs.weights, theirs.anatomy),
            settings.threads,
            settings.stop,
        );
        let width = |whole: &Whole, component| whole.anatomy.component(component).map(|info| info.residual);
        let widths = Component::ALL
            .into_iter()
            .filter_map(|component| Some((component, (width(c, component)?, width(r, component)?))))
            .collect();
        Beside {
            search: search.sharing(SharedTokens::of(ours.tokens, theirs.tokens)).of_all_units(),
            plan: search_plan(&c.anatomy, &r.anatomy),
            reference,
            widths,
            broken,
            family,
        }
    }

    /// What is found of the layers in `open`: a few first, the rest if one of these is found.
    fn all(&mut self, open: &BTreeSet<(Component, u32)>, watch: Watch<'_>) -> Result<Vec<Found>, AuditError> {
        let layers: Vec<_> = self.plan.layers.iter().copied().filter(|place| open.contains(place)).collect();
        let few = SearchPlan { layers: layers.clone(), tests: 0 }.first();
        let rest: Vec<_> = layers.iter().copied().filter(|place| !few.contains(place)).collect();
        let mut found = Vec::new();
        for part in [few, rest] {
            for (index, &(component, layer)) in part.iter().enumerate() {
                found.extend(self.one(component, layer)?);
                watch(Event::Working {
                    doing: "searching",
                    elements: index as u64 + 1,
                    elements_total: part.len() as u64,
                    bytes: 0,
                    tensors: index + 1,
                    tensors_total: part.len(),
                });
            }
            if found.is_empty() {
                break;
            }
        }
        Ok(found)
    }

    fn one(&mut self, component: Component, layer: u32) -> Result<Option<Found>, AuditError> {
        if self.broken.contains(&BrokenSymmetry::Labels(component)) {
            return Ok(None);
        }
        let matches = self.search.examine(component, layer)?;
        let signs = !self.broken.contains(&BrokenSymmetry::Signs(component, ChannelAxis::Hidden));
        let tests = search_tests(&matches);
        let p = |e: &Evidence| e.p.map_or(0.0, |p| p.log10());
        let deciding = tests
            .iter()
            .filter(|e| matches!(e.scope, Scope::Layer(..)))
            .filter(|e| signs || !matches!(e.test, TestKind::MatchThenSign(_) | TestKind::SignFlipByTokens))
            .filter(|e| p(e) + (self.family.tests as f64).log10() <= self.family.alpha.log10())
            .min_by(|a, b| p(a).total_cmp(&p(b)));
        let Some(deciding) = deciding else { return Ok(None) };
        let basis = match deciding.test {
            TestKind::MatchThenSign(basis) | TestKind::UnitAgreement(basis) | TestKind::LabelOrder(basis) => {
                basis
            }
            TestKind::SignFlipByTokens => Basis::ByTokens,
            _ => return Ok(None),
        };
        let Some(of) = matches.iter().find(|m| m.hypothesis.basis() == basis) else { return Ok(None) };
        Ok(Some(Found {
            origin: UnitOrigin {
                component,
                layer,
                from: (self.reference, of.reference_layer),
                test: deciding.test,
                units: of.hidden,
                matched: of.matched.0,
                kept: of.in_order.and(kept(&of.partners, narrower(of))),
            },
            experts: of.experts.clone(),
            log10_p: p(deciding),
            effect: deciding.effect,
        }))
    }

    /// `None` where units were found but tokens show nothing of the residual stream.
    fn residual(&mut self, component: Component) -> Result<Option<ResidualOrigin>, AuditError> {
        let Some(&widths) = self.widths.get(&component) else { return Ok(None) };
        let pairs = self.search.residual_channels(component)?;
        Ok((!pairs.is_empty()).then(|| ResidualOrigin {
            component,
            reference: self.reference,
            widths,
            matched: pairs.len() as u64,
            kept: kept(&pairs, widths.0.min(widths.1)),
        }))
    }
}

fn narrower(of: &LayerMatch) -> u64 {
    of.hidden.0.min(of.hidden.1)
}

/// The second of `pairs` in runs, where nine in ten of `all` were found and nine in ten of these lie in order.
fn kept(pairs: &[(u32, u32)], all: u64) -> Option<Vec<(u32, u32)>> {
    let labels: Vec<u64> = pairs.iter().map(|(_, label)| u64::from(*label)).collect();
    let chain = longest_increasing(&labels);
    let nine_tenths = |part: u64, whole: u64| 10 * part >= 9 * whole;
    if !nine_tenths(pairs.len() as u64, all) || !nine_tenths(chain.len() as u64, pairs.len() as u64) {
        return None;
    }
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for label in chain.into_iter().map(|at| pairs[at].1) {
        match runs.last_mut() {
            Some(run) if run.1.checked_add(1) == Some(label) => run.1 = label,
            _ => runs.push((label, label)),
        }
    }
    Some(runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_told_in_runs_if_it_lies_in_order() {
        let labels = [0_u32, 1, 2, 5, 6, 9, 10, 11, 12, 14];
        let pairs: Vec<(u32, u32)> = (0..).zip(labels).collect();
        assert_eq!(kept(&pairs, 11), Some(vec![(0, 2), (5, 6), (9, 12), (14, 14)]));
        assert_eq!(kept(&pairs, 12), None, "two of twelve were not found");
        let turned: Vec<(u32, u32)> = (0..).zip(labels.into_iter().rev()).collect();
        assert_eq!(kept(&turned, 10), None);
    }
}
