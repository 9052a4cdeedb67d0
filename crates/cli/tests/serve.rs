//! `serve` from the command line: what it says when it cannot, its export, an orderly stop.

mod support;

use support::run;

#[cfg(not(feature = "serve"))]
#[test]
fn a_build_without_the_page_says_how_to_get_it() {
    let refused = run(&["serve", "arena.toml"]);
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("--features serve"), "{}", refused.stderr);
}

#[test]
fn what_does_not_go_together_is_refused() {
    for arguments in [
        &["serve"][..],
        &["serve", "arena.toml", "--export"],
        &["serve", "--verify", "votes.jsonl", "--export"],
        &["serve", "arena.toml", "--receipt", "x"],
        &["serve", "arena.toml", "--unflagged"],
        &["serve", "arena.toml", "--listen", "nowhere"],
    ] {
        assert_eq!(run(arguments).code, 2, "{arguments:?}");
    }
}

#[cfg(feature = "serve")]
mod with_page {
    use super::support::{run, stemmata};
    use std::io::{BufRead, BufReader, Read};
    use std::process::{Command, Stdio};

    const TWO: &str = "[[contestant]]\nname = 'one'\nurl = 'http://127.0.0.1:1/v1'\nmodel = 'm'\n\
        [[contestant]]\nname = 'two'\nurl = 'http://127.0.0.1:1/v1'\nmodel = 'm'\n";

    fn said(arguments: &[&str], wanted: &str) {
        let refused = run(arguments);
        assert_eq!(refused.code, 2, "{arguments:?}");
        let clear = refused.stderr.contains(wanted) && refused.stderr.starts_with("error: ");
        assert!(clear && refused.stdout.is_empty(), "{arguments:?}: {}", refused.stderr);
    }

    #[test]
    fn what_cannot_be_is_said_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let (config, database) = (path("arena.toml"), path("votes.sqlite"));
        said(&["serve", &config, "--database", &database], "arena.toml");
        std::fs::write(&config, "title = 1\n").unwrap();
        said(&["serve", &config, "--database", &database], "line 1: ");
        std::fs::write(&config, TWO).unwrap();
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        said(
            &["serve", &config, "--database", &database, "--listen", &address],
            "another program listens there",
        );
        std::fs::write(path("text.sqlite"), "no database ".repeat(20)).unwrap();
        said(&["serve", &config, "--database", &path("text.sqlite")], "no SQLite database");
        said(&["serve", "--export", "--database", &path("nowhere.sqlite")], "nowhere.sqlite");
        said(&["serve", "--verify", &path("nowhere.jsonl")], "cannot read the export");
        said(&["serve", "--verify", &config], "line 1: the line has no hash");
    }

    #[test]
    fn an_interrupt_stops_in_order_and_the_votes_can_be_exported_and_checked() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let (config, database, votes) = (path("arena.toml"), path("votes.sqlite"), path("votes.jsonl"));
        std::fs::write(&config, TWO).unwrap();
        let mut server = stemmata(&["serve", &config, "--database", &database, "--listen", "127.0.0.1:0"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(server.stderr.take().unwrap());
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        assert!(line.starts_with("serving http://127.0.0.1:"), "{line}");
        assert_eq!(run(&["serve", "--export", "--database", &database, "-o", &votes]).code, 0);
        let second = run(&["serve", &config, "--database", &database, "--listen", "127.0.0.1:0"]);
        assert!(second.stderr.contains("served by another process"), "{}", second.stderr);
        assert!(Command::new("kill").args(["-INT", &server.id().to_string()]).status().unwrap().success());
        let mut rest = String::new();
        lines.read_to_string(&mut rest).unwrap();
        assert!(rest.contains("every vote is on disk"), "{rest}");
        assert_eq!(server.wait().unwrap().code(), Some(0));
        let verified = run(&["serve", "--verify", &votes]);
        assert_eq!((verified.code, verified.stdout.starts_with("0 votes, head 000")), (0, true));
    }
}
