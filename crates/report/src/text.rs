//! Untrusted text made safe, once, on its way into the wire types.

use std::borrow::Cow;
use unicode_width::UnicodeWidthStr;

/// Escapes control, bidirectional and invisible characters as `\u{…}`. Unlike `audit::printable` it never cuts, because
/// messages are longer than names; text that is safe already is returned as it is.
pub(crate) fn clean(text: &str) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c,
                '\u{00ad}' | '\u{061c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
    };
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if hidden(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    out
}

/// Text between tags or inside a double-quoted attribute.
pub(crate) fn escape_html(text: &str) -> Cow<'_, str> {
    if !text.contains(['<', '>', '&', '"', '\'']) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// A text cell of a TSV file. A spreadsheet would run what starts like a formula, so that gets an apostrophe in front.
pub(crate) fn tsv_cell(text: &str) -> String {
    let text = clean(text);
    if text.starts_with(['=', '+', '-', '@']) { format!("'{text}") } else { text }
}

/// Columns that `text` takes on a terminal.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// Breaks at spaces so that no line is wider than `limit`, where the words allow it.
pub(crate) fn wrap(text: &str, limit: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is always a line");
        if line.is_empty() {
            line.push_str(word);
        } else if width(line) + 1 + width(word) <= limit {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_defused() {
        assert_eq!(clean("a\u{1b}[31m\u{202e}\tb"), "a\\u{1b}[31m\\u{202e}\\u{9}b");
        assert_eq!(escape_html("<a href=\"x\">&'"), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
        for formula in ["=cmd()", "+1", "-1", "@x"] {
            assert_eq!(tsv_cell(formula), format!("'{formula}"));
        }
        assert_eq!(tsv_cell("a\tb\nc"), "a\\u{9}b\\u{a}c");
    }

    #[test]
    fn wrapping_counts_columns_not_bytes() {
        assert_eq!(wrap("模型 模型 模型", 9), ["模型 模型", "模型"]);
        assert_eq!(wrap("unbreakable-word b", 4), ["unbreakable-word", "b"]);
    }
}
