//! `rate`: what can be asked, the files of votes, the exit code.

use crate::run::{DONE, INCONCLUSIVE};
use clap::{Args, ValueEnum};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use stemmata_audit::{
    AuditError, PartBy, RateSettings, Rated, RatingOptions, TableError, VoteBytes, VoteError, VoteInput,
    VoteModel, VotePart, VoteStyle, Wanted,
};

pub(crate) const EXAMPLES: &str = "\
Examples:
  stemmata rate votes.csv --anchor mixtral-8x7b-instruct-v0.1=1114
  stemmata rate votes.jsonl --cluster evaluation_session_id --bootstrap 100 -o ratings.html
  stemmata rate votes.csv --model rao-kupper --json | jq .ratings

Columns of votes, as Chatbot Arena, evalica or compar:IA name them:
  model_a, model_b, winner   model_a, model_b, tie, tie (bothbad) or both_bad
  left, right, winner        left, right or tie
  model_a_name, model_b_name, chosen_model_name, both_equal
A column `count` says how many votes a row stands for.";

/// What can be asked of votes.
#[derive(Debug, Args)]
pub(crate) struct RateArguments {
    /// Files of votes: CSV, JSON Lines, or Parquet in a build with that feature; `-` is standard input. Several are read as one.
    #[arg(required = true)]
    votes: Vec<String>,
    /// How a vote comes about. With bradley-terry a tie is half a win for each; the others fit how often ties are.
    #[arg(long, value_enum, value_name = "MODEL", default_value_t = ModelName::BradleyTerry)]
    model: ModelName,
    /// Fix the rating of one contestant; without it the mean is 1000.
    #[arg(long, value_name = "NAME=VALUE", value_parser = anchor)]
    anchor: Option<(String, f64)>,
    /// Votes with the same value in this column depend on each other (session, user, prompt, item). May be given twice.
    #[arg(long, value_name = "COLUMN")]
    cluster: Vec<String>,
    /// What a vote that both are bad says of strength.
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = BothBad::Tie)]
    both_bad: BothBad,
    /// Fit the advantage of the first seat, and show ratings with and without it.
    #[arg(long)]
    position: bool,
    /// Fit a term of style: COLUMN holds the difference first minus second, or A,B the amounts a and b, used as (a-b)/(a+b). In
    /// JSON a dot leads into an object. May be repeated.
    #[arg(long, value_name = "NAME=COLUMN|A,B", value_parser = style)]
    style: Vec<(String, VoteStyle)>,
    /// Shrink the coefficients of position and styles: the penalty is LAMBDA/2 times their sum of squares, in votes. Without it
    /// there is none.
    #[arg(long, value_name = "LAMBDA", default_value_t = 0.0, value_parser = ridge)]
    ridge: f64,
    /// Confidence level of intervals and ranks.
    #[arg(long, value_name = "LEVEL", default_value_t = 0.95, value_parser = level)]
    level: f64,
    /// Also show how often a contestant is among the first N in draws from the distribution of the errors.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    top: u32,
    /// Also draw the clusters (or votes) anew N times and fit again.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    bootstrap: u32,
    /// Also decide pairs by their direct votes alone, in a way that holds however often one looks.
    #[arg(long)]
    sequential: bool,
    /// Also rate the votes of each value of this column by themselves.
    #[arg(long, value_name = "COLUMN", conflicts_with = "window")]
    by: Option<String>,
    /// Also rate the votes of each month, quarter or year by themselves, by the dates (or seconds since 1970) in a column.
    #[arg(long, value_name = "COLUMN=month|quarter|year", value_parser = window)]
    window: Option<(String, PartBy)>,
    /// Count each vote by the number in this column.
    #[arg(long, value_name = "COLUMN")]
    weight: Option<String>,
    /// Saved reports of `compare --format json`: contestants that they found to be identical count as one. May be repeated.
    #[arg(long, value_name = "FILE")]
    clones: Vec<String>,
    /// Also propose N pairs that further votes say the most on.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1000))]
    next_pairs: u32,
    /// Also run online Elo, whose numbers depend on the order of votes, over N random orders. For comparison only.
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "100", default_value_t = 0,
          value_parser = clap::value_parser!(u32).range(0..=10_000))]
    legacy_elo: u32,
    /// Seed of draws and samples.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ModelName {
    BradleyTerry,
    Davidson,
    RaoKupper,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum BothBad {
    /// As a tie.
    Tie,
    /// Nothing; it is counted beside the rating only.
    LeaveOut,
}

