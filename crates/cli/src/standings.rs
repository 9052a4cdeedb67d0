//! `standings`: which tables, what to make of them, the exit code.

use crate::run::{DONE, INCONCLUSIVE};
use clap::Args;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use stemmata_audit::{
    AbilityOptions, AuditError, Date, DrawnModel, Selection, StandingsSettings, Surveyed, TableError,
    TableInput, TableKind, VoteError,
};

pub(crate) const EXAMPLES: &str = "\
Examples:
  stemmata standings --benchmarks scores.csv@2026-08-01 --format html -o standings.html
  stemmata standings --ratings ratings.json@2025-12-11 --category full --models models.csv --regions regions.csv --best open
  stemmata standings --models registry.csv --drawn drawn.csv --reports compared/*.json --family meta-llama/Llama-3.1-8B

Tables are CSV with a header, or JSON; their columns (others are named and not used):
  benchmarks  model, task, score, items; harness, date, scale (full marks)
  ratings     model, rating, lower, upper; category, date
  snapshot    model; likes, downloads, downloads_all_time, trending, date
  models      model; organisation, licence, openness, base_model, released, stratum
  regions     organisation, country
  aliases     name, model
  drawn       family, model, stratum, members, drawn";

/// What can be asked of tables.
#[derive(Debug, Args)]
pub(crate) struct StandingsArguments {
    /// Scores of models on benchmarks; one scale is fitted to them. A date may follow the name: FILE@2026-08-01.
    #[arg(long, value_name = "FILE[@DATE]", num_args = 1.., value_parser = dated)]
    benchmarks: Vec<Dated>,
    /// Published ratings with 95 % intervals, for instance of an arena.
    #[arg(long, value_name = "FILE[@DATE]", num_args = 1.., value_parser = dated)]
    ratings: Vec<Dated>,
    /// Likes and downloads at one time or at several.
    #[arg(long, value_name = "FILE[@DATE]", num_args = 1.., value_parser = dated)]
    snapshot: Vec<Dated>,
    /// The registry: who published a model, under which licence, from which base.
    #[arg(long, value_name = "FILE[@DATE]", num_args = 1.., value_parser = dated)]
    models: Vec<Dated>,
    /// Where organisations are.
    #[arg(long, value_name = "FILE[@DATE]", num_args = 1.., value_parser = dated)]
    regions: Vec<Dated>,
    /// Other names of the same models.
    #[arg(long, value_name = "FILE[@DATE]", num_args = 1.., value_parser = dated)]
    aliases: Vec<Dated>,
    /// Saved reports of `compare --format json`: evidence on who builds on whom.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    reports: Vec<String>,
    /// Draw N members of each stratum of the registry (declared or not, and its column `stratum`) for comparison with the family, and
    /// write them as a table instead of standings.
    #[arg(long, value_name = "N", requires_all = ["models", "family"], conflicts_with_all = ["reports", "drawn"],
          value_parser = clap::value_parser!(u32).range(1..))]
    sample: Option<u32>,
    /// The table that `--sample` wrote: only comparisons of models that were drawn enter the count of the family.
    #[arg(long, value_name = "FILE", num_args = 1.., value_parser = dated)]
    drawn: Vec<Dated>,
    /// Which category to take where a table of ratings has several.
    #[arg(long, value_name = "NAME")]
    category: Option<String>,
    /// Take scores of this harness only; without it a task under two harnesses is two benchmarks.
    #[arg(long, value_name = "NAME")]
    harness: Option<String>,
    /// A set of models, for instance `open,country=us`: open, openness=, country=, organisation=. The best of the first set by rating
    /// is compared with the best of each other one.
    #[arg(long, value_name = "SET", value_parser = Selection::parse)]
    best: Vec<Selection>,
    /// Count this family; may be repeated. Without it, all that are named as a base.
    #[arg(long, value_name = "MODEL")]
    family: Vec<String>,
    /// Fix the ability of a model; to be given twice or not at all. Without it the mean is 0 and the standard deviation 1.
    #[arg(long, value_name = "NAME=VALUE", value_parser = crate::rate::anchor)]
    anchor: Vec<(String, f64)>,
    /// Confidence level of intervals and ranks.
    #[arg(long, value_name = "LEVEL", default_value_t = 0.95, value_parser = crate::rate::level)]
    level: f64,
    /// Weightings of the benchmarks to draw.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    weightings: u32,
    /// Seed of draws.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

/// A file and the date that it is of.
#[derive(Clone, Debug)]
pub(crate) struct Dated {
    name: String,
    date: Option<Date>,
}

fn dated(text: &str) -> Result<Dated, std::convert::Infallible> {
    // A name may contain the sign; a date is one only if it reads as one.
    let split = text.rsplit_once('@').and_then(|(name, date)| Some((name, Date::parse(date)?)));
    Ok(match split {
        Some((name, date)) if !name.is_empty() => Dated { name: name.to_owned(), date: Some(date) },
        _ => Dated { name: text.to_owned(), date: None },
    })
}

impl StandingsArguments {
    fn tables(&self) -> [(TableKind, &[Dated]); 7] {
        [
            (TableKind::Benchmarks, &self.benchmarks),
            (TableKind::Ratings, &self.ratings),
            (TableKind::Snapshot, &self.snapshot),
            (TableKind::Models, &self.models),
            (TableKind::Regions, &self.regions),
            (TableKind::Aliases, &self.aliases),
            (TableKind::Drawn, &self.drawn),
        ]
    }

    /// What is wrong with the arguments taken together.
    pub(crate) fn wrong(&self) -> Option<&'static str> {
        let content = [&self.benchmarks, &self.ratings, &self.snapshot, &self.models];
        if content.iter().all(|list| list.is_empty()) {
            return Some("no table: name one with --benchmarks, --ratings, --snapshot or --models");
        }
        if !self.anchor.is_empty() && self.anchor.len() != 2 {
            return Some("a scale is fixed by two anchors: --anchor A=100 --anchor B=150");
        }
        if self.best.len() == 1 {
            return Some(
                "--best compares: give it at least twice, for instance --best open --best open,country=us",
            );
        }
        None
    }
}

/// The sample that was asked for, as a table; nothing where standings were.
pub(crate) fn sample(
    arguments: &StandingsArguments,
    output: Option<&Path>,
) -> Result<Option<String>, AuditError> {
    let Some(each) = arguments.sample else { return Ok(None) };
    let list = stemmata_audit::draw_sample(inputs(arguments, output)?, &settings(arguments), each)?;
    Ok(Some(DrawnModel::table(&list, arguments.seed)))
}

/// Opens the tables and makes standings of them.
pub(crate) fn standings(
    arguments: &StandingsArguments,
    output: Option<&Path>,
) -> Result<(Surveyed, u8), AuditError> {
    let found = stemmata_audit::standings(inputs(arguments, output)?, &settings(arguments))?;
    let fitted = found.abilities.as_ref().is_none_or(|a| a.groups.iter().any(|g| g.scale.is_ok()));
    Ok((found, if fitted { DONE } else { INCONCLUSIVE }))
}

fn inputs(
    arguments: &StandingsArguments,
    output: Option<&Path>,
) -> Result<Vec<TableInput<'static>>, AuditError> {
    let mut inputs = Vec::new();
    for (kind, list) in arguments.tables() {
        for file in list {
            inputs.push(open(kind, &file.name, file.date.clone(), output)?);
        }
    }
    for name in &arguments.reports {
        inputs.push(open(TableKind::Report, name, None, output)?);
    }
    Ok(inputs)
}

fn settings(arguments: &StandingsArguments) -> StandingsSettings {
    let mut anchors = arguments.anchor.iter().cloned();
    StandingsSettings {
        ability: AbilityOptions {
            level: arguments.level,
            top: 1,
            anchors: anchors.next().zip(anchors.next()).map(|(a, b)| [a, b]),
            weightings: arguments.weightings,
            seed: arguments.seed,
        },
        category: arguments.category.clone(),
        harness: arguments.harness.clone(),
        best: arguments.best.clone(),
        families: arguments.family.clone(),
    }
}

fn open(
    kind: TableKind,
    name: &str,
    date: Option<Date>,
    output: Option<&Path>,
) -> Result<TableInput<'static>, AuditError> {
    let path = stemmata_audit::printable(name);
    let unread = |source| {
        let source = TableError::Text(VoteError::Io { line: 1, source });
        AuditError::Table { path: path.clone(), source }
    };
    let file = File::open(name).map_err(unread)?;
    if let (Some(output), Ok(input)) = (output, file.metadata())
        && output.metadata().is_ok_and(|o| (o.dev(), o.ino()) == (input.dev(), input.ino()))
    {
        let path = stemmata_audit::printable(&output.display().to_string());
        return Err(AuditError::OutputIsTable { path });
    }
    Ok(TableInput { kind, name: name.to_owned(), date, bytes: Box::new(file) })
}

/// The options that differ from their defaults.
pub(crate) fn words(arguments: &StandingsArguments) -> Vec<String> {
    let mut out = Vec::new();
    for (kind, list) in arguments.tables() {
        for file in list {
            let date = file.date.as_ref().map_or_else(String::new, |d| format!("@{d}"));
            out.push(format!("--{}={}{date}", kind.name(), file.name));
        }
    }
    out.extend(arguments.sample.map(|each| format!("--sample={each}")));
    out.extend(arguments.reports.iter().map(|name| format!("--reports={name}")));
    out.extend(arguments.category.iter().map(|name| format!("--category={name}")));
    out.extend(arguments.harness.iter().map(|name| format!("--harness={name}")));
    out.extend(arguments.best.iter().map(|set| format!("--best={}", set.text)));
    out.extend(arguments.family.iter().map(|name| format!("--family={name}")));
    out.extend(arguments.anchor.iter().map(|(name, value)| format!("--anchor={name}={value:?}")));
    if arguments.level != 0.95 {
        out.push(format!("--level={:?}", arguments.level));
    }
    if arguments.weightings != 10_000 {
        out.push(format!("--weightings={}", arguments.weightings));
    }
    if arguments.seed != 0 {
        out.push(format!("--seed={}", arguments.seed));
    }
    out
}
