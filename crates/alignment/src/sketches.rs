//! The same measurement from two sketches: fewer channels, projected; the sign tests stay exact, their power is lower.

use crate::channels::Groups;
use crate::fixed::count_fixed;
use crate::{Channel, FixedPoints, Measurement, PairKey, PairMeasurement, Side, SymmetryCheck, Unmatched};
use stemmata_fingerprint::{Blocks, Factor, GroupSketch, PartSummary, Sketch};

/// Measures a pair from sketches that are [`stemmata_fingerprint::comparable`].
///
/// A group enters only if both models have it with the same number of channels: the kept channels are a function of that
/// number. O(size of the sketches).
pub fn measure_sketches(candidate: &Sketch, reference: &Sketch) -> Measurement {
    let mut measurement = Measurement { sketched: true, ..Measurement::default() };
    pair_parts(candidate, reference, &mut measurement);
    let watch: crate::channels::Watch<'_> = &mut |_, _, _| ();
    let mut groups = Groups::new(watch);
    for ours in &candidate.groups {
        let same =
            |g: &&GroupSketch| (g.component, g.layer, g.axis) == (ours.component, ours.layer, ours.axis);
        if let Some(theirs) = reference.groups.iter().find(same) {
            let channels = products(ours, theirs, candidate.params.buckets as usize);
            if !channels.is_empty() {
                groups.add_channels((ours.component, ours.layer), ours.axis, &channels);
            }
        }
    }
    (measurement.groups, measurement.pooled) = groups.finish();
    measurement.checks = symmetry_checks(candidate, reference);
    let buckets = candidate.params.unit_buckets as usize;
    for ours in &candidate.units {
        let same = |u: &&stemmata_fingerprint::UnitSketch| {
            (u.component, u.layer, u.total) == (ours.component, ours.layer, ours.total)
        };
        if let Some(theirs) = reference.units.iter().find(same) {
            let real = |codes: &[i8]| codes.iter().map(|c| f32::from(*c)).collect::<Vec<f32>>();
            let (fixed, units) = count_fixed(&real(&ours.codes), &real(&theirs.codes), buckets);
            measurement.fixed_points.push(FixedPoints {
                component: ours.component,
                layer: ours.layer,
                units,
                fixed,
            });
        }
    }
    measurement
}

/// What each model's checks by itself said when it was sketched. Outputs of guessed roles are not in a sketch, so nothing
/// rests on a guess.
pub fn symmetry_checks(candidate: &Sketch, reference: &Sketch) -> Vec<SymmetryCheck> {
    let of = |side, sketch: &Sketch| {
        let of_side =
            move |&(component, check): &(_, _)| SymmetryCheck { component, side, guessed: false, check };
        sketch.checks.iter().map(of_side).collect::<Vec<_>>()
    };
    [of(Side::Candidate, candidate), of(Side::Reference, reference)].concat()
}

fn products(ours: &GroupSketch, theirs: &GroupSketch, buckets: usize) -> Vec<Channel> {
    // Unit i of every expert is one coin, as in the direct comparison.
    let mut channels: Vec<Channel> = Vec::new();
    for c in &ours.factors {
        let same = |f: &&Factor| (f.role, f.expert, f.total) == (c.role, c.expert, c.total);
        let Some(r) = theirs.factors.iter().find(same) else { continue };
        let scale = (c.squares * r.squares).sqrt();
        if !(scale > 0.0 && scale.is_finite()) {
            continue;
        }
        if channels.len() < c.scales.len() {
            channels.resize(c.scales.len(), Channel::default());
        }
        for (i, channel) in channels.iter_mut().enumerate().take(c.scales.len()) {
            let codes = |f: &Factor| i * buckets..(i + 1) * buckets.min(f.codes.len());
            let dot: i64 = c.codes[codes(c)]
                .iter()
                .zip(&r.codes[codes(r)])
                .map(|(a, b)| i64::from(i32::from(*a) * i32::from(*b)))
                .sum();
            let product = dot as f64 * f64::from(c.scales[i]) * f64::from(r.scales[i]);
            channel.product += product / scale;
            channel.reach += (f64::from(c.norms[i]) * f64::from(r.norms[i])).sqrt() / scale;
        }
    }
    channels
}

fn pair_parts(candidate: &Sketch, reference: &Sketch, out: &mut Measurement) {
    let key = |p: &PartSummary| PairKey {
        component: p.component,
        layer: p.layer,
        expert: p.expert,
        role: p.role,
        term: p.term,
    };
    let blocks = u64::from(candidate.params.blocks);
    let unmatched = |p: &PartSummary| Unmatched { key: key(p), elements: p.rows.saturating_mul(p.cols) };
    let theirs: std::collections::BTreeMap<PairKey, (usize, &PartSummary)> =
        reference.parts.iter().enumerate().map(|(i, p)| (key(p), (i, p))).collect();
    let ours: std::collections::BTreeSet<PairKey> = candidate.parts.iter().map(key).collect();
    for (index, c) in candidate.parts.iter().enumerate() {
        match theirs.get(&key(c)) {
            Some((other, r)) => out.pairs.push(PairMeasurement {
                key: key(c),
                candidate: index,
                reference: *other,
                candidate_shape: (c.rows, c.cols),
                reference_shape: (r.rows, r.cols),
                moments: None,
                // Of a sample, equality says nothing of the rest.
                identical: (c.rows, c.cols) == (r.rows, r.cols)
                    && c.digest == r.digest
                    && (blocks == 0 || Blocks::new(c.rows, c.cols, blocks, 0).is_all()),
            }),
            None => out.candidate_only.push(unmatched(c)),
        }
    }
    out.reference_only.extend(reference.parts.iter().filter(|p| !ours.contains(&key(p))).map(unmatched));
}

#[cfg(test)]
mod tests {
    use super::*;
    use stemmata_architecture::{Component, Role, Term};
    use stemmata_fingerprint::SketchParams;
    use stemmata_model::Digest;

    #[test]
    fn equal_samples_are_no_equal_tensors() {
        let identical = |blocks: u32| {
            let part = PartSummary {
                component: Component::LanguageModel,
                layer: Some(0),
                expert: None,
                role: Role::Up,
                term: Term::Weight,
                rows: 128,
                cols: 1024,
                digest: Digest(7),
                squares: 1.0,
            };
            let sketch = Sketch {
                params: SketchParams { blocks, ..SketchParams::default() },
                reference: String::new(),
                digest: String::new(),
                format: String::new(),
                family: String::new(),
                inferred: false,
                parameters: 0,
                bytes_read: 0,
                components: Vec::new(),
                parts: vec![part],
                groups: Vec::new(),
                units: Vec::new(),
                checks: Vec::new(),
            };
            measure_sketches(&sketch, &sketch).pairs[0].identical
        };
        // A block has 32 of these rows.
        assert!(identical(0) && identical(4) && !identical(1) && !identical(3));
    }
}
