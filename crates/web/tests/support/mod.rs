//! What the tests of the page share: endpoints that misbehave, a server in this process, a client that keeps every byte.
#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;
use stemmata_web::{Config, Database, Serve, Tell};

/// How an endpoint behaves.
#[derive(Clone)]
pub struct Manner {
    /// What it answers, in these pieces.
    pub pieces: Vec<String>,
    /// Waits before each piece.
    pub pause: Duration,
    /// Of so many requests one is broken off in the middle; 0 means none, 1 all.
    pub breaks: usize,
}

impl Manner {
    pub fn says(text: &str) -> Manner {
        let pieces = text.split_inclusive(' ').map(str::to_owned).collect();
        Manner { pieces, pause: Duration::ZERO, breaks: 0 }
    }
}

/// An OpenAI-compatible endpoint on this machine; returns its address. Lives as long as the process.
pub fn endpoint(manner: Manner) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let served = Arc::new(AtomicUsize::new(0));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (manner, number) = (manner.clone(), served.fetch_add(1, Ordering::Relaxed));
            std::thread::spawn(move || {
                let _ = answer(stream, &manner, number);
            });
        }
    });
    address
}

fn answer(stream: TcpStream, manner: &Manner, number: usize) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if line.trim().is_empty() {
            break;
        }
    }
    reader.take(length).read_to_end(&mut Vec::new())?;
    let mut stream = stream;
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nserver: acme-nova\r\nconnection: close\r\n\r\n")?;
    let broken = manner.breaks > 0 && number.is_multiple_of(manner.breaks);
    let most = if broken { manner.pieces.len() / 2 } else { manner.pieces.len() };
    for piece in &manner.pieces[..most] {
        std::thread::sleep(manner.pause);
        let text = serde_json::json!({"model": "acme/nova", "choices": [{"delta": {"content": piece}}]});
        stream.write_all(format!("data: {text}\n\n").as_bytes())?;
    }
    if !broken {
        stream.write_all(b"data: [DONE]\n\n")?;
    }
    Ok(())
}

/// A configuration of two endpoints; `more` goes before the contestants.
pub fn two(first: SocketAddr, second: SocketAddr, more: &str) -> String {
    format!(
        "{more}\n[[contestant]]\nname = 'acme/nova-7b'\nurl = 'http://{first}/v1/chat/completions'\nmodel = 'secret-nova'\n\
         [[contestant]]\nname = 'umbrella-12b'\nurl = 'http://{second}/v1/chat/completions'\nmodel = 'secret-umbrella'\n"
    )
}

/// What must be in no byte before a vote.
pub const IDENTITIES: [&str; 7] =
    ["nova", "umbrella", "acme", "secret-", "bm92YQ", "6e6f7661", "756d6272656c6c61"];

/// Generous allowances and a quick reveal.
pub const QUICK: &str = "[limits]\nvoter_battles_per_minute = 100000\nbattles_per_minute = 100000\nbattles_at_once = 250\n\
     answer_seconds = 20\n[reveal]\ncharacters_per_second = 100000\ngrid_milliseconds = 50\n";

/// A server on a thread of this process.
pub struct Server {
    pub address: SocketAddr,
    pub database: Database,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub fn start(folder: &Path, config: &str) -> Server {
        let path = folder.join("arena.toml");
        std::fs::write(&path, config).unwrap();
        let database = database(folder);
        let key = Some(folder.join("votes.key"));
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, receiver) = mpsc::channel();
        let config = Config::open(&path, &|_| None).unwrap_or_else(|error| panic!("{error}"));
        let (kept, raised) = (database.clone(), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let tell: Tell = Arc::new(move |line| {
                if let Some(rest) = line.strip_prefix("serving http://") {
                    sender.send(rest.trim_end_matches('/').to_owned()).unwrap();
                }
            });
            let listen = "127.0.0.1:0".parse().unwrap();
            stemmata_web::serve(Serve { config, listen, database: kept, key }, &raised, &tell).unwrap();
        });
        let address = receiver.recv_timeout(Duration::from_secs(20)).unwrap().parse().unwrap();
        Server { address, database, stop, thread: Some(thread) }
    }

    /// Asks for a stop and waits for it.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking());
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// One answer of the server.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        let wanted = format!("{}: ", name.to_ascii_lowercase());
        self.head.lines().find_map(|line| {
            let matches = line.to_ascii_lowercase().starts_with(&wanted);
            matches.then(|| &line[wanted.len()..])
        })
    }

    /// The value of a hidden field.
    pub fn field(&self, name: &str) -> String {
        let start = format!("name=\"{name}\" value=\"");
        let (_, rest) = self.body.split_once(&start).unwrap_or_else(|| panic!("no {name} in {}", self.body));
        rest.split('"').next().unwrap().to_owned()
    }
}

