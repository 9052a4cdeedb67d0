//! What hostile voters and endpoints send does nothing.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use support::{Client, Manner, QUICK, Server, endpoint, exported, two};

const MARKUP: &str = "</div><script>fetch('http://evil.example/')</script><img src=x onerror=alert(1)> <b>bold</b> &amp; \u{202e}";

fn start(folder: &std::path::Path) -> Server {
    let (one, other) = (endpoint(Manner::says(MARKUP)), endpoint(Manner::says("plain")));
    Server::start(folder, &two(one, other, QUICK))
}

#[test]
fn markup_in_questions_and_answers_stays_text_and_every_page_has_a_strict_policy() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let (mut client, token) = Client::new(server.address);
    let battle = client.ask(&token, MARKUP);
    let events = client.reveal(&battle);
    assert!(!events.contains("\n\ndata: {}\n\n"));
    let mut pages =
        vec![client.get(&battle), client.vote(&battle, "a"), client.get("/"), client.get("/nothing")];
    pages.push(client.get("/standings"));
    for page in &pages {
        assert!(!page.body.contains("<script>") && !page.body.contains("<img src=x"), "{}", page.body);
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"), "{policy}");
        assert!(!policy.contains("unsafe"));
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        for inline in ["src=\"http", "href=\"http", " style=", "<style"] {
            assert!(!page.body.contains(inline), "{}", page.body);
        }
    }
    assert!(pages[0].body.contains("&lt;script&gt;fetch"));
}

#[test]
fn votes_that_are_forged_replayed_or_sent_from_elsewhere_do_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let (mut client, token) = Client::new(server.address);
    let battle = client.ask(&token, "Whose?");
    let path = format!("{battle}/vote");
    let vote_token = client.get(&battle).field("token");
    client.reveal(&battle);
    let good = [("token", vote_token.as_str()), ("choice", "a")];

    // From another site, in each of the ways in which a browser says so.
    let own = format!("http://{}", server.address);
    for headers in [
        "origin: http://evil.example\r\n",
        "origin: null\r\n",
        "sec-fetch-site: cross-site\r\n",
        &format!("origin: {own}\r\nsec-fetch-site: same-site\r\n"),
    ] {
        assert_eq!(client.post_with(&path, &good, headers).status, 403, "{headers}");
        assert_eq!(client.post_with("/ask", &[("token", &token), ("prompt", "x")], headers).status, 403);
    }
    // Without the token, with that of another form, another battle or another voter.
    let (mut other, other_token) = Client::new(server.address);
    let others = other.ask(&other_token, "Mine?");
    let others_vote = other.get(&others).field("token");
    for forged in
        ["", "0", &token, &other_token, &others_vote, &"0".repeat(32), &vote_token.to_uppercase()[..31]]
    {
        assert_eq!(client.post(&path, &[("token", forged), ("choice", "a")]).status, 403, "{forged}");
    }
    // By another voter, with the right token or not; reading it does not work either.
    assert_eq!(other.post(&path, &good).status, 403);
    assert_eq!(other.get(&battle).status, 404);
    assert_eq!(other.get(&format!("{battle}/events")).status, 404);
    // With a made-up cookie, or none.
    for cookie in ["", "stemmata_voter=x", &format!("stemmata_voter={}.{}", "a".repeat(32), "b".repeat(32))] {
        let mut nobody = Client { cookie: cookie.to_owned(), ..client.clone() };
        assert_eq!(nobody.post(&path, &good).status, 403, "{cookie}");
    }
    // A choice that there is not.
    for choice in ["", "model_a", "c", "a'; DROP TABLE votes; --"] {
        assert_eq!(client.post(&path, &[("token", &vote_token), ("choice", choice)]).status, 400);
    }
    assert!(exported(&server.database).is_empty(), "nothing of that was counted");

    assert_eq!(client.post(&path, &good).status, 303);
    let counted = exported(&server.database);
    assert_eq!(counted.lines().count(), 1);
    // Sent again, also with another choice: the first one stays.
    assert_eq!(client.post(&path, &good).status, 303);
    assert_eq!(client.post(&path, &[("token", &vote_token), ("choice", "b")]).status, 303);
    assert_eq!(exported(&server.database), counted);
    // Reasons that there are not are left out.
    other.reveal(&others);
    let fields = [
        ("token", others_vote.as_str()),
        ("choice", "b"),
        ("reason", "<b>"),
        ("reason", "clear"),
        ("reason", "clear"),
    ];
    assert_eq!(other.post(&format!("{others}/vote"), &fields).status, 303);
    assert!(exported(&server.database).contains("\"reasons\":[\"clear\"]"));
}

