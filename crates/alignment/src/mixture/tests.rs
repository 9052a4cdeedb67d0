use super::*;
use stemmata_architecture::{Role, RowOrder};
use stemmata_model::{DType, Encoding, InMemory, Storage, Tensor};
use stemmata_stats::SplitMix64;

/// Two layers with one matrix of rows × cols each; `turned` stores it column by column.
fn model(seed: u64, (rows, cols): (u64, u64), turned: bool) -> (InMemory, Anatomy) {
    let mut random = SplitMix64::new(seed);
    let (mut memory, mut parts) = (InMemory { tensors: vec![], values: vec![] }, vec![]);
    for layer in 0..2 {
        let plain: Vec<f32> = (0..rows * cols).map(|_| random.normal() as f32).collect();
        let at = |e: u64| plain[(e % rows * cols + e / rows) as usize];
        memory.values.push(if turned { (0..rows * cols).map(at).collect() } else { plain });
        memory.tensors.push(Tensor {
            name: format!("t{layer}"),
            shape: vec![rows, cols],
            encoding: Encoding::Plain(DType::F32),
            storage: Storage { file: 0, offset: 0, len: rows * cols * 4, strides: None },
        });
        let (row_stride, col_stride) = if turned { (1, rows) } else { (cols, 1) };
        let tensor = layer as usize;
        let view = View { tensor, rows, cols, first: 0, row_stride, col_stride, order: RowOrder::Stored };
        parts.push(Part {
            component: Component::LanguageModel,
            layer: Some(layer),
            expert: None,
            role: Role::Up,
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
    (memory, anatomy)
}

#[test]
fn products_are_those_of_the_values_whatever_the_layout_and_the_number_of_threads() {
    let shape = (61, 40);
    let models = [model(1, shape, false), model(2, shape, true), model(3, shape, false)];
    let plan = mixture_plan(&models[0].1, &[&models[1].1, &models[2].1]);
    assert_eq!((plan.references.clone(), plan.sampled), (vec![0, 1], false));
    let weights: Vec<&dyn Weights> = models.iter().map(|m| &m.0 as &dyn Weights).collect();
    let stop = AtomicBool::new(false);
    let of = |threads| grams(MixturePass { plan: &plan, models: &weights, threads, stop: &stop }).unwrap();
    let one = of(1);
    assert_eq!(one, of(3));
    let plain = [model(1, shape, false), model(2, shape, false), model(3, shape, false)];
    for (layer, gram) in one.iter().enumerate() {
        for a in 0..3 {
            for b in 0..3 {
                let pairs = plain[a].0.values[layer].iter().zip(&plain[b].0.values[layer]);
                let expected: f64 = pairs.map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
                assert!((gram.product(a, b) - expected).abs() < 1e-9 * gram.product(a, a), "{a} {b}");
            }
        }
    }
}

#[test]
fn another_shape_is_left_out_and_a_large_matrix_is_sampled() {
    let (large, other) = (model(1, (600, 100), false), model(2, (599, 100), false));
    assert_eq!(mixture_plan(&large.1, &[&other.1]), MixturePlan::default());
    let plan = mixture_plan(&large.1, &[&other.1, &large.1]);
    assert_eq!((plan.references.clone(), plan.sampled), (vec![1], true));
    let stop = AtomicBool::new(false);
    let models: [&dyn Weights; 2] = [&large.0, &large.0];
    let grams = grams(MixturePass { plan: &plan, models: &models, threads: 1, stop: &stop }).unwrap();
    assert!(grams.iter().all(|g| g.n < 60_000 && g.n > 30_000 && g.equal[1] == g.n));
}
