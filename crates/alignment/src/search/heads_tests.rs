use super::*;
use crate::Search;
use crate::search::tests::stored;
use nalgebra::DMatrix;
use stemmata_architecture::{ComponentInfo, Norm};
use stemmata_model::InMemory;
use stemmata_stats::SplitMix64;

const D: usize = 48;
const V: usize = 400;
const HEADS: usize = 6;
const GROUPS: usize = 3;
const W: usize = 8;

/// Row-major: embedding V × D, queries, keys, values, output D × (heads · W), gains.
#[derive(Clone)]
struct Toy {
    embedding: DMatrix<f64>,
    gain: DMatrix<f64>,
    query: DMatrix<f64>,
    key: DMatrix<f64>,
    value: DMatrix<f64>,
    output: DMatrix<f64>,
}

fn normal(rows: usize, cols: usize, seed: u64) -> DMatrix<f64> {
    let mut random = SplitMix64::new(seed);
    DMatrix::from_fn(rows, cols, |_, _| random.normal())
}

impl Toy {
    fn random(seed: u64) -> Toy {
        Toy {
            embedding: normal(V, D, seed),
            gain: normal(1, D, seed + 1).map(|x| 1.0 + 0.2 * x),
            query: normal(HEADS * W, D, seed + 2),
            key: normal(GROUPS * W, D, seed + 3),
            value: normal(GROUPS * W, D, seed + 4),
            output: normal(D, HEADS * W, seed + 5),
        }
    }

    fn build(&self) -> (InMemory, Anatomy) {
        let list = [
            (None, Role::TokenEmbedding, &self.embedding),
            (Some(0), Role::AttentionNorm, &self.gain),
            (Some(0), Role::Query, &self.query),
            (Some(0), Role::Key, &self.key),
            (Some(0), Role::Value, &self.value),
            (Some(0), Role::Output, &self.output),
        ];
        let component = Component::LanguageModel;
        let (memory, parts) = stored(list.map(|(layer, role, matrix)| {
            let values = matrix.transpose().iter().map(|x| *x as f32).collect();
            (layer, role, matrix.nrows() as u64, matrix.ncols() as u64, values)
        }));
        let info = ComponentInfo {
            component,
            norm: Norm::Rms,
            gated: true,
            layers: 1,
            residual: D as u64,
            query_heads: (self.query.nrows() / W) as u64,
            kv_heads: (self.key.nrows() / W) as u64,
            head_dim: W as u64,
        };
        let components = vec![info];
        let (unmapped, ignored, notes) = (vec![], vec![], vec![]);
        let anatomy =
            Anatomy { family: "toy".into(), inferred: false, components, parts, unmapped, ignored, notes };
        (memory, anatomy)
    }

    /// Query head i is head `order[i]` of this one, key-value groups with them.
    fn with_heads(&self, order: &[usize]) -> Toy {
        let shared = HEADS / GROUPS;
        let groups: Vec<usize> = order.chunks(shared).map(|heads| heads[0] / shared).collect();
        let take = |m: &DMatrix<f64>, blocks: &[usize]| {
            DMatrix::from_fn(blocks.len() * W, m.ncols(), |r, c| m[(blocks[r / W] * W + r % W, c)])
        };
        Toy {
            query: take(&self.query, order),
            key: take(&self.key, &groups),
            value: take(&self.value, &groups),
            output: take(&self.output.transpose(), order).transpose(),
            ..self.clone()
        }
    }

