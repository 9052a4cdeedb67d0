//! What a user put into a model slot: a checkpoint or a saved sketch.

use crate::{AuditError, Event, Finding, Settings, Watch};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use stemmata_architecture::{Anatomy, Part, Term, dissect};
use stemmata_fingerprint::{MAGIC, Sketch, decode};
use stemmata_model::{Encoding, Hazard, Level, ModelRef, Weights, printable};
use stemmata_source::{
    CheckpointWeights, FileDigest, FileId, OpenOptions, Opened, combined_digest, digest_files,
    inventory_digest, open, read_prefix, read_whole,
};

/// Checkpoints up to this size are hashed unasked.
const HASH_UNASKED: u64 = 64 << 20;
/// Smaller tensors of integers are counters and tables, not weights.
const SMALLEST_CODES: u64 = 4096;
/// No sketch is larger.
const SKETCH_BYTES: u64 = 4 << 30;

/// What is told of an input.
#[derive(Clone, Debug, PartialEq)]
pub struct InputFacts {
    /// As written, printable.
    pub reference: String,
    /// The reference that stands for exactly these bytes, where it is another one: a commit in place of a branch. Printable.
    pub resolved: Option<String>,
    /// Content digest, its method before the colon.
    pub digest: String,
    /// Per file, when hashed or listed.
    pub files: Vec<FileDigest>,
    /// Container format, or `sketch`.
    pub format: String,
    /// Architecture family.
    pub family: String,
    /// Whether roles were inferred.
    pub inferred: bool,
    /// Stored parameters.
    pub parameters: u64,
    /// Most common encoding of its matrices.
    pub encoding: String,
    /// (component name, layers).
    pub layers: Vec<(&'static str, u32)>,
    /// Base models that the card names.
    pub declared_base: Vec<String>,
    /// Licence that the card names.
    pub declared_license: Option<String>,
    /// Remarks on how the anatomy was read.
    pub notes: Vec<String>,
}

/// An opened model slot.
pub enum Subject {
    /// Weights at hand.
    Checkpoint(Box<Whole>),
    /// A summary.
    Sketch(Box<Sketch>, Box<InputFacts>),
}

/// A checkpoint with its anatomy.
pub struct Whole {
    /// The reference as written.
    pub(crate) text: String,
    pub(crate) opened: Opened,
    pub(crate) anatomy: Anatomy,
    pub(crate) facts: InputFacts,
    /// Whether a sketch of it could not be kept.
    pub(crate) cache_failed: AtomicBool,
    /// Bytes of weights that were read for a kept sketch of it, and not again.
    pub(crate) spared: AtomicU64,
}

/// Weights, and what they are for: a checkpoint's, or those of a control made from one.
#[derive(Clone, Copy)]
pub(crate) struct Model<'a> {
    pub(crate) weights: &'a dyn Weights,
    pub(crate) anatomy: &'a Anatomy,
    /// The vocabulary in row order; empty where it is not known.
    pub(crate) tokens: &'a [String],
}

impl Whole {
    pub(crate) fn weights(&self) -> &CheckpointWeights {
        &self.opened.weights
    }

