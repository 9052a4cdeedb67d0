use super::*;
use crate::{Channel, plan};
use stemmata_architecture::{
    Anatomy, ChannelAxis, Component, ComponentInfo, Norm, Part, Role, RowOrder, Term, View,
};
use stemmata_model::{DType, Encoding, InMemory, Storage, Tensor};
use stemmata_stats::{SplitMix64, sign_flip};

const D: u64 = 48;
const H: u64 = 96;
const V: u64 = 320;

fn shapes(layers: u32) -> Vec<(Option<u32>, Role, u64, u64)> {
    let mut shapes = vec![(None, Role::TokenEmbedding, V, D)];
    for l in 0..layers {
        let layer = Some(l);
        shapes.extend([
            (layer, Role::Query, D, D),
            (layer, Role::Key, D / 2, D),
            (layer, Role::Value, D / 2, D),
            (layer, Role::Output, D, D),
            (layer, Role::Gate, H, D),
            (layer, Role::Up, H, D),
            (layer, Role::Down, D, H),
        ]);
    }
    shapes
}

/// A model; `transposed` stores every matrix \[in, out\], `reversed` stores tensors in the opposite order.
fn build(values: &[Vec<f32>], layers: u32, transposed: bool, reversed: bool) -> (InMemory, Anatomy) {
    let mut memory = InMemory { tensors: Vec::new(), values: Vec::new() };
    let mut parts = Vec::new();
    let mut order: Vec<usize> = (0..values.len()).collect();
    if reversed {
        order.reverse();
    }
    for i in order {
        let (layer, role, rows, cols) = shapes(layers)[i];
        let tensor = memory.tensors.len();
        let flat = if transposed {
            (0..cols * rows).map(|e| values[i][(e % rows * cols + e / rows) as usize]).collect()
        } else {
            values[i].clone()
        };
        memory.values.push(flat);
        memory.tensors.push(Tensor {
            name: format!("t{i}"),
            shape: vec![rows, cols],
            encoding: Encoding::Plain(DType::F32),
            storage: Storage { file: 0, offset: 0, len: rows * cols * 4, strides: None },
        });
        let (row_stride, col_stride) = if transposed { (1, rows) } else { (cols, 1) };
        let view = View { tensor, rows, cols, first: 0, row_stride, col_stride, order: RowOrder::Stored };
        let component = Component::LanguageModel;
        parts.push(Part { component, layer, expert: None, role, term: Term::Weight, guessed: false, view });
    }
    parts.sort_by_key(|p| (p.component, p.layer, p.expert, p.role, p.term));
    let info = ComponentInfo {
        component: Component::LanguageModel,
        norm: Norm::Rms,
        gated: true,
        layers,
        residual: D,
        query_heads: 4,
        kv_heads: 2,
        head_dim: 12,
    };
    let anatomy = Anatomy {
        family: "llama".into(),
        inferred: false,
        components: vec![info],
        parts,
        unmapped: vec![],
        ignored: vec![],
        notes: vec![],
    };
    (memory, anatomy)
}

fn random_values(seed: u64, layers: u32) -> Vec<Vec<f32>> {
    let mut random = SplitMix64::new(seed);
    shapes(layers)
        .iter()
        .map(|(_, _, r, c)| (0..r * c).map(|_| random.normal() as f32 * 0.02).collect())
        .collect()
}

fn noisy(values: &[Vec<f32>], sigma: f32, seed: u64) -> Vec<Vec<f32>> {
    let mut random = SplitMix64::new(seed);
    values.iter().map(|v| v.iter().map(|x| x + sigma * random.normal() as f32).collect()).collect()
}

fn run(a: &(InMemory, Anatomy), b: &(InMemory, Anatomy), threads: usize) -> Measurement {
    let stop = AtomicBool::new(false);
    measure(&plan(&a.1, &b.1), &a.0, &b.0, &Options { threads, stop: &stop }, &mut |_| {}).unwrap()
}

