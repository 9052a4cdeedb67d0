//! Chat templates, which are programs that a loader renders: what in them reaches for more than a conversation.
//!
//! Nothing is rendered. A template is looked through for what attacks on renderers have used: attributes with double underscores, also
//! spelled with escapes or put together, names of the interpreter, files of the loader, loops without an end; and for text that nobody sees.

use crate::document::{Refusal, document};
use crate::hazards::Hazards;
use crate::json::{Kind, Scalar, Scanner};
use crate::{FormatError, Limits};
use stemmata_model::{Hazard, Level, printable};

/// Words of a template that reach for the interpreter or for files instead of for the conversation. Names that do harm only through
/// an attribute with double underscores are not among them: honest templates have some, and the underscores are found.
const SUSPICIOUS: [&str; 16] = [
    "import",
    "include",
    "extends",
    "os",
    "popen",
    "subprocess",
    "eval",
    "exec",
    "getattr",
    "setattr",
    "attr",
    "globals",
    "builtins",
    "lipsum",
    "mro",
    "subclasses",
];
/// A loop of more steps than this is no conversation's.
const STEPS: u64 = 1_000_000;
/// Templates of one file, at most.
const TEMPLATES: usize = 256;

/// What is odd about one template, as hazards of the part `part` of a file.
pub(crate) fn look(template: &str, part: &str, hazards: &mut Hazards) {
    if let Some(found) = suspicious(template) {
        hazards.part("suspicious-chat-template", Level::Danger, part, || {
            format!("the template contains `{}`: a loader that renders it may run code", printable(&found))
        });
    }
    if let Some(c) = template.chars().find(|c| is_invisible(*c)) {
        let count = template.chars().filter(|c| is_invisible(*c)).count();
        hazards.part("hidden-text", Level::Warning, part, || {
            format!("the template holds {count} invisible characters, the first is U+{:04X}: a reader sees another text than the model", c as u32)
        });
    }
}

/// A template that is a file of its own.
pub fn parse_template(bytes: &[u8], name: &str) -> Result<Vec<Hazard>, FormatError> {
    let text = document(bytes, name, Limits::default().config_bytes)?;
    let mut hazards = Hazards::new(name);
    look(text, "template", &mut hazards);
    Ok(hazards.finish())
}

/// The templates of a tokenizer's configuration: a text, or a list of named ones. Also code that it names.
pub fn parse_templates(bytes: &[u8], name: &str) -> Result<Vec<Hazard>, FormatError> {
    let limits = Limits::default();
    let text = document(bytes, name, limits.config_bytes)?;
    let mut hazards = Hazards::new(name);
    let mut scanner = Scanner::new(text, limits.json_depth);
    let mut read = || -> Result<(), Refusal> {
        let mut count = 0;
        scanner.object(|scanner, key| {
            match (key.as_ref(), scanner.kind()?) {
                ("chat_template", Kind::Text) => {
                    if let Scalar::Text(template) = scanner.scalar()? {
                        look(&template, "chat_template", &mut hazards);
                    }
                }
                ("chat_template", Kind::Array) => scanner.array(|scanner| {
                    count += 1;
                    if scanner.kind()? != Kind::Object || count > TEMPLATES {
                        return Ok::<_, Refusal>(scanner.skip()?);
                    }
                    named(scanner, &mut hazards)
                })?,
                ("chat_template", Kind::Object) => scanner.object(|scanner, key| {
                    count += 1;
                    match scanner.kind()? {
                        Kind::Text if count <= TEMPLATES => {
                            if let Scalar::Text(template) = scanner.scalar()? {
                                look(&template, &format!("chat_template.{key}"), &mut hazards);
                            }
                        }
                        _ => scanner.skip()?,
                    }
                    Ok::<_, Refusal>(())
                })?,
                ("auto_map", _) => {
                    scanner.skip()?;
                    hazards.part("remote-code", Level::Danger, "auto_map", || {
                        "the tokenizer's configuration names Python code of the repository that a loader may be asked to run".into()
                    });
                }
                _ => scanner.skip()?,
            }
            Ok::<_, Refusal>(())
        })?;
        Ok(scanner.end()?)
    };
    read().map_err(|refusal| refusal.into_format(&printable(name), 0))?;
    Ok(hazards.finish())
}

/// `{"name": …, "template": …}`.
fn named(scanner: &mut Scanner, hazards: &mut Hazards) -> Result<(), Refusal> {
    let (mut name, mut template) = (String::new(), None);
    scanner.object(|scanner, key| {
        match (key.as_ref(), scanner.kind()?) {
            ("name", Kind::Text) => {
                if let Scalar::Text(text) = scanner.scalar()? {
                    name = text.chars().take(64).collect();
                }
            }
            ("template", Kind::Text) => {
                if let Scalar::Text(text) = scanner.scalar()? {
                    template = Some(text.into_owned());
                }
            }
            _ => scanner.skip()?,
        }
        Ok::<_, Refusal>(())
    })?;
    if let Some(template) = template {
        look(&template, &format!("chat_template.{name}"), hazards);
    }
    Ok(())
}

/// Characters that take no place and change no other: joiners of emoji and of scripts, and marks of direction that the text around
/// explains, are not among them.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{180e}' | '\u{200b}' | '\u{2060}'..='\u{2064}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}'
        | '\u{feff}' | '\u{3164}' | '\u{115f}' | '\u{1160}' | '\u{ffa0}' | '\u{e0000}'..='\u{e0fff}')
}

