use super::matrix::Columns;
use super::*;
use stemmata_architecture::{ComponentInfo, Norm, Part, RowOrder, View};
use stemmata_model::{DType, Encoding, InMemory, Storage, Tensor};
use stemmata_stats::{SplitMix64, increasing_labels, sign_flip};

const D: usize = 40;
const H: usize = 72;
const V: usize = 400;

/// Row-major matrices of one layer and the embedding.
#[derive(Clone)]
struct Toy {
    embedding: Vec<f32>,
    gate: Vec<f32>,
    up: Vec<f32>,
    down: Vec<f32>,
    gain: Vec<f32>,
}

impl Toy {
    fn random(seed: u64) -> Toy {
        let mut random = SplitMix64::new(seed);
        let mut draw = |n: usize| (0..n).map(|_| random.normal() as f32).collect::<Vec<f32>>();
        let (embedding, gate, up, down) = (draw(V * D), draw(H * D), draw(H * D), draw(D * H));
        let gain = draw(D).iter().map(|x| 1.0 + 0.2 * x).collect();
        Toy { embedding, gate, up, down, gain }
    }

    fn build(&self) -> (InMemory, Anatomy) {
        Toy::stack(&[self])
    }

    /// A model whose layers are those of `toys`, with the embedding of the first.
    fn stack(toys: &[&Toy]) -> (InMemory, Anatomy) {
        let d = toys[0].gain.len();
        let mut list = vec![(None, Role::TokenEmbedding, V, d, &toys[0].embedding)];
        for (layer, toy) in (0..).zip(toys) {
            let h = toy.gate.len() / d;
            list.extend([
                (Some(layer), Role::FeedForwardNorm, 1, d, &toy.gain),
                (Some(layer), Role::Gate, h, d, &toy.gate),
                (Some(layer), Role::Up, h, d, &toy.up),
                (Some(layer), Role::Down, d, h, &toy.down),
            ]);
        }
        let list = list
            .into_iter()
            .map(|(layer, role, rows, cols, values)| (layer, role, rows as u64, cols as u64, values.clone()));
        let (memory, parts) = stored(list);
        let info = ComponentInfo {
            component: Component::LanguageModel,
            norm: Norm::Rms,
            gated: true,
            layers: toys.len() as u32,
            residual: d as u64,
            query_heads: 4,
            kv_heads: 4,
            head_dim: 10,
        };
        let anatomy = Anatomy {
            family: "toy".into(),
            inferred: false,
            components: vec![info],
            parts,
            unmapped: vec![],
            ignored: vec![],
            notes: vec![],
        };
        (memory, anatomy)
    }

    /// Units moved to other places; every second one with the opposite sign and another scale if `rescaled`.
    fn relabelled(&self, rescaled: bool) -> Toy {
        let mut out = self.clone();
        for unit in 0..H {
            let from = (unit * 5 + 11) % H;
            let scale = match (rescaled, unit % 2) {
                (true, 0) => -3.0,
                (true, _) => 0.5,
                _ => 1.0,
            };
            for i in 0..D {
                out.gate[unit * D + i] = self.gate[from * D + i];
                out.up[unit * D + i] = scale * self.up[from * D + i];
                out.down[i * H + unit] = self.down[i * H + from] / scale;
            }
        }
        out
    }

    /// The residual stream in another basis, the gain folded into what reads it.
    fn rotated(&self) -> Toy {
        let rotation =
            Columns::from_fn(D, D, |i, j| SplitMix64::new((i * D + j) as u64 + 77).normal() as f32).qr().q();
        let times = |values: &[f32], rows: usize| -> Vec<f32> {
            let rotated = rotation.transpose() * Columns::from_column_slice(D, rows, values);
            rotated.iter().copied().collect()
        };
        let folded = |values: &[f32]| -> Vec<f32> {
            values.iter().enumerate().map(|(i, x)| x * self.gain[i % D]).collect()
        };
        let down = rotation.transpose() * Columns::from_column_slice(H, D, &self.down).transpose();
        Toy {
            embedding: times(&self.embedding, V),
            gate: times(&folded(&self.gate), H),
            up: times(&folded(&self.up), H),
            down: down.transpose().iter().copied().collect(),
            gain: vec![1.0; D],
        }
    }

