//! The page of the study.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use stemmata_audit::{DecisionRule, Kind};
use stemmata_stats::{binomial_interval, holm, kolmogorov_smirnov_normal};

use super::pairs::{Bond, Model, Of, Pair, Test};

/// The levels that shares are given for, log10.
const LEVELS: [f64; 4] = [-2.0, -3.0, -4.0, -5.0];
/// Smaller samples are not put to a Kolmogorov-Smirnov test.
const LEAST: usize = 30;
/// The group of all pairs.
const ALL: &str = "all";

/// Tests by (group, name).
type Rows<'a> = BTreeMap<(&'a str, &'a str), Vec<&'a Test>>;

/// Losses of one model.
struct Losses {
    text: f64,
    pictures: Option<f64>,
    unigram: f64,
}

/// The whole page. `losses` is what `calibrate-zoo` wrote beside the models.
pub(super) fn page(models: &[Model], pairs: &[Pair], losses: &str, date: Option<&str>) -> String {
    let independent: Vec<&Pair> = pairs.iter().filter(|pair| pair.bond != Bond::Start).collect();
    let mut rows: Rows<'_> = BTreeMap::new();
    for pair in &independent {
        for test in &pair.tests {
            rows.entry((&pair.group, &test.name)).or_default().push(test);
            rows.entry((ALL, &test.name)).or_default().push(test);
            if test.of == Of::Layer {
                rows.entry((ALL, "all exact tests of one layer, cell or block")).or_default().push(test);
            }
        }
    }
    let fits = Fits::of(&rows);
    let mut out = String::from("# Calibration on known-independent pairs\n\n");
    preface(&mut out, models, &independent, date);
    summary(&mut out, &independent, &rows, &fits);
    made_of(&mut out, models, losses);
    verdicts(&mut out, &independent);
    let _ = writeln!(
        out,
        "\n## Reported p\n\nThe reported p is a bound, so the share below a level must not exceed the level. Intervals are \
         Clopper-Pearson, 95 %; pairs share models, so tests are not quite independent of one another and the intervals are a \
         little too narrow. `pooled` tests are made of those of the layers; unit agreement is an effect size and has a p only from \
         its deciding share on.\n"
    );
    shares(&mut out, &rows, |group| group == ALL);
    let _ = writeln!(out, "\n![Reported p against the uniform distribution](calibration-p.svg)");
    let _ = writeln!(
        out,
        "\n## The statistics against their null\n\nStudentised sums are set against the standard normal (Kolmogorov-Smirnov; in \
         brackets after Holm's correction over all rows of this page). Counts of fixed points have the bound 1/k! and at most \
         one fixed point is expected in a layer.\n"
    );
    statistics(&mut out, &rows, &fits, |group| group == ALL);
    let _ = writeln!(out, "\n![Q-Q plots of the studentised sums](calibration-qq.svg)");
    let _ = writeln!(out, "\n## By architecture\n");
    shares(&mut out, &rows, |group| group != ALL);
    out.push('\n');
    statistics(&mut out, &rows, &fits, |group| group != ALL);
    same_start(&mut out, pairs);
    out
}

fn preface(out: &mut String, models: &[Model], independent: &[&Pair], date: Option<&str>) {
    let starts = models.iter().filter(|model| !model.name.ends_with("-order")).count();
    let tests: usize = independent.iter().map(|pair| pair.tests.len()).sum();
    let exact = independent.iter().flat_map(|p| &p.tests).filter(|t| t.of == Of::Layer).count();
    let _ = writeln!(
        out,
        "{starts} models from random starts of their own. Within an architecture they share data, order, tokenizer and recipe and \
         differ in their seed only; students learned from the probabilities of a model of another seed. All {} independent pairs were \
         compared, those of one architecture a second time with a sketch in place of one model (rows `sketch:`). {tests} tests, \
         {exact} of them exact tests of one layer, cell or block.\n\nMade by `cargo train calibrate-zoo` and `cargo xtask calibrate`{}. \
         [CONTRIBUTING.md](../../CONTRIBUTING.md) says how long that takes.",
        independent.len(),
        date.map_or(String::new(), |date| format!(", {date}"))
    );
}

