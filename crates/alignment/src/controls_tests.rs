use super::*;
use crate::{Measurement, Options, measure, plan};
use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use stemmata_architecture::{ComponentInfo, Norm, Part};
use stemmata_fingerprint::RowReader;
use stemmata_model::{DType, Encoding, InMemory, Storage};

const D: u64 = 12;
const H: u64 = 20;
const WIDTH: u64 = 3;
const SHAPES: [(Option<u32>, Role, u64, u64); 9] = [
    (None, Role::TokenEmbedding, 30, D),
    (Some(0), Role::AttentionNorm, 1, D),
    (Some(0), Role::Query, D, D),
    (Some(0), Role::Key, D / 2, D),
    (Some(0), Role::Value, D / 2, D),
    (Some(0), Role::Output, D, D),
    (Some(0), Role::Gate, H, D),
    (Some(0), Role::Up, H, D),
    (Some(0), Role::Down, D, H),
];

#[derive(Clone, Copy, PartialEq)]
enum Layout {
    Plain,
    Transposed,
    /// Rows of gate and up take turns in one tensor.
    Interleaved,
    /// Heads hold their keys and values together.
    PerHead,
}

const LAYOUTS: [Layout; 4] = [Layout::Plain, Layout::Transposed, Layout::Interleaved, Layout::PerHead];

type Model = (InMemory, Anatomy);

/// Values are distinct in magnitude, so that each can be found again.
fn values(seed: u64) -> Vec<Vec<f32>> {
    let mut random = SplitMix64::new(seed);
    let draw = |(_, _, rows, cols): &(Option<u32>, Role, u64, u64)| {
        (0..rows * cols).map(|_| random.normal() as f32).collect()
    };
    SHAPES.iter().map(draw).collect()
}

