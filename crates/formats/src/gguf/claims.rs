//! What the keys claim: origin, license, and chat templates, which are programs.

use crate::hazards::Hazards;
use stemmata_model::{Config, Declared, Level, Value, printable};

/// More bases than any merge names.
const BASES: u64 = 256;

/// Words of a template that reach for the interpreter instead of for the conversation.
const SUSPICIOUS: [&str; 8] = ["import", "os", "popen", "subprocess", "eval", "exec", "getattr", "attr"];

/// `general.*` as claims.
pub(super) fn declared(config: &Config) -> Declared {
    let text = |key: &str| config.text(key).filter(|text| !text.is_empty()).map(str::to_owned);
    let mut declared =
        Declared { license: text("general.license"), name: text("general.name"), ..Declared::default() };
    let count = config.count("general.base_model.count").unwrap_or(0).min(BASES);
    for index in 0..count {
        let field = |field: &str| text(&format!("general.base_model.{index}.{field}"));
        let named = match (field("organization"), field("name")) {
            (Some(organization), Some(name)) => Some(format!("{organization}/{name}")),
            (None, name) => name,
            (Some(_), None) => None,
        };
        // The URL holds the repository's exact name, the other keys a prettified one.
        let base = field("repo_url").as_deref().and_then(repository).or(named);
        declared.base_model.extend(base);
    }
    declared
}

/// The last two components of a URL's path.
fn repository(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let (_, path) = rest.trim_end_matches('/').split_once('/')?;
    let mut parts = path.rsplit('/');
    let (name, organization) = (parts.next()?, parts.next()?);
    (!name.is_empty() && !organization.is_empty()).then(|| format!("{organization}/{name}"))
}

/// Looks for templates that use more of the template language than a conversation needs.
pub(super) fn chat_templates(config: &Config, hazards: &mut Hazards) {
    for (key, value) in &config.entries {
        let (true, Value::Text(template)) = (key.starts_with("tokenizer.chat_template"), value) else {
            continue;
        };
        if let Some(found) = suspicious(template) {
            hazards.part("suspicious-chat-template", Level::Danger, key, || {
                format!("the template contains `{}`: a loader that renders it may run code", printable(found))
            });
        }
    }
}

/// The first suspicious bit that occurs inside a `{{ … }}` or `{% … %}`; text outside them is only text.
fn suspicious(template: &str) -> Option<&'static str> {
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        rest = &rest[at + 1..];
        let close = match rest.as_bytes().first() {
            Some(b'{') => "}}",
            Some(b'%') => "%}",
            _ => continue,
        };
        let (code, after) = match rest[1..].split_once(close) {
            Some((code, after)) => (code, after),
            None => (&rest[1..], ""),
        };
        let code = without_texts(code);
        if code.contains("__") {
            return Some("__");
        }
        let mut words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
        if let Some(found) = words.find_map(|word| SUSPICIOUS.iter().find(|bad| **bad == word)) {
            return Some(found);
        }
        rest = after;
    }
    None
}

/// The code with the content of quoted texts removed, except where a text names an attribute: `x['__class__']`.
fn without_texts(code: &str) -> String {
    let mut out = String::with_capacity(code.len());
    let mut parts = code.split(['\'', '"']);
    out.extend(parts.next());
    let mut inside = true;
    for part in parts {
        if !inside || part.contains("__") {
            out.push_str(part);
        }
        out.push('\'');
        inside = !inside;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates() {
        assert_eq!(suspicious("{{ bos_token }}{% for m in messages %}import os. __ {% endfor %}"), None);
        assert_eq!(suspicious("{{ 'a system. import this' + eos }}"), None);
        assert_eq!(suspicious("{{ ''.__class__.__mro__ }}"), Some("__"));
        assert_eq!(suspicious("{{ x['__class__'] }}"), Some("__"));
        assert_eq!(suspicious("{% set x = os.popen('id') %}"), Some("os"));
        assert_eq!(suspicious("{{ eos.strip() + important }}"), None);
        assert_eq!(suspicious("{{ (x|attr('a')) }}"), Some("attr"));
        assert_eq!(suspicious("{{ unterminated.__"), Some("__"));
    }

    #[test]
    fn bases() {
        let mut config = Config::default();
        let mut set = |key: &str, value: Value| config.entries.insert(key.into(), value);
        set("general.base_model.count", Value::Int(i64::MAX));
        set("general.base_model.0.name", Value::Text("Nova".into()));
        set("general.base_model.0.repo_url", Value::Text("https://example.org/acme/nova-8b/".into()));
        set("general.base_model.1.name", Value::Text("Lyra".into()));
        set("general.base_model.1.organization", Value::Text("Acme".into()));
        assert_eq!(declared(&config).base_model, ["acme/nova-8b", "Acme/Lyra"]);
    }
}