/// The figures that acceptance asks for, in a list.
fn summary(out: &mut String, independent: &[&Pair], rows: &Rows<'_>, fits: &Fits<'_>) {
    let smallest = independent
        .iter()
        .flat_map(|pair| pair.tests.iter().map(move |test| (test, pair)))
        .min_by(|a, b| a.0.log10_p.total_cmp(&b.0.log10_p));
    let breaches: Vec<String> = rows
        .iter()
        .flat_map(|((group, test), list)| {
            let above = LEVELS.iter().filter(|level| share(list, **level).1 > 10f64.powf(**level));
            above.map(move |level| format!("{group}, {test}, below 1e{level}"))
        })
        .collect();
    let checks = rows.len() * LEVELS.len();
    let rejected: Vec<String> = fits
        .0
        .iter()
        .filter(|(_, fit)| fit.corrected < 0.01)
        .map(|((group, test), fit)| format!("{group}, {test} (p {:.1e})", fit.p))
        .collect();
    let list = |items: &[String]| match items {
        [] => "none".to_owned(),
        items => items.join("; "),
    };
    let accused: Vec<String> = independent
        .iter()
        .filter(|pair| pair.kind.is_dependence())
        .map(|pair| {
            format!("{} `{}` at a corrected p of 10^{:.2}", pair.name, pair.kind.name(), pair.log10_p)
        })
        .collect();
    let (hits, n) = (accused.len() as u64, independent.len() as u64);
    let _ = writeln!(out, "\n## In short\n");
    let _ = writeln!(
        out,
        "- Independent pairs with a verdict of dependence: {hits} of {n}, share {}; the rule's family-wise level is {} a pair, which \
         allows {:.1} among these pairs. {}.",
        proportion(hits, n),
        DecisionRule::default().alpha,
        DecisionRule::default().alpha * n as f64,
        list(&accused)
    );
    if let Some((test, pair)) = smallest {
        let _ = writeln!(
            out,
            "- Smallest reported p of any test: 10^{:.2} ({}, {}).",
            test.log10_p, test.name, pair.name
        );
    }
    let _ = writeln!(
        out,
        "- Rows with more p below a level than the level allows (lower end of the interval above it), of {checks} row and level pairs: {}.",
        list(&breaches)
    );
    let _ = writeln!(
        out,
        "- Studentised sums that are not standard normal (Kolmogorov-Smirnov, Holm-corrected p < 0.01), of {} rows: {}.",
        fits.0.len(),
        list(&rejected)
    );
    let broken = independent.iter().filter(|pair| pair.broken > 0).count();
    let _ = writeln!(
        out,
        "- Pairs in which a test was dropped because neither model has its symmetry: {broken}."
    );
}

/// `[low, high]` of Clopper and Pearson.
fn proportion(hits: u64, n: u64) -> String {
    let interval = binomial_interval(hits, n, 0.95);
    format!("[{:.5}, {:.5}]", interval.low, interval.high)
}

/// The share of tests below a level, and the lower end of its interval.
fn share(list: &[&Test], level: f64) -> (u64, f64) {
    let hits = list.iter().filter(|test| test.log10_p < level).count() as u64;
    (hits, binomial_interval(hits, list.len() as u64, 0.95).low)
}

/// What the models are and how well they learned.
fn made_of(out: &mut String, models: &[Model], losses: &str) {
    let read = |line: &str| {
        let mut fields = line.split('\t');
        let name = fields.next()?.to_owned();
        let mut number = || fields.next()?.parse().ok();
        let (text, pictures) = (number()?, number());
        Some((name, Losses { text, pictures, unigram: number()? }))
    };
    let known: BTreeMap<String, Losses> = losses.lines().filter_map(read).collect();
    let mut architectures: BTreeMap<&str, Vec<&Model>> = BTreeMap::new();
    for model in models {
        architectures.entry(model.architecture()).or_default().push(model);
    }
    let _ = writeln!(
        out,
        "\n## Models\n\nLoss in nats per token of held-out text; the unigram entropy is what is left to a model that ignores the \
         context. Caption: nats of the caption of a held-out picture, of which 2 ln 16 = 5.55 are left to a model that does not see the \
         picture; at more than that, tower and connector were trained but do not read yet.\n\n| architecture | models | loss, mean | loss, worst | unigram entropy | \
         caption, mean |\n|---|--:|--:|--:|--:|--:|"
    );
    for (architecture, of) in &architectures {
        let losses: Vec<&Losses> = of.iter().filter_map(|model| known.get(&model.name)).collect();
        let mean = |values: &[f64]| match values {
            [] => "-".to_owned(),
            values => format!("{:.2}", values.iter().sum::<f64>() / values.len() as f64),
        };
        let text: Vec<f64> = losses.iter().map(|l| l.text).collect();
        let unigram: Vec<f64> = losses.iter().map(|l| l.unigram).collect();
        let pictures: Vec<f64> = losses.iter().filter_map(|l| l.pictures).collect();
        let worst: Vec<f64> = text.iter().copied().reduce(f64::max).into_iter().collect();
        let _ = writeln!(
            out,
            "| {architecture} | {} | {} | {} | {} | {} |",
            of.len(),
            mean(&text),
            mean(&worst),
            mean(&unigram),
            mean(&pictures)
        );
    }
}

