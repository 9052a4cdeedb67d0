//! The tables of docs/formats.md are those of the data beside this test, and the data are those of the code.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/page")
}

/// The rows of a table behind its first.
fn rows(name: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(here().join(name)).unwrap();
    let rows: Vec<Vec<String>> =
        text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect();
    assert!(rows.iter().all(|row| row.len() == rows[0].len()), "{name}");
    rows[1..].to_vec()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(' ').filter(|word| *word != "-" && !word.is_empty())
}

/// Two numbers, or one where they are the same.
fn range(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    match (values.first(), values.last()) {
        (Some(a), Some(b)) if format!("{a:.1}") != format!("{b:.1}") => format!("{a:.1} to {b:.1}"),
        (Some(a), _) => format!("{a:.1}"),
        _ => "–".to_owned(),
    }
}

fn formats() -> String {
    let speed: BTreeMap<String, f64> =
        rows("speed.tsv").into_iter().map(|row| (row[0].clone(), row[1].parse().unwrap())).collect();
    let fuzz: BTreeMap<String, u64> =
        rows("fuzz.tsv").into_iter().map(|row| (row[0].clone(), row[1].parse().unwrap())).collect();
    let mut out = String::from("| format | read | exact against | GB/s | fuzzed |\n|---|---|---|---|---|\n");
    for row in rows("rows.tsv") {
        let [format, read, against, keys, targets] = &row[..] else { panic!("{row:?}") };
        // What is not read has its reason, and nothing else has one.
        assert_eq!(read.starts_with("no: "), against == "-", "{format}");
        let fast =
            words(keys).map(|key| *speed.get(key).unwrap_or_else(|| panic!("no speed of {key}"))).collect();
        let tried: Vec<String> = words(targets)
            .map(|target| {
                let seconds = fuzz.get(target).unwrap_or_else(|| panic!("{target} was not fuzzed"));
                assert!(*seconds >= 1200, "{target} was fuzzed for {seconds} seconds");
                format!("`{target}` {} min", seconds / 60)
            })
            .collect();
        let tried = if tried.is_empty() { "–".to_owned() } else { tried.join(", ") };
        let against = if against == "-" { "–" } else { against };
        out += &format!("| {format} | {read} | {against} | {} | {tried} |\n", range(fast));
    }
    out
}

fn effect() -> String {
    let mut out = String::from(
        "| parent | child | encoding | matrices | predicted | measured | ratio |\n|---|---|---|---|---|---|---|\n",
    );
    for row in rows("effect.tsv") {
        let ratio: f64 = row[6].parse().unwrap();
        // Numbers in half precision that came from bfloat16 need no rounding at all.
        assert!((0.85..1.15).contains(&ratio) || row[2] == "f16" && ratio == 0.0, "{row:?}");
        out += &format!("| {} |\n", row.join(" | "));
    }
    out
}

/// Classes of attack that were published, and the files that make them.
fn classes() -> String {
    let expected = std::fs::read_to_string(here().join("../../../../attacks/EXPECT.tsv")).unwrap();
    let files: Vec<&str> = expected.lines().skip(1).filter_map(|line| line.split('\t').next()).collect();
    let mut out = String::from("| class | where published | files |\n|---|---|---|\n");
    for row in rows("classes.tsv") {
        let [class, published, names] = &row[..] else { panic!("{row:?}") };
        for name in words(names) {
            assert!(files.contains(&name), "{class}: no file {name}");
        }
        let shown: Vec<String> = words(names).map(|name| format!("`{name}`")).collect();
        out += &format!("| {class} | {published} | {} |\n", shown.join(", "));
    }
    let mut folders: BTreeMap<&str, usize> = BTreeMap::new();
    for file in &files {
        *folders.entry(file.split('/').next().unwrap()).or_default() += 1;
    }
    let counts: Vec<String> = folders.iter().map(|(folder, count)| format!("{folder} {count}")).collect();
    out + &format!("\n{} files: {}.\n", files.len(), counts.join(", "))
}

#[test]
fn the_page_shows_the_data() {
    for (page, sections) in [
        ("docs/formats.md", vec![("formats", formats()), ("effect", effect())]),
        ("attacks/README.md", vec![("classes", classes())]),
    ] {
        let path = here().join("../../../..").join(page);
        let text = std::fs::read_to_string(&path).unwrap();
        let mut fresh = text.clone();
        for (name, table) in sections {
            let (start, end) =
                (format!("<!-- {name}: made by a test -->\n"), format!("<!-- {name}: end -->"));
            let from =
                fresh.find(&start).unwrap_or_else(|| panic!("{page}: no place for {name}")) + start.len();
            let to = from + fresh[from..].find(&end).unwrap();
            fresh.replace_range(from..to, &format!("\n{table}\n"));
        }
        if std::env::var_os("STEMMATA_WRITE_DOCS").is_some() {
            std::fs::write(&path, &fresh).unwrap();
        } else {
            assert!(text == fresh, "{page} is stale: run this test with STEMMATA_WRITE_DOCS=1");
        }
    }
}

/// Every block type and every target there is has its row.
#[test]
fn nothing_is_left_out() {
    let targets = std::fs::read_dir(here().join("../../../../fuzz/fuzz_targets")).unwrap();
    let shown: Vec<String> = rows("fuzz.tsv").into_iter().map(|row| row[0].clone()).collect();
    // Sketches, votes (Parquet among them) and tables are no formats of weights.
    for target in targets.map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
    {
        assert!(
            shown.contains(&target) || ["sketch", "votes", "tables", "parquet"].contains(&target.as_str()),
            "{target}"
        );
    }
    let speed: Vec<String> = rows("speed.tsv").into_iter().map(|row| row[0].clone()).collect();
    for line in std::fs::read_to_string(here().join("../golden/index.tsv")).unwrap().lines() {
        let encoding = line.split('\t').nth(2).unwrap();
        assert!(!encoding.starts_with('q') || speed.contains(&encoding.to_owned()), "{encoding}");
    }
}

/// `unsafe` stands in one module of the whole reader: the one that maps files.
#[test]
fn unsafe_code_is_in_one_module() {
    let mut found = Vec::new();
    let mut folders =
        vec![here().join("../../src"), here().join("../../../source/src"), here().join("../../../model/src")];
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if std::fs::read_to_string(&path).unwrap().lines().any(|line| {
                let code = line.split("//").next().unwrap_or_default();
                code.contains("unsafe ") || code.contains("allow(unsafe_code)")
            }) {
                found.push(path.file_name().unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    assert_eq!(found, ["file.rs"]);
}
