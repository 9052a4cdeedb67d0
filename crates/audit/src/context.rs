//! The statistics of known false accusations, beside their values among models that are known to be independent.
//!
//! They are shown so that nobody needs to compute them elsewhere and believe them. None enters a verdict or a family of tests.

use crate::input::Whole;
use crate::{AuditError, Settings, Subject};
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use stemmata_alignment::{Measurement, linear_cka};
use stemmata_architecture::{Component, Part, Role, Term};
use stemmata_evidence::{attention_profile, gain_cosine, norm_cosine};
use stemmata_fingerprint::picked;
use stemmata_model::{Checkpoint, Tokenizer, Value};

/// Rows of the embeddings that are compared.
const TOKENS: u64 = 256;
/// Numbers read of each side, at most: fewer tokens where rows are long.
const NUMBERS: u64 = 1 << 18;

/// Values among known-independent pairs, one line per statistic and family of architectures.
const TABLE: &str = include_str!("../data/context.tsv");

/// The statistics that the table has, in report order.
pub const FALSE_FRIENDS: [&str; 5] =
    ["gain-cosine", "norm-cosine", "attention-profile", "config-equality", "embedding-cka"];

/// One statistic that proves nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct ContextStatistic {
    /// Kebab-case and stable.
    pub name: &'static str,
    /// Its value on this pair.
    pub value: Option<f64>,
    /// Tensors, layers, fields or tokens that it was formed over.
    pub n: u64,
    /// Its values among known-independent pairs.
    pub background: Option<Background>,
    /// Why there is no value.
    pub reason: Option<&'static str>,
}

/// How a statistic is distributed over pairs of models that were trained from independent starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Background {
    /// Pairs.
    pub pairs: u64,
    /// 5 % quantile.
    pub low: f64,
    /// Median.
    pub median: f64,
    /// 95 % quantile.
    pub high: f64,
}

/// All of them for one pair. Reads the rows of at most 256 tokens of each side.
pub(crate) fn of(
    candidate: &Subject,
    reference: &Subject,
    measurement: &Measurement,
    settings: &Settings<'_>,
) -> Result<Vec<ContextStatistic>, AuditError> {
    let both = match (candidate, reference) {
        (Subject::Checkpoint(c), Subject::Checkpoint(r)) => Some((c, r)),
        _ => None,
    };
    let bounded = both.is_some_and(|(c, r)| crate::budget::of_weights(settings, &[c, r]).is_some());
    let cka = match both {
        Some((c, r)) if !bounded => embedding_cka(c, r, settings)?,
        _ => None,
    };
    let config = both.and_then(|(c, r)| equal_fields(&c.opened.checkpoint, &r.opened.checkpoint));
    let needs = |what| if both.is_some() { what } else { "a sketch does not hold it" };
    let embedded = match bounded {
        true => "the budget goes to the tests",
        false => needs("no token embeddings, or fewer than 16 tokens in common"),
    };
    let with = |name, value: Option<(f64, u64)>, reason| ContextStatistic {
        name,
        value: value.map(|(value, _)| value),
        n: value.map_or(0, |(_, n)| n),
        background: background(name),
        reason: value.is_none().then_some(reason),
    };
    let [gains, norms, profile, fields, embeddings] = FALSE_FRIENDS;
    Ok(vec![
        with(gains, gain_cosine(measurement), needs("no normalisation has a counterpart")),
        with(norms, norm_cosine(measurement), needs("no tensor has a counterpart")),
        with(
            profile,
            attention_profile(measurement),
            needs("fewer than three layers of attention in common"),
        ),
        with(fields, config, needs("no field of the configurations in common")),
        with(embeddings, cka, embedded),
        with("activation-cka", None, "not tested: it needs the models to be run"),
    ])
}

/// The line of the table for a statistic over all families.
fn background(name: &str) -> Option<Background> {
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('\t').collect();
        let [statistic, family, pairs, low, median, high] = cells[..] else { return None };
        let number = |text: &str| text.parse::<f64>().ok();
        let background = Background {
            pairs: pairs.parse().ok()?,
            low: number(low)?,
            median: number(median)?,
            high: number(high)?,
        };
        (statistic == name && family == "all").then_some(background)
    };
    TABLE.lines().filter(|line| !line.starts_with('#')).find_map(row)
}

/// Linear CKA between the token embeddings, over tokens that both vocabularies have.
fn embedding_cka(c: &Whole, r: &Whole, settings: &Settings<'_>) -> Result<Option<(f64, u64)>, AuditError> {
    let embedding = |whole: &'_ Whole| {
        let wanted = |p: &&Part| {
            p.component == Component::LanguageModel
                && p.role == Role::TokenEmbedding
                && p.term == Term::Weight
        };
        whole.anatomy.parts.iter().find(wanted).map(|p| p.view)
    };
    let (Some(ours), Some(theirs)) = (embedding(c), embedding(r)) else { return Ok(None) };
    let shared = shared_tokens(&c.opened.checkpoint, &r.opened.checkpoint, [ours.rows, theirs.rows]);
    let tokens = TOKENS.min(NUMBERS / ours.cols.max(theirs.cols).max(1));
    let rows: Vec<(u64, u64)> = picked(shared.len() as u64, tokens).map(|i| shared[i as usize]).collect();
    let stop = || settings.stop.load(Ordering::Relaxed);
    let cka = linear_cka([c.weights(), r.weights()], [&ours, &theirs], &rows, &stop)?;
    Ok(cka.map(|cka| (cka, rows.len() as u64)))
}

