//! `blame`: which layer of which reference does each layer of a model come from?

use crate::moving::{self, Family, ResidualOrigin, UnitOrigin};
use crate::structure::{grids, places_layers, shapes, sketch_parts};
use crate::{AuditError, Finding, HeadOrigin, InputFacts, Merging, Settings, Subject, Watch, heads, merging};
use std::sync::atomic::Ordering;
use stemmata_alignment::{
    Column, EqualRows, LayerGrid, LayerRun, Measurement, SignOutcome, axis_outside_layers, best_map,
    equal_rows, experts_of, match_blocks, runs, sign_outside_layers, symmetry_checks,
};
use stemmata_architecture::{Anatomy, ChannelAxis, Component, Part, Role, Term};
use stemmata_evidence::{BrokenSymmetry, broken_symmetries, cell_score, exclusions};
use stemmata_fingerprint::{Sketch, comparable};
use stemmata_model::{Level, Weights};

/// Where the layers of a model come from.
pub struct Blame {
    /// The model.
    pub candidate: InputFacts,
    /// The models that it may be made from, as given.
    pub references: Vec<InputFacts>,
    /// Per component the tensors outside layers, then its layers.
    pub layers: Vec<LayerOrigin>,
    /// The maps in runs, per component.
    pub runs: Vec<(Component, Vec<LayerRun>)>,
    /// The experts of mixtures.
    pub experts: Vec<ExpertOrigin>,
    /// Hidden units of layers that nothing explains at equal indices.
    pub units: Vec<UnitOrigin>,
    /// The residual streams that these layers lie in.
    pub residual: Vec<ResidualOrigin>,
    /// Attention heads of the layers that have an origin.
    pub heads: Vec<HeadOrigin>,
    /// What is said of the model as a sum of references, where weights are at hand.
    pub merging: Option<Merging>,
    /// Token rows, per role and reference, where both models' weights are at hand.
    pub rows: Vec<RowOrigin>,
    /// Tests in the family, over all references; fixed before any weight is read.
    pub tests: usize,
    /// Family-wise level.
    pub alpha: f64,
    /// Remarks, sorted.
    pub findings: Vec<Finding>,
    /// Bytes of weights fetched.
    pub bytes_read: u64,
    /// Seed of every random choice.
    pub seed: u64,
}

/// What explains one layer best.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerOrigin {
    /// Component.
    pub component: Component,
    /// Layer of the candidate; `None` for the tensors outside layers.
    pub layer: Option<u32>,
    /// Which reference, and its layer (`None` outside layers). Nothing where no test rejects.
    pub from: Option<(usize, Option<u32>)>,
    /// p of the test that decides, raised by the number of all tests, log10. Without an origin, of the most telling one.
    pub log10_p: f64,
    /// Cosine of the channels of that test, or the share of the units that it found.
    pub effect: Option<f64>,
    /// Whether anything could be tested.
    pub tested: bool,
}

/// What explains one expert best.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExpertOrigin {
    /// Component.
    pub component: Component,
    /// Layer of the candidate.
    pub layer: u32,
    /// Expert of the candidate.
    pub expert: u32,
    /// Reference, its layer and its expert (`None`: its dense block). Nothing where no test rejects.
    pub from: Option<(usize, u32, Option<u32>)>,
    /// As for layers; that of the layer where its units were found elsewhere.
    pub log10_p: f64,
    /// Cosine of the hidden channels, or the share of the expert's units whose partners lie in the other expert.
    pub effect: Option<f64>,
}

/// Token rows that are equal at the same index.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowOrigin {
    /// Embedding or head.
    pub role: Role,
    /// Which reference.
    pub reference: usize,
    /// Counts.
    pub rows: EqualRows,
}

/// One reference beside the candidate.
struct Beside {
    sketch: Sketch,
    grids: Vec<LayerGrid>,
    broken: Vec<BrokenSymmetry>,
}