    /// Every fifth residual channel and every fourth unit taken out.
    fn pruned(&self) -> Toy {
        let channels: Vec<usize> = (0..D).filter(|i| i % 5 != 2).collect();
        let units: Vec<usize> = (0..H).filter(|i| i % 4 != 1).collect();
        let cut = |values: &[f32], rows: &[usize], cols: &[usize], width: usize| -> Vec<f32> {
            rows.iter().flat_map(|r| cols.iter().map(move |c| values[r * width + c])).collect()
        };
        Toy {
            embedding: cut(&self.embedding, &(0..V).collect::<Vec<_>>(), &channels, D),
            gate: cut(&self.gate, &units, &channels, D),
            up: cut(&self.up, &units, &channels, D),
            down: cut(&self.down, &channels, &units, H),
            gain: cut(&self.gain, &[0], &channels, D),
        }
    }

    /// Tokens at other rows: row t holds token `order(t)`.
    fn respelled(&self) -> Toy {
        let rows = (0..V).map(|t| &self.embedding[respelling(t) * D..][..D]);
        Toy { embedding: rows.flatten().copied().collect(), ..self.clone() }
    }

    fn noisy(&self, sigma: f32) -> Toy {
        let mut random = SplitMix64::new(5);
        let mut add = |v: &[f32]| v.iter().map(|x| x + sigma * random.normal() as f32).collect::<Vec<f32>>();
        Toy {
            embedding: add(&self.embedding),
            gate: add(&self.gate),
            up: add(&self.up),
            down: add(&self.down),
            gain: self.gain.clone(),
        }
    }
}

/// Matrices (layer, role, rows, columns, row-major values) of a language model in memory, each in a tensor of its own.
pub(crate) fn stored(
    list: impl IntoIterator<Item = (Option<u32>, Role, u64, u64, Vec<f32>)>,
) -> (InMemory, Vec<Part>) {
    let (mut memory, mut parts) = (InMemory { tensors: Vec::new(), values: Vec::new() }, Vec::new());
    for (layer, role, rows, cols, values) in list {
        let tensor = memory.tensors.len();
        memory.values.push(values);
        let storage = Storage { file: 0, offset: 0, len: rows * cols * 4, strides: None };
        let (name, encoding) = (format!("t{tensor}"), Encoding::Plain(DType::F32));
        memory.tensors.push(Tensor { name, shape: vec![rows, cols], encoding, storage });
        let order = RowOrder::Stored;
        let view = View { tensor, rows, cols, first: 0, row_stride: cols, col_stride: 1, order };
        let component = Component::LanguageModel;
        parts.push(Part { component, layer, expert: None, role, term: Term::Weight, guessed: false, view });
    }
    (memory, parts)
}

fn respelling(token: usize) -> usize {
    (token * 7 + 3) % V
}

fn search(candidate: &Toy, reference: &Toy, threads: usize) -> Vec<LayerMatch> {
    let (c, r) = (candidate.build(), reference.build());
    assert_eq!(search_plan(&c.1, &r.1).layers, [(Component::LanguageModel, 0)]);
    let stop = AtomicBool::new(false);
    Search::new((&c.0, &c.1), (&r.0, &r.1), threads, &stop).examine(Component::LanguageModel, 0).unwrap()
}

fn sign(found: &LayerMatch) -> f64 {
    stemmata_stats::sign_flip(&found.channels.iter().map(|c| c.product).collect::<Vec<f64>>()).log10_p
}

#[test]
fn relabelled_units_are_found_as_stored() {
    let a = Toy::random(1);
    let found = search(&a.relabelled(false).noisy(0.3), &a, 2);
    assert_eq!(found[0].hypothesis, Hypothesis::AsStored);
    assert!(sign(&found[0]) < -15.0, "{}", sign(&found[0]));
    assert!(found[0].agreeing as usize > H * 9 / 10 && found[0].unmoved < 5);
}

#[test]
fn a_rotated_stream_is_found_by_its_tokens() {
    let a = Toy::random(2);
    let found = search(&a.relabelled(false).rotated().noisy(0.1), &a, 2);
    let [stored, tokens] = &found[..] else { panic!("{found:?}") };
    assert!(stored.agreeing < 10 && sign(stored) > -4.0);
    assert!(tokens.agreeing as usize > H * 9 / 10 && sign(tokens) < -15.0);
    assert!(matches!(tokens.hypothesis, Hypothesis::ByTokens { explained, .. } if explained > 0.95));
}

