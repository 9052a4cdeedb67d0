//! The server is killed while people vote: no vote that was acknowledged is lost, and the chain holds.
//!
//! Its own `main`: the server must be a process of its own to be killed, and this program is that process, too.
#![allow(clippy::print_stdout, reason = "a process tells its address, and the test its figures")]

mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use support::{Client, Manner, QUICK, database, endpoint, exported, two};

/// Set in the process that is the server: where its files lie.
const FOLDER: &str = "STEMMATA_TEST_CRASH_FOLDER";
const ROUNDS: usize = 4;
const VOTERS: usize = 8;

fn main() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return serve(Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    let quick = QUICK.replace("grid_milliseconds = 50", "grid_milliseconds = 1");
    let config = two(endpoint(Manner::says("one")), endpoint(Manner::says("two")), &quick);
    std::fs::write(folder.path().join("arena.toml"), config).unwrap();
    let mut acknowledged: Vec<String> = Vec::new();
    for round in 1..=ROUNDS {
        let (mut child, address) = start(folder.path());
        let stop = Arc::new(AtomicBool::new(false));
        let voters: Vec<_> = (0..VOTERS)
            .map(|_| {
                let stop = Arc::clone(&stop);
                std::thread::spawn(move || vote(address, &stop))
            })
            .collect();
        // Each time at another moment between an answer and the next vote.
        std::thread::sleep(Duration::from_millis(1000 + 137 * round as u64));
        child.kill().unwrap();
        stop.store(true, Ordering::Relaxed);
        child.wait().unwrap();
        for voter in voters {
            acknowledged.extend(voter.join().unwrap());
        }
        let votes = exported(&database(folder.path()));
        let verified = stemmata_web::verify(votes.as_bytes(), None).unwrap();
        for battle in &acknowledged {
            assert!(votes.contains(battle.as_str()), "the acknowledged vote on {battle} is lost");
        }
        assert!(verified.votes as usize >= acknowledged.len());
        assert!(acknowledged.len() >= round, "nobody voted");
        println!("killed {round} times: {} votes acknowledged, {} kept", acknowledged.len(), verified.votes);
    }
}

/// Votes until the server is gone; returns the battles of which a vote was acknowledged.
fn vote(address: std::net::SocketAddr, stop: &AtomicBool) -> Vec<String> {
    let mut counted = Vec::new();
    let (mut client, token) = Client::new(address);
    while !stop.load(Ordering::Relaxed) {
        let asked = client.post("/ask", &[("token", &token), ("prompt", "Which?")]);
        let Some(battle) = asked.header("location").map(str::to_owned) else { break };
        let page = client.get(&battle);
        if page.status != 200 {
            break;
        }
        let vote_token = page.field("token");
        let fields = [("token", vote_token.as_str()), ("choice", "a")];
        loop {
            let reply = client.post(&format!("{battle}/vote"), &fields);
            match reply.status {
                303 => counted.push(battle.rsplit('/').next().unwrap().to_owned()),
                // The answers are not there yet.
                409 => continue,
                _ => {}
            }
            break;
        }
    }
    counted
}

fn start(folder: &Path) -> (Child, std::net::SocketAddr) {
    let own = std::env::current_exe().unwrap();
    let mut child = Command::new(own).env(FOLDER, folder).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (child, line.trim().parse().unwrap())
}

fn serve(folder: &Path) {
    let config = stemmata_web::Config::open(&folder.join("arena.toml"), &|_| None).unwrap();
    let tell: stemmata_web::Tell = Arc::new(|line| {
        if let Some(rest) = line.strip_prefix("serving http://") {
            println!("{}", rest.trim_end_matches('/'));
        }
    });
    let settings = stemmata_web::Serve {
        config,
        listen: "127.0.0.1:0".parse().unwrap(),
        database: database(folder),
        key: Some(folder.join("votes.key")),
    };
    stemmata_web::serve(settings, &AtomicBool::new(false), &tell).unwrap();
}
