use super::*;
use std::sync::atomic::AtomicBool;
use stemmata_alignment::mixture::{Gram, MixturePass, atoms, grams, mixture_plan, overshoot, ratios};
use stemmata_architecture::{Anatomy, Component, Part, Role, RowOrder, Term, View};
use stemmata_model::{DType, Encoding, InMemory, Storage, Tensor, Weights};
use stemmata_stats::SplitMix64;

const LAYERS: u32 = 3;
const SIDE: u64 = 48;
const ROLES: [Role; 2] = [Role::Query, Role::Up];

/// One matrix per layer and role.
type Values = Vec<Vec<f32>>;

fn open(values: &Values) -> (InMemory, Anatomy) {
    let (mut tensors, mut parts) = (Vec::new(), Vec::new());
    for tensor in 0..values.len() {
        let (layer, role) = (tensor as u32 / 2, ROLES[tensor % 2]);
        tensors.push(Tensor {
            name: format!("t{tensor}"),
            shape: vec![SIDE, SIDE],
            encoding: Encoding::Plain(DType::BF16),
            storage: Storage { file: 0, offset: 0, len: SIDE * SIDE * 2, strides: None },
        });
        let view = View {
            tensor,
            rows: SIDE,
            cols: SIDE,
            first: 0,
            row_stride: SIDE,
            col_stride: 1,
            order: RowOrder::Stored,
        };
        parts.push(Part {
            component: Component::LanguageModel,
            layer: Some(layer),
            expert: None,
            role,
            term: Term::Weight,
            guessed: false,
            view,
        });
    }
    let anatomy = Anatomy {
        family: "llama".into(),
        inferred: false,
        components: vec![],
        parts,
        unmapped: vec![],
        ignored: vec![],
        notes: vec![],
    };
    (InMemory { tensors, values: values.clone() }, anatomy)
}

