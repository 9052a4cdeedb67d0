//! The few pieces of HTML that everything here is made of. Text is escaped unless it says otherwise.

use crate::number::{Glyphs, NONE};
use crate::text::escape_html;

/// Text between tags or in an attribute.
pub(super) fn esc(text: &str) -> std::borrow::Cow<'_, str> {
    escape_html(text)
}

/// A number as text with a typographic minus sign.
pub(super) fn signed(text: &str) -> String {
    match text.strip_prefix('-') {
        Some("") => "–".to_owned(),
        Some(rest) => format!("−{}", with_power(rest)),
        None => with_power(text),
    }
}

/// `1.3e-6` as `1.3 × 10⁻⁶`, `1e-123` as `10⁻¹²³`.
fn with_power(text: &str) -> String {
    let Some((mantissa, exponent)) = text.split_once('e') else { return esc(text).into_owned() };
    let power = format!("10<sup>{}</sup>", exponent.replace('-', "−"));
    match mantissa.rsplit_once(' ') {
        _ if mantissa == "1" => power,
        Some((bound, "1")) => format!("{bound}\u{a0}{power}"),
        Some((bound, rest)) => format!("{bound}\u{a0}{rest}\u{a0}×\u{a0}{power}"),
        None => format!("{mantissa}\u{a0}×\u{a0}{power}"),
    }
}

/// A p-value given as log10.
pub(super) fn p(log10: Option<f64>) -> String {
    log10.map_or_else(|| "–".to_owned(), |log10| signed(&Glyphs { unicode: true }.p(log10)))
}

/// A cell of a table.
pub(super) struct Cell {
    html: String,
    class: &'static str,
}

impl Cell {
    /// Any text.
    pub(super) fn text(text: &str) -> Cell {
        Cell { html: esc(text).into_owned(), class: "" }
    }

    /// A formatted number, right-aligned.
    pub(super) fn number(text: &str) -> Cell {
        Cell { html: signed(if text == NONE { "-" } else { text }), class: "n" }
    }

    /// Markup made here, right-aligned.
    pub(super) fn right(html: String) -> Cell {
        Cell { html, class: "n" }
    }
}

/// A table that scrolls inside its own box. The first cell of a row is its header.
pub(super) struct Table {
    caption: String,
    head: String,
    body: String,
}

impl Table {
    /// `columns`: name and whether it holds numbers.
    pub(super) fn new(caption: &str, columns: &[(&str, bool)]) -> Table {
        let mut head = String::new();
        for (name, is_number) in columns {
            let class = if *is_number { " class=\"n\"" } else { "" };
            head.push_str(&format!("<th scope=\"col\"{class}>{}</th>", esc(name)));
        }
        Table { caption: esc(caption).into_owned(), head, body: String::new() }
    }

    /// Adds a row; `class` is ours.
    pub(super) fn row(&mut self, class: &str, cells: &[Cell]) {
        let attribute =
            |class: &str| if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
        self.body.push_str(&format!("<tr{}>", attribute(class)));
        for (i, cell) in cells.iter().enumerate() {
            let (open, close) = if i == 0 { ("th scope=\"row\"", "th") } else { ("td", "td") };
            self.body.push_str(&format!("<{open}{}>{}</{close}>", attribute(cell.class), cell.html));
        }
        self.body.push_str("</tr>\n");
    }

    /// The markup.
    pub(super) fn render(&self) -> String {
        format!(
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{0}\"><table><caption>{0}</caption>\
             <thead><tr>{1}</tr></thead>\n<tbody>\n{2}</tbody></table></div>\n",
            self.caption, self.head, self.body
        )
    }
}

/// A section with a heading; nothing when the body is empty.
pub(super) fn section(id: &str, heading: &str, body: &str) -> String {
    if body.is_empty() {
        return String::new();
    }
    format!("<section aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{}</h2>\n{body}</section>\n", esc(heading))
}

/// A list of terms; `html` values are ours or escaped already.
pub(super) fn facts(pairs: &[(&str, String)]) -> String {
    let items: String =
        pairs.iter().map(|(term, html)| format!("<dt>{}</dt><dd>{html}</dd>", esc(term))).collect();
    if items.is_empty() { items } else { format!("<dl class=\"facts\">{items}</dl>\n") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_set_properly() {
        assert_eq!(p(Some(-123.4)), "≤\u{a0}10<sup>−123</sup>");
        assert_eq!(p(Some(-5.9)), "≤\u{a0}1.3\u{a0}×\u{a0}10<sup>−6</sup>");
        assert_eq!((p(Some(0.0)), p(None)), ("1".to_owned(), "–".to_owned()));
        assert_eq!(
            (signed("-0.41"), signed("3e-4")),
            ("−0.41".to_owned(), "3\u{a0}×\u{a0}10<sup>−4</sup>".to_owned())
        );
    }
}
