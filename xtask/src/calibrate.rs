//! Models for calibration: the same architecture, data, order and recipe from different seeds.
//!
//! Every pair of them is independent by construction, which is the null that exact p-values speak about. The few
//! with a shared initialisation are the known exception.

pub(crate) mod architectures;
pub(crate) mod lessons;

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use serde_json::Value;

use crate::layout::BEGIN;
use crate::layout::array::{Array, Stored};
use crate::layout::directory::{Contents, read, write};
use crate::material::corpus::{Mixture, write_corpus};
use crate::material::random::Random;
use crate::material::tokenizer::Tokenizer;
use crate::train::batches::unigram_entropy;
use crate::train::parameters::Parameters;
use crate::train::teacher::dismiss;
use crate::{Failure, no_more, take_option};
use architectures::{ALL, Architecture, LLAMA};
use lessons::{Course, Lesson};

/// Order of the data, the same for all but the models that share an initialisation.
const ORDER: u64 = 77;
/// Tokens of a window, at most.
pub(crate) const CONTEXT: usize = 128;

/// One model to be made.
struct Job {
    name: String,
    architecture: &'static Architecture,
    number: u64,
    order: u64,
}

/// `calibrate-zoo [--out DIR] [--models N] [--only NAMES] [--shared-init K]`.
pub(crate) fn run(options: &[String]) -> Result<(), Failure> {
    let mut options = options.to_vec();
    let out =
        take_option(&mut options, "--out")?.map_or_else(|| PathBuf::from("target/calibration"), Into::into);
    let mut number = |name, default| -> Result<u64, Failure> {
        let Some(text) = take_option(&mut options, name)? else { return Ok(default) };
        text.parse().map_err(|_| Failure::Usage(format!("`{name}` takes a number, not `{text}`")))
    };
    let (most, shared) = (number("--models", u64::MAX)?, number("--shared-init", 2)?);
    let only = take_option(&mut options, "--only")?;
    no_more(&options)?;
    if let Some(unknown) = only.iter().flat_map(|o| o.split(',')).find(|o| ALL.iter().all(|a| a.name != *o)) {
        return Err(Failure::Usage(format!("no architecture is called `{unknown}`")));
    }
    let wanted = |a: &&Architecture| only.as_ref().is_none_or(|o| o.split(',').any(|name| name == a.name));

    let mut jobs: Vec<Job> = Vec::new();
    for architecture in ALL.iter().filter(wanted) {
        let name = architecture.name;
        let job = |name, number, order| Job { name, architecture, number, order };
        jobs.extend((0..architecture.models.min(most)).map(|i| job(format!("{name}-s{i:02}"), i, ORDER)));
        if name == LLAMA.name {
            jobs.extend((0..shared).map(|i| job(format!("{name}-s{i:02}-order"), i, ORDER + 1 + i)));
        }
    }
    let mut texts: BTreeMap<&[&str], Text> = BTreeMap::new();
    for job in &jobs {
        let specials = job.architecture.specials();
        texts.entry(specials).or_insert_with(|| Text::new(Mixture::BASE, specials));
    }
    for text in texts.values() {
        println!("unigram entropy {:.3} nats per token", unigram_entropy(&text.held_out));
    }
    let losses: Mutex<BTreeMap<String, String>> = Mutex::default();
    // Students come once their teachers are written.
    for are_students in [false, true] {
        let jobs: Vec<&Job> =
            jobs.iter().filter(|job| job.architecture.teacher.is_some() == are_students).collect();
        let make = |job: &&Job| {
            let source = &texts[job.architecture.specials()];
            let (text, pictures) = make(job, source, &out)?;
            let pictures = pictures.map_or(String::new(), |loss| format!("{loss:.4}"));
            let mut losses = losses.lock().map_err(|_| "another worker failed")?;
            losses.insert(
                job.name.clone(),
                format!("{text:.4}\t{pictures}\t{:.4}", unigram_entropy(&source.held_out)),
            );
            Ok(text)
        };
        work_off(&jobs, make, |job| &job.name)?;
    }
    let mut table = String::from("model\tloss\tcaption\tunigram\n");
    let losses = losses.into_inner().map_err(|_| "a worker failed")?;
    for (name, losses) in losses {
        let _ = writeln!(table, "{name}\t{losses}");
    }
    Ok(std::fs::write(out.join("losses.tsv"), table)?)
}

