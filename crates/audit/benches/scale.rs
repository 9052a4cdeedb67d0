//! How long, and in how much memory, are models of real size compared that share nothing at equal indices? The candidate is the
//! reference with hidden units in another order, the residual stream rotated, gains folded in and noise added; every element is
//! computed when it is asked for, so the times contain that (and no disk).
//!
//! `cargo bench -p stemmata-audit --bench scale -- --shape small|8b|70b`. With `--write DIR` the pair is written as bf16
//! safetensors instead, for `stemmata compare DIR/candidate DIR/reference`.
#![allow(clippy::print_stdout, missing_docs, reason = "a benchmark prints")]

mod synthetic;

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;
use stemmata_alignment::{Options, Search, measure, plan, search_plan};
use stemmata_architecture::{Anatomy, Component, dissect};
use stemmata_evidence::{DecisionRule, Judgement, StorageFacts, judge};
use stemmata_model::{Checkpoint, Container, Declared, Weights};
use synthetic::{Shape, laundered};

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let after = |flag: &str| words.windows(2).find(|w| w[0] == flag).map(|w| w[1].as_str());
    let shape = match after("--shape") {
        Some("70b") => synthetic::LLAMA_70B,
        Some("8b") => synthetic::LLAMA_8B,
        _ => synthetic::SMALL,
    };
    let [candidate, reference] = laundered::pair(&shape);
    if let Some(directory) = after("--write") {
        for (name, weights) in [("candidate", &candidate), ("reference", &reference)] {
            synthetic::write_generated(&Path::new(directory).join(name), &shape, weights)
                .expect("enough disk");
        }
        return;
    }
    let elements: u64 = reference.tensors().iter().map(|t| t.elements()).sum();
    println!("two models of {:.1} billion parameters, {} layers", elements as f64 / 1e9, shape.layers);
    let anatomies = [&candidate, &reference].map(|weights| anatomy(&shape, weights));
    let started = Instant::now();
    let say = |what: &str, judgement: &Judgement| {
        let verdict = &judgement.verdict;
        println!(
            "  {what:<34} {:8.1} s   {:?}, log10 p {:.1}",
            started.elapsed().as_secs_f64(),
            verdict.kind,
            verdict.log10_p
        );
    };
    let (stop, rule, storage) = (AtomicBool::new(false), DecisionRule::default(), StorageFacts::default());
    let options = Options { threads: 0, stop: &stop };
    let pairs = plan(&anatomies[0], &anatomies[1]);
    let mut measurement =
        measure(&pairs, &candidate, &reference, &options, &mut |_| {}).expect("nothing to fail");
    let places = search_plan(&anatomies[0], &anatomies[1]);
    measurement.search_tests = places.tests;
    say("one pass at equal indices", &judge(&measurement, &storage, &rule));
    let mut search = Search::new((&candidate, &anatomies[0]), (&reference, &anatomies[1]), 0, &stop);
    let untrained = search.untrained_tokens(Component::LanguageModel).expect("nothing to fail");
    measurement.untrained.extend(untrained);
    say("rows of tokens looked at", &judge(&measurement, &storage, &rule));
    for (component, layer) in places.first() {
        measurement.searched.extend(search.examine(component, layer).expect("nothing to fail"));
        say(&format!("units of layer {layer} searched"), &judge(&measurement, &storage, &rule));
    }
    for found in &measurement.searched {
        let (agreeing, units) = (found.agreeing, found.units.0.min(found.units.1));
        println!("  layer {:>2} {:?}: {agreeing} of {units} units", found.layer, found.hypothesis);
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().filter(|l| l.starts_with("VmHWM")).for_each(|line| println!("{line}"));
}

fn anatomy(shape: &Shape, weights: &dyn Weights) -> Anatomy {
    let (config, _) = stemmata_formats::parse_config(synthetic::config(shape).as_bytes(), "config.json")
        .expect("plain JSON");
    dissect(&Checkpoint {
        container: Container::Safetensors,
        files: Vec::new(),
        tensors: weights.tensors().to_vec(),
        config,
        declared: Declared::default(),
        tokenizer: None,
    })
}
