//! Writes bases and disguised models as a hub would hold them.

use std::path::Path;

use serde_json::{Value, json};

use super::operations::Operation;
use super::words;
use crate::launder::decoder::Decoder;
use crate::layout::array::{Array, Stored};
use crate::layout::directory::{Contents, write, write_json};
use crate::material::tokenizer::Tokenizer;

/// A model as the trainer leaves it.
pub(super) fn plain(
    arrays: &[Array],
    config: Value,
    tokenizer: &Tokenizer,
    place: &Path,
) -> Result<(), String> {
    let contents = Contents { arrays, stored: Stored::Bf16, shards: 1, config, tokenizer, card: None };
    write(place, &contents).map_err(words)
}

/// A model as this row stores it, its tokenizer numbered as its embedding.
pub(super) fn disguised(
    model: &Decoder,
    operation: &Operation,
    tokenizer: &Tokenizer,
    place: &Path,
) -> Result<(), String> {
    let mut arrays = model.arrays();
    let mut config = model.config();
    if operation.renamed {
        arrays.iter_mut().for_each(|array| array.name = renamed(&array.name));
        config = foreign(&config);
    }
    let Operation { stored, shards, .. } = *operation;
    let contents = Contents { arrays: &arrays, stored, shards, config, tokenizer, card: None };
    write(place, &contents).map_err(words)?;
    write_json(&place.join("tokenizer.json"), &renumbered(tokenizer, &model.rows)).map_err(words)
}

/// A name of no published family; nothing in it says what a tensor is for.
fn renamed(name: &str) -> String {
    const TABLE: &[(&str, &str)] = &[
        ("model.embed_tokens", "table"),
        ("model.layers", "trunk"),
        ("model.norm", "last"),
        ("lm_head", "readout"),
        ("input_layernorm", "s0"),
        ("post_attention_layernorm", "s1"),
        ("self_attn.q_proj", "mix.w0"),
        ("self_attn.k_proj", "mix.w1"),
        ("self_attn.v_proj", "mix.w2"),
        ("self_attn.o_proj", "mix.w3"),
        ("mlp.gate_proj", "net.w0"),
        ("mlp.up_proj", "net.w1"),
        ("mlp.down_proj", "net.w2"),
    ];
    TABLE.iter().fold(name.to_owned(), |name, (old, new)| name.replace(old, new))
}

/// The facts of the configuration under keys of no published family.
fn foreign(config: &Value) -> Value {
    json!({
        "model_type": "opaque", "symbols": config["vocab_size"], "span": config["hidden_size"],
        "floors": config["num_hidden_layers"], "eyes": config["num_attention_heads"],
        "ears": config["num_key_value_heads"], "cells": config["intermediate_size"]
    })
}

/// The tokenizer's file with every id replaced by the row that holds its token.
fn renumbered(tokenizer: &Tokenizer, rows: &[usize]) -> Value {
    let mut json = tokenizer.to_json();
    let renumber = |id: &mut Value| {
        let row = id.as_u64().and_then(|id| rows.get(usize::try_from(id).ok()?));
        if let Some(row) = row {
            *id = json!(row);
        }
    };
    if let Some(ids) = json["model"]["vocab"].as_object_mut() {
        ids.values_mut().for_each(renumber);
    }
    for token in json["added_tokens"].as_array_mut().into_iter().flatten() {
        renumber(&mut token["id"]);
    }
    json
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::TEXT_SPECIALS;

    #[test]
    fn names_say_nothing() {
        assert_eq!(renamed("model.layers.3.self_attn.o_proj.weight"), "trunk.3.mix.w3.weight");
        assert_eq!(renamed("model.layers.0.post_attention_layernorm.weight"), "trunk.0.s1.weight");
    }

    #[test]
    fn ids_follow_the_rows() {
        let tokenizer = Tokenizer::bytes_only(TEXT_SPECIALS);
        let rows: Vec<usize> = (0..tokenizer.len()).rev().collect();
        let json = renumbered(&tokenizer, &rows);
        assert_eq!(json["model"]["vocab"]["A"], json!(tokenizer.len() - 1 - usize::from(b'A')));
        assert_eq!(json["added_tokens"][0]["id"], json!(tokenizer.len() - 1 - 256));
    }
}
