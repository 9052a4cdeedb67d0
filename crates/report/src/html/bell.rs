//! What chance gives, and where the tests landed.

use super::markup::{self, esc, signed};
use crate::number::short;
use crate::wire::{Evidence, Report};
use crate::words::{self, Outcome};
use std::fmt::Write;

/// The axis runs from −END to END standard deviations.
const END: f64 = 8.0;
/// Height of the bell, of a row below it, and of the axis labels between them; pixels.
const BELL: f64 = 130.0;
const ROW: f64 = 24.0;
const AXIS: f64 = 30.0;

/// The figure; nothing when no sign-flip test was made.
pub(super) fn section(report: &Report) -> String {
    let tests: Vec<&Evidence> = words::main_tests(report)
        .filter(|e| e.test.starts_with("sign-flip/") && e.statistic.is_some())
        .collect();
    if tests.is_empty() {
        return String::new();
    }
    let limit = limit(report);
    let body = format!(
        "<p class=\"soft\">The bell is the distribution of the studentised statistic T that independent models would give. Each \
         row is one test; its mark is where these two models landed, an arrow if that is off the scale. Beyond the dashed lines (|T| = {}) Hoeffding's bound \
         is below α divided by the number of tests.</p>\n{}\
         <p class=\"small soft\">The numbers are in the table of the evidence below. Fixed points have another null \
         distribution and are only there.</p>\n",
        short(limit),
        figure(report, &tests, limit)
    );
    markup::section("null", "Against chance", &body)
}

/// Solves 2·exp(−T²/2) = α/m.
fn limit(report: &Report) -> f64 {
    let verdict = &report.verdict;
    (2.0 * (2.0 * verdict.tests.max(1) as f64 / verdict.alpha).ln()).max(0.0).sqrt()
}

/// Height of the bell at `t`, from the top of the figure.
fn density(t: f64) -> f64 {
    BELL - (BELL - 8.0) * (-t * t / 2.0).exp()
}

fn x(t: f64) -> f64 {
    50.0 + 50.0 * t / END
}

fn figure(report: &Report, tests: &[&Evidence], limit: f64) -> String {
    let scopes = tests.windows(2).filter(|pair| pair[0].scope != pair[1].scope).count() + 1;
    let bottom = BELL + AXIS + ROW * (tests.len() + scopes) as f64;
    let mut svg = format!(
        "<figure><svg width=\"100%\" height=\"{:.0}\" role=\"img\" aria-label=\"Null distribution with the observed \
         statistics; numbers in the table of the evidence\">\n",
        bottom + 6.0
    );
    for side in [-limit, limit] {
        if side.abs() < END {
            let _ = writeln!(
                svg,
                "<line class=\"limit\" x1=\"{0:.2}%\" x2=\"{0:.2}%\" y1=\"8\" y2=\"{bottom:.0}\"/>",
                x(side)
            );
        }
    }
    let points: String = (0..=160)
        .map(|i| {
            let t = END * (f64::from(i) / 80.0 - 1.0);
            format!("{:.3},{:.2} ", x(t), density(t))
        })
        .collect();
    let _ = writeln!(
        svg,
        "<svg width=\"100%\" height=\"{BELL}\" viewBox=\"0 0 100 {BELL}\" preserveAspectRatio=\"none\" overflow=\"visible\">\
         <polygon class=\"bell\" vector-effect=\"non-scaling-stroke\" points=\"{}\"/></svg>",
        points.trim_end()
    );
    for tick in [-6, -4, -2, 0, 2, 4, 6] {
        let at = x(f64::from(tick));
        let label = signed(&tick.to_string());
        let _ = writeln!(
            svg,
            "<text x=\"{at:.2}%\" y=\"{:.0}\" text-anchor=\"middle\">{label}</text>",
            BELL + 17.0
        );
    }
    // Stems first, so that no later one crosses an earlier label.
    let (mut stems, mut rows) = (String::new(), String::new());
    let mut y = BELL + AXIS;
    let mut scope = "";
    for test in tests {
        if test.scope != scope {
            scope = &test.scope;
            let at = y + 15.0;
            let _ = writeln!(rows, "<text class=\"strong\" x=\"0\" y=\"{at:.0}\">{}</text>", esc(scope));
            y += ROW;
        }
        stem(&mut stems, test, y + ROW / 2.0);
        row(&mut rows, report, test, y + ROW / 2.0);
        y += ROW;
    }
    svg.push_str(&stems);
    svg.push_str(&rows);
    svg.push_str("</svg></figure>\n");
    svg
}

/// From the bell down to the mark.
fn stem(svg: &mut String, test: &Evidence, y: f64) {
    if let Some(t) = test.statistic.filter(|t| t.abs() <= END) {
        let (at, top) = (x(t), density(t));
        let _ = writeln!(
            svg,
            "<line class=\"stem\" x1=\"{at:.2}%\" x2=\"{at:.2}%\" y1=\"{top:.1}\" y2=\"{y:.0}\"/>"
        );
    }
}

fn row(svg: &mut String, report: &Report, test: &Evidence, y: f64) {
    let t = test.statistic.unwrap_or(0.0);
    let far = if words::outcome(test, &report.verdict) == Outcome::Found { " far" } else { "" };
    let name = test.test.trim_start_matches("sign-flip/");
    let _ = writeln!(
        svg,
        "<line class=\"gridline\" x1=\"0\" x2=\"100%\" y1=\"{0:.0}\" y2=\"{0:.0}\"/>",
        y + ROW / 2.0
    );
    // The label keeps clear of the mark.
    let (label_x, label_anchor) = if t < -0.62 * END { ("100%", "end") } else { ("0", "start") };
    let _ = writeln!(
        svg,
        "<text x=\"{label_x}\" y=\"{:.0}\" text-anchor=\"{label_anchor}\">{}</text>",
        y + 4.0,
        esc(name)
    );
    let value = format!("T = {}", plain(&short(t)));
    if t.abs() <= END {
        let at = x(t);
        let (dx, anchor) = if t > 0.6 * END { (-9, "end") } else { (9, "start") };
        let _ = writeln!(
            svg,
            "<circle class=\"mark{far}\" cx=\"{at:.2}%\" cy=\"{y:.0}\" r=\"5.5\"/>\
             <text class=\"value\" x=\"{at:.2}%\" dx=\"{dx}\" y=\"{:.0}\" text-anchor=\"{anchor}\">{value}</text>",
            y + 4.0
        );
    } else {
        let (edge, anchor, dx, points) = if t > 0.0 {
            ("100%", "end", -16, "-12,-6 0,0 -12,6")
        } else {
            ("0%", "start", 16, "12,-6 0,0 12,6")
        };
        let _ = writeln!(
            svg,
            "<svg x=\"{edge}\" y=\"{y:.0}\" overflow=\"visible\"><polygon class=\"mark{far}\" points=\"{points}\"/></svg>\
             <text class=\"value\" x=\"{edge}\" dx=\"{dx}\" y=\"{:.0}\" text-anchor=\"{anchor}\">{value}</text>",
            y + 4.0
        );
    }
}

/// SVG text has no superscripts; only the minus sign is set.
fn plain(text: &str) -> String {
    text.strip_prefix('-').map_or_else(|| text.to_owned(), |rest| format!("−{rest}"))
}
