use super::super::matrix::Columns;
use super::super::tests::stored;
use super::*;
use crate::Control;
use stemmata_architecture::{Anatomy, ComponentInfo, Norm, Part, Role};
use stemmata_model::InMemory;
use stemmata_stats::{SignFlip, SplitMix64, sequential_sign_flip};

const V: usize = 300;
const D: usize = 64;
/// Tokens that training never met.
const UNMET: usize = 100;
/// Directions that what is learned of tokens lies in.
const MEANING: usize = 12;

fn normal(random: &mut SplitMix64, rows: usize, cols: usize) -> Columns {
    Columns::from_fn(rows, cols, |_, _| random.normal() as f32)
}

/// Rows that grew from the start `start`; what they learned of the language is the same in every model, along directions that `training` draws.
fn trained(start: u64, training: u64) -> Columns {
    let mut rows = normal(&mut SplitMix64::new(start), D, V) * 0.02;
    let meaning = normal(&mut SplitMix64::new(1), MEANING, V);
    let directions = normal(&mut SplitMix64::new(training), D, MEANING) * 0.02;
    let learned = directions * meaning;
    // Tokens that were met once learned little.
    for token in 0..V - UNMET {
        let met = (1.0 + token as f32 / 20.0).min(4.0);
        rows.column_mut(token).axpy(met, &learned.column(token), 1.0);
    }
    rows
}

fn rotated(rows: &Columns) -> Columns {
    normal(&mut SplitMix64::new(7), D, D).qr().q() * rows
}

fn model(rows: &Columns) -> (InMemory, Vec<Part>) {
    let (d, n) = rows.shape();
    stored([(None, Role::TokenEmbedding, n as u64, d as u64, rows.as_slice().to_vec())])
}

fn ask(candidate: &Columns, reference: &Columns, shared: &SharedTokens) -> Option<UntrainedTokens> {
    let ((c, ours), (r, theirs)) = (model(candidate), model(reference));
    let views = [&ours[0].view, &theirs[0].view];
    untrained(Component::LanguageModel, [&c, &r], views, shared, &|| false).unwrap()
}

fn tested(found: &UntrainedTokens) -> SignFlip {
    sequential_sign_flip(&found.products, found.squares, found.allowance)
}

#[test]
fn a_common_start_is_found_in_any_basis() {
    let found = ask(&trained(2, 3), &rotated(&trained(2, 4)), &SharedTokens::SameRow).unwrap();
    assert!(found.tokens as usize >= UNMET / 2, "{found:?}");
    assert!(found.correlation > 0.9, "{}", found.correlation);
    assert!(tested(&found).log10_p < -12.0);
}

#[test]
fn a_merge_with_a_small_share_is_found() {
    let merge = trained(2, 3) * 0.35 + trained(5, 6) * 0.65;
    let found = ask(&merge, &rotated(&trained(2, 4)), &SharedTokens::SameRow).unwrap();
    assert!((0.08..0.4).contains(&found.correlation), "{}", found.correlation);
    assert!(tested(&found).log10_p < -5.0, "{}", tested(&found).log10_p);
}

#[test]
fn strangers_that_learned_the_same_language_have_fair_coins() {
    let mut statistics: Vec<f64> = Vec::new();
    for seed in 0..120 {
        let other = rotated(&trained(2000 + seed, 3000 + seed));
        if let Some(found) = ask(&trained(1000 + seed, 4000 + seed), &other, &SharedTokens::SameRow) {
            // What is looked at are tokens that were never met, or hardly.
            assert!((found.tokens as usize) < UNMET + 40, "{}", found.tokens);
            statistics.push(tested(&found).statistic);
        }
    }
    let n = statistics.len() as f64;
    assert!(n >= 100.0);
    let mean = statistics.iter().sum::<f64>() / n;
    let variance = statistics.iter().map(|z| z * z).sum::<f64>() / n;
    assert!(mean.abs() < 4.0 / n.sqrt(), "{mean}");
    assert!((0.5..1.6).contains(&variance), "{variance}");
    assert!(statistics.iter().all(|z| z.abs() < 4.0));
}

