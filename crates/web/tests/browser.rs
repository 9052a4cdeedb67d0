//! A real browser plays twenty battles; every byte that it gets before a vote is searched for identities. Skipped where there is no Chromium.
//!
//! With `STEMMATA_SCREENSHOTS=FOLDER` it leaves pictures of all pages there: light, dark and as wide as a telephone.
#![allow(clippy::print_stderr, reason = "says that it was skipped")]

#[path = "support/chromium.rs"]
mod chromium;
mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::{Manner, QUICK, Server, endpoint, exported, identities, two};

/// Stands between the browser and the server and keeps what the server sends.
fn recorder(server: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let kept = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&kept);
    std::thread::spawn(move || {
        for browser in listener.incoming().flatten() {
            let server = TcpStream::connect(server).unwrap();
            pass(browser.try_clone().unwrap(), server.try_clone().unwrap(), None);
            pass(server, browser, Some(Arc::clone(&record)));
        }
    });
    (address, kept)
}

fn pass(mut from: TcpStream, mut to: TcpStream, record: Option<Arc<Mutex<Vec<u8>>>>) {
    std::thread::spawn(move || {
        let mut buffer = [0; 65536];
        while let Ok(n @ 1..) = from.read(&mut buffer) {
            if let Some(record) = &record {
                record.lock().unwrap().extend_from_slice(&buffer[..n]);
            }
            if to.write_all(&buffer[..n]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
}

/// Leaves pictures of a page where they were asked for.
fn shoot(browser: &mut chromium::Browser, page: &str) {
    let Some(folder) = std::env::var_os("STEMMATA_SCREENSHOTS").map(PathBuf::from) else { return };
    for (look, width, height, dark) in LOOKS {
        browser.look(width, height, dark);
        browser.picture(&folder.join(format!("{page}-{look}.png")));
    }
    browser.look(1100, 800, false);
}

const LOOKS: [(&str, u32, u32, bool); 3] =
    [("light", 1100, 800, false), ("dark", 1100, 800, true), ("phone", 390, 844, false)];

#[test]
fn twenty_battles_in_a_browser() {
    let Some(mut browser) = chromium::find() else {
        eprintln!("skipped: there is no Chromium on this machine");
        return;
    };
    let trap = "<img src=x onerror=\"window.caught=1\"><script>window.caught=1</script>";
    let story = "A list of three:\n\n1. **Measure** twice, with the same instrument.\n2. Say what was not measured.\n\
                 3. Show the interval.\n\nThat is what I, Nova by Acme, would do, and why. ";
    let slow = Manner {
        pause: Duration::from_millis(20),
        ..Manner::says(&format!("{story}{trap} {}", "Care costs little. ".repeat(12)))
    };
    let failing = Manner {
        breaks: 2,
        ..Manner::says(&format!(
            "As Umbrella-12B I would ask first what the numbers are for. {}",
            "Then count. ".repeat(20)
        ))
    };
    let folder = tempfile::tempdir().unwrap();
    let more = format!(
        "identity_words = ['Acme', 'Nova', 'Umbrella']\n{}[[prompt]]\nid = 'bread'\ntext = 'How is bread baked without yeast?'\n",
        QUICK.replace("= 100000\ngrid", "= 2000\ngrid")
    );
    let server = Server::start(folder.path(), &two(endpoint(slow), endpoint(failing), &more));
    let (address, record) = recorder(server.address);
    let base = format!("http://{address}");
    browser.look(1100, 800, false);
    for round in 0..20 {
        browser.open(&format!("{base}/"));
        if round == 0 {
            shoot(&mut browser, "home");
        }
        record.lock().unwrap().clear();
        if round % 2 == 0 {
            // With the keyboard alone.
            browser.tab_to("e.id === 'prompt'");
            browser
                .call("Input.insertText", serde_json::json!({"text": "How should one compare two answers?"}));
            browser.tab_to("e.textContent === 'Ask two at once'");
            browser.press("Enter");
        } else {
            browser.value("document.querySelector('select').form.querySelector('button').click()");
        }
        browser.wait("!!document.getElementById('status')");
        if round == 1 {
            shoot(&mut browser, "waiting");
        }
        browser.wait("document.getElementById('status').textContent === 'Both answers are complete.'");
        let shown = browser.text();
        assert!(shown.contains("Care costs little.") && shown.contains("Then count."), "{shown}");
        assert!(shown.contains("<img src=x onerror="), "markup is shown as text");
        assert_eq!(identities(&record.lock().unwrap()), Vec::<&str>::new(), "round {round}");
        assert_eq!(
            identities(browser.value("document.documentElement.outerHTML").as_str().unwrap().as_bytes()),
            Vec::<&str>::new()
        );
        if round == 2 {
            shoot(&mut browser, "battle");
        }
        let choice = ["a", "tie", "bad", "b"][round % 4];
        if round % 2 == 0 {
            browser.tab_to(&format!("e.value === '{choice}'"));
            browser.press("Enter");
        } else {
            browser.value("document.querySelector('[value=clear]').click()");
            browser.value(&format!("document.querySelector('button[value={choice}]').click()"));
        }
        browser.wait("!!document.getElementById('seal')");
        let names = browser.text();
        assert!(names.contains("acme/nova-7b") && names.contains("umbrella-12b"), "{names}");
        if round == 3 {
            shoot(&mut browser, "names");
        }
        if round == 4 {
            // The form sent again from the history counts nothing.
            browser.value("window.before = true; history.back()");
            browser.wait("typeof window.before === 'undefined' && document.readyState === 'complete'");
        }
    }
    assert_eq!(browser.value("typeof window.caught"), "undefined");
    let votes = exported(&server.database);
    assert_eq!(stemmata_web::verify(votes.as_bytes(), None).unwrap().votes, 20);
    browser.open(&format!("{base}/standings"));
    let text = browser.text();
    assert!(text.contains("Who against whom") && text.contains("Votes over time"), "{text}");
    assert_eq!(browser.value("document.documentElement.scrollWidth <= innerWidth"), true);
    shoot(&mut browser, "standings");
    browser.look(390, 844, false);
    for page in ["/", "/standings"] {
        browser.open(&format!("{base}{page}"));
        assert_eq!(
            browser.value("document.documentElement.scrollWidth <= innerWidth"),
            true,
            "{page} is too wide"
        );
    }
    let elsewhere: Vec<&String> =
        browser.requests.iter().filter(|r| !r.starts_with(&base) && *r != "about:blank").collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
    assert!(browser.complaints.is_empty(), "{:?}", browser.complaints);
}

#[test]
fn pictures_and_films_are_judged_in_a_browser() {
    let Some(mut browser) = chromium::find() else {
        eprintln!("skipped: there is no Chromium on this machine");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let media = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/media");
    for name in ["one", "two"] {
        std::fs::create_dir_all(folder.path().join(name)).unwrap();
        for (file, kind) in [("cat", "png"), ("storm", "mp4")] {
            let place = folder.path().join(name).join(kind);
            std::fs::create_dir_all(&place).unwrap();
            std::fs::copy(media.join(format!("{name}.{kind}")), place.join(format!("{file}.{kind}")))
                .unwrap();
        }
    }
    let contestant = |name: &str, medium: &str, place: &str| {
        format!("[[contestant]]\nname = '{name}'\nmedium = '{medium}'\ndirectory = '{place}'\n")
    };
    let config = [
        QUICK.to_owned(),
        "[[prompt]]\nid = 'cat'\ntext = 'A cat'\nmedium = 'image'\n".to_owned(),
        "[[prompt]]\nid = 'storm'\ntext = 'A storm at sea'\nmedium = 'video'\n".to_owned(),
        contestant("acme/nova-7b", "image", "one/png"),
        contestant("umbrella-12b", "image", "two/png"),
        contestant("acme/nova-film", "video", "one/mp4"),
        contestant("umbrella-film", "video", "two/mp4"),
    ]
    .concat();
    let server = Server::start(folder.path(), &config);
    let (address, record) = recorder(server.address);
    let base = format!("http://{address}");
    browser.look(1100, 800, false);
    // What is shown has its size, and a film runs.
    let picture = "[...document.querySelectorAll('.side img')].filter(e => e.complete && e.naturalWidth === 96).length === 2";
    let film = "[...document.querySelectorAll('.side video')].filter(e => e.readyState >= 2 && e.videoWidth === 96 && e.duration > 0.5 \
                && !e.error).length === 2";
    for (medium, there, names) in [
        ("image", picture, ["acme/nova-7b", "umbrella-12b"]),
        ("video", film, ["acme/nova-film", "umbrella-film"]),
    ] {
        for (round, choice) in ["a", "b", "tie"].into_iter().enumerate() {
            browser.open(&format!("{base}/"));
            record.lock().unwrap().clear();
            browser.value(&format!(
                "document.getElementById('list-{medium}').form.querySelector('button').click()"
            ));
            browser.wait(there);
            browser.wait("!document.querySelector('.sides').classList.contains('held')");
            if medium == "video" {
                browser.value("document.querySelectorAll('.side video').forEach(e => e.play())");
                browser.wait("[...document.querySelectorAll('.side video')].every(e => e.currentTime > 0.1)");
            }
            assert_eq!(identities(&record.lock().unwrap()), Vec::<&str>::new(), "{medium}");
            if round == 0 {
                shoot(&mut browser, medium);
            }
            browser.tab_to(&format!("e.value === '{choice}'"));
            browser.press("Enter");
            browser.wait("!!document.getElementById('seal')");
            let text = browser.text();
            assert!(names.iter().all(|name| text.contains(name)), "{text}");
        }
    }
    let votes = exported(&server.database);
    assert_eq!(stemmata_web::verify(votes.as_bytes(), None).unwrap().votes, 6);
    assert_eq!(votes.matches("\"medium\":\"video\"").count(), 3);
    browser.open(&format!("{base}/standings/video"));
    assert!(browser.text().contains("acme/nova-film"), "{}", browser.text());
    // The browser draws the buttons of its player from addresses that hold the picture.
    let own = |address: &str| address.starts_with(&base) || address.starts_with("data:image/svg+xml");
    let elsewhere: Vec<&String> =
        browser.requests.iter().filter(|r| !own(r) && *r != "about:blank").collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
    assert!(browser.complaints.is_empty(), "{:?}", browser.complaints);
}
