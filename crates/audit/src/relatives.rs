//! Other models beside a pair: is one of the two a merge, and which of them came first?

use crate::input::Whole;
use crate::{AuditError, InputFacts, Settings, Subject, Watch, compare, merging, studying};
use stemmata_alignment::mixture::{MixturePass, common_plan, grams};
use stemmata_evidence::merge::{Estimate, MergeOutcome};
use stemmata_evidence::{Direction, Judgement, Kind, Order, Verdict, admit_merge, admit_order, order};
use stemmata_model::Weights;

/// The relation of models that share only their random start.
const COMMON_START: &str = "shared-initialisation";

/// A smaller weight is that of no parent: where f32 leaves no rounding to speak of, a sum of two takes in a third for nothing.
const NEGLIGIBLE: f64 = 1e-3;

/// Another model, beside candidate and reference.
#[derive(Clone, Debug, PartialEq)]
pub struct Relative {
    /// What it is.
    pub facts: InputFacts,
    /// What it is to the pair.
    pub role: RelativeRole,
    /// What is said of it as a candidate beside the candidate and beside the reference.
    pub seen: [Seen; 2],
}

/// What is said of a relative and one side of the pair; the relative is the candidate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    /// Verdict.
    pub kind: Kind,
    /// Kind of change.
    pub relation: Option<&'static str>,
    /// Which came first.
    pub direction: Direction,
}

impl Seen {
    fn of(verdict: &Verdict) -> Seen {
        Seen { kind: verdict.kind, relation: verdict.relation, direction: verdict.direction }
    }
}

/// What a relative is to a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelativeRole {
    /// Shares the random start with both and no training: an outgroup.
    CommonStart,
    /// A parent of that one of the two that is a merge.
    MergeParent,
    /// Holds the values of one of the two.
    Copy,
    /// Depends on one of the two at most, or came from one of them: it cannot be what both came from.
    Aside,
    /// Both may have come from it, so that no order is stated.
    Between,
    /// Its place was not asked for: the pair does not depend, or shows its order without it.
    Unused,
}

impl RelativeRole {
    /// Name as reported in JSON.
    pub fn name(self) -> &'static str {
        match self {
            RelativeRole::CommonStart => "common-start",
            RelativeRole::MergeParent => "merge-parent",
            RelativeRole::Copy => "copy",
            RelativeRole::Aside => "aside",
            RelativeRole::Between => "between",
            RelativeRole::Unused => "unused",
        }
    }
}

/// Opens the relatives. Their weights are needed.
pub(crate) fn open(settings: &Settings<'_>, watch: Watch<'_>) -> Result<Vec<Subject>, AuditError> {
    let one = |text: &String| {
        let subject = Subject::open(text, settings, watch)?;
        subject.needs_weights("compare --relatives")?;
        Ok(subject)
    };
    settings.relatives.iter().map(one).collect()
}

/// Looks at a dependent pair beside its relatives: a merge first, then the order where the pair alone leaves it open.
pub(crate) fn look(
    judgement: &mut Judgement,
    pair: [&Subject; 2],
    relatives: &[Subject],
    settings: &Settings<'_>,
    watch: Watch<'_>,
) -> Result<Vec<Relative>, AuditError> {
    if relatives.is_empty() {
        return Ok(Vec::new());
    }
    let others: Vec<&Whole> = relatives.iter().filter_map(Subject::checkpoint).collect();
    let (Some(c), Some(r)) = (pair[0].checkpoint(), pair[1].checkpoint()) else { return Ok(Vec::new()) };
    let mut told = Vec::new();
    for other in &others {
        told.push(Relative {
            facts: other.facts.clone(),
            role: RelativeRole::Unused,
            seen: [relation(other, c, settings, watch)?, relation(other, r, settings, watch)?],
        });
    }
    if !matches!(judgement.verdict.kind, Kind::Related | Kind::Derived) {
        return Ok(told);
    }
    if judgement.verdict.direction == Direction::Unknown {
        as_merge(judgement, pair, relatives, &mut told, settings)?;
    }
    if judgement.verdict.direction == Direction::Unknown {
        by_outgroup(judgement, [c, r], &others, &mut told, settings)?;
    }
    Ok(told)
}

/// What a comparison of the two alone would say.
fn relation(
    candidate: &Whole,
    reference: &Whole,
    settings: &Settings<'_>,
    watch: Watch<'_>,
) -> Result<Seen, AuditError> {
    let storage = compare::storage_facts(candidate, reference);
    let models = [candidate.model(), reference.model()];
    let (measurement, mut judgement) = compare::decide(models, &storage, None, settings, watch)?;
    studying::refine(&mut judgement, &measurement, candidate, reference, None, settings)?;
    Ok(Seen::of(&judgement.verdict))
}

