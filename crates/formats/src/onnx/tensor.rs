//! One `TensorProto`: what it says, and where its numbers are.

use super::Walk;
use super::wire::Field;
use crate::FormatError;
use crate::derived::Kind;
use std::ops::Range;
use stemmata_model::{DType, Encoding, Level, Shape, Storage, Tensor};

/// Characters of the longest location of external data.
const LOCATION_BYTES: u64 = 4096;

/// What a `TensorProto` says.
pub(super) struct Described {
    pub(super) name: String,
    /// Where the message stands.
    pub(super) range: Range<u64>,
    shape: Shape,
    kind: u64,
    /// Raw bytes, or packed numbers of the same width.
    raw: Option<Range<u64>>,
    /// Numbers of any length.
    varints: Option<Range<u64>>,
    external: bool,
    location: Option<String>,
    offset: Option<String>,
    length: Option<String>,
    /// Whether values came in several pieces, or one by one.
    scattered: bool,
}

/// How the numbers of a type are stored, and the bits of one.
fn stored(kind: u64) -> (Encoding, u64) {
    let plain = |dtype: DType| (Encoding::Plain(dtype), u64::from(dtype.bits()));
    match kind {
        1 => plain(DType::F32),
        2 => plain(DType::U8),
        3 => plain(DType::I8),
        4 => plain(DType::U16),
        5 => plain(DType::I16),
        6 => plain(DType::I32),
        7 => plain(DType::I64),
        9 => plain(DType::Bool),
        10 => plain(DType::F16),
        11 => plain(DType::F64),
        12 => plain(DType::U32),
        13 => plain(DType::U64),
        14 => plain(DType::C64),
        16 => plain(DType::BF16),
        17 => plain(DType::F8E4M3),
        18 => plain(DType::F8E4M3Fnuz),
        19 => plain(DType::F8E5M2),
        20 => plain(DType::F8E5M2Fnuz),
        21 => plain(DType::U4),
        22 => plain(DType::I4),
        23 => plain(DType::F4),
        24 => plain(DType::F8E8M0),
        25 => (Encoding::Opaque("uint2"), 2),
        26 => (Encoding::Opaque("int2"), 2),
        15 => (Encoding::Opaque("complex128"), 128),
        8 => (Encoding::Opaque("text"), 0),
        _ => (Encoding::Opaque("unknown type"), 0),
    }
}

