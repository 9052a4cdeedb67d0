use super::*;
use stemmata_alignment::{Channel, Fourths, Moments, PairKey, PlacedChannels, channel_groups};
use stemmata_architecture::{ChannelAxis, Role, Term};
use stemmata_stats::SplitMix64;

const COMPONENT: Component = Component::LanguageModel;

fn group(layer: u32, channels: Vec<Channel>) -> PlacedChannels {
    ((COMPONENT, Some(layer)), ChannelAxis::Hidden, channels)
}

fn measured(pairs: Vec<PairMeasurement>, groups: &[PlacedChannels]) -> Measurement {
    let (groups, pooled) = channel_groups(groups);
    Measurement { pairs, groups, pooled, ..Measurement::default() }
}

/// Channels with cosine `share` to the other model plus what chance adds.
fn channels(count: usize, share: f64, random: &mut SplitMix64) -> Vec<Channel> {
    (0..count).map(|_| Channel { product: share + 0.1 * random.normal(), reach: 1.0 }).collect()
}

fn pair(role: Role, moments: Moments) -> PairMeasurement {
    let shape = (1, moments.n);
    PairMeasurement {
        key: PairKey { component: COMPONENT, layer: Some(0), expert: None, role, term: Term::Weight },
        candidate: 0,
        reference: 0,
        candidate_shape: shape,
        reference_shape: shape,
        identical: moments.changed == 0,
        moments: Some(moments),
    }
}

/// Sums over a vector of weights and a second one made from it.
fn moments(reference: &[f64], candidate: impl Fn(f64) -> f64) -> Moments {
    let mut m = Moments { n: reference.len() as u64, ..Moments::default() };
    for &r in reference {
        let c = candidate(r);
        let d = c - r;
        m.changed += u64::from(d != 0.0);
        m.dot += c * r;
        m.candidate_squares += c * c;
        m.reference_squares += r * r;
        m.difference_squares += d * d;
        m.fourths.add(&Fourths {
            n: 1,
            difference_squares: d * d,
            reference_squares: r * r,
            difference: d.powi(4),
            difference_reference: d * d * r * r,
            reference: r.powi(4),
        });
    }
    m
}

fn weights(random: &mut SplitMix64) -> Vec<f64> {
    (0..20_000).map(|_| 0.02 * random.normal()).collect()
}

fn judged(pairs: Vec<PairMeasurement>, groups: Vec<PlacedChannels>) -> Judgement {
    let measurement = measured(pairs, &groups);
    let bf16 = "bf16".to_owned();
    let storage = StorageFacts {
        candidate_encoding: bf16.clone(),
        reference_encoding: bf16,
        candidate_parameters: 0,
        reference_parameters: 0,
        candidate_bits: 16.0,
        reference_bits: 16.0,
        candidate_rounding: 0.003,
        reference_rounding: 0.003,
        significand_bits: None,
    };
    judge(&measurement, &storage, &DecisionRule::default())
}

#[test]
fn strangers_are_acquitted_with_a_power_that_holds() {
    let mut random = SplitMix64::new(1);
    let r = weights(&mut random);
    let other = std::cell::RefCell::new(SplitMix64::new(99));
    let unlike = moments(&r, |_| 0.02 * other.borrow_mut().normal());
    let judgement = judged(vec![pair(Role::Up, unlike)], vec![group(0, channels(400, 0.0, &mut random))]);
    assert_eq!(judgement.verdict.kind, Kind::NoDependenceFound);
    let share = judgement.verdict.power.unwrap().smallest_share;
    let found = judged(vec![pair(Role::Up, unlike)], vec![group(0, channels(400, 1.2 * share, &mut random))]);
    assert!(found.verdict.kind.is_dependence(), "{share}");
}

