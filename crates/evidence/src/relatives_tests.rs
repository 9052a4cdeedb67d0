use super::*;
use stemmata_alignment::PairKey;
use stemmata_architecture::{Component, Role, Term};
use stemmata_model::{DType, Encoding};
use stemmata_stats::SplitMix64;

/// Matrices of 4 096 values; `make` gives the models of one from draws of a normal vector.
fn drawn(matrices: usize, make: impl Fn(&mut dyn FnMut(f64) -> Vec<f64>) -> Vec<Vec<f64>>) -> Vec<Gram> {
    let mut random = SplitMix64::new(5);
    (0..matrices)
        .map(|_| {
            let mut draw = |sigma: f64| (0..4096).map(|_| sigma * random.normal()).collect::<Vec<f64>>();
            let models = make(&mut draw);
            let product = |a: &Vec<f64>, b: &Vec<f64>| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            let products =
                models.iter().flat_map(|a| models.iter().map(|b| product(a, b)).collect::<Vec<_>>());
            Gram {
                key: PairKey {
                    component: Component::LanguageModel,
                    layer: Some(0),
                    expert: None,
                    role: Role::Gate,
                    term: Term::Weight,
                },
                tensor: 0,
                size: 4096,
                n: 4096,
                products: products.collect(),
                encodings: vec![Encoding::Plain(DType::F32); models.len()],
                significands: vec![24; models.len()],
                roundings: vec![0.0; models.len()],
                equal: vec![0; models.len()],
            }
        })
        .collect()
}

fn add(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

#[test]
fn the_parent_holds_more_of_a_common_start() {
    for change in [0.1, 0.5, 2.0] {
        let grams = drawn(28, |draw| {
            let start = draw(1.0);
            let (outgroup, parent) = (add(&start, &draw(1.0)), add(&start, &draw(1.0)));
            let child = add(&parent, &draw(change));
            vec![outgroup, parent, child]
        });
        let forth = order(&grams, 0, [1, 2]).unwrap();
        assert_eq!(forth.earlier, Some(0), "{forth:?}");
        // What is left is chance: 4096 values in 28 matrices.
        assert!(forth.partial[1].abs() < 4.0 / (4096.0_f64 * 28.0).sqrt(), "{forth:?}");
        let back = order(&grams, 0, [2, 1]).unwrap();
        assert_eq!((back.earlier, back.partial[1]), (Some(1), forth.partial[0]));
    }
}

#[test]
fn no_order_is_stated_of_siblings_or_without_a_common_start() {
    let siblings = drawn(28, |draw| {
        let start = draw(1.0);
        let (outgroup, parent) = (add(&start, &draw(1.0)), add(&start, &draw(1.0)));
        vec![outgroup, add(&parent, &draw(0.5)), add(&parent, &draw(0.7))]
    });
    assert_eq!(order(&siblings, 0, [1, 2]).unwrap().earlier, None);
    let stranger = drawn(28, |draw| {
        let parent = draw(1.0);
        vec![draw(1.0), parent.clone(), add(&parent, &draw(0.5))]
    });
    assert_eq!(order(&stranger, 0, [1, 2]).unwrap().earlier, None);
}

#[test]
fn a_light_child_is_no_ancestor_of_its_parent_and_a_sibling() {
    // Both children learned some of the same; the first hardly moved.
    let grams = drawn(28, |draw| {
        let (parent, common) = (draw(1.0), draw(0.1));
        let small: Vec<f64> = common.iter().map(|x| 0.2 * x).collect();
        let (light, heavy) =
            (add(&parent, &add(&small, &draw(0.02))), add(&parent, &add(&common, &draw(0.3))));
        vec![parent, light, heavy]
    });
    assert!(is_opposed(&grams, 1, [0, 2]), "seen from the light child, the two others lie on opposite sides");
    assert!(!is_opposed(&grams, 0, [1, 2]));
    let unlike = drawn(28, |draw| {
        let parent = draw(1.0);
        vec![parent.clone(), add(&parent, &draw(0.05)), add(&parent, &draw(0.5))]
    });
    assert!((0..3).all(|centre| !is_opposed(&unlike, centre, [(centre + 1) % 3, (centre + 2) % 3])));
}

#[test]
fn few_matrices_and_copies_say_nothing() {
    let of = |matrices: usize, change: f64| {
        let grams = drawn(matrices, |draw| {
            let start = draw(1.0);
            let parent = add(&start, &draw(1.0));
            let child = add(&parent, &draw(change));
            vec![add(&start, &draw(1.0)), parent, child]
        });
        order(&grams, 0, [1, 2])
    };
    assert_eq!(of(FEWEST - 1, 0.5), None);
    assert_eq!(of(28, 0.0), None);
    assert!(of(FEWEST, 0.5).is_some());
}
