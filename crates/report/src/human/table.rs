//! Tables that align by display width, and fall back to one block per row where the terminal is too narrow.

use super::pen::{Paint, Pen};
use crate::text::{width, wrap};

/// How a column stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// One cell.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    text: String,
    paint: Paint,
}

impl Cell {
    pub(crate) fn new(text: impl Into<String>) -> Cell {
        Cell { text: text.into(), paint: Paint::Plain }
    }

    pub(crate) fn painted(text: impl Into<String>, paint: Paint) -> Cell {
        Cell { text: text.into(), paint }
    }
}

/// A table. The first column holds symbols or labels and has no header.
pub(crate) struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<Cell>>,
}

const GAP: usize = 2;

impl Table {
    pub(crate) fn new(columns: &[(&str, Align)]) -> Table {
        let columns = columns.iter().map(|(name, align)| ((*name).to_owned(), *align)).collect();
        Table { columns, rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        debug_assert_eq!(cells.len(), self.columns.len());
        self.rows.push(cells);
    }

    /// Lines; empty when there are no rows.
    pub(crate) fn render(&self, pen: &Pen) -> Vec<String> {
        if self.rows.is_empty() {
            return Vec::new();
        }
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|i| {
                let cells = self.rows.iter().map(|r| width(&r[i].text)).max().unwrap_or(0);
                cells.max(width(&self.columns[i].0))
            })
            .collect();
        let gaps: usize = widths.iter().skip(1).map(|_| GAP).sum::<usize>() - usize::from(self.has_symbols());
        if widths.iter().sum::<usize>() + gaps <= pen.width() {
            self.aligned(&widths, pen)
        } else {
            self.stacked(pen)
        }
    }

    /// A first column of one character stands closer to the text that it marks.
    fn has_symbols(&self) -> bool {
        self.rows.iter().all(|r| width(&r[0].text) <= 1) && self.columns[0].0.is_empty()
    }

    fn aligned(&self, widths: &[usize], pen: &Pen) -> Vec<String> {
        let symbols = self.has_symbols();
        let line = |cells: &[Cell]| {
            let (mut out, mut pending) = (String::new(), 0);
            for (i, cell) in cells.iter().enumerate() {
                let space = widths[i] - width(&cell.text);
                let (before, after) = match self.columns[i].1 {
                    Align::Left => (0, space),
                    Align::Right => (space, 0),
                };
                if !cell.text.is_empty() {
                    out.push_str(&" ".repeat(pending + before));
                    out.push_str(&pen.paint(&cell.text, cell.paint));
                    pending = after;
                } else {
                    pending += before + after;
                }
                pending += if i == 0 && symbols { 1 } else { GAP };
            }
            out
        };
        let mut lines = Vec::new();
        if self.columns.iter().any(|(name, _)| !name.is_empty()) {
            let header: Vec<Cell> =
                self.columns.iter().map(|(name, _)| Cell::painted(name.clone(), Paint::Dim)).collect();
            lines.push(line(&header));
        }
        lines.extend(self.rows.iter().map(|row| line(row)));
        lines
    }

    /// First two cells as a heading, the others as `name value` pairs below it.
    fn stacked(&self, pen: &Pen) -> Vec<String> {
        let mut lines = Vec::new();
        for row in &self.rows {
            lines.extend(heading(&row[0], row.get(1), pen));
            let pairs: Vec<String> = row
                .iter()
                .zip(&self.columns)
                .skip(2)
                .filter(|(cell, _)| !cell.text.is_empty())
                .map(|(cell, (name, _))| format!("{name} {}", cell.text).trim().to_owned())
                .collect();
            let wrapped = |text: &str| {
                let lines = wrap(text, pen.width().saturating_sub(4));
                lines.into_iter().map(|line| format!("    {line}"))
            };
            let mut line = String::new();
            for pair in pairs {
                // A pair stays whole where it fits a line at all.
                if !line.is_empty() && width(&line) + 2 + width(&pair) > pen.width().saturating_sub(5) {
                    lines.extend(wrapped(&format!("{line};")));
                    line.clear();
                }
                line = if line.is_empty() { pair } else { format!("{line}; {pair}") };
            }
            lines.extend(wrapped(&line));
        }
        lines
    }
}

/// A short first cell, such as a symbol, with the second one hanging beside it; below it where the first is long.
fn heading(first: &Cell, second: Option<&Cell>, pen: &Pen) -> Vec<String> {
    let painted = |cell: &Cell, limit| -> Vec<String> {
        let lines = wrap(&cell.text, limit);
        lines.iter().map(|line| pen.paint(line, cell.paint)).collect()
    };
    let second = second.filter(|cell| !cell.text.is_empty());
    let taken = width(&first.text);
    if taken > pen.width() / 2 {
        let mut lines = painted(first, pen.width());
        let below = second.map_or_else(Vec::new, |cell| painted(cell, pen.width().saturating_sub(4)));
        lines.extend(below.iter().map(|line| format!("    {line}")));
        return lines;
    }
    let mark = pen.paint(&first.text, first.paint);
    let Some(second) = second else { return vec![mark] };
    let gap = usize::from(taken > 0);
    let beside = painted(second, pen.width().saturating_sub(taken + gap));
    let lead = |i| if i == 0 { mark.clone() } else { " ".repeat(taken) };
    beside.iter().enumerate().map(|(i, line)| format!("{}{}{line}", lead(i), " ".repeat(gap))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Style;

    #[test]
    fn wide_characters_align_and_narrow_terminals_stack() {
        let mut table = Table::new(&[("", Align::Left), ("name", Align::Left), ("n", Align::Right)]);
        table.row(vec![Cell::new("!"), Cell::new("模型"), Cell::new("1")]);
        table.row(vec![Cell::new("-"), Cell::new("abc"), Cell::new("22")]);
        let pen = |width| Pen::new(Style { color: false, unicode: true, width });
        assert_eq!(table.render(&pen(40)), ["  name   n", "! 模型   1", "- abc   22"]);
        assert_eq!(table.render(&pen(8)), ["! 模型", "    n 1", "- abc", "    n 22"]);
    }
}
