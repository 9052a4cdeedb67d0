//! The front matter of a model card: what the uploader claims.

use stemmata_model::Declared;

/// Front matter behind this many bytes is not looked at.
const CARD_BYTES: usize = 256 << 10;
/// More bases than any merge names.
const BASES: usize = 256;

/// Reads `base_model`, `base_model_relation`, `license` and `license_name` from the YAML front matter of a card.
///
/// A line scanner for the few shapes these keys take in practice, not a YAML parser: a value that it does not
/// understand is absent, and no input makes it fail.
pub fn parse_card(bytes: &[u8]) -> Declared {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(CARD_BYTES)]);
    let mut declared = Declared::default();
    let mut license_name = None;
    let mut lines = text.trim_start_matches('\u{feff}').lines();
    if lines.next().map(str::trim_end) != Some("---") {
        return declared;
    }
    let mut key = String::new();
    for line in lines {
        if matches!(line.trim_end(), "---" | "...") {
            break;
        }
        let body = line.trim();
        if body.is_empty() || body.starts_with('#') {
            continue;
        }
        if let Some(item) = body.strip_prefix("- ") {
            if key == "base_model" {
                push(&mut declared.base_model, scalar(item));
            }
            continue;
        }
        if line.starts_with([' ', '\t']) {
            continue;
        }
        let Some((name, value)) = body.split_once(':') else {
            key.clear();
            continue;
        };
        name.trim().clone_into(&mut key);
        let value = value.trim();
        match key.as_str() {
            "base_model" => match value.strip_prefix('[') {
                Some(list) => {
                    let list = list.split(']').next().unwrap_or_default();
                    list.split(',').for_each(|item| push(&mut declared.base_model, scalar(item)));
                }
                None => push(&mut declared.base_model, scalar(value)),
            },
            "base_model_relation" => declared.base_model_relation = scalar(value),
            "license" => declared.license = scalar(value.trim_start_matches('[').trim_end_matches(']')),
            "license_name" => license_name = scalar(value),
            _ => {}
        }
    }
    if matches!(declared.license.as_deref(), None | Some("other")) && license_name.is_some() {
        declared.license = license_name;
    }
    declared
}

fn push(list: &mut Vec<String>, item: Option<String>) {
    if let Some(item) = item.filter(|item| list.len() < BASES && !list.contains(item)) {
        list.push(item);
    }
}

/// A plain or quoted scalar without its comment; `None` if empty or null.
fn scalar(text: &str) -> Option<String> {
    let text = text.trim();
    let value = match text.chars().next() {
        Some(quote @ ('"' | '\'')) => text[1..].split(quote).next().unwrap_or_default(),
        _ => text.split(" #").next().unwrap_or_default().trim(),
    };
    let absent = value.is_empty() || matches!(value, "null" | "~" | "|" | ">") || value.starts_with('#');
    (!absent).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(front: &str, bases: &[&str], license: Option<&str>) {
        let declared = parse_card(format!("---\n{front}\n---\nbase_model: not/this\n").as_bytes());
        assert_eq!(declared.base_model, bases, "{front}");
        assert_eq!(declared.license.as_deref(), license, "{front}");
    }

    #[test]
    fn shapes_seen_in_cards() {
        check("base_model: acme/nova # old\nlicense: mit", &["acme/nova"], Some("mit"));
        check("base_model:\n- acme/nova\n- \"acme/lyra\"\ntags:\n- x", &["acme/nova", "acme/lyra"], None);
        check(
            "base_model:\n  - acme/nova\nlicense: other\nlicense_name: 'nova-1'",
            &["acme/nova"],
            Some("nova-1"),
        );
        check("base_model: [acme/nova, 'acme/lyra']", &["acme/nova", "acme/lyra"], None);
        check("license:\n- apache-2.0", &[], None);
        check("base_model: null", &[], None);
        assert_eq!(parse_card(b"# no front matter\nbase_model: x"), Declared::default());
        assert_eq!(
            parse_card(b"---\r\nbase_model_relation: quantized\r\n---").base_model_relation.unwrap(),
            "quantized"
        );
        parse_card(&[0xff; 300]);
    }
}
