//! Which stored tensors are the pieces of one packed matrix?
//!
//! Names say what may belong together, shapes whether it does. What does not fit stays in the inventory as codes that are
//! not decoded, with the reason.

mod affine;
mod blocks;
mod scaled;
mod words;

use super::{Entry, Origin, Pieces, float_blocks};
use std::collections::{BTreeMap, HashMap, HashSet};
use stemmata_model::{Config, DType, Encoding, Packing, Shape, Tensor};

/// A checkpoint's tensors, packed ones put together.
#[derive(Debug)]
pub struct Inventory {
    /// In name order (bytewise); names are unique.
    pub entries: Vec<Entry>,
    /// Codes that look packed and could not be put together: index among the entries, and why.
    pub undecoded: BTreeMap<usize, &'static str>,
}

/// Puts packed tensors together. `stored` are all tensors of the checkpoint in name order, `config` its configuration.
/// Reads a few small tables; O(tensors).
pub fn inventory(stored: Vec<Tensor>, config: &Config, pieces: &dyn Pieces) -> Inventory {
    let by_name = stored.iter().enumerate().map(|(index, tensor)| (tensor.name.as_str(), index)).collect();
    let finder = Finder { stored: &stored, by_name, config, pieces };
    let mut found: BTreeMap<usize, Result<Found, Refusal>> = BTreeMap::new();
    for index in 0..stored.len() {
        if let Some(outcome) = finder.at(index) {
            found.insert(index, outcome);
        }
    }
    let mut used: HashSet<usize> = HashSet::new();
    let mut undecoded: HashMap<String, &'static str> = HashMap::new();
    let mut entries: Vec<Entry> = Vec::new();
    for (index, outcome) in found {
        let codes = &stored[index];
        used.insert(index);
        match outcome {
            Ok(Found { tensor, origin, used: pieces }) => {
                used.extend(pieces);
                entries.push(Entry { tensor, origin });
            }
            Err(Refusal { scheme, reason }) => {
                undecoded.insert(codes.name.clone(), reason);
                let encoding = Encoding::Opaque(scheme);
                entries.push(Entry::stored(Tensor { encoding, ..codes.clone() }));
            }
        }
    }
    let plain = stored.into_iter().enumerate().filter(|(index, _)| !used.contains(index));
    entries.extend(plain.map(|(_, tensor)| Entry::stored(tensor)));
    entries.sort_by(|a, b| a.tensor.name.cmp(&b.tensor.name));
    let names = entries.iter().enumerate();
    let undecoded = names.filter_map(|(i, e)| Some((i, *undecoded.get(&e.tensor.name)?))).collect();
    Inventory { entries, undecoded }
}

/// A packed tensor and the indices of the stored ones behind it, its codes excepted.
struct Found {
    tensor: Tensor,
    origin: Origin,
    used: Vec<usize>,
}

/// Why codes cannot be put together.
struct Refusal {
    scheme: &'static str,
    reason: &'static str,
}

type Outcome = Result<Found, &'static str>;

struct Finder<'a> {
    stored: &'a [Tensor],
    by_name: HashMap<&'a str, usize>,
    config: &'a Config,
    pieces: &'a dyn Pieces,
}

const SCALES_MISSING: &str = "its scales are missing";
const SHAPES_DIFFER: &str = "the shapes of its pieces do not fit together";
const NAME_TAKEN: &str = "another tensor has its name";
const NOT_PLAIN: &str = "its pieces are not stored plainly";