    /// Bytes of weights that the result rests on, whether they were read now or for a sketch that was kept.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.weights().bytes_read() + self.spared.load(Ordering::Relaxed)
    }

    /// What the measurements need of it.
    pub(crate) fn model(&self) -> Model<'_> {
        let tokens = self.opened.checkpoint.tokenizer.as_ref().map_or(&[][..], |tokenizer| &tokenizer.tokens);
        Model { weights: &self.opened.weights, anatomy: &self.anatomy, tokens }
    }

    /// The encoding of the tensor that a part lies in.
    pub(crate) fn encoding(&self, part: &Part) -> Encoding {
        self.opened.checkpoint.tensors[part.view.tensor].encoding
    }

    /// How many numbers the checkpoint holds, as far as can be told: codes that are not decoded count two to a byte.
    pub(crate) fn numbers(&self) -> u64 {
        let codes = self.packed().map(|i| self.opened.checkpoint.tensors[i].storage.len);
        self.opened.checkpoint.parameters() + 2 * codes.sum::<u64>()
    }

    /// Tensors of codes that this build does not decode.
    fn packed(&self) -> impl Iterator<Item = usize> {
        let tensors = &self.opened.checkpoint.tensors;
        let listed = self.anatomy.ignored.iter().chain(&self.anatomy.unmapped).copied();
        listed.filter(|&i| !tensors[i].encoding.is_float() && tensors[i].storage.len >= SMALLEST_CODES)
    }

    pub(crate) fn findings(&self, side: &'static str) -> Vec<Finding> {
        let mut findings: Vec<Finding> =
            self.opened.hazards.iter().map(|hazard: &Hazard| Finding::from_hazard(side, hazard)).collect();
        let tensors = &self.opened.checkpoint.tensors;
        let mut add = |code, level, subject: String, message: String| {
            findings.push(Finding { code, level, side, subject, message });
        };
        if self.anatomy.inferred {
            let message = "tensor roles were inferred from shapes, order and repetition".to_owned();
            add("roles-inferred", Level::Note, String::new(), message);
        }
        // By why they cannot be decoded, where that is known.
        let mut opaque: BTreeMap<Option<&str>, Vec<usize>> = BTreeMap::new();
        let reasons = &self.opened.undecoded;
        let packed = self.packed().filter(|index| !reasons.contains_key(index)).map(|index| (None, index));
        for (reason, index) in packed.chain(reasons.iter().map(|(index, reason)| (Some(*reason), *index))) {
            opaque.entry(reason).or_default().push(index);
        }
        let is_opaque: BTreeSet<usize> = opaque.values().flatten().copied().collect();
        let unknown: Vec<usize> =
            self.anatomy.unmapped.iter().copied().filter(|i| !is_opaque.contains(i)).collect();
        let lists = opaque.into_iter().map(|(reason, list)| ("undecodable-tensors", reason, list));
        for (code, reason, list) in std::iter::once(("unmapped-tensors", None, unknown)).chain(lists) {
            if let Some(first) = list.first() {
                let why = reason.map_or_else(String::new, |reason| format!(": {reason}"));
                let message = format!("{} tensors were not compared{why}", list.len());
                add(code, Level::Warning, printable(&tensors[*first].name), message);
            }
        }
        findings
    }

    /// Files that are no longer what was opened, and what could not be kept of them. To be asked when everything has been read.
    pub(crate) fn changed(&self, side: &'static str) -> Vec<Finding> {
        let finding = |subject| Finding {
            code: "file-changed",
            level: Level::Warning,
            side,
            subject,
            message: "size or modification time changed while it was read".to_owned(),
        };
        let mut findings: Vec<Finding> = self.weights().changed_files().into_iter().map(finding).collect();
        if self.weights().cache_has_failed() || self.cache_failed.load(Ordering::Relaxed) {
            findings.push(Finding {
                code: "cache-not-written",
                level: Level::Warning,
                side,
                subject: String::new(),
                message: "what was read or made could not be kept for the next run".to_owned(),
            });
        }
        findings
    }
}

impl Subject {
    /// Opens what `text` names.
    pub fn open(text: &str, settings: &Settings<'_>, watch: Watch<'_>) -> Result<Subject, AuditError> {
        let reference = ModelRef::parse(text)?;
        if let ModelRef::Path(path) = &reference
            && path.is_file()
            && read_prefix(path, MAGIC.len())? == MAGIC
        {
            let shown = printable(text);
            guard_output(text, settings, |output| Some(output) == FileId::of(path))?;
            let sketch = decode(&read_whole(path, SKETCH_BYTES)?)
                .map_err(|source| AuditError::Sketch { path: shown.clone(), source })?;
            watch(Event::Opened { reference: shown, parameters: sketch.parameters });
            let facts = sketch_facts(&sketch, text);
            return Ok(Subject::Sketch(Box::new(sketch), Box::new(facts)));
        }
        let options = OpenOptions {
            backend: settings.backend,
            stop: Some(settings.stop),
            access: settings.access,
            budget: settings.budget.for_opening(),
            ..OpenOptions::default()
        };
        let opened = open(&reference, &options)?;
        guard_output(text, settings, |output| opened.was_read_from(output))?;
        let anatomy = dissect(&opened.checkpoint);
        settings.check_stop()?;
        let facts = checkpoint_facts(text, &opened, &anatomy, settings)?;
        watch(Event::Opened { reference: facts.reference.clone(), parameters: facts.parameters });
        Ok(Subject::Checkpoint(Box::new(Whole {
            text: text.to_owned(),
            opened,
            anatomy,
            facts,
            cache_failed: AtomicBool::new(false),
            spared: AtomicU64::new(0),
        })))
    }

    /// What is told of it.
    pub fn facts(&self) -> &InputFacts {
        match self {
            Subject::Checkpoint(whole) => &whole.facts,
            Subject::Sketch(_, facts) => facts,
        }
    }

    /// The checkpoint, or an error that names the verb which needs one.
    pub(crate) fn whole(self, verb: &'static str) -> Result<Box<Whole>, AuditError> {
        match self {
            Subject::Checkpoint(whole) => Ok(whole),
            Subject::Sketch(_, facts) => Err(AuditError::NeedsWeights { path: facts.reference, verb }),
        }
    }

