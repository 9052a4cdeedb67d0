//! Other models beside a pair: is one of the two a merge, and which of them came first?

use crate::input::Whole;
use crate::line::{Line, order_of};
use crate::{AuditError, InputFacts, Settings, Subject, Watch, compare, merging, studying};
use stemmata_evidence::merge::{Estimate, MergeOutcome};
use stemmata_evidence::{
    Direction, Judgement, Kind, Order, Verdict, admit_merge, admit_order, admit_witness,
};

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
    /// Depends on one of the two at most, came from one of them, or lies where no parent of both does: it cannot be what both came from.
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
/// must depend on both. A change too small for outgroups may be told by what came after either model.
fn by_outgroup(
    judgement: &mut Judgement,
    pair: [&Whole; 2],
    others: &[&Whole],
    told: &mut [Relative],
    settings: &Settings<'_>,
) -> Result<(), AuditError> {
    let mut orders = Vec::new();
    for (i, relative) in told.iter().enumerate().filter(|(_, r)| (0..2).any(|side| shares_start(r, side))) {
        let order = order_of(others[i], pair, settings)?;
        let known = |order: &Order| order.earlier.is_some_and(|side| shares_start(relative, side));
        orders.extend(order.filter(known).map(|order| (i, order)));
    }
    let first = orders.first().and_then(|(_, order)| order.earlier);
    let agreed = first.filter(|first| orders.iter().all(|(_, order)| order.earlier == Some(*first)));
    let line = |side: usize| {
        let those = |is: &dyn Fn(&Relative) -> bool| -> Vec<usize> {
            (0..told.len()).filter(|i| is(&told[*i])).collect()
        };
        let outgroups = those(&|relative| shares_start(relative, side));
        let dependent = those(&|relative| relative.seen[side].kind.is_dependence());
        Line::of(pair[side], others, [&outgroups, &dependent], settings)
    };
    let (line, witness) = match first {
        Some(_) => (agreed.map(line).transpose()?, None),
        None => {
            let lines = [line(0)?, line(1)?];
            let witnesses = [lines[0].witness(pair[1], settings)?, lines[1].witness(pair[0], settings)?];
            let [first, second] = lines;
            match witnesses {
                [Some(witness), None] => (Some(first), Some((0, witness))),
                [None, Some(witness)] => (Some(second), Some((1, witness))),
                _ => (None, None),
            }
        }
    };
    let earlier = agreed.or(witness.map(|(side, _)| side));
    for (i, relative) in told.iter_mut().enumerate() {
        let is_cleared = || match (&line, earlier) {
            (Some(line), Some(side)) => line.clears(i, pair[1 - side], settings),
            _ => Ok(false),
        };
        let shares =
            |side: usize| earlier.is_none_or(|earlier| earlier == side) && shares_start(relative, side);
        relative.role = match () {
            () if (0..2).any(shares) => RelativeRole::CommonStart,
            () if relative.seen.iter().any(|s| s.kind == Kind::Identical) => RelativeRole::Copy,
            () if is_aside(relative) || is_cleared()? => RelativeRole::Aside,
            () => RelativeRole::Between,
        };
    }
    if told.iter().any(|relative| relative.role == RelativeRole::Between) {
        return Ok(());
    }
    let name = |i: usize| &told[i].facts.reference;
    match (witness, orders.first().filter(|_| agreed.is_some())) {
        (Some((earlier, witness)), _) => admit_witness(judgement, 1 - earlier, name(witness)),
        (None, Some((outgroup, order))) => admit_order(judgement, order, name(*outgroup)),
        (None, None) => {}
    }
    Ok(())
}

/// Whether a relative depends on both and shares no more than the random start with that side.
fn shares_start(relative: &Relative, side: usize) -> bool {
    relative.seen[side].relation == Some(COMMON_START) && relative.seen.iter().all(|s| s.kind.is_dependence())
}

/// Whether a relative cannot be what both came from: it depends on one of the two at most, or a cue says that it came from one. The relative was the
/// candidate when it was looked at.
fn is_aside(relative: &Relative) -> bool {
    let came_later = |s: &Seen| !s.kind.is_dependence() || s.direction == Direction::CandidateFromReference;
    relative.seen.iter().any(came_later)
}
