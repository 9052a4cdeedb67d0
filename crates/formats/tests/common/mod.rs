//! What several test files need: the golden files, and a plain reader of whole tensors.
#![allow(dead_code)] // Each test file uses its own part.

use std::path::{Path, PathBuf};
use stemmata_formats::packed::Pieces;
use stemmata_formats::{Parsed, decode};
use stemmata_model::{ReadError, Tensor};

pub(crate) fn golden_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

pub(crate) fn attacks_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../attacks")
}

/// The golden containers with their bytes, in name order.
pub(crate) fn golden() -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(golden_dir())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let extension = path.extension().unwrap_or_default();
            ["safetensors", "gguf", "pt", "npy", "npz", "onnx", "msgpack"]
                .iter()
                .any(|known| extension == *known)
        })
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(path).unwrap()))
        .collect();
    files.sort();
    assert!(files.len() >= 8);
    files
}

/// The file with what stands in the places behind its end.
pub(crate) fn with_derived(parsed: &Parsed, file: &[u8]) -> Vec<u8> {
    let mut bytes = file.to_vec();
    for tensor in parsed.tensors.iter().filter(|t| t.storage.offset >= file.len() as u64 && t.storage.len > 0)
    {
        let range = tensor.storage.offset as usize..(tensor.storage.offset + tensor.storage.len) as usize;
        bytes.resize(bytes.len().max(range.end), 0);
        parsed.derived.read_exact_at(&file, tensor.storage.offset, &mut bytes[range]).unwrap();
    }
    bytes
}

/// All values of a tensor in row-major order, for encodings that decode.
pub(crate) fn values(tensor: &Tensor, file: &[u8]) -> Vec<f32> {
    let storage = &tensor.storage;
    let bytes = if storage.len == 0 { &[] } else { &file[storage.offset as usize..][..storage.len as usize] };
    let (per, size) = tensor.encoding.granule().unwrap();
    let mut stored = vec![0.0; bytes.len() / size as usize * per as usize];
    assert!(decode(tensor.encoding, bytes, &mut stored), "{}", tensor.name);
    let Some(strides) = &storage.strides else { return stored };
    let mut out = Vec::new();
    for element in 0..tensor.elements() {
        let (mut rest, mut at) = (element, 0);
        for (extent, stride) in tensor.shape.iter().zip(strides).rev() {
            at += rest % extent * stride;
            rest /= extent;
        }
        out.push(stored[at as usize]);
    }
    out
}

/// The pieces of packed weights in a file at hand.
pub(crate) struct InFile<'a>(pub(crate) &'a [u8]);

impl Pieces for InFile<'_> {
    fn values(&self, tensor: &Tensor, start: u64, out: &mut [f32]) -> Result<(), ReadError> {
        if tensor.encoding.granule().is_none() {
            return Err(self.contradiction(tensor, "it does not decode".to_owned()));
        }
        let from = start as usize;
        out.copy_from_slice(&values(tensor, self.0)[from..from + out.len()]);
        Ok(())
    }

    fn bytes(&self, tensor: &Tensor, offset: u64, out: &mut [u8]) -> Result<(), ReadError> {
        let stored = &self.0[tensor.storage.offset as usize..][..tensor.storage.len as usize];
        out.copy_from_slice(&stored[offset as usize..][..out.len()]);
        Ok(())
    }

    fn contradiction(&self, tensor: &Tensor, reason: String) -> ReadError {
        ReadError::Contradiction { file: String::new(), tensor: tensor.name.clone(), reason }
    }
}
