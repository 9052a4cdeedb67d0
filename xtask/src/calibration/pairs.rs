//! Which pairs of a directory of models are compared, and every test that was made on them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use stemmata_alignment::match_blocks;
use stemmata_audit::{
    Component, ContextStatistic, Judgement, Kind, Scope, SearchMode, Settings, TestKind, compare, sketch,
};
use stemmata_fingerprint::Sketch;

/// Where a model's name says what it is: `llama-s07`, `student-s03`, `llama-s00-order`.
pub(super) struct Model {
    pub(super) name: String,
    architecture: String,
    number: Option<u64>,
}

impl Model {
    pub(super) fn new(name: &str) -> Self {
        let mut parts = name.split('-');
        Self {
            architecture: parts.next().unwrap_or_default().to_owned(),
            number: parts.next().and_then(|part| part.strip_prefix('s')?.parse().ok()),
            name: name.to_owned(),
        }
    }

    pub(super) fn architecture(&self) -> &str {
        &self.architecture
    }
}

/// What two models have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bond {
    /// The random start: not independent.
    Start,
    /// One learned from the other's probabilities. Independent in weights.
    Lesson,
    /// The architecture.
    Architecture,
    /// Data and recipe only.
    Data,
}

fn bond(a: &Model, b: &Model) -> Bond {
    let stem = |model: &Model| model.name.trim_end_matches("-order").to_owned();
    let teaches = |teacher: &Model, student: &Model| {
        (teacher.architecture == "llama" && student.architecture == "student")
            && teacher.number == student.number
            && teacher.name == stem(teacher)
    };
    match () {
        () if stem(a) == stem(b) => Bond::Start,
        () if teaches(a, b) || teaches(b, a) => Bond::Lesson,
        () if a.architecture == b.architecture => Bond::Architecture,
        () => Bond::Data,
    }
}

/// One test of one pair.
pub(super) struct Test {
    /// What the row of the table is called.
    pub(super) name: String,
    pub(super) statistic: f64,
    pub(super) log10_p: f64,
    pub(super) effect: Option<f64>,
    pub(super) of: Of,
    /// Whether the statistic is a studentised sum of fair signs.
    pub(super) is_normal: bool,
}

/// What a test speaks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// One layer, cell or block, with an exact null.
    Layer,
    /// All layers of a component together: made of the others.
    Pooled,
    /// An effect size, judged under an assumption.
    Effect,
}

/// One pair.
pub(super) struct Pair {
    pub(super) name: String,
    pub(super) bond: Bond,
    /// The row that it belongs to: an architecture, or what else the two share.
    pub(super) group: String,
    pub(super) kind: Kind,
    pub(super) log10_p: f64,
    pub(super) cosine: f64,
    /// Axes whose tests were dropped because neither model has their symmetry.
    pub(super) broken: usize,
    pub(super) tests: Vec<Test>,
}

/// Compares every two models; those of one architecture a second time with a sketch in place of one of them.
pub(super) fn compare_all(zoo: &Path, models: &[Model]) -> Result<Vec<Pair>, String> {
    let sketches = sketch_all(zoo, models)?;
    let mut todo = Vec::new();
    for (i, a) in models.iter().enumerate() {
        todo.extend(models[..i].iter().map(|b| (a, b)));
    }
    side_by_side(&todo, |(a, b)| one(zoo, a, b, &sketches))
}

/// The context of every two independent models of one architecture.
pub(super) fn contexts(zoo: &Path, models: &[Model]) -> Result<Vec<(String, Vec<ContextStatistic>)>, String> {
    side_by_side(&independent(zoo, models), |(architecture, paths)| {
        let stop = AtomicBool::new(false);
        let [a, b] = paths.each_ref().map(|path| path.display().to_string());
        let settings = Settings { search: SearchMode::Never, ..settings(&stop) };
        let result = compare(&a, &b, &settings, &mut |_| {}).map_err(|error| format!("{a}, {b}: {error}"))?;
        Ok((architecture.clone(), result.context))
    })
}

/// Every two independent models of one architecture: that, and where they lie.
pub(super) fn independent(zoo: &Path, models: &[Model]) -> Vec<(String, [PathBuf; 2])> {
    let mut pairs = Vec::new();
    for (i, a) in models.iter().enumerate() {
        let others = models[..i].iter().filter(|b| bond(a, b) == Bond::Architecture);
        let paths = |b: &Model| [a, b].map(|model| zoo.join(&model.name));
        pairs.extend(others.map(|b| (a.architecture.clone(), paths(b))));
    }
    pairs
}

/// Works off a list on all processors; results in order.
pub(crate) fn side_by_side<J: Sync, R: Send + Sync>(
    jobs: &[J],
    work: impl Fn(&J) -> Result<R, String> + Sync,
) -> Result<Vec<R>, String> {
    let next = AtomicUsize::new(0);
    let slots: Vec<OnceLock<Result<R, String>>> = jobs.iter().map(|_| OnceLock::new()).collect();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some((job, slot)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    jobs.get(index).zip(slots.get(index))
                } {
                    let _ = slot.set(work(job));
                }
            });
        }
    });
    let done = |slot: OnceLock<_>| slot.into_inner().unwrap_or_else(|| Err("not compared".to_owned()));
    slots.into_iter().map(done).collect()
}

/// The settings of `compare` when nothing else is asked for, on one thread.
pub(crate) fn settings(stop: &AtomicBool) -> Settings<'_> {
    Settings { threads: 1, ..Settings::new(stop) }
}

type Sketches = BTreeMap<String, (PathBuf, Sketch)>;

