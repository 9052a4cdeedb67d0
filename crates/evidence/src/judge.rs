//! From a measurement to a judgement.

use crate::change::{self, noise, total};
use crate::direction::{self, Reading, StorageFacts};
use crate::relation::covers_most;
use crate::structure;
use crate::tests_of_dependence as dependence;
use crate::{
    BrokenSymmetry, ComponentVerdict, DecisionRule, Direction, Evidence, Judgement, Kind, LayerEffect,
    NotTested, Power, Scope, TestKind, Tier, Verdict,
};
use crate::{search, symmetry, untrained};
use std::collections::{BTreeMap, BTreeSet};
use stemmata_alignment::{
    ChannelGroup, Fourths, Hypothesis, Measurement, PairMeasurement, Sample, Unmatched,
};
use stemmata_architecture::{Component, Role};
use stemmata_stats::{Interval, RatioSums, bonferroni};

/// Tensors with fewer elements, or with one magnitude throughout, are equal too easily to mean anything.
const IDENTITY_ELEMENTS: u64 = 256;

/// Nobody is acquitted of whose parameters, or of whose accuser's, less than this share was compared: a decoy beside a whole copy makes a half.
const SMALLEST_COVERAGE: f64 = 0.55;

/// Cutting wild values is for a few. With more than this share of them nobody is acquitted.
const MOST_WILD: f64 = 0.01;