/// A voter without a browser.
#[derive(Clone)]
pub struct Client {
    pub address: SocketAddr,
    pub cookie: String,
    /// Everything that the server sent.
    pub received: Vec<u8>,
}

impl Client {
    /// Somebody new, with a cookie and the token for asking.
    pub fn new(address: SocketAddr) -> (Client, String) {
        let mut client = Client { address, cookie: String::new(), received: Vec::new() };
        let home = client.get("/");
        assert_eq!(home.status, 200, "{home:?}");
        let cookie = home.header("set-cookie").unwrap();
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
        client.cookie = cookie.split(';').next().unwrap().to_owned();
        let token = home.field("token");
        (client, token)
    }

    pub fn get(&mut self, path: &str) -> Reply {
        self.send(
            &format!("GET {path} HTTP/1.0\r\nhost: {}\r\ncookie: {}\r\n\r\n", self.address, self.cookie),
            &[],
        )
    }

    pub fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Reply {
        self.post_with(
            path,
            fields,
            &format!("origin: http://{}\r\nsec-fetch-site: same-origin\r\n", self.address),
        )
    }

    pub fn post_with(&mut self, path: &str, fields: &[(&str, &str)], headers: &str) -> Reply {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let head = format!(
            "POST {path} HTTP/1.0\r\nhost: {}\r\ncookie: {}\r\ncontent-type: application/x-www-form-urlencoded\r\n{headers}\
             content-length: {}\r\n\r\n",
            self.address,
            self.cookie,
            body.len()
        );
        self.send(&head, body.as_bytes())
    }

    pub fn send(&mut self, head: &str, body: &[u8]) -> Reply {
        // A server that was killed gives no answer, one that has refused may have closed already: both are status 0.
        let mut bytes = Vec::new();
        if let Ok(mut stream) = TcpStream::connect(self.address) {
            stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
            let _ = stream.read_to_end(&mut bytes);
        }
        self.received.extend_from_slice(&bytes);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        Reply { status, head: head.to_owned(), body: body.to_owned() }
    }

    /// Asks; returns the path of the battle.
    pub fn ask(&mut self, token: &str, prompt: &str) -> String {
        let reply = self.post("/ask", &[("token", token), ("prompt", prompt)]);
        assert_eq!(reply.status, 303, "{reply:?}");
        reply.header("location").unwrap().to_owned()
    }

    /// Waits for the end of the reveal; returns its events.
    pub fn reveal(&mut self, battle: &str) -> String {
        let events = self.get(&format!("{battle}/events"));
        assert_eq!(events.status, 200, "{events:?}");
        events.body
    }

    /// Votes; returns the page with the names.
    pub fn vote(&mut self, battle: &str, choice: &str) -> Reply {
        let token = self.get(battle).field("token");
        let reply = self
            .post(&format!("{battle}/vote"), &[("token", &token), ("choice", choice), ("reason", "clear")]);
        assert_eq!((reply.status, reply.header("location")), (303, Some(battle)), "{reply:?}");
        self.get(battle)
    }
}

/// What of [`IDENTITIES`] is in the bytes.
pub fn identities(bytes: &[u8]) -> Vec<&'static str> {
    let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
    IDENTITIES.into_iter().filter(|name| text.contains(&name.to_ascii_lowercase())).collect()
}

/// Address of a PostgreSQL database in which the tests may make schemas; without it, or without the feature, they use SQLite.
pub const POSTGRES: &str = "STEMMATA_TEST_POSTGRES";

/// The database of a test: a schema of its own on the server that is named, or a file.
pub fn database(folder: &Path) -> Database {
    #[cfg(feature = "postgres")]
    if let Ok(address) = std::env::var(POSTGRES) {
        return on_server(&address, folder);
    }
    Database::new(folder.join("votes.sqlite"), None)
}

/// The schema that is named like the folder; made where there is none.
#[cfg(feature = "postgres")]
fn on_server(address: &str, folder: &Path) -> Database {
    let name: String =
        folder.file_name().unwrap().to_str().unwrap().chars().filter(char::is_ascii_alphanumeric).collect();
    let name = format!("stemmata_{}", name.to_ascii_lowercase());
    let mut client = postgres::Client::connect(address, postgres::NoTls).unwrap();
    client.batch_execute(&format!("CREATE SCHEMA IF NOT EXISTS {name}")).unwrap();
    let joint = if address.contains('?') { '&' } else { '?' };
    Database::new(format!("{address}{joint}options=-c%20search_path%3D{name}").into(), None)
}

/// The export of a database.
pub fn exported(database: &Database) -> String {
    let mut out = Vec::new();
    stemmata_web::export(database, stemmata_web::Voters::All, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// Text between two marks.
pub fn between<'t>(text: &'t str, start: &str, end: &str) -> &'t str {
    let (_, rest) = text.split_once(start).unwrap_or_else(|| panic!("no `{start}` in {text}"));
    rest.split(end).next().unwrap()
}
