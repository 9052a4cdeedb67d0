//! Models for calibration: the same architecture, data, order and recipe from different seeds.
//!
//! Every pair of them is independent by construction, which is the null that exact p-values speak about. The few
//! with a shared initialisation are the known exception.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use serde_json::{Value, json};

use crate::layout::array::{Array, Stored};
use crate::layout::directory::{Contents, write};
use crate::layout::{BEGIN, TEXT_SPECIALS};
use crate::material::corpus::{Mixture, write_corpus};
use crate::material::random::Random;
use crate::material::tokenizer::Tokenizer;
use crate::train::batches::{Batch, unigram_entropy};
use crate::train::fused::cross_entropy;
use crate::train::gpt2::{self, Gpt2};
use crate::train::llama::{self, Llama};
use crate::train::optimizer::{Recipe, Schedule, WEIGHT_DECAY, train};
use crate::train::parameters::Parameters;
use crate::{Failure, no_more, take_option};

/// Added to the number of a model for the seed of its weights.
pub(crate) const FIRST_SEED: u64 = 1_000;
/// Order of the data, the same for all but the models that share an initialisation.
const ORDER: u64 = 77;
const CONTEXT: usize = 128;
const BATCH: usize = 8;
pub(crate) const RECIPE: Recipe =
    Recipe { steps: 300, learning_rate: 3e-3, decay: WEIGHT_DECAY, schedule: Schedule::Cosine };

/// One model to be made.
struct Job {
    name: String,
    family: Family,
    seed: u64,
    order: u64,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Family {
    Llama,
    Gpt2,
}

/// `calibrate-zoo [--out DIR] [--models N] [--gpt2 N] [--shared-init K]`.
pub(crate) fn run(options: &[String]) -> Result<(), Failure> {
    let mut options = options.to_vec();
    let out =
        take_option(&mut options, "--out")?.map_or_else(|| PathBuf::from("target/calibration"), Into::into);
    let mut number = |name, default| -> Result<u64, Failure> {
        let Some(text) = take_option(&mut options, name)? else { return Ok(default) };
        text.parse().map_err(|_| Failure::Usage(format!("`{name}` takes a number, not `{text}`")))
    };
    let (llamas, gpt2s, shared) =
        (number("--models", 24)?, number("--gpt2", 8)?, number("--shared-init", 0)?);
    no_more(&options)?;

    let job = |name: String, family, number, order| Job { name, family, seed: FIRST_SEED + number, order };
    let jobs: Vec<Job> = (0..llamas)
        .map(|i| job(format!("llama-s{i:02}"), Family::Llama, i, ORDER))
        .chain((0..gpt2s).map(|i| job(format!("gpt2-s{i:02}"), Family::Gpt2, i, ORDER)))
        .chain((0..shared).map(|i| job(format!("llama-s{i:02}-order"), Family::Llama, i, ORDER + 1 + i)))
        .collect();
    let text = Text::new(Mixture::BASE);
    println!("unigram entropy {:.3} nats per token", unigram_entropy(&text.held_out));
    work_off(&jobs, |job| make(job, &text, &out), |job| &job.name)
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

/// Trains and writes one model; the loss is that on held-out text.
fn make(job: &Job, text: &Text, out: &Path) -> Result<f64, Box<dyn Error>> {
    let mut parameters = Parameters::new(job.seed);
    let (model, config) = build(job.family, &mut parameters, text.tokenizer.len())?;
    let loss = fit(&parameters, &model, RECIPE, (job.order, &text.training), &text.held_out)?;
    save(&parameters, config, &text.tokenizer, &out.join(&job.name))?;
    Ok(loss)
}

/// From a batch to its logits.
pub(crate) type Model = Box<dyn Fn(&Batch) -> candle_core::Result<candle_core::Tensor>>;

/// A fresh model of a family, with its configuration.
pub(crate) fn build(
    family: Family,
    parameters: &mut Parameters,
    vocabulary: usize,
) -> candle_core::Result<(Model, Value)> {
    match family {
        Family::Llama => {
            let shape = llama_shape(vocabulary);
            let mut config = shape.config();
            config["architectures"] = json!(["LlamaForCausalLM"]);
            config["model_type"] = json!("llama");
            config["torch_dtype"] = json!("bfloat16");
            Ok((llama(parameters, shape)?, config))
        }
        Family::Gpt2 => {
            let shape = gpt2::Shape { vocabulary, hidden: 64, layers: 4, heads: 4, context: CONTEXT };
            let model = Gpt2::new(parameters, shape)?;
            let logits = move |batch: &Batch| model.logits(&batch.inputs, batch.size);
            Ok((Box::new(logits), shape.config()))
        }
    }
}

/// The sizes of the Llama-like models.
pub(crate) fn llama_shape(vocabulary: usize) -> llama::Shape {
    llama::Shape {
        vocabulary,
        hidden: 64,
        layers: 4,
        heads: 4,
        kv_heads: 2,
        intermediate: 160,
        context: CONTEXT,
    }
}

/// A fresh Llama-like model of any sizes.
pub(crate) fn llama(parameters: &mut Parameters, shape: llama::Shape) -> candle_core::Result<Model> {
    let model = Llama::new(parameters, "", shape)?;
    Ok(Box::new(move |batch: &Batch| model.logits(&model.hidden(&model.embed(&batch.inputs, batch.size)?)?)))
}

/// Trains on windows of a text, in an order; the loss is that on held-out text.
pub(crate) fn fit(
    parameters: &Parameters,
    model: &Model,
    recipe: Recipe,
    (order, training): (u64, &[u32]),
    held_out: &[u32],
) -> candle_core::Result<f64> {
    let mut random = Random::new(order, "data order");
    let loss = |batch: &Batch| cross_entropy(&model(batch)?, &batch.targets, &batch.weights());
    train(parameters, recipe, || loss(&Batch::draw(&mut random, training, BATCH, CONTEXT)))?;
    let held_out = Batch::draw(&mut Random::new(0, "evaluation"), held_out, 32, CONTEXT);
    Ok(f64::from(loss(&held_out)?.to_scalar::<f32>()?))
}

/// Writes a model as bf16.
pub(crate) fn save(
    parameters: &Parameters,
    config: Value,
    tokenizer: &Tokenizer,
    directory: &Path,
) -> Result<(), Box<dyn Error>> {
    let arrays: Vec<Array> = parameters.arrays()?;
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
    pub(crate) fn new(mixture: Mixture) -> Self {
        let tokenizer = Tokenizer::bytes_only(TEXT_SPECIALS);
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
