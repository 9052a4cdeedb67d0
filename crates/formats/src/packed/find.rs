//! Which stored tensors are the pieces of one packed matrix?
//!
//! Names say what may belong together, shapes whether it does. What does not fit stays in the inventory as codes that are
//! not decoded, with the reason.

use super::columns::{Columns, MOST_INPUTS, Order};
use super::float_blocks::{self, FloatBlocks};
use super::four_bit::{FourBit, Nested};
use super::scaled::Scaled;
use super::state::{STATE_BYTES, state};
use super::words::Words;
use super::{Entry, Origin, Pieces};
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
            return Some(self.words(index, stem).map_err(refuse("packed integers")));
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

    fn columns(&self, codes: usize, stem: &str) -> Outcome {
        let piece = |end: &str| self.index(&format!("{stem}.{end}"));
        let scales = piece("scales").ok_or(SCALES_MISSING)?;
        let zeros = piece("qzeros").ok_or("its zero points are missing")?;
        let (down, across) = self.word_matrix(codes)?;
        let (zero_rows, zero_words) = self.word_matrix(zeros)?;
        let [groups, outputs] = self.numbers(scales)?.shape[..] else { return Err(SHAPES_DIFFER) };
        if groups == 0 || outputs == 0 || zero_rows != groups || outputs > 1 << 40 {
            return Err(SHAPES_DIFFER);
        }
        let group_of = piece("g_idx");
        // Shapes tell the width; where a matrix is so small that several fit, the configuration does.
        let stated = self.config.count("quantization_config.bits").and_then(|bits| u32::try_from(bits).ok());
        let fits = |bits: &u32| {
            let per_word = u64::from(32 / bits);
            let indexed = |index: usize| {
                let inputs = if across == outputs { down.checked_mul(per_word) } else { Some(down) };
                inputs.is_some_and(|inputs| self.stored[index].shape == [inputs])
            };
            zero_words == outputs.div_ceil(per_word)
                && (across == outputs || across.checked_mul(per_word) == Some(outputs))
                && group_of.is_none_or(indexed)
        };
        let mut widths = stated.into_iter().chain([4, 2, 8]).filter(|bits| [2, 4, 8].contains(bits));
        let bits = widths.find(fits).ok_or("its codes have a width that is not read")?;
        let (order, inputs, scheme) = if across == outputs {
            let version = self.setting("checkpoint_format").or(self.setting("format"));
            let less_one = version != Some("gptq_v2");
            let scheme = match bits {
                2 => "gptq-2",
                4 => "gptq-4",
                _ => "gptq-8",
            };
            (Order::Gptq { less_one }, down.checked_mul(u64::from(32 / bits)), scheme)
        } else {
            let plain = self.setting("version").is_none_or(|version| version.eq_ignore_ascii_case("gemm"));
            if bits != 4 || !plain {
                return Err("its order of codes is not read");
            }
            (Order::Awq, Some(down), "awq-4")
        };
        let inputs = inputs.filter(|n| *n <= MOST_INPUTS).ok_or("it has more inputs than are read")?;
        if groups > inputs {
            return Err(SHAPES_DIFFER);
        }
        let group_of = group_of.filter(|_| order != Order::Awq);
        if let Some(index) = group_of {
            let tensor = &self.stored[index];
            if tensor.encoding != Encoding::Plain(DType::I32) || tensor.storage.strides.is_some() {
                return Err(NOT_PLAIN);
            }
        }
        let others: Vec<usize> = [scales, zeros].into_iter().chain(group_of).collect();
        let stored = |index: usize| self.stored[index].clone();
        let form = Columns {
            order,
            bits,
            outputs,
            inputs,
            groups,
            codes: stored(codes),
            zeros: stored(zeros),
            scales: stored(scales),
            group_of: group_of.map(stored),
        };
        let name = format!("{stem}.weight");
        self.put_together(name, vec![outputs, inputs], scheme, codes, &others, Origin::Columns(form))
    }

    fn words(&self, codes: usize, stem: &str) -> Outcome {
        let piece = |end: &str| self.index(&format!("{stem}.{end}"));
        let scales = piece("weight_scale").ok_or(SCALES_MISSING)?;
        let shape = piece("weight_shape").ok_or("its shape is missing")?;
        if piece("weight_g_idx").is_some() {
            return Err("its groups are reordered, which is not read");
        }
        let (rows, across) = self.word_matrix(codes)?;
        if self.stored[shape].elements() != 2 {
            return Err(SHAPES_DIFFER);
        }
        let mut extents = [0.0; 2];
        self.pieces.values(&self.stored[shape], 0, &mut extents).map_err(|_| NOT_PLAIN)?;
        // Extents beyond what an f32 holds exactly do not occur; a wrong one cannot fit the codes.
        let [outputs, inputs] = extents.map(|extent| extent as u64);
        if outputs != rows || inputs == 0 || inputs > 1 << 24 {
            return Err(SHAPES_DIFFER);
        }
        let bits = [4u32, 8].into_iter().find(|bits| across == inputs.div_ceil(u64::from(32 / bits)));
        let bits = bits.ok_or("its codes have a width that is not read")?;
        let [scale_rows, groups] = self.numbers(scales)?.shape[..] else { return Err(SHAPES_DIFFER) };
        if scale_rows != outputs || groups == 0 || !inputs.is_multiple_of(groups) {
            return Err(SHAPES_DIFFER);
        }
        let zeros = piece("weight_zero_point");
        if let Some(index) = zeros {
            let words = outputs.div_ceil(u64::from(32 / bits));
            if self.word_matrix(index)? != (words, groups) {
                return Err(SHAPES_DIFFER);
            }
        }
        let others: Vec<usize> = [scales, shape].into_iter().chain(zeros).collect();
        let stored = |index: usize| self.stored[index].clone();
        let form = Words {
            bits,
            inputs,
            codes: stored(codes),
            scales: stored(scales),
            groups,
            zeros: zeros.map(stored),
        };
        let scheme = if bits == 4 { "int4-packed" } else { "int8-packed" };
        let name = format!("{stem}.weight");
        self.put_together(name, vec![outputs, inputs], scheme, codes, &others, Origin::Words(form))
    }

    fn four_bit(&self, codes: usize, state_index: usize, kind: &str) -> Outcome {
        let name = self.stored[codes].name.as_str();
        let piece = |end: &str| self.index(&format!("{name}.{end}"));
        let stored = |index: usize| self.stored[index].clone();
        let document = &self.stored[state_index];
        if document.storage.len > STATE_BYTES {
            return Err("its quantisation state is too long");
        }
        let mut bytes = vec![0; document.storage.len as usize];
        self.pieces.bytes(document, 0, &mut bytes).map_err(|_| NOT_PLAIN)?;
        let state = state(&bytes)?;
        let magnitudes = piece("absmax").ok_or(SCALES_MISSING)?;
        let table_index = piece("quant_map").ok_or("its table of values is missing")?;
        let payload = &self.stored[codes];
        if payload.storage.strides.is_some() {
            return Err(NOT_PLAIN);
        }
        let blocks = state.elements.div_ceil(state.block);
        if payload.storage.len != state.elements.div_ceil(2)
            || self.stored[magnitudes].elements() != blocks
            || self.stored[table_index].elements() != 16
        {
            return Err(SHAPES_DIFFER);
        }
        let mut table = [0.0; 16];
        self.pieces.values(self.numbers(table_index)?, 0, &mut table).map_err(|_| NOT_PLAIN)?;
        let mut others = vec![state_index, magnitudes, table_index];
        let nested = match state.nested {
            None => {
                self.numbers(magnitudes)?;
                None
            }
            Some((block, offset)) => {
                let outer = piece("nested_absmax").ok_or(SCALES_MISSING)?;
                let table_index = piece("nested_quant_map").ok_or("its table of values is missing")?;
                let codes = &self.stored[magnitudes];
                if codes.encoding != Encoding::Plain(DType::U8) || codes.storage.strides.is_some() {
                    return Err(NOT_PLAIN);
                }
                if self.numbers(outer)?.elements() != blocks.div_ceil(block)
                    || self.stored[table_index].elements() != 256
                {
                    return Err(SHAPES_DIFFER);
                }
                let mut table = Box::new([0.0; 256]);
                self.pieces
                    .values(self.numbers(table_index)?, 0, table.as_mut_slice())
                    .map_err(|_| NOT_PLAIN)?;
                others.extend([outer, table_index]);
                Some(Nested { table, block, magnitudes: stored(outer), offset })
            }
        };
        let form = FourBit {
            codes: stored(codes),
            table,
            block: state.block,
            magnitudes: stored(magnitudes),
            nested,
        };
        let scheme = if kind == "nf4" { "nf4" } else { "fp4" };
        self.put_together(
            name.to_owned(),
            state.shape,
            scheme,
            codes,
            &others,
            Origin::FourBit(Box::new(form)),
        )
    }

    /// The tensor keeps the name of its codes: unlike the plain form, it is stored as \[…, out, in\].
    fn float_blocks(&self, codes: usize, scales: Option<usize>) -> Outcome {
        let scales = scales.ok_or(SCALES_MISSING)?;
        let (payload, exponents) = (&self.stored[codes], &self.stored[scales]);
        let bytes = matches!(exponents.encoding, Encoding::Plain(DType::U8 | DType::F8E8M0));
        if !bytes || payload.storage.strides.is_some() {
            return Err(NOT_PLAIN);
        }
        let [outer @ .., blocks, _] = payload.shape.as_slice() else { return Err(SHAPES_DIFFER) };
        if exponents.shape.split_last() != Some((blocks, outer)) {
            return Err(SHAPES_DIFFER);
        }
        let inputs = blocks.checked_mul(float_blocks::BLOCK).ok_or(SHAPES_DIFFER)?;
        let shape = outer.iter().copied().chain([inputs]).collect();
        let form = FloatBlocks::new(payload.clone(), exponents.clone());
        let name = payload.name.clone();
        self.put_together(name, shape, "mxfp4", codes, &[scales], Origin::FloatBlocks(form))
    }

    /// Eight-bit numbers with scales beside them; `None` when there are no scales and none are due.
    fn scaled(&self, codes: usize) -> Option<Outcome> {
        let payload = &self.stored[codes];
        let Encoding::Plain(dtype) = payload.encoding else { return None };
        let scheme = match dtype {
            DType::F8E4M3 => "f8_e4m3-scaled",
            DType::F8E5M2 => "f8_e5m2-scaled",
            DType::F8E4M3Fnuz => "f8_e4m3fnuz-scaled",
            DType::F8E5M2Fnuz => "f8_e5m2fnuz-scaled",
            DType::I8 => "i8-scaled",
            _ => return None,
        };
        let name = payload.name.as_str();
        let stem = name.strip_suffix(".weight");
        let beside = |end: &str| stem.and_then(|stem| self.index(&format!("{stem}.{end}")));
        if dtype == DType::I8
            && let Some(scales) = beside("SCB")
        {
            return Some(self.by_row(codes, scales, beside("weight_format")));
        }
        let scales = self
            .index(&format!("{name}_scale_inv"))
            .or_else(|| self.index(&format!("{name}_scale")))
            .or_else(|| beside("scale").filter(|_| dtype != DType::I8));
        let Some(scales) = scales else {
            let due =
                self.setting("quant_method").is_some_and(|m| ["fp8", "compressed-tensors"].contains(&m));
            // A matrix of bare eight-bit floats in such a checkpoint would be read wrongly by a factor for each row.
            return (due && stem.is_some() && payload.shape.len() > 1).then_some(Err(SCALES_MISSING));
        };
        Some(self.by_tile(codes, scales, scheme))
    }

    /// bitsandbytes' integers: a scale for each row, of which 127 is the unit.
    fn by_row(&self, codes: usize, scales: usize, format: Option<usize>) -> Outcome {
        let payload = &self.stored[codes];
        let [rows, cols] = payload.shape[..] else { return Err(SHAPES_DIFFER) };
        if self.numbers(scales)?.shape != [rows] || cols == 0 {
            return Err(SHAPES_DIFFER);
        }
        if let Some(index) = format {
            let mut value = [0.0];
            let is_row = self.stored[index].elements() == 1
                && self.pieces.values(&self.stored[index], 0, &mut value).is_ok()
                && value == [0.0];
            if !is_row {
                return Err("its order of codes is not read");
            }
        }
        let others: Vec<usize> = [scales].into_iter().chain(format).collect();
        let form = Scaled {
            codes: payload.clone(),
            scales: self.stored[scales].clone(),
            rows,
            cols,
            tile: (1, cols),
            // The constant of the reference, which is not quite 1/127.
            factor: Some(7.874_016e-3),
        };
        let name = payload.name.clone();
        self.put_together(name, payload.shape.clone(), "bnb-int8", codes, &others, Origin::Scaled(form))
    }

    fn by_tile(&self, codes: usize, scales: usize, scheme: &'static str) -> Outcome {
        let payload = &self.stored[codes];
        let zero_points = payload.name.strip_suffix(".weight").map(|s| format!("{s}.weight_zero_point"));
        if zero_points.is_some_and(|name| self.index(&name).is_some()) {
            return Err("its zero points are not read");
        }
        let factors = self.numbers(scales)?;
        let (stack, rows, cols) = match payload.shape.as_slice() {
            [stack @ .., rows, cols] => (stack, *rows, *cols),
            _ => return Err(SHAPES_DIFFER),
        };
        if rows == 0 || cols == 0 || stack.contains(&0) {
            return Err(SHAPES_DIFFER);
        }
        let tile = self.tile(stack, rows, cols, &factors.shape).ok_or(SHAPES_DIFFER)?;
        let form = Scaled { codes: payload.clone(), scales: factors.clone(), rows, cols, tile, factor: None };
        let (name, shape) = (payload.name.clone(), payload.shape.clone());
        self.put_together(name, shape, scheme, codes, &[scales], Origin::Scaled(form))
    }

    /// (rows, columns) that share a scale, from the extents of the scales.
    fn tile(&self, stack: &[u64], rows: u64, cols: u64, scales: &[u64]) -> Option<(u64, u64)> {
        let (down, across) = match scales {
            _ if stack.is_empty() && scales.iter().product::<u64>() == 1 => return Some((rows, cols)),
            [down] if stack.is_empty() => (*down, 1),
            [outer @ .., down, across] if outer == stack => (*down, *across),
            // One scale for each matrix of a stack.
            _ if scales == stack => (1, 1),
            _ => return None,
        };
        let sizes = self.tile_sizes();
        let along = |extent: u64, count: u64, pick: fn((u64, u64)) -> u64| match count {
            0 => None,
            1 => Some(extent),
            _ if count == extent => Some(1),
            _ => sizes.iter().map(|size| pick(*size)).find(|size| extent.div_ceil(*size) == count),
        };
        Some((along(rows, down, |size| size.0)?, along(cols, across, |size| size.1)?))
    }

    /// Extents of rectangles that may share a scale: the configured ones, then what is common.
    fn tile_sizes(&self) -> Vec<(u64, u64)> {
        use stemmata_model::Value;
        let groups = "config_groups.group_0.weights";
        let lists = ["weight_block_size".to_owned(), format!("{groups}.block_structure")];
        let configured =
            lists.iter().filter_map(|key| match self.config.get(&format!("quantization_config.{key}"))? {
                Value::List(items) => match items[..] {
                    [Value::Int(down), Value::Int(across)] => {
                        Some((u64::try_from(down).ok()?, u64::try_from(across).ok()?))
                    }
                    _ => None,
                },
                _ => None,
            });
        let group = self.config.count(&format!("quantization_config.{groups}.group_size")).map(|n| (n, n));
        let common = [(128, 128), (64, 64), (32, 32)];
        configured.chain(group).chain(common).filter(|(down, across)| *down > 0 && *across > 0).collect()
    }
}
