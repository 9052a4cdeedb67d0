//! What relatives say of which model came first, on lines whose order is known: `cargo xtask relatives`.
//!
//! The directory is one that `calibrate-lines` wrote. Every pair of models that share training is compared among the other models of its line,
//! and once more without the ancestors that both have.

use crate::{Failure, no_more, take_option};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use stemmata_audit::{Direction, Settings, compare, is_no_ancestor};

/// A model by what its name says: `llama-l00.tuned.back` was trained on `llama-l00.tuned`, `llama-l00-order` shares its base's start.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Model {
    line: String,
    /// Trainings after the base; `None` where only the start is shared.
    trained: Option<Vec<String>>,
}

impl Model {
    fn new(name: &str) -> Model {
        let mut parts = name.split('.');
        let base = parts.next().unwrap_or_default();
        let line: Vec<&str> = base.splitn(3, '-').collect();
        let trained = (line.len() < 3).then(|| parts.map(str::to_owned).collect());
        Model { line: line[..line.len().min(2)].join("-"), trained }
    }

    fn is_ancestor_of(&self, other: &Model) -> bool {
        match (&self.trained, &other.trained) {
            (Some(ours), Some(theirs)) => theirs.len() > ours.len() && theirs.starts_with(ours),
            _ => false,
        }
    }
}

/// What a pair is, and who was there to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Row {
    /// The reference is the candidate's parent.
    Parent,
    /// Or the parent's parent.
    Grandparent,
    /// A common ancestor, which is among the relatives.
    Siblings,
    /// A common ancestor, and none is among the relatives.
    Orphans,
    /// The same, and the relatives share only the start.
    Alone,
}

impl Row {
    fn name(self) -> &'static str {
        match self {
            Row::Parent => "parent and child",
            Row::Grandparent => "grandparent and grandchild",
            Row::Siblings => "siblings, an ancestor of both among the relatives",
            Row::Orphans => "siblings, no ancestor of both among the relatives",
            Row::Alone => "siblings, no relatives but of the same start",
        }
    }
}

struct Job {
    row: Row,
    candidate: String,
    reference: String,
    relatives: Vec<String>,
}

/// `relatives [--lines DIR] [--out FILE] [--date TEXT]`.
pub(crate) fn run(options: &[String]) -> Result<(), Failure> {
    let mut options = options.to_vec();
    let lines = take_option(&mut options, "--lines")?.unwrap_or_else(|| "target/lines".to_owned());
    let out = take_option(&mut options, "--out")?;
    let date = take_option(&mut options, "--date")?.unwrap_or_default();
    no_more(&options)?;
    let jobs = jobs(Path::new(&lines))?;
    let outcomes = Mutex::new(vec![None; jobs.len()]);
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let work = || {
        while let Some((i, job)) =
            Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|i| Some((i, jobs.get(i)?)))
        {
            let settings = Settings { threads: 1, relatives: &job.relatives, ..Settings::new(&stop) };
            let outcome = compare(&job.candidate, &job.reference, &settings, &mut |_| {});
            let said = outcome
                .map(|o| (o.judgement.verdict.direction, o.judgement.verdict.cue))
                .map_err(|e| e.to_string());
            outcomes.lock().expect("no worker panics")[i] = Some(said);
        }
    };
    std::thread::scope(|scope| [scope.spawn(work), scope.spawn(work)].map(|worker| worker.join().is_ok()));
    let mut counts: BTreeMap<Row, [usize; 3]> = BTreeMap::new();
    for (job, said) in jobs.iter().zip(outcomes.into_inner().expect("no worker panics")) {
        let (direction, cue) = said.ok_or("a worker ended early")??;
        let truly = matches!(job.row, Row::Parent | Row::Grandparent);
        let place = match direction {
            Direction::Unknown => 2,
            Direction::CandidateFromReference if truly => 0,
            _ => 1,
        };
        if place == 1 {
            println!("{}: {} {}: {}", job.row.name(), job.candidate, job.reference, cue.unwrap_or_default());
        }
        counts.entry(job.row).or_default()[place] += 1;
    }
    let mut table = table(&counts, &date);
    let excluded = exclusions(Path::new(&lines), &stop)?;
    for (name, [of, all]) in ["an ancestor of both", "no ancestor of both"].into_iter().zip(excluded) {
        let _ = writeln!(table, "{name}: {of} of {all} excluded");
    }
    print!("{table}");
    if let Some(out) = out {
        std::fs::write(PathBuf::from(out), table)?;
    }
    Ok(())
}

