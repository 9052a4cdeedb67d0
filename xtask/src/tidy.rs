//! Rules of the repository that the compiler does not check: who may depend on whom, what a file may hold.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

/// Which rooms a room may use. ARCHITECTURE.md shows this table and is checked against it.
const MAY_USE: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("stats", &[]),
    ("architecture", &["model"]),
    ("formats", &["model"]),
    ("fingerprint", &["model", "architecture", "stats"]),
    ("alignment", &["model", "architecture", "stats", "fingerprint"]),
    ("evidence", &["model", "stats", "architecture", "alignment"]),
    ("source", &["model", "formats"]),
    ("rating", &["stats"]),
    (
        "audit",
        &[
            "model",
            "stats",
            "architecture",
            "formats",
            "fingerprint",
            "alignment",
            "evidence",
            "source",
            "rating",
        ],
    ),
    ("report", &["audit"]),
    ("web", &["audit", "report"]),
    ("cli", &["audit", "report", "web"]),
];

/// Rooms that may touch the outside world.
const OUTSIDE: &[&str] = &["source", "web", "cli"];
/// What the other rooms must not write outside tests.
const WORLD: &[&str] = &[
    "std::fs",
    "std::net",
    "std::env::",
    "SystemTime",
    "Instant::now",
    "println!",
    "eprintln!",
    "process::exit",
];
/// No file is longer without being split.
const MOST_LINES: usize = 600;

/// Checks everything; prints each breach; an error when there was one.
pub(crate) fn run() -> Result<(), Box<dyn Error>> {
    let root =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("the chores lie one folder below the root")?;
    let breaches = check(root)?;
    for breach in &breaches {
        eprintln!("{breach}");
    }
    if breaches.is_empty() {
        println!("tidy: all rules hold");
        return Ok(());
    }
    Err(format!("{} breaches", breaches.len()).into())
}

/// All breaches, sorted.
fn check(root: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let mut breaches = Vec::new();
    dependencies(root, &mut breaches)?;
    manifest_reasons(root, &mut breaches)?;
    let mut files = Vec::new();
    for folder in ["crates", "xtask", "fuzz", "docs", ".ci"] {
        collect(&root.join(folder), &mut files)?;
    }
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        // In a second work tree `.git` is a file, and not one of ours.
        if path.is_file() && !path.ends_with(".git") {
            files.push(path);
        }
    }
    for path in files {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let name = path.strip_prefix(root)?.display().to_string();
        match path.extension().and_then(|e| e.to_str()) {
            Some("rs") => rust(&name, &text, &mut breaches),
            Some("md") => links(&name, &path, &text, &mut breaches),
            Some("toml" | "sh" | "py" | "css" | "json" | "svg") | None => {}
            _ => continue,
        }
        words(&name, &text, &mut breaches);
    }
    breaches.sort();
    Ok(breaches)
}

fn dependencies(root: &Path, breaches: &mut Vec<String>) -> Result<(), Box<dyn Error>> {
    let table: BTreeMap<&str, &[&str]> = MAY_USE.iter().copied().collect();
    for entry in fs::read_dir(root.join("crates"))? {
        let path = entry?.path();
        let room = path.file_name().and_then(|n| n.to_str()).unwrap_or_default().to_owned();
        let Some(allowed) = table.get(room.as_str()) else {
            breaches.push(format!("crates/{room}: the dependency table does not know this room"));
            continue;
        };
        let manifest: toml::Table = fs::read_to_string(path.join("Cargo.toml"))?.parse()?;
        for section in ["dependencies", "build-dependencies"] {
            let Some(list) = manifest.get(section).and_then(|s| s.as_table()) else { continue };
            for used in list.keys().filter_map(|name| name.strip_prefix("stemmata-")) {
                if !allowed.contains(&used) {
                    breaches.push(format!("crates/{room}: may not use `{used}`"));
                }
            }
        }
    }
    let shown = fs::read_to_string(root.join("ARCHITECTURE.md"))?;
    for (room, allowed) in MAY_USE {
        let uses = if allowed.is_empty() { "nothing of ours".to_owned() } else { allowed.join(", ") };
        let row = format!("| {room} | {uses} |");
        if !shown.contains(&row) {
            breaches.push(format!("ARCHITECTURE.md: the dependency table lacks the row `{row}`"));
        }
    }
    Ok(())
}

