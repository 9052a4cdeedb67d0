//! Power of the comparison: bases are disguised and changed in every way that `launder` knows, and what is found is counted.
//!
//! Answers: *after which operation, and how much retraining, does the default comparison still find the base, and by which
//! test?* The same candidates against another base are the other column: there nothing may be found.
//!
//! Symmetries and changes of numbers come after retraining, as a launderer disguises what he has. For symmetries of the function
//! the order would not matter much anyway. Changes of structure come before it, so that retraining heals them.

mod operations;
mod outcome;
mod page;
mod retrain;
mod store;
mod towers;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::calibrate::Text;
use crate::calibrate::architectures::LLAMA;
use crate::launder::decoder::Decoder;
use crate::launder::forward::drift;
use crate::launder::numbers::{change, zero_where};
use crate::layout::array::Array;
use crate::material::corpus::Mixture;
use crate::material::random::Random;
use crate::{Failure, no_more, take_option};
use operations::{Before, OPERATIONS, Operation, Relatives};
use outcome::Outcome;
use retrain::{LEVELS, Level};
use towers::{Tower, whole_config};

/// Seeds apart from those of the calibration models.
const SEED: u64 = LLAMA.first_seed + 800;
/// An operation that claims to keep the function moves no log-probability by more, in f64.
const ROUNDING: f64 = 1e-6;
/// Tokens over which that is checked.
const CHECKED: usize = 24;
/// Bases by default; one more model is the stranger that they are merged with.
const BASES: usize = 3;

/// `power [--out DIR] [--models DIR] [--bases N] [--only WORDS] [--date TEXT]`.
pub(crate) fn run(options: &[String]) -> Result<(), Failure> {
    let started = Instant::now();
    let mut options = options.to_vec();
    let mut folder = |name, default: &str| -> Result<PathBuf, Failure> {
        Ok(take_option(&mut options, name)?.map_or_else(|| PathBuf::from(default), Into::into))
    };
    let (out, models) = (folder("--out", "docs/methods")?, folder("--models", "target/power")?);
    let date = take_option(&mut options, "--date")?;
    let only = take_option(&mut options, "--only")?;
    let bases = match take_option(&mut options, "--bases")? {
        None => BASES,
        Some(text) => match text.parse() {
            Ok(number) if number >= 2 => number,
            _ => {
                return Err(Failure::Usage(format!("`--bases` takes a number from 2 up, not `{text}`")));
            }
        },
    };
    no_more(&options)?;
    let study = Study::new(models, bases, only.as_deref()).map_err(Failure::from)?;
    let cells = study.run()?;
    let page = page::write(&cells, bases, date.as_deref(), started.elapsed().as_secs_f64());
    std::fs::create_dir_all(&out)?;
    std::fs::write(out.join("power.md"), &page.text)?;
    print!("{}", page.text);
    if page.unexplained.is_empty() {
        return Ok(());
    }
    Err(Failure::from(format!("cells fail and nothing says why: {}", page.unexplained.join(", "))))
}

/// One base with one of its changes.
struct Cell {
    operation: &'static Operation,
    /// Number in [`LEVELS`].
    level: usize,
    /// Against its own base.
    own: Outcome,
    /// Against another base.
    other: Outcome,
    /// Relative change and cosine of the weights to the base's, where only retraining came between.
    change: Option<(f64, f64)>,
    /// Loss on held-out text of what it was retrained on, before any disguise.
    loss: f64,
}

/// Everything that the rows are made from.
struct Study {
    models: PathBuf,
    base_text: Text,
    other_text: Text,
    bases: Vec<Base>,
    stranger: Base,
    operations: Vec<&'static Operation>,
}

struct Base {
    seed: u64,
    model: Decoder,
    sibling: Decoder,
    tower: Tower,
}

impl Study {
    fn new(models: PathBuf, bases: usize, only: Option<&str>) -> Result<Self, String> {
        let texts =
            [Text::new(Mixture::BASE, LLAMA.specials()), Text::new(Mixture::FINE_TUNE, LLAMA.specials())];
        let [base_text, other_text] = texts;
        let numbers: Vec<usize> = (0..=bases).collect();
        let made = side_by_side(&numbers, |number| {
            let seed = SEED + *number as u64;
            let model = retrain::base(seed, &base_text)?;
            let sibling = retrain::sibling(&model, &base_text)?;
            let tower = Tower::base(seed)?;
            let write = |arrays: &[Array], config, name| {
                store::plain(arrays, config, &base_text.tokenizer, &models.join(name))
            };
            write(&model.arrays(), model.config(), base_name(*number))?;
            write(&tower.with(&model, seed)?, whole_config(&model), seeing_name(*number))?;
            Ok(Base { seed, model, sibling, tower })
        })?;
        let mut bases = made;
        let stranger = bases.pop().ok_or("there is no stranger")?;
        let wanted = |operation: &&Operation| only.is_none_or(|words| operation.name.contains(words));
        let operations = OPERATIONS.iter().filter(wanted).collect();
        Ok(Self { models, base_text, other_text, bases, stranger, operations })
    }