#[test]
fn rescaled_signs_leave_the_agreement_alone() {
    let a = Toy::random(3);
    let found = search(&a.relabelled(true).rotated().noisy(0.05), &a, 1);
    assert!(sign(&found[1]) > -3.0, "half of the units have the opposite sign");
    assert!(found[1].agreeing as usize > H * 9 / 10);
    assert!((H / 3..=2 * H / 3).contains(&(found[1].matched.1 as usize)));
}

#[test]
fn units_scaled_before_rounding_show_which_model_was_scaled() {
    let rounded = |toy: &Toy| {
        let to = |values: &[f32]| values.iter().map(|x| crate::study::rounding::to_bf16(*x)).collect();
        Toy { gate: to(&toy.gate), up: to(&toy.up), down: to(&toy.down), ..toy.clone() }
    };
    let parent = rounded(&Toy::random(31));
    let child = rounded(&parent.relabelled(true));
    let of = |c: &Toy, r: &Toy| search(c, r, 1)[0].rescaled;
    let found = of(&child, &parent);
    assert_eq!(
        (found.rows, found.both),
        (64, 32),
        "every other unit is halved, which has no order: {found:?}"
    );
    assert_eq!(found.of_other, [32, 0]);
    assert_eq!(of(&parent, &child).of_other, [0, 32]);
    assert_eq!(of(&rounded(&child.noisy(0.3)), &parent).rows, 0, "trained since: not looked at");
}

#[test]
fn strangers_are_not_matched_and_threads_change_nothing() {
    let (a, b) = (Toy::random(4), Toy::random(5));
    let found = search(&a, &b, 1);
    assert!(found.iter().all(|m| m.agreeing < 5 && sign(m) > -4.0), "{found:?}");
    assert_eq!(search(&a, &b, 3), found);
}

#[test]
fn a_few_spread_layers_come_first() {
    let layers = (0..30).map(|l| (Component::LanguageModel, l)).collect();
    let plan = SearchPlan { layers, tests: 124 };
    assert_eq!(plan.first().iter().map(|l| l.1).collect::<Vec<_>>(), [3, 11, 18, 26]);
    let short =
        SearchPlan { layers: vec![(Component::VisionTower, 0), (Component::VisionTower, 1)], tests: 12 };
    assert_eq!(short.first().len(), 2);
}

#[test]
fn pruned_width_is_found_by_tokens_and_keeps_its_order() {
    let a = Toy::random(6);
    let found = search(&a.pruned().noisy(0.2), &a, 2);
    let [tokens] = &found[..] else { panic!("{found:?}") };
    let Hypothesis::ByTokens { channels, .. } = tokens.hypothesis else { panic!("{found:?}") };
    assert_eq!(channels, (32, 32), "all that is left of the residual channels, in their order");
    assert_eq!((tokens.hidden, tokens.residual), ((54, 72), (32, 40)));
    assert!(tokens.in_order.is_some_and(|k| k > 45), "{tokens:?}");
    // A rotated stream has no channels left that could be told apart, and relabelled units lost their order.
    let rotated = search(&a.relabelled(false).rotated(), &a, 1);
    let Hypothesis::ByTokens { channels, .. } = rotated[1].hypothesis else { panic!("{rotated:?}") };
    assert!(channels.0 < 4 && rotated[1].in_order.is_some_and(|k| k < 30), "{rotated:?}");
}

