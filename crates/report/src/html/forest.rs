//! The forest plot: every contestant with its interval, on one scale; and bars of shares.

use super::markup::esc;
use crate::human::points;
use crate::text::width;
use crate::wire::Rating;
use std::fmt::Write;

/// Height of a row, and of the axis at either end; pixels.
const ROW: f64 = 22.0;
const AXIS: f64 = 26.0;
/// Where the scale begins, per cent of the width; names stand before it.
const LEFT: f64 = 36.0;
/// Columns of a name that fit there on a narrow screen.
const NAME: usize = 28;

/// One row of the figure.
pub(super) struct Mark<'a> {
    /// Whose.
    pub(super) name: &'a str,
    /// Where the dot is.
    pub(super) value: Option<f64>,
    /// Ends of the thick line.
    pub(super) inner: (Option<f64>, Option<f64>),
    /// Ends of the thin line.
    pub(super) outer: (Option<f64>, Option<f64>),
}

/// Ratings; `rows` all have numbers.
pub(super) fn figure(rows: &[&Rating], caption: &str) -> String {
    let rows: Vec<Mark<'_>> = rows
        .iter()
        .map(|r| Mark {
            name: &r.contestant,
            value: r.rating,
            inner: (r.lower, r.upper),
            outer: (r.simultaneous_lower, r.simultaneous_upper),
        })
        .collect();
    marks(&rows, caption, "Ratings with intervals; numbers in the table of ratings", &points)
}

/// The figure; `number` writes the value of a dot.
pub(super) fn marks(rows: &[Mark<'_>], caption: &str, label: &str, number: &dyn Fn(f64) -> String) -> String {
    let ends = rows.iter().flat_map(|r| [r.outer.0, r.outer.1, r.inner.0, r.inner.1]);
    let (low, high) =
        ends.flatten().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
    if low >= high || !(high - low).is_finite() {
        return String::new();
    }
    let step = step(high - low);
    let (from, to) = ((low / step).floor() * step, (high / step).ceil() * step);
    let x = |value: f64| LEFT + (99.0 - LEFT) * (value - from) / (to - from);
    let bottom = AXIS + ROW * rows.len() as f64;
    let mut svg = format!(
        "<figure><svg width=\"100%\" height=\"{:.0}\" role=\"img\" aria-label=\"{}\">\n",
        bottom + AXIS,
        esc(label)
    );
    let ticks = ((to - from) / step).round() as u32;
    let places = if step < 1.0 { 1 } else { 0 };
    for tick in 0..=ticks {
        let value = from + f64::from(tick) * step;
        let at = x(value);
        // A zero that rounding made negative has no sign.
        let value = if value.abs() < step * 1e-6 { 0.0 } else { value };
        let label = format!("{value:.places$}").replace('-', "−");
        let _ = writeln!(
            svg,
            "<line class=\"gridline\" x1=\"{at:.2}%\" x2=\"{at:.2}%\" y1=\"{AXIS}\" y2=\"{bottom}\"/>\
             <text x=\"{at:.2}%\" y=\"{:.0}\" text-anchor=\"middle\">{label}</text>\
             <text x=\"{at:.2}%\" y=\"{:.0}\" text-anchor=\"middle\">{label}</text>",
            AXIS - 9.0,
            bottom + 17.0
        );
    }
    for (i, r) in rows.iter().enumerate() {
        let y = AXIS + ROW * (i as f64 + 0.5);
        svg.push_str(&beside(r.name, y));
        let mut line = |class: &str, ends: (Option<f64>, Option<f64>)| {
            if let (Some(lower), Some(upper)) = ends {
                let _ = write!(
                    svg,
                    "<line class=\"{class}\" x1=\"{:.2}%\" x2=\"{:.2}%\" y1=\"{y:.0}\" y2=\"{y:.0}\"/>",
                    x(lower),
                    x(upper)
                );
            }
        };
        line("whisker", r.outer);
        line("bar", r.inner);
        if let Some(value) = r.value {
            let _ = writeln!(
                svg,
                "<circle class=\"mark\" cx=\"{:.2}%\" cy=\"{y:.0}\" r=\"3.4\"><title>{}: {}</title></circle>",
                x(value),
                esc(r.name),
                number(value).replace('-', "−")
            );
        }
    }
    let _ = writeln!(svg, "</svg><figcaption>{}</figcaption></figure>", esc(caption));
    svg
}

/// One bar.
pub(super) struct Bar {
    /// What it stands for.
    pub(super) name: String,
    /// Per cent.
    pub(super) value: f64,
    /// The same as text.
    pub(super) label: String,
}

/// Bars from 0, of per cents.
pub(super) fn bars(rows: &[Bar], caption: &str) -> String {
    let most = rows.iter().map(|r| r.value).fold(0.0, f64::max);
    if most <= 0.0 {
        return String::new();
    }
    let mut svg = format!(
        "<figure><svg width=\"100%\" height=\"{:.0}\" role=\"img\" aria-label=\"Shares; numbers in the table below\">\n",
        ROW * rows.len() as f64 + 6.0
    );
    for (i, r) in rows.iter().enumerate() {
        let y = ROW * (i as f64 + 0.5);
        // The label stands beyond the end of its bar.
        let end = LEFT + (84.0 - LEFT) * r.value / most;
        let _ = writeln!(
            svg,
            "{1}<rect class=\"column\" x=\"{LEFT}%\" y=\"{2:.0}\" width=\"{3:.2}%\" height=\"{4:.0}\"/>\
             <text x=\"{5:.2}%\" y=\"{0:.0}\">{6}</text>",
            y + 4.0,
            beside(&r.name, y),
            y - 7.0,
            end - LEFT,
            14.0,
            end + 1.0,
            esc(&r.label).replace(' ', "\u{a0}")
        );
    }
    let _ = writeln!(svg, "</svg><figcaption>{}</figcaption></figure>", esc(caption));
    svg
}

/// A name at the left of row `y`. It ends where the scale begins: on a narrow page it is cut, not drawn over the marks; the table below has it whole.
fn beside(name: &str, y: f64) -> String {
    format!(
        "<svg class=\"name\" y=\"{:.0}\" width=\"{:.0}%\" height=\"{ROW:.0}\"><text class=\"strong\" x=\"0\" y=\"{:.0}\">{}</text></svg>",
        y - ROW * 0.5,
        LEFT - 2.0,
        ROW * 0.5 + 4.0,
        esc(&short(name))
    )
}

/// A round distance of ticks, four to eight of them.
fn step(range: f64) -> f64 {
    let power = 10f64.powf((range / 5.0).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
    steps.into_iter().find(|step| range / step <= 6.0).unwrap_or(10.0 * power)
}

/// A name that fits beside the scale.
fn short(name: &str) -> String {
    if width(name) <= NAME {
        return name.to_owned();
    }
    let mut out = String::new();
    for c in name.chars() {
        out.push(c);
        if width(&out) + 1 > NAME {
            out.pop();
            break;
        }
    }
    out.push('…');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        for (range, want) in [(400.0, 100.0), (61.0, 20.0), (6.0, 1.0), (0.9, 0.2)] {
            assert!((step(range) - want).abs() < 1e-12, "{range} {}", step(range));
        }
    }

    #[test]
    fn long_names_are_cut_by_columns() {
        assert_eq!(short("a"), "a");
        assert_eq!(width(&short(&"模".repeat(40))), 27);
    }
}
