use super::*;
use crate::{DecisionRule, StorageFacts, judge};
use std::sync::atomic::AtomicBool;
use stemmata_alignment::{Options, measure, plan, study};
use stemmata_architecture::{Anatomy, ComponentInfo, Norm, Part, Role, RowOrder, Term, View};
use stemmata_model::{Block, DType, Encoding, InMemory, Storage, Tensor};
use stemmata_stats::SplitMix64;

const D: u64 = 64;
const H: u64 = 128;
const V: u64 = 256;
const LAYERS: u32 = 2;

/// One matrix of a model in memory.
#[derive(Clone)]
struct Entry {
    role: Role,
    layer: Option<u32>,
    expert: Option<u32>,
    rows: u64,
    cols: u64,
    values: Vec<f32>,
}

#[derive(Clone)]
struct Model {
    entries: Vec<Entry>,
    encoding: Encoding,
}

impl Model {
    /// Gaussian weights with a few large directions per matrix, as training leaves them.
    fn trained(start: u64, learned: u64) -> Model {
        let mut shapes = vec![(None, Role::TokenEmbedding, V, D)];
        for l in 0..LAYERS {
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
        let mut random = SplitMix64::new(start);
        let entries = shapes
            .into_iter()
            .map(|(layer, role, rows, cols)| {
                let values = (0..rows * cols).map(|_| 0.02 * random.normal() as f32).collect();
                Entry { role, layer, expert: None, rows, cols, values }
            })
            .collect();
        let mut model = Model { entries, encoding: Encoding::Plain(DType::F32) };
        model.learn(learned, 0.5, |_| true);
        model
    }

    /// Adds `size` times a random matrix of rank four to the chosen matrices.
    fn learn(&mut self, seed: u64, size: f64, chosen: impl Fn(Role) -> bool) {
        let mut random = SplitMix64::new(seed);
        for entry in &mut self.entries {
            for _ in 0..4 {
                let mut vector =
                    |n: u64| -> Vec<f64> { (0..n).map(|_| random.normal() / (n as f64).sqrt()).collect() };
                let (u, v) = (vector(entry.rows), vector(entry.cols));
                if chosen(entry.role) {
                    for (i, x) in entry.values.iter_mut().enumerate() {
                        *x += (size * u[i / entry.cols as usize] * v[i % entry.cols as usize]) as f32;
                    }
                }
            }
        }
    }

    fn map(mut self, mut change: impl FnMut(f32) -> f32) -> Model {
        self.entries.iter_mut().flat_map(|e| &mut e.values).for_each(|x| *x = change(*x));
        self
    }

    /// Changes the layers' matrices, `width` values along a row at a time.
    fn by_group(mut self, width: usize, change: impl Fn(&mut [f32])) -> Model {
        for entry in self.entries.iter_mut().filter(|e| e.layer.is_some()) {
            entry.values.chunks_exact_mut(width).for_each(&change);
        }
        self
    }

    fn noised(self, sigma: f32, seed: u64) -> Model {
        let mut random = SplitMix64::new(seed);
        self.map(|x| x + sigma * random.normal() as f32)
    }

    fn stored(mut self, encoding: Encoding) -> Model {
        self.encoding = encoding;
        self
    }

    fn open(&self) -> (InMemory, Anatomy) {
        let component = Component::LanguageModel;
        let mut memory = InMemory { tensors: vec![], values: vec![] };
        let mut parts = Vec::new();
        for entry in &self.entries {
            let (rows, cols) = (entry.rows, entry.cols);
            let view = View {
                tensor: memory.values.len(),
                rows,
                cols,
                first: 0,
                row_stride: cols,
                col_stride: 1,
                order: RowOrder::Stored,
            };
            let Entry { role, layer, expert, .. } = *entry;
            parts.push(Part { component, layer, expert, role, term: Term::Weight, guessed: false, view });
            memory.tensors.push(Tensor {
                name: String::new(),
                shape: vec![rows, cols],
                encoding: self.encoding,
                storage: Storage { file: 0, offset: 0, len: 0, strides: None },
            });
            memory.values.push(entry.values.clone());
        }
        parts.sort_by_key(|p| (p.component, p.layer, p.expert, p.role, p.term));
        let info = ComponentInfo {
            component,
            norm: Norm::Rms,
            gated: true,
            layers: LAYERS,
            residual: D,
            query_heads: 4,
            kv_heads: 2,
            head_dim: 16,
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
}

/// Relation and direction, after checking that exchanging the two exchanges the direction and keeps the relation.
fn judged(candidate: &Model, reference: &Model) -> (Option<&'static str>, Direction) {
    let one = |candidate: &Model, reference: &Model| {
        let ((cm, ca), (rm, ra)) = (candidate.open(), reference.open());
        let stop = AtomicBool::new(false);
        let plan = plan(&ca, &ra);
        let measurement =
            measure(&plan, &cm, &rm, &Options { threads: 1, stop: &stop }, &mut |_| {}).unwrap();
        let mut judgement = judge(&measurement, &StorageFacts::default(), &DecisionRule::default());
        assert!(judgement.verdict.kind.is_dependence());
        let extent = |threads| study::Extent { threads, bytes: None, stop: &stop };
        let study = study::study(&plan, [&ca, &ra], [&cm, &rm], &extent(1)).unwrap();
        let threaded = study::study(&plan, [&ca, &ra], [&cm, &rm], &extent(3)).unwrap();
        assert_eq!(study, threaded);
        refine(&mut judgement, &measurement, &study);
        let known = judgement.verdict.direction != Direction::Unknown;
        assert_eq!(judgement.verdict.kind == Kind::Derived, known);
        (judgement.verdict.relation, judgement.verdict.direction)
    };
    let (forth, back) = (one(candidate, reference), one(reference, candidate));
    assert_eq!(forth.0, back.0);
    let exchanged = match forth.1 {
        Direction::CandidateFromReference => Direction::ReferenceFromCandidate,
        Direction::ReferenceFromCandidate => Direction::CandidateFromReference,
        Direction::Unknown => Direction::Unknown,
    };
    assert_eq!(back.1, exchanged);
    forth
}

const CHILD: Direction = Direction::CandidateFromReference;

/// To bf16, nearest even.
fn bf16(x: f32) -> f32 {
    let bits = x.to_bits();
    f32::from_bits((bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff_0000)
}

/// To so many levels in a block, as integers times one step.
fn steps(half: f32) -> impl Fn(&mut [f32]) {
    move |block| {
        let step = block.iter().fold(0.0_f32, |m, x| m.max(x.abs())) / half;
        block.iter_mut().for_each(|x| *x = (*x / step).round().clamp(-half, half - 1.0) * step);
    }
}

fn four_bits(model: &Model) -> Model {
    model.clone().by_group(32, steps(8.0))
}

#[test]
fn a_cast_is_repeated_and_has_a_direction() {
    let base = Model::trained(1, 2);
    assert_eq!(judged(&base.clone().map(bf16), &base), (Some("cast"), CHILD));
}

#[test]
fn light_training_of_an_upcast_model_is_no_cast() {
    let base = Model::trained(1, 2).map(bf16);
    let (relation, direction) = judged(&base.clone().noised(2e-5, 3), &base);
    assert!(relation != Some("cast") && direction != Direction::ReferenceFromCandidate);
}

#[test]
fn rounding_to_four_bits_is_repeated() {
    let base = Model::trained(3, 4);
    assert_eq!(judged(&four_bits(&base), &base), (Some("quantized"), CHILD));
    // Two roundings of one model: the finer need not be the source of the coarser.
    let eight = base.clone().by_group(32, steps(127.0)).stored(Encoding::Quantized(Block::Q8_0));
    assert_eq!(judged(&four_bits(&base), &eight), (Some("quantized"), Direction::Unknown));
}

#[test]
fn rounding_to_eight_bits_is_repeated_where_the_format_says_so() {
    let base = Model::trained(3, 4);
    let child = base.clone().by_group(32, steps(127.0)).stored(Encoding::Quantized(Block::Q8_0));
    assert_eq!(judged(&child, &base), (Some("quantized"), CHILD));
}

#[test]
fn rounding_to_a_code_book_is_repeated() {
    let book = [
        -1.0, -0.7, -0.53, -0.4, -0.28, -0.18, -0.09, 0.0, 0.08, 0.16, 0.25, 0.34, 0.44, 0.56, 0.72, 1.0_f32,
    ];
    let base = Model::trained(5, 6);
    let child = base.clone().by_group(64, |block| {
        let scale = block.iter().fold(0.0_f32, |m, x| m.max(x.abs()));
        let nearest =
            |x: f32| book.into_iter().min_by(|a, b| (a - x).abs().total_cmp(&(b - x).abs())).unwrap();
        block.iter_mut().for_each(|x| *x = scale * nearest(*x / scale));
    });
    assert_eq!(judged(&child, &base), (Some("quantized"), CHILD));
}

#[test]
fn a_model_made_from_the_coarse_one_is_not_its_source() {
    let coarse = four_bits(&Model::trained(7, 8));
    // A step is about 0.006: far inside the cells, filling them, and leaving them.
    for sigma in [3e-4, 1.2e-3, 2e-3, 4e-3] {
        let (relation, direction) = judged(&coarse.clone().noised(sigma, 9), &coarse);
        assert!(relation != Some("quantized") && direction != Direction::ReferenceFromCandidate, "{sigma}");
    }
}

#[test]
fn a_rounding_of_a_sibling_is_not_a_rounding() {
    let base = Model::trained(7, 8);
    let (relation, _) = judged(&four_bits(&base), &base.noised(2e-3, 1));
    assert_ne!(relation, Some("quantized"));
}

#[test]
fn zeros_with_kept_values_make_a_pruned_child() {
    let base = Model::trained(9, 10);
    let by_size = base.clone().by_group(64, |row| {
        let mut sizes: Vec<f32> = row.iter().map(|x| x.abs()).collect();
        sizes.sort_by(f32::total_cmp);
        row.iter_mut().filter(|x| x.abs() < sizes[32]).for_each(|x| *x = 0.0);
    });
    assert_eq!(judged(&by_size, &base), (Some("pruned"), CHILD));
    let (relation, direction) = judged(&by_size.noised(1e-3, 1), &base);
    assert!(relation != Some("pruned") && direction == Direction::Unknown);
}

#[test]
fn a_merged_adapter_has_low_rank_and_leaves_the_childs_rounding() {
    let base = Model::trained(11, 12).map(bf16);
    let mut child = base.clone();
    child.learn(13, 0.4, |role| matches!(role, Role::Query | Role::Value | Role::Up | Role::Down));
    assert_eq!(judged(&child.clone().map(bf16), &base), (Some("lora-merged"), CHILD));
    let mut sibling = base.clone();
    sibling.learn(14, 0.4, |role| matches!(role, Role::Query | Role::Value | Role::Up | Role::Down));
    assert_eq!(judged(&child.clone().map(bf16), &sibling.map(bf16)).1, Direction::Unknown);
    // Without rounding nothing tells which of the two had the factors added.
    let exact = Model::trained(11, 12);
    let mut child = exact.clone();
    child.learn(13, 0.4, |role| role == Role::Up);
    assert_eq!(judged(&child, &exact).0, Some("lora-merged"));
}

#[test]
fn a_direction_taken_out_of_what_writes_is_abliteration() {
    let base = Model::trained(14, 15);
    let mut child = base.clone();
    let mut random = SplitMix64::new(16);
    let mut direction: Vec<f32> = (0..D).map(|_| random.normal() as f32).collect();
    let norm = direction.iter().map(|x| x * x).sum::<f32>().sqrt();
    direction.iter_mut().for_each(|x| *x /= norm);
    for entry in child.entries.iter_mut().filter(|e| matches!(e.role, Role::Output | Role::Down)) {
        let cols = entry.cols as usize;
        for j in 0..cols {
            let along: f32 = (0..D as usize).map(|i| direction[i] * entry.values[i * cols + j]).sum();
            (0..D as usize).for_each(|i| entry.values[i * cols + j] -= direction[i] * along);
        }
    }
    assert_eq!(judged(&child, &base), (Some("abliterated"), CHILD));
}

#[test]
fn training_keeps_what_was_learned_and_a_common_start_does_not() {
    let base = Model::trained(17, 18);
    let mut child = base.clone().noised(2e-3, 20);
    child.learn(19, 0.3, |_| true);
    assert_eq!(judged(&child, &base), (Some("trained-further"), Direction::Unknown));
    let mut merged = Model::trained(40, 41);
    for (into, from) in merged.entries.iter_mut().zip(&base.entries) {
        into.values.iter_mut().zip(&from.values).for_each(|(a, b)| *a = 0.5 * (*a + b));
    }
    assert_ne!(judged(&merged, &base).0, Some("shared-initialisation"));
    let other = Model::trained(17, 21);
    assert_eq!(judged(&other, &base), (Some("shared-initialisation"), Direction::Unknown));
}

#[test]
fn two_children_with_changes_of_their_own_are_no_line() {
    let base = Model::trained(22, 23);
    let children = [24, 25].map(|seed| {
        let mut child = base.clone().noised(1e-3, seed);
        child.learn(seed, 0.3, |_| true);
        child
    });
    assert_eq!(judged(&children[0], &children[1]), (Some("common-ancestor"), Direction::Unknown));
}

#[test]
fn added_and_replaced_token_rows() {
    let base = Model::trained(26, 27);
    let embedding = |model: &mut Model, change: &dyn Fn(&mut Entry)| {
        model.entries.iter_mut().filter(|e| e.role == Role::TokenEmbedding).for_each(change);
    };
    let fresh = |rows: u64, seed: u64| -> Vec<f32> {
        let mut random = SplitMix64::new(seed);
        (0..rows * D).map(|_| 0.02 * random.normal() as f32).collect()
    };
    // Tokens that are seen more often grow longer rows.
    let mut seen = base.clone();
    embedding(&mut seen, &|e| {
        e.values.chunks_exact_mut(D as usize).enumerate().for_each(|(i, row)| {
            row.iter_mut().for_each(|x| *x *= 1.0 + 2.0 / (1 + i % 7) as f32);
        });
    });
    let mut child = seen.clone();
    embedding(&mut child, &|e| {
        e.values.extend(fresh(16, 28));
        e.rows += 16;
    });
    assert_eq!(judged(&child, &seen), (Some("vocabulary-extended"), CHILD));
    let mut replaced = base.clone().noised(1e-3, 30);
    embedding(&mut replaced, &|e| e.values = fresh(V, 29));
    assert_eq!(judged(&replaced, &base), (Some("re-embedded"), Direction::Unknown));
}

#[test]
fn experts_that_are_copies_make_an_upcycled_child() {
    let base = Model::trained(31, 32);
    let mut child = base.clone();
    child.entries = Vec::new();
    for entry in &base.entries {
        if matches!(entry.role, Role::Gate | Role::Up | Role::Down) {
            child.entries.extend((0..4).map(|e| Entry { expert: Some(e), ..entry.clone() }));
        } else {
            child.entries.push(entry.clone());
        }
    }
    assert_eq!(judged(&child, &base), (Some("upcycled"), CHILD));
    // With training on either side the dense model may be a sibling.
    assert_eq!(judged(&child.noised(1e-3, 33), &base), (Some("upcycled"), Direction::Unknown));
}

impl Model {
    /// Changes the rows or columns of the matrices of one role, numbered, in all layers.
    fn lines(mut self, role: Role, rows: bool, change: impl Fn(usize) -> f32) -> Model {
        for entry in self.entries.iter_mut().filter(|e| e.role == role) {
            let cols = entry.cols as usize;
            for (i, x) in entry.values.iter_mut().enumerate() {
                *x *= change(if rows { i / cols } else { i % cols });
            }
        }
        self
    }

    /// Puts block `from(i)` of 16 rows of one role (columns, of what heads write) in the place of block i.
    fn heads(mut self, role: Role, from: impl Fn(usize) -> usize) -> Model {
        for entry in self.entries.iter_mut().filter(|e| e.role == role) {
            let cols = entry.cols as usize;
            let before = entry.values.clone();
            for (i, x) in entry.values.iter_mut().enumerate() {
                let (row, col) = (i / cols, i % cols);
                *x = match role {
                    Role::Output => before[row * cols + 16 * from(col / 16) + col % 16],
                    _ => before[(16 * from(row / 16) + row % 16) * cols + col],
                };
            }
        }
        self
    }
}

/// What heads say of a pair.
fn by_heads(candidate: &Model, reference: &Model) -> Option<Option<&'static str>> {
    let ((cm, ca), (rm, ra)) = (candidate.open(), reference.open());
    let stop = AtomicBool::new(false);
    let plan = plan(&ca, &ra);
    let study =
        study::study(&plan, [&ca, &ra], [&cm, &rm], &study::Extent { threads: 1, bytes: None, stop: &stop })
            .unwrap();
    let tensors: Vec<&TensorStudy> = study.tensors.iter().collect();
    let mut search = stemmata_alignment::Search::new((&cm, &ca), (&rm, &ra), 1, &stop);
    let heads = |layer| search.heads(Component::LanguageModel, layer, layer).unwrap().unwrap();
    let maps: Vec<HeadMap> = (0..LAYERS).map(heads).collect();
    symmetry::wants_heads(&tensors).then(|| symmetry::heads(&tensors, &maps).and_then(|found| found.relation))
}

#[test]
fn scaled_channels_are_named_and_the_side_that_was_rounded_again_is_the_child() {
    let round = |model: Model| model.map(bf16).stored(Encoding::Plain(DType::BF16));
    let base = round(Model::trained(42, 43));
    let number = |i: usize| if i.is_multiple_of(3) { -1.3 - 0.01 * i as f32 } else { 0.6 + 0.007 * i as f32 };
    let units = base.clone().lines(Role::Up, true, number).lines(Role::Down, false, |i| 1.0 / number(i));
    assert_eq!(judged(&round(units), &base), (Some("rescaled"), CHILD));
    let values = base.clone().lines(Role::Value, true, number);
    let values = round(values.lines(Role::Output, false, |i| 1.0 / number(i / 32 * 16 + i % 16)));
    assert_eq!(judged(&values, &base), (Some("rescaled"), CHILD));
    // Training afterwards takes the direction, and not the name.
    let mut trained = values.noised(1e-3, 44);
    trained.learn(45, 0.1, |_| true);
    assert_eq!(judged(&round(trained), &base), (Some("rescaled"), Direction::Unknown));
}

#[test]
fn heads_in_other_places_or_another_basis_are_named_and_trained_ones_are_not() {
    let base = Model::trained(46, 47);
    let mut child = base.clone().noised(1e-3, 48);
    child.learn(49, 0.2, |_| true);
    assert_eq!(by_heads(&child, &base), None, "attention is where it was");
    let groups = |i: usize| [1, 0][i];
    let queries = |i: usize| [2, 3, 0, 1][i];
    let moved = child.clone().heads(Role::Query, queries).heads(Role::Output, queries);
    let moved = moved.heads(Role::Key, groups).heads(Role::Value, groups);
    assert_eq!(by_heads(&moved, &base), Some(Some("relabelled")));
    // Neighbouring value channels exchanged within each head, in what writes and in what reads.
    let mut mixed = child.clone();
    for entry in mixed.entries.iter_mut().filter(|e| matches!(e.role, Role::Value | Role::Output)) {
        let cols = entry.cols as usize;
        match entry.role {
            Role::Value => entry.values.chunks_exact_mut(2 * cols).for_each(|two| two.rotate_left(cols)),
            _ => entry.values.chunks_exact_mut(2).for_each(|two| two.swap(0, 1)),
        }
    }
    assert_eq!(by_heads(&mixed, &base), Some(Some("heads-mixed")));
    let other = Model::trained(50, 51);
    let mut replaced = child;
    for (into, from) in replaced.entries.iter_mut().zip(other.entries) {
        if matches!(into.role, Role::Query | Role::Key | Role::Value | Role::Output) {
            into.values = from.values;
        }
    }
    assert_eq!(by_heads(&replaced, &base), Some(None), "strange heads are not found");
}
