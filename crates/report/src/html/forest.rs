//! The forest plot: every contestant with its interval, on one scale.

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

/// The figure; `rows` all have numbers.
pub(super) fn figure(rows: &[&Rating], caption: &str) -> String {
    let ends = rows.iter().flat_map(|r| [r.simultaneous_lower, r.simultaneous_upper, r.lower, r.upper]);
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
        "<figure><svg width=\"100%\" height=\"{:.0}\" role=\"img\" aria-label=\"Ratings with intervals; numbers in the table \
         of ratings\">\n",
        bottom + AXIS
    );
    let ticks = ((to - from) / step).round() as u32;
    for tick in 0..=ticks {
        let value = from + f64::from(tick) * step;
        let at = x(value);
        let label = format!("{value:.0}").replace('-', "−");
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
        let _ = write!(
            svg,
            "<text class=\"strong\" x=\"0\" y=\"{:.0}\">{}</text>",
            y + 4.0,
            esc(&short(&r.contestant))
        );
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
        line("whisker", (r.simultaneous_lower, r.simultaneous_upper));
        line("bar", (r.lower, r.upper));
        if let Some(value) = r.rating {
            let _ = writeln!(
                svg,
                "<circle class=\"mark\" cx=\"{:.2}%\" cy=\"{y:.0}\" r=\"3.4\"><title>{}: {}</title></circle>",
                x(value),
                esc(&r.contestant),
                points(value).replace('-', "−")
            );
        }
    }
    let _ = writeln!(svg, "</svg><figcaption>{}</figcaption></figure>", esc(caption));
    svg
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