/// Explains the layers of `candidate` by those of `references`.
///
/// One read of the tested tensors of every model; then O(layers of the candidate · layers of all references).
pub fn blame(
    candidate: &str,
    references: &[String],
    settings: &Settings<'_>,
    watch: Watch<'_>,
) -> Result<Blame, AuditError> {
    let ours = Subject::open(candidate, settings, watch)?;
    let theirs: Vec<Subject> =
        references.iter().map(|text| Subject::open(text, settings, watch)).collect::<Result<_, _>>()?;
    for subject in std::iter::once(&ours).chain(&theirs) {
        subject.needs_everything("blame", settings)?;
    }
    let wanted = |part: &Part, anatomy: &Anatomy| places_layers(part, anatomy) || part.layer.is_none();
    let sketch = sketch_parts(&ours, &wanted, settings, watch)?;
    let (mut beside, mut tests) = (Vec::new(), 0);
    for subject in &theirs {
        let other = sketch_parts(subject, &wanted, settings, watch)?;
        comparable(&sketch, &other).map_err(|parameter| AuditError::NotComparable { parameter })?;
        tests += shapes(&ours).tests(&shapes(subject)) + tests_beside_layers(&sketch, &other);
        tests += moving::tests(&ours, subject, settings);
        let checks = symmetry_checks(&sketch, &other);
        let broken = broken_symmetries(&Measurement { checks, ..Measurement::default() });
        let grids = grids(&sketch, &other, &exclusions(&broken), settings)?;
        beside.push(Beside { sketch: other, grids, broken });
    }
    let search = Search { sketch: &sketch, beside: &beside, tests: tests.max(1), alpha: settings.rule.alpha };
    let (mut layers, mut experts) = (Vec::new(), Vec::new());
    for component in Component::ALL {
        layers.extend(search.outside(component));
        let mut of_component = search.layers(component);
        experts.extend(of_component.iter().flat_map(|origin| search.experts(origin)));
        if of_component.is_empty() {
            of_component = untested(component, &ours);
        }
        layers.extend(of_component);
    }
    let broken: Vec<&[BrokenSymmetry]> = beside.iter().map(|b| b.broken.as_slice()).collect();
    let family = Family { tests: search.tests, alpha: search.alpha };
    let moved = moving::look(&ours, &theirs, &broken, &mut layers, family, settings, watch)?;
    experts.extend(moved.experts);
    experts.sort_by_key(|e: &ExpertOrigin| (e.component, e.layer, e.expert));
    let heads = heads::look(&ours, &theirs, &layers, settings, watch)?;
    let runs = Component::ALL
        .into_iter()
        .map(|component| (component, runs_of(component, &layers)))
        .filter(|(_, runs)| !runs.is_empty())
        .collect();
    let rows = token_rows(&ours, &theirs, settings)?;
    let merging = merging::look(&ours, &theirs.iter().collect::<Vec<_>>(), settings)?;
    let mut findings = Vec::new();
    let mut bytes_read = 0;
    let sides = std::iter::once(("candidate", &ours)).chain(theirs.iter().map(|s| ("reference", s)));
    for (side, subject) in sides {
        if let Subject::Checkpoint(whole) = subject {
            findings.extend(whole.findings(side));
            findings.extend(whole.changed(side));
            bytes_read += whole.weights().bytes_read();
        }
    }
    for (reference, broken) in
        theirs.iter().zip(&beside).flat_map(|(s, b)| b.broken.iter().map(move |x| (s, x)))
    {
        findings.push(Finding {
            code: "symmetry-broken",
            level: Level::Warning,
            side: "reference",
            subject: reference.facts().reference.clone(),
            message: format!("neither model has the symmetry of {broken}, so it was not made"),
        });
    }
    findings.sort();
    settings.check_stop()?;
    Ok(Blame {
        candidate: ours.facts().clone(),
        references: theirs.iter().map(|s| s.facts().clone()).collect(),
        layers,
        runs,
        experts,
        units: moved.units,
        residual: moved.residual,
        heads,
        merging,
        rows,
        tests,
        alpha: settings.rule.alpha,
        findings,
        bytes_read,
        seed: settings.params.seed,
    })
}

