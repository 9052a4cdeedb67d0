//! What can be asked. Help, completions and the man page are projections of these definitions.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use stemmata_audit::{Budget, Level};

/// How many negative controls `--controls` stands for.
pub(crate) const CONTROLS: u32 = 5;

const EXAMPLES: &str = "\
Examples:
  stemmata compare ./suspect ./original
  stemmata compare ./suspect ./original --format html -o report.html
  stemmata blame ./merge --among ./left ./right
  stemmata inspect model.gguf

Exit codes:
  0  done
  1  dependence was found (only with compare --exit-code)
  2  it could not be done: bad arguments, unreadable input, interrupted
  3  inconclusive: nothing comparable, or too little power";

const COMPARE_EXAMPLES: &str = "\
Examples:
  stemmata compare models/tuned models/base --relatives models/*
  stemmata compare hf:acme/nova-7b hf:meta-llama/Llama-2-7b-hf --budget 50MB
  stemmata compare ./suspect original.sketch --exit-code -qq";

const BLAME_EXAMPLES: &str = "\
Examples:
  stemmata blame ./merge --among ./left ./right
  stemmata blame ./deep --among ./shallow --format mergekit -o merge.yaml
  stemmata blame ./mixture --among ./dense --json | jq .experts";

const INSPECT_EXAMPLES: &str = "\
Examples:
  stemmata inspect ./model
  stemmata inspect hf:org/name@main
  stemmata inspect pytorch_model.bin --json | jq .findings";

const DIFF_EXAMPLES: &str = "\
Examples:
  stemmata diff ./fine-tune ./base
  stemmata diff ./fine-tune ./base --stat
  stemmata diff ./fine-tune ./base --format tsv > changes.tsv";

const SKETCH_EXAMPLES: &str = "\
Examples:
  stemmata sketch ./original -o original.sketch
  stemmata compare ./suspect original.sketch
  stemmata sketch ./original -o - | sha256sum";

/// Tells, with defensible statistics, where an open-weight model comes from.
///
/// Opens checkpoints without executing anything, wherever they lie: a path, `hf:org/name`, `ollama:name`, a link, `s3://bucket/key`.
#[derive(Debug, Parser)]
#[command(name = "stemmata", version, after_long_help = EXAMPLES, max_term_width = 110)]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: Verb,
    /// Options of every verb.
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Options of every verb.
#[derive(Debug, Args)]
#[command(next_help_heading = "Common options")]
pub(crate) struct Common {
    /// How to show the result: human on a terminal, tsv when piped.
    #[arg(long, global = true, value_name = "FORMAT")]
    pub(crate) format: Option<FormatName>,
    /// The same as --format json.
    #[arg(long, global = true, conflicts_with = "format")]
    pub(crate) json: bool,
    /// Write the result to a file (complete or not at all, never a file of an input); `-` is standard output.
    #[arg(short, long, global = true, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// When to colour.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: ColorWhen,
    /// Less on standard error: -q no progress and notes, -qq nothing at all and no result either, only the exit code.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) quiet: u8,
    /// Worker threads; 0 means one per processor. The result does not depend on it.
    #[arg(long, global = true, value_name = "N", default_value_t = 0)]
    pub(crate) threads: usize,
    /// Map files instead of reading them: faster from the page cache, but a file that shrinks ends the process.
    #[arg(long, global = true)]
    pub(crate) mmap: bool,
    /// Hash every file with SHA-256, whatever its size (small checkpoints are always hashed).
    #[arg(long, global = true)]
    pub(crate) digests: bool,
    /// Never touch the network: only files here, the hub's cache and Ollama's store. Also set by HF_HUB_OFFLINE=1.
    #[arg(long, global = true)]
    pub(crate) offline: bool,
    /// Neither use nor fill the cache of what was fetched and sketched before. The result does not depend on it.
    #[arg(long, global = true)]
    pub(crate) no_cache: bool,
    /// Bytes that may be fetched of each model, for instance 50MB; `full` is all. 32MB where a model lies elsewhere, all otherwise.
    #[arg(long, global = true, value_name = "BYTES", value_parser = budget)]
    pub(crate) budget: Option<Budget>,
    /// Add wall-clock time and peak memory to JSON; without it the same inputs give the same bytes.
    #[arg(long, global = true)]
    pub(crate) timing: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Say whether CANDIDATE depends on REFERENCE, where, how and how sure.
    #[command(after_long_help = COMPARE_EXAMPLES)]
    Compare {
        /// The model in question: a path, `hf:org/name[@revision]`, a link, a sketch, or BASE+ADAPTER.
        candidate: String,
        /// The model it may come from.
        reference: String,
        /// Family-wise level of the whole comparison.
        #[arg(long, value_name = "P", default_value_t = 1e-3, value_parser = level)]
        alpha: f64,
        /// When to look for hidden units that were relabelled, rotated or rescaled.
        #[arg(long, value_enum, value_name = "WHEN", default_value_t = Search::Auto)]
        search: Search,
        /// Put the same tests to pairs whose answer is known, and show what they say: N draws of the candidate from the null, and
        /// three with a known share of the reference in them. Each costs as much as the comparison.
        #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "5",
              value_parser = clap::value_parser!(u32).range(1..=1000))]
        controls: Option<u32>,
        /// Other models, all that are at hand, related or not: to tell a merge of them, and by one that shares only the random start
        /// which of the two came first. Each costs two more comparisons.
        #[arg(long, value_name = "MODEL", num_args = 1..)]
        relatives: Vec<String>,
        /// Seed of every random choice, for instance of the signs of the controls.
        #[arg(long, value_name = "N", default_value_t = 0)]
        seed: u64,
        /// Exit with 1 when dependence was found.
        #[arg(long)]
        exit_code: bool,
    },
    /// Say which layer of which reference each layer of MODEL comes from.
    #[command(after_long_help = BLAME_EXAMPLES)]
    Blame {
        /// The model in question: a directory, a weight file or a sketch.
        model: String,
        /// The models that it may be made from.
        #[arg(long, value_name = "REFERENCE", required = true, num_args = 1..)]
        among: Vec<String>,
        /// Family-wise level over all references.
        #[arg(long, value_name = "P", default_value_t = 1e-3, value_parser = level)]
        alpha: f64,
    },
    /// Show what is in MODEL, what it claims and what is dangerous about it.
    #[command(after_long_help = INSPECT_EXAMPLES)]
    Inspect {
        /// A directory or a weight file.
        model: String,
        /// Read every weight, and report those that are NaN or infinite.
        #[arg(long)]
        values: bool,
        /// Exit with 1 when there is a finding of this level or above.
        #[arg(long, value_enum, value_name = "LEVEL", num_args = 0..=1, require_equals = true, default_missing_value = "danger")]
        exit_code: Option<Severity>,
    },
    /// Compare two checkpoints tensor by tensor.
    #[command(after_long_help = DIFF_EXAMPLES)]
    Diff {
        /// The newer model.
        candidate: String,
        /// The older model.
        reference: String,
        /// Totals only.
        #[arg(long)]
        stat: bool,
    },
    /// Write the summary of MODEL that `compare` accepts in its place.
    #[command(after_long_help = SKETCH_EXAMPLES)]
    Sketch {
        /// A directory or a weight file.
        model: String,
        /// Seed of the projections; sketches compare only under the same seed.
        #[arg(long, value_name = "N", default_value_t = 0)]
        seed: u64,
    },
    /// Rate contestants by blind pairwise votes: who leads, by how much, how sure is that?
    #[command(after_long_help = crate::rate::EXAMPLES)]
    Rate(crate::rate::RateArguments),
    /// Serve a page on which people judge two answers without knowing whose they are; export and check their votes.
    #[command(after_long_help = crate::serve::EXAMPLES)]
    Serve(crate::serve::ServeArguments),
    /// Standings of models by public tables: benchmarks, ratings, likes, registries and saved comparisons.
    #[command(after_long_help = crate::standings::EXAMPLES)]
    Standings(Box<crate::standings::StandingsArguments>),
    /// Explain the code of a finding.
    Explain {
        /// Kebab-case, for instance `undeclared-base`.
        code: String,
    },
    /// Write a completion script for SHELL.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Write the manual page (roff).
    Man,
}

/// How to show a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub(crate) enum FormatName {
    Human,
    Tsv,
    Json,
    Html,
    /// What `blame` found as a mergekit configuration: the merge, or the map of layers when every layer has an origin.
    Mergekit,
    /// What `inspect` found as a SARIF 2.1.0 log, for code scanners.
    Sarif,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Severity {
    /// Worth knowing.
    Note,
    /// A loader may misread the model, or be misled by it.
    Warning,
    /// A loader that trusts the model may execute code or leave its directory.
    Danger,
}

impl Severity {
    /// The level of findings that it stands for.
    pub(crate) fn level(self) -> Level {
        match self {
            Severity::Note => Level::Note,
            Severity::Warning => Level::Warning,
            Severity::Danger => Level::Danger,
        }
    }

    /// As it is typed.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Danger => "danger",
        }
    }
}

/// When to look for hidden units that were moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Search {
    /// When some layer shows nothing at equal indices: a few layers first, all if something is found there.
    Auto,
    /// In all layers, whatever was found.
    Always,
    /// Not at all.
    Never,
}

/// When to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorWhen {
    /// On a terminal, unless NO_COLOR is set or TERM is dumb.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Bytes, with or without a unit of a thousand (`MB`) or of 1024 (`MiB`).
fn budget(text: &str) -> Result<Budget, String> {
    if text == "full" {
        return Ok(Budget::Full);
    }
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "kib" => 1024.0,
        "mib" => 1_048_576.0,
        "gib" => 1_073_741_824.0,
        _ => f64::NAN,
    };
    match number.parse::<f64>().map(|number| number * unit) {
        Ok(bytes) if (1.0..1e18).contains(&bytes) => Ok(Budget::Bytes(bytes as u64)),
        _ => Err("a budget is a number of bytes, for instance 50MB, or `full`".to_owned()),
    }
}

fn level(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(p) if p > 0.0 && p < 1.0 => Ok(p),
        _ => Err("a level lies between 0 and 1, for instance 0.001".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn definitions_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_verb_on_models_ends_its_help_with_examples() {
        for verb in ["compare", "blame", "inspect", "diff", "sketch", "rate", "serve", "standings"] {
            let mut command = Arguments::command();
            let help = command.find_subcommand_mut(verb).unwrap().render_long_help().to_string();
            assert_eq!(help.lines().filter(|l| l.trim_start().starts_with("stemmata ")).count(), 3, "{verb}");
        }
    }
}