/// Opens the votes and rates.
pub(crate) fn rate(arguments: &RateArguments, output: Option<&Path>) -> Result<(Rated, u8), AuditError> {
    let mut inputs = Vec::with_capacity(arguments.votes.len());
    for name in &arguments.votes {
        let bytes = if name == "-" {
            VoteBytes::Stream(Box::new(std::io::stdin().lock()))
        } else {
            let path = stemmata_audit::printable(name);
            let unread =
                |source| AuditError::Votes { path: path.clone(), source: VoteError::Io { line: 1, source } };
            let file = File::open(name).map_err(unread)?;
            let metadata = file.metadata();
            if let (Some(output), Ok(input)) = (output, &metadata)
                && output.metadata().is_ok_and(|o| (o.dev(), o.ino()) == (input.dev(), input.ino()))
            {
                let path = stemmata_audit::printable(&output.display().to_string());
                return Err(AuditError::OutputIsVotes { path });
            }
            match metadata.is_ok_and(|m| m.is_file()) {
                true => VoteBytes::File(Box::new(file)),
                false => VoteBytes::Stream(Box::new(file)),
            }
        };
        inputs.push(VoteInput { name: name.clone(), bytes });
    }
    let settings = RateSettings {
        wanted: Wanted {
            clusters: arguments.cluster.clone(),
            styles: arguments.style.iter().map(|(_, style)| style.clone()).collect(),
            weight: arguments.weight.clone(),
            part: match (&arguments.by, &arguments.window) {
                (Some(column), _) => Some(VotePart { column: column.clone(), by: PartBy::Value }),
                (None, Some((column, by))) => Some(VotePart { column: column.clone(), by: *by }),
                (None, None) => None,
            },
        },
        clones: clones(&arguments.clones)?,
        legacy_elo: arguments.legacy_elo,
        options: RatingOptions {
            model: match arguments.model {
                ModelName::BradleyTerry => VoteModel::BradleyTerry,
                ModelName::Davidson => VoteModel::Davidson,
                ModelName::RaoKupper => VoteModel::RaoKupper,
            },
            drop_both_bad: arguments.both_bad == BothBad::LeaveOut,
            position: arguments.position,
            styles: arguments.style.iter().map(|(name, _)| name.clone()).collect(),
            ridge: arguments.ridge,
            anchor: arguments.anchor.clone(),
            level: arguments.level,
            bootstrap: arguments.bootstrap,
            top: arguments.top,
            sequential: arguments.sequential,
            next_pairs: arguments.next_pairs,
            seed: arguments.seed,
        },
    };
    #[cfg(feature = "parquet")]
    quiet_decoder();
    let rated = stemmata_audit::rate(inputs, &settings)?;
    let some = rated.standings.contestants.iter().any(|c| c.rating.is_some());
    Ok((rated, if some { DONE } else { INCONCLUSIVE }))
}

/// Panics of the Parquet decoder on damaged files are caught and become errors; what they would print says nothing to a user.
#[cfg(feature = "parquet")]
fn quiet_decoder() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !panic.location().is_some_and(|place| place.file().contains("/parquet-")) {
            usual(panic);
        }
    }));
}

fn clones(files: &[String]) -> Result<Vec<Vec<String>>, AuditError> {
    let mut reports = Vec::with_capacity(files.len());
    for name in files {
        let unread = |source| AuditError::Table {
            path: stemmata_audit::printable(name),
            source: TableError::Text(VoteError::Io { line: 1, source }),
        };
        let bytes = VoteBytes::Stream(Box::new(File::open(name).map_err(unread)?));
        reports.push(VoteInput { name: name.clone(), bytes });
    }
    stemmata_audit::clone_groups(reports)
}

