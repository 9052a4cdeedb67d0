//! A Llama-style decoder as matrices, dense or with experts, between arrays and arrays.

use serde_json::{Value, json};

use super::matrix::{Matrix, permutation};
use crate::layout::array::Array;
use crate::material::random::Random;

/// Base of the rotary frequencies.
pub(crate) const THETA: f64 = 10_000.0;
/// Experts that a token is sent to.
pub(crate) const CHOSEN: usize = 2;

/// The decoder. Weights are stored as [out, in].
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Decoder {
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    /// Width of a head.
    pub(crate) width: usize,
    /// Added to the mean square in RMSNorm.
    pub(crate) epsilon: f64,
    /// The row that holds each token of the first tokenizer.
    pub(crate) rows: Vec<usize>,
    pub(crate) embedding: Matrix,
    pub(crate) blocks: Vec<Block>,
    pub(crate) norm: Vec<f64>,
    pub(crate) head: Matrix,
}

/// One layer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Block {
    pub(crate) attention_norm: Vec<f64>,
    pub(crate) query: Matrix,
    pub(crate) key: Matrix,
    pub(crate) value: Matrix,
    pub(crate) output: Matrix,
    pub(crate) feed_forward_norm: Vec<f64>,
    /// [experts, residual]; `None` for a dense block.
    pub(crate) router: Option<Matrix>,
    /// One for a dense block.
    pub(crate) experts: Vec<Expert>,
}

/// A gated feed-forward block.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Expert {
    pub(crate) gate: Matrix,
    pub(crate) up: Matrix,
    pub(crate) down: Matrix,
}

impl Expert {
    pub(crate) fn matrices_mut(&mut self) -> [&mut Matrix; 3] {
        [&mut self.gate, &mut self.up, &mut self.down]
    }
}

impl Block {
    /// Matrices that read the residual stream before attention.
    pub(crate) fn attention_readers(&mut self) -> [&mut Matrix; 3] {
        [&mut self.query, &mut self.key, &mut self.value]
    }

    /// Matrices that read the residual stream before the feed-forward block.
    pub(crate) fn feed_forward_readers(&mut self) -> impl Iterator<Item = &mut Matrix> {
        let experts = self.experts.iter_mut().flat_map(|expert| [&mut expert.gate, &mut expert.up]);
        self.router.iter_mut().chain(experts)
    }

    /// Matrices that write into the residual stream.
    pub(crate) fn writers(&mut self) -> impl Iterator<Item = &mut Matrix> {
        std::iter::once(&mut self.output).chain(self.experts.iter_mut().map(|expert| &mut expert.down))
    }

    /// Everything that is quantised, pruned or adapted in practice: all matrices but the router.
    pub(crate) fn matrices_mut(&mut self) -> impl Iterator<Item = &mut Matrix> {
        let attention = [&mut self.query, &mut self.key, &mut self.value, &mut self.output];
        attention.into_iter().chain(self.experts.iter_mut().flat_map(Expert::matrices_mut))
    }
}

impl Decoder {
    /// Width of the residual stream.
    pub(crate) fn residual(&self) -> usize {
        self.norm.len()
    }

    /// Query heads of a key-value head.
    pub(crate) fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// Units of a feed-forward block (of one expert).
    pub(crate) fn units(&self) -> usize {
        self.blocks.first().and_then(|block| block.experts.first()).map_or(0, |expert| expert.up.rows)
    }

    /// A dense decoder from arrays under Hugging Face's names. `layers` and heads are those of the arrays' model.
    pub(crate) fn from_arrays(
        arrays: &[Array],
        (layers, heads, kv_heads): (usize, usize, usize),
        epsilon: f64,
    ) -> Self {
        let find = |name: &str| {
            let found = arrays.iter().find(|array| array.name.strip_suffix(".weight") == Some(name));
            found.expect("the trainer names its tensors as Hugging Face Llama does")
        };
        let vector = |name: &str| find(name).values.iter().map(|x| f64::from(*x)).collect::<Vec<f64>>();
        let matrix = |name: &str| {
            let shape = &find(name).shape;
            Matrix { rows: shape[0], cols: shape[1], values: vector(name) }
        };
        let block = |layer: usize| {
            let name = |inner: &str| format!("model.layers.{layer}.{inner}");
            Block {
                attention_norm: vector(&name("input_layernorm")),
                query: matrix(&name("self_attn.q_proj")),
                key: matrix(&name("self_attn.k_proj")),
                value: matrix(&name("self_attn.v_proj")),
                output: matrix(&name("self_attn.o_proj")),
                feed_forward_norm: vector(&name("post_attention_layernorm")),
                router: None,
                experts: vec![Expert {
                    gate: matrix(&name("mlp.gate_proj")),
                    up: matrix(&name("mlp.up_proj")),
                    down: matrix(&name("mlp.down_proj")),
                }],
            }
        };
        let embedding = matrix("model.embed_tokens");
        let blocks: Vec<Block> = (0..layers).map(block).collect();
        let width = blocks.first().map_or(embedding.cols, |block| block.query.rows) / heads;
        Self {
            heads,
            kv_heads,
            width,
            epsilon,
            rows: (0..embedding.rows).collect(),
            embedding,
            blocks,
            norm: vector("model.norm"),
            head: matrix("lm_head"),
        }
    }

