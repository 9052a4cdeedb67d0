//! Whole battles: nothing says who answers before the vote, everything can be checked after it.

mod support;

use sha2::{Digest, Sha256};
use std::time::Duration;
use support::{Client, Manner, QUICK, Server, between, endpoint, exported, identities, two};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The command on the page, undone: the text between the quotes of `printf`.
fn opening(page: &str) -> String {
    let shown = between(page, "printf '%s' '", "' | sha256sum");
    shown.replace("&quot;", "\"").replace("&#39;", "'").replace("&amp;", "&")
}

#[test]
fn twenty_battles_with_a_slow_and_a_failing_endpoint() {
    let slow = Manner {
        pause: Duration::from_millis(15),
        ..Manner::says("I am slow, made by Acme, but I know it is 4.")
    };
    let failing = Manner { breaks: 2, ..Manner::says("As Umbrella 12B by OpenAI I say: five of them!") };
    let folder = tempfile::tempdir().unwrap();
    let words = "identity_words = ['Acme', 'Umbrella 12B']\n";
    let server =
        Server::start(folder.path(), &two(endpoint(slow), endpoint(failing), &format!("{words}{QUICK}")));
    let (mut client, token) = Client::new(server.address);
    let mut sides = [0, 0];
    for round in 0..20 {
        client.received.clear();
        let battle = client.ask(&token, "How many?");
        let before = client.get(&battle);
        assert!(before.body.contains(" hidden>"), "no vote before both answers are there");
        let seal = between(&before.body, "Sealed draw: <span class=\"digest\">", "<").to_owned();
        let events = client.reveal(&battle);
        assert!(events.ends_with("event: done\ndata: {}\n\n"), "{events}");
        let complete = client.get(&battle);
        assert!(complete.body.contains("it is 4.") && complete.body.contains("five of them!"));
        assert_eq!(complete.body.matches('█').count(), 12, "three names are covered");
        assert_eq!(identities(&client.received), Vec::<&str>::new(), "round {round}");
        let choice = ["a", "b", "tie", "bad"][round % 4];
        let after = client.vote(&battle, choice);
        let opening = opening(&after.body);
        assert_eq!(hex(&Sha256::digest(&opening)), seal);
        let draw: stemmata_web::Draw = serde_json::from_str(&opening).unwrap();
        sides[usize::from(draw.model_a == "umbrella-12b")] += 1;
        let slow_left = complete.body.find("it is 4.").unwrap() < complete.body.find("five of").unwrap();
        assert_eq!(slow_left, draw.model_a == "acme/nova-7b", "answers stand where the draw says");
        assert!(after.body.contains("acme/nova-7b") && after.body.contains("umbrella-12b"));
    }
    // One side always left has probability 2^-19.
    assert!(sides[0] > 0 && sides[1] > 0, "{sides:?}");

    let votes = exported(&server.database);
    assert_eq!(stemmata_web::verify(votes.as_bytes(), None).unwrap().votes, 20);
    let input = stemmata_audit::VoteInput {
        name: "votes.jsonl".to_owned(),
        bytes: stemmata_audit::VoteBytes::Stream(Box::new(votes.as_bytes())),
    };
    let mut settings = stemmata_audit::RateSettings::default();
    settings.wanted.clusters = vec!["judge".to_owned()];
    let rated = stemmata_audit::rate(vec![input], &settings).unwrap();
    assert_eq!((rated.standings.votes, rated.standings.contestants.len()), (20, 2));
    let board = client.get("/standings");
    assert_eq!(board.status, 200);
    for part in ["acme/nova-7b", "Who against whom", "Votes over time", "20 votes, the last"] {
        assert!(board.body.contains(part), "{part}");
    }
    server.stop();
}

#[test]
fn both_sides_are_shown_in_step_however_long_they_are() {
    let long = Manner { pause: Duration::from_millis(2), ..Manner::says(&"word ".repeat(200)) };
    let config = two(endpoint(long), endpoint(Manner::says("short")), QUICK)
        .replace("characters_per_second = 100000", "characters_per_second = 1000");
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &config);
    let (mut client, token) = Client::new(server.address);
    let battle = client.ask(&token, "Say something.");
    let events = client.reveal(&battle);
    let pieces: Vec<serde_json::Value> = events
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    let of = |side: &str| {
        pieces.iter().map(|p| p[side].as_str().unwrap_or("").chars().count()).collect::<Vec<_>>()
    };
    let (mut a, mut b) = (of("a"), of("b"));
    if a.iter().sum::<usize>() < b.iter().sum() {
        std::mem::swap(&mut a, &mut b);
    }
    assert_eq!((a[..9].to_vec(), a[9]), (vec![100; 9], 99), "999 characters, trimmed");
    assert_eq!((b[0], b[1..].iter().sum::<usize>()), (5, 0));
    // A reader that lost the connection goes on where it was.
    let again = client.send(
        &format!(
            "GET {battle}/events HTTP/1.0\r\nhost: x\r\ncookie: {}\r\nlast-event-id: 900\r\n\r\n",
            client.cookie.clone()
        ),
        &[],
    );
    assert_eq!(again.body.matches("event: piece").count(), 1, "{}", again.body);
}