/// Judges a pair. Pure: the same measurement and rule give the same judgement.
pub fn judge(measurement: &Measurement, storage: &StorageFacts, rule: &DecisionRule) -> Judgement {
    let broken = symmetry::broken(measurement);
    let measurement: &Measurement = &symmetry::without(measurement, &broken);
    let mut evidence = dependence::run(measurement, rule);
    let family = dependence::family(evidence.len(), measurement);
    evidence.extend(search::run(&measurement.searched));
    evidence.extend(untrained::run(&measurement.untrained));
    let structure = &measurement.structure;
    let threshold = rule.alpha.log10() - (family.max(1) as f64).log10();
    let rejected = |e: &Evidence| e.p.is_some_and(|p| p.log10() <= threshold);
    let mut layers = layers(&evidence, measurement, &rejected);
    structure::place_layers(&mut layers, structure, &evidence, &|component, layer| {
        let of_layer = |g: &&ChannelGroup| g.layer == Some(layer);
        effect(structure::effect_groups(measurement, component).filter(of_layer))
    });
    evidence.extend(structure::evidence(structure));
    let all: Vec<&PairMeasurement> = measurement.pairs.iter().collect();

    let tested =
        Tested { measurement, evidence: &evidence, layers: &layers, rejected: &rejected, family, threshold };
    let mut components = Vec::new();
    for component in Component::ALL {
        components.extend(judge_component(component, &tested, storage, rule));
    }
    let comparable = same_shape(&all);
    let change = change::change(&total(comparable.iter().copied()));
    // Equality without a test decides nothing: a component may hold no more than a table that everybody computes alike.
    let dependent = components.iter().any(|c| c.kind.is_dependence() && tested.found(c.component));
    // Where all units lie elsewhere, differences at equal indices are no amount of change.
    let in_place = Component::ALL.into_iter().any(|component| tested.found_in_place(component));
    let change = change.filter(|_| in_place || !dependent);
    let all_equal = !all.is_empty()
        && all.iter().all(|p| p.identical)
        && measurement.candidate_only.is_empty()
        && measurement.reference_only.is_empty()
        && !Component::ALL.into_iter().any(|component| structure::moves(structure, component));
    let identical = all_equal && saw_all(measurement) && all.iter().any(|p| telling(p));

    let inherited: Vec<&PairMeasurement> = comparable
        .iter()
        .copied()
        .filter(|p| components.iter().any(|c| c.component == p.key.component && c.kind.is_dependence()))
        // Where units are found elsewhere only, differences at equal indices say nothing.
        .filter(|p| tested.found_in_place(p.key.component) || p.identical)
        .collect();
    let dependent_components: Vec<Component> =
        components.iter().filter(|c| c.kind.is_dependence()).map(|c| c.component).collect();
    let reading = match (dependent, change::change(&total(inherited.iter().copied()))) {
        // A relation is that of the models, not of the few tensors that could be read, or that lie where they lay.
        (true, Some(change))
            if covers_most(&inherited, measurement, &dependent_components)
                && 2 * elements(&inherited) >= elements(&comparable) =>
        {
            let noise = noise(&inherited, storage.significand_bits);
            direction::read(&inherited, &change, noise.as_ref(), storage)
        }
        _ => Reading::default(),
    };
    let reading =
        if dependent { structure::read(structure, None, threshold, &inherited, reading) } else { reading };
    let reading = match &measurement.sample {
        // A change may lie where nobody looked.
        Some(sample) if reading.relation == Some("copy") && !sample.is_all() => {
            Reading { cue: Some("every value that was read is equal".to_owned()), relation: None, ..reading }
        }
        _ => reading,
    };
    let moved = search::describe(&measurement.searched, &evidence, storage.significand_bits, &rejected);
    let found_in_place = |component| tested.found_in_place(component);
    let moved = untrained::describe(measurement, &evidence, &found_in_place, &rejected, moved);
    // What was read at equal indices speaks first.
    let moved = moved.filter(|_| reading.relation.is_none());
    let direction = moved.as_ref().map_or(reading.direction, |m| m.direction);
    let rejecting = |e: &&Evidence| rejected(e);
    let tier = match evidence.iter().filter(rejecting).any(|e| !matches!(e.test, TestKind::UnitAgreement(_)))
    {
        false if dependent && !identical => Tier::Effect,
        _ => Tier::Exact,
    };
    let log10_ps: Vec<f64> = evidence.iter().filter_map(|e| e.p.map(|p| p.log10())).collect();
    let power = power(&evidence, &components, rule);
    let weak = power.is_none_or(|p| p.smallest_share > rule.largest_missed_share);
    let coverage = Coverage::of(measurement, storage);
    let kind = match () {
        () if identical => Kind::Identical,
        () if dependent && direction != Direction::Unknown => Kind::Derived,
        () if dependent => Kind::Related,
        () if family == 0 || weak || all_equal || mostly_equal(&all) || coverage.is_thin() => {
            Kind::Inconclusive
        }
        () if wild_share(&all) > MOST_WILD => Kind::Inconclusive,
        () => Kind::NoDependenceFound,
    };
    let verdict = Verdict {
        kind,
        tier,
        relation: reading.relation.or(moved.as_ref().map(|m| m.relation)),
        direction,
        cue: reading.cue.or(moved.map(|m| m.cue)),
        log10_p: bonferroni(&log10_ps, family),
        tests: family,
        alpha: rule.alpha,
        power: if kind.is_dependence() { None } else { power },
        missing: missing(kind, measurement, &broken, &coverage, power, rule),
    };
    evidence.extend(identity(measurement));
    evidence.extend(reading.evidence);
    let not_tested = not_tested(measurement, &broken);
    Judgement { verdict, components, evidence, layers, change, broken, not_tested }
}

/// Whether nothing was left unread for a budget. Pairs that cannot be read by rows are not even among the pairs then.
fn saw_all(measurement: &Measurement) -> bool {
    measurement.sample.as_ref().is_none_or(Sample::is_all)
}

fn same_shape<'a>(pairs: &[&'a PairMeasurement]) -> Vec<&'a PairMeasurement> {
    pairs.iter().copied().filter(|p| p.candidate_shape == p.reference_shape).collect()
}

/// What the family of tests said.
struct Tested<'a> {
    measurement: &'a Measurement,
    evidence: &'a [Evidence],
    layers: &'a [LayerEffect],
    rejected: &'a dyn Fn(&Evidence) -> bool,
    family: usize,
    threshold: f64,
}

