use super::*;
use crate::{experts_of, match_blocks};
use stemmata_architecture::{ComponentInfo, Norm, Role};
use stemmata_fingerprint::SketchParams;
use stemmata_stats::SplitMix64;

const COMPONENT: Component = Component::LanguageModel;
const BUCKETS: usize = 16;
const CHANNELS: usize = 64;

fn factor(role: Role, expert: Option<u32>, random: &mut SplitMix64) -> Factor {
    let codes: Vec<i8> =
        (0..CHANNELS * BUCKETS).map(|_| (random.normal() * 40.0).clamp(-127.0, 127.0) as i8).collect();
    Factor {
        role,
        expert,
        total: CHANNELS as u64,
        squares: 1.0,
        norms: vec![1.0; CHANNELS],
        scales: vec![0.01; CHANNELS],
        codes,
    }
}

/// A feed-forward block and a value side that depend on the seed only.
fn layer(seed: u64, number: u32, experts: &[Option<u32>]) -> Vec<GroupSketch> {
    let mut random = SplitMix64::new(seed);
    let hidden: Vec<Factor> = experts.iter().map(|e| factor(Role::Down, *e, &mut random)).collect();
    let value = vec![factor(Role::Value, None, &mut random)];
    [(ChannelAxis::Hidden, hidden), (ChannelAxis::Value, value)]
        .map(|(axis, factors)| GroupSketch { component: COMPONENT, layer: Some(number), axis, factors })
        .to_vec()
}

fn sketch(layers: Vec<GroupSketch>) -> Sketch {
    let params =
        SketchParams { buckets: BUCKETS as u32, channels: CHANNELS as u32, ..SketchParams::default() };
    let info = ComponentInfo {
        component: COMPONENT,
        norm: Norm::Rms,
        gated: true,
        layers: 0,
        residual: 0,
        query_heads: 0,
        kv_heads: 0,
        head_dim: 0,
    };
    Sketch {
        params,
        reference: String::new(),
        digest: String::new(),
        format: String::new(),
        family: String::new(),
        inferred: false,
        parameters: 0,
        bytes_read: 0,
        components: vec![info],
        parts: Vec::new(),
        groups: layers,
        units: Vec::new(),
        checks: Vec::new(),
    }
}

/// Layers made from these seeds, in this order.
fn model(seeds: &[u64]) -> Sketch {
    sketch(seeds.iter().enumerate().flat_map(|(i, seed)| layer(*seed, i as u32, &[None])).collect())
}

fn grid(candidate: &Sketch, reference: &Sketch) -> LayerGrid {
    layer_grids(candidate, reference, &[], &mut || true).remove(0)
}

#[test]
fn a_cell_is_telling_where_the_layers_are_copies_and_nowhere_else() {
    let (made, whole) = (model(&[1, 2, 5, 6, 2]), model(&[1, 2, 3, 4, 5, 6]));
    let grid = grid(&made, &whole);
    let origin = [0, 1, 4, 5, 1];
    for (row, from) in origin.into_iter().enumerate() {
        for column in 0..6 {
            let cell = grid.cell(row, column);
            if column == from {
                assert!(cell.log10_p() < -38.0 && cell.effect().unwrap() > 0.999);
            } else {
                // 25 null cells: each is below 1e-6 with at most that probability.
                assert!(cell.log10_p() > -6.0 && cell.effect().unwrap().abs() < 0.2);
            }
        }
    }
    assert_eq!(grid.tests(), Shapes::of_sketch(&made).tests(&Shapes::of_sketch(&whole)));
}

#[test]
fn a_flipped_channel_flips_its_product_and_nothing_else() {
    let plain = model(&[1]);
    let mut turned = plain.clone();
    for group in &mut turned.groups {
        for factor in &mut group.factors {
            factor.codes[..BUCKETS].iter_mut().for_each(|c| *c = -*c);
        }
    }
    let other = model(&[9]);
    let products = |s: &Sketch| {
        let mut channels = Vec::new();
        add_products(&all(&s.groups[0]), &all(&other.groups[0]), BUCKETS, 0, &mut channels);
        channels
    };
    let (a, b) = (products(&plain), products(&turned));
    assert_eq!(a[0], (-b[0].0, b[0].1));
    assert_eq!(a[1..], b[1..]);
}

