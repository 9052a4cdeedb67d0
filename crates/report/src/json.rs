//! JSON: the wire types, pretty, with a newline at the end.

use serde::Serialize;

/// Serialises wire types. Key order is field order; lists keep the order that `audit` gave them.
pub(crate) fn pretty<T: Serialize>(value: &T) -> String {
    // INVARIANT: wire types have string keys and no fallible serialisers, so this cannot fail.
    let mut text = serde_json::to_string_pretty(value).expect("wire types serialise");
    text.push('\n');
    text
}

/// JSON that may stand inside a `<script>` block: no character that HTML gives a meaning to.
pub(crate) fn for_script<T: Serialize>(value: &T) -> String {
    let mut out = String::new();
    for c in pretty(value).chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out
}
