//! How like attention heads of models are that are known to be independent: `cargo xtask heads`.
//!
//! The directory is one that `calibrate-zoo` wrote. Every layer is held against that of the same number, in every basis.

use crate::calibration::{independent, side_by_side};
use crate::{Failure, no_more, take_option};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use stemmata_alignment::{Basis, HeadMap, Search, SharedTokens};
use stemmata_architecture::{Component, dissect};
use stemmata_model::ModelRef;
use stemmata_source::{OpenOptions, open};

/// What was seen in one row of the table.
#[derive(Default)]
struct Row {
    pairs: usize,
    heads: usize,
    /// Heads whose circuits pick the same head.
    agreeing: usize,
    /// Largest cosines of the two circuits, and largest of the lesser of both among heads that agree.
    largest: [f64; 3],
}

/// `heads [--zoo DIR]`.
pub(crate) fn run(options: &[String]) -> Result<(), Failure> {
    let mut options = options.to_vec();
    let zoo = take_option(&mut options, "--zoo")?.unwrap_or_else(|| "target/calibration".to_owned());
    no_more(&options)?;
    let pairs = independent(Path::new(&zoo))?;
    let maps = side_by_side(&pairs, |(_, paths)| maps(paths))?;
    let mut rows: BTreeMap<(&str, Basis), Row> = BTreeMap::new();
    for ((architecture, _), maps) in pairs.iter().zip(&maps) {
        for basis in Basis::ALL.into_iter().filter(|basis| maps.iter().any(|map| map.basis == *basis)) {
            rows.entry((architecture, basis)).or_default().pairs += 1;
        }
        maps.iter().for_each(|map| rows.entry((architecture, map.basis)).or_default().add(map));
    }
    println!(
        "| architecture | basis | pairs | heads | picks agree | largest OV | largest QK | largest of both, agreeing |"
    );
    println!("|---|---|--:|--:|--:|--:|--:|--:|");
    for ((architecture, basis), row) in rows {
        let [value_output, query_key, both] = row.largest;
        println!(
            "| {architecture} | {} | {} | {} | {:.1} % | {value_output:.3} | {query_key:.3} | {both:.3} |",
            basis.name(),
            row.pairs,
            row.heads,
            100.0 * row.agreeing as f64 / row.heads.max(1) as f64
        );
    }
    Ok(())
}

impl Row {
    fn add(&mut self, map: &HeadMap) {
        for head in &map.picks {
            let agree = head.heads[0] == head.heads[1];
            self.heads += 1;
            self.agreeing += usize::from(agree);
            let both = if agree { head.value_output.min(head.query_key) } else { 0.0 };
            for (largest, value) in self.largest.iter_mut().zip([head.value_output, head.query_key, both]) {
                *largest = largest.max(value);
            }
        }
    }
}

/// Heads of all layers of the language models, in every basis that can be had.
fn maps(paths: &[std::path::PathBuf; 2]) -> Result<Vec<HeadMap>, String> {
    let opened = |path: &Path| {
        let reference = ModelRef::Path(path.to_owned());
        open(&reference, &OpenOptions::default()).map_err(|error| error.to_string())
    };
    let [c, r] = [opened(&paths[0])?, opened(&paths[1])?];
    let anatomies = [&c, &r].map(|opened| dissect(&opened.checkpoint));
    let tokens = |opened: &stemmata_source::Opened| {
        opened.checkpoint.tokenizer.as_ref().map_or_else(Vec::new, |tokenizer| tokenizer.tokens.clone())
    };
    let stop = AtomicBool::new(false);
    let mut search = Search::new((&c.weights, &anatomies[0]), (&r.weights, &anatomies[1]), 1, &stop)
        .sharing(SharedTokens::of(&tokens(&c), &tokens(&r)));
    let component = Component::LanguageModel;
    let layers = anatomies[0].component(component).map_or(0, |info| info.layers);
    let mut out = Vec::new();
    for layer in 0..layers {
        for basis in Basis::ALL {
            let map = search.heads_in(basis, component, layer, layer).map_err(|error| error.to_string())?;
            out.extend(map);
        }
    }
    Ok(out)
}