#[test]
fn too_few_channels_acquit_nobody() {
    let mut random = SplitMix64::new(2);
    let r = weights(&mut random);
    let unlike = moments(&r, |r| -r);
    let judgement = judged(vec![pair(Role::Up, unlike)], vec![group(0, channels(12, 0.0, &mut random))]);
    assert_eq!(judgement.verdict.kind, Kind::Inconclusive);
    assert!(!judgement.verdict.missing.is_empty());
}

#[test]
fn one_dependent_layer_among_many_is_found_and_placed() {
    let mut random = SplitMix64::new(3);
    let groups =
        (0..20).map(|l| group(l, channels(200, if l == 7 { 0.5 } else { 0.0 }, &mut random))).collect();
    let judgement = judged(vec![pair(Role::Up, moments(&[0.1; 300], |r| r + 0.1))], groups);
    assert!(judgement.verdict.kind.is_dependence());
    let dependent: Vec<_> =
        judgement.layers.iter().filter(|l| l.dependent).map(|l| l.candidate_layer).collect();
    assert_eq!(dependent, [Some(7)]);
}

#[test]
fn equal_gains_of_one_are_not_a_copy() {
    let gains = moments(&[1.0; 4096], |r| r);
    assert_eq!(judged(vec![pair(Role::AttentionNorm, gains)], vec![]).components[0].kind, Kind::Inconclusive);
    let mut random = SplitMix64::new(4);
    let matrix = moments(&weights(&mut random), |r| r);
    assert_eq!(judged(vec![pair(Role::Up, matrix)], vec![]).verdict.kind, Kind::Identical);
}

#[test]
fn added_noise_gives_sigma_and_order_and_a_shrunk_fine_tune_does_not() {
    let mut random = SplitMix64::new(5);
    let r = weights(&mut random);
    let copy = || vec![group(0, channels(200, 1.0, &mut SplitMix64::new(6)))];
    let stream = std::cell::RefCell::new(SplitMix64::new(7));
    let noisy =
        judged(vec![pair(Role::Up, moments(&r, |r| r + 0.002 * stream.borrow_mut().normal()))], copy());
    assert_eq!(noisy.verdict.kind, Kind::Derived);
    assert_eq!(noisy.verdict.direction, Direction::CandidateFromReference);
    // Five standard errors of a standard deviation over 20 000 values.
    let sigma = noisy.components[0].noise.unwrap().sigma;
    assert!((sigma / 0.002 - 1.0).abs() < 5.0 / 200.0, "{sigma}");
    // A change that follows the weight has heavy tails: no noise, no order.
    let tuned = judged(vec![pair(Role::Up, moments(&r, |r| r + 5.0 * r * r.abs()))], copy());
    assert_eq!(tuned.verdict.kind, Kind::Related);
    assert!(!tuned.components[0].noise.unwrap().gaussian);
}

#[test]
fn nobody_is_acquitted_whose_values_are_mostly_equal() {
    let mut random = SplitMix64::new(8);
    let r = weights(&mut random);
    let count = std::cell::Cell::new(0);
    // Nine of ten values are equal; the channels show nothing.
    let mostly = moments(&r, |x| {
        count.set(count.get() + 1);
        if count.get() % 10 == 0 { x + 1.0 } else { x }
    });
    let judgement = judged(vec![pair(Role::Up, mostly)], vec![group(0, channels(400, 0.0, &mut random))]);
    assert_eq!(judgement.verdict.kind, Kind::Inconclusive);
    assert!(judgement.verdict.missing[0].contains("equal"), "{:?}", judgement.verdict.missing);
    assert!(judgement.components.iter().all(|c| c.kind == Kind::Inconclusive));
}

#[test]
fn equal_zeros_say_nothing() {
    let zeros = moments(&[0.0; 5000], |x| x);
    let judgement = judged(vec![pair(Role::Up, zeros)], vec![]);
    assert_eq!(judgement.verdict.kind, Kind::Inconclusive);
}