    /// A dense decoder of random weights, gains included.
    #[cfg(test)]
    pub(crate) fn random(layers: usize, random: &mut Random) -> Self {
        let (vocabulary, residual, heads, kv_heads, width, units) = (24, 16, 4, 2, 4, 20);
        let gains = |random: &mut Random| (0..residual).map(|_| super::matrix::factor(random)).collect();
        let narrow = kv_heads * width;
        let blocks = (0..layers)
            .map(|_| Block {
                attention_norm: gains(random),
                query: Matrix::gaussian(heads * width, residual, 0.3, random),
                key: Matrix::gaussian(narrow, residual, 0.3, random),
                value: Matrix::gaussian(narrow, residual, 0.3, random),
                output: Matrix::gaussian(residual, heads * width, 0.3, random),
                feed_forward_norm: gains(random),
                router: None,
                experts: vec![Expert {
                    gate: Matrix::gaussian(units, residual, 0.3, random),
                    up: Matrix::gaussian(units, residual, 0.3, random),
                    down: Matrix::gaussian(residual, units, 0.3, random),
                }],
            })
            .collect();
        Self {
            heads,
            kv_heads,
            width,
            epsilon: 1e-5,
            rows: (0..vocabulary).collect(),
            embedding: Matrix::gaussian(vocabulary, residual, 1.0, random),
            blocks,
            norm: gains(random),
            head: Matrix::gaussian(vocabulary, residual, 0.3, random),
        }
    }

    /// Arrays under Hugging Face's names, those of Mixtral where there are experts.
    pub(crate) fn arrays(&self) -> Vec<Array> {
        let mut arrays = Vec::new();
        let mut add = |name: String, shape: Vec<usize>, values: &[f64]| {
            let values = values.iter().map(|x| *x as f32).collect();
            arrays.push(Array { name: format!("{name}.weight"), shape, values });
        };
        let full = |matrix: &Matrix| vec![matrix.rows, matrix.cols];
        add("model.embed_tokens".into(), full(&self.embedding), &self.embedding.values);
        for (layer, block) in self.blocks.iter().enumerate() {
            let name = |inner: &str| format!("model.layers.{layer}.{inner}");
            let residual = vec![self.residual()];
            add(name("input_layernorm"), residual.clone(), &block.attention_norm);
            let Block { query, key, value, output, .. } = block;
            for (inner, matrix) in [("q", query), ("k", key), ("v", value), ("o", output)] {
                add(name(&format!("self_attn.{inner}_proj")), full(matrix), &matrix.values);
            }
            add(name("post_attention_layernorm"), residual, &block.feed_forward_norm);
            if let Some(router) = &block.router {
                add(name("block_sparse_moe.gate"), full(router), &router.values);
            }
            for (number, Expert { gate, up, down }) in block.experts.iter().enumerate() {
                for (dense, sparse, matrix) in [("gate", "w1", gate), ("up", "w3", up), ("down", "w2", down)]
                {
                    let inner = match block.router {
                        None => format!("mlp.{dense}_proj"),
                        Some(_) => format!("block_sparse_moe.experts.{number}.{sparse}"),
                    };
                    add(name(&inner), full(matrix), &matrix.values);
                }
            }
        }
        add("model.norm".into(), vec![self.residual()], &self.norm);
        add("lm_head".into(), full(&self.head), &self.head.values);
        arrays
    }

    /// The fields of `config.json`.
    pub(crate) fn config(&self) -> Value {
        let experts = self.blocks.first().map_or(1, |block| block.experts.len());
        let mut config = json!({
            "architectures": ["LlamaForCausalLM"], "model_type": "llama",
            "vocab_size": self.embedding.rows, "hidden_size": self.residual(),
            "intermediate_size": self.units(), "num_hidden_layers": self.blocks.len(),
            "num_attention_heads": self.heads, "num_key_value_heads": self.kv_heads,
            "head_dim": self.width, "hidden_act": "silu", "max_position_embeddings": 128,
            "rms_norm_eps": self.epsilon, "rope_theta": THETA, "tie_word_embeddings": false,
            "attention_bias": false, "mlp_bias": false
        });
        if experts > 1 {
            config["architectures"] = json!(["MixtralForCausalLM"]);
            config["model_type"] = json!("mixtral");
            config["num_local_experts"] = json!(experts);
            config["num_experts_per_tok"] = json!(CHOSEN);
        }
        config
    }

    /// Another row for every token, in embedding and head alike.
    pub(crate) fn permute_tokens(&mut self, random: &mut Random) {
        let order = permutation(self.embedding.rows, random);
        self.embedding = self.embedding.pick_rows(&order);
        self.head = self.head.pick_rows(&order);
        let mut place = vec![0; order.len()];
        order.iter().enumerate().for_each(|(new, old)| place[*old] = new);
        self.rows.iter_mut().for_each(|row| *row = place[*row]);
    }
}