impl Walk<'_, '_, '_> {
    /// Reads what stands in `range`.
    pub(super) fn described(&mut self, range: &Range<u64>) -> Result<Described, FormatError> {
        const SUBJECT: &str = "a tensor";
        let mut described = Described {
            name: String::new(),
            range: range.clone(),
            shape: Shape::new(),
            kind: 0,
            raw: None,
            varints: None,
            external: false,
            location: None,
            offset: None,
            length: None,
            scattered: false,
        };
        while let Some((number, field)) = self.wire.field(range.end, SUBJECT)? {
            match (number, field) {
                (1, Field::Number(extent)) => self.extent(&mut described, extent)?,
                (1, Field::Bytes(packed)) => {
                    while self.wire.stream.position() < packed.end {
                        let extent = self.wire.varint(packed.end, SUBJECT)?;
                        self.extent(&mut described, extent)?;
                    }
                }
                (2, Field::Number(kind)) => described.kind = kind,
                (8, Field::Bytes(name)) => {
                    described.name =
                        self.wire.text(&name, self.limits.name_bytes as u64, "a tensor's name")?;
                }
                (4 | 9 | 10, Field::Bytes(values)) if values.is_empty() => {}
                (4 | 9 | 10, Field::Bytes(values)) => {
                    described.scattered |= described.raw.replace(values.clone()).is_some();
                    self.wire.skip_to(values.end, SUBJECT)?;
                }
                (5 | 7 | 11, Field::Bytes(values)) => {
                    described.scattered |= described.varints.replace(values.clone()).is_some();
                    self.wire.skip_to(values.end, SUBJECT)?;
                }
                (4..=7 | 10 | 11, Field::Narrow | Field::Wide | Field::Number(_)) => {
                    described.scattered = true
                }
                (13, Field::Bytes(entry)) => self.external_entry(&mut described, &entry)?,
                (14, Field::Number(place)) => described.external = place == 1,
                (_, Field::Bytes(other)) => self.wire.skip_to(other.end, SUBJECT)?,
                _ => {}
            }
        }
        Ok(described)
    }

    fn extent(&self, described: &mut Described, extent: u64) -> Result<(), FormatError> {
        if described.shape.len() >= self.limits.rank {
            let (claimed, limit) = (described.shape.len() as u64 + 1, self.limits.rank as u64);
            return Err(self.wire.source.limit("the rank of a tensor", claimed, limit));
        }
        described.shape.push(extent);
        Ok(())
    }

    /// A pair of texts.
    fn external_entry(&mut self, described: &mut Described, range: &Range<u64>) -> Result<(), FormatError> {
        const SUBJECT: &str = "a tensor's external data";
        let (mut key, mut value) = (String::new(), String::new());
        while let Some((number, field)) = self.wire.field(range.end, SUBJECT)? {
            match (number, field) {
                (1, Field::Bytes(text)) => key = self.wire.text(&text, LOCATION_BYTES, SUBJECT)?,
                (2, Field::Bytes(text)) => value = self.wire.text(&text, LOCATION_BYTES, SUBJECT)?,
                (_, Field::Bytes(other)) => self.wire.skip_to(other.end, SUBJECT)?,
                _ => {}
            }
        }
        match key.as_str() {
            "location" => described.location = Some(value),
            "offset" => described.offset = Some(value),
            "length" => described.length = Some(value),
            _ => {}
        }
        Ok(())
    }

    /// The tensor with the place of its numbers.
    pub(super) fn placed(
        &mut self,
        described: Described,
        name: String,
        subject: &str,
    ) -> Result<Tensor, FormatError> {
        let Described { range, shape, kind, .. } = &described;
        let fail = |reason: &str| Err(self.wire.source.malformed(subject, range.clone(), reason));
        let product = shape.iter().try_fold(1u64, |all, extent| all.checked_mul((*extent).max(1)));
        let Some(product) = product.filter(|product| *product < 1 << 63) else {
            return fail("the product of its shape overflows 63 bits");
        };
        let elements = if shape.contains(&0) { 0 } else { product };
        let (encoding, bits) = stored(*kind);
        let Some(len) = elements.checked_mul(bits).map(|bits| bits.div_ceil(8)) else {
            return fail("its size in bytes overflows 64 bits");
        };
        if matches!(encoding, Encoding::Plain(dtype) if dtype.bits() == 4) && elements % 2 != 0 {
            return self.opaque(described, name, "an odd number of four-bit values");
        }
        let storage = if described.external {
            match self.outside(&described, len, &name, subject)? {
                Some(storage) => storage,
                None => return self.opaque(described, name, "external data"),
            }
        } else if described.scattered {
            return self.opaque(described, name, "values in several pieces");
        } else if let Some(raw) = &described.raw {
            if bits == 0 {
                return self.opaque(described, name, "text");
            }
            if raw.end - raw.start != len {
                let reason = format!("its shape needs {len} bytes, it has {}", raw.end - raw.start);
                return Err(self.wire.source.malformed(subject, raw.clone(), reason));
            }
            Storage { file: self.file_index, offset: raw.start, len, strides: None }
        } else if let Some(varints) = described.varints.clone() {
            match encoding {
                Encoding::Plain(dtype) if bits >= 8 && (bits <= 16 || !dtype.is_float()) => {
                    let place = self.numbers(&varints, elements, dtype, subject)?;
                    Storage { file: self.file_index, offset: place, len, strides: None }
                }
                _ => return self.opaque(described, name, "values as numbers of any length"),
            }
        } else if len == 0 {
            Storage { file: self.file_index, offset: range.start, len, strides: None }
        } else {
            return fail("it has no values");
        };
        Ok(Tensor { name, shape: described.shape, encoding, storage })
    }

    /// The tensor as one that is listed and not read.
    fn opaque(&self, described: Described, name: String, why: &'static str) -> Result<Tensor, FormatError> {
        let Range { start, end } = described.range;
        let storage = Storage { file: self.file_index, offset: start, len: end - start, strides: None };
        Ok(Tensor { name, shape: described.shape, encoding: Encoding::Opaque(why), storage })
    }

    /// Numbers of any length, brought to the width of their type and held.
    fn numbers(
        &mut self,
        varints: &Range<u64>,
        elements: u64,
        dtype: DType,
        subject: &str,
    ) -> Result<u64, FormatError> {
        let source = self.wire.source;
        let width = u64::from(dtype.bits() / 8);
        // Each takes a byte at least, and comes from at most ten.
        if elements > varints.end - varints.start {
            let reason = format!("its shape has {elements} elements, more than it has bytes");
            return Err(source.malformed(subject, varints.clone(), reason));
        }
        let len = elements * width;
        self.held = self.held.saturating_add(len);
        if self.held > self.limits.held_bytes {
            let what = "the bytes of tensors whose values are numbers of any length";
            return Err(source.limit(what, self.held, self.limits.held_bytes));
        }
        let mut bytes = Vec::new();
        let mut wire = super::Wire::new(source);
        wire.stream.skip(varints.start, subject)?;
        for _ in 0..elements {
            let value = wire.varint(varints.end, subject)?;
            bytes.extend_from_slice(value.to_le_bytes().get(..width as usize).unwrap_or_default());
        }
        if wire.stream.position() != varints.end {
            return Err(source.malformed(subject, varints.clone(), "it has more values than its shape"));
        }
        let place = self.derived.add(len, Kind::Held(bytes.into()));
        place.ok_or_else(|| source.malformed(subject, varints.clone(), "its size overflows 63 bits"))
    }

    /// The range of another file; nothing, and a hazard, where the location must not be followed.
    fn outside(
        &mut self,
        described: &Described,
        len: u64,
        name: &str,
        subject: &str,
    ) -> Result<Option<Storage>, FormatError> {
        let fail = |reason: String| Err(self.wire.source.malformed(subject, described.range.clone(), reason));
        let location = described.location.as_deref().unwrap_or_default();
        let plain =
            |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', ':', '\0']);
        if location.is_empty() || !location.split('/').all(plain) || location.chars().any(char::is_control) {
            self.hazards.part("external-path", Level::Danger, name, || {
                format!(
                    "its numbers are said to be in `{}`, which is no file of the model's directory: a loader would read it",
                    stemmata_model::printable(location)
                )
            });
            return Ok(None);
        }
        let number = |text: &Option<String>| match text {
            None => Ok(None),
            Some(text) if text.bytes().all(|b| b.is_ascii_digit()) => {
                text.parse::<u64>().map(Some).map_err(|_| ())
            }
            Some(_) => Err(()),
        };
        let (Ok(offset), Ok(length)) = (number(&described.offset), number(&described.length)) else {
            return fail("offset or length of its external data is no number below 2^64".into());
        };
        if length.is_some_and(|length| length != len) {
            return fail(format!(
                "its shape needs {len} bytes, its external data has {}",
                length.unwrap_or(0)
            ));
        }
        let known = self.external.iter().position(|file| file == location);
        let index = match known {
            Some(index) => index,
            None if self.external.len() as u64 >= self.limits.external_files => {
                let limit = self.limits.external_files;
                return Err(self.wire.source.limit("the number of files of external data", limit + 1, limit));
            }
            None => {
                self.external.push(location.to_owned());
                self.external.len() - 1
            }
        };
        let offset = offset.unwrap_or(0);
        if offset.checked_add(len).is_none() {
            return fail("its external data ends beyond 64 bits".into());
        }
        let file = self.file_index + 1 + index as u32;
        Ok(Some(Storage { file, offset, len, strides: None }))
    }
}
