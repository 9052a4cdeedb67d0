//! Colour and symbols, as far as the terminal has them.

use crate::Style;
use crate::number::Glyphs;
use crate::text::wrap;

/// What a piece of text is; never the only carrier of a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paint {
    /// Ordinary.
    Plain,
    /// Labels and headers.
    Dim,
    /// The verdict.
    Strong,
    /// Dependence, warnings.
    Notice,
    /// Danger.
    Danger,
}

/// Writes for one terminal.
pub(crate) struct Pen {
    style: Style,
}

impl Pen {
    pub(crate) fn new(style: Style) -> Pen {
        Pen { style }
    }

    pub(crate) fn width(&self) -> usize {
        self.style.width.max(8)
    }

    pub(crate) fn glyphs(&self) -> Glyphs {
        Glyphs { unicode: self.style.unicode }
    }

    /// The first text, or the second where only ASCII may be written.
    pub(crate) fn either(&self, unicode: &'static str, ascii: &'static str) -> &'static str {
        if self.style.unicode { unicode } else { ascii }
    }

    pub(crate) fn paint(&self, text: &str, paint: Paint) -> String {
        let code = match paint {
            _ if !self.style.color || text.is_empty() => return text.to_owned(),
            Paint::Plain => return text.to_owned(),
            Paint::Dim => "2",
            Paint::Strong => "1",
            Paint::Notice => "1;33",
            Paint::Danger => "1;31",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// A label of eleven columns, then text that wraps under itself.
    pub(crate) fn labelled(&self, label: &str, text: &str) -> Vec<String> {
        let lines = wrap(text, self.width().saturating_sub(LABEL));
        let mut out = Vec::with_capacity(lines.len());
        for (i, line) in lines.iter().enumerate() {
            let (shown, pad) = if i == 0 { (label, LABEL - label.len().min(LABEL)) } else { ("", LABEL) };
            out.push(format!("{}{}{line}", self.paint(shown, Paint::Dim), " ".repeat(pad)));
        }
        out
    }
}

const LABEL: usize = 11;