impl<'a> Finder<'a> {
    /// What tensor `index` is the codes of; `None` when it is no codes.
    fn at(&self, index: usize) -> Option<Result<Found, Refusal>> {
        let codes = &self.stored[index];
        let name = codes.name.as_str();
        let refuse = |scheme| move |reason| Refusal { scheme, reason };
        if let Some(stem) = name.strip_suffix(".qweight") {
            return Some(self.columns(index, stem).map_err(refuse("gptq or awq")));
        }
        if let Some(stem) = name.strip_suffix(".weight_packed") {
            if let Some(whole) = self.index(&format!("{stem}.weight_global_scale")) {
                let outcome = self.short_blocks(index, format!("{stem}.weight"), whole, true);
                return Some(outcome.map_err(refuse("nvfp4 codes")));
            }
            if codes.encoding == Encoding::Plain(DType::U8) {
                return Some(
                    self.long_blocks(index, format!("{stem}.weight")).map_err(refuse("mxfp4 codes")),
                );
            }
            return Some(self.words(index, stem).map_err(refuse("packed integers")));
        }
        if let Some(whole) = self.index(&format!("{name}_scale_2"))
            && codes.encoding == Encoding::Plain(DType::U8)
        {
            let outcome = self.short_blocks(index, name.to_owned(), whole, false);
            return Some(outcome.map_err(refuse("nvfp4 codes")));
        }
        if let Some(outcome) = self.gguf_blocks(index) {
            return Some(outcome.map_err(refuse("nvfp4 codes")));
        }
        if let Some(stem) = name.strip_suffix(".weight")
            && let Some(outcome) = self.mlx(index, stem)
        {
            return Some(outcome.map_err(refuse("mlx codes")));
        }
        let fours = [("nf4", "nf4 codes"), ("fp4", "fp4 codes")];
        for (kind, scheme) in fours {
            if let Some(state) = self.index(&format!("{name}.quant_state.bitsandbytes__{kind}")) {
                return Some(self.four_bit(index, state, kind).map_err(refuse(scheme)));
            }
        }
        for (codes_end, scales_end) in [("_blocks", "_scales"), (".blocks", ".scales")] {
            if let Some(stem) = name.strip_suffix(codes_end)
                && codes.encoding == Encoding::Plain(DType::U8)
                && codes.shape.last() == Some(&(float_blocks::BLOCK / 2))
            {
                let scales = self.index(&format!("{stem}{scales_end}"));
                return Some(self.float_blocks(index, scales).map_err(refuse("mxfp4 codes")));
            }
        }
        self.scaled(index).map(|outcome| outcome.map_err(refuse("codes with scales")))
    }

    fn index(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    fn setting(&self, key: &str) -> Option<&str> {
        self.config.text(&format!("quantization_config.{key}"))
    }

    /// The tensor that stands for `codes` and `others`.
    fn put_together(
        &self,
        name: String,
        shape: Shape,
        scheme: &'static str,
        codes: usize,
        others: &[usize],
        origin: Origin,
    ) -> Outcome {
        let taken = self.index(&name);
        if taken.is_some_and(|index| index != codes) {
            return Err(NAME_TAKEN);
        }
        let elements = shape.iter().try_fold(1u64, |product, extent| product.checked_mul(*extent));
        let elements = elements.filter(|n| *n > 0).ok_or(SHAPES_DIFFER)?;
        let all = others.iter().chain([&codes]).map(|&index| u128::from(self.stored[index].storage.len));
        let millibits = all.sum::<u128>() * 8000 / u128::from(elements);
        let millibits = u32::try_from(millibits).unwrap_or(u32::MAX);
        let encoding = Encoding::Packed(Packing { scheme, millibits });
        let storage = self.stored[codes].storage.clone();
        Ok(Found { tensor: Tensor { name, shape, encoding, storage }, origin, used: others.to_vec() })
    }

    /// A contiguous tensor of 32-bit words with two extents that are not zero.
    fn word_matrix(&self, index: usize) -> Result<(u64, u64), &'static str> {
        let tensor = &self.stored[index];
        let words = matches!(tensor.encoding, Encoding::Plain(DType::I32 | DType::U32));
        match tensor.shape.as_slice() {
            _ if !words || tensor.storage.strides.is_some() => Err(NOT_PLAIN),
            [rows, cols] if *rows > 0 && *cols > 0 => Ok((*rows, *cols)),
            _ => Err(SHAPES_DIFFER),
        }
    }

    /// Indices of numbers that may be scales.
    fn numbers(&self, index: usize) -> Result<&'a Tensor, &'static str> {
        let tensor = &self.stored[index];
        let usable = tensor.encoding.granule().is_some_and(|(per, _)| per == 1)
            && (tensor.encoding.is_float() || tensor.encoding == Encoding::Plain(DType::F8E8M0));
        if usable { Ok(tensor) } else { Err(NOT_PLAIN) }
    }
}