    /// Refuses a verb that reads everything where not everything may be read.
    pub(crate) fn needs_everything(
        &self,
        verb: &'static str,
        settings: &Settings<'_>,
    ) -> Result<(), AuditError> {
        match self {
            Subject::Checkpoint(whole) => crate::budget::needs_everything(verb, settings, &[whole]),
            Subject::Sketch(..) => Ok(()),
        }
    }

    /// The checkpoint, where this is one.
    pub(crate) fn checkpoint(&self) -> Option<&Whole> {
        match self {
            Subject::Checkpoint(whole) => Some(whole),
            Subject::Sketch(..) => None,
        }
    }

    /// An error that names the verb where this is a sketch.
    pub(crate) fn needs_weights(&self, verb: &'static str) -> Result<(), AuditError> {
        match self {
            Subject::Checkpoint(_) => Ok(()),
            Subject::Sketch(_, facts) => {
                Err(AuditError::NeedsWeights { path: facts.reference.clone(), verb })
            }
        }
    }
}

/// Refuses to let a result replace a file that it is made from, whatever path or link leads there.
fn guard_output(
    text: &str,
    settings: &Settings<'_>,
    is_input: impl Fn(FileId) -> bool,
) -> Result<(), AuditError> {
    match settings.output.and_then(|path| Some((path, FileId::of(path)?))) {
        Some((path, file)) if is_input(file) => Err(AuditError::OutputIsInput {
            path: printable(&path.display().to_string()),
            reference: printable(text),
        }),
        _ => Ok(()),
    }
}

fn checkpoint_facts(
    text: &str,
    opened: &Opened,
    anatomy: &Anatomy,
    settings: &Settings<'_>,
) -> Result<InputFacts, AuditError> {
    let checkpoint = &opened.checkpoint;
    let size: u64 = checkpoint.files.iter().map(|f| f.len).sum();
    // What lies elsewhere is never fetched as a whole for its digest.
    let listed = if opened.remote { Some(opened.listed_digests().unwrap_or_default()) } else { None };
    let is_listed = listed.is_some();
    let files = match listed {
        Some(listed) => listed,
        None if settings.digests || size <= HASH_UNASKED => {
            digest_files(&opened.weights, settings.threads, settings.stop)?
        }
        None => Vec::new(),
    };
    let digest = match combined_digest(&files) {
        _ if files.is_empty() => inventory_digest(checkpoint),
        // As the place says; nothing was read to check it.
        digest if is_listed => digest.replacen("sha256", "sha256-listed", 1),
        digest => digest,
    };
    let resolved = opened.resolved.to_string();
    Ok(InputFacts {
        reference: printable(text),
        resolved: (resolved != text && !matches!(opened.resolved, ModelRef::Path(_)))
            .then(|| printable(&resolved)),
        digest,
        files,
        format: checkpoint.container.name().to_owned(),
        family: anatomy.family.clone(),
        inferred: anatomy.inferred,
        parameters: checkpoint.parameters(),
        encoding: common_encoding(opened, anatomy),
        layers: anatomy.components.iter().map(|c| (c.component.name(), c.layers)).collect(),
        declared_base: checkpoint.declared.base_model.iter().map(|b| printable(b)).collect(),
        declared_license: checkpoint.declared.license.as_deref().map(printable),
        notes: anatomy.notes.clone(),
    })
}

/// The encoding that most matrix elements have.
fn common_encoding(opened: &Opened, anatomy: &Anatomy) -> String {
    let mut elements: BTreeMap<String, u64> = BTreeMap::new();
    for part in anatomy.parts.iter().filter(|p| p.term == Term::Weight && p.view.rows > 1) {
        let encoding = opened.checkpoint.tensors[part.view.tensor].encoding;
        *elements.entry(encoding.to_string()).or_default() += part.view.elements();
    }
    let most = elements.into_iter().max_by(|a, b| a.1.cmp(&b.1).then(b.0.cmp(&a.0)));
    most.map_or_else(|| "none".to_owned(), |(name, _)| name)
}

fn sketch_facts(sketch: &Sketch, text: &str) -> InputFacts {
    InputFacts {
        reference: printable(text),
        resolved: None,
        digest: printable(&sketch.digest),
        files: Vec::new(),
        format: "sketch".to_owned(),
        family: printable(&sketch.family),
        inferred: sketch.inferred,
        parameters: sketch.parameters,
        encoding: "none".to_owned(),
        layers: sketch.components.iter().map(|c| (c.component.name(), c.layers)).collect(),
        declared_base: Vec::new(),
        declared_license: None,
        notes: vec![match sketch.params.blocks {
            0 => format!("sketch of {}", printable(&sketch.reference)),
            n => format!("sketch of {n} blocks of rows of each tensor of {}", printable(&sketch.reference)),
        }],
    }
}
