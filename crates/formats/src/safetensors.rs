//! safetensors: a length, a JSON header, and tensors back to back.
//!
//! Stricter than the reference where that lets two readers of one file disagree: duplicate names are refused, and
//! everything else that the reference tolerates against its own description is a hazard.

use crate::document::Refusal;
use crate::hazards::Hazards;
use crate::json::{Kind, Scanner};
use crate::source::Source;
use crate::{FormatError, Limits, Parsed, ReadAt};
use std::collections::BTreeMap;
use stemmata_model::{Container, DType, Encoding, Level, Shape, Storage, Tensor, printable};

/// Nesting of an honest header is three: the header, an entry, a shape.
const HEADER_DEPTH: usize = 8;

/// Reads the inventory of one safetensors file.
pub fn parse(file: &dyn ReadAt, name: &str, file_index: u32, limits: &Limits) -> Result<Parsed, FormatError> {
    let source = Source::new(file, name);
    let length = u64::from_le_bytes(source.array(0, "the header length")?);
    if length > limits.header_bytes {
        return Err(source.limit("the header length in bytes", length, limits.header_bytes));
    }
    let header = source.read(8, length, "the header")?;
    let text = match std::str::from_utf8(&header) {
        Ok(text) => text,
        Err(error) => {
            let at = 8 + error.valid_up_to() as u64;
            return Err(source.malformed("the header", at..at + 1, "not UTF-8"));
        }
    };
    let mut hazards = Hazards::new(name);
    if !text.starts_with('{') {
        hazards.file("header-padding", Level::Warning, || {
            "the header does not start with `{`: readers disagree on such files".into()
        });
    }
    if crate::zip::find_end(&source)?.is_some() {
        hazards.file("polyglot", Level::Warning, || {
            "the file is also a zip archive: another reader would see other content".into()
        });
    }
    let mut reader = HeaderReader {
        source: &source,
        limits,
        hazards,
        file_index,
        data: 8 + length,
        tensors: Vec::new(),
        metadata: None,
    };
    reader.header(text).map_err(|refusal| refusal.into_format(&source.name, 8))?;
    let HeaderReader { mut tensors, metadata, hazards, data, .. } = reader;
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    unique(&source, &tensors)?;
    covered(&source, &tensors, data)?;
    let metadata = metadata.unwrap_or_default();
    Ok(Parsed { tensors, metadata, ..Parsed::of(Container::Safetensors, hazards.finish()) })
}

fn unique(source: &Source, tensors: &[Tensor]) -> Result<(), FormatError> {
    for pair in tensors.windows(2) {
        if pair[0].name == pair[1].name {
            let Storage { offset, len, .. } = pair[1].storage;
            return Err(source.malformed(
                subject(&pair[1].name),
                offset..offset + len,
                "the name occurs twice: readers disagree on which entry counts",
            ));
        }
    }
    Ok(())
}

/// Tensors must tile the data section: no hole to hide in, no overlap, nothing behind.
fn covered(source: &Source, tensors: &[Tensor], data: u64) -> Result<(), FormatError> {
    let mut order: Vec<&Tensor> = tensors.iter().collect();
    order.sort_by_key(|tensor| (tensor.storage.offset, tensor.storage.len));
    let mut end = data;
    for tensor in order {
        let Storage { offset, len, .. } = tensor.storage;
        if offset != end {
            let problem =
                if offset < end { "overlaps another tensor, which ends" } else { "leaves a hole from" };
            return Err(source.malformed(
                subject(&tensor.name),
                offset..offset + len,
                format!("{problem} at byte {end}"),
            ));
        }
        end = offset + len;
    }
    if end != source.len {
        return Err(source.malformed("data", end..source.len, "bytes behind the last tensor"));
    }
    Ok(())
}

fn subject(name: &str) -> String {
    format!("tensor `{}`", printable(name))
}

struct HeaderReader<'a, 's> {
    source: &'s Source<'a>,
    limits: &'s Limits,
    hazards: Hazards,
    file_index: u32,
    /// First byte of the data section.
    data: u64,
    tensors: Vec<Tensor>,
    metadata: Option<BTreeMap<String, String>>,
}

impl HeaderReader<'_, '_> {
    fn header(&mut self, text: &str) -> Result<(), Refusal> {
        let mut scanner = Scanner::new(text, HEADER_DEPTH);
        scanner.object(|scanner, key| {
            if key == "__metadata__" {
                return self.metadata(scanner);
            }
            let tensor = self.entry(scanner, &key)?;
            self.hazards.tensor_name(&tensor.name);
            self.tensors.push(tensor);
            Ok(())
        })?;
        scanner.end()?;
        Ok(())
    }