fn build(values: &[Vec<f32>], layout: Layout) -> Model {
    let mut memory = InMemory { tensors: Vec::new(), values: Vec::new() };
    let mut parts = Vec::new();
    let mut fused = 0;
    for ((layer, role, rows, cols), values) in SHAPES.into_iter().zip(values) {
        let mut view = View {
            tensor: memory.tensors.len(),
            rows,
            cols,
            first: 0,
            row_stride: cols,
            col_stride: 1,
            order: RowOrder::Stored,
        };
        let mut flat = values.clone();
        if layout == Layout::Transposed && rows > 1 {
            flat = (0..rows * cols).map(|e| values[(e % rows * cols + e / rows) as usize]).collect();
            (view.row_stride, view.col_stride) = (1, rows);
        }
        if layout == Layout::Interleaved && matches!(role, Role::Gate | Role::Up) {
            view.row_stride = 2 * cols;
            if role == Role::Gate {
                fused = view.tensor;
                flat = values
                    .chunks(cols as usize)
                    .flat_map(|row| [row, &vec![0.0; row.len()]].concat())
                    .collect();
            } else {
                (view.tensor, view.first) = (fused, cols);
                for (row, values) in values.chunks(cols as usize).enumerate() {
                    let start = (2 * row + 1) * cols as usize;
                    memory.values[fused][start..start + values.len()].copy_from_slice(values);
                }
            }
        }
        if layout == Layout::PerHead && matches!(role, Role::Key | Role::Value) {
            let head = (WIDTH * cols) as usize;
            view.order = RowOrder::Blocks { block: WIDTH, step: 2 * WIDTH };
            if role == Role::Key {
                fused = view.tensor;
                flat = values.chunks(head).flat_map(|head| [head, &vec![0.0; head.len()]].concat()).collect();
            } else {
                (view.tensor, view.first) = (fused, WIDTH * cols);
                for (at, values) in values.chunks(head).enumerate() {
                    let start = (2 * at + 1) * head;
                    memory.values[fused][start..start + values.len()].copy_from_slice(values);
                }
            }
        }
        if view.tensor == memory.tensors.len() {
            memory.tensors.push(Tensor {
                name: format!("{role}"),
                shape: vec![flat.len() as u64],
                encoding: Encoding::Plain(DType::F32),
                storage: Storage { file: 0, offset: 0, len: flat.len() as u64 * 4, strides: None },
            });
            memory.values.push(flat);
        }
        let component = Component::LanguageModel;
        parts.push(Part { component, layer, expert: None, role, term: Term::Weight, guessed: false, view });
    }
    parts.sort_by_key(|p| (p.component, p.layer, p.expert, p.role, p.term));
    let info = ComponentInfo {
        component: Component::LanguageModel,
        norm: Norm::Rms,
        gated: true,
        layers: 1,
        residual: D,
        query_heads: 4,
        kv_heads: 2,
        head_dim: WIDTH,
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

fn measured(a: &dyn Weights, ours: &Anatomy, b: &Model) -> Measurement {
    let stop = AtomicBool::new(false);
    measure(&plan(ours, &b.1), a, &b.0, &Options { threads: 1, stop: &stop }, &mut |_| {}).unwrap()
}

fn control<'a>(a: &'a Model, b: &'a Model, seed: u64, share: f64) -> Control<'a> {
    let pairs = measured(&a.0, &a.1, b).pairs;
    Control::new((&a.0, &a.1), (&b.0, &b.1), &pairs, seed, share)
}

/// The logical matrix of a role, row after row.
fn matrix(weights: &dyn Weights, anatomy: &Anatomy, role: Role) -> Vec<Vec<f32>> {
    let view = anatomy.parts.iter().find(|p| p.role == role).unwrap().view;
    let mut out = vec![0.0; view.elements() as usize];
    RowReader::default().read(weights, &view, 0, view.cols as usize, &mut out).unwrap();
    out.chunks(view.cols as usize).map(<[f32]>::to_vec).collect()
}

/// The sign that makes `b` out of `a`; the magnitudes must agree.
fn sign(a: f32, b: f32) -> f32 {
    assert_eq!(a.abs(), b.abs());
    a.signum() * b.signum()
}

#[test]
fn tensors_that_share_a_channel_share_its_coin_and_units_move_whole() {
    let (a, b) = (build(&values(1), Layout::Plain), build(&values(2), Layout::Plain));
    let drawn = control(&a, &b, 3, 0.0);
    let both = |role| (matrix(&a.0, &a.1, role), matrix(&drawn, &a.1, role));
    let (q, q_drawn) = both(Role::Query);
    let residual: Vec<f32> = q[0].iter().zip(&q_drawn[0]).map(|(a, b)| sign(*a, *b)).collect();
    assert!(residual.contains(&1.0) && residual.contains(&-1.0));
    for role in [Role::Query, Role::Key] {
        let (own, drawn) = both(role);
        for (own, drawn) in own.iter().zip(&drawn) {
            let signs: Vec<f32> = own.iter().zip(drawn).map(|(a, b)| sign(*a, *b)).collect();
            assert_eq!(signs, residual, "{role}");
        }
    }
    // Value channel i: row i of v, and the columns of the query heads that read it.
    let (v, v_drawn) = both(Role::Value);
    let value: Vec<f32> = v.iter().zip(&v_drawn).map(|(a, b)| sign(a[0], b[0]) * residual[0]).collect();
    let (o, o_drawn) = both(Role::Output);
    for (row, (own, drawn)) in o.iter().zip(&o_drawn).enumerate() {
        for (col, (own, drawn)) in own.iter().zip(drawn).enumerate() {
            let (head, within) = (col / WIDTH as usize, col % WIDTH as usize);
            assert_eq!(sign(*own, *drawn), residual[row] * value[head / 2 * WIDTH as usize + within]);
        }
    }
    // A unit is found again by its magnitudes; gate, up and down were each relabelled.
    let magnitudes = |unit: &[f32]| unit.iter().map(|x| x.abs().to_bits()).collect::<Vec<u32>>();
    let transposed = |m: Vec<Vec<f32>>| -> Vec<Vec<f32>> {
        (0..m[0].len()).map(|c| m.iter().map(|row| row[c]).collect()).collect()
    };
    // The channels of the token embedding change places; the coin stays with the place. Its rows have coins of their own.
    let (own, drawn) = both(Role::TokenEmbedding);
    let (own, drawn) = (transposed(own), transposed(drawn));
    let first = own.iter().find(|c| magnitudes(c) == magnitudes(&drawn[0])).unwrap();
    let tokens: Vec<f32> = first.iter().zip(&drawn[0]).map(|(a, b)| sign(*a, *b) * residual[0]).collect();
    assert!(tokens.contains(&1.0) && tokens.contains(&-1.0));
    let mut places = BTreeSet::new();
    for (column, residual) in drawn.iter().zip(&residual) {
        let from = own.iter().position(|c| magnitudes(c) == magnitudes(column)).unwrap();
        let coins = || own[from].iter().zip(column).map(|(a, b)| sign(*a, *b) * residual);
        assert!(coins().zip(&tokens).all(|(coin, token)| coin == *token));
        places.insert(from);
    }
    assert_eq!(places.len(), own.len());
    assert!(magnitudes(&own[0]) != magnitudes(&drawn[0]) || magnitudes(&own[1]) != magnitudes(&drawn[1]));
    let mut orders = Vec::new();
    let mut coins = Vec::new();
    for role in [Role::Gate, Role::Up, Role::Down] {
        let (mut own, mut drawn) = both(role);
        if role == Role::Down {
            (own, drawn) = (transposed(own), transposed(drawn));
        }
        let from = |unit: &Vec<f32>| own.iter().position(|u| magnitudes(u) == magnitudes(unit)).unwrap();
        let order: Vec<usize> = drawn.iter().map(from).collect();
        let coin = |(unit, from): (&Vec<f32>, &usize)| {
            let signs: Vec<f32> =
                (0..unit.len()).map(|j| sign(own[*from][j], unit[j]) * residual[j]).collect();
            assert!(signs.iter().all(|s| *s == signs[0]), "a channel has one coin");
            signs[0]
        };
        coins.push(drawn.iter().zip(&order).map(coin).collect::<Vec<f32>>());
        orders.push(order);
    }
    assert!(coins[0].iter().all(|coin| *coin == 1.0), "a gate is not flipped");
    assert_eq!(coins[1], coins[2], "unit i of up and of down is one channel");
    for order in &orders {
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..H as usize).collect::<Vec<_>>());
    }
    assert!(orders[0] != orders[1] && orders[1] != orders[2] && orders[0] != orders[2]);
    // What no test reads stays.
    let (gain, gain_drawn) = both(Role::AttentionNorm);
    assert_eq!(gain, gain_drawn);
}

