//! Untrusted text made safe to show.

/// Escapes control characters, bidirectional overrides and other invisible format characters as `\u{…}`, and cuts
/// after 200 characters, so that an attacker's name cannot move a cursor, reorder a line or flood a report. A backslash is
/// doubled, so that a name cannot pretend to hold what it only spells; for the same reason this is done once to a name.
pub fn printable(text: &str) -> String {
    const LIMIT: usize = 200;
    let mut out = String::with_capacity(text.len().min(LIMIT));
    for (count, c) in text.chars().enumerate() {
        if count == LIMIT {
            out.push('…');
            break;
        }
        let hidden = matches!(c,
            '\u{00ad}' | '\u{061c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
        match c {
            '\\' => out.push_str(r"\\"),
            c if c.is_control() || hidden => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn control_and_bidi_characters_are_shown_as_escapes() {
        assert_eq!(printable("a\u{1b}[31mb\u{202e}c"), "a\\u{1b}[31mb\\u{202e}c");
        assert_eq!(printable(r"a\u{1b}"), r"a\\u{1b}");
        assert_eq!(printable("模型.weight"), "模型.weight");
        assert_eq!(printable(&"x".repeat(300)).chars().count(), 201);
    }
}
