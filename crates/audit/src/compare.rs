//! `compare`: where does the candidate come from?

use crate::input::{Model, Whole};
use crate::structure::Pair;
use crate::{
    AuditError, ContextStatistic, Controls, Finding, InputFacts, Relative, SearchMode, Settings, Subject,
    Watch,
};
use crate::{
    budget, context, controls, measuring, relatives, sampled, searching, sketching, structure, studying,
};
use stemmata_alignment::{Measurement, Shapes, SymmetryCheck, measure_sketches, plan, search_plan};
use stemmata_architecture::{ChannelAxis, Component, Term};
use stemmata_evidence::{
    Evidence, Judgement, Kind, NotTested, Scope, StorageFacts, TestKind, asks_for_map, judge, rounding,
};
use stemmata_fingerprint::{Sketch, SketchParams, comparable};
use stemmata_model::{DType, Encoding, Level};

/// Outcome of a comparison.
pub struct Comparison {
    /// The candidate.
    pub candidate: InputFacts,
    /// The reference.
    pub reference: InputFacts,
    /// What was measured.
    pub measurement: Measurement,
    /// What is said of it.
    pub judgement: Judgement,
    /// Remarks, sorted.
    pub findings: Vec<Finding>,
    /// Statistics that prove nothing, beside their values among independent models.
    pub context: Vec<ContextStatistic>,
    /// What the same tests say of pairs whose answer is known, where that was asked for.
    pub controls: Option<Controls>,
    /// Other models, where they were named, and what they are to the pair.
    pub relatives: Vec<Relative>,
    /// Bytes of weights fetched, of both sides.
    pub bytes_read: u64,
    /// Seed of every random choice.
    pub seed: u64,
}

/// Compares two models, each a checkpoint or a saved sketch.
pub fn compare(
    candidate: &str,
    reference: &str,
    settings: &Settings<'_>,
    watch: Watch<'_>,
) -> Result<Comparison, AuditError> {
    let candidate = Subject::open(candidate, settings, watch)?;
    let reference = Subject::open(reference, settings, watch)?;
    let mut findings = Vec::new();
    for (side, subject) in [("candidate", &candidate), ("reference", &reference)] {
        if let Subject::Checkpoint(whole) = subject {
            findings.extend(whole.findings(side));
        }
    }
    if settings.controls > 0 {
        for subject in [&candidate, &reference] {
            subject.needs_weights("compare --controls")?;
        }
    }
    let others = relatives::open(settings, watch)?;
    if !others.is_empty() {
        for subject in [&candidate, &reference] {
            subject.needs_weights("compare --relatives")?;
        }
    }
    let (measurement, mut judgement, controls) = match (&candidate, &reference) {
        (Subject::Checkpoint(c), Subject::Checkpoint(r)) => {
            let (models, storage) = ([c.model(), r.model()], storage_facts(c, r));
            let bytes = budget::of_weights(settings, &[c, r]);
            if settings.controls > 0 {
                budget::needs_everything("compare --controls", settings, &[c, r])?;
            }
            if !others.is_empty() {
                let all: Vec<&Whole> =
                    [&**c, &**r].into_iter().chain(others.iter().filter_map(Subject::checkpoint)).collect();
                budget::needs_everything("compare --relatives", settings, &all)?;
            }
            let (measurement, judgement) = match bytes {
                Some(bytes) => sampled::within(bytes, [c, r], &storage, settings, watch)?,
                None => {
                    let (measurement, mut judgement) = decide(models, &storage, None, settings, watch)?;
                    studying::refine(&mut judgement, &measurement, c, r, None, settings)?;
                    (measurement, judgement)
                }
            };
            let made = match settings.controls {
                0 => None,
                _ => Some(controls::run(models, &storage, &measurement, &judgement, settings, watch)?),
            };
            (measurement, judgement, made)
        }
        _ => {
            let blocks = [&candidate, &reference].map(|subject| match subject {
                Subject::Sketch(sketch, _) => Some(sketch.params.blocks),
                Subject::Checkpoint(_) => None,
            });
            // The other side is read as the sketch at hand was made.
            let blocks = blocks[0].or(blocks[1]).unwrap_or(settings.params.blocks);
            let params = SketchParams { blocks, ..settings.params };
            let c = sketch_of(&candidate, params, settings, watch)?;
            let r = sketch_of(&reference, params, settings, watch)?;
            comparable(&c, &r).map_err(|parameter| AuditError::NotComparable { parameter })?;
            let mut measurement = measure_sketches(&c, &r);
            let storage = StorageFacts::default();
            let shapes = [structure::shapes(&candidate), structure::shapes(&reference)];
            let pair = Pair::Sketches([&c, &r]);
            let judgement = look(&mut measurement, &shapes, &pair, &storage, settings, watch)?;
            (measurement, judgement, None)
        }
    };
    let relatives = relatives::look(&mut judgement, [&candidate, &reference], &others, settings, watch)?;
    let context = context::of(&candidate, &reference, &measurement, settings)?;
    for (side, subject) in [("candidate", &candidate), ("reference", &reference)] {
        if let Subject::Checkpoint(whole) = subject {
            admit_unmapped(side, whole, &mut judgement);
        }
    }
    let mut bytes_read = 0;
    for (side, subject) in [("candidate", &candidate), ("reference", &reference)] {
        if let Subject::Checkpoint(whole) = subject {
            bytes_read += whole.bytes_read();
            findings.extend(whole.changed(side));
        }
    }
    findings.extend(of_result(candidate.facts(), reference.facts(), &measurement, &judgement));
    findings.extend(controls.iter().flat_map(controls::findings));
    findings.sort();
    settings.check_stop()?;
    Ok(Comparison {
        candidate: candidate.facts().clone(),
        reference: reference.facts().clone(),
        measurement,
        judgement,
        findings,
        context,
        controls,
        relatives,
        bytes_read,
        seed: settings.params.seed,
    })
}

