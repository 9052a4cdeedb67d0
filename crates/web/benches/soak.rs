//! Many voters at once, on this machine: how many votes a second, how long each request takes, is every acknowledged vote kept?
//!
//! `cargo bench -p stemmata-web --bench soak [-- --voters N --seconds N]`
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints its figures")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use support::{Client, Manner, QUICK, Server, endpoint, exported, two};

/// Milliseconds of every request, by kind, and what went wrong.
#[derive(Default)]
struct Tally {
    ask: Vec<f64>,
    page: Vec<f64>,
    vote: Vec<f64>,
    acknowledged: Vec<String>,
    refused: usize,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let option = |name: &str, default: u64| {
        let place = arguments.iter().position(|a| a == name);
        place.and_then(|p| arguments.get(p + 1)?.parse().ok()).unwrap_or(default)
    };
    let (voters, seconds) = (option("--voters", 200), option("--seconds", 60));
    let answer = Manner::says(&"a few words of an answer ".repeat(8));
    let folder = tempfile::tempdir().unwrap();
    let config = two(endpoint(answer.clone()), endpoint(answer), QUICK);
    let server = Server::start(folder.path(), &config);
    let address = server.address;
    let stop = Arc::new(AtomicBool::new(false));
    let started = Instant::now();
    let threads: Vec<_> = (0..voters)
        .map(|_| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || vote(address, &stop))
        })
        .collect();
    std::thread::sleep(Duration::from_secs(seconds));
    stop.store(true, Ordering::Relaxed);
    let mut all = Tally::default();
    for thread in threads {
        let one = thread.join().unwrap();
        all.ask.extend(one.ask);
        all.page.extend(one.page);
        all.vote.extend(one.vote);
        all.acknowledged.extend(one.acknowledged);
        all.refused += one.refused;
    }
    let elapsed = started.elapsed().as_secs_f64();
    let votes = exported(&server.database);
    let verified = stemmata_web::verify(votes.as_bytes(), None).unwrap();
    let kept: std::collections::HashSet<&str> =
        votes.lines().filter_map(|l| l.split("\"question_id\":\"").nth(1)?.get(..32)).collect();
    let lost = all.acknowledged.iter().filter(|battle| !kept.contains(battle.as_str())).count();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap_or("").trim();
    println!(
        "{voters} voters, {elapsed:.0} s: {} votes acknowledged ({:.0} a second), {} kept, {lost} lost, {} requests refused or broken",
        all.acknowledged.len(),
        all.acknowledged.len() as f64 / elapsed,
        verified.votes,
        all.refused
    );
    println!("milliseconds       median   95 %   99 %    most");
    for (name, times) in [("ask", &mut all.ask), ("page", &mut all.page), ("vote", &mut all.vote)] {
        times.sort_by(f64::total_cmp);
        let at = |share: f64| {
            times.get(((times.len() as f64 * share) as usize).min(times.len().max(1) - 1)).copied()
        };
        let [median, high, higher, most] = [0.5, 0.95, 0.99, 1.0].map(|share| at(share).unwrap_or(f64::NAN));
        println!("{name:<16} {median:>8.1} {high:>6.1} {higher:>6.1} {most:>7.1}");
    }
    println!("peak memory of server, endpoints and voters together: {peak}");
    server.stop();
    assert!(lost == 0 && !all.acknowledged.is_empty());
}

fn vote(address: std::net::SocketAddr, stop: &AtomicBool) -> Tally {
    let mut tally = Tally::default();
    let (mut client, token) = Client::new(address);
    let timed = |times: &mut Vec<f64>, started: Instant| times.push(started.elapsed().as_secs_f64() * 1000.0);
    while !stop.load(Ordering::Relaxed) {
        client.received.clear();
        let started = Instant::now();
        let asked = client.post("/ask", &[("token", &token), ("prompt", "Which one?")]);
        let Some(battle) = asked.header("location").map(str::to_owned) else {
            tally.refused += 1;
            std::thread::sleep(Duration::from_millis(100));
            continue;
        };
        timed(&mut tally.ask, started);
        let started = Instant::now();
        let page = client.get(&battle);
        if page.status != 200 {
            tally.refused += 1;
            continue;
        }
        timed(&mut tally.page, started);
        let vote_token = page.field("token");
        client.get(&format!("{battle}/events"));
        let started = Instant::now();
        let reply = client.post(&format!("{battle}/vote"), &[("token", &vote_token), ("choice", "tie")]);
        if reply.status == 303 {
            timed(&mut tally.vote, started);
            tally.acknowledged.push(battle.rsplit('/').next().unwrap_or_default().to_owned());
        } else {
            tally.refused += 1;
        }
    }
    tally
}
