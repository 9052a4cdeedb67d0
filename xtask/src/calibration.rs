//! Calibration on known-independent pairs: compares every two models of a directory and writes what the tests said.
//!
//! The directory is one that `calibrate-zoo` wrote: models that share data, order, tokenizer and recipe, and differ in their
//! seed. Models whose name ends in `-order` share another model's random start and are reported apart.

use crate::{Failure, no_more, take_option};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use stemmata_audit::{Backend, DecisionRule, Kind, Scope, Settings, SketchParams, TestKind, compare};
use stemmata_stats::{binomial_interval, kolmogorov_smirnov_normal, normal_quantile};

/// One layer test of one pair.
struct Test {
    family: String,
    test: String,
    effect: Option<f64>,
    statistic: f64,
    log10_p: f64,
}

/// One pair.
struct Pair {
    shares_init: bool,
    family: String,
    kind: Kind,
    log10_p: f64,
    cosine: f64,
    name: String,
    tests: Vec<Test>,
}

pub(crate) fn run(options: &[String]) -> Result<(), Failure> {
    let mut options = options.to_vec();
    let zoo = take_option(&mut options, "--zoo")?.unwrap_or_else(|| "target/calibration".to_owned());
    let out = PathBuf::from(take_option(&mut options, "--out")?.unwrap_or_else(|| "docs/methods".to_owned()));
    let date = take_option(&mut options, "--date")?;
    no_more(&options)?;
    let mut models: Vec<String> = std::fs::read_dir(&zoo)?
        .filter_map(|e| e.ok()?.file_name().into_string().ok())
        .filter(|name| Path::new(&zoo).join(name).join("config.json").is_file())
        .collect();
    models.sort();
    let pairs = compare_all(Path::new(&zoo), &models)?;
    std::fs::create_dir_all(&out)?;
    let table = page(&models, &pairs, date.as_deref());
    print!("{table}");
    std::fs::write(out.join("calibration.md"), table)?;
    std::fs::write(out.join("calibration-qq.svg"), quantile_plot(&pairs))?;
    Ok(())
}

/// The family is the name up to the first dash: `llama` of `llama-s07`.
fn family(name: &str) -> &str {
    name.split('-').next().unwrap_or(name)
}

fn compare_all(zoo: &Path, models: &[String]) -> Result<Vec<Pair>, Failure> {
    let mut todo = Vec::new();
    for (i, a) in models.iter().enumerate() {
        todo.extend(models[..i].iter().filter(|b| family(a) == family(b)).map(|b| (a, b)));
    }
    let next = AtomicUsize::new(0);
    let slots: Vec<std::sync::OnceLock<Result<Pair, String>>> =
        todo.iter().map(|_| Default::default()).collect();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some((a, b)) = todo.get(index) else { break };
                    let _ = slots[index].set(one(zoo, a, b));
                }
            });
        }
    });
    slots
        .into_iter()
        .map(|slot| {
            slot.into_inner().unwrap_or_else(|| Err("not compared".to_owned())).map_err(Failure::from)
        })
        .collect()
}

/// The settings of `compare` when nothing else is asked for, on one thread.
pub(crate) fn settings(stop: &AtomicBool) -> Settings<'_> {
    Settings {
        backend: Backend::Read,
        threads: 1,
        stop,
        digests: false,
        rule: DecisionRule::default(),
        search: stemmata_audit::SearchMode::Auto,
        params: SketchParams::default(),
        output: None,
    }
}

fn one(zoo: &Path, a: &str, b: &str) -> Result<Pair, String> {
    let stop = AtomicBool::new(false);
    let settings = settings(&stop);
    let path = |name: &str| zoo.join(name).display().to_string();
    let result = compare(&path(a), &path(b), &settings, &mut |_| {}).map_err(|e| format!("{a}, {b}: {e}"))?;
    let tests =
        result.judgement.evidence.iter().filter(|e| !matches!(e.scope, Scope::Model | Scope::Layer(_, None)));
    let stem = |name: &str| name.trim_end_matches("-order").to_owned();
    Ok(Pair {
        shares_init: stem(a) == stem(b),
        family: family(a).to_owned(),
        kind: result.judgement.verdict.kind,
        log10_p: result.judgement.verdict.log10_p,
        cosine: result.judgement.change.map_or(0.0, |c| c.cosine),
        name: format!("{a} / {b}"),
        tests: tests
            .filter_map(|e| {
                let p = e.p?;
                let pooled = matches!(e.scope, Scope::Component(_));
                (e.test != TestKind::ExactIdentity).then(|| Test {
                    family: family(a).to_owned(),
                    test: format!("{}{}", e.test.name(), if pooled { ", pooled" } else { "" }),
                    effect: e.effect,
                    statistic: e.statistic,
                    log10_p: p.log10(),
                })
            })
            .collect(),
    })
}