fn verdicts(out: &mut String, independent: &[&Pair]) {
    let mut groups: BTreeMap<&str, Vec<&Pair>> = BTreeMap::new();
    for &pair in independent {
        groups.entry(&pair.group).or_default().push(pair);
        groups.entry(ALL).or_default().push(pair);
    }
    let _ = writeln!(
        out,
        "\n## Verdicts\n\n`inconclusive` where little of two architectures corresponds.\n\n| group | pairs | no-dependence-found | inconclusive | related | derived | \
         identical |\n|---|--:|--:|--:|--:|--:|--:|"
    );
    for (group, of) in &groups {
        let count = |kind: Kind| of.iter().filter(|pair| pair.kind == kind).count();
        let _ = writeln!(
            out,
            "| {group} | {} | {} | {} | {} | {} | {} |",
            of.len(),
            count(Kind::NoDependenceFound),
            count(Kind::Inconclusive),
            count(Kind::Related),
            count(Kind::Derived),
            count(Kind::Identical)
        );
    }
}

fn shares(out: &mut String, rows: &Rows<'_>, wanted: impl Fn(&str) -> bool) {
    let _ = writeln!(
        out,
        "| group | test | n | p < 1e-2 | p < 1e-3 | p < 1e-4 | p < 1e-5 | smallest log10 p |\n|---|---|--:|---|---|---|---|--:|"
    );
    for ((group, test), list) in rows.iter().filter(|((group, _), _)| wanted(group)) {
        let n = list.len() as u64;
        let _ = write!(out, "| {group} | {test} | {n} |");
        for level in LEVELS {
            let (hits, _) = share(list, level);
            let _ = write!(out, " {:.5} {} |", hits as f64 / n as f64, proportion(hits, n));
        }
        let least = list.iter().map(|test| test.log10_p).fold(0.0, f64::min);
        let _ = writeln!(out, " {least:.2} |");
    }
}

/// One fit to the standard normal.
struct Fit {
    p: f64,
    corrected: f64,
}

/// The fits of all rows whose statistic has a normal null.
struct Fits<'a>(BTreeMap<(&'a str, &'a str), Fit>);

impl<'a> Fits<'a> {
    fn of(rows: &Rows<'a>) -> Self {
        let fitted: Vec<_> = rows
            .iter()
            .filter(|(_, list)| list.len() >= LEAST && list.iter().all(|test| test.is_normal))
            .map(|(key, list)| {
                let sample: Vec<f64> = list.iter().map(|test| test.statistic).collect();
                (*key, kolmogorov_smirnov_normal(&sample).p)
            })
            .collect();
        let log10_ps: Vec<f64> = fitted.iter().map(|(_, p)| p.log10()).collect();
        let corrected = holm(&log10_ps);
        let fit = |((key, p), log10): ((_, f64), f64)| (key, Fit { p, corrected: 10f64.powf(log10) });
        Self(fitted.into_iter().zip(corrected).map(fit).collect())
    }
}

fn statistics(out: &mut String, rows: &Rows<'_>, fits: &Fits<'_>, wanted: impl Fn(&str) -> bool) {
    let _ =
        writeln!(out, "| group | test | n | mean | variance | against its null |\n|---|---|--:|--:|--:|---|");
    let whole = |test: &str| test.starts_with("all exact");
    for (key, list) in rows.iter().filter(|((group, test), _)| wanted(group) && !whole(test)) {
        let (group, test) = key;
        let n = list.len() as f64;
        let mean = list.iter().map(|test| test.statistic).sum::<f64>() / n;
        let variance =
            list.iter().map(|test| (test.statistic - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
        let against = match (fits.0.get(key), list.first().map(|test| test.of)) {
            (Some(fit), _) => format!("normal: p {:.3} ({:.3})", fit.p, fit.corrected),
            (None, Some(Of::Effect)) => {
                let largest = list.iter().filter_map(|test| test.effect).fold(0.0, f64::max);
                format!("largest share of agreeing units {:.2} %", 100.0 * largest)
            }
            (None, _) if list.iter().all(|test| test.is_normal) => "too few".to_owned(),
            (None, _) if test.contains("label-order") => "length of a run".to_owned(),
            (None, _) => "counts: at most 1 a layer".to_owned(),
        };
        let _ =
            writeln!(out, "| {group} | {test} | {} | {mean:.3} | {variance:.3} | {against} |", list.len());
    }
}

fn same_start(out: &mut String, pairs: &[Pair]) {
    let shared: Vec<&Pair> = pairs.iter().filter(|pair| pair.bond == Bond::Start).collect();
    if shared.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "\n## The same random start, another data order\n\nThe null \"independent random starts\" is false here, so the tests \
         reject, rightly. These pairs are not in the tables above.\n\n| pair | verdict | log10 p | cosine of the weights |\n|---|---|--:|--:|"
    );
    for pair in shared {
        let _ = writeln!(
            out,
            "| {} | {} | {:.1} | {:.3} |",
            pair.name,
            pair.kind.name(),
            pair.log10_p,
            pair.cosine
        );
    }
}
