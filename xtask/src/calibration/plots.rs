//! Quantile plots as SVG, one panel a test.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use stemmata_stats::normal_quantile;

use super::pairs::{Bond, Of, Pair, Test};

/// Side of a panel.
const SIZE: f64 = 270.0;
/// Panels in a row.
const ACROSS: usize = 3;
const COLORS: &[&str] = &[
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8f6b32", "#7f7f7f",
    "#a00000",
];

/// What the axes of a plot are.
struct Axes {
    low: f64,
    high: f64,
    ticks: &'static [f64],
    x: &'static str,
    y: &'static str,
}

/// Samples by panel and by group.
type Samples<'a> = BTreeMap<&'a str, BTreeMap<&'a str, Vec<(f64, f64)>>>;

/// Studentised sums against normal quantiles.
pub(super) fn statistics(pairs: &[Pair]) -> String {
    let mut raw = collect(pairs, |test| test.is_normal && test.of == Of::Layer, |test| test.statistic);
    let expected = |i: usize, n: usize| normal_quantile((i as f64 + 0.5) / n as f64);
    let axes = Axes {
        low: -4.5,
        high: 4.5,
        ticks: &[-4.0, -2.0, 0.0, 2.0, 4.0],
        x: "normal quantile",
        y: "studentised sum T",
    };
    draw(&sorted(&mut raw, expected), &axes)
}

/// Reported p against the uniform distribution: a bound lies below the line.
pub(super) fn p_values(pairs: &[Pair]) -> String {
    let mut raw = collect(pairs, |test| test.of == Of::Layer, |test| -test.log10_p);
    let expected = |i: usize, n: usize| -((n - i) as f64 - 0.5).log10() + (n as f64).log10();
    let axes = Axes {
        low: 0.0,
        high: 5.5,
        ticks: &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0],
        x: "\u{2212}log10 of a uniform p",
        y: "\u{2212}log10 of the reported p",
    };
    draw(&sorted(&mut raw, expected), &axes)
}

fn collect(
    pairs: &[Pair],
    wanted: impl Fn(&Test) -> bool,
    value: impl Fn(&Test) -> f64,
) -> BTreeMap<&str, BTreeMap<&str, Vec<f64>>> {
    let mut samples: BTreeMap<&str, BTreeMap<&str, Vec<f64>>> = BTreeMap::new();
    for pair in pairs.iter().filter(|pair| pair.bond != Bond::Start) {
        for test in pair.tests.iter().filter(|test| wanted(test)) {
            let panel = samples.entry(&test.name).or_default();
            panel.entry(&pair.group).or_default().push(value(test));
        }
    }
    samples
}

/// Sorts each sample and sets it against what is expected of its order statistics.
fn sorted<'a>(
    raw: &mut BTreeMap<&'a str, BTreeMap<&'a str, Vec<f64>>>,
    expected: impl Fn(usize, usize) -> f64,
) -> Samples<'a> {
    let points = |sample: &mut Vec<f64>| {
        sample.sort_by(f64::total_cmp);
        let n = sample.len();
        // Every point in the tails, about fifty in the middle.
        let step = (n / 50).max(1);
        let shown = |i: &usize| *i < 15 || i + 25 > n || i.is_multiple_of(step);
        (0..n).filter(shown).map(|i| (expected(i, n), sample[i])).collect()
    };
    let panel = |groups: &mut BTreeMap<&'a str, Vec<f64>>| {
        groups.iter_mut().map(|(group, sample)| (*group, points(sample))).collect()
    };
    raw.iter_mut().map(|(name, groups)| (*name, panel(groups))).collect()
}

fn draw(samples: &Samples<'_>, axes: &Axes) -> String {
    let groups: Vec<&str> = {
        let all = samples.values().flat_map(|panel| panel.keys().copied());
        all.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
    };
    let color = |group: &str| {
        let index = groups.iter().position(|g| *g == group).unwrap_or(0);
        COLORS[index % COLORS.len()]
    };
    let rows = samples.len().div_ceil(ACROSS);
    let legend = 24.0 * groups.len().div_ceil(4) as f64 + 8.0;
    let (width, height) = (SIZE * ACROSS as f64, SIZE * rows as f64 + legend);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"10\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    for (index, group) in groups.iter().enumerate() {
        let (x, y) = (20.0 + 200.0 * (index % 4) as f64, 20.0 + 24.0 * (index / 4) as f64);
        let _ = writeln!(
            svg,
            "<circle cx=\"{x}\" cy=\"{:.1}\" r=\"4\" fill=\"{}\"/><text x=\"{}\" y=\"{y}\">{group}</text>",
            y - 4.0,
            color(group),
            x + 10.0
        );
    }
    for (index, (name, panel)) in samples.iter().enumerate() {
        let corner = (SIZE * (index % ACROSS) as f64, legend + SIZE * (index / ACROSS) as f64);
        frame(&mut svg, name, corner, axes);
        for (group, points) in panel {
            // A point is a line of no length with round ends: a third of the bytes of a circle.
            let _ = write!(
                svg,
                "<path stroke=\"{}\" stroke-opacity=\"0.7\" stroke-width=\"3.2\" stroke-linecap=\"round\" d=\"",
                color(group)
            );
            for (x, y) in points {
                let (x, y) = (place(*x, axes, corner.0), upwards(*y, axes, corner.1));
                let _ = write!(svg, "M{x:.1} {y:.1}h0");
            }
            svg.push_str("\"/>\n");
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// Where a value lies from left to right.
fn place(value: f64, axes: &Axes, left: f64) -> f64 {
    let share = (value.clamp(axes.low, axes.high) - axes.low) / (axes.high - axes.low);
    left + 36.0 + share * (SIZE - 50.0)
}

/// Where a value lies from bottom to top.
fn upwards(value: f64, axes: &Axes, top: f64) -> f64 {
    top + SIZE + 4.0 - (place(value, axes, 0.0) + 4.0)
}

fn frame(svg: &mut String, name: &str, (left, top): (f64, f64), axes: &Axes) {
    let (x0, x1) = (place(axes.low, axes, left), place(axes.high, axes, left));
    let (y0, y1) = (upwards(axes.low, axes, top), upwards(axes.high, axes, top));
    for tick in axes.ticks {
        let (x, y) = (place(*tick, axes, left), upwards(*tick, axes, top));
        let _ = writeln!(
            svg,
            "<path d=\"M{x:.1} {y0:.1}V{y1:.1}M{x0:.1} {y:.1}H{x1:.1}\" stroke=\"#e2e2e2\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#555555\">{tick}</text>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#555555\">{tick}</text>",
            y0 + 12.0,
            x0 - 4.0,
            y + 3.5
        );
    }
    let _ = writeln!(
        svg,
        "<path d=\"M{x0:.1} {y0:.1}L{x1:.1} {y1:.1}\" stroke=\"#888888\" stroke-dasharray=\"4 3\"/>\
         <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" font-weight=\"bold\">{name}</text>\
         <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
         <text transform=\"translate({:.1} {:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
        (x0 + x1) / 2.0,
        y1 - 3.0,
        (x0 + x1) / 2.0,
        y0 + 25.0,
        axes.x,
        left + 10.0,
        (y0 + y1) / 2.0,
        axes.y
    );
}
