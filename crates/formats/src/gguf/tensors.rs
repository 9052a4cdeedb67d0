//! Tensor descriptions, and the checks that their bytes lie where they may.

use super::types::{TensorType, tensor_type};
use crate::hazards::Hazards;
use crate::source::{Source, Stream};
use crate::{FormatError, Limits};
use std::collections::HashSet;
use stemmata_model::{Block, Encoding, Level, Shape, Storage, Tensor, printable};

/// The smallest description: an empty name, no extents, a type, an offset.
const DESCRIPTION_BYTES: u64 = 8 + 4 + 4 + 8;
/// ggml refuses names of this many bytes and more.
const GGML_NAME_BYTES: usize = 64;
/// ggml's tensors have at most this many extents.
const MAX_EXTENTS: u32 = 4;

/// What the tensor section needs to know from the rest of the file.
pub(super) struct Section<'a, 's> {
    pub(super) source: &'s Source<'a>,
    pub(super) count: u64,
    pub(super) alignment: u64,
    pub(super) file_index: u32,
    pub(super) limits: &'s Limits,
}

/// A tensor whose offset is still relative to the data section; `None` as length where the type's size is unknown.
struct Described {
    tensor: Tensor,
    len: Option<u64>,
}

/// Reads and checks all descriptions; the result is in name order.
pub(super) fn read(
    section: &Section,
    stream: &mut Stream,
    hazards: &mut Hazards,
) -> Result<Vec<Tensor>, FormatError> {
    let Section { source, count, alignment, .. } = *section;
    let at = stream.position();
    if count > stream.remaining() / DESCRIPTION_BYTES {
        return Err(FormatError::Truncated {
            file: source.name.clone(),
            subject: format!("a section of {count} tensor descriptions"),
            start: at,
            end: at.saturating_add(count.saturating_mul(DESCRIPTION_BYTES)),
            place: "the file",
            available: source.len,
        });
    }
    let mut described = Vec::new();
    let mut names = HashSet::new();
    for _ in 0..count {
        let start = stream.position();
        let one = describe(section, stream, hazards)?;
        if !names.insert(one.tensor.name.clone()) {
            return Err(source.malformed(
                subject(&one.tensor.name),
                start..stream.position(),
                "the name occurs twice",
            ));
        }
        described.push(one);
    }
    drop(names);
    let Some(data) = stream.position().checked_next_multiple_of(alignment) else {
        return Err(source.malformed("the data section", at..source.len, "its start overflows 64 bits"));
    };
    let mut tensors = place(section, described, data, hazards)?;
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    missing_scales(&tensors, hazards);
    Ok(tensors)
}

fn subject(name: &str) -> String {
    format!("tensor `{}`", printable(name))
}

fn describe(section: &Section, stream: &mut Stream, hazards: &mut Hazards) -> Result<Described, FormatError> {
    let Section { source, limits, .. } = *section;
    let start = stream.position();
    let name_len = stream.u64("a tensor name")?;
    if name_len > limits.name_bytes as u64 {
        return Err(source.limit("a tensor name in bytes", name_len, limits.name_bytes as u64));
    }
    let raw = stream.bytes(name_len, "a tensor name")?;
    let name = String::from_utf8_lossy(raw.strip_suffix(b"\0").unwrap_or(raw)).into_owned();
    let subject = subject(&name);
    hazards.tensor_name(&name);
    if name.len() >= GGML_NAME_BYTES {
        hazards.part("long-name", Level::Note, &name, || {
            format!("the name has {} bytes; ggml refuses {GGML_NAME_BYTES} and more", name.len())
        });
    }
    let extents = stream.u32(&subject)?;
    if extents > MAX_EXTENTS {
        return Err(source.limit(format!("the rank of {subject}"), extents.into(), MAX_EXTENTS.into()));
    }
    let mut shape = Shape::new();
    for _ in 0..extents {
        shape.push(stream.u64(&subject)?);
    }
    let id = stream.u32(&subject)?.cast_signed();
    let offset = stream.u64(&subject)?;
    let range = start..stream.position();
    let TensorType { encoding, block, oddity } = tensor_type(id);
    // Innermost extent first in the file; zeros must not hide an overflow from readers that multiply in another order.
    let product = shape.iter().try_fold(1u64, |product, extent| product.checked_mul((*extent).max(1)));
    let Some(product) = product.filter(|product| *product < 1 << 63) else {
        return Err(source.malformed(subject, range, "the product of its shape overflows 63 bits"));
    };
    let elements = if shape.contains(&0) { 0 } else { product };
    let row = shape.first().copied().unwrap_or(1);
    shape.reverse();
    let len = match block {
        Some((per, bytes)) => {
            if row % u64::from(per) != 0 {
                let reason = format!("rows of {row} elements are not whole blocks of {per}");
                return Err(source.malformed(subject, range, reason));
            }
            let Some(len) = (elements / u64::from(per)).checked_mul(bytes.into()) else {
                return Err(source.malformed(subject, range, "its size in bytes overflows 64 bits"));
            };
            Some(len)
        }
        None => {
            hazards.part("unknown-type", Level::Warning, &name, || {
                let oddity = oddity.unwrap_or("is not known");
                format!("tensor type {id} {oddity}: the tensor's size cannot be checked")
            });
            None
        }
    };
    if offset % section.alignment != 0 {
        let reason = format!("offset {offset} is not a multiple of the alignment {}", section.alignment);
        return Err(source.malformed(subject, range, reason));
    }
    let storage = Storage { file: section.file_index, offset, len: len.unwrap_or(0), strides: None };
    Ok(Described { tensor: Tensor { name, shape, encoding, storage }, len })
}