/// Layers that nothing was held against.
fn untested(component: Component, ours: &Subject) -> Vec<LayerOrigin> {
    let Subject::Checkpoint(whole) = ours else { return Vec::new() };
    let layers = whole.anatomy.component(component).map_or(0, |info| info.layers);
    let origin = |layer| LayerOrigin {
        component,
        layer: Some(layer),
        from: None,
        log10_p: 0.0,
        effect: None,
        tested: false,
    };
    (0..layers).map(origin).collect()
}

/// The layers of a component and where they come from, in runs.
fn runs_of(component: Component, origins: &[LayerOrigin]) -> Vec<LayerRun> {
    let of_component = origins.iter().filter(|origin| origin.component == component);
    let places: Vec<(u32, Option<Column>)> = of_component
        .filter_map(|origin| {
            let column = origin.from.and_then(|(reference, layer)| Some(Column { reference, layer: layer? }));
            Some((origin.layer?, column))
        })
        .collect();
    let columns: Vec<Column> = places.iter().filter_map(|place| place.1).collect();
    let mut next = 0..;
    let map: Vec<Option<usize>> = places.iter().map(|place| place.1.and_then(|_| next.next())).collect();
    runs(&map, &places.iter().map(|place| place.0).collect::<Vec<_>>(), &columns)
}

/// Tests outside layers and of experts that a pair of sketches allows, counted by their shapes.
fn tests_beside_layers(candidate: &Sketch, reference: &Sketch) -> usize {
    let blocks = |sketch: &Sketch, component: Component, of_experts: bool| -> usize {
        let hidden =
            sketch.groups.iter().filter(|g| (g.component, g.axis) == (component, ChannelAxis::Hidden));
        let layers = hidden.filter_map(|g| g.layer);
        layers
            .flat_map(|layer| experts_of(sketch, component, layer))
            .filter(|expert| expert.is_some() || !of_experts)
            .count()
    };
    let of = |component: Component| {
        let outside = usize::from(axis_outside_layers(candidate, reference, component).is_some());
        outside + blocks(candidate, component, true).saturating_mul(blocks(reference, component, false))
    };
    Component::ALL.into_iter().map(of).sum()
}

/// What the origins are looked for in.
struct Search<'a> {
    sketch: &'a Sketch,
    beside: &'a [Beside],
    tests: usize,
    alpha: f64,
}