/// The channels of each layer, as they are reduced.
fn channels(a: &(InMemory, Anatomy), b: &(InMemory, Anatomy)) -> Vec<(ChannelAxis, Vec<Channel>)> {
    let (stop, mut seen) = (AtomicBool::new(false), Vec::new());
    let options = Options { threads: 2, stop: &stop };
    let mut watch = |_, axis, channels: &[Channel]| seen.push((axis, channels.to_vec()));
    measure_watched(&plan(&a.1, &b.1), [&a.0, &b.0], &options, &mut |_| {}, &mut watch).unwrap();
    seen
}

fn products(channels: &[(ChannelAxis, Vec<Channel>)], wanted: ChannelAxis) -> Vec<f64> {
    let of_axis = channels.iter().filter(|(axis, _)| *axis == wanted);
    of_axis.flat_map(|(_, channels)| channels.iter().map(|c| c.product)).collect()
}

#[test]
fn the_same_bits_for_any_number_of_threads() {
    let a = build(&random_values(1, 3), 3, false, false);
    let b = build(&random_values(2, 3), 3, false, false);
    let one = run(&a, &b, 1);
    for threads in [2, 3, 8] {
        assert_eq!(run(&a, &b, threads), one);
    }
}

#[test]
fn storage_order_and_transposition_do_not_change_the_tests() {
    let values = random_values(1, 2);
    let other = noisy(&values, 0.01, 5);
    let a = build(&values, 2, false, false);
    let plain = run(&a, &build(&other, 2, false, false), 2);
    let reversed = run(&a, &build(&other, 2, false, true), 2);
    assert_eq!(plain.groups, reversed.groups);
    for b in [build(&other, 2, true, false)] {
        let turned = build(&values, 2, true, false);
        let stored = channels(&a, &build(&other, 2, false, false));
        for a in [&a, &turned] {
            assert_eq!(run(a, &b, 2).fixed_points, plain.fixed_points);
            let seen = channels(a, &b);
            assert_eq!(seen.len(), plain.groups.len());
            for ((_, x), (_, y)) in seen.iter().zip(&stored) {
                for (x, y) in x.iter().zip(y) {
                    assert!((x.product - y.product).abs() < 1e-6);
                }
                // Which side's norms are sampled depends on the orientation that is read.
                let reach = |g: &[Channel]| g.iter().map(|c| c.reach).sum::<f64>();
                assert!((reach(x) - reach(y)).abs() < 0.05 * reach(y));
            }
        }
    }
}

#[test]
fn products_are_the_inner_products_of_the_definition() {
    let layers = 1;
    let values = random_values(3, layers);
    let other = random_values(4, layers);
    let seen = channels(&build(&values, layers, false, false), &build(&other, layers, false, false));
    let index = |role| shapes(layers).iter().position(|(_, r, ..)| *r == role).unwrap();
    let norm = |v: &[f32]| v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    let (up, down) = (index(Role::Up), index(Role::Down));
    let of_axis = |wanted| seen.iter().filter(move |(axis, _)| *axis == wanted);
    let (_, hidden) = of_axis(ChannelAxis::Hidden).next().unwrap();
    for (i, channel) in hidden.iter().enumerate() {
        let (mut row, mut column) = (0.0, 0.0);
        for j in 0..D as usize {
            row += f64::from(values[up][i * D as usize + j]) * f64::from(other[up][i * D as usize + j]);
            column +=
                f64::from(values[down][j * H as usize + i]) * f64::from(other[down][j * H as usize + i]);
        }
        let expected = row / (norm(&values[up]) * norm(&other[up]))
            + column / (norm(&values[down]) * norm(&other[down]));
        assert!((channel.product - expected).abs() < 1e-7, "{i}");
    }
    // Two key-value heads of 12, each read by two query heads.
    assert_eq!(of_axis(ChannelAxis::Value).next().unwrap().1.len(), 24);
    assert_eq!(of_axis(ChannelAxis::Residual).count(), 2);
}

