//! Which layer of the reference to hold a layer of the candidate against, where numbers do not say.
//!
//! A few units of every layer of the candidate look for their nearest gates in every layer of the reference. Only gates (or what
//! units read, where there are none) have a say in the choice, and only without their signs, so the sign tests that follow stay
//! exact and count once.

use super::features::Block;
use super::frame::Basis;
use super::matching::nearest;
use super::matrix::{Columns, centre, dot, normalise};
use super::{Search, blocks, depth};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use stemmata_architecture::Component;
use stemmata_fingerprint::picked;
use stemmata_model::ReadError;

/// Units of a layer that look for their nearest.
const ASKING: u64 = 64;

impl Search<'_> {
    /// The layer of the reference that a layer of the candidate is held against: that of the same number where both models have as
    /// many, else the one whose gates are nearest.
    pub(super) fn partner(&mut self, component: Component, layer: u32) -> Result<Option<u32>, ReadError> {
        let [ours, theirs] = self.anatomies.map(|anatomy| depth(anatomy, component));
        if ours == theirs {
            return Ok(Some(layer));
        }
        if !self.partners.contains_key(&component) {
            let partners = self.partners_of(component)?;
            self.partners.insert(component, partners);
        }
        Ok(self.partners.get(&component).and_then(|partners| partners.get(&layer)).copied())
    }

    /// For every layer of the candidate the layer of the reference that its units are nearest to, over the bases that need no
    /// partners to be found. One read of the gates of both models for each basis.
    fn partners_of(&mut self, component: Component) -> Result<BTreeMap<u32, u32>, ReadError> {
        let [ours, theirs] = self.anatomies.map(|anatomy| blocks(anatomy, component));
        let (weights, anatomies, threads, stop) = (self.weights, self.anatomies, self.threads, self.stop);
        let stopped = || stop.load(Ordering::Relaxed);
        let block = |side: usize, layer: u32| Block::of(anatomies[side], component, layer);
        let (Some(first), Some(other)) =
            (ours.first().and_then(|l| block(0, *l)), theirs.first().and_then(|l| block(1, *l)))
        else {
            return Ok(BTreeMap::new());
        };
        let widths = [first.residual(), other.residual()];
        let mut best: BTreeMap<u32, (f64, u32)> = BTreeMap::new();
        for basis in [Basis::AsStored, Basis::ByTokens] {
            let Some(frame) = self.frame(component, widths, basis)? else { continue };
            let mut asking: Vec<(u32, Columns)> = Vec::new();
            for &layer in &ours {
                let Some(block) = block(0, layer).filter(|block| block.residual() == widths[0]) else {
                    continue;
                };
                let few: Vec<u64> = picked(block.units(), ASKING).collect();
                asking.push((layer, ready(block.keys(weights[0], &frame.candidate, &few, &stopped)?)));
            }
            for &layer in &theirs {
                let Some(block) = block(1, layer).filter(|block| block.residual() == widths[1]) else {
                    continue;
                };
                let all: Vec<u64> = (0..block.units()).collect();
                let keys = ready(block.keys(weights[1], &frame.reference, &all, &stopped)?);
                for (own, units) in &asking {
                    let score = likeness(units, &keys, threads);
                    let entry = best.entry(*own).or_insert((f64::NEG_INFINITY, layer));
                    if score > entry.0 {
                        *entry = (score, layer);
                    }
                }
            }
        }
        Ok(best.into_iter().map(|(layer, (_, partner))| (layer, partner)).collect())
    }
}

fn ready(mut keys: Columns) -> Columns {
    centre(&mut keys);
    normalise(&mut keys);
    keys
}

/// Mean fourth power of the cosine between units and their nearest: a few close ones count more than many middling ones.
fn likeness(units: &Columns, others: &Columns, threads: usize) -> f64 {
    let found = nearest(units, others, true, threads).of_candidate;
    let cosines = found.iter().enumerate().filter(|(_, j)| (**j as usize) < others.ncols());
    let sum: f64 = cosines.map(|(i, &j)| dot(units, i, others, j as usize).powi(4)).sum();
    sum / units.ncols().max(1) as f64
}
