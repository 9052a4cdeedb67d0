//! A browser without a window, driven by its own protocol over a socket.
#![allow(unreachable_pub, reason = "used by one test only")]

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A browser with one page.
pub struct Browser {
    process: Child,
    socket: BufReader<TcpStream>,
    session: String,
    calls: u64,
    /// Addresses that the page asked for.
    pub requests: Vec<String>,
    /// What the page complained about: refused scripts and styles, broken resources, errors of its script.
    pub complaints: Vec<String>,
    _profile: tempfile::TempDir,
}

/// The browser, if there is one on this machine.
pub fn find() -> Option<Browser> {
    let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
    let folders = std::env::var_os("PATH")?;
    let program = names
        .iter()
        .flat_map(|n| std::env::split_paths(&folders).map(move |f| f.join(n)))
        .find(|p| p.exists())?;
    let profile = tempfile::tempdir().unwrap();
    let mut process = Command::new(program)
        .args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
        ])
        .args(["--disable-background-networking", "--disable-component-update", "--remote-debugging-port=0"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg("about:blank")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    let mut lines = BufReader::new(process.stderr.take()?).lines();
    let address =
        lines.find_map(|line| line.ok()?.strip_prefix("DevTools listening on ws://").map(str::to_owned));
    let address = address.expect("the browser says where it listens");
    // What it says from now on must go somewhere.
    std::thread::spawn(move || lines.for_each(drop));
    let (host, path) = address.split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let hello = format!(
        "GET /{path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    );
    stream.write_all(hello.as_bytes()).unwrap();
    let mut socket = BufReader::new(stream);
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        assert!(socket.read_line(&mut line).unwrap() > 0, "the browser closed the connection");
    }
    let mut browser = Browser {
        process,
        socket,
        session: String::new(),
        calls: 0,
        requests: Vec::new(),
        complaints: Vec::new(),
        _profile: profile,
    };
    let target = browser.call("Target.createTarget", json!({"url": "about:blank"}));
    let attach = json!({"targetId": target["targetId"], "flatten": true});
    browser.session = browser.call("Target.attachToTarget", attach)["sessionId"].as_str().unwrap().to_owned();
    for domain in ["Page", "Runtime", "Network", "Log"] {
        browser.call(&format!("{domain}.enable"), json!({}));
    }
    Some(browser)
}

impl Browser {
    /// Calls a method and waits for its result.
    pub fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.calls += 1;
        let id = self.calls;
        let mut message = json!({"id": id, "method": method, "params": parameters});
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        self.write(message.to_string().as_bytes());
        loop {
            let message: Value = serde_json::from_slice(&self.read()).unwrap();
            if message["id"] == id {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].clone();
            }
            let parameters = &message["params"];
            match message["method"].as_str() {
                Some("Network.requestWillBeSent") => {
                    self.requests.push(parameters["request"]["url"].as_str().unwrap().to_owned());
                }
                Some("Log.entryAdded") => self.complaints.push(parameters["entry"]["text"].to_string()),
                Some("Runtime.exceptionThrown") => {
                    self.complaints.push(parameters["exceptionDetails"].to_string())
                }
                _ => {}
            }
        }
    }

    /// A frame with a mask of zeros, which changes nothing.
    fn write(&mut self, payload: &[u8]) {
        let mut frame = vec![0x81];
        match payload.len() {
            n @ 0..126 => frame.push(0x80 | n as u8),
            n @ 126..65536 => {
                frame.push(0x80 | 126);
                frame.extend((n as u16).to_be_bytes());
            }
            n => {
                frame.push(0x80 | 127);
                frame.extend((n as u64).to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(payload);
        self.socket.get_mut().write_all(&frame).unwrap();
    }

    fn read(&mut self) -> Vec<u8> {
        let mut message = Vec::new();
        loop {
            let mut head = [0; 2];
            self.socket.read_exact(&mut head).unwrap();
            let length = match head[1] & 127 {
                126 => {
                    let mut more = [0; 2];
                    self.socket.read_exact(&mut more).unwrap();
                    u64::from(u16::from_be_bytes(more))
                }
                127 => {
                    let mut more = [0; 8];
                    self.socket.read_exact(&mut more).unwrap();
                    u64::from_be_bytes(more)
                }
                short => short.into(),
            };
            (&mut self.socket).take(length).read_to_end(&mut message).unwrap();
            if head[0] & 0x80 != 0 {
                return message;
            }
        }
    }

    /// The value of an expression in the page.
    pub fn value(&mut self, expression: &str) -> Value {
        self.call("Runtime.evaluate", json!({"expression": expression, "returnByValue": true}))["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    pub fn wait(&mut self, expression: &str) {
        let started = Instant::now();
        while self.value(expression) != true {
            assert!(started.elapsed() < Duration::from_secs(40), "still not: {expression}\n{}", self.text());
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    pub fn open(&mut self, address: &str) {
        self.call("Page.navigate", json!({"url": address}));
        self.wait(&format!("document.readyState === 'complete' && location.href === {}", json!(address)));
    }

    /// What a reader of the page sees.
    pub fn text(&mut self) -> String {
        self.value("document.body.innerText").as_str().unwrap_or_default().to_owned()
    }

    /// Presses a key.
    pub fn press(&mut self, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            " " => (32, " "),
            other => panic!("no key {other}"),
        };
        let down =
            json!({"type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text});
        self.call("Input.dispatchKeyEvent", down);
        self.call(
            "Input.dispatchKeyEvent",
            json!({"type": "keyUp", "key": key, "code": key, "windowsVirtualKeyCode": code}),
        );
    }

    /// Goes with the Tab key to the element for which the expression in `e` is true.
    pub fn tab_to(&mut self, expression: &str) {
        for _ in 0..60 {
            if self.value(&format!("(e => {expression})(document.activeElement)")) == true {
                return;
            }
            self.press("Tab");
        }
        panic!("the Tab key does not lead to {expression}");
    }

    /// Width and height of the window, and whether it is dark.
    pub fn look(&mut self, width: u32, height: u32, dark: bool) {
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.call("Emulation.setDeviceMetricsOverride", metrics);
        let scheme = if dark { "dark" } else { "light" };
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.call("Emulation.setEmulatedMedia", media);
    }

    /// Writes a picture of the whole page.
    pub fn picture(&mut self, path: &Path) {
        let shot =
            self.call("Page.captureScreenshot", json!({"format": "png", "captureBeyondViewport": true}));
        std::fs::write(path, base64(shot["data"].as_str().unwrap())).unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn base64(text: &str) -> Vec<u8> {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut out, mut bits, mut held) = (Vec::new(), 0_u32, 0);
    for digit in text.bytes().filter_map(|c| digits.iter().position(|d| *d == c)) {
        bits = (bits << 6) | digit as u32;
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    out
}