#[test]
fn a_noisy_copy_is_found_and_a_stranger_is_not() {
    let values = random_values(1, 3);
    let a = build(&values, 3, false, false);
    let (copy, stranger) = (noisy(&values, 0.02, 9), random_values(77, 3));
    let [copy, stranger] = [copy, stranger].map(|values| build(&values, 3, false, false));
    let [of_copy, of_stranger] = [&copy, &stranger].map(|model| channels(model, &a));
    let (copy, stranger) = (run(&copy, &a, 2), run(&stranger, &a, 2));
    for axis in ChannelAxis::ALL {
        assert!(sign_flip(&products(&of_copy, axis)).log10_p < -10.0, "{axis:?}");
        assert!(sign_flip(&products(&of_stranger, axis)).log10_p > -5.0, "{axis:?}");
        let pooled = copy.pooled.iter().find(|g| g.axis == axis).unwrap();
        // Two heads of twelve make 24 coins, the fewest of all axes.
        assert!(pooled.signs.log10_p < -6.0, "{axis:?}");
    }
    assert!(copy.fixed_points.iter().all(|f| f.units == H && f.fixed > H * 9 / 10));
    assert!(stranger.fixed_points.iter().all(|f| f.fixed < 9));
}

#[test]
fn corners_of_unequal_shapes_are_compared_and_rest_is_reported() {
    let a = build(&random_values(1, 2), 2, false, false);
    let b = build(&random_values(2, 3), 3, false, false);
    let measured = run(&a, &b, 2);
    assert_eq!(measured.reference_only.len(), 7);
    assert!(measured.candidate_only.is_empty());
}

#[test]
fn a_read_error_ends_the_run_with_that_error() {
    struct Broken(InMemory);
    impl Weights for Broken {
        fn tensors(&self) -> &[Tensor] {
            self.0.tensors()
        }
        fn read(&self, tensor: usize, start: u64, out: &mut [f32]) -> Result<(), ReadError> {
            if tensor == 5 {
                return Err(ReadError::OutOfRange { tensor: "t5".into(), start, end: start });
            }
            self.0.read(tensor, start, out)
        }
        fn bytes_read(&self) -> u64 {
            0
        }
    }
    let a = build(&random_values(1, 3), 3, false, false);
    let b = build(&random_values(2, 3), 3, false, false);
    let stop = AtomicBool::new(false);
    let options = Options { threads: 2, stop: &stop };
    let outcome = measure(&plan(&a.1, &b.1), &Broken(a.0), &b.0, &options, &mut |_| {});
    assert!(matches!(outcome, Err(ReadError::OutOfRange { .. })));
    stop.store(true, Ordering::Relaxed);
    let c = build(&random_values(1, 3), 3, false, false);
    let outcome = measure(&plan(&c.1, &b.1), &c.0, &b.0, &Options { threads: 2, stop: &stop }, &mut |_| {});
    assert!(matches!(outcome, Err(ReadError::Interrupted)));
}

/// Values in channels that compute nothing (input channel 3, unit 7) and in one token row, as large as one likes.
fn with_wild_values(values: &[Vec<f32>], layers: u32, size: f32, seed: u64) -> Vec<Vec<f32>> {
    let mut random = SplitMix64::new(seed);
    let mut wild = || if random.normal() > 0.0 { size } else { -size };
    let mut out = values.to_vec();
    for (flat, (_, role, rows, cols)) in out.iter_mut().zip(shapes(layers)) {
        let (rows, cols) = (rows as usize, cols as usize);
        match role {
            Role::TokenEmbedding => flat[9 * cols..10 * cols].iter_mut().for_each(|x| *x = wild()),
            Role::Output | Role::Down => (0..rows).for_each(|r| flat[r * cols + 7] = wild()),
            _ => (0..rows).for_each(|r| flat[r * cols + 3] = wild()),
        }
    }
    out
}

#[test]
fn wild_values_in_dead_channels_hide_nothing() {
    let values = random_values(1, 3);
    let a = build(&values, 3, false, false);
    for size in [1.0, 1e3, 1e30, f32::INFINITY, f32::NAN] {
        let b = build(&with_wild_values(&values, 3, size, 8), 3, false, false);
        let (measured, seen) = (run(&b, &a, 2), channels(&b, &a));
        for axis in ChannelAxis::ALL {
            let found = sign_flip(&products(&seen, axis)).log10_p;
            assert!(found < -8.0, "{size} {axis:?} {found}");
        }
        // Of 288; one coordinate of 48 at the limit costs most of the neighbours.
        assert!(measured.fixed_points.iter().map(|f| f.fixed).sum::<u64>() > 24, "{size}");
        let c = build(&with_wild_values(&random_values(5, 3), 3, size, 9), 3, false, false);
        let strangers = channels(&c, &a);
        assert!(strangers.iter().all(|(_, channels)| channels.iter().all(|c| c.reach.is_finite())));
        assert!(ChannelAxis::ALL.iter().all(|axis| sign_flip(&products(&strangers, *axis)).log10_p > -4.0));
    }
}