/// Makes offsets absolute and refuses tensors that overlap or leave the file.
fn place(
    section: &Section,
    mut described: Vec<Described>,
    data: u64,
    hazards: &mut Hazards,
) -> Result<Vec<Tensor>, FormatError> {
    let source = section.source;
    for Described { tensor, len } in &mut described {
        let offset = data.saturating_add(tensor.storage.offset);
        source.end(offset, len.unwrap_or(0), &subject(&tensor.name))?;
        tensor.storage.offset = offset;
    }
    let in_file_order =
        described.windows(2).all(|w| w[0].tensor.storage.offset <= w[1].tensor.storage.offset);
    if !in_file_order {
        hazards.file("offset-order", Level::Note, || {
            "tensors are not described in the order of their bytes, which ggml requires".into()
        });
    }
    described.sort_by_key(|one| (one.tensor.storage.offset, one.tensor.storage.len));
    let mut end = data;
    for index in 0..described.len() {
        let next = described.get(index + 1).map_or(source.len, |next| next.tensor.storage.offset);
        let Described { tensor, len } = &mut described[index];
        let Storage { offset, .. } = tensor.storage;
        // Where the type's size is unknown the tensor is given what is left up to its neighbour.
        tensor.storage.len = len.unwrap_or(next - offset);
        if offset < end && tensor.storage.len > 0 {
            return Err(source.malformed(
                subject(&tensor.name),
                offset..offset + tensor.storage.len,
                format!("overlaps another tensor, which ends at byte {end}"),
            ));
        }
        let padded = end.next_multiple_of(section.alignment);
        if offset > padded {
            hazards.part("offset-gap", Level::Warning, &tensor.name, || {
                format!("bytes {end}..{offset} before the tensor belong to no tensor")
            });
        }
        end = end.max(offset + tensor.storage.len);
    }
    let padded = end.next_multiple_of(section.alignment);
    if !described.is_empty() && source.len < padded {
        hazards.file("missing-padding", Level::Note, || {
            format!("the file ends at {} without the padding up to {padded}", source.len)
        });
    }
    if !described.is_empty() && source.len > padded {
        hazards.file("trailing-bytes", Level::Warning, || {
            format!("bytes {padded}..{} behind the last tensor belong to no tensor", source.len)
        });
    }
    Ok(described.into_iter().map(|one| one.tensor).collect())
}

/// NVFP4 values are off by a constant without their second scale, which is a tensor of its own.
fn missing_scales(tensors: &[Tensor], hazards: &mut Hazards) {
    let has = |name: &str| tensors.binary_search_by(|tensor| tensor.name.as_str().cmp(name)).is_ok();
    for tensor in tensors.iter().filter(|tensor| tensor.encoding == Encoding::Quantized(Block::Nvfp4)) {
        let stem = tensor.name.strip_suffix(".weight").unwrap_or(&tensor.name);
        if !has(&format!("{stem}.scale")) && !has(&format!("{stem}.weight.scale")) {
            hazards.part("missing-scale", Level::Warning, &tensor.name, || {
                "an NVFP4 tensor without its `.scale` tensor: its values are off by a constant".into()
            });
        }
    }
}
