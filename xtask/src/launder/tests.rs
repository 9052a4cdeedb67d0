use super::decoder::Decoder;
use super::forward::{drift, log_probabilities};
use super::{numbers, structure, symmetries};
use crate::material::random::Random;

type Operation = fn(&mut Decoder, &mut Random);

const TOKENS: &[usize] = &[3, 17, 0, 22, 9, 9, 1, 14];
/// Rounding of f64 over some thousand operations.
const ROUNDING: f64 = 1e-9;

const PRESERVING: &[(&str, Operation)] = &[
    ("residual signs", symmetries::flip_residual_signs),
    ("residual order", symmetries::permute_residual),
    ("gains", symmetries::replace_gains),
    ("rotation", symmetries::rotate_residual),
    ("residual scale", symmetries::scale_residual),
    ("unit order", symmetries::permute_units),
    ("unit scale", symmetries::scale_units),
    ("unit scale and sign", symmetries::scale_units_signed),
    ("head order", symmetries::permute_heads),
    ("value scale", symmetries::scale_values),
    ("value mixing", symmetries::mix_values),
    ("query scale", symmetries::scale_queries),
    ("query angle", symmetries::turn_queries),
    ("softmax shift", symmetries::shift_softmax),
    ("an empty block", |model, random| symmetries::insert_block(model, 1, random)),
    ("more units", symmetries::widen_units),
    ("all", symmetries::all),
    ("tokens", Decoder::permute_tokens),
    ("upcycling", |model, random| structure::upcycle(model, 4, random)),
];

fn made(operation: Operation, seed: u64) -> (Decoder, Decoder) {
    let base = Decoder::random(3, &mut Random::new(seed, "base"));
    let mut model = base.clone();
    operation(&mut model, &mut Random::new(seed, "operation"));
    (base, model)
}

#[test]
fn symmetries_change_the_weights_and_not_the_function() {
    for (name, operation) in PRESERVING {
        let (base, model) = made(*operation, 4);
        assert_ne!(base.arrays(), model.arrays(), "{name} does nothing");
        let drift = drift(&base, &model, TOKENS);
        assert!(drift < ROUNDING, "{name}: {drift}");
    }
}

#[test]
fn what_happens_to_experts_keeps_the_function() {
    let (_, mut mixture) = made(|model, random| structure::slice_experts(model, 4, random), 5);
    // Routers that send different tokens to different experts.
    for block in &mut mixture.blocks {
        if let Some(router) = &mut block.router {
            router.values.iter_mut().for_each(|x| *x *= 50.0);
        }
    }
    let operations: [Operation; 4] = [
        symmetries::permute_experts,
        symmetries::shift_softmax,
        symmetries::rotate_residual,
        symmetries::permute_units,
    ];
    for operation in operations {
        let mut other = mixture.clone();
        operation(&mut other, &mut Random::new(6, "operation"));
        assert_ne!(mixture.arrays(), other.arrays());
        assert!(drift(&mixture, &other, TOKENS) < ROUNDING);
    }
    let routes = |model: &Decoder| log_probabilities(model, TOKENS);
    let mut swapped = mixture.clone();
    swapped.blocks[0].experts.rotate_left(1);
    assert_ne!(routes(&mixture), routes(&swapped), "the experts are used");
}

#[test]
fn operations_repeat_bit_by_bit() {
    for (name, operation) in PRESERVING {
        assert_eq!(made(*operation, 7).1, made(*operation, 7).1, "{name}");
    }
}

#[test]
fn changes_of_numbers_are_as_large_as_they_say() {
    let noised = made(|model, random| numbers::add_noise(model, 0.3, random), 8);
    let (relative, cosine) = numbers::change(&noised.1, &noised.0);
    assert!((relative - 0.3).abs() < 0.01 && (cosine - 0.958).abs() < 0.01, "{relative} {cosine}");

    let halved = made(|model, _| numbers::prune_half(model), 9).1;
    let two_of_four = made(|model, _| numbers::prune_two_of_four(model), 9).1;
    for model in [&halved, &two_of_four] {
        let zeros = model.blocks[1].query.values.iter().filter(|x| **x == 0.0).count();
        assert_eq!(2 * zeros, model.blocks[1].query.values.len());
    }
    assert!(
        two_of_four.blocks[0].experts[0]
            .up
            .values
            .chunks(4)
            .all(|four| { four.iter().filter(|x| **x == 0.0).count() == 2 })
    );

    let coarse = made(|model, _| numbers::quantise(model, 4), 10).1;
    let mut levels = coarse.blocks[2].key.row(1).to_vec();
    levels.sort_by(f64::total_cmp);
    levels.dedup();
    assert!(levels.len() <= 15, "sixteen values in {levels:?}");

    let other = Decoder::random(3, &mut Random::new(11, "other"));
    let (base, mut model) = made(|_, _| {}, 11);
    numbers::merge(&mut model, &other, 0.7);
    let expected = 0.7 * base.head.at(2, 3) + 0.3 * other.head.at(2, 3);
    assert!((model.head.at(2, 3) - expected).abs() < 1e-12);
}

#[test]
fn pruned_models_hold_parts_of_the_whole() {
    let (base, slim) = made(|model, _| structure::slim(model, 12), 12);
    assert_eq!((slim.residual(), slim.heads, slim.kv_heads, slim.units()), (8, 2, 1, 12));
    assert!(log_probabilities(&slim, TOKENS).iter().flatten().all(|x| x.is_finite()));
    let (_, pruned) = made(|model, _| structure::prune_units(model, 12, true), 12);
    for row in 0..12 {
        let kept = pruned.blocks[0].experts[0].up.row(row);
        assert!((0..20).any(|unit| base.blocks[0].experts[0].up.row(unit) == kept));
    }
}