#[test]
fn what_little_is_left_is_found_where_labels_were_kept() {
    let a = Toy::random(61);
    let in_place = |m: &LayerMatch| {
        sign_flip(&m.in_place.iter().map(|channel| channel.product).collect::<Vec<_>>()).log10_p
    };
    let rotated = search(&a.noisy(2.0).rotated(), &a, 1);
    let [stored, tokens, ..] = &rotated[..] else { panic!("{rotated:?}") };
    assert!(stored.in_place.is_empty() && tokens.agreeing < H as u64 / 5, "{tokens:?}");
    assert!(in_place(tokens) < -8.0 && in_place(tokens) < sign(tokens), "{tokens:?}");
    let order = |found: &[LayerMatch]| {
        found.iter().find_map(|m| match m.hypothesis {
            Hypothesis::ByTokens { labels: Some((matched, longest)), channels, .. } => {
                Some((increasing_labels(longest, matched), channels.0))
            }
            _ => None,
        })
    };
    let (p, counterparts) = order(&search(&a.pruned().noisy(3.0), &a, 1)).unwrap();
    assert!(p < -12.0 && counterparts < 4, "{p}, {counterparts}");
    assert!(order(&rotated).unwrap().0 > -3.0);
    let strangers = search(&Toy::random(62), &a, 1);
    assert!(order(&strangers).unwrap().0 > -3.0 && in_place(&strangers[1]) > -3.0);
    // Channels in the order of their lengths have no labels.
    let sorted = |seed| {
        let mut toy = Toy::random(seed);
        toy.embedding.chunks_mut(D).for_each(|row| (1..).zip(row).for_each(|(i, x)| *x *= i as f32));
        toy
    };
    assert_eq!(order(&search(&sorted(63), &sorted(64), 1)), None);
}

#[test]
fn units_in_the_order_of_their_lengths_have_no_labels() {
    let sorted = |seed| {
        let mut toy = Toy::random(seed);
        for unit in 0..H {
            let scale = 1.0 + unit as f32;
            toy.gate[unit * D..][..D].iter_mut().for_each(|x| *x *= scale);
        }
        toy
    };
    assert_eq!(search(&sorted(7), &sorted(8), 1)[0].in_order, None);
    assert!(search(&sorted(7), &Toy::random(8), 1)[0].in_order.is_some(), "one that is not will do");
}

#[test]
fn tokens_in_another_order_are_matched_by_their_spelling() {
    let a = Toy::random(9);
    let (c, r) = (a.respelled().rotated().build(), a.build());
    let words = |order: &dyn Fn(usize) -> usize| (0..V).map(|t| format!("t{}", order(t))).collect::<Vec<_>>();
    let shared = SharedTokens::of(&words(&respelling), &words(&|t| t));
    let SharedTokens::BySpelling(pairs) = &shared else { panic!("{shared:?}") };
    assert_eq!((pairs.len(), pairs[1]), (V, (1, 10)));
    assert_eq!(SharedTokens::of(&words(&|t| t), &words(&|t| t)), SharedTokens::SameRow);
    let stop = AtomicBool::new(false);
    let find = |shared: SharedTokens| {
        let mut search = Search::new((&c.0, &c.1), (&r.0, &r.1), 1, &stop).sharing(shared);
        let found = search.examine(Component::LanguageModel, 0).unwrap();
        found.iter().find(|m| m.hypothesis.basis() == Basis::ByTokens).map(|m| m.agreeing as usize)
    };
    assert!(find(shared).is_some_and(|agreeing| agreeing > H * 9 / 10));
    assert!(find(SharedTokens::SameRow).is_some_and(|agreeing| agreeing < H / 10));
}

#[test]
fn layers_of_a_deeper_model_find_their_partners() {
    let toys: Vec<Toy> = (20..25).map(Toy::random).collect();
    let rotated: Vec<Toy> = toys.iter().map(|toy| toy.relabelled(false).rotated().noisy(0.1)).collect();
    let (c, r) =
        (Toy::stack(&[&rotated[0], &rotated[2], &rotated[4]]), Toy::stack(&toys.iter().collect::<Vec<_>>()));
    let plan = search_plan(&c.1, &r.1);
    assert_eq!(plan.layers.len(), 3);
    let stop = AtomicBool::new(false);
    let mut search = Search::new((&c.0, &c.1), (&r.0, &r.1), 2, &stop);
    for (layer, partner) in [(0, 0), (1, 2), (2, 4)] {
        let found = search.examine(Component::LanguageModel, layer).unwrap();
        let tokens = found.iter().find(|m| m.hypothesis.basis() == Basis::ByTokens).unwrap();
        assert_eq!(tokens.reference_layer, partner);
        assert!(tokens.agreeing as usize > H * 9 / 10, "{tokens:?}");
    }
}