#[test]
fn what_is_too_large_or_makes_no_sense_is_refused_and_the_server_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let (mut client, token) = Client::new(server.address);
    let ask = |client: &mut Client, prompt: &str| {
        client.post("/ask", &[("token", &token), ("prompt", prompt)]).status
    };
    assert_eq!(ask(&mut client, &"é".repeat(4000)), 303);
    assert_eq!(ask(&mut client, &"é".repeat(4001)), 413);
    assert_eq!(ask(&mut client, &"x".repeat(300_000)), 413);
    assert_eq!(ask(&mut client, " \n "), 400);
    assert_eq!(client.post("/ask", &[("token", &token), ("id", "nothing")]).status, 400);
    assert_eq!(
        client.send("POST /ask HTTP/1.0\r\ncontent-length: 99999999999\r\n\r\n", b"x").status / 100,
        4
    );
    for path in [
        "/battle/../../etc/passwd",
        "/battle/%2e%2e/a",
        "/battle/x/c",
        "/battle/x'%20OR%201=1",
        "/%00",
        "/standings/x",
    ] {
        assert_eq!(client.get(path).status, 404, "{path}");
    }
    for raw in [
        "GET / HTTP/9.9\r\n\r\n".to_owned(),
        "\0\0\0\0\r\n\r\n".to_owned(),
        format!("GET /{} HTTP/1.0\r\n\r\n", "a".repeat(100_000)),
        format!("GET / HTTP/1.0\r\ncookie: {}\r\n\r\n", "a".repeat(100_000)),
    ] {
        assert_ne!(client.send(&raw, &[]).status, 200);
    }
    assert_eq!(client.get("/").status, 200);
}

#[test]
fn nobody_asks_more_than_the_allowance() {
    let folder = tempfile::tempdir().unwrap();
    let limits = "[limits]\nvoter_battles_per_minute = 3\nbattles_per_minute = 5\n";
    let one = endpoint(Manner::says("a"));
    let server = Server::start(folder.path(), &two(one, one, limits));
    let (mut client, token) = Client::new(server.address);
    let ask =
        |client: &mut Client, token: &str| client.post("/ask", &[("token", token), ("prompt", "x")]).status;
    let statuses: Vec<u16> = (0..4).map(|_| ask(&mut client, &token)).collect();
    assert_eq!(statuses, [303, 303, 303, 429]);
    let (mut other, other_token) = Client::new(server.address);
    let statuses: Vec<u16> = (0..3).map(|_| ask(&mut other, &other_token)).collect();
    assert_eq!(statuses, [303, 303, 503]);
}

#[test]
fn connections_that_only_wait_are_closed_and_keep_nobody_out() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (endpoint(Manner::says("a")), endpoint(Manner::says("b")));
    let server = Server::start(
        folder.path(),
        &two(one, other, &QUICK.replace("[limits]\n", "[limits]\nconnections = 60\n")),
    );
    let started = Instant::now();
    // Heads that never end, bodies that never come, and connections that say nothing.
    let slow: Vec<TcpStream> = (0..50)
        .map(|i| {
            let mut stream = TcpStream::connect(server.address).unwrap();
            let start = match i % 3 {
                0 => "GET / HTTP/1.1\r\nhost: x\r\nx-a: ",
                1 => "POST /ask HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\ntoken=",
                _ => "",
            };
            stream.write_all(start.as_bytes()).unwrap();
            stream
        })
        .collect();
    let (mut client, token) = Client::new(server.address);
    let battle = client.ask(&token, "Still there?");
    client.reveal(&battle);
    client.vote(&battle, "b");
    assert!(started.elapsed() < Duration::from_secs(10));
    for mut stream in slow {
        stream.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
        let mut rest = Vec::new();
        let ended = stream.read_to_end(&mut rest);
        assert!(ended.is_ok() || rest.starts_with(b"HTTP/1.1 4"), "{ended:?}");
    }
    assert!(started.elapsed() < Duration::from_secs(60));
    assert_eq!(exported(&server.database).lines().count(), 1);
}

#[test]
fn an_endpoint_that_floods_stalls_or_lies_ends_in_a_void_battle() {
    let flood = Manner::says(&"flood ".repeat(20_000));
    let stalls = Manner { pause: Duration::from_secs(30), ..Manner::says("never") };
    let folder = tempfile::tempdir().unwrap();
    let config =
        two(endpoint(flood), endpoint(stalls), &QUICK.replace("answer_seconds = 20", "answer_seconds = 2"));
    let server = Server::start(folder.path(), &config);
    let (mut client, token) = Client::new(server.address);
    let started = Instant::now();
    let battle = client.ask(&token, "Quick!");
    assert!(client.reveal(&battle).contains("event: over"));
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    server.stop();
}
