//! What was not tested, remarks, methods, and how to do it again.

use super::markup::{esc, facts, section};
use crate::number::{bytes, short};
use crate::wire::{Remark, Report};

/// Absence is a row.
pub(super) fn not_tested(report: &Report) -> String {
    if report.not_tested.is_empty() {
        return String::new();
    }
    let items: String = report
        .not_tested
        .iter()
        .map(|n| format!("<li>{} <span class=\"why\">– {}</span></li>\n", esc(&n.what), esc(&n.reason)))
        .collect();
    section("not-tested", "Not tested", &format!("<ul>\n{items}</ul>\n"))
}

/// All findings, the most serious first, with what their codes mean.
pub(super) fn findings(findings: &[Remark]) -> String {
    let rank = |level: &str| ["danger", "warning", "note"].iter().position(|l| *l == level);
    let mut sorted: Vec<_> = findings.iter().collect();
    sorted.sort_by_key(|f| rank(f.level));
    let items: String = sorted
        .iter()
        .map(|f| {
            let place = format!("{} {}", f.side, f.subject);
            let place = match place.trim() {
                "" => String::new(),
                place => format!("{}: ", esc(place)),
            };
            let explanation = f.explanation.map_or_else(String::new, |text| {
                format!("<p class=\"small soft\">{}</p>", esc(text))
            });
            format!(
                "<div class=\"finding {0}\"><p><span class=\"level\">{0}</span> <code>{1}</code></p><p>{place}{2}</p>\
                 {explanation}</div>\n",
                f.level,
                esc(f.code),
                esc(&f.message)
            )
        })
        .collect();
    section("findings", "Findings", &items)
}

struct Method {
    test: &'static str,
    name: &'static str,
    statement: &'static str,
    null: &'static str,
    assumption: &'static str,
    source: &'static str,
}

const METHODS: &[Method] = &[
    Method {
        test: "sign-flip",
        name: "Sign flip",
        statement: "For every channel whose sign a network may flip without changing its function, the weighted inner product of \
                    the candidate's and the reference's weights is a coin with a magnitude. T is their sum over the root of \
                    the sum of their squares. The p-value is Chernoff's bound with the exact moment generating function of \
                    a Rademacher sum, both tails; it is never looser than Hoeffding's 2·exp(−T²/2).",
        null: "The models grew from independent random starts; the signs of matching channels are then fair coins.",
        assumption: "Initial weights are symmetric in sign and training treats a network and its sign-flipped twin alike. Data, \
                     order, tokenizer and recipe may be shared.",
        source: "Symmetry argument: Zhu, Ahmed, Kuditipudi, Liang, Independence Tests for Language Models, ICML 2025, arXiv \
                 2502.12292. Bounds: Chernoff 1952; Hoeffding 1963.",
    },
    Method {
        test: "fixed-points",
        name: "Fixed points",
        statement: "Each feed-forward unit of the candidate is matched with the nearest unit of the reference. K counts the units \
                    whose neighbour carries the same label. Under the null, k or more fixed points have probability at most \
                    1/k! in one layer; over several layers K is bounded like a \
                    Poisson count with mean one per layer.",
        null: "The models grew from independent random starts; the labels of units are then a uniformly random permutation.",
        assumption: "Initialisation and training do not depend on how the units of a layer are numbered.",
        source: "Zhu, Ahmed, Kuditipudi, Liang, ICML 2025, arXiv 2502.12292, with a factorial-moment bound in place of \
                 resampling.",
    },
    Method {
        test: "match-then-sign",
        name: "Match, then sign",
        statement: "Feed-forward units are matched by their gate rows alone, in a frame of the residual stream that is either that of \
                    the files or the rotation that carries the token embeddings of one model onto the other's. Then the sign-flip \
                    test is made on what matched units read and write. Neither the gates nor the frame change when the sign of a \
                    unit is flipped, so the test stays exact however the matching came about.",
        null: "The models grew from independent random starts; the signs of matched units are then fair coins.",
        assumption: "As for the sign-flip test.",
        source: "Symmetry argument as for the sign-flip test. Rotation: Schönemann, A generalized solution of the orthogonal \
                 Procrustes problem, 1966.",
    },
    Method {
        test: "unit-agreement",
        name: "Unit agreement",
        statement: "Gate, up and down rows are matched each by themselves, without regard to sign. A counts the units for which all \
                    pick the same partner. It survives relabelling, rotation and rescaling together, which leave no exact test. \
                    The p-value is Chernoff's bound on a binomial count.",
        null: "Independent models share at most 5 % of their units (20 % without gates): an assumption, not a theorem; below 20 % (50 %) \
               nothing is concluded.",
        assumption: "The assumed share is above what independently trained models of one recipe show (see the calibration).",
        source: "Effect size of this project. Shared units of independent networks: Gurnee et al., Universal neurons in GPT2 \
                 language models, 2024, report 1 to 5 %.",
    },
    Method {
        test: "label-order",
        name: "Label order",
        statement: "Pruning takes units away and leaves the rest in their order. Among units that were matched by their gates, L is the \
                    longest run whose labels increase in both models. Of n units in random order, L is k or more with probability \
                    at most C(n, k)/k!. Not made where the units of both models lie in the order of their lengths.",
        null: "The models grew from independent random starts; the labels of units are then a uniformly random permutation.",
        assumption: "As for fixed points.",
        source: "First moment of the number of increasing subsequences; longest run by patience sorting (Fredman 1975).",
    },
    Method {
        test: "layer-map",
        name: "Layer map",
        statement: "Every layer of the candidate is held against every layer of the reference: the sign test on projected hidden \
                    and value channels together, and fixed points where a block has no gate. A dynamic programme reads the map \
                    off the pairs whose test rejects after correction over all pairs; it prefers runs.",
        null: "The two layers grew from independent random starts.",
        assumption: "Those of the sign flip and of fixed points. All pairs are in the family from the beginning.",
        source: "The tests are those above; the programme is an alignment with gaps (Needleman and Wunsch 1970).",
    },
    Method {
        test: "exact-identity",
        name: "Exact identity",
        statement: "E counts tensors whose values are all equal, without those that are equal too easily (tiny tensors, one magnitude \
                    throughout).",
        null: "None: it has no calibrated p-value and takes no part in the decision on dependence.",
        assumption: "None.",
        source: "Definition.",
    },
    Method {
        test: "noise-order",
        name: "Noise order",
        statement: "Noise that was added to X is uncorrelated with X and correlated with X plus noise. Two z-tests, one for each \
                    order; an order is asserted when the other is rejected far beyond it.",
        null: "The noise was added in the other order.",
        assumption: "Dependence was found, and the change is Gaussian noise that ignores the weights it is added to. Asymptotic.",
        source: "Elementary; the z-statistic is a studentised inner product.",
    },
    Method {
        test: "training-order",
        name: "Training order",
        statement: "Which of the two lies further from what both have in common, by the largest directions of their weights. It says \
                    which would be the later if one came from the other; it does not say that one did.",
        null: "None: it has no calibrated p-value and takes no part in the decision on dependence or direction.",
        assumption: "Dependence was found, and the change is that of training.",
        source: "Effect size of this project; see the method note on the kind of change.",
    },
    Method {
        test: "outgroup-order",
        name: "Outgroup order",
        statement: "The partial correlation of a third model, which shares only the random start, with each of the two, given the other. A \
                    parent holds something of the start that its child has lost; not the other way round.",
        null: "None: an effect with its interval over matrices. It takes no part in the decision on dependence.",
        assumption: "The third model shares the start and no training; a common parent of the two, if there is one, is among the models \
                     shown.",
        source: "Tree additivity of independent training, as a partial correlation; see the method note on relatives.",
    },
];