fn models(directory: &Path) -> Result<BTreeSet<(Model, String)>, Failure> {
    let mut models = BTreeSet::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        models.insert((Model::new(&name), entry.path().to_string_lossy().into_owned()));
    }
    Ok(models)
}

fn jobs(directory: &Path) -> Result<Vec<Job>, Failure> {
    let models = models(directory)?;
    let mut jobs = Vec::new();
    for (candidate, path) in &models {
        for (reference, other) in models.iter().filter(|(m, _)| m.line == candidate.line) {
            let related = candidate.trained.as_ref().zip(reference.trained.as_ref());
            let Some((ours, theirs)) = related.filter(|(ours, theirs)| ours != theirs) else { continue };
            let without = |keep: &dyn Fn(&Model) -> bool| -> Vec<String> {
                let line = models.iter().filter(|(m, p)| m.line == candidate.line && p != path && p != other);
                line.filter(|(m, _)| keep(m)).map(|(_, path)| path.clone()).collect()
            };
            let mut add = |row, relatives| {
                let (candidate, reference) = (path.clone(), other.clone());
                jobs.push(Job { row, candidate, reference, relatives });
            };
            if reference.is_ancestor_of(candidate) {
                let row = if ours.len() == theirs.len() + 1 { Row::Parent } else { Row::Grandparent };
                add(row, without(&|_| true));
            } else if !candidate.is_ancestor_of(reference) && path < other {
                add(Row::Siblings, without(&|_| true));
                add(
                    Row::Orphans,
                    without(&|m| !(m.is_ancestor_of(candidate) && m.is_ancestor_of(reference))),
                );
                add(Row::Alone, without(&|m| m.trained.is_none()));
            }
        }
    }
    Ok(jobs)
}

/// Of models that are ancestors of two others, and of those that are not: how many are excluded as such, and how many there are.
fn exclusions(directory: &Path, stop: &AtomicBool) -> Result<[[usize; 2]; 2], Failure> {
    let models = models(directory)?;
    let trained: Vec<&(Model, String)> = models.iter().filter(|(m, _)| m.trained.is_some()).collect();
    let settings = Settings { threads: 1, ..Settings::new(stop) };
    let mut counts = [[0; 2]; 2];
    for (centre, path) in &trained {
        let others: Vec<_> = trained.iter().filter(|(m, _)| m.line == centre.line && m != centre).collect();
        for (i, (first, one)) in others.iter().enumerate() {
            for (second, other) in &others[i + 1..] {
                let row = usize::from(!(centre.is_ancestor_of(first) && centre.is_ancestor_of(second)));
                counts[row][0] += usize::from(is_no_ancestor(path, [one, other], &settings)?);
                counts[row][1] += 1;
            }
        }
    }
    Ok(counts)
}

fn table(counts: &BTreeMap<Row, [usize; 3]>, date: &str) -> String {
    let mut out = format!(
        "<!-- cargo xtask relatives, {date} -->\n| pair | pairs | right | wrong | no direction |\n|---|---:|---:|---:|---:|\n"
    );
    for (row, [right, wrong, unknown]) in counts {
        let _ =
            writeln!(out, "| {} | {} | {right} | {wrong} | {unknown} |", row.name(), right + wrong + unknown);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_who_came_from_whom() {
        let [base, child, grandchild, apart] =
            ["gpt2-l01", "gpt2-l01.tuned", "gpt2-l01.tuned.back", "gpt2-l01-order"].map(Model::new);
        assert!(
            base.is_ancestor_of(&child)
                && base.is_ancestor_of(&grandchild)
                && child.is_ancestor_of(&grandchild)
        );
        assert!(
            !child.is_ancestor_of(&base) && !base.is_ancestor_of(&apart) && !apart.is_ancestor_of(&child)
        );
        assert_eq!((apart.line.as_str(), apart.trained), ("gpt2-l01", None));
    }
}
