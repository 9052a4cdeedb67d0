//! How much processor time do ratings with clustered errors take, from a table in memory?
//!
//! `cargo bench -p stemmata-rating --bench speed`: a million votes over 200 contestants, in sessions of five. With `--large` ten
//! million over 2,000; with `--table FILE` the votes that `benches/peers.py` wrote for every package.
#![allow(clippy::print_stdout, missing_docs, reason = "a benchmark prints")]

use rustix::time::{ClockId, clock_gettime};
use std::time::Instant;
use stemmata_rating::votes::{Outcome, Votes};
use stemmata_rating::{Options, Standings, rate};
use stemmata_stats::SplitMix64;

/// Votes of one session.
const SESSION: usize = 5;

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let after = |flag: &str| words.windows(2).find(|w| w[0] == flag).map(|w| w[1].as_str());
    let large = words.iter().any(|w| w == "--large");
    let table = match after("--table") {
        Some(path) => read(path),
        None if large => synthetic(10_000_000, 2000),
        None => synthetic(1_000_000, 200),
    };
    println!("{} votes, {} contestants, {} MiB with the table", table.len(), table.contestants.len(), peak());
    let times = if large { 1 } else { 3 };
    let unclustered = Votes { clusters: Vec::new(), ..table.clone() };
    time(times, "ratings, errors by vote", || rate(&unclustered, &Options::default()));
    drop(unclustered);
    time(times, "ratings, errors by session", || rate(&table, &Options::default()));
    println!("  {} MiB at most so far", peak());
    if !large {
        let sampled = Options { bootstrap: 100, ..Options::default() };
        time(times, "the same and 100 bootstraps of sessions", || rate(&table, &sampled));
        println!("  {} MiB at most", peak());
    }
}

fn time<E: std::fmt::Debug>(times: u32, what: &str, work: impl Fn() -> Result<Standings, E>) {
    for _ in 0..times {
        let (wall, cpu) = (Instant::now(), processor());
        let standings = work().expect("it rates");
        let (wall, cpu) = (wall.elapsed().as_secs_f64(), processor() - cpu);
        let first = &standings.contestants[0];
        let rating = first.rating.as_ref().expect("a rating");
        let scale = standings.components[0].scale.as_ref().and_then(|s| s.as_ref().ok()).expect("a scale");
        println!(
            "  {what:<42} {cpu:7.3} s CPU {wall:7.3} s wall   {} {:.3} ± {:.3}, {} steps, gradient {:.1e}",
            first.name, rating.value, rating.standard_error, scale.steps, scale.gradient
        );
    }
}

/// Strengths N(0, 0.65²), popularity 1/rank^0.6 in random order, ties by Rao and Kupper with η = 2, an advantage of 0.03 nats for
/// the first seat: as uneven as a real arena.
fn synthetic(votes: usize, contestants: usize) -> Votes {
    let mut random = SplitMix64::new(7);
    let strengths: Vec<f64> = (0..contestants).map(|_| 0.65 * random.normal()).collect();
    let mut popularity: Vec<f64> = (1..=contestants).map(|k| (k as f64).powf(-0.6)).collect();
    random.shuffle(&mut popularity);
    let mut ends = Vec::with_capacity(contestants);
    let mut sum = 0.0;
    for p in &popularity {
        sum += p;
        ends.push(sum);
    }
    let draw = |random: &mut SplitMix64| {
        let at = random.uniform() * sum;
        ends.partition_point(|end| *end <= at).min(contestants - 1)
    };
    let mut table = empty(contestants, votes);
    for _ in 0..votes {
        let first = draw(&mut random);
        let second = loop {
            let second = draw(&mut random);
            if second != first {
                break second;
            }
        };
        let d = strengths[first] - strengths[second];
        let win = 1.0 / (1.0 + 2.0 * (-d - 0.03).exp());
        let loss = 1.0 / (1.0 + 2.0 * (d + 0.03).exp());
        let u = random.uniform();
        table.first.push(first as u32);
        table.second.push(second as u32);
        table.outcome.push(if u < win {
            Outcome::First
        } else if u < win + loss {
            Outcome::Second
        } else {
            Outcome::Tie
        });
    }
    table
}

/// Rows of nine bytes: first, second (both u32, little endian), 0 tie, 1 first or 2 second.
fn read(path: &str) -> Votes {
    let bytes = std::fs::read(path).expect("the table is there");
    let (rows, _) = bytes.as_chunks::<9>();
    let number = |b: &[u8]| u32::from_le_bytes(b.try_into().expect("four bytes"));
    let contestants = rows.iter().map(|r| number(&r[..4]).max(number(&r[4..8]))).max().expect("votes") + 1;
    let mut table = empty(contestants as usize, rows.len());
    for row in rows {
        table.first.push(number(&row[..4]));
        table.second.push(number(&row[4..8]));
        table.outcome.push([Outcome::Tie, Outcome::First, Outcome::Second][usize::from(row[8])]);
    }
    table
}

fn empty(contestants: usize, votes: usize) -> Votes {
    Votes {
        contestants: (0..contestants).map(|i| format!("model-{i:04}")).collect(),
        clusters: vec![(0..votes).map(|row| (row / SESSION) as u32).collect()],
        ..Votes::default()
    }
}

fn processor() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// Peak resident memory, MiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|l| l.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()).map_or(0, |kb| kb / 1024)
}
