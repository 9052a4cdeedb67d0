//! Codes in blocks: bitsandbytes in four bits, MXFP4.

use super::{Finder, NOT_PLAIN, Outcome, SCALES_MISSING, SHAPES_DIFFER};
use crate::packed::Origin;
use crate::packed::float_blocks::{self, FloatBlocks};
use crate::packed::four_bit::{FourBit, Nested};
use crate::packed::state::{STATE_BYTES, state};
use stemmata_model::{DType, Encoding};

impl Finder<'_> {
    pub(super) fn four_bit(&self, codes: usize, state_index: usize, kind: &str) -> Outcome {
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
    pub(super) fn float_blocks(&self, codes: usize, scales: Option<usize>) -> Outcome {
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
}