#[test]
fn a_control_does_not_depend_on_how_its_models_are_stored() {
    let all = [values(1), values(2)];
    let reference = build(&all[1], Layout::Plain);
    for share in [0.0, 0.3] {
        let plain = build(&all[0], Layout::Plain);
        let expected = control(&plain, &reference, 5, share);
        for ours in LAYOUTS {
            for theirs in LAYOUTS {
                let (a, b) = (build(&all[0], ours), build(&all[1], theirs));
                let drawn = control(&a, &b, 5, share);
                for (_, role, ..) in SHAPES {
                    let (x, y) = (matrix(&expected, &plain.1, role), matrix(&drawn, &a.1, role));
                    let near = |(x, y): (&f32, &f32)| (x - y).abs() <= 1e-6;
                    assert!(x.iter().flatten().zip(y.iter().flatten()).all(near), "{role}");
                }
            }
        }
    }
}

#[test]
fn any_piece_is_what_the_whole_has_there() {
    for layout in LAYOUTS {
        let (a, b) = (build(&values(1), layout), build(&values(2), Layout::Plain));
        let drawn = control(&a, &b, 9, 0.2);
        for tensor in 0..a.0.tensors.len() {
            let mut whole = vec![0.0; a.0.values[tensor].len()];
            drawn.read(tensor, 0, &mut whole).unwrap();
            for len in [1, 5, 13, 29] {
                for start in 0..=whole.len().saturating_sub(len) {
                    let mut piece = vec![0.0; len.min(whole.len())];
                    drawn.read(tensor, start as u64, &mut piece).unwrap();
                    assert_eq!(piece, whole[start..start + piece.len()], "tensor {tensor} from {start}");
                }
            }
        }
    }
}

#[test]
fn norms_are_kept_and_the_share_is_the_cosine() {
    let (a, b) = (build(&values(1), Layout::Plain), build(&values(2), Layout::Plain));
    let before = measured(&a.0, &a.1, &b);
    let close = |x: f64, y: f64| (x / y - 1.0).abs() < 1e-5;
    let negative = measured(&control(&a, &b, 4, 0.0), &a.1, &b);
    for (before, after) in before.pairs.iter().zip(&negative.pairs) {
        let (before, after) = (before.moments.unwrap(), after.moments.unwrap());
        assert!(close(before.candidate_squares, after.candidate_squares));
    }
    // 1632 weights: the standard deviation of a cosine is below 0.025.
    let share = 0.6;
    let positive = measured(&control(&a, &b, 4, share), &a.1, &b);
    let mut all = crate::Moments::default();
    let tested = positive.pairs.iter().filter(|p| p.key.role != Role::AttentionNorm);
    tested.for_each(|p| all.add(&p.moments.unwrap()));
    assert!((all.cosine() - share).abs() < 0.1, "{}", all.cosine());
}

#[test]
fn what_the_reference_lacks_is_drawn_too() {
    let (a, mut b) = (build(&values(1), Layout::Plain), build(&values(2), Layout::Plain));
    let expected = matrix(&control(&a, &b, 6, 0.0), &a.1, Role::Gate);
    b.1.parts.retain(|part| part.role != Role::Gate);
    assert_eq!(matrix(&control(&a, &b, 6, 0.0), &a.1, Role::Gate), expected);
    assert_ne!(matrix(&a.0, &a.1, Role::Gate), expected);
}

#[test]
fn a_model_against_its_own_draws_gives_fair_coins() {
    // 120 draws: under fair coins the mean square of the studentised sums is 1 within six of its standard errors.
    let a = build(&values(1), Layout::Plain);
    for axis in ChannelAxis::ALL {
        let statistics: Vec<f64> = (0..120)
            .map(|seed| {
                let drawn = measured(&control(&a, &a, seed, 0.0), &a.1, &a);
                let of_axis = |g: &&crate::ChannelGroup| {
                    g.axis == axis && (g.layer.is_some() || axis == ChannelAxis::Residual)
                };
                let group = drawn.groups.iter().find(of_axis).unwrap();
                group.signs.statistic
            })
            .collect();
        let square = statistics.iter().map(|t| t * t).sum::<f64>() / 120.0;
        assert!((square - 1.0).abs() < 6.0 * (2.0_f64 / 120.0).sqrt(), "{axis:?}: {square}");
        assert!(statistics.iter().any(|t| *t < 0.0) && statistics.iter().any(|t| *t > 0.0));
    }
    let own = measured(&a.0, &a.1, &a);
    // As small as that many equal signs allow.
    let least = |n: u64| (1.0 - n as f64) * 2.0_f64.log10();
    assert!(
        own.groups.iter().all(|g| (g.signs.log10_p - least(g.channels)).abs() < 1e-9),
        "the model itself has no coins"
    );
}
