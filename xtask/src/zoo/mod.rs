//! What the tool says of a labelled collection: `cargo xtask zoo --zoo DIR`.
//!
//! The directory holds `models/`, a list of every pair with its true relation (`pairs.csv`) and what each model was made by
//! (`manifest.json`). Nothing may be tuned on it: the command reports.

mod labels;
mod page;

use crate::calibration::{settings, side_by_side};
use crate::{Failure, no_more, take_option};
use labels::{Label, Zoo};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use stemmata_audit::{Direction, Kind, Settings, compare};

/// What was said of a pair; the candidate is the child where there is one.
#[derive(Clone)]
struct Seen {
    kind: Kind,
    relation: Option<&'static str>,
    direction: Direction,
}

/// A pair with its truth.
struct Outcome {
    label: Label,
    seen: Seen,
    /// The same with all other models of the collection named as relatives, where that was asked.
    with_relatives: Option<Seen>,
}

/// `zoo --zoo DIR [--out FILE] [--date TEXT]`.
pub(crate) fn run(options: &[String]) -> Result<(), Failure> {
    let mut options = options.to_vec();
    let folder = take_option(&mut options, "--zoo")?.ok_or("zoo needs --zoo DIR")?;
    let out = take_option(&mut options, "--out")?.unwrap_or_else(|| "docs/lineage-zoo.md".to_owned());
    let date = take_option(&mut options, "--date")?;
    no_more(&options)?;
    let folder = PathBuf::from(folder);
    let zoo = Zoo::read(&folder)?;
    let models = folder.join("models");
    let jobs: Vec<(usize, &Label)> = zoo.pairs.iter().enumerate().collect();
    let outcomes = side_by_side(&jobs, |&(at, label)| {
        let seen = look(&models, label, &[])?;
        let wanted = wants_relatives(at, label, &seen);
        let relatives = if wanted { zoo.others(label) } else { Vec::new() };
        let with_relatives =
            if relatives.is_empty() { None } else { Some(look(&models, label, &relatives)?) };
        Ok(Outcome { label: label.clone(), seen, with_relatives })
    })?;
    std::fs::write(&out, page::page(&zoo, &outcomes, date.as_deref()))?;
    println!("{} pairs: {out}", outcomes.len());
    Ok(())
}

/// One pair of siblings in so many is asked again beside relatives.
const SIBLINGS: usize = 8;

/// Where two models alone leave the order open: all parents and ancestors, and some siblings, by their place in the list.
fn wants_relatives(at: usize, label: &Label, seen: &Seen) -> bool {
    let depends = matches!(seen.kind, Kind::Related | Kind::Derived);
    let asked = match label.relation.as_str() {
        "derived" | "ancestor" => true,
        "siblings" => at.is_multiple_of(SIBLINGS),
        _ => false,
    };
    depends && asked && seen.direction == Direction::Unknown
}

fn look(models: &Path, label: &Label, relatives: &[String]) -> Result<Seen, String> {
    let stop = AtomicBool::new(false);
    let path = |name: &str| models.join(name).display().to_string();
    let relatives: Vec<String> = relatives.iter().map(|name| path(name)).collect();
    let settings = Settings { relatives: &relatives, ..settings(&stop) };
    let (candidate, reference) = (path(&label.candidate), path(&label.reference));
    let result = compare(&candidate, &reference, &settings, &mut |_| {});
    let verdict = result.map_err(|error| format!("{candidate}, {reference}: {error}"))?.judgement.verdict;
    Ok(Seen { kind: verdict.kind, relation: verdict.relation, direction: verdict.direction })
}