#[test]
fn other_widths_and_excluded_axes_make_no_test() {
    let (ours, mut theirs) = (model(&[1, 2]), model(&[1, 2]));
    let excluded = [(COMPONENT, Some(ChannelAxis::Hidden)), (COMPONENT, Some(ChannelAxis::Value))];
    assert_eq!(layer_grids(&ours, &theirs, &excluded, &mut || true)[0].tests(), 0);
    assert!(layer_grids(&ours, &theirs, &[], &mut || false).is_empty(), "the user stopped");
    for group in &mut theirs.groups {
        group.factors.iter_mut().for_each(|f| f.total += 1);
    }
    assert!(layer_grids(&ours, &theirs, &[], &mut || true).is_empty());
    assert_eq!(Shapes::of_sketch(&ours).tests(&Shapes::of_sketch(&theirs)), 0);
}

#[test]
fn a_dense_block_is_found_in_every_expert_that_it_was_copied_into() {
    let dense = sketch(layer(1, 0, &[None]));
    let mut mixture = sketch(layer(2, 0, &[Some(0), Some(1), Some(2)]));
    for expert in [0, 2] {
        mixture.groups[0].factors[expert].codes = dense.groups[0].factors[0].codes.clone();
    }
    assert_eq!(experts_of(&mixture, COMPONENT, 0), [Some(0), Some(1), Some(2)]);
    let matches = match_blocks((&mixture, 0), (&dense, 0), COMPONENT);
    let found: Vec<_> = matches.iter().map(|m| (m.candidate, m.reference, m.signs.log10_p < -15.0)).collect();
    assert_eq!(found, [(Some(0), None, true), (Some(1), None, false), (Some(2), None, true)]);
}

#[test]
fn experts_that_are_copies_are_one_coin() {
    // Both models hold eight copies of one block of their own. Counted one by one the coins would be eight times the same.
    let copies = |seed: u64| {
        let one = factor(Role::Down, None, &mut SplitMix64::new(seed));
        let factors = (0..8).map(|expert| Factor { expert: Some(expert), ..one.clone() }).collect();
        sketch(vec![GroupSketch { component: COMPONENT, layer: Some(0), axis: ChannelAxis::Hidden, factors }])
    };
    let alone = |seed: u64| {
        let factors = vec![factor(Role::Down, None, &mut SplitMix64::new(seed))];
        sketch(vec![GroupSketch { component: COMPONENT, layer: Some(0), axis: ChannelAxis::Hidden, factors }])
    };
    let signs = |a: &Sketch, b: &Sketch| {
        layer_grids(a, b, &[], &mut || true)[0].cell(0, 0).signs.expect("a test was made")
    };
    for seed in 0..20 {
        let (many, one) =
            (signs(&copies(seed), &copies(seed + 100)), signs(&alone(seed), &alone(seed + 100)));
        assert_eq!(many.n, one.n);
        assert!((many.log10_p - one.log10_p).abs() < 1e-9);
    }
}

#[test]
fn outside_layers_residual_channels_are_asked_and_else_values() {
    let outside = |seed: u64, axes: &[ChannelAxis]| {
        let mut random = SplitMix64::new(seed);
        let role = |axis| if axis == ChannelAxis::Value { Role::Value } else { Role::TokenEmbedding };
        let group = |&axis: &ChannelAxis| GroupSketch {
            component: COMPONENT,
            layer: None,
            axis,
            factors: vec![factor(role(axis), None, &mut random)],
        };
        sketch(axes.iter().map(group).collect())
    };
    let (residual, value) = (ChannelAxis::Residual, ChannelAxis::Value);
    let axis = |a: &Sketch, b: &Sketch| axis_outside_layers(a, b, COMPONENT);
    let resampler = outside(1, &[value]);
    assert_eq!(axis(&resampler, &resampler), Some(value));
    assert_eq!(axis(&outside(1, &[value, residual]), &outside(1, &[residual, value])), Some(residual));
    assert_eq!(axis(&resampler, &outside(1, &[residual])), None);
    let p = |other: &Sketch| sign_outside_layers(&resampler, other, COMPONENT, value).unwrap().log10_p;
    assert!(p(&resampler) < -18.0, "{}", p(&resampler));
    assert!(p(&outside(2, &[value])) > -3.0);
}