/// Sketches of all models, in files beside them.
fn sketch_all(zoo: &Path, models: &[Model]) -> Result<Sketches, String> {
    let folder = zoo.join("sketches");
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let made = side_by_side(models, |model| {
        let stop = AtomicBool::new(false);
        let text = zoo.join(&model.name).display().to_string();
        let made =
            sketch(&text, &settings(&stop), &mut |_| {}).map_err(|e| format!("{}: {e}", model.name))?;
        let path = folder.join(format!("{}.sketch", model.name));
        std::fs::write(&path, &made.bytes).map_err(|error| error.to_string())?;
        let decoded =
            stemmata_fingerprint::decode(&made.bytes).map_err(|e| format!("{}: {e}", model.name))?;
        Ok((model.name.clone(), (path, decoded)))
    })?;
    Ok(made.into_iter().collect())
}

fn one(zoo: &Path, a: &Model, b: &Model, sketches: &Sketches) -> Result<Pair, String> {
    let stop = AtomicBool::new(false);
    let settings = settings(&stop);
    let told = |error: &dyn std::fmt::Display| format!("{}, {}: {error}", a.name, b.name);
    let path = |model: &Model| zoo.join(&model.name).display().to_string();
    let result = compare(&path(a), &path(b), &settings, &mut |_| {}).map_err(|e| told(&e))?;
    let mut tests = Vec::new();
    add_evidence(&mut tests, "", &result.judgement);
    for map in &result.measurement.structure.maps {
        let prefix = prefix(map.grid.component);
        for cell in &map.grid.cells {
            let signs = cell.signs.map(|s| (s.statistic, s.log10_p, s.effect));
            tests.extend(signs.map(|signs| {
                exact_signs(format!("{prefix}{}, every cell", TestKind::LayerSigns.name()), signs)
            }));
            tests.extend(cell.fixed.map(|(fixed, units)| Test {
                name: format!("{prefix}{}, every cell", TestKind::LayerFixedPoints.name()),
                statistic: fixed as f64,
                log10_p: stemmata_stats::fixed_points(fixed),
                effect: Some(fixed as f64 / units.max(1) as f64),
                of: Of::Layer,
                is_normal: false,
            }));
        }
    }
    let bond = bond(a, b);
    if bond == Bond::Architecture {
        let find = |model: &Model| sketches.get(&model.name).ok_or_else(|| told(&"no sketch"));
        let ((_, ours), (file, theirs)) = (find(a)?, find(b)?);
        let file = file.display().to_string();
        let beside = compare(&path(a), &file, &settings, &mut |_| {}).map_err(|e| told(&e))?;
        add_evidence(&mut tests, "sketch: ", &beside.judgement);
        for layer in result.judgement.layers.iter().filter_map(|l| l.candidate_layer) {
            let matches = match_blocks((ours, layer), (theirs, layer), Component::LanguageModel);
            for found in matches.iter().filter(|m| m.candidate.is_some() && m.reference.is_some()) {
                let signs = (found.signs.statistic, found.signs.log10_p, found.signs.effect);
                tests.push(exact_signs("expert against expert".to_owned(), signs));
            }
        }
    }
    let group = match bond {
        Bond::Start | Bond::Architecture => a.architecture.clone(),
        Bond::Lesson => "student and its teacher".to_owned(),
        Bond::Data => "across architectures".to_owned(),
    };
    Ok(Pair {
        name: format!("{} / {}", a.name, b.name),
        bond,
        group,
        kind: result.judgement.verdict.kind,
        log10_p: result.judgement.verdict.log10_p,
        cosine: result.judgement.change.map_or(0.0, |c| c.cosine),
        broken: result.judgement.broken.len(),
        tests,
    })
}

fn exact_signs(name: String, (statistic, log10_p, effect): (f64, f64, f64)) -> Test {
    Test { name, statistic, log10_p, effect: Some(effect), of: Of::Layer, is_normal: true }
}

/// What stands before the name of a test outside the language model.
fn prefix(component: Component) -> String {
    match component {
        Component::LanguageModel => String::new(),
        other => format!("{}: ", other.name()),
    }
}

/// The tests of a judgement, but for those that were picked from a grid for their p.
fn add_evidence(tests: &mut Vec<Test>, before: &str, judgement: &Judgement) {
    for e in &judgement.evidence {
        let picked = matches!(e.test, TestKind::LayerSigns | TestKind::LayerFixedPoints);
        let (Some(p), false) = (e.p, picked) else { continue };
        let (component, pooled) = match e.scope {
            Scope::Model => continue,
            Scope::Component(component) => (component, true),
            Scope::Layer(component, _) => (component, false),
        };
        let of = match e.test {
            TestKind::UnitAgreement(_) => Of::Effect,
            _ if pooled => Of::Pooled,
            _ => Of::Layer,
        };
        let after = if pooled { ", pooled" } else { "" };
        tests.push(Test {
            name: format!("{before}{}{}{after}", prefix(component), e.test.name()),
            statistic: e.statistic,
            log10_p: p.log10(),
            effect: e.effect,
            of,
            is_normal: matches!(
                e.test,
                TestKind::SignFlip(_)
                    | TestKind::MatchThenSign(_)
                    | TestKind::SignFlipByTokens
                    | TestKind::UntrainedTokens
            ),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_two_models_share() {
        let of = |a: &str, b: &str| bond(&Model::new(a), &Model::new(b));
        assert_eq!(of("llama-s00-order", "llama-s00"), Bond::Start);
        assert_eq!(of("llama-s00-order", "llama-s01"), Bond::Architecture);
        assert_eq!(of("student-s03", "llama-s03"), Bond::Lesson);
        assert_eq!(of("student-s03", "llama-s04"), Bond::Data);
        assert_eq!(of("qwen2-s03", "qwen2-s04"), Bond::Architecture);
        assert_eq!(of("qwen2-s03", "qwen3-s03"), Bond::Data);
    }
}