fn page(models: &[String], pairs: &[Pair], date: Option<&str>) -> String {
    let independent: Vec<&Pair> = pairs.iter().filter(|p| !p.shares_init).collect();
    let tests: Vec<&Test> = independent.iter().flat_map(|p| &p.tests).collect();
    let mut out = String::new();
    let _ = writeln!(out, "# Calibration on known-independent pairs\n");
    let _ = writeln!(
        out,
        "{} models that share data, order, tokenizer and recipe and differ in their seed; {} independent pairs, {} tests. Made by `cargo train calibrate-zoo` and `cargo xtask calibrate`{}.\n",
        models.len(),
        independent.len(),
        tests.len(),
        date.map_or(String::new(), |d| format!(", {d}"))
    );
    let _ = writeln!(
        out,
        "The reported p is a bound, so the share below a level must not exceed the level. Intervals are Clopper-Pearson, 95 %; \
         pairs share models, so tests are not quite independent of one another and the intervals are a little too narrow.\n"
    );
    let _ = writeln!(out, "| family | test | n | p < 0.01 | p < 0.001 | p < 0.0001 | smallest log10 p |");
    let _ = writeln!(out, "|---|---|--:|---|---|---|--:|");
    let mut rows: BTreeMap<(&str, &str), Vec<&Test>> = BTreeMap::new();
    for test in &tests {
        rows.entry((&test.family, &test.test)).or_default().push(test);
        rows.entry(("all", &test.test)).or_default().push(test);
        // Pooled tests are made of the others, and agreement is no exact test.
        if !test.test.ends_with("pooled") && !test.test.starts_with("unit-agreement") {
            rows.entry(("all", "all exact tests of one layer")).or_default().push(test);
        }
    }
    for ((family, test), list) in &rows {
        let share = |level: f64| {
            let hits = list.iter().filter(|t| t.log10_p < level).count() as u64;
            let n = list.len() as u64;
            let interval = binomial_interval(hits, n, 0.95);
            format!("{:.5} [{:.5}, {:.5}]", hits as f64 / n as f64, interval.low, interval.high)
        };
        let least = list.iter().map(|t| t.log10_p).fold(0.0, f64::min);
        let _ = writeln!(
            out,
            "| {family} | {test} | {} | {} | {} | {} | {least:.2} |",
            list.len(),
            share(-2.0),
            share(-3.0),
            share(-4.0)
        );
    }
    statistics(&mut out, &rows);
    verdicts(&mut out, pairs, &independent);
    out
}