/// Measures and judges two models, as far as the decision on dependence goes. `checks` stand in for those of the models by
/// themselves, so that a control is put to the tests that its original was put to.
pub(crate) fn decide(
    models: [Model<'_>; 2],
    storage: &StorageFacts,
    checks: Option<&[SymmetryCheck]>,
    settings: &Settings<'_>,
    watch: Watch<'_>,
) -> Result<(Measurement, Judgement), AuditError> {
    let [c, r] = models.map(|model| model.anatomy);
    let mut measurement = measuring::of(&plan(c, r), models, settings, watch)?;
    if let Some(checks) = checks {
        measurement.checks = checks.to_vec();
    }
    if settings.search != SearchMode::Never {
        measurement.search_tests = search_plan(c, r).tests;
    }
    let shapes = [c, r].map(Shapes::of_anatomy);
    let judgement = look(&mut measurement, &shapes, &Pair::Models(models), storage, settings, watch)?;
    let judgement = searching::run(models, judgement, &mut measurement, storage, None, settings, watch)?;
    Ok((measurement, judgement))
}

/// Judges what was measured at equal indices, and looks for the map of layers where that asks for one.
pub(crate) fn look(
    measurement: &mut Measurement,
    [ours, theirs]: &[Shapes; 2],
    pair: &Pair<'_>,
    storage: &StorageFacts,
    settings: &Settings<'_>,
    watch: Watch<'_>,
) -> Result<Judgement, AuditError> {
    measurement.structure.reserved = ours.tests(theirs);
    let judgement = judge(measurement, storage, &settings.rule);
    if !asks_for_map(&judgement, ours, theirs) {
        return Ok(judgement);
    }
    structure::look(measurement, &judgement, pair, settings, watch)?;
    Ok(judge(measurement, storage, &settings.rule))
}

fn sketch_of(
    subject: &Subject,
    params: SketchParams,
    settings: &Settings<'_>,
    watch: Watch<'_>,
) -> Result<Sketch, AuditError> {
    match subject {
        Subject::Sketch(sketch, _) => Ok((**sketch).clone()),
        Subject::Checkpoint(whole) => {
            if params.blocks == 0 {
                budget::needs_everything("compare with a sketch of everything", settings, &[whole])?;
            }
            sketching::of(whole, params, settings, watch)
        }
    }
}

/// Tensors without a role were not compared: they are listed, and they keep a pair from being called identical.
fn admit_unmapped(side: &str, whole: &Whole, judgement: &mut Judgement) {
    let unmapped = whole.anatomy.unmapped.len();
    if unmapped > 0 {
        judgement.not_tested.push(NotTested {
            what: format!("{unmapped} tensors of the {side} without a role"),
            reason: "no table and no inference says what they are for".to_owned(),
        });
        if judgement.verdict.kind == Kind::Identical {
            judgement.verdict.kind = Kind::Related;
        }
    }
}

/// How the matrices that correspond are stored.
pub(crate) fn storage_facts(c: &Whole, r: &Whole) -> StorageFacts {
    // (bits, rounding error), the mean over elements and the root of the mean square.
    let grid = |whole: &Whole| {
        let matrices = whole
            .anatomy
            .parts
            .iter()
            .filter(|p| p.term == Term::Weight && p.view.rows > 1 && p.layer.is_some());
        let (mut bits, mut squares, mut elements) = (0.0, 0.0, 0.0);
        for part in matrices {
            let (n, encoding) = (part.view.elements() as f64, whole.encoding(part));
            bits += n * encoding.bits_per_element();
            squares += n * rounding(encoding).powi(2);
            elements += n;
        }
        if elements > 0.0 { (bits / elements, (squares / elements).sqrt()) } else { (0.0, 0.0) }
    };
    let ((candidate_bits, candidate_rounding), (reference_bits, reference_rounding)) = (grid(c), grid(r));
    let significand = |name: &str| match name {
        n if n == Encoding::Plain(DType::F64).to_string() => Some(53),
        n if n == Encoding::Plain(DType::F32).to_string() => Some(24),
        n if n == Encoding::Plain(DType::F16).to_string() => Some(11),
        n if n == Encoding::Plain(DType::BF16).to_string() => Some(8),
        _ => None,
    };
    let (a, b) = (significand(&c.facts.encoding), significand(&r.facts.encoding));
    StorageFacts {
        candidate_parameters: c.numbers(),
        reference_parameters: r.numbers(),
        candidate_encoding: c.facts.encoding.clone(),
        reference_encoding: r.facts.encoding.clone(),
        candidate_bits,
        reference_bits,
        candidate_rounding,
        reference_rounding,
        significand_bits: a.zip(b).map(|(a, b)| a.min(b)),
    }
}

fn of_result(
    c: &InputFacts,
    r: &InputFacts,
    measurement: &Measurement,
    judgement: &Judgement,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |code, level, side, subject: String, message: String| {
        findings.push(Finding { code, level, side, subject, message });
    };
    if judgement.verdict.kind.is_dependence() {
        let basename =
            |text: &str| text.trim_end_matches('/').rsplit('/').next().unwrap_or(text).to_lowercase();
        if c.declared_base.is_empty() {
            let message = "dependence was found and the card names no base model".to_owned();
            add("undeclared-base", Level::Note, "candidate", String::new(), message);
        } else if !c.declared_base.iter().any(|base| basename(base) == basename(&r.reference)) {
            let message = format!("the card names {}", c.declared_base.join(", "));
            add("declared-base-differs", Level::Note, "candidate", String::new(), message);
        }
    }
    let non_finite: u64 =
        measurement.pairs.iter().filter_map(|p| p.moments.as_ref()).map(|m| m.non_finite).sum();
    if non_finite > 0 {
        let message = format!("{non_finite} values are NaN or infinite and counted as zero");
        add("non-finite-values", Level::Warning, "", String::new(), message);
    }
    for symmetry in &judgement.broken {
        let message = "neither model has the symmetry of this test, so it was not made".to_owned();
        add("symmetry-broken", Level::Warning, "", symmetry.to_string(), message);
    }
    if let Some(how) = moved_units(judgement) {
        add("moved-units", Level::Warning, "candidate", String::new(), how);
    }
    for component in outside_only(judgement) {
        let message = "dependence was found in embeddings or heads, and in no layer".to_owned();
        add("outside-layers-only", Level::Warning, "", component.name().to_owned(), message);
    }
    for e in &judgement.evidence {
        let significant = judgement.verdict.rejects(e);
        if matches!(e.test, TestKind::SignFlip(_)) && significant && e.statistic < 0.0 {
            let message = format!("{} has z = {:.1}", e.test.name(), e.statistic);
            add("sign-test-negative", Level::Warning, "", e.scope.to_string(), message);
        }
    }
    findings
}

/// Components where dependence rests on the tensors outside layers alone.
fn outside_only(judgement: &Judgement) -> Vec<Component> {
    let of = |component: Component| judgement.layers.iter().filter(move |l| l.component == component);
    // Residual channels run through embeddings and layers alike; a pooled test of theirs does not say where.
    let inside = |e: &&Evidence| {
        !matches!(e.test, TestKind::SignFlip(ChannelAxis::Residual)) && judgement.verdict.rejects(e)
    };
    let components = judgement.components.iter().filter(|c| c.kind.is_dependence()).map(|c| c.component);
    components
        .filter(|&component| {
            of(component).any(|l| l.candidate_layer.is_none() && l.dependent)
                && of(component).all(|l| l.candidate_layer.is_none() || !l.dependent)
                && !judgement.evidence.iter().filter(inside).any(|e| e.scope == Scope::Component(component))
        })
        .collect()
}

/// Says how units were moved, where a search found them.
fn moved_units(judgement: &Judgement) -> Option<String> {
    let moved =
        matches!(judgement.verdict.relation, Some("relabelled" | "rotated" | "rescaled" | "width-pruned"));
    judgement.verdict.cue.clone().filter(|_| moved)
}
