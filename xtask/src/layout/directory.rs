//! A model directory as the hub holds it: safetensors (one file or shards), config, tokenizer, card.

use std::error::Error;
use std::fs;
use std::path::Path;

use half::bf16;
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use serde_json::{Value, json};

use super::array::{Array, Stored};
use crate::material::tokenizer::Tokenizer;

/// Everything that goes into the directory.
pub(crate) struct Contents<'a> {
    pub(crate) arrays: &'a [Array],
    pub(crate) stored: Stored,
    /// Number of safetensors files; an index is written for more than one.
    pub(crate) shards: usize,
    pub(crate) config: Value,
    pub(crate) tokenizer: &'a Tokenizer,
    pub(crate) card: Option<String>,
}

/// Writes the directory anew, so that no file of an earlier run stays behind.
pub(crate) fn write(directory: &Path, contents: &Contents<'_>) -> Result<(), Box<dyn Error>> {
    if directory.exists() {
        fs::remove_dir_all(directory)?;
    }
    fs::create_dir_all(directory)?;
    write_weights(directory, contents)?;
    write_json(&directory.join("config.json"), &contents.config)?;
    write_json(&directory.join("tokenizer.json"), &contents.tokenizer.to_json())?;
    if let Some(card) = &contents.card {
        fs::write(directory.join("README.md"), card)?;
    }
    Ok(())
}

/// The arrays of a directory that [`write()`] wrote as one file, by name.
pub(crate) fn read(directory: &Path) -> Result<Vec<Array>, Box<dyn Error>> {
    let bytes = fs::read(directory.join("model.safetensors"))?;
    let tensors = SafeTensors::deserialize(&bytes)?;
    let array = |(name, view): (String, TensorView<'_>)| {
        let words = view.data().chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
        let values = words.map(|word| bf16::from_bits(word).to_f32()).collect();
        Array { name, shape: view.shape().to_vec(), values }
    };
    Ok(tensors.tensors().into_iter().map(array).collect())
}

/// Pretty JSON with a final newline.
pub(crate) fn write_json(path: &Path, value: &Value) -> Result<(), Box<dyn Error>> {
    Ok(fs::write(path, format!("{value:#}\n"))?)
}

fn write_weights(directory: &Path, contents: &Contents<'_>) -> Result<(), Box<dyn Error>> {
    let Contents { arrays, stored, shards, .. } = *contents;
    let groups = split(arrays, shards);
    if let [whole] = groups.as_slice() {
        return write_safetensors(&directory.join("model.safetensors"), whole, stored);
    }
    let mut map = Vec::new();
    for (index, group) in groups.iter().enumerate() {
        let file = format!("model-{:05}-of-{:05}.safetensors", index + 1, groups.len());
        write_safetensors(&directory.join(&file), group, stored)?;
        map.extend(group.iter().map(|array| (array.name.clone(), Value::from(file.clone()))));
    }
    map.sort_by(|a, b| a.0.cmp(&b.0));
    let total: usize = arrays.iter().map(|array| stored.size() * array.values.len()).sum();
    let map: serde_json::Map<String, Value> = map.into_iter().collect();
    let index = json!({ "metadata": { "total_size": total }, "weight_map": map });
    write_json(&directory.join("model.safetensors.index.json"), &index)
}

/// Consecutive groups of about equal size.
fn split(arrays: &[Array], shards: usize) -> Vec<&[Array]> {
    let total: usize = arrays.iter().map(|array| array.values.len()).sum();
    let (mut groups, mut start, mut seen) = (Vec::new(), 0, 0);
    for (index, array) in arrays.iter().enumerate() {
        seen += array.values.len();
        if seen * shards >= total * (groups.len() + 1) {
            groups.push(&arrays[start..=index]);
            start = index + 1;
        }
    }
    groups
}

fn write_safetensors(path: &Path, arrays: &[Array], stored: Stored) -> Result<(), Box<dyn Error>> {
    let kind = match stored {
        Stored::Bf16 => Dtype::BF16,
        Stored::F16 => Dtype::F16,
        Stored::F32 => Dtype::F32,
    };
    let bytes: Vec<Vec<u8>> = arrays.iter().map(|array| array.bytes(stored)).collect();
    let mut views = Vec::new();
    for (array, bytes) in arrays.iter().zip(&bytes) {
        views.push((array.name.as_str(), TensorView::new(kind, array.shape.clone(), bytes)?));
    }
    // One entry only: the crate writes this map in the order of a hash table.
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    Ok(fs::write(path, serialize(views, Some(metadata))?)?)
}
