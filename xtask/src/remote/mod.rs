//! Studies of remote reading: does a sample of a large model give the verdict of all of it, and how much memory does that take?

#[path = "../../../crates/source/tests/hub/mod.rs"]
mod hub;
mod memory;
mod synthetic;

use crate::Failure;
use hub::{Faults, Hub, Manners};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use stemmata_audit::{Access, Budget, Comparison, SearchMode, Settings, compare};
use synthetic::{LLAMA_8B, Recipe, repository, table};

pub(crate) use memory::run as memory;

/// Compares a synthetic 8B pair and an independent one, under budgets and, with `--full`, in full; prints a table.
pub(crate) fn run(options: &[String]) -> Result<(), Failure> {
    let full = match options {
        [] => false,
        [one] if one == "--full" => true,
        _ => return Err(Failure::Usage("`remote` takes `--full` and nothing else".to_owned())),
    };
    let table = table();
    let of = |seed, noise| repository(&LLAMA_8B, Recipe { seed, noise }, &table);
    let repositories =
        [("acme/base", of(1, None)), ("acme/child", of(1, Some(2))), ("acme/other", of(3, None))];
    println!(
        "| candidate | budget | fetched of each | ranges | in flight | seconds | verdict | log10 p | smallest share |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let sampled = [4, 8, 16, 32, 64].map(|megabytes| Budget::Bytes(megabytes * 1_000_000));
    for candidate in ["acme/child", "acme/other"] {
        for budget in sampled.into_iter().chain(full.then_some(Budget::Full)) {
            let served: BTreeMap<String, hub::Repository> =
                repositories.iter().map(|(name, r)| ((*name).to_owned(), r.clone())).collect();
            let hub = Hub::start(served, Faults::default(), Manners::default());
            let started = Instant::now();
            let result = one(&hub, candidate, budget)?;
            let verdict = &result.judgement.verdict;
            let fetched = hub.sent("acme/base").max(hub.sent(candidate));
            let count = |n: &std::sync::atomic::AtomicU64| n.load(Ordering::Relaxed);
            println!(
                "| {candidate} | {} | {:.1} MB | {} | {} | {:.1} | {} {} | {:.1} | {} |",
                match budget {
                    Budget::Bytes(bytes) => format!("{} MB", bytes / 1_000_000),
                    _ => "full".to_owned(),
                },
                fetched as f64 / 1e6,
                count(&hub.counts().ranges),
                count(&hub.counts().most_at_once),
                started.elapsed().as_secs_f64(),
                verdict.kind.name(),
                verdict.relation.unwrap_or(""),
                verdict.log10_p,
                verdict.power.map_or_else(|| "–".to_owned(), |p| format!("{:.4}", p.smallest_share)),
            );
        }
    }
    Ok(())
}

fn one(hub: &Hub, candidate: &str, budget: Budget) -> Result<Comparison, Failure> {
    let stop = AtomicBool::new(false);
    let access =
        Access { offline: false, hub: hub.url.clone(), pause: Duration::from_millis(5), ..Access::default() };
    let settings = Settings {
        access: Some(&access),
        budget,
        threads: 0,
        // A search reads again what a full comparison has read, and the budgets leave it out.
        search: SearchMode::Never,
        ..crate::calibration::settings(&stop)
    };
    Ok(compare(&format!("hf:{candidate}"), "hf:acme/base", &settings, &mut |_| {})?)
}