#[test]
fn a_battle_that_fails_says_of_neither_side_that_it_failed() {
    let broken = endpoint(Manner { breaks: 1, ..Manner::says("never to be seen") });
    let config = two(
        endpoint(Manner::says("whole")),
        broken,
        &QUICK.replace("[limits]\n", "[limits]\nattempts = 2\n"),
    );
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &config);
    let (mut client, token) = Client::new(server.address);
    for _ in 0..6 {
        let battle = client.ask(&token, "Anybody there?");
        assert!(client.reveal(&battle).contains("event: over"));
        let page = client.get(&battle);
        assert!(page.body.contains("the draw is void"), "{}", page.body);
        assert!(!page.body.contains("whole") && !page.body.contains("never to be"));
        let vote = client.post(&format!("{battle}/vote"), &[("token", "0"), ("choice", "a")]);
        assert_eq!(vote.status, 403);
        let again =
            client.post("/ask", &[("token", &page.field("token")), ("prompt", &page.field("prompt"))]);
        assert_eq!(again.status, 303);
    }
    assert_eq!(identities(&client.received), Vec::<&str>::new());
    let board = client.get("/standings").body;
    assert!(board.contains("umbrella-12b: ") && board.contains("No votes have been counted yet"), "{board}");
    server.stop();
    assert!(exported(&support::database(folder.path())).is_empty());
}

/// A picture of one point, with a description that names its maker.
fn picture(shade: u8) -> Vec<u8> {
    let chunk = |kind: &[u8], body: &[u8]| {
        [&(body.len() as u32).to_be_bytes()[..], kind, body, &[0, 0, 0, 0]].concat()
    };
    let header = [0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0];
    [
        b"\x89PNG\r\n\x1a\n".to_vec(),
        chunk(b"IHDR", &header),
        chunk(b"tEXt", b"Software\0umbrella-12b"),
        chunk(b"IDAT", &[0, shade]),
        chunk(b"IEND", &[]),
    ]
    .concat()
}

#[test]
fn recorded_pictures_are_judged_without_their_descriptions_and_checks_find_the_careless() {
    let folder = tempfile::tempdir().unwrap();
    for (name, shade) in [("one", 1), ("two", 2), ("good", 3), ("bad", 4)] {
        std::fs::create_dir_all(folder.path().join(name)).unwrap();
        std::fs::write(folder.path().join(name).join("cat.png"), picture(shade)).unwrap();
    }
    let config = format!(
        "{QUICK}[gold]\nshare = 0.5\n\
         [[prompt]]\nid = 'cat'\ntext = 'A cat'\nmedium = 'image'\n\
         [[check]]\nprompt = 'cat'\nbetter = 'good/cat.png'\nworse = 'bad/cat.png'\n\
         [[contestant]]\nname = 'acme/nova-7b'\nmedium = 'image'\ndirectory = 'one'\n\
         [[contestant]]\nname = 'umbrella-12b'\nmedium = 'image'\ndirectory = 'two'\n"
    );
    let server = Server::start(folder.path(), &config);
    let (mut client, token) = Client::new(server.address);
    let (mut checks, mut plain) = (0, 0);
    // Fewer than three of either kind in 40 have probability 2e-9.
    for _ in 0..40 {
        client.received.clear();
        let reply = client.post("/ask", &[("token", &token), ("id", "cat")]);
        let battle = reply.header("location").unwrap().to_owned();
        assert!(client.reveal(&battle).ends_with("event: done\ndata: {}\n\n"));
        let page = client.get(&battle);
        assert!(page.body.contains(&format!("src=\"{battle}/a\"")));
        for side in ["a", "b"] {
            let picture = client.get(&format!("{battle}/{side}"));
            assert_eq!(picture.header("content-type"), Some("image/png"));
            assert!(page.body.contains("A cat"), "a check is on the question that was asked");
        }
        assert_eq!(identities(&client.received), Vec::<&str>::new());
        let after = client.vote(&battle, "tie").body;
        if after.contains("This was a check") { checks += 1 } else { plain += 1 }
    }
    assert!(checks >= 3 && plain >= 3);
    let battle =
        client.post("/ask", &[("token", &token), ("id", "cat")]).header("location").unwrap().to_owned();
    client.reveal(&battle);
    let whole =
        client.get(&format!("{battle}/a")).header("content-length").unwrap().parse::<usize>().unwrap();
    for (range, status, length) in [
        ("bytes=0-", 206, whole),
        ("bytes=2-5", 206, 4),
        ("bytes=-3", 206, 3),
        ("bytes=9999-", 416, 0),
        ("x", 200, whole),
    ] {
        let head = format!(
            "GET {battle}/a HTTP/1.0\r\nhost: x\r\ncookie: {}\r\nrange: {range}\r\n\r\n",
            client.cookie.clone()
        );
        let part = client.send(&head, &[]);
        let found = part.header("content-length").map(|n| n.parse::<usize>().unwrap());
        assert_eq!((part.status, found), (status, Some(length)), "{range}");
    }
    let board = client.get("/standings/image").body;
    assert!(board.contains("1 of 1 voters") && board.contains("With and without flagged voters"), "{board}");
    assert!(client.get("/standings").body.contains("No votes have been counted yet"));
    let votes = exported(&server.database);
    assert_eq!(stemmata_web::verify(votes.as_bytes(), None).unwrap().votes, 40);
    let input = stemmata_audit::VoteInput {
        name: "v".to_owned(),
        bytes: stemmata_audit::VoteBytes::Stream(Box::new(votes.as_bytes())),
    };
    let rated = stemmata_audit::rate(vec![input], &stemmata_audit::RateSettings::default()).unwrap();
    assert_eq!(rated.inputs[0].tally.against_itself, checks, "checks are in the chain and in no rating");
}
