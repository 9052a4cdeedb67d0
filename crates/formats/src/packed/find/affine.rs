//! MLX's triplets, AWQ for products with a vector, and four-bit floats with a scale of the whole.

use super::{Finder, NOT_PLAIN, Outcome, SCALES_MISSING, SHAPES_DIFFER};
use crate::packed::Origin;
use crate::packed::affine::{Affine, Offsets};
use crate::packed::columns::MOST_INPUTS;
use crate::packed::float_blocks::{BLOCK, FloatBlocks, SHORT_BLOCK, Whole};
use crate::packed::scaled::Scaled;
use stemmata_model::{Block, DType, Encoding, Tensor};

/// Widths that MLX has, and how many inputs share a scale.
const WIDTHS: [(u32, &str); 6] =
    [(2, "mlx-2"), (3, "mlx-3"), (4, "mlx-4"), (5, "mlx-5"), (6, "mlx-6"), (8, "mlx-8")];
const GROUPS: [u64; 4] = [64, 32, 128, 16];

impl Finder<'_> {
    /// A setting of MLX, which a module may have to itself.
    fn mlx_setting(&self, stem: &str, key: &str) -> Option<u64> {
        let heads = ["quantization", "quantization_config"];
        let own = heads.iter().find_map(|head| self.config.count(&format!("{head}.{stem}.{key}")));
        own.or_else(|| heads.iter().find_map(|head| self.config.count(&format!("{head}.{key}"))))
    }

    /// `weight` with `scales` and, but for floats, `biases` beside it. Nothing where it is no such triplet.
    pub(super) fn mlx(&self, codes: usize, stem: &str) -> Option<Outcome> {
        let payload = &self.stored[codes];
        if payload.encoding != Encoding::Plain(DType::U32) {
            return None;
        }
        let scales = self.index(&format!("{stem}.scales"))?;
        Some(match self.index(&format!("{stem}.biases")) {
            Some(biases) => self.mlx_integers(codes, stem, scales, biases),
            None => self.mlx_floats(codes, scales),
        })
    }

    /// The extents before the last and the last, of a contiguous tensor without an extent of zero.
    fn stack(&self, index: usize) -> Result<(&[u64], u64), &'static str> {
        let tensor = &self.stored[index];
        match tensor.shape.split_last() {
            _ if tensor.storage.strides.is_some() => Err(NOT_PLAIN),
            Some((last, outer)) if *last > 0 && !outer.is_empty() && !outer.contains(&0) => {
                Ok((outer, *last))
            }
            _ => Err(SHAPES_DIFFER),
        }
    }

    fn mlx_integers(&self, codes: usize, stem: &str, scales: usize, biases: usize) -> Outcome {
        let (outer, words) = self.stack(codes)?;
        let (scale_outer, groups) = self.stack(scales)?;
        let (numbers, offsets) = (self.numbers(scales)?, self.numbers(biases)?);
        if scale_outer != outer || numbers.shape != offsets.shape || offsets.storage.strides.is_some() {
            return Err(SHAPES_DIFFER);
        }
        let stated = (self.mlx_setting(stem, "bits"), self.mlx_setting(stem, "group_size"));
        let fits = |bits: u32, group: u64| {
            let all = groups.checked_mul(group)?.checked_mul(u64::from(bits))?;
            (words.checked_mul(32) == Some(all)).then_some(())
        };
        // Shapes tell the product of width and group; the configuration tells them apart.
        let both = WIDTHS.iter().flat_map(|width| GROUPS.iter().map(move |group| (*width, *group)));
        let mut fitting = both.filter(|((bits, _), group)| fits(*bits, *group).is_some());
        let chosen = match stated {
            (Some(bits), group) => fitting.find(|((width, _), size)| {
                u64::from(*width) == bits && group.is_none_or(|group| group == *size)
            }),
            (None, _) => {
                let one = fitting.next();
                one.filter(|_| fitting.next().is_none())
            }
        };
        let ((bits, scheme), group) = chosen.ok_or("its width is not stated, or does not fit")?;
        let inputs = groups * group;
        if inputs > MOST_INPUTS {
            return Err("it has more inputs than are read");
        }
        let form = Affine {
            bits,
            inputs,
            group,
            codes: self.stored[codes].clone(),
            scales: numbers.clone(),
            stride: groups,
            offsets: Offsets::Added(offsets.clone()),
        };
        let shape = outer.iter().copied().chain([inputs]).collect();
        let name = self.stored[codes].name.clone();
        self.put_together(name, shape, scheme, codes, &[scales, biases], Origin::Affine(form))
    }

    /// Four-bit floats whose scales are bytes.
    fn mlx_floats(&self, codes: usize, scales: usize) -> Outcome {
        let (outer, words) = self.stack(codes)?;
        let (scale_outer, blocks) = self.stack(scales)?;
        let bytes = matches!(self.stored[scales].encoding, Encoding::Plain(DType::U8));
        if !bytes || scale_outer != outer {
            return Err(SHAPES_DIFFER);
        }
        let inputs = words.checked_mul(8).ok_or(SHAPES_DIFFER)?;
        let (payload, exponents) = (self.stored[codes].clone(), self.stored[scales].clone());
        let (scheme, form) = if blocks.checked_mul(BLOCK) == Some(inputs) {
            ("mxfp4", FloatBlocks::new(payload, exponents))
        } else if blocks.checked_mul(SHORT_BLOCK) == Some(inputs) {
            ("nvfp4", FloatBlocks::short(payload, exponents, Whole::Nothing))
        } else {
            return Err("its codes have a width that is not read");
        };
        let shape = outer.iter().copied().chain([inputs]).collect();
        let name = self.stored[codes].name.clone();
        self.put_together(name, shape, scheme, codes, &[scales], Origin::FloatBlocks(form))
    }

    /// AWQ for products with a vector: rows of codes, scales padded to whole words of zero points.
    pub(super) fn awq_rows(&self, codes: usize, stem: &str, scales: usize, zeros: usize) -> Outcome {
        let (outputs, words) = self.word_matrix(codes)?;
        let (zero_rows, zero_words) = self.word_matrix(zeros)?;
        let inputs = words.checked_mul(8).filter(|n| *n <= MOST_INPUTS).ok_or(SHAPES_DIFFER)?;
        let size = |key: &str| self.config.count(&format!("quantization_config.{key}"));
        let group = size("group_size").or_else(|| size("q_group_size"));
        let group = group.filter(|group| *group > 0 && inputs.is_multiple_of(*group)).unwrap_or(128);
        // The tool rounds the words up for its kernel.
        let multiple = match group {
            64 => 2,
            32 => 4,
            _ => 1,
        };
        let due = (inputs / group.min(inputs)).div_ceil(8).next_multiple_of(multiple);
        let stride = zero_words.checked_mul(8).ok_or(SHAPES_DIFFER)?;
        let fits = zero_rows == outputs
            && zero_words == due
            && inputs.is_multiple_of(group)
            && self.numbers(scales)?.shape == [outputs, stride]
            && self.stored[scales].storage.strides.is_none();
        if !fits {
            return Err(SHAPES_DIFFER);
        }
        let form = Affine {
            bits: 4,
            inputs,
            group,
            codes: self.stored[codes].clone(),
            scales: self.stored[scales].clone(),
            stride,
            offsets: Offsets::Zeros(self.stored[zeros].clone()),
        };
        let (name, shape) = (format!("{stem}.weight"), vec![outputs, inputs]);
        self.put_together(name, shape, "awq-4", codes, &[scales, zeros], Origin::Affine(form))
    }

    /// One number in a tensor of its own.
    fn single(&self, index: usize) -> Result<f32, &'static str> {
        let tensor = self.numbers(index)?;
        let mut value = [0.0];
        if tensor.elements() != 1 {
            return Err("its scale of the whole is not one number");
        }
        self.pieces.values(tensor, 0, &mut value).map_err(|_| NOT_PLAIN)?;
        Ok(value[0])
    }

    /// Four-bit floats in bytes with a power of two for each thirty-two.
    pub(super) fn long_blocks(&self, codes: usize, name: String) -> Outcome {
        let payload = &self.stored[codes];
        let scales = self.index(&format!("{name}_scale")).ok_or(SCALES_MISSING)?;
        let (outer, bytes) = self.stack(codes)?;
        let (scale_outer, blocks) = self.stack(scales)?;
        if !matches!(self.stored[scales].encoding, Encoding::Plain(DType::F8E8M0 | DType::U8)) {
            return Err(NOT_PLAIN);
        }
        let inputs = bytes.checked_mul(2).ok_or(SHAPES_DIFFER)?;
        if scale_outer != outer || blocks.checked_mul(BLOCK) != Some(inputs) {
            return Err(SHAPES_DIFFER);
        }
        let form = FloatBlocks::new(payload.clone(), self.stored[scales].clone());
        let shape = outer.iter().copied().chain([inputs]).collect();
        self.put_together(name, shape, "mxfp4", codes, &[scales], Origin::FloatBlocks(form))
    }

    /// Four-bit floats in bytes with a scale for each sixteen and one for the whole, which `divides` or multiplies.
    pub(super) fn short_blocks(&self, codes: usize, name: String, whole: usize, divides: bool) -> Outcome {
        let payload = &self.stored[codes];
        let scales = self.index(&format!("{name}_scale")).ok_or(SCALES_MISSING)?;
        let (outer, bytes) = self.stack(codes)?;
        let (scale_outer, blocks) = self.stack(scales)?;
        let plain = payload.encoding == Encoding::Plain(DType::U8)
            && matches!(self.stored[scales].encoding, Encoding::Plain(DType::F8E4M3 | DType::U8));
        if !plain {
            return Err(NOT_PLAIN);
        }
        let inputs = bytes.checked_mul(2).ok_or(SHAPES_DIFFER)?;
        if scale_outer != outer || blocks.checked_mul(SHORT_BLOCK) != Some(inputs) {
            return Err(SHAPES_DIFFER);
        }
        let by = self.single(whole)?;
        if !by.is_finite() || by == 0.0 {
            return Err("its scale of the whole is zero or no number");
        }
        let by = if divides { Whole::Divide(by) } else { Whole::Multiply(by) };
        let form = FloatBlocks::short(payload.clone(), self.stored[scales].clone(), by);
        let shape = outer.iter().copied().chain([inputs]).collect();
        self.put_together(name, shape, "nvfp4", codes, &[scales, whole], Origin::FloatBlocks(form))
    }

    /// GGUF's NVFP4, whose scale of the whole, or of each matrix of a stack, is a tensor of its own. Nothing where there is none.
    pub(super) fn gguf_blocks(&self, codes: usize) -> Option<Outcome> {
        let payload = &self.stored[codes];
        if payload.encoding != Encoding::Quantized(Block::Nvfp4) {
            return None;
        }
        let name = payload.name.as_str();
        let stem = name.strip_suffix(".weight").unwrap_or(name);
        let scales = self.index(&format!("{stem}.scale")).or_else(|| self.index(&format!("{name}.scale")))?;
        Some(self.whole_scale(codes, payload, scales))
    }

    fn whole_scale(&self, codes: usize, payload: &Tensor, scales: usize) -> Outcome {
        let factors = self.numbers(scales)?;
        let [stack @ .., rows, cols] = payload.shape.as_slice() else { return Err(SHAPES_DIFFER) };
        let matrices = stack.iter().product::<u64>();
        if *rows == 0 || *cols == 0 || matrices == 0 || ![1, matrices].contains(&factors.elements()) {
            return Err(SHAPES_DIFFER);
        }
        // One scale for all is one for a matrix of all rows.
        let rows = if factors.elements() == 1 { matrices * rows } else { *rows };
        let (codes_of, scales_of) = (payload.clone(), factors.clone());
        let form = Scaled {
            codes: codes_of,
            scales: scales_of,
            rows,
            cols: *cols,
            tile: (rows, *cols),
            factor: None,
        };
        let (name, shape) = (payload.name.clone(), payload.shape.clone());
        self.put_together(name, shape, "nvfp4", codes, &[scales], Origin::Scaled(form))
    }
}