#[test]
fn a_clipped_pair_flips_with_its_channels() {
    // Flipping unit signs of a model with wild values flips the products and leaves their magnitudes, bit for bit.
    let a = build(&random_values(1, 1), 1, false, false);
    let values = with_wild_values(&random_values(2, 1), 1, 50.0, 3);
    let mut flipped = values.clone();
    for (flat, (_, role, rows, cols)) in flipped.iter_mut().zip(shapes(1)) {
        for r in 0..rows {
            for c in 0..cols {
                let unit = match role {
                    Role::Up => r,
                    Role::Down => c,
                    _ => 0,
                };
                if unit % 3 == 1 {
                    flat[(r * cols + c) as usize] *= -1.0;
                }
            }
        }
    }
    let [plain, turned] = [&values, &flipped]
        .map(|values| products(&channels(&build(values, 1, false, false), &a), ChannelAxis::Hidden));
    for (unit, (x, y)) in plain.iter().zip(&turned).enumerate() {
        assert_eq!(if unit % 3 == 1 { -x } else { *x }, *y, "{unit}");
    }
}

#[test]
fn each_model_is_held_against_fixed_patterns() {
    let shifted = |seed: u64| -> Vec<Vec<f32>> {
        random_values(seed, 2).into_iter().map(|v| v.into_iter().map(|x| x + 0.01).collect()).collect()
    };
    let a = build(&random_values(1, 2), 2, false, false);
    let measured = run(&build(&shifted(2), 2, false, false), &a, 2);
    let worst = |side| {
        let of_side = measured.checks.iter().filter(|c| c.side == side);
        of_side.map(|c| c.check.log10_p).fold(0.0, f64::min)
    };
    assert!(worst(crate::Side::Candidate) < -10.0, "{}", worst(crate::Side::Candidate));
    assert!(worst(crate::Side::Reference) > -4.0, "{}", worst(crate::Side::Reference));
    // The same checks whichever way the matrices lie.
    let transposed =
        run(&build(&shifted(2), 2, true, false), &build(&random_values(1, 2), 2, true, false), 2);
    for (x, y) in measured.checks.iter().zip(&transposed.checks) {
        assert_eq!((x.component, x.side), (y.component, y.side));
    }
    assert_eq!(measured.checks.len(), transposed.checks.len());
}

#[test]
fn rows_of_one_default_take_no_part() {
    let unused = |seed: u64| {
        let mut values = random_values(seed, 1);
        values[0][..(V / 2 * D) as usize].fill(0.02);
        build(&values, 1, false, false)
    };
    let seen = channels(&unused(1), &unused(2));
    assert!(sign_flip(&products(&seen, ChannelAxis::Residual)).log10_p > -4.0);
}

#[test]
fn two_guesses_vouch_for_no_outputs() {
    let guessed = |seed| {
        let mut model = build(&random_values(seed, 1), 1, false, false);
        model.1.parts.iter_mut().filter(|p| p.role == Role::Up).for_each(|p| p.guessed = true);
        model
    };
    let up = |a: &(InMemory, Anatomy), b: &(InMemory, Anatomy)| {
        let plan = plan(&a.1, &b.1);
        plan.pairs.iter().find(|p| p.key.role == Role::Up).map(|p| (p.row_map.is_some(), p.col_map.is_some()))
    };
    let known = build(&random_values(3, 1), 1, false, false);
    assert_eq!(up(&guessed(1), &guessed(2)), Some((false, true)));
    assert_eq!(up(&guessed(1), &known), Some((true, true)));
    let vouching = run(&guessed(1), &known, 1);
    assert!(vouching.checks.iter().any(|c| c.guessed && c.side == crate::Side::Candidate));
    assert!(vouching.checks.iter().all(|c| !(c.guessed && c.side == crate::Side::Reference)));
}