/// Is either of the two a merge of the other and relatives?
fn as_merge(
    judgement: &mut Judgement,
    pair: [&Subject; 2],
    relatives: &[Subject],
    told: &mut [Relative],
    settings: &Settings<'_>,
) -> Result<(), AuditError> {
    for side in 0..2 {
        let references: Vec<&Subject> = std::iter::once(pair[1 - side]).chain(relatives).collect();
        let Some(found) = merging::look(pair[side], &references, settings)? else { continue };
        let MergeOutcome::Merge(merge) = &found.weighed.outcome else { continue };
        let weighed = merge.parents.iter().zip(&merge.weights);
        let parents: Vec<(usize, Estimate)> = weighed
            .map(|(model, weight)| (found.reference(*model), *weight))
            .filter(|(_, weight)| weight.value.abs() >= NEGLIGIBLE)
            .collect();
        let Some((_, weight)) = parents.iter().find(|(parent, _)| *parent == 0) else { continue };
        admit_merge(judgement, side, merge.method, parents.len(), *weight);
        for (parent, _) in parents.iter().filter(|(parent, _)| *parent > 0) {
            told[parent - 1].role = RelativeRole::MergeParent;
        }
        return Ok(());
    }
    Ok(())
}

/// Which of the two holds more of a start that a relative shares? It must be known to share no more than that with the earlier one: then
/// whatever lies behind that one came later. Of a model that a stranger was merged into, the outgroup knows one half only, so it
/// must depend on both.
fn by_outgroup(
    judgement: &mut Judgement,
    pair: [&Whole; 2],
    others: &[&Whole],
    told: &mut [Relative],
    settings: &Settings<'_>,
) -> Result<(), AuditError> {
    let shares_start = |relative: &Relative, side: usize| {
        relative.seen[side].relation == Some(COMMON_START)
            && relative.seen.iter().all(|s| s.kind.is_dependence())
    };
    let mut orders = Vec::new();
    for (i, relative) in told.iter().enumerate().filter(|(_, r)| (0..2).any(|side| shares_start(r, side))) {
        let order = order_of(others[i], pair, settings)?;
        let known = |order: &Order| order.earlier.is_some_and(|side| shares_start(relative, side));
        orders.extend(order.filter(known).map(|order| (i, order)));
    }
    let first = orders.first().and_then(|(_, order)| order.earlier);
    let earlier = first.filter(|first| orders.iter().all(|(_, order)| order.earlier == Some(*first)));
    let share = |relative: &Relative| match earlier {
        Some(side) => shares_start(relative, side),
        None => (0..2).any(|side| shares_start(relative, side)),
    };
    let outgroups: Vec<usize> = (0..told.len()).filter(|i| share(&told[*i])).collect();
    for (i, relative) in told.iter_mut().enumerate() {
        let is_behind = || match earlier {
            Some(side) => is_behind([pair[side], others[i]], &outgroups, others, settings),
            None => Ok(false),
        };
        relative.role = match () {
            () if outgroups.contains(&i) => RelativeRole::CommonStart,
            () if relative.seen.iter().any(|s| s.kind == Kind::Identical) => RelativeRole::Copy,
            () if is_aside(relative) || is_behind()? => RelativeRole::Aside,
            () => RelativeRole::Between,
        };
    }
    let free = told.iter().all(|relative| relative.role != RelativeRole::Between);
    if let Some((outgroup, order)) = orders.first().filter(|_| earlier.is_some() && free) {
        admit_order(judgement, order, &told[*outgroup].facts.reference);
    }
    Ok(())
}

/// Whether a relative cannot be what both came from: it depends on one of the two at most, or a cue says that it came from one. The relative was the
/// candidate when it was looked at.
fn is_aside(relative: &Relative) -> bool {
    let came_later = |s: &Seen| !s.kind.is_dependence() || s.direction == Direction::CandidateFromReference;
    relative.seen.iter().any(came_later)
}

/// Whether the second model came from the first or beside it, as all outgroups that say something say. Of another width, with no matrix in
/// common, it is not the nearest that two models of one width come from.
fn is_behind(
    pair: [&Whole; 2],
    outgroups: &[usize],
    others: &[&Whole],
    settings: &Settings<'_>,
) -> Result<bool, AuditError> {
    if common_plan(&pair[0].anatomy, &[&pair[1].anatomy]).places.is_empty() {
        return Ok(true);
    }
    let mut said = Vec::new();
    for &outgroup in outgroups {
        said.extend(order_of(others[outgroup], pair, settings)?.and_then(|order| order.earlier));
    }
    Ok(!said.is_empty() && said.iter().all(|earlier| *earlier == 0))
}

fn order_of(
    outgroup: &Whole,
    pair: [&Whole; 2],
    settings: &Settings<'_>,
) -> Result<Option<Order>, AuditError> {
    let plan = common_plan(&outgroup.anatomy, &[&pair[0].anatomy, &pair[1].anatomy]);
    let models = [outgroup.weights() as &dyn Weights, pair[0].weights(), pair[1].weights()];
    let pass = MixturePass { plan: &plan, models: &models, threads: settings.threads, stop: settings.stop };
    let grams = grams(pass)?;
    settings.check_stop()?;
    Ok(order(&grams, 0, [1, 2]))
}