#[test]
fn without_a_symmetry_there_is_no_test() {
    use stemmata_alignment::{Pattern, SelfCheck, Side, SymmetryCheck};
    let mut random = SplitMix64::new(9);
    let check = SelfCheck { pattern: Pattern::Ones(ChannelAxis::Hidden), log10_p: -20.0 };
    let checks: Vec<SymmetryCheck> = [Side::Candidate, Side::Reference]
        .map(|side| SymmetryCheck { component: COMPONENT, side, guessed: false, check })
        .to_vec();
    let groups = vec![group(0, channels(400, 0.5, &mut random))];
    let r = weights(&mut random);
    let pairs = vec![pair(Role::Up, moments(&r, |x| 0.02 - x))];
    let of = |checks| {
        let measurement = Measurement { checks, ..measured(pairs.clone(), &groups) };
        judge(&measurement, &StorageFacts::default(), &DecisionRule::default())
    };
    assert!(of(checks[..1].to_vec()).verdict.kind.is_dependence());
    let both = of(checks);
    assert_eq!(both.verdict.kind, Kind::Inconclusive);
    assert_eq!(both.broken.len(), 1);
    assert!(both.not_tested.iter().any(|n| n.what.contains("sign-flip/hidden")));
}

#[test]
fn copies_of_a_layer_in_both_models_are_one_coin() {
    // Two models whose eight layers are copies of one each: the products of all layers are the same numbers.
    let mut random = SplitMix64::new(10);
    let mut accused = 0;
    for _ in 0..200 {
        let layer = channels(64, 0.0, &mut random);
        let r = weights(&mut random);
        let groups = (0..8).map(|l| group(l, layer.clone())).collect();
        let other = std::cell::RefCell::new(SplitMix64::new(98));
        let unlike = moments(&r[..500], |_| 0.02 * other.borrow_mut().normal());
        accused += u32::from(judged(vec![pair(Role::Up, unlike)], groups).verdict.kind.is_dependence());
    }
    assert_eq!(accused, 0);
}

#[test]
fn an_equal_table_accuses_nobody() {
    let mut random = SplitMix64::new(11);
    let r = weights(&mut random);
    let other = std::cell::RefCell::new(SplitMix64::new(97));
    let unlike = moments(&r, |_| 0.02 * other.borrow_mut().normal());
    let mut table = pair(Role::PositionEmbedding, moments(&r[..2000], |x| x));
    table.key.component = Component::VisionTower;
    let judgement =
        judged(vec![pair(Role::Up, unlike), table], vec![group(0, channels(400, 0.0, &mut random))]);
    assert_eq!(judgement.verdict.kind, Kind::NoDependenceFound);
    let vision = judgement.components.iter().find(|c| c.component == Component::VisionTower).unwrap();
    assert_eq!(vision.kind, Kind::Identical, "that the table is equal is said, of the component alone");
}

#[test]
fn nobody_is_acquitted_on_a_small_part() {
    let mut random = SplitMix64::new(12);
    let r = weights(&mut random);
    let other = std::cell::RefCell::new(SplitMix64::new(96));
    let unlike = moments(&r, |_| 0.02 * other.borrow_mut().normal());
    let groups = vec![group(0, channels(400, 0.0, &mut random))];
    let of = |alone: u64| {
        let pairs = vec![pair(Role::Up, unlike)];
        let key = PairKey { layer: Some(7), ..pairs[0].key };
        let candidate_only = vec![stemmata_alignment::Unmatched { key, elements: alone }];
        let measurement = Measurement { candidate_only, ..measured(pairs, &groups) };
        judge(&measurement, &StorageFacts::default(), &DecisionRule::default()).verdict
    };
    assert_eq!(of(10_000).kind, Kind::NoDependenceFound);
    let thin = of(30_000);
    assert_eq!(thin.kind, Kind::Inconclusive);
    assert!(thin.missing[0].contains("40 % of the candidate"), "{:?}", thin.missing);
}