    /// One job for each base and each thing that is done to it before retraining.
    fn run(&self) -> Result<Vec<Cell>, String> {
        let jobs: Vec<(usize, Before)> = Before::ALL
            .into_iter()
            .filter(|before| self.operations.iter().any(|operation| operation.before == *before))
            .flat_map(|before| (0..self.bases.len()).map(move |base| (base, before)))
            .collect();
        let cells = side_by_side(&jobs, |(base, before)| self.job(*base, *before))?;
        Ok(cells.into_iter().flatten().collect())
    }

    fn job(&self, number: usize, before: Before) -> Result<Vec<Cell>, String> {
        let base = &self.bases[number];
        let mut prepared = base.model.clone();
        before.apply(&mut prepared, &mut Random::new(base.seed, &format!("{before:?}")));
        let mut cells = Vec::new();
        for (index, level) in LEVELS.iter().enumerate() {
            if before == Before::Tower {
                cells.extend(self.tower_taken(number, index)?);
                continue;
            }
            let (mut model, loss) = retrain::retrain(&prepared, level, &self.other_text)?;
            if before.is_sparse() {
                zero_where(&mut model, &mut prepared);
            }
            let plain = before == Before::Nothing;
            let change = plain.then(|| change(&model, &base.model));
            for operation in self.operations.iter().filter(|operation| operation.before == before) {
                let (own, other) = self.examine(number, &model, operation, level)?;
                cells.push(Cell { operation, level: index, own, other, change, loss });
            }
        }
        Ok(cells)
    }

    /// Disguises the model, writes it, and compares it with its base and with the next one.
    fn examine(
        &self,
        number: usize,
        model: &Decoder,
        operation: &Operation,
        level: &Level,
    ) -> Result<(Outcome, Outcome), String> {
        let base = &self.bases[number];
        let relatives = Relatives { sibling: &base.sibling, stranger: &self.stranger.model };
        let mut candidate = model.clone();
        let mut random = Random::new(base.seed, &format!("{} {}", operation.name, level.name));
        (operation.after)(&mut candidate, &relatives, &mut random);
        if operation.keeps {
            let tokens: Vec<usize> =
                self.other_text.held_out.iter().take(CHECKED).map(|id| *id as usize).collect();
            let moved = drift(model, &candidate, &tokens);
            if moved > ROUNDING {
                return Err(format!("`{}` does not keep the function: {moved}", operation.name));
            }
        }
        let place = self.place(number, level, operation);
        if operation.wrapped {
            let arrays = self.stranger.tower.with(&candidate, self.stranger.seed)?;
            store::plain(&arrays, whole_config(&candidate), &self.base_text.tokenizer, &place)?;
        } else {
            store::disguised(&candidate, operation, &self.base_text.tokenizer, &place)?;
        }
        self.against_two(number, &place, base_name)
    }

    /// The stranger's language model behind the base's tower, retrained.
    fn tower_taken(&self, number: usize, index: usize) -> Result<Vec<Cell>, String> {
        let level = &LEVELS[index];
        let tower = self.bases[number].tower.retrained(level)?;
        let arrays = tower.with(&self.stranger.model, self.stranger.seed)?;
        let mut cells = Vec::new();
        for operation in self.operations.iter().filter(|operation| operation.before == Before::Tower) {
            let place = self.place(number, level, operation);
            let config = whole_config(&self.stranger.model);
            store::plain(&arrays, config, &self.base_text.tokenizer, &place)?;
            let (own, other) = self.against_two(number, &place, seeing_name)?;
            cells.push(Cell { operation, level: index, own, other, change: None, loss: 0.0 });
        }
        Ok(cells)
    }

    fn place(&self, number: usize, level: &Level, operation: &Operation) -> PathBuf {
        self.models.join(format!("{}.{}.{}", base_name(number), level.name, operation.name))
    }

    /// A candidate against its own base and against the next one.
    fn against_two(
        &self,
        number: usize,
        place: &Path,
        name: fn(usize) -> String,
    ) -> Result<(Outcome, Outcome), String> {
        let against = |reference: usize| outcome::of(place, &self.models.join(name(reference)));
        Ok((against(number)?, against((number + 1) % self.bases.len())?))
    }
}

/// The directory of a base with a tower.
fn seeing_name(number: usize) -> String {
    format!("base-{number}-vision")
}

fn base_name(number: usize) -> String {
    format!("base-{number}")
}

/// Two jobs at a time, their results in the order of the jobs. One model alone leaves a second core idle.
fn side_by_side<J: Sync, T: Send>(
    jobs: &[J],
    work: impl Fn(&J) -> Result<T, String> + Sync,
) -> Result<Vec<T>, String> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, Result<T, String>)>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(job) = jobs.get(index) else { break };
                    let result = work(job);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((index, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

/// An error in words.
fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// A path as the comparison takes it.
fn reference(path: &Path) -> String {
    path.display().to_string()
}
