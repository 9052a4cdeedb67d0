//! SARIF 2.1.0 (OASIS, 2020): the remarks of an inspection as results that code scanners and forges show.

use crate::json::pretty;
use crate::wire::{Inspection, Remark};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// One log with one run: a rule for each code, a result for each remark, in their order.
pub(crate) fn inspection(inspection: &Inspection) -> String {
    let mut rules: BTreeMap<&str, &Remark> = BTreeMap::new();
    for remark in &inspection.findings {
        rules.entry(remark.code).or_insert(remark);
    }
    let places: BTreeMap<&str, usize> =
        rules.keys().enumerate().map(|(place, code)| (*code, place)).collect();
    let rule = |(code, remark): (&&str, &&Remark)| {
        let text = remark.explanation.unwrap_or("What the message of each result says.");
        json!({
            "id": code,
            "name": code,
            "shortDescription": { "text": code.replace('-', " ") },
            "fullDescription": { "text": text },
            "help": { "text": text },
            "defaultConfiguration": { "level": level(remark.level) },
        })
    };
    let result = |remark: &Remark| {
        let (file, part) = place(inspection, &remark.subject);
        let mut physical = json!({ "artifactLocation": { "uri": uri(file.map_or("model", |file| file.1)) } });
        if let Some((Some(index), _)) = file {
            physical["artifactLocation"]["index"] = json!(index);
        }
        if let Some(byte) = part.and_then(|part| part.rsplit_once("byte ")?.1.parse::<u64>().ok()) {
            physical["region"] = json!({ "byteOffset": byte, "byteLength": 1 });
        }
        let mut location = json!({ "physicalLocation": physical });
        if let Some(part) = part.filter(|part| !part.is_empty()) {
            location["logicalLocations"] = json!([{ "fullyQualifiedName": part }]);
        }
        json!({
            "ruleId": remark.code,
            "ruleIndex": places.get(remark.code).copied().unwrap_or(0),
            "level": level(remark.level),
            "message": { "text": sentence(remark) },
            "locations": [location],
        })
    };
    let artifact = |file: &crate::wire::StoredFile| json!({ "location": { "uri": uri(&file.name) }, "length": file.bytes, "roles": ["analysisTarget"] });
    pretty(&json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": inspection.tool.name,
                "semanticVersion": inspection.tool.version,
                "rules": rules.iter().map(rule).collect::<Vec<Value>>(),
            } },
            "invocations": [{ "commandLine": inspection.command, "executionSuccessful": true }],
            "artifacts": inspection.files.iter().map(artifact).collect::<Vec<Value>>(),
            "results": inspection.findings.iter().map(result).collect::<Vec<Value>>(),
        }],
    }))
}

fn sentence(remark: &Remark) -> String {
    match remark.subject.is_empty() {
        true => remark.message.clone(),
        false => format!("{}: {}", remark.subject, remark.message),
    }
}

/// The file that a subject begins with, by its place in the list, and what is left of the subject; the first file where it names none.
fn place<'i>(
    inspection: &'i Inspection,
    subject: &'i str,
) -> (Option<(Option<usize>, &'i str)>, Option<&'i str>) {
    let files = || inspection.files.iter().enumerate().map(|(index, file)| (Some(index), file.name.as_str()));
    for (index, name) in files() {
        match subject.strip_prefix(name) {
            Some("") => return (Some((index, name)), None),
            Some(rest) if rest.starts_with(": ") => return (Some((index, name)), Some(&rest[2..])),
            _ => {}
        }
    }
    // Files beside the weights are named in the same way.
    let (head, rest) = match subject.split_once(": ") {
        Some((head, rest)) => (head, Some(rest)),
        None => (subject, None),
    };
    let beside = [".json", ".py", ".md", ".jinja", ".pkl"].iter().any(|end| head.ends_with(end));
    if beside { (Some((None, head)), rest) } else { (files().next(), Some(subject)) }
}

/// A relative reference with everything escaped that is not plain (RFC 3986).
fn uri(name: &str) -> String {
    let mut out = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(char::from(byte))
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn level(level: &str) -> &'static str {
    match level {
        "danger" => "error",
        "warning" => "warning",
        _ => "note",
    }
}