    fn metadata(&mut self, scanner: &mut Scanner) -> Result<(), Refusal> {
        if self.metadata.is_some() {
            return Ok(scanner.fail("`__metadata__` occurs twice")?);
        }
        // MLX writes this where it has nothing to say, and the reference takes it.
        if scanner.kind()? == Kind::Null {
            scanner.skip()?;
            self.metadata = Some(BTreeMap::new());
            return Ok(());
        }
        let mut map = BTreeMap::new();
        scanner.object(|scanner, key| {
            let value = scanner.string()?;
            if map.insert(key.into_owned(), value.into_owned()).is_some() {
                return Ok(scanner.fail("a key of `__metadata__` occurs twice")?);
            }
            let (count, limit) = (map.len() as u64, self.limits.config_entries as u64);
            if count > limit {
                return Err(self
                    .source
                    .limit("the number of keys in `__metadata__` so far", count, limit)
                    .into());
            }
            Ok::<_, Refusal>(())
        })?;
        self.metadata = Some(map);
        Ok(())
    }

    fn entry(&mut self, scanner: &mut Scanner, name: &str) -> Result<Tensor, Refusal> {
        if self.tensors.len() as u64 >= self.limits.tensors {
            let count = self.tensors.len() as u64 + 1;
            return Err(self.source.limit("the number of tensors so far", count, self.limits.tensors).into());
        }
        if name.len() > self.limits.name_bytes {
            let what = format!("the name length in bytes of {}", subject(name));
            return Err(self.source.limit(what, name.len() as u64, self.limits.name_bytes as u64).into());
        }
        let at = 8 + scanner.offset() as u64;
        let fail = |reason: &str| Err(self.source.malformed(subject(name), at..at + 1, reason).into());
        let mut dtype = None;
        let mut shape: Option<Shape> = None;
        let mut offsets: Option<Vec<u64>> = None;
        let mut unknown = None;
        scanner.object(|scanner, field| {
            let repeated = match &*field {
                "dtype" => dtype.replace(scanner.string()?.into_owned()).is_some(),
                "shape" => {
                    let extents = numbers(scanner, self.limits.rank, || {
                        let rank = self.limits.rank as u64;
                        self.source.limit(format!("the rank of {}", subject(name)), rank + 1, rank)
                    })?;
                    shape.replace(extents).is_some()
                }
                "data_offsets" => {
                    let pair = numbers(scanner, 2, || {
                        self.source.malformed(subject(name), at..at + 1, "more than two data offsets")
                    })?;
                    offsets.replace(pair).is_some()
                }
                _ => {
                    unknown.get_or_insert_with(|| printable(&field));
                    scanner.skip()?;
                    false
                }
            };
            if repeated {
                return Ok(scanner.fail("a field of a tensor occurs twice")?);
            }
            Ok::<_, Refusal>(())
        })?;
        let (Some(dtype), Some(shape), Some(offsets)) = (dtype, shape, offsets) else {
            return fail("`dtype`, `shape` or `data_offsets` is missing");
        };
        let [begin, end] = offsets[..] else {
            return fail("`data_offsets` must hold two numbers");
        };
        if end < begin {
            return fail("`data_offsets` run backwards");
        }
        let encoding = dtype_named(&dtype);
        let len = end - begin;
        let offset = self.data.saturating_add(begin);
        self.source.end(offset, len, &subject(name))?;
        self.size(name, &shape, encoding, offset, len)?;
        if let Some(field) = unknown {
            self.hazards.part("unknown-field", Level::Warning, name, || {
                format!("the entry has a field `{field}` that the format does not define")
            });
        }
        if encoding.is_none() {
            self.hazards.part("unknown-dtype", Level::Warning, name, || {
                format!("dtype `{}` is not known: the tensor's size cannot be checked", printable(&dtype))
            });
        }
        Ok(Tensor {
            name: name.to_owned(),
            shape,
            encoding: encoding.map_or(Encoding::Opaque("unknown dtype"), Encoding::Plain),
            storage: Storage { file: self.file_index, offset, len, strides: None },
        })
    }