/// Runs `look` over the candidate and the references.
fn with<T>(models: &[&Values], look: impl Fn(MixturePass<'_>, &[Gram]) -> T) -> T {
    let open: Vec<(InMemory, Anatomy)> = models.iter().map(|m| open(m)).collect();
    let anatomies: Vec<&Anatomy> = open[1..].iter().map(|m| &m.1).collect();
    let plan = mixture_plan(&open[0].1, &anatomies);
    assert_eq!(plan.references.len(), models.len() - 1);
    let weights: Vec<&dyn Weights> = open.iter().map(|m| &m.0 as &dyn Weights).collect();
    let stop = AtomicBool::new(false);
    let pass = |threads| MixturePass { plan: &plan, models: &weights, threads, stop: &stop };
    let found = grams(pass(1)).unwrap();
    assert_eq!(weigh(&found), weigh(&grams(pass(3)).unwrap()));
    look(pass(2), &found)
}

fn weighed(models: &[&Values]) -> Weighed {
    with(models, |_, grams| weigh(grams))
}

fn merge_of(models: &[&Values]) -> Merge {
    match weighed(models).outcome {
        MergeOutcome::Merge(merge) => *merge,
        other => panic!("{other:?}"),
    }
}

fn bf16(x: f64) -> f32 {
    let bits = (x as f32).to_bits();
    f32::from_bits((bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff_0000)
}

fn random(seed: u64) -> Values {
    let mut random = SplitMix64::new(seed);
    let mut matrix = || (0..SIDE * SIDE).map(|_| bf16(0.02 * random.normal())).collect();
    (0..2 * LAYERS).map(|_| matrix()).collect()
}

/// A child: every weight moved by so many standard deviations of the weights.
fn tuned(base: &Values, by: f64, seed: u64) -> Values {
    let mut random = SplitMix64::new(seed);
    base.iter()
        .map(|m| m.iter().map(|x| bf16(f64::from(*x) + by * 0.02 * random.normal())).collect())
        .collect()
}

/// Σ wᵢ·xᵢ, with the weights of each matrix.
fn sum(models: &[&Values], weights: impl Fn(usize) -> Vec<f64>) -> Values {
    let matrix = |t: usize| {
        let w = weights(t);
        let at = |e: usize| bf16(models.iter().zip(&w).map(|(m, w)| w * f64::from(m[t][e])).sum());
        (0..(SIDE * SIDE) as usize).map(at).collect()
    };
    (0..(2 * LAYERS) as usize).map(matrix).collect()
}

fn slerp(a: &Values, b: &Values, t: impl Fn(usize) -> f64) -> Values {
    sum(&[a, b], |tensor| {
        let dot =
            |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        let (a, b, t) = (&a[tensor], &b[tensor], t(tensor));
        let angle = (dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()).acos();
        vec![((1.0 - t) * angle).sin() / angle.sin(), (t * angle).sin() / angle.sin()]
    })
}

fn near(found: &[Estimate], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (f, e) in found.iter().zip(expected) {
        assert!((f.value - e).abs() <= (5.0 * f.standard_error).max(1e-3), "{found:?} {expected:?}");
        assert!(f.standard_error < 0.01, "{found:?}");
    }
}

/// A base, three children and a stranger.
struct Family {
    base: Values,
    a: Values,
    b: Values,
    c: Values,
    stranger: Values,
}

fn family() -> Family {
    let base = random(1);
    let (a, b, c) = (tuned(&base, 0.3, 2), tuned(&base, 0.2, 3), tuned(&base, 0.4, 4));
    Family { base, a, b, c, stranger: random(9) }
}

#[test]
fn a_linear_merge_has_its_parents_and_weights() {
    let Family { base, a, b, c, stranger } = family();
    let merge = merge_of(&[&sum(&[&a, &c], |_| vec![0.7, 0.3]), &base, &a, &b, &c, &stranger]);
    assert_eq!((merge.method, merge.parents.clone()), (MergeMethod::Linear, vec![2, 4]));
    assert_eq!((merge.granularity, merge.basis), (Granularity::Model, MergeBasis::Rounding));
    near(&merge.weights, &[0.7, 0.3]);
    let homogeneity = merge.homogeneity.unwrap();
    assert!(homogeneity.f < 5.0 && homogeneity.ratio < 1.01, "{homogeneity:?}");
    let merge = merge_of(&[&sum(&[&a, &stranger], |_| vec![0.6, 0.5]), &base, &a, &b, &c, &stranger]);
    assert_eq!(merge.parents, [2, 5]);
    near(&merge.weights, &[0.6, 0.5]);
}

#[test]
fn three_and_five_parents_are_found() {
    let Family { base, a, b, c, stranger } = family();
    let models = [&base, &a, &b, &c, &stranger];
    let three = sum(&[&a, &b, &c], |_| vec![0.5, 0.2, 0.3]);
    let merge = merge_of(&[&three, models[0], &a, &b, &c, &stranger]);
    assert_eq!(merge.parents, [2, 3, 4]);
    near(&merge.weights, &[0.5, 0.2, 0.3]);
    let spare = tuned(&base, 0.3, 5);
    let five = sum(&models, |_| vec![0.25, 0.3, 0.1, 0.2, 0.15]);
    let merge = merge_of(&[&five, &base, &a, &b, &c, &stranger, &spare]);
    assert_eq!(merge.parents, [1, 2, 3, 4, 5]);
    near(&merge.weights, &[0.25, 0.3, 0.1, 0.2, 0.15]);
}

#[test]
fn weights_that_differ_by_layer_are_given_by_layer() {
    let Family { base, a, b, c, .. } = family();
    let share = |tensor: usize| 0.2 + 0.2 * (tensor / 2) as f64;
    let graded = sum(&[&a, &c], |t| vec![1.0 - share(t), share(t)]);
    let merge = merge_of(&[&graded, &base, &a, &b, &c]);
    assert_eq!((merge.method, merge.granularity), (MergeMethod::Linear, Granularity::Layer));
    assert!(merge.homogeneity.unwrap().ratio > 10.0);
    for (group, expected) in merge.groups.iter().zip([0.2, 0.4, 0.6]) {
        near(&group.weights, &[1.0 - expected, expected]);
    }
}

#[test]
fn slerp_is_told_from_linear_with_its_t() {
    let Family { base, a, c, stranger, .. } = family();
    for other in [&c, &stranger] {
        let merge = merge_of(&[&slerp(&a, other, |_| 0.35), &base, &a, other]);
        assert_eq!((merge.method, merge.granularity), (MergeMethod::Slerp, Granularity::Model));
        assert!(!merge.slerp_alike);
        near(&merge.weights, &[0.65, 0.35]);
    }
    let filtered = slerp(&a, &stranger, |tensor| [0.3, 0.7][tensor % 2]);
    let merge = merge_of(&[&filtered, &base, &a, &stranger]);
    assert_eq!((merge.method, merge.granularity), (MergeMethod::Slerp, Granularity::Block));
    for (group, t) in merge.groups.iter().zip([0.3, 0.7]) {
        near(&group.weights, &[1.0 - t, t]);
    }
}

#[test]
fn task_arithmetic_has_a_base_and_its_rounding_says_that_it_is_the_sum() {
    let Family { base, a, b, c, stranger } = family();
    let candidate = sum(&[&base, &a, &b], |_| vec![-0.4, 0.8, 0.6]);
    let settled = |models: &[&Values]| {
        with(models, |pass, grams| {
            let MergeOutcome::Merge(merge) = weigh(grams).outcome else { panic!("no sum found") };
            assert!(is_ambiguous(&merge));
            let weights: Vec<f64> = merge.weights.iter().map(|w| w.value).collect();
            let bits = vec![8; weights.len() + 1];
            settle(
                *merge.clone(),
                &overshoot(pass, &merge.parents, &vec![weights; grams.len()], &bits).unwrap(),
            )
        })
    };
    let MergeOutcome::Merge(merge) = settled(&[&candidate, &base, &a, &b, &c, &stranger]) else { panic!() };
    assert_eq!((merge.method, merge.base), (MergeMethod::TaskArithmetic, true));
    assert_eq!(merge.parents, [1, 2, 3]);
    near(&merge.weights, &[-0.4, 0.8, 0.6]);
    // Its parent is a sum of the merge and the others just as well, but not by one rounding.
    assert!(matches!(settled(&[&a, &base, &candidate, &b]), MergeOutcome::Relation(_)));
}

#[test]
fn a_parent_is_no_merge_of_its_merge() {
    let Family { base, a, b, c, .. } = family();
    let average = sum(&[&a, &c], |_| vec![0.5, 0.5]);
    let outcome = weighed(&[&a, &base, &average, &b, &c]).outcome;
    assert!(matches!(outcome, MergeOutcome::Relation(_) | MergeOutcome::NotFound), "{outcome:?}");
}

#[test]
fn training_is_no_merge() {
    let Family { base, a, b, c, stranger } = family();
    for (candidate, others) in [(&a, [&base, &b, &c, &stranger]), (&base, [&a, &b, &c, &stranger])] {
        let [w, x, y, z] = others;
        assert_eq!(weighed(&[candidate, w, x, y, z]).outcome, MergeOutcome::NotFound);
    }
    // Halfway between two checkpoints of one run, a sum explains half of what is left, and is not asserted.
    let (first, last) = (tuned(&base, 0.2, 20), base.clone());
    let middle = tuned(&sum(&[&first, &last], |_| vec![0.5, 0.5]), 0.08, 21);
    let weighed = weighed(&[&middle, &first, &last, &stranger]);
    assert!(weighed.best.as_ref().is_some_and(|best| best.1 > 0.3), "{weighed:?}");
    assert_eq!(weighed.outcome, MergeOutcome::NotFound);
}

#[test]
fn a_copy_has_one_reference_and_one_reference_makes_no_sum() {
    let Family { base, a, .. } = family();
    assert_eq!(weighed(&[&a, &a, &base]).outcome, MergeOutcome::OneReference);
    assert_eq!(weighed(&[&a, &base]).outcome, MergeOutcome::TooFew);
}

#[test]
fn equal_references_count_once_and_near_ones_are_named() {
    let Family { base, a, b, c, .. } = family();
    let candidate = sum(&[&a, &c], |_| vec![0.7, 0.3]);
    let copy = a.clone();
    let found = weighed(&[&candidate, &a, &base, &copy, &c, &b]);
    assert_eq!(found.equal, [(3, 1)]);
    let MergeOutcome::Merge(merge) = found.outcome else { panic!("{found:?}") };
    assert_eq!(merge.parents, [1, 4]);
    near(&merge.weights, &[0.7, 0.3]);
    assert!(merge.alternatives.is_empty());
    // A rounding step away in one element of forty: either would do, the nearer one is named.
    let almost: Values = a
        .iter()
        .map(|m| {
            m.iter()
                .enumerate()
                .map(|(i, x)| if i % 40 == 0 { bf16(f64::from(*x) * 1.004) } else { *x })
                .collect()
        })
        .collect();
    let merge = merge_of(&[&candidate, &almost, &a, &c, &b]);
    assert_eq!((merge.parents, merge.alternatives), (vec![2, 3], vec![(0, 1)]));
}

#[test]
fn layers_of_two_models_are_no_sum() {
    let Family { a, c, base, .. } = family();
    let stacked = sum(&[&a, &c], |tensor| if tensor < 2 { vec![1.0, 0.0] } else { vec![0.0, 1.0] });
    assert_eq!(weighed(&[&stacked, &base, &a, &c]).outcome, MergeOutcome::Layers);
}

#[test]
fn strangers_need_no_exact_sum() {
    let Family { a, b, base, stranger, .. } = family();
    let trained = tuned(&sum(&[&a, &stranger], |_| vec![0.6, 0.4]), 0.1, 30);
    let merge = merge_of(&[&trained, &base, &a, &b, &stranger]);
    assert_eq!((merge.method, merge.basis), (MergeMethod::Undetermined, MergeBasis::Strangers));
    assert_eq!(merge.parents, [2, 4]);
}

/// Keeps an element of a difference or not, given its size, its place and which difference it is.
type Keep = dyn Fn(f64, usize, usize) -> bool;

fn dropped(base: &Values, parents: [&Values; 2], keep: &Keep, raise: f64, elect: bool) -> Values {
    let matrix = |t: usize| {
        let at = |e: usize| {
            let b = f64::from(base[t][e]);
            let d = [0, 1].map(|i| {
                let d = f64::from(parents[i][t][e]) - b;
                if keep(d.abs(), t * 10_000 + e, i) { d * raise } else { 0.0 }
            });
            let total = 0.5 * (d[0] + d[1]);
            if !elect {
                return bf16(b + total);
            }
            let agree = d.iter().filter(|d| **d * total > 0.0);
            let (sum, count) = agree.fold((0.0, 0), |(s, n), d| (s + d, n + 1));
            bf16(b + if count > 0 { sum / f64::from(count) } else { 0.0 })
        };
        (0..(SIDE * SIDE) as usize).map(at).collect()
    };
    (0..(2 * LAYERS) as usize).map(matrix).collect()
}

/// The outcome of every trial, the named methods first.
fn in_elements(models: &[&Values]) -> Vec<Merge> {
    with(models, |pass, grams| {
        let mut found: Vec<Merge> = Vec::new();
        for (base, others) in sparse_trials(grams) {
            let r = ratios(pass, base, others, 8).unwrap();
            let plain = atoms(pass, base, others, r.factors, r.factors, 8).unwrap();
            let joint = plain.rest_factors().unwrap_or(r.factors);
            for joint in [r.factors, joint] {
                let counts = atoms(pass, base, others, r.factors, joint, 8).unwrap();
                found.extend(sparse(base, others, &r, joint, &counts));
            }
        }
        let explained = |m: &Merge| m.explained.map_or(0.0, |e| e[0]);
        found.sort_by(|a, b| explained(b).total_cmp(&explained(a)));
        found.sort_by_key(|m| m.method == MergeMethod::Undetermined);
        found
    })
}

#[test]
fn sparse_merges_are_named_by_their_elements_and_training_has_none() {
    let Family { base, a, c, b, .. } = family();
    let coin = |share: f64| {
        move |_: f64, e: usize, i: usize| SplitMix64::new((2 * e + i) as u64 + 77).uniform() < share
    };
    // Median sizes of the differences: 0.67 standard deviations.
    let trim = |size: f64, _: usize, i: usize| size > [0.3, 0.4][i] * 0.02 * 0.674;
    let cases: [(Values, MergeMethod); 3] = [
        (dropped(&base, [&a, &c], &trim, 1.0, true), MergeMethod::Ties),
        (dropped(&base, [&a, &c], &coin(0.5), 2.0, true), MergeMethod::DareTies),
        (dropped(&base, [&a, &c], &coin(0.4), 2.5, false), MergeMethod::DareLinear),
    ];
    for (candidate, method) in &cases {
        let found = in_elements(&[candidate, &base, &a, &b, &c]);
        let first = found.first().unwrap_or_else(|| panic!("{method:?} was not found"));
        assert_eq!((first.method, first.parents[0]), (*method, 1), "{first:?}");
        let mut parents = first.parents[1..].to_vec();
        parents.sort_unstable();
        assert_eq!(parents, [2, 4]);
        assert!(first.weights[1..].iter().all(|w| (w.value - 0.5).abs() < 0.05), "{first:?}");
    }
    assert_eq!(in_elements(&[&b, &base, &a, &c]), []);
}