/// The methods that this report used.
pub(super) fn methods(report: &Report) -> String {
    let mut body = String::new();
    for method in METHODS {
        if report.evidence.iter().any(|e| e.test.split('/').next() == Some(method.test)) {
            let pairs = [
                ("statement", method.statement),
                ("null", method.null),
                ("assumption", method.assumption),
                ("source", method.source),
            ]
            .map(|(term, text)| (term, esc(text).into_owned()));
            body.push_str(&format!(
                "<h3>{}</h3>\n<div class=\"method\">{}</div>\n",
                method.name,
                facts(&pairs)
            ));
        }
    }
    let correction = "<p>All tests of dependence, on components and on layers, form one family. Bonferroni's correction holds for any \
                      dependence among them: a test counts when its p-value is at most α divided by the number of tests (Holm \
                      1979 orders them and can only find more; the smallest p decides alike). Intervals describe the size of \
                      an effect and decide nothing.</p>\n";
    section("methods", "Methods", &format!("{body}<h3>Correction</h3>\n{correction}"))
}

/// The command, the seed, the cost.
pub(super) fn again(report: &Report) -> String {
    let mut pairs = vec![
        ("seed", report.seed.to_string()),
        ("version", format!("{} {}", report.tool.name, esc(&report.tool.version))),
        ("read", bytes(report.io.bytes_read)),
    ];
    if let Some(seconds) = report.io.seconds_wall {
        pairs.push(("time", format!("{} s", short(seconds))));
    }
    if let Some(peak) = report.io.peak_memory_bytes {
        pairs.push(("peak memory", bytes(peak)));
    }
    let body = format!(
        "<p>The same inputs give the same bytes.</p>\n<pre class=\"command\" tabindex=\"0\">{}</pre>\n{}",
        esc(&report.command),
        facts(&pairs)
    );
    section("again", "Do it again", &body)
}