/// Rows of candidate and reference that stand for the same token: by its text where both files say it, by number otherwise.
fn shared_tokens(c: &Checkpoint, r: &Checkpoint, rows: [u64; 2]) -> Vec<(u64, u64)> {
    let (Some(ours), Some(theirs)) = (&c.tokenizer, &r.tokenizer) else {
        return (0..rows[0].min(rows[1])).map(|i| (i, i)).collect();
    };
    let by_text: HashMap<&str, u64> = named(theirs, rows[1]).collect();
    named(ours, rows[0]).filter_map(|(token, row)| Some((row, *by_text.get(token)?))).collect()
}

/// Tokens that have a text, with their rows.
fn named(tokenizer: &Tokenizer, rows: u64) -> impl Iterator<Item = (&str, u64)> {
    let tokens = tokenizer.tokens.iter().zip(0..rows);
    tokens.filter(|(token, _)| !token.is_empty()).map(|(token, row)| (token.as_str(), row))
}

/// Fields of an architecture, under the names that configurations give them.
const FIELDS: &[&[&str]] = &[
    &["hidden_size", "n_embd", "d_model", "embedding_length"],
    &["num_hidden_layers", "n_layer", "block_count"],
    &["num_attention_heads", "n_head", "attention.head_count"],
    &["num_key_value_heads", "attention.head_count_kv"],
    &["head_dim", "attention.key_length"],
    &["intermediate_size", "n_inner", "feed_forward_length"],
    &["vocab_size"],
    &["max_position_embeddings", "n_positions", "n_ctx", "context_length"],
    &["rope_theta", "rope.freq_base"],
    &[
        "rms_norm_eps",
        "layer_norm_eps",
        "layer_norm_epsilon",
        "attention.layer_norm_rms_epsilon",
        "attention.layer_norm_epsilon",
    ],
    &["hidden_act", "activation_function"],
    &["tie_word_embeddings"],
];

/// Share of the fields that both configurations have whose values are equal, and how many both have.
fn equal_fields(c: &Checkpoint, r: &Checkpoint) -> Option<(f64, u64)> {
    let (mut equal, mut compared) = (0_u64, 0_u64);
    for names in FIELDS {
        if let (Some(ours), Some(theirs)) = (field(c, names), field(r, names)) {
            compared += 1;
            equal += u64::from(alike(ours, theirs));
        }
    }
    (compared > 0).then(|| (equal as f64 / compared as f64, compared))
}

/// The value of a field: at the top, in the language model's part, or under the architecture's name as GGUF has it.
fn field<'a>(checkpoint: &'a Checkpoint, names: &[&str]) -> Option<&'a Value> {
    let config = &checkpoint.config;
    let architecture = config.text("general.architecture").map(|name| format!("{name}."));
    let prefixes = ["", "text_config.", "language_config.", "llm_config."].map(str::to_owned);
    let prefixes: Vec<String> = prefixes.into_iter().chain(architecture).collect();
    let mut keys = prefixes.iter().flat_map(|prefix| names.iter().map(move |name| format!("{prefix}{name}")));
    keys.find_map(|key| config.get(&key).filter(|value| **value != Value::Null))
}

/// Whether two values are the same; numbers as the shorter float that GGUF keeps.
fn alike(a: &Value, b: &Value) -> bool {
    let number = |value: &Value| match value {
        Value::Int(n) => Some(*n as f32),
        Value::Float(x) => Some(*x as f32),
        _ => None,
    };
    match (number(a), number(b)) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stemmata_model::{Config, Container};

    fn checkpoint(entries: &[(&str, Value)], tokens: Option<&[&str]>) -> Checkpoint {
        let entries = entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        let tokens = tokens.map(|tokens| Tokenizer {
            tokens: tokens.iter().map(|token| (*token).to_owned()).collect(),
            kind: None,
        });
        Checkpoint {
            container: Container::Safetensors,
            files: Vec::new(),
            tensors: Vec::new(),
            config: Config { entries },
            declared: Default::default(),
            tokenizer: tokens,
        }
    }

    #[test]
    fn the_table_has_every_statistic_and_is_in_order() {
        for name in FALSE_FRIENDS {
            let b = background(name).unwrap_or_else(|| panic!("{name} is not in the table"));
            assert!(b.pairs > 100 && b.low <= b.median && b.median <= b.high, "{name}: {b:?}");
        }
        assert_eq!(background("activation-cka"), None);
    }

    #[test]
    fn fields_are_found_under_every_name_and_absent_ones_are_not_counted() {
        let own = checkpoint(
            &[
                ("hidden_size", Value::Int(64)),
                ("text_config.num_hidden_layers", Value::Int(4)),
                ("rms_norm_eps", Value::Float(1e-5)),
                ("rope_theta", Value::Float(1e4)),
            ],
            None,
        );
        let gguf = checkpoint(
            &[
                ("general.architecture", Value::Text("llama".into())),
                ("llama.embedding_length", Value::Int(64)),
                ("llama.block_count", Value::Int(5)),
                ("llama.attention.layer_norm_rms_epsilon", Value::Float(f64::from(1e-5_f32))),
                ("llama.vocab_size", Value::Int(9)),
            ],
            None,
        );
        assert_eq!(equal_fields(&own, &gguf), Some((2.0 / 3.0, 3)));
        assert_eq!(equal_fields(&own, &own), Some((1.0, 4)));
        assert_eq!(equal_fields(&own, &checkpoint(&[], None)), None);
    }

    #[test]
    fn tokens_are_shared_by_text_where_both_say_it() {
        let own = checkpoint(&[], Some(&["a", "", "b", "c"]));
        let other = checkpoint(&[], Some(&["c", "a", "", "b"]));
        assert_eq!(shared_tokens(&own, &other, [4, 3]), [(0, 1), (3, 0)], "row 3 lies outside the embedding");
        assert_eq!(shared_tokens(&own, &checkpoint(&[], None), [4, 2]), [(0, 0), (1, 1)]);
    }
}
