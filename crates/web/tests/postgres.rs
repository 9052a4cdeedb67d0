//! Two servers of pages on one PostgreSQL database: one chain, every acknowledged vote in it, nothing counted twice.
//!
//! Needs a server: `STEMMATA_TEST_POSTGRES=postgres://user@localhost/name`; the other tests of this room use it, too, where it is named.
#![cfg(feature = "postgres")]
#![allow(clippy::print_stdout, reason = "a test that is skipped says why, and one that runs its figures")]

mod support;

use std::time::{Duration, Instant};
use stemmata_web::Database;
use support::{Client, Manner, POSTGRES, QUICK, Server, endpoint, exported, two};

const VOTERS: usize = 8;

fn named() -> Option<String> {
    let address = std::env::var(POSTGRES).ok();
    if address.is_none() {
        println!("skipped: no PostgreSQL server is named in {POSTGRES}");
    }
    address
}

/// Votes until the time is over; returns the battles of which a vote was acknowledged.
fn votes(server: &Server, until: Instant) -> Vec<String> {
    let (mut client, token) = Client::new(server.address);
    let mut counted = Vec::new();
    while Instant::now() < until {
        let battle = client.ask(&token, "Which?");
        client.reveal(&battle);
        client.vote(&battle, "a");
        counted.push(battle.rsplit('/').next().unwrap().to_owned());
    }
    counted
}

#[test]
fn two_servers_add_to_one_chain() {
    if named().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let quick = QUICK.replace("grid_milliseconds = 50", "grid_milliseconds = 1");
    let config = two(endpoint(Manner::says("one")), endpoint(Manner::says("two")), &quick);
    let servers = [Server::start(folder.path(), &config), Server::start(folder.path(), &config)];
    let until = Instant::now() + Duration::from_secs(4);
    let acknowledged: Vec<String> = std::thread::scope(|scope| {
        let each = (0..2 * VOTERS).map(|i| {
            scope.spawn({
                let server = &servers[i % 2];
                move || votes(server, until)
            })
        });
        let running: Vec<_> = each.collect();
        running.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let export = exported(&servers[0].database);
    let verified = stemmata_web::verify(export.as_bytes(), None).unwrap();
    assert_eq!(verified.votes as usize, acknowledged.len());
    assert!(acknowledged.iter().all(|battle| export.contains(battle.as_str())));
    println!("two servers, {} voters, 4 s: {} votes acknowledged, one chain", 2 * VOTERS, acknowledged.len());

    // A battle asked at one server, voted on at the other; then the same form again at both, and forged ones.
    let (mut here, token) = Client::new(servers[0].address);
    let mut there = Client { address: servers[1].address, ..here.clone() };
    let battle = here.ask(&token, "Which?");
    there.reveal(&battle);
    let form = there.get(&battle).field("token");
    let vote = |client: &mut Client, token: &str| {
        client.post(&format!("{battle}/vote"), &[("token", token), ("choice", "b")]).status
    };
    assert_eq!(vote(&mut there, &form), 303);
    for _ in 0..3 {
        vote(&mut here, &form);
        vote(&mut there, &form);
    }
    let (mut stranger, foreign) = Client::new(servers[1].address);
    for token in [form.as_str(), foreign.as_str(), "", &"0".repeat(32)] {
        assert_ne!(vote(&mut stranger, token), 303, "{token}");
    }
    let after = stemmata_web::verify(exported(&servers[1].database).as_bytes(), None).unwrap();
    assert_eq!(after.votes, verified.votes + 1);
    assert!(there.get("/standings").body.contains("votes"));
}

#[test]
fn what_is_no_database_of_ours_is_refused_and_secrets_are_not_shown() {
    let Some(address) = named() else { return };
    let refusal = |address: &str| {
        let database = Database::new(address.into(), Some("hush-hush".to_owned()));
        let error = stemmata_web::export(&database, stemmata_web::Voters::All, &mut Vec::new()).unwrap_err();
        let text = error.to_string();
        assert!(!text.contains("hush"), "{text}");
        text
    };
    assert!(refusal(&address).contains("no votes of this program"), "{}", refusal(&address));
    let far = refusal("postgres://me:hush-hush@192.0.2.1/votes");
    assert!(far.contains("192.0.2.1/votes") && far.contains("not be encrypted"), "{far}");
    assert!(refusal("postgres://me:hush-hush@localhost:1/votes").contains("localhost:1/votes"));
    assert!(refusal("postgres://me:hush-hush@localhost:x/votes").contains("no address"));
}