impl Tested<'_> {
    /// Whether any test rejects in a component.
    fn found(&self, component: Component) -> bool {
        self.evidence.iter().any(|e| {
            matches!(e.scope, Scope::Component(c) | Scope::Layer(c, _) if c == component)
                && (self.rejected)(e)
        })
    }

    /// Whether a test at equal indices rejects in a component.
    fn found_in_place(&self, component: Component) -> bool {
        self.evidence.iter().any(|e| {
            let here = matches!(e.scope, Scope::Component(c) | Scope::Layer(c, _) if c == component);
            here && !e.test.is_search() && (self.rejected)(e)
        })
    }
}

fn judge_component(
    component: Component,
    tested: &Tested<'_>,
    storage: &StorageFacts,
    rule: &DecisionRule,
) -> Option<ComponentVerdict> {
    let &Tested { measurement, evidence, layers, rejected, family, threshold } = tested;
    let structure = &measurement.structure;
    let pairs: Vec<&PairMeasurement> =
        measurement.pairs.iter().filter(|p| p.key.component == component).collect();
    let alone = |list: &[stemmata_alignment::Unmatched]| list.iter().any(|u| u.key.component == component);
    let unmatched = alone(&measurement.candidate_only) || alone(&measurement.reference_only);
    if pairs.is_empty() && !unmatched {
        return None;
    }
    let of_component = |e: &&Evidence| match e.scope {
        Scope::Component(c) | Scope::Layer(c, _) => c == component,
        Scope::Model => false,
    };
    let tests: Vec<&Evidence> = evidence.iter().filter(of_component).collect();
    let log10_ps: Vec<f64> = tests.iter().filter_map(|e| e.p.map(|p| p.log10())).collect();
    let found = tests.iter().any(|e| rejected(e));
    let in_place = tested.found_in_place(component);
    let comparable = same_shape(&pairs);
    let sums = total(comparable.iter().copied());
    let change = change::change(&sums).filter(|_| in_place || !found);
    let noise = if found && in_place { noise(&comparable, storage.significand_bits) } else { None };
    let whole = |e: &&&Evidence| e.scope == Scope::Component(component);
    let detectable = tests.iter().filter(whole).filter_map(|e| e.detectable).reduce(f64::min);
    let kind = match () {
        () if !unmatched
            && !structure::moves(structure, component)
            && saw_all(measurement)
            && pairs.iter().all(|p| p.identical)
            && (found || pairs.iter().any(|p| telling(p))) =>
        {
            Kind::Identical
        }
        () if found => {
            let along = change.as_ref().map(|c| direction::read(&comparable, c, noise.as_ref(), storage));
            let along = along.unwrap_or_default();
            match structure::read(structure, Some(component), threshold, &comparable, along).direction {
                Direction::Unknown => Kind::Related,
                _ => Kind::Derived,
            }
        }
        () if detectable.is_none_or(|share| share > rule.largest_missed_share) || mostly_equal(&pairs) => {
            Kind::Inconclusive
        }
        () => Kind::NoDependenceFound,
    };
    Some(ComponentVerdict {
        component,
        kind,
        share_inherited: share_inherited(&pairs, layers),
        log10_p: bonferroni(&log10_ps, family),
        effect: effect(structure::effect_groups(measurement, component)),
        noise: noise.filter(|_| change.is_some_and(|c| c.changed > 0.0)),
        change,
        detectable,
    })
}

/// Share of the compared values that are out of all proportion to those around them.
fn wild_share(pairs: &[&PairMeasurement]) -> f64 {
    let sums = total(pairs.iter().copied());
    if sums.n > 0 { sums.clipped as f64 / sums.n as f64 } else { 0.0 }
}

/// How much of each model was compared.
struct Coverage {
    /// Share of the candidate's parameters in tensors with a counterpart.
    candidate: f64,
    /// The same of the reference.
    reference: f64,
}

