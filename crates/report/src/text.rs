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

/// A text cell of a TSV file. A spreadsheet would run what starts like a formula, also behind a quotation mark, which it
/// takes off, or in the wide forms that some accept; so that gets an apostrophe in front.
pub(crate) fn tsv_cell(text: &str) -> String {
    let text = clean(text);
    let runs = ['=', '+', '-', '@', '"', '＝', '＋', '－', '＠'];
    if text.starts_with(runs) { format!("'{text}") } else { text }
}

/// Columns that `text` takes on a terminal.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// Breaks at spaces so that no line is wider than `limit`. A word that is wider, such as a digest, is broken too: the
/// terminal would do it anyway, and lose the indent.
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
        while let Some(rest) = lines.last_mut().and_then(|line| cut(line, limit)) {
            lines.push(rest);
        }
    }
    lines
}

/// Takes off what is beyond `limit` columns; at least one character stays.
fn cut(line: &mut String, limit: usize) -> Option<String> {
    if width(line) <= limit {
        return None;
    }
    let fits = |at: &usize| *at > 0 && width(&line[..*at]) <= limit;
    let last = line.char_indices().map(|(at, _)| at).take_while(|at| *at == 0 || fits(at)).last()?;
    let at = if last > 0 { last } else { line.chars().next()?.len_utf8() };
    Some(line.split_off(at)).filter(|rest| !rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_defused() {
        assert_eq!(clean("a\u{1b}[31m\u{202e}\tb"), "a\\u{1b}[31m\\u{202e}\\u{9}b");
        assert_eq!(escape_html("<a href=\"x\">&'"), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
        for formula in ["=cmd()", "+1", "-1", "@x", "\"=cmd()\"", "＝cmd()"] {
            assert_eq!(tsv_cell(formula), format!("'{formula}"));
        }
        assert_eq!(tsv_cell("a\tb\nc"), "a\\u{9}b\\u{a}c");
    }

    #[test]
    fn wrapping_counts_columns_not_bytes() {
        assert_eq!(wrap("模型 模型 模型", 9), ["模型 模型", "模型"]);
        assert_eq!(wrap("a longer-word b", 5), ["a", "longe", "r-wor", "d b"]);
        assert_eq!(wrap("模型模型", 5), ["模型", "模型"]);
        assert_eq!(wrap("模型", 1), ["模", "型"]);
        assert_eq!(wrap("ab", 0), ["a", "b"]);
    }
}