#[test]
fn units_found_elsewhere_make_a_relation_and_an_effect_alone_says_so() {
    use stemmata_alignment::{Hypothesis, LayerMatch, Rescaled};
    let mut random = SplitMix64::new(13);
    let r = weights(&mut random);
    let other = std::cell::RefCell::new(SplitMix64::new(95));
    let unlike = moments(&r, |_| 0.02 * other.borrow_mut().normal());
    let found = |cosine: f64, agreeing: u64| LayerMatch {
        component: COMPONENT,
        layer: 0,
        reference_layer: 0,
        hypothesis: Hypothesis::ByTokens { tokens: 1000, explained: 0.9, channels: (0, 0), labels: None },
        gated: true,
        units: (400, 400),
        channels: channels(400, cosine, &mut SplitMix64::new(3)),
        in_place: Vec::new(),
        matched: (400, 190),
        agreeing,
        unmoved: 1,
        hidden: (400, 400),
        residual: (64, 64),
        partners: Vec::new(),
        experts: Vec::new(),
        in_order: Some(30),
        residue: Some(0.05),
        flat_gains: [true, false],
        rescaled: Rescaled::default(),
    };
    let of = |found: LayerMatch| {
        let groups = vec![group(0, channels(400, 0.0, &mut SplitMix64::new(4)))];
        let pairs = vec![pair(Role::Up, unlike)];
        let measurement = Measurement { searched: vec![found], search_tests: 8, ..measured(pairs, &groups) };
        let storage = StorageFacts { significand_bits: Some(8), ..StorageFacts::default() };
        judge(&measurement, &storage, &DecisionRule::default())
    };
    let exact = of(found(0.9, 390));
    assert_eq!((exact.verdict.kind, exact.verdict.tier), (Kind::Related, crate::Tier::Exact));
    assert_eq!(exact.verdict.relation, Some("rotated"));
    // Equal up to the rounding of bf16, and the gains of one side folded away: that one came second.
    let equal = LayerMatch { residue: Some(5e-6), ..found(0.9, 390) };
    let direction = |found: LayerMatch| of(found).verdict.direction;
    assert_eq!(direction(equal.clone()), Direction::CandidateFromReference);
    assert_eq!(of(equal.clone()).verdict.kind, Kind::Derived);
    let turned = LayerMatch { flat_gains: [false, true], ..equal.clone() };
    assert_eq!(direction(turned), Direction::ReferenceFromCandidate);
    let gainless = LayerMatch { flat_gains: [true, true], ..equal.clone() };
    assert_eq!(direction(gainless), Direction::Unknown);
    assert_eq!(
        direction(LayerMatch { residue: Some(1e-4), ..equal.clone() }),
        Direction::Unknown,
        "trained since"
    );
    // Rows that can be made again by scaling and rounding, in one order only.
    let scaled = |both, of_other| LayerMatch {
        hypothesis: Hypothesis::AsStored,
        rescaled: Rescaled { rows: 100, of_other, both },
        flat_gains: [false; 2],
        ..equal.clone()
    };
    assert_eq!(of(scaled(3, [97, 0])).verdict.relation, Some("relabelled"));
    assert_eq!(direction(scaled(3, [97, 0])), Direction::CandidateFromReference);
    assert_eq!(direction(scaled(80, [0, 20])), Direction::ReferenceFromCandidate);
    for open in [scaled(100, [0, 0]), scaled(60, [36, 0]), scaled(3, [96, 1]), scaled(90, [10, 0])] {
        assert_eq!(direction(open.clone()), Direction::Unknown, "{:?}", open.rescaled);
    }
    assert!(
        exact.components.iter().all(|c| c.change.is_none()),
        "nothing is said of change at equal indices"
    );
    let effect = of(found(0.0, 390));
    assert_eq!((effect.verdict.kind, effect.verdict.tier), (Kind::Related, crate::Tier::Effect));
    let nothing = of(found(0.0, 60));
    assert_eq!(
        nothing.verdict.kind,
        Kind::NoDependenceFound,
        "15 % is more than assumed, and decides nothing"
    );
    assert_eq!(nothing.verdict.tests, 2 + 8);
}