/// The studentised sums against the normal, and the fixed points against Poisson(1).
fn statistics(out: &mut String, rows: &BTreeMap<(&str, &str), Vec<&Test>>) {
    let _ = writeln!(out, "\n## The statistics against their null\n");
    let _ = writeln!(
        out,
        "| family | test | n | mean | variance | Kolmogorov-Smirnov p |\n|---|---|--:|--:|--:|--:|"
    );
    for ((family, test), list) in rows.iter().filter(|((_, test), _)| !test.starts_with("all")) {
        let n = list.len() as f64;
        let mean = list.iter().map(|t| t.statistic).sum::<f64>() / n;
        let variance = list.iter().map(|t| (t.statistic - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
        let against = if test.contains("sign") {
            let sample: Vec<f64> = list.iter().map(|t| t.statistic).collect();
            format!("{:.3} (standard normal)", kolmogorov_smirnov_normal(&sample).p)
        } else if test.starts_with("fixed-points") {
            "not made (Poisson(1) per layer: mean 1, variance 1)".to_owned()
        } else {
            let largest = list.iter().filter_map(|t| t.effect).fold(0.0, f64::max);
            format!("none; largest share of agreeing units {:.2} %", 100.0 * largest)
        };
        let _ =
            writeln!(out, "| {family} | {test} | {} | {mean:.3} | {variance:.3} | {against} |", list.len());
    }
    let _ = writeln!(out, "\n![Q-Q plot of the studentised sums](calibration-qq.svg)");
}

fn verdicts(out: &mut String, pairs: &[Pair], independent: &[&Pair]) {
    let _ =
        writeln!(out, "\n## Verdicts\n\n| family | pairs | no-dependence-found | other |\n|---|--:|--:|--:|");
    let mut families: Vec<&str> = independent.iter().map(|p| p.family.as_str()).collect();
    families.dedup();
    families.sort_unstable();
    families.dedup();
    for family in families {
        let of: Vec<_> = independent.iter().filter(|p| p.family == family).collect();
        let clear = of.iter().filter(|p| p.kind == Kind::NoDependenceFound).count();
        let _ = writeln!(out, "| {family} | {} | {clear} | {} |", of.len(), of.len() - clear);
    }
    let shared: Vec<&Pair> = pairs.iter().filter(|p| p.shares_init).collect();
    if !shared.is_empty() {
        let _ = writeln!(
            out,
            "\n## The same random start, another data order\n\nThe null \"independent random starts\" is false here, so the tests \
             reject, rightly. These pairs are not in the tables above.\n\n| pair | verdict | log10 p | cosine of the weights |\n|---|---|--:|--:|"
        );
        for p in shared {
            let _ = writeln!(out, "| {} | {} | {:.1} | {:.3} |", p.name, p.kind.name(), p.log10_p, p.cosine);
        }
    }
}

/// Sorted studentised sums against normal quantiles, one colour a test.
fn quantile_plot(pairs: &[Pair]) -> String {
    const SIZE: f64 = 420.0;
    const RANGE: f64 = 4.5;
    let place = |x: f64| 40.0 + (x.clamp(-RANGE, RANGE) + RANGE) / (2.0 * RANGE) * (SIZE - 60.0);
    let mut samples: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for test in pairs.iter().filter(|p| !p.shares_init).flat_map(|p| &p.tests) {
        if test.test.starts_with("sign-flip") {
            samples.entry(test.test.as_str()).or_default().push(test.statistic);
        }
    }
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {SIZE} {SIZE}\" width=\"{SIZE}\" height=\"{SIZE}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    for tick in -4..=4 {
        let at = place(f64::from(tick));
        let _ = writeln!(
            svg,
            "<path d=\"M{at:.1} {:.1}V{:.1}M{:.1} {:.1}H{:.1}\" stroke=\"#dddddd\"/>\n<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#555555\">{tick}</text>\n<text x=\"30\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#555555\">{tick}</text>",
            SIZE - place(-RANGE),
            SIZE - place(RANGE),
            place(-RANGE),
            SIZE - at,
            place(RANGE),
            SIZE - 24.0,
            SIZE - at + 4.0
        );
    }
    let (low, high) = (place(-RANGE), place(RANGE));
    let _ = writeln!(
        svg,
        "<path d=\"M{low:.1} {:.1}L{high:.1} {:.1}\" stroke=\"#888888\" stroke-dasharray=\"4 3\"/>",
        SIZE - low,
        SIZE - high
    );
    for ((test, sample), color) in samples.iter_mut().zip(["#0072b2", "#d55e00", "#009e73"]) {
        sample.sort_by(f64::total_cmp);
        let n = sample.len() as f64;
        // Dense in the middle, every point in the tails.
        let points =
            sample.iter().enumerate().filter(|(i, _)| *i < 40 || *i + 40 > sample.len() || i % 20 == 0);
        for (i, x) in points {
            let (x0, y0) = (place(normal_quantile((i as f64 + 0.5) / n)), SIZE - place(*x));
            let _ = writeln!(
                svg,
                "<circle cx=\"{x0:.1}\" cy=\"{y0:.1}\" r=\"1.8\" fill=\"{color}\" fill-opacity=\"0.7\"/>"
            );
        }
        let _ = test;
    }
    for (row, (test, color)) in samples.keys().zip(["#0072b2", "#d55e00", "#009e73"]).enumerate() {
        let y = 40.0 + 16.0 * row as f64;
        let _ = writeln!(
            svg,
            "<circle cx=\"52\" cy=\"{:.1}\" r=\"4\" fill=\"{color}\"/><text x=\"62\" y=\"{y:.1}\">{test}</text>",
            y - 4.0
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"middle\">normal quantile</text>\n<text transform=\"translate(12 {:.0}) rotate(-90)\" text-anchor=\"middle\">studentised sum T</text>\n</svg>",
        SIZE / 2.0,
        SIZE - 6.0,
        SIZE / 2.0
    );
    svg
}