    /// Checks that shape and dtype take exactly the bytes that the offsets span.
    fn size(
        &mut self,
        name: &str,
        shape: &[u64],
        dtype: Option<DType>,
        offset: u64,
        len: u64,
    ) -> Result<(), FormatError> {
        let fail = |reason: String| Err(self.source.malformed(subject(name), offset..offset + len, reason));
        // Zero extents must not hide an overflow: a reader that multiplies in another order would meet it.
        let product = shape.iter().try_fold(1u64, |product, extent| product.checked_mul((*extent).max(1)));
        let bits = u64::from(dtype.map_or(1, DType::bits));
        let Some(bits) = product.and_then(|product| product.checked_mul(bits)) else {
            return fail("the product of its shape overflows 64 bits".into());
        };
        let bits = if shape.contains(&0) { 0 } else { bits };
        if shape.contains(&0) && shape.iter().any(|extent| *extent > 1 << 31) {
            self.hazards.part("absurd-shape", Level::Warning, name, || {
                "an empty tensor with a huge extent: its size may overflow in another reader".into()
            });
        }
        let Some(dtype) = dtype else { return Ok(()) };
        if bits % 8 != 0 {
            return fail(format!("shape and dtype `{}` do not end on a byte boundary", dtype.name()));
        }
        if bits / 8 != len {
            return fail(format!(
                "shape and dtype `{}` need {} bytes, the offsets span {len}",
                dtype.name(),
                bits / 8
            ));
        }
        Ok(())
    }
}

/// An array of at most `most` non-negative integers.
fn numbers(
    scanner: &mut Scanner,
    most: usize,
    too_many: impl Fn() -> FormatError,
) -> Result<Vec<u64>, Refusal> {
    let mut list = Vec::new();
    scanner.array(|scanner| {
        if list.len() == most {
            return Err(too_many().into());
        }
        list.push(scanner.unsigned()?);
        Ok::<_, Refusal>(())
    })?;
    Ok(list)
}

fn dtype_named(name: &str) -> Option<DType> {
    use DType::*;
    Some(match name {
        "F64" => F64,
        "F32" => F32,
        "F16" => F16,
        "BF16" => BF16,
        "F8_E4M3" => F8E4M3,
        "F8_E5M2" => F8E5M2,
        "F8_E8M0" => F8E8M0,
        "F8_E4M3FNUZ" => F8E4M3Fnuz,
        "F8_E5M2FNUZ" => F8E5M2Fnuz,
        "F6_E2M3" => F6E2M3,
        "F6_E3M2" => F6E3M2,
        "F4" => F4,
        "I64" => I64,
        "I32" => I32,
        "I16" => I16,
        "I8" => I8,
        "U64" => U64,
        "U32" => U32,
        "U16" => U16,
        "U8" => U8,
        "BOOL" => Bool,
        "C64" => C64,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: usize) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        bytes
    }

    fn check(header: &str, data: usize, expect: Result<&str, &str>) {
        let outcome = parse(&file(header, data), "f.safetensors", 0, &Limits::default());
        match (outcome, expect) {
            (Ok(parsed), Ok(code)) => {
                let codes: Vec<_> = parsed.hazards.iter().map(|hazard| hazard.code).collect();
                assert_eq!(codes.join(","), code, "{header}");
            }
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{header}: {error}"),
            (outcome, expect) => panic!("{header}: {outcome:?}, expected {expect:?}"),
        }
    }

    #[test]
    fn headers() {
        check("{}", 0, Ok(""));
        check(r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, 8, Ok(""));
        check(r#"{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}   "#, 4, Ok(""));
        check(r#" {"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}"#, 4, Ok("header-padding"));
        check(r#"{"a":{"dtype":"Q9","shape":[9],"data_offsets":[0,4]}}"#, 4, Ok("unknown-dtype"));
        check(r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4],"x":[{}]}}"#, 4, Ok("unknown-field"));
        check(r#"{"a":{"dtype":"U8","shape":[0,8589934592],"data_offsets":[0,0]}}"#, 0, Ok("absurd-shape"));
        check(
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#,
            4,
            Err("tensor `a` claims bytes 62..70, the file ends at 66"),
        );
        check(
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#,
            4,
            Err("need 8 bytes, the offsets span 4"),
        );
        check(r#"{"a":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}}"#, 2, Err("byte boundary"));
        check(r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#, 2, Err("behind the last tensor"));
        check(r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"#, 2, Err("hole"));
        check(
            r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"#,
            2,
            Err("occurs twice"),
        );
        check(
            r#"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"#,
            2,
            Err("overlaps"),
        );
        check(r#"{"__metadata__":null}"#, 0, Ok(""));
        check(r#"{"__metadata__":{"a":1}}"#, 0, Err("expected a string"));
        check(r#"[]"#, 0, Err("expected an object"));
    }
}