impl Coverage {
    /// Units that were looked for wherever they are count as compared.
    fn of(measurement: &Measurement, storage: &StorageFacts) -> Coverage {
        let searched: BTreeSet<Component> = measurement.searched.iter().map(|m| m.component).collect();
        let unit = |u: &Unmatched| {
            matches!(u.key.role, Role::Gate | Role::Up | Role::Down) && searched.contains(&u.key.component)
        };
        let share = |shape: fn(&PairMeasurement) -> (u64, u64), only: &[Unmatched], total: u64| {
            let paired: u64 = measurement.pairs.iter().map(|p| shape(p).0.saturating_mul(shape(p).1)).sum();
            let found = paired + only.iter().filter(|u| unit(u)).map(|u| u.elements).sum::<u64>();
            let total = total.max(paired + only.iter().map(|u| u.elements).sum::<u64>());
            if total > 0 { found as f64 / total as f64 } else { 0.0 }
        };
        Coverage {
            candidate: share(
                |p| p.candidate_shape,
                &measurement.candidate_only,
                storage.candidate_parameters,
            ),
            reference: share(
                |p| p.reference_shape,
                &measurement.reference_only,
                storage.reference_parameters,
            ),
        }
    }

    fn is_thin(&self) -> bool {
        self.candidate.min(self.reference) < SMALLEST_COVERAGE
    }
}

/// Whether most values are equal although no test found dependence. Independent weights hardly ever coincide (some do where
/// they take few values, or are zero), so nobody is acquitted on such a pair: something hides the dependence from the tests.
fn mostly_equal(pairs: &[&PairMeasurement]) -> bool {
    let (mut equal, mut elements) = (0, 0);
    for pair in pairs.iter().filter(|p| telling(p)) {
        let corner = |a: (u64, u64), b: (u64, u64)| a.0.min(b.0) * a.1.min(b.1);
        let n = pair.moments.map_or_else(|| corner(pair.candidate_shape, pair.reference_shape), |m| m.n);
        elements += n;
        equal += match &pair.moments {
            Some(m) => m.n - m.changed.min(m.n),
            None if pair.identical => n,
            None => 0,
        };
    }
    2 * equal > elements
}

/// Share of the tested parameters of `pairs` that are equal or lie in a dependent layer.
fn share_inherited(pairs: &[&PairMeasurement], layers: &[LayerEffect]) -> f64 {
    let by_place: BTreeMap<_, _> = layers.iter().map(|l| ((l.component, l.candidate_layer), l)).collect();
    let layer_of = |p: &PairMeasurement| by_place.get(&(p.key.component, p.key.layer));
    let (mut inherited, mut tested) = (0.0, 0.0);
    for pair in pairs {
        let elements = (pair.candidate_shape.0 * pair.candidate_shape.1) as f64;
        let layer = layer_of(pair);
        if pair.identical || layer.is_some_and(|l| l.dependent) {
            inherited += elements;
        }
        if pair.identical || layer.is_some() {
            tested += elements;
        }
    }
    if tested > 0.0 { inherited / tested } else { 0.0 }
}

/// Cosine of the channels with its interval. Hidden and value channels count once each; residual channels cover the same
/// tensors again, so they serve only where there is nothing else.
fn effect<'a>(groups: impl Iterator<Item = &'a ChannelGroup> + Clone) -> Option<(f64, Interval)> {
    use stemmata_architecture::ChannelAxis::{Hidden, Residual, Value};
    for axes in [&[Hidden, Value][..], &[Residual][..]] {
        let mut of_axes = groups.clone().filter(|g| axes.contains(&g.axis)).peekable();
        if of_axes.peek().is_some() {
            return dependence::cosine(&of_axes.fold(RatioSums::default(), |sum, g| sum.joined(&g.cosine)));
        }
    }
    None
}

