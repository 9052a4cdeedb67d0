//! Codes in 32-bit words: GPTQ, AWQ, compressed-tensors.

use super::{Finder, NOT_PLAIN, Outcome, SCALES_MISSING, SHAPES_DIFFER};
use crate::packed::Origin;
use crate::packed::columns::{Columns, MOST_INPUTS, Order, Zeros};
use crate::packed::words::Words;
use stemmata_model::{DType, Encoding};

impl Finder<'_> {
    pub(super) fn columns(&self, codes: usize, stem: &str) -> Outcome {
        let piece = |end: &str| self.index(&format!("{stem}.{end}"));
        let scales = piece("scales").ok_or(SCALES_MISSING)?;
        let zeros = piece("qzeros").ok_or("its zero points are missing")?;
        let (down, across) = self.word_matrix(codes)?;
        let (zero_rows, zero_words) = self.word_matrix(zeros)?;
        if self.setting("version").is_some_and(|version| version.eq_ignore_ascii_case("gemv")) {
            return self.awq_rows(codes, stem, scales, zeros);
        }
        let [groups, outputs] = self.numbers(scales)?.shape[..] else { return Err(SHAPES_DIFFER) };
        if groups == 0 || outputs == 0 || zero_rows != groups || outputs > 1 << 40 {
            return Err(SHAPES_DIFFER);
        }
        let group_of = piece("g_idx");
        // Shapes tell the width; where a matrix is so small that several fit, the configuration does.
        let stated = self.config.count("quantization_config.bits").and_then(|bits| u32::try_from(bits).ok());
        let fits = |bits: &u32| {
            let wide = u64::from(*bits);
            let all_inputs =
                |words: u64| words.checked_mul(32).filter(|n| n.is_multiple_of(wide)).map(|n| n / wide);
            let indexed = |index: usize| {
                let inputs = if across == outputs { all_inputs(down) } else { Some(down) };
                inputs.is_some_and(|inputs| self.stored[index].shape == [inputs])
            };
            zero_words == (outputs * wide).div_ceil(32)
                && (across == outputs && all_inputs(down).is_some()
                    || across.checked_mul(32) == Some(outputs * wide))
                && group_of.is_none_or(indexed)
        };
        let mut widths = stated.into_iter().chain([4, 2, 8, 3]).filter(|bits| [2, 3, 4, 8].contains(bits));
        let bits = widths.find(fits).ok_or("its codes have a width that is not read")?;
        let (order, inputs, scheme) = if across == outputs {
            let version = self.setting("checkpoint_format").or(self.setting("format"));
            let by_word = self.setting("meta.quantizer").is_some_and(|tool| tool.contains("gptqmodel"));
            let zeros = match (version, bits) {
                (Some("gptq_v2"), _) => Zeros::Plain,
                (_, 3) if by_word => Zeros::LessOddWords,
                (_, 3) => Zeros::LessOneEach,
                _ => Zeros::LessOne,
            };
            let scheme = match bits {
                2 => "gptq-2",
                3 => "gptq-3",
                4 => "gptq-4",
                _ => "gptq-8",
            };
            (Order::Gptq(zeros), down.checked_mul(32).map(|all| all / u64::from(bits)), scheme)
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

    pub(super) fn words(&self, codes: usize, stem: &str) -> Outcome {
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
        // Rows of 32 and more have one answer; shorter ones are of a usual width.
        let words = |n: u64, bits: u32| n.saturating_mul(u64::from(bits)).div_ceil(32);
        let bits = [4u32, 8, 2, 3, 5, 6, 7, 1].into_iter().find(|bits| across == words(inputs, *bits));
        let bits = bits.ok_or("its codes have a width that is not read")?;
        let [scale_rows, groups] = self.numbers(scales)?.shape[..] else { return Err(SHAPES_DIFFER) };
        if scale_rows != outputs || groups == 0 || !inputs.is_multiple_of(groups) {
            return Err(SHAPES_DIFFER);
        }
        let zeros = piece("weight_zero_point");
        if let Some(index) = zeros
            && self.word_matrix(index)? != (words(outputs, bits), groups)
        {
            return Err(SHAPES_DIFFER);
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
        let scheme = match bits {
            1 => "int1-packed",
            2 => "int2-packed",
            3 => "int3-packed",
            4 => "int4-packed",
            5 => "int5-packed",
            6 => "int6-packed",
            7 => "int7-packed",
            _ => "int8-packed",
        };
        let name = format!("{stem}.weight");
        self.put_together(name, vec![outputs, inputs], scheme, codes, &others, Origin::Words(form))
    }
}