impl Search<'_> {
    /// A p after correction over all tests, log10.
    fn corrected(&self, log10_p: f64) -> f64 {
        (log10_p + (self.tests as f64).log10()).min(0.0)
    }

    fn rejects(&self, log10_p: f64) -> bool {
        log10_p + (self.tests as f64).log10() <= self.alpha.log10()
    }

    /// The most telling of `found`, which is an origin only if its test rejects.
    fn best<T: Copy>(&self, found: &[(T, SignOutcome)]) -> (Option<T>, f64, Option<f64>) {
        let worth = |s: &SignOutcome| 10.0 * s.effect.abs() - s.log10_p;
        let Some((from, signs)) = found.iter().copied().max_by(|a, b| worth(&a.1).total_cmp(&worth(&b.1)))
        else {
            return (None, 0.0, None);
        };
        (
            Some(from).filter(|_| self.rejects(signs.log10_p)),
            self.corrected(signs.log10_p),
            Some(signs.effect),
        )
    }

    fn outside(&self, component: Component) -> Option<LayerOrigin> {
        let signs = |beside: &Beside| {
            let axis = axis_outside_layers(self.sketch, &beside.sketch, component)?;
            let broken = beside.broken.contains(&BrokenSymmetry::Signs(component, axis));
            (!broken).then(|| sign_outside_layers(self.sketch, &beside.sketch, component, axis)).flatten()
        };
        let found: Vec<((usize, Option<u32>), SignOutcome)> = self
            .beside
            .iter()
            .enumerate()
            .filter_map(|(i, beside)| Some(((i, None), signs(beside)?)))
            .collect();
        let has = self.sketch.parts.iter().any(|p| p.component == component && p.layer.is_none());
        let (from, log10_p, effect) = self.best(&found);
        let tested = !found.is_empty();
        has.then_some(LayerOrigin { component, layer: None, from, log10_p, effect, tested })
    }

    /// One map onto the layers of all references side by side.
    fn layers(&self, component: Component) -> Vec<LayerOrigin> {
        let grids: Vec<(usize, &LayerGrid)> = self
            .beside
            .iter()
            .enumerate()
            .filter_map(|(i, b)| Some((i, b.grids.iter().find(|g| g.component == component)?)))
            .collect();
        let Some(&(_, first)) = grids.first() else { return Vec::new() };
        let rows = &first.candidate_layers;
        let columns: Vec<(Column, &LayerGrid, usize)> = grids
            .iter()
            .flat_map(|&(reference, grid)| {
                let layers = grid.reference_layers.iter().enumerate();
                layers.map(move |(j, &layer)| (Column { reference, layer }, grid, j))
            })
            .collect();
        let places: Vec<Column> = columns.iter().map(|c| c.0).collect();
        let cell = |row: usize, column: usize| columns[column].1.cell(row, columns[column].2);
        let score = |row: usize, column: usize| {
            let log10_p = cell(row, column).log10_p();
            self.rejects(log10_p).then(|| cell_score(cell(row, column), log10_p))
        };
        let map = best_map(rows.len(), &places, &score);
        let origin = |(row, &layer): (usize, &u32)| {
            let telling =
                (0..columns.len()).min_by(|a, b| cell(row, *a).log10_p().total_cmp(&cell(row, *b).log10_p()));
            let shown = map[row].or(telling).map(|column| *cell(row, column));
            LayerOrigin {
                component,
                layer: Some(layer),
                from: map[row].map(|column| (places[column].reference, Some(places[column].layer))),
                log10_p: self.corrected(shown.map_or(0.0, |cell| cell.log10_p())),
                effect: shown.and_then(|cell| cell.effect()),
                tested: (0..columns.len()).any(|column| cell(row, column).tests() > 0),
            }
        };
        rows.iter().enumerate().map(origin).collect()
    }

    /// The experts of one layer against the blocks of the layer that it comes from.
    fn experts(&self, origin: &LayerOrigin) -> Vec<ExpertOrigin> {
        let (Some(layer), Some((reference, Some(other)))) = (origin.layer, origin.from) else {
            return Vec::new();
        };
        let (component, beside) = (origin.component, &self.beside[reference]);
        if beside.broken.contains(&BrokenSymmetry::Signs(component, ChannelAxis::Hidden)) {
            return Vec::new();
        }
        let matches = match_blocks((self.sketch, layer), (&beside.sketch, other), component);
        let of = |expert: u32| {
            let own = matches.iter().filter(|m| m.candidate == Some(expert));
            let found: Vec<_> = own.map(|m| ((reference, other, m.reference), m.signs)).collect();
            let (from, log10_p, effect) = self.best(&found);
            ExpertOrigin { component, layer, expert, from, log10_p, effect }
        };
        experts_of(self.sketch, component, layer).into_iter().flatten().map(of).collect()
    }
}

/// Equal rows of embeddings and heads.
fn token_rows(
    candidate: &Subject,
    references: &[Subject],
    settings: &Settings<'_>,
) -> Result<Vec<RowOrigin>, AuditError> {
    let Subject::Checkpoint(ours) = candidate else { return Ok(Vec::new()) };
    let mut out = Vec::new();
    for role in [Role::TokenEmbedding, Role::Head] {
        let of = |part: &&Part| part.role == role && part.term == Term::Weight && part.layer.is_none();
        let Some(part) = ours.anatomy.parts.iter().find(of) else { continue };
        for (reference, subject) in references.iter().enumerate() {
            let Subject::Checkpoint(theirs) = subject else { continue };
            let Some(other) = theirs.anatomy.parts.iter().find(of) else { continue };
            let rows =
                equal_rows((ours.weights(), &part.view), (theirs.weights(), &other.view), &mut || {
                    !settings.stop.load(Ordering::Relaxed)
                })?;
            out.push(RowOrigin { role, reference, rows });
        }
    }
    Ok(out)
}