fn layers(
    evidence: &[Evidence],
    measurement: &Measurement,
    rejected: &dyn Fn(&Evidence) -> bool,
) -> Vec<LayerEffect> {
    let mut places: BTreeMap<(Component, Option<u32>), Vec<&Evidence>> = BTreeMap::new();
    for e in evidence {
        if let Scope::Layer(component, layer) = e.scope {
            places.entry((component, layer)).or_default().push(e);
        }
    }
    let mut groups: BTreeMap<(Component, Option<u32>), Vec<&ChannelGroup>> = BTreeMap::new();
    for group in &measurement.groups {
        groups.entry((group.component, group.layer)).or_default().push(group);
    }
    places
        .into_iter()
        .map(|((component, layer), of_layer)| {
            let log10_ps: Vec<f64> = of_layer.iter().filter_map(|e| e.p.map(|p| p.log10())).collect();
            let in_place = effect(groups.get(&(component, layer)).into_iter().flatten().copied());
            let elsewhere = search::effect(&of_layer, rejected);
            let effect = elsewhere.filter(|e| in_place.is_none_or(|own| own.0 < e.0)).or(in_place);
            // What a search held it against, where that is what shows something.
            let partner = measurement
                .searched
                .iter()
                .find(|m| elsewhere.is_some() && (m.component, Some(m.layer)) == (component, layer))
                .map(|m| m.reference_layer);
            LayerEffect {
                component,
                candidate_layer: layer,
                reference_layer: partner.or(layer),
                effect: effect.map(|(ratio, _)| ratio),
                interval: effect.map(|(_, interval)| interval),
                log10_p: bonferroni(&log10_ps, log10_ps.len()),
                dependent: of_layer.into_iter().any(rejected),
            }
        })
        .collect()
}

fn power(evidence: &[Evidence], components: &[ComponentVerdict], rule: &DecisionRule) -> Option<Power> {
    // Of the component with the most compared weights: the best-powered one may be a small one.
    let size = |c: &&ComponentVerdict| c.change.map_or(0, |change| change.elements);
    let smallest_share = components.iter().filter(|c| c.detectable.is_some()).max_by_key(size)?.detectable?;
    let mut one_layer: Vec<f64> = evidence
        .iter()
        .filter(|e| matches!(e.scope, Scope::Layer(_, Some(_))) && matches!(e.test, TestKind::SignFlip(_)))
        .filter_map(|e| e.detectable)
        .collect();
    one_layer.sort_by(f64::total_cmp);
    Some(Power {
        probability: rule.power,
        smallest_share,
        smallest_share_one_layer: one_layer.get(one_layer.len() / 2).copied(),
    })
}

fn missing(
    kind: Kind,
    measurement: &Measurement,
    broken: &[BrokenSymmetry],
    coverage: &Coverage,
    power: Option<Power>,
    rule: &DecisionRule,
) -> Vec<String> {
    if kind != Kind::Inconclusive {
        return Vec::new();
    }
    let all: Vec<&PairMeasurement> = measurement.pairs.iter().collect();
    if measurement.sample.as_ref().is_some_and(|sample| sample.values == 0) {
        return vec!["the budget does not pay for a single block of rows beside the headers".to_owned()];
    }
    if mostly_equal(&all) {
        return vec![
            "most values are equal, bit by bit, and no test that has its null explains it".to_owned(),
        ];
    }
    if !all.is_empty() && all.iter().all(|p| p.identical) {
        return vec!["all values are equal, but there are too few of them, or they are all alike".to_owned()];
    }
    let reason = if wild_share(&all) > MOST_WILD {
        format!(
            "{:.1} % of the values are out of all proportion to those around them",
            100.0 * wild_share(&all)
        )
    } else if !measurement.pairs.is_empty() && coverage.is_thin() {
        format!(
            "{:.0} % of the candidate's and {:.0} % of the reference's parameters have a counterpart that could be compared; the \
             rest may hold anything",
            100.0 * coverage.candidate,
            100.0 * coverage.reference
        )
    } else if measurement.pairs.is_empty() {
        "no tensor of the candidate has a counterpart in the reference".to_owned()
    } else if measurement.groups.is_empty() && measurement.fixed_points.is_empty() && !broken.is_empty() {
        "both models depend on fixed patterns by themselves, so no test of the pair has its null".to_owned()
    } else if measurement.groups.is_empty() && measurement.fixed_points.is_empty() {
        "the tensors that correspond take part in no symmetry that gives an exact test".to_owned()
    } else {
        match power {
            Some(power) => format!(
                "the tests would only have found a share of {:.0} % or more; the rule asks for {:.0} %",
                100.0 * power.smallest_share,
                100.0 * rule.largest_missed_share
            ),
            None => format!("no test could reach power {:.2} at this size", rule.power),
        }
    };
    vec![reason]
}