/// The first suspicious bit that occurs inside a `{{ … }}` or `{% … %}`; text outside them is only text.
fn suspicious(template: &str) -> Option<String> {
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
        if let Some(found) = in_code(code) {
            return Some(found);
        }
        rest = after;
    }
    None
}

fn in_code(code: &str) -> Option<String> {
    let code = without_texts(code);
    if code.contains("__") {
        return Some("__".into());
    }
    let mut words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
    if let Some(found) = words.find_map(|word| SUSPICIOUS.iter().find(|bad| **bad == word)) {
        return Some((*found).into());
    }
    // `range(10**9)` never ends for one who waits.
    let loops = code.split_once("range");
    let large = |word: &str| {
        word.parse::<u64>().map_or(word.len() > 18 && word.bytes().all(|b| b.is_ascii_digit()), |n| n > STEPS)
    };
    loops
        .is_some_and(|(_, of)| {
            of.contains("**") || of.replace('_', "").split(|c: char| !c.is_ascii_digit()).any(large)
        })
        .then(|| "range".into())
}

/// The code with the content of quoted texts removed, except where a text names an attribute: `x['__class__']`, also spelled with
/// escapes, or a part of one: `'_' ~ '_class_' ~ '_'`.
fn without_texts(code: &str) -> String {
    let mut out = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find(['\'', '"']) {
        let (before, quoted) = rest.split_at(at);
        out.push_str(before);
        let quote = quoted.as_bytes()[0];
        let mut end = quoted.len();
        let mut escaped = false;
        for (place, byte) in quoted.bytes().enumerate().skip(1) {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                _ if byte == quote => {
                    end = place;
                    break;
                }
                _ => {}
            }
        }
        let text = unescaped(quoted.get(1..end).unwrap_or_default());
        let part = text.contains("__")
            || !text.is_empty() && text.bytes().all(|b| b == b'_')
            || text.len() > 3 && (text.starts_with('_') && text.ends_with('_'));
        if part {
            out.push_str("__");
        }
        out.push('\'');
        rest = quoted.get(end + 1..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// A text with `\x5f`, `\u005f` and `\137` as what they stand for.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let code = &rest[at + 1..];
        let number = |from: usize, len: usize, radix: u32| {
            let digits = code.get(from..from + len)?;
            char::from_u32(u32::from_str_radix(digits, radix).ok()?).map(|c| (c, from + len))
        };
        let found = match code.as_bytes().first() {
            Some(b'x') => number(1, 2, 16),
            Some(b'u') => number(1, 4, 16),
            Some(b'U') => number(1, 8, 16),
            Some(b'0'..=b'7') => number(0, 3, 8),
            _ => None,
        };
        let (c, len) = found.unwrap_or(('\\', 0));
        out.push(c);
        rest = code.get(len..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates() {
        let check = |template: &str, expect: Option<&str>| {
            assert_eq!(suspicious(template).as_deref(), expect, "{template}");
        };
        check("{{ bos_token }}{% for m in messages %}import os. __ {% endfor %}", None);
        check("{{ 'a system. import this' + eos }}", None);
        check("{{ 'it\\'s __init__.py' ~ x }}", Some("__"));
        check("{{ ''.__class__.__mro__ }}", Some("__"));
        check("{{ x['__class__'] }}", Some("__"));
        check("{{ x['\\x5f\\x5fclass\\x5f\\x5f'] }}", Some("__"));
        check("{{ x['\\u005f_class'] }}", Some("__"));
        check("{{ x['_' ~ '_class_' ~ '_'] }}", Some("__"));
        check("{% set x = os.popen('id') %}", Some("os"));
        check("{% include '/etc/passwd' %}", Some("include"));
        check("{{ eos.strip() + important }}", None);
        check("{{ (x|attr('a')) }}", Some("attr"));
        check("{{ unterminated.__", Some("__"));
        check("{% for i in range(10**9) %}", Some("range"));
        check("{% for i in range(1000000000) %}", Some("range"));
        check("{% for i in range(messages|length - 1, -1, -1) %}", None);
        check("{{ '\\", None);
        check(
            "{%- set ns = namespace(is_first=false, is_tool=false) -%}{{ message['content'].split('</think>')[-1] }}",
            None,
        );
    }

    #[test]
    fn configurations() {
        let codes = |text: &str| {
            let found = parse_templates(text.as_bytes(), "tokenizer_config.json").unwrap();
            found.into_iter().map(|hazard| (hazard.code, hazard.subject)).collect::<Vec<_>>()
        };
        assert_eq!(codes(r#"{"chat_template":"{{ bos }}","x":[{}]}"#), []);
        let one = |code, part: &str| vec![(code, format!("tokenizer_config.json: {part}"))];
        assert_eq!(
            codes(r#"{"chat_template":"{{ x.__a }}"}"#),
            one("suspicious-chat-template", "chat_template")
        );
        let list = r#"{"chat_template":[{"name":"default","template":"a"},{"name":"tool","template":"{% include 'x' %}"}]}"#;
        assert_eq!(codes(list), one("suspicious-chat-template", "chat_template.tool"));
        assert_eq!(codes("{\"chat_template\":\"a\u{200b}b\"}"), one("hidden-text", "chat_template"));
        assert_eq!(codes(r#"{"auto_map":{"AutoTokenizer":["x.Y",null]}}"#), one("remote-code", "auto_map"));
        assert!(parse_templates(b"[]", "t").is_err());
    }
}