/// Every third-party dependency says in the root manifest why it is there.
fn manifest_reasons(root: &Path, breaches: &mut Vec<String>) -> Result<(), Box<dyn Error>> {
    let text = fs::read_to_string(root.join("Cargo.toml"))?;
    let lines = text.lines().skip_while(|l| *l != "[workspace.dependencies]").skip(1);
    for line in lines.take_while(|l| !l.starts_with('[')) {
        let entry = line.split(" = ").next().unwrap_or_default();
        let third_party = line.contains(" = ") && !entry.starts_with("stemmata-") && !entry.starts_with('#');
        if third_party && !line.contains(" # ") {
            breaches.push(format!("Cargo.toml: `{entry}` does not say why it is there"));
        }
    }
    Ok(())
}

fn rust(name: &str, text: &str, breaches: &mut Vec<String>) {
    let tests = name.contains("tests") || name.contains("/benches/") || name.contains("/examples/");
    let fuzz = name.starts_with("fuzz/");
    if !tests && !fuzz && !text.starts_with("//!") {
        breaches.push(format!("{name}: does not begin by saying what it answers"));
    }
    let lines = text.lines().count();
    if lines > MOST_LINES {
        breaches.push(format!("{name}: {lines} lines; split it"));
    }
    for stub in [concat!("todo", "!("), concat!("unimplemented", "!("), concat!("#[", "ignore")] {
        if text.contains(stub) {
            breaches.push(format!("{name}: has `{stub}`"));
        }
    }
    let room = name.strip_prefix("crates/").and_then(|n| n.split('/').next());
    let root_file = name.ends_with("src/lib.rs") && room.is_some();
    if root_file && room != Some("source") && !text.contains("#![forbid(unsafe_code)]") {
        breaches.push(format!("{name}: does not forbid unsafe code"));
    }
    if text.contains("unsafe {")
        && !tests
        && !name.ends_with("source/src/file.rs")
        && !name.ends_with("tidy.rs")
    {
        breaches.push(format!("{name}: unsafe code outside the one module for it"));
    }
    if let Some(room) = room.filter(|r| !OUTSIDE.contains(r) && !tests) {
        let body = text.split("#[cfg(test)]").next().unwrap_or_default();
        let code = body.lines().filter(|l| !l.trim_start().starts_with("//"));
        for (number, line) in code.enumerate() {
            for word in WORLD.iter().filter(|w| line.contains(**w)) {
                breaches.push(format!("{name}: `{room}` must not use `{word}` (code line {})", number + 1));
            }
        }
    }
}

/// Relative links lead somewhere.
fn links(name: &str, path: &Path, text: &str, breaches: &mut Vec<String>) {
    for piece in text.split("](").skip(1) {
        let Some(target) = piece.split(')').next() else { continue };
        let file = target.split('#').next().unwrap_or_default();
        let external = target.contains("://") || target.starts_with("mailto:") || file.is_empty();
        if !external && !path.parent().is_some_and(|folder| folder.join(file).exists()) {
            breaches.push(format!("{name}: the link `{target}` leads nowhere"));
        }
    }
}

/// Nothing that belongs to one machine.
fn words(name: &str, text: &str, breaches: &mut Vec<String>) {
    for word in [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("../sha", "red")] {
        if text.contains(word) {
            breaches.push(format!("{name}: names `{word}`, a place on one machine"));
        }
    }
    for (number, line) in text.lines().enumerate() {
        if line.ends_with([' ', '\t']) && !name.ends_with(".md") && !name.ends_with(".svg") {
            breaches.push(format!("{name}:{}: ends in a blank", number + 1));
        }
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default().to_owned();
        let made = ["target", "corpus", "artifacts", "coverage"].contains(&name.as_str());
        if path.is_dir() && !made {
            collect(&path, files)?;
        } else if path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_no_cycle() {
        let mut below: Vec<&str> = Vec::new();
        let mut rest: Vec<_> = MAY_USE.to_vec();
        while !rest.is_empty() {
            let ready = rest.iter().position(|(_, uses)| uses.iter().all(|u| below.contains(u)));
            below.push(rest.remove(ready.expect("some room uses only rooms below it")).0);
        }
    }

    #[test]
    fn breaches_are_seen() {
        let mut breaches = Vec::new();
        rust("crates/stats/src/lib.rs", "fn f() { println!() }\n", &mut breaches);
        words("x.toml", "a = 1 \n", &mut breaches);
        assert_eq!(breaches.len(), 4, "{breaches:?}");
    }
}