#[test]
fn what_both_learned_of_every_token_does_not_show() {
    // No token is quite untrained: what is known of it, along the same axes of meaning in all models, grows from nothing with its rank.
    let grown = |start: u64, training: u64| {
        let mut rows = normal(&mut SplitMix64::new(start), D, V);
        let meaning = normal(&mut SplitMix64::new(1), MEANING, V);
        let learned = normal(&mut SplitMix64::new(training), D, MEANING) * meaning;
        for token in 0..V {
            rows.column_mut(token).axpy((token as f32 / V as f32).powi(2) * 2.0, &learned.column(token), 1.0);
        }
        rows
    };
    let (mut statistics, mut allowances): (Vec<f64>, Vec<f64>) = (Vec::new(), Vec::new());
    for seed in 0..200 {
        let pair = (grown(1000 + seed, 4000 + seed), rotated(&grown(2000 + seed, 3000 + seed)));
        if let Some(found) = ask(&pair.0, &pair.1, &SharedTokens::SameRow) {
            assert!((found.tokens as usize) < V / 2, "{}", found.tokens);
            assert!(tested(&found).log10_p > -3.5);
            statistics.push(tested(&found).statistic);
            allowances.push(found.allowance / found.squares.sqrt());
        }
    }
    let n = statistics.len() as f64;
    assert!(n >= 100.0, "{n}");
    let mean = statistics.iter().sum::<f64>() / n;
    let allowed = allowances.iter().sum::<f64>() / n;
    assert!(mean < allowed + 3.0 / n.sqrt() && allowed < 1.0, "{mean} {allowed}");
    // A merge of such a pair is found all the same.
    let merge = grown(1, 2) * 0.4 + grown(3, 4) * 0.6;
    let found = ask(&merge, &rotated(&grown(1, 2)), &SharedTokens::SameRow).unwrap();
    assert!(tested(&found).log10_p < -5.0, "{}", tested(&found).log10_p);
}

#[test]
fn tokens_are_matched_by_their_spelling() {
    let (candidate, reference) = (trained(2, 3), rotated(&trained(2, 4)));
    let place = |token: usize| (token * 7 + 3) % V;
    let moved = Columns::from_fn(D, V, |row, at| {
        let token = (0..V).find(|token| place(*token) == at).unwrap();
        reference[(row, token)]
    });
    let pairs = (0..V).map(|token| (token as u32, place(token) as u32)).collect();
    let by_spelling = ask(&candidate, &moved, &SharedTokens::BySpelling(pairs)).unwrap();
    assert_eq!(Some(by_spelling), ask(&candidate, &reference, &SharedTokens::SameRow));
}

#[test]
fn rows_that_say_nothing_are_left_out() {
    // A padded vocabulary: rows of zeros, one row many times, values that are none.
    let padded = |mut rows: Columns| {
        let last = rows.column(V - 1).into_owned();
        (V - 40..V - 20).for_each(|token| rows.column_mut(token).fill(0.0));
        (V - 20..V).for_each(|token| rows.set_column(token, &last));
        rows[(0, V - 50)] = f32::NAN;
        rows[(0, V - 51)] = f32::INFINITY;
        rows.column_mut(V - 52).fill(1e-41);
        rows.column_mut(V - 53).fill(3e38);
        rows
    };
    let found =
        ask(&padded(trained(2, 3)), &rotated(&padded(trained(12, 4))), &SharedTokens::SameRow).unwrap();
    assert!((UNMET / 3..=UNMET - 30).contains(&(found.tokens as usize)), "{found:?}");
    assert!(tested(&found).statistic.abs() < 4.0);
}

#[test]
fn too_few_or_trained_rows_are_not_asked() {
    let few = |rows: Columns| rows.columns(0, FEWEST - 1).into_owned();
    assert!(ask(&few(trained(2, 3)), &few(trained(2, 3)), &SharedTokens::SameRow).is_none());
    let pushed = |mut rows: Columns| {
        rows.column_iter_mut().for_each(|mut row| row.add_scalar_mut(0.03));
        rows
    };
    assert!(ask(&pushed(trained(2, 3)), &trained(2, 3), &SharedTokens::SameRow).is_none());
}

#[test]
fn a_control_has_other_angles() {
    let rows = trained(2, 3);
    let (memory, parts) = model(&rows);
    let anatomy = Anatomy {
        family: "toy".into(),
        inferred: false,
        components: vec![ComponentInfo {
            component: Component::LanguageModel,
            norm: Norm::Rms,
            gated: true,
            layers: 0,
            residual: D as u64,
            query_heads: 4,
            kv_heads: 4,
            head_dim: 16,
        }],
        parts,
        unmapped: vec![],
        ignored: vec![],
        notes: vec![],
    };
    let view = &anatomy.parts[0].view;
    for seed in 0..20 {
        let drawn = Control::new((&memory, &anatomy), (&memory, &anatomy), &[], seed, 0.0);
        let weights: [&dyn Weights; 2] = [&drawn, &memory];
        let shared = SharedTokens::SameRow;
        let found = untrained(Component::LanguageModel, weights, [view, view], &shared, &|| false);
        let found = found.unwrap().unwrap();
        assert!(tested(&found).statistic.abs() < 4.0 && found.correlation.abs() < 0.2);
    }
}