/// The options that differ from their defaults, and the files.
pub(crate) fn words(arguments: &RateArguments) -> (Vec<String>, Vec<String>) {
    let mut options = Vec::new();
    let mut option = |given: bool, text: String| {
        if given {
            options.push(text);
        }
    };
    let RateArguments { votes, model, anchor, cluster, both_bad, position, style, .. } = arguments;
    option(*model == ModelName::Davidson, "--model=davidson".to_owned());
    option(*model == ModelName::RaoKupper, "--model=rao-kupper".to_owned());
    if let Some((name, value)) = anchor {
        option(true, format!("--anchor={name}={value:?}"));
    }
    cluster.iter().for_each(|column| option(true, format!("--cluster={column}")));
    option(*both_bad == BothBad::LeaveOut, "--both-bad=leave-out".to_owned());
    option(*position, "--position".to_owned());
    for (name, style) in style {
        option(
            true,
            match style {
                VoteStyle::Difference { column } => format!("--style={name}={column}"),
                VoteStyle::Contrast { first, second } => format!("--style={name}={first},{second}"),
            },
        );
    }
    option(arguments.ridge != 0.0, format!("--ridge={:?}", arguments.ridge));
    option(arguments.level != 0.95, format!("--level={:?}", arguments.level));
    option(arguments.top != 1, format!("--top={}", arguments.top));
    option(arguments.bootstrap != 0, format!("--bootstrap={}", arguments.bootstrap));
    option(arguments.sequential, "--sequential".to_owned());
    if let Some(column) = &arguments.by {
        option(true, format!("--by={column}"));
    }
    if let Some((column, by)) = &arguments.window {
        let by = match by {
            PartBy::Year => "year",
            PartBy::Quarter => "quarter",
            PartBy::Month | PartBy::Value => "month",
        };
        option(true, format!("--window={column}={by}"));
    }
    if let Some(column) = &arguments.weight {
        option(true, format!("--weight={column}"));
    }
    arguments.clones.iter().for_each(|file| option(true, format!("--clones={file}")));
    option(arguments.next_pairs != 0, format!("--next-pairs={}", arguments.next_pairs));
    option(arguments.legacy_elo != 0, format!("--legacy-elo={}", arguments.legacy_elo));
    option(arguments.seed != 0, format!("--seed={}", arguments.seed));
    (options, votes.clone())
}

pub(crate) fn anchor(text: &str) -> Result<(String, f64), String> {
    // Names may contain an equals sign, values cannot.
    let (name, value) = text.rsplit_once('=').ok_or("an anchor is a name and a value: NAME=1000")?;
    match value.parse::<f64>() {
        Ok(value) if value.is_finite() && !name.is_empty() => Ok((name.to_owned(), value)),
        _ => Err("an anchor is a name and a value: NAME=1000".to_owned()),
    }
}

fn window(text: &str) -> Result<(String, PartBy), String> {
    let wrong = "a window is a column and a length: COLUMN=month, COLUMN=quarter or COLUMN=year";
    let (column, by) = text.rsplit_once('=').ok_or(wrong)?;
    let by = match by {
        "month" => PartBy::Month,
        "quarter" => PartBy::Quarter,
        "year" => PartBy::Year,
        _ => return Err(wrong.to_owned()),
    };
    if column.is_empty() { Err(wrong.to_owned()) } else { Ok((column.to_owned(), by)) }
}

fn style(text: &str) -> Result<(String, VoteStyle), String> {
    let wrong = "a style is a name and one column or two: NAME=COLUMN or NAME=A,B";
    let (name, columns) = text.split_once('=').ok_or(wrong)?;
    if name.is_empty() || columns.split(',').any(str::is_empty) {
        return Err(wrong.to_owned());
    }
    let columns: Vec<&str> = columns.split(',').collect();
    let style = match columns.as_slice() {
        [column] => VoteStyle::Difference { column: (*column).to_owned() },
        [first, second] => VoteStyle::Contrast { first: (*first).to_owned(), second: (*second).to_owned() },
        _ => return Err(wrong.to_owned()),
    };
    Ok((name.to_owned(), style))
}

fn ridge(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(lambda) if (0.0..=1e15).contains(&lambda) => Ok(lambda),
        _ => Err("a ridge is a number of votes from 0 on, for instance 100".to_owned()),
    }
}

pub(crate) fn level(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(level) if (0.5..1.0).contains(&level) => Ok(level),
        _ => Err("a confidence level lies between 0.5 and 1, for instance 0.95".to_owned()),
    }
}