/// Two models at a time: one of them alone leaves a second core idle in everything but its largest products.
pub(crate) fn work_off<J: Sync>(
    jobs: &[J],
    make: impl Fn(&J) -> Result<f64, Box<dyn Error>> + Sync,
    name: impl Fn(&J) -> &str + Sync,
) -> Result<(), Failure> {
    let next = AtomicUsize::new(0);
    let work = || -> Result<(), String> {
        while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let started = Instant::now();
            let loss = make(job).map_err(|error| format!("`{}`: {error}", name(job)))?;
            println!("{:16} loss {loss:.3}   {:.1} s", name(job), started.elapsed().as_secs_f64());
        }
        Ok(())
    };
    let done: Result<(), String> = std::thread::scope(|scope| {
        let workers = [scope.spawn(work), scope.spawn(work)];
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().expect("a worker reports errors, it does not panic"))
    });
    done.map_err(|message| Failure::Other(message.into()))
}

/// Trains and writes one model, or reads it if it is there. Returns the loss of held-out text, and of pictures.
fn make(job: &Job, text: &Text, out: &Path) -> Result<(f64, Option<f64>), Box<dyn Error>> {
    let architecture = job.architecture;
    let mut parameters = Parameters::new(architecture.first_seed + job.number);
    let (mut model, config) = architecture.build(&mut parameters, &text.tokenizer)?;
    let directory = out.join(&job.name);
    if directory.is_dir() {
        parameters.assign(&read(&directory)?)?;
    } else {
        if let Some(teacher) = ALL.iter().find(|a| Some(a.name) == architecture.teacher) {
            let mut parameters = Parameters::new(0);
            let (model_of_teacher, _) = teacher.build(&mut parameters, &text.tokenizer)?;
            parameters.assign(&read(&out.join(format!("{}-s{:02}", teacher.name, job.number)))?)?;
            model.lesson = Lesson::Teacher(model_of_teacher.logits);
        }
        let course = Course { recipe: architecture.recipe, context: architecture.context, order: job.order };
        model.fit(&parameters, course, &text.training)?;
        save(&parameters, config, &text.tokenizer, &directory)?;
    }
    Ok((model.loss(&text.held_out, architecture.context)?, model.picture_loss()?))
}

/// Writes a model as bf16.
pub(crate) fn save(
    parameters: &Parameters,
    config: Value,
    tokenizer: &Tokenizer,
    directory: &Path,
) -> Result<(), Box<dyn Error>> {
    let arrays: Vec<Array> = dismiss(parameters.arrays()?);
    let stored = Stored::Bf16;
    write(directory, &Contents { arrays: &arrays, stored, shards: 1, config, tokenizer, card: None })
}

/// The text that every model reads, as bytes.
pub(crate) struct Text {
    pub(crate) tokenizer: Tokenizer,
    pub(crate) training: Vec<u32>,
    pub(crate) held_out: Vec<u32>,
}

impl Text {
    pub(crate) fn new(mixture: Mixture, specials: &'static [&'static str]) -> Self {
        let tokenizer = Tokenizer::bytes_only(specials);
        let stream = |label, bytes| {
            let text = write_corpus(&mut Random::new(5, label), mixture, bytes);
            let start = [tokenizer.special(BEGIN)];
            start.into_iter().chain(tokenizer.encode(&text)).collect()
        };
        Self {
            training: stream("training text", 1 << 20),
            held_out: stream("held-out text", 1 << 15),
            tokenizer,
        }
    }
}