#[test]
fn a_sample_calls_nothing_identical() {
    let equal = || pair(Role::Up, moments(&weights(&mut SplitMix64::new(12)), |r| r));
    let kind = |left_out: Vec<PairKey>| {
        let sample = stemmata_alignment::Sample {
            blocks: 0,
            values: 20_000,
            values_total: 20_000,
            bytes: [40_000; 2],
            skipped: 0,
            left_out,
        };
        let measurement =
            Measurement { pairs: vec![equal()], sample: Some(sample), ..Measurement::default() };
        let judgement = judge(&measurement, &StorageFacts::default(), &DecisionRule::default());
        [judgement.verdict.kind, judgement.components[0].kind]
    };
    assert_eq!(kind(Vec::new()), [Kind::Identical; 2]);
    assert!(!kind(vec![equal().key]).contains(&Kind::Identical));
}

#[test]
fn rows_that_training_never_met_show_a_common_start() {
    use stemmata_alignment::{Hypothesis, LayerMatch, Rescaled, UntrainedTokens};
    let mut random = SplitMix64::new(13);
    let r = weights(&mut random);
    let other = std::cell::RefCell::new(SplitMix64::new(95));
    let unlike = moments(&r, |_| 0.02 * other.borrow_mut().normal());
    let units = |agreeing: u64| LayerMatch {
        component: COMPONENT,
        layer: 0,
        reference_layer: 0,
        hypothesis: Hypothesis::ByTokens { tokens: 1000, explained: 0.5, channels: (0, 0), labels: None },
        gated: true,
        units: (400, 400),
        channels: Vec::new(),
        in_place: Vec::new(),
        matched: (200, 100),
        agreeing,
        unmoved: 1,
        hidden: (400, 400),
        residual: (64, 64),
        partners: Vec::new(),
        experts: Vec::new(),
        in_order: None,
        residue: None,
        flat_gains: [false; 2],
        rescaled: Rescaled::default(),
    };
    let of = |correlation: f64, opposed: usize, found: LayerMatch, at_equal_indices: f64| {
        let coin = |row: usize| if row < opposed { -1.0 } else { 1.0 };
        let untrained = vec![UntrainedTokens {
            component: COMPONENT,
            tokens: 101,
            products: (0..100).map(|row| coin(row) * (row as f64 + 1.0)).collect(),
            squares: 5050.0,
            allowance: 0.1,
            correlation,
            excess: [0.5, -0.5],
        }];
        let groups = vec![group(0, channels(400, at_equal_indices, &mut SplitMix64::new(4)))];
        let searched = vec![found];
        let pairs = vec![pair(Role::Up, unlike)];
        let measurement = Measurement { searched, untrained, search_tests: 8, ..measured(pairs, &groups) };
        judge(&measurement, &StorageFacts::default(), &DecisionRule::default()).verdict
    };
    let start = of(0.95, 0, units(4), 0.0);
    assert_eq!((start.kind, start.tier), (Kind::Related, crate::Tier::Exact));
    assert_eq!(start.relation, Some("shared-initialisation"));
    assert!(start.cue.unwrap().contains("101 rows"));
    // A share of a merge, or units that training moved together: dependence, and no word for it.
    for open in [of(0.2, 20, units(4), 0.0), of(0.95, 0, units(40), 0.0)] {
        assert_eq!((open.kind, open.relation), (Kind::Related, None));
    }
    assert_eq!(of(0.95, 0, units(390), 0.0).relation, Some("rotated"));
    assert_ne!(of(0.95, 0, units(4), 0.5).relation, Some("shared-initialisation"), "found in place");
    let chance = of(0.02, 60, units(4), 0.0);
    assert_eq!(chance.kind, Kind::NoDependenceFound);
    assert_eq!(chance.tests, 2 + 8);
}