    /// Values of every group mixed, queries and keys turned and scaled pair by pair (half-split), and the stream rotated with the
    /// gains folded in. The function stays what it was.
    fn laundered(&self) -> Toy {
        let mut out = self.clone();
        for group in 0..GROUPS {
            let mix = normal(W, W, 900 + group as u64) + DMatrix::identity(W, W) * 3.0;
            let Some(back) = mix.clone().try_inverse() else { continue };
            let values = &mix * self.value.rows(group * W, W);
            out.value.rows_mut(group * W, W).copy_from(&values);
            for head in group * HEADS / GROUPS..(group + 1) * HEADS / GROUPS {
                let outputs = self.output.columns(head * W, W) * &back;
                out.output.columns_mut(head * W, W).copy_from(&outputs);
            }
        }
        let turn = |m: &mut DMatrix<f64>, inverse: bool| {
            for row in 0..m.nrows() {
                if row % W >= W / 2 {
                    continue;
                }
                let pair = row % W;
                let (angle, size) = (0.4 + pair as f64, 1.5 + pair as f64);
                let scale = if inverse { 1.0 / size } else { size };
                for c in 0..m.ncols() {
                    let (x, y) = (m[(row, c)], m[(row + W / 2, c)]);
                    m[(row, c)] = scale * (angle.cos() * x - angle.sin() * y);
                    m[(row + W / 2, c)] = scale * (angle.sin() * x + angle.cos() * y);
                }
            }
        };
        turn(&mut out.query, false);
        turn(&mut out.key, true);
        let rotation = normal(D, D, 77).qr().q();
        let folded = DMatrix::from_diagonal(&self.gain.row(0).transpose()) * &rotation;
        for read in [&mut out.query, &mut out.key, &mut out.value] {
            *read = &*read * &folded;
        }
        out.output = rotation.transpose() * &out.output;
        out.embedding = &out.embedding * &rotation;
        out.gain.fill(1.0);
        out
    }

    fn noised(mut self, relative: f64) -> Toy {
        let parts = [&mut self.query, &mut self.key, &mut self.value, &mut self.output];
        for (seed, m) in (500..).zip(parts) {
            let sigma = relative * m.norm() / (m.len() as f64).sqrt();
            *m += normal(m.nrows(), m.ncols(), seed) * sigma;
        }
        self
    }
}

fn heads(candidate: &Toy, reference: &Toy, threads: usize) -> HeadMap {
    let (c, r) = (candidate.build(), reference.build());
    let stop = std::sync::atomic::AtomicBool::new(false);
    let mut search = Search::new((&c.0, &c.1), (&r.0, &r.1), threads, &stop);
    search.heads(Component::LanguageModel, 0, 0).unwrap().unwrap()
}

fn found(map: &HeadMap) -> Vec<Option<u32>> {
    map.partners().collect()
}

const ORDER: [usize; HEADS] = [5, 4, 0, 1, 3, 2];

#[test]
fn heads_are_found_through_every_symmetry_of_theirs() {
    let model = Toy::random(1);
    let all: Vec<_> = ORDER.iter().map(|h| Some(*h as u32)).collect();
    let moved = heads(&model.with_heads(&ORDER), &model, 1);
    assert_eq!((moved.basis, found(&moved)), (Basis::AsStored, all.clone()));
    assert!(moved.picks.iter().all(|p| p.value_output > 0.999 && p.query_key > 0.999));
    let laundered = model.laundered().with_heads(&ORDER).noised(0.2);
    for threads in [1, 3] {
        let map = heads(&laundered, &model, threads);
        assert_eq!((map.basis, found(&map)), (Basis::ByTokens, all.clone()), "{:?}", map.picks);
        assert!(map.picks.iter().all(|p| p.value_output > 0.8 && p.query_key > 0.8), "{:?}", map.picks);
        assert_eq!((map.heads, map.groups), ((6, 6), (3, 3)));
    }
}

#[test]
fn kept_heads_of_a_pruned_layer_are_named() {
    let model = Toy::random(2);
    let map = heads(&model.with_heads(&[0, 1, 4, 5]), &model, 1);
    assert_eq!(found(&map), [Some(0), Some(1), Some(4), Some(5)]);
    assert_eq!((map.heads, map.groups), ((4, 6), (2, 3)));
}

#[test]
fn strangers_share_no_head() {
    let map = heads(&Toy::random(3), &Toy::random(30), 2);
    assert_eq!(found(&map), [None; HEADS]);
    assert!(map.picks.iter().all(|p| p.value_output < 0.3 && p.query_key < 0.3), "{:?}", map.picks);
}

#[test]
fn latent_attention_has_no_heads_to_tell_apart() {
    let (memory, mut anatomy) = Toy::random(4).build();
    anatomy.parts.retain(|part| part.role != Role::Key);
    let stop = std::sync::atomic::AtomicBool::new(false);
    let mut search = Search::new((&memory, &anatomy), (&memory, &anatomy), 1, &stop);
    assert_eq!(search.heads(Component::LanguageModel, 0, 0).unwrap(), None);
}
