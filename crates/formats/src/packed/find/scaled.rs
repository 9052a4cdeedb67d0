//! Numbers of eight bits with scales beside them.

use super::{Finder, Outcome, SCALES_MISSING, SHAPES_DIFFER};
use crate::packed::Origin;
use crate::packed::scaled::Scaled;
use stemmata_model::{DType, Encoding, Value};

impl Finder<'_> {
    /// Eight-bit numbers with scales beside them; `None` when there are no scales and none are due.
    pub(super) fn scaled(&self, codes: usize) -> Option<Outcome> {
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
            [down] if stack.is_empty() && *down == rows => (rows, 1),
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