fn elements(pairs: &[&PairMeasurement]) -> u64 {
    pairs.iter().map(|p| p.candidate_shape.0 * p.candidate_shape.1).sum()
}

/// Whether the equality of a pair would mean anything.
fn telling(pair: &PairMeasurement) -> bool {
    match &pair.moments {
        // One magnitude throughout (freshly initialised gains) has Σr⁴·n = (Σr²)².
        Some(m) => {
            let Fourths { n, reference_squares, reference, .. } = m.fourths;
            m.n >= IDENTITY_ELEMENTS && reference * n as f64 > 1.05 * reference_squares.powi(2)
        }
        None => pair.candidate_shape.0 > 1,
    }
}

/// Equal tensors, as context.
fn identity(measurement: &Measurement) -> Vec<Evidence> {
    let mut out = Vec::new();
    for component in Component::ALL {
        let pairs: Vec<_> = measurement
            .pairs
            .iter()
            .filter(|p| p.key.component == component)
            .filter(|p| telling(p))
            .collect();
        if pairs.is_empty() {
            continue;
        }
        let equal = pairs.iter().filter(|p| p.identical).count();
        out.push(Evidence {
            test: TestKind::ExactIdentity,
            scope: Scope::Component(component),
            p: None,
            statistic: equal as f64,
            n: pairs.len() as u64,
            effect: Some(equal as f64 / pairs.len() as f64),
            interval: None,
            detectable: None,
        });
    }
    out
}

fn not_tested(measurement: &Measurement, broken: &[BrokenSymmetry]) -> Vec<NotTested> {
    let at_equal_indices = "only equal indices were tested";
    let mut list =
        vec![("tensors that play each other's part", "tensors were compared by their names' roles")];
    if measurement.searched.is_empty() {
        list.push(("relabelled units, heads or residual channels", at_equal_indices));
        list.push(("rotated residual stream, folded gains, rescaled pairs", at_equal_indices));
    } else {
        list.push((
            "relabelled heads, rescaled queries, keys and values",
            "feed-forward units were looked for, heads were not",
        ));
        if measurement.searched.iter().all(|m| m.hypothesis == Hypothesis::AsStored) {
            list.push((
                "rotated residual stream",
                "the models have neither tokens in common nor gates that would tell the rotation",
            ));
        }
    }
    list.extend([
        if measurement.structure.maps.is_empty() {
            (
                "dropped, repeated or reordered layers; pruned width",
                "layers were compared with the layer of the same number",
            )
        } else {
            ("pruned width", "only channels of equal numbers were compared")
        },
        ("distillation and other inheritance of behaviour", "weights cannot show it"),
    ]);
    let mut list = list
        .into_iter()
        .map(|(what, reason)| NotTested { what: what.to_owned(), reason: reason.to_owned() })
        .collect::<Vec<_>>();
    list.extend(
        broken.iter().map(|symmetry| NotTested {
            what: symmetry.to_string(),
            reason: "neither model has the symmetry it rests on: each depends on a fixed pattern by itself"
                .to_owned(),
        }),
    );
    let unequal = measurement.pairs.iter().filter(|p| p.candidate_shape != p.reference_shape).count();
    if unequal > 0 {
        list.push(NotTested {
            what: format!("{unequal} tensor pairs outside the corner that both shapes share"),
            reason: "their shapes differ".to_owned(),
        });
    }
    for (side, only) in
        [("candidate", &measurement.candidate_only), ("reference", &measurement.reference_only)]
    {
        if !only.is_empty() {
            let elements: u64 = only.iter().map(|u| u.elements).sum();
            list.push(NotTested {
                what: format!("{} tensors of the {side} ({elements} parameters)", only.len()),
                reason: "the other model has no counterpart".to_owned(),
            });
        }
    }
    if measurement.sketched {
        list.push(NotTested {
            what: "amount and kind of change".to_owned(),
            reason: "a sketch holds channels and digests, not weights".to_owned(),
        });
    }
    list
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
