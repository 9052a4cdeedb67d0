//! Flax checkpoints: nested maps in MessagePack whose leaves are arrays, extension type 1.
//!
//! Names of nested maps are joined by dots. Arrays that were too long for one item come in chunks, which are put together.
//! Nothing is unpacked into memory: only names, shapes and places are kept.

use crate::derived::{Derived, Kind};
use crate::hazards::Hazards;
use crate::source::{Source, Stream};
use crate::{FormatError, Limits, Parsed, ReadAt};
use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use stemmata_model::{Container, DType, Encoding, Level, Shape, Storage, Tensor, printable};

/// Extension types of Flax: an array, and a scalar written as one.
const ARRAY: u8 = 1;
const SCALAR: u8 = 3;
const CHUNKED: &str = "__msgpack_chunked_array__";
/// Pieces of one array, at most: a chunk has 2^30 bytes.
const CHUNKS: usize = 4096;

/// Whether a file that starts like this is a map of names, as Flax writes it.
pub(crate) fn looks_like(head: &[u8], len: u64) -> bool {
    let (count, at) = match head {
        [first @ 0x81..=0x8f, ..] => (u64::from(first & 15), 1),
        [0xde, a, b, ..] => (u64::from(u16::from_be_bytes([*a, *b])), 3),
        [0xdf, a, b, c, d, ..] => (u64::from(u32::from_be_bytes([*a, *b, *c, *d])), 5),
        _ => return false,
    };
    let (name, size) = match head.get(at..) {
        Some([first @ 0xa0..=0xbf, rest @ ..]) => (rest, usize::from(first & 31)),
        Some([0xd9, size, rest @ ..]) => (rest, usize::from(*size)),
        _ => return false,
    };
    let text = name.get(..size).map(std::str::from_utf8);
    count > 0 && count <= len / 2 && matches!(text, Some(Ok(text)) if text.chars().all(|c| !c.is_control()))
}

/// Reads the inventory of one file.
pub fn parse(file: &dyn ReadAt, name: &str, file_index: u32, limits: &Limits) -> Result<Parsed, FormatError> {
    let source = Source::new(file, name);
    let mut walk = Walk {
        source: &source,
        stream: Stream::new(&source, 0),
        file_index,
        limits,
        hazards: Hazards::new(name),
        derived: Derived::behind(source.len),
        tensors: BTreeMap::new(),
        levels: Vec::new(),
    };
    walk.run()?;
    if walk.stream.remaining() > 0 {
        let at = walk.stream.position();
        walk.hazards.file("trailing-bytes", Level::Warning, || {
            format!("bytes {at}..{} behind the outermost map belong to no tensor", source.len)
        });
    }
    if walk.tensors.is_empty() {
        walk.hazards.file("no-tensors", Level::Warning, || "no tensor was found in the file".into());
    }
    let Walk { hazards, derived, tensors, .. } = walk;
    let tensors = tensors.into_values().collect();
    Ok(Parsed { tensors, derived, ..Parsed::of(Container::Msgpack, hazards.finish()) })
}

/// A map or list that is being read.
struct Held {
    /// Entries that are left.
    left: u64,
    /// Length of the path that leads here.
    path: usize,
    /// Next index of a list; nothing for a map.
    index: Option<u64>,
    /// Names that the map had.
    names: HashSet<String>,
    chunked: Option<Chunked>,
    /// Which part of a chunked array this level is.
    part: Part,
}

/// What belongs to a chunked array.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    None,
    Shape,
    Chunks,
}

#[derive(Default)]
struct Chunked {
    shape: BTreeMap<u64, u64>,
    chunks: BTreeMap<u64, Leaf>,
}

/// An array where it stands.
struct Leaf {
    shape: Shape,
    dtype: String,
    bytes: Range<u64>,
}

/// What an item begins with.
enum Item {
    Map(u64),
    List(u64),
    Text(u64),
    Binary(u64),
    Extension(u8, u64),
    Number(u64),
    Other,
}

struct Walk<'a, 's, 'l> {
    source: &'s Source<'a>,
    stream: Stream<'a, 's>,
    file_index: u32,
    limits: &'l Limits,
    hazards: Hazards,
    derived: Derived,
    tensors: BTreeMap<String, Tensor>,
    levels: Vec<Held>,
}

impl Walk<'_, '_, '_> {
    fn run(&mut self) -> Result<(), FormatError> {
        let Item::Map(count) = self.item("the outermost map")? else {
            return Err(self.source.malformed("the outermost item", 0..1, "not a map"));
        };
        let mut path = String::new();
        self.enter(count, false, 0, Part::None)?;
        while let Some(level) = self.levels.last_mut() {
            path.truncate(level.path);
            if level.left == 0 {
                self.leave(&path)?;
                continue;
            }
            level.left -= 1;
            let part = level.part;
            let key = match &mut level.index {
                Some(index) => {
                    *index += 1;
                    (*index - 1).to_string()
                }
                None => self.key(&path)?,
            };
            let parent = path.len();
            if !path.is_empty() && !key.is_empty() {
                path.push('.');
            }
            path.push_str(&key);
            if path.len() > self.limits.name_bytes {
                let (claimed, limit) = (path.len() as u64, self.limits.name_bytes as u64);
                return Err(self.source.limit("the length in bytes of a joined name", claimed, limit));
            }
            self.value(&path, &key, parent, part)?;
        }
        Ok(())
    }

    fn enter(&mut self, left: u64, is_list: bool, path: usize, part: Part) -> Result<(), FormatError> {
        // Every entry has a byte at least, of a map two.
        let least = if is_list { left } else { left.saturating_mul(2) };
        self.source.end(self.stream.position(), least, "a map or list")?;
        let (depth, limit) = (self.levels.len() as u64 + 1, self.limits.json_depth as u64);
        if depth > limit {
            return Err(self.source.limit("the nesting of maps and lists", depth, limit));
        }
        let index = is_list.then_some(0);
        self.levels.push(Held { left, path, index, names: HashSet::new(), chunked: None, part });
        Ok(())
    }

    fn leave(&mut self, path: &str) -> Result<(), FormatError> {
        let Some(level) = self.levels.pop() else { return Ok(()) };
        match level.chunked {
            Some(chunked) => self.join(path, chunked),
            None => Ok(()),
        }
    }

    fn key(&mut self, path: &str) -> Result<String, FormatError> {
        let at = self.stream.position();
        let text = match self.item("a key")? {
            Item::Text(len) | Item::Binary(len) => self.text(len, "a key")?,
            Item::Number(number) => number.to_string(),
            _ => {
                return Err(self.source.malformed(
                    format!("a key below `{}`", printable(path)),
                    at..at + 1,
                    "neither text nor a number",
                ));
            }
        };
        let twice = self.levels.last_mut().is_some_and(|level| !level.names.insert(text.clone()));
        if twice {
            let subject = format!("key `{}` below `{}`", printable(&text), printable(path));
            return Err(self.source.malformed(subject, at..self.stream.position(), "the key occurs twice"));
        }
        Ok(text)
    }

    fn text(&mut self, len: u64, subject: &str) -> Result<String, FormatError> {
        let most = self.limits.name_bytes as u64;
        if len > most {
            return Err(self.source.limit(format!("the length in bytes of {subject}"), len, most));
        }
        Ok(String::from_utf8_lossy(self.stream.bytes(len, subject)?).into_owned())
    }

    /// The value of an entry whose name `path` ends in `key`; `parent` is the length of the name of what it lies in.
    fn value(&mut self, path: &str, key: &str, parent: usize, part: Part) -> Result<(), FormatError> {
        let at = self.stream.position();
        let subject = format!("tensor `{}`", printable(path));
        let item = self.item(&subject)?;
        let index = || key.parse::<u64>().ok();
        match item {
            Item::Map(count) => {
                let is_chunked = self.levels.last().is_some_and(|level| level.chunked.is_some());
                let (length, part) = match key {
                    "shape" if is_chunked => (parent, Part::Shape),
                    "chunks" if is_chunked => (parent, Part::Chunks),
                    _ => (path.len(), Part::None),
                };
                self.enter(count, false, length, part)
            }
            Item::List(count) => self.enter(count, true, path.len(), Part::None),
            Item::Text(len) | Item::Binary(len) => {
                // msgpack-numpy: a map with `kind` `O` holds a pickle.
                if key == "kind" && len == 1 && self.stream.bytes(1, &subject)? == b"O" {
                    self.hazards.part("pickle-inside", Level::Danger, path, || {
                        "an array of Python objects: a loader that knows the kind would run the pickle inside".into()
                    });
                    return Ok(());
                }
                self.stream.skip(len - u64::from(key == "kind" && len == 1), &subject)
            }
            Item::Extension(ARRAY | SCALAR, len) => {
                let leaf = self.leaf(at, len, &subject)?;
                if part == Part::Chunks {
                    return self.chunk(index(), leaf, &subject);
                }
                self.keep(path.to_owned(), leaf.shape, &leaf.dtype, vec![leaf.bytes])
            }
            Item::Extension(kind, len) => {
                self.hazards.part("unknown-extension", Level::Note, path, || {
                    format!("extension type {kind} is none of Flax's arrays; it was passed over")
                });
                self.stream.skip(len, &subject)
            }
            Item::Number(number) => {
                let holder = self.levels.len().checked_sub(2).and_then(|at| self.levels.get_mut(at));
                if let (Part::Shape, Some(index), Some(chunked)) =
                    (part, index(), holder.and_then(|level| level.chunked.as_mut()))
                {
                    chunked.shape.insert(index, number);
                }
                Ok(())
            }
            Item::Other => {
                if key == CHUNKED
                    && let Some(level) = self.levels.last_mut()
                {
                    level.chunked = Some(Chunked::default());
                }
                Ok(())
            }
        }
    }

    fn chunk(&mut self, index: Option<u64>, leaf: Leaf, subject: &str) -> Result<(), FormatError> {
        let bytes = leaf.bytes.clone();
        let holder = self.levels.len().checked_sub(2).and_then(|at| self.levels.get_mut(at));
        let chunked = holder.and_then(|level| level.chunked.as_mut());
        match (index, chunked) {
            (Some(index), Some(chunked)) if chunked.chunks.len() < CHUNKS => {
                chunked.chunks.insert(index, leaf);
                Ok(())
            }
            _ => {
                Err(self.source.malformed(subject, bytes, "a chunk that is not numbered, or one of too many"))
            }
        }
    }

    /// A chunked array as one tensor.
    fn join(&mut self, path: &str, chunked: Chunked) -> Result<(), FormatError> {
        let at = self.stream.position();
        let fail =
            |reason: &str| Err(self.source.malformed(format!("tensor `{}`", printable(path)), 0..at, reason));
        let numbered =
            |count: usize, last: Option<&u64>| last.map_or(0, |last| last.saturating_add(1)) == count as u64;
        let whole = numbered(chunked.shape.len(), chunked.shape.keys().next_back())
            && numbered(chunked.chunks.len(), chunked.chunks.keys().next_back());
        if !whole || chunked.chunks.is_empty() || chunked.shape.len() > self.limits.rank {
            return fail("its chunks or its extents are not numbered without gaps");
        }
        let mut leaves = chunked.chunks.into_values();
        let Some(first) = leaves.next() else { return fail("it has no chunks") };
        let mut bytes = vec![first.bytes];
        for leaf in leaves {
            if leaf.dtype != first.dtype {
                return fail("its chunks have different types");
            }
            bytes.push(leaf.bytes);
        }
        self.keep(path.to_owned(), chunked.shape.into_values().collect(), &first.dtype, bytes)
    }

    /// An array: a list of shape, name of the type, and bytes.
    fn leaf(&mut self, at: u64, len: u64, subject: &str) -> Result<Leaf, FormatError> {
        let start = self.stream.position();
        let end = self.source.end(start, len, subject)?;
        let fail = |reason: &str| Err(self.source.malformed(subject, at..end, reason));
        if !matches!(self.item(subject)?, Item::List(3)) {
            return fail("its array is not a list of shape, type and bytes");
        }
        let Item::List(rank) = self.item(subject)? else { return fail("its shape is no list") };
        if rank > self.limits.rank as u64 {
            return Err(self.source.limit(format!("the rank of {subject}"), rank, self.limits.rank as u64));
        }
        let mut shape = Shape::new();
        for _ in 0..rank {
            let Item::Number(extent) = self.item(subject)? else {
                return fail("an extent is no number that an array can have");
            };
            shape.push(extent);
        }
        let (Item::Text(name) | Item::Binary(name)) = self.item(subject)? else {
            return fail("its type is no text");
        };
        let dtype = self.text(name, subject)?;
        let (Item::Binary(size) | Item::Text(size)) = self.item(subject)? else {
            return fail("its bytes are none");
        };
        let first = self.stream.position();
        if first.checked_add(size) != Some(end) {
            return fail("its bytes do not end where the item ends");
        }
        self.stream.skip(size, subject)?;
        Ok(Leaf { shape, dtype, bytes: first..end })
    }

    fn keep(
        &mut self,
        name: String,
        shape: Shape,
        dtype: &str,
        bytes: Vec<Range<u64>>,
    ) -> Result<(), FormatError> {
        let subject = format!("tensor `{}`", printable(&name));
        let (count, limit) = (self.tensors.len() as u64 + 1, self.limits.tensors);
        if count > limit {
            return Err(self.source.limit("the number of tensors so far", count, limit));
        }
        self.hazards.tensor_name(&name);
        let all = bytes.first().map_or(0, |range| range.start)..bytes.last().map_or(0, |range| range.end);
        let len: u64 = bytes.iter().map(|range| range.end - range.start).sum();
        let elements = shape.iter().try_fold(1u64, |all, extent| all.checked_mul((*extent).max(1)));
        let Some(elements) = elements.filter(|elements| *elements < 1 << 63) else {
            return Err(self.source.malformed(subject, all, "the product of its shape overflows 63 bits"));
        };
        let elements = if shape.contains(&0) { 0 } else { elements };
        let encoding = encoding(dtype);
        if let Encoding::Plain(dtype) = encoding {
            let needed = elements.checked_mul(u64::from(dtype.bits() / 8));
            if needed != Some(len) {
                let reason =
                    format!("shape and type `{}` do not need the {len} bytes that it has", dtype.name());
                return Err(self.source.malformed(subject, all, reason));
            }
        } else {
            self.hazards.part("unknown-dtype", Level::Warning, &name, || {
                format!("type `{}` is not known; the tensor is listed and not read", printable(dtype))
            });
        }
        let offset = match bytes.as_slice() {
            [one] => one.start,
            _ => match self.derived.add(len, Kind::Joined(bytes)) {
                Some(place) => place,
                None => return Err(self.source.malformed(subject, all, "its size overflows 63 bits")),
            },
        };
        let storage = Storage { file: self.file_index, offset, len, strides: None };
        let tensor = Tensor { name: name.clone(), shape, encoding, storage };
        if self.tensors.insert(name, tensor).is_some() {
            return Err(self.source.malformed(subject, all, "two paths of maps lead to this name"));
        }
        Ok(())
    }

    /// The head of the next item; texts, bytes and extensions still have to be read or skipped.
    fn item(&mut self, subject: &str) -> Result<Item, FormatError> {
        let at = self.stream.position();
        let first = self.number(1, subject)? as u8;
        Ok(match first {
            0..=0x7f => Item::Number(first.into()),
            0x80..=0x8f => Item::Map(u64::from(first & 15)),
            0x90..=0x9f => Item::List(u64::from(first & 15)),
            0xa0..=0xbf => Item::Text(u64::from(first & 31)),
            0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff => Item::Other,
            0xc1 => {
                return Err(self.source.malformed(
                    subject,
                    at..at + 1,
                    "byte 0xc1, which MessagePack never uses",
                ));
            }
            0xc4..=0xc6 => Item::Binary(self.number(1 << (first - 0xc4), subject)?),
            0xc7..=0xc9 => {
                let len = self.number(1 << (first - 0xc7), subject)?;
                Item::Extension(self.number(1, subject)? as u8, len)
            }
            0xca => self.passed(4, subject)?,
            0xcb => self.passed(8, subject)?,
            0xcc..=0xcf => Item::Number(self.number(1 << (first - 0xcc), subject)?),
            0xd0..=0xd3 => {
                let width = 1 << (first - 0xd0);
                let number = self.number(width, subject)?;
                if number >> (8 * width - 1) == 0 { Item::Number(number) } else { Item::Other }
            }
            0xd4..=0xd8 => Item::Extension(self.number(1, subject)? as u8, 1 << (first - 0xd4)),
            0xd9..=0xdb => Item::Text(self.number(1 << (first - 0xd9), subject)?),
            0xdc | 0xdd => Item::List(self.number(2 << (first - 0xdc), subject)?),
            0xde | 0xdf => Item::Map(self.number(2 << (first - 0xde), subject)?),
        })
    }

    fn passed(&mut self, len: u64, subject: &str) -> Result<Item, FormatError> {
        self.stream.skip(len, subject)?;
        Ok(Item::Other)
    }

    /// A number of so many bytes, most significant first.
    fn number(&mut self, width: u64, subject: &str) -> Result<u64, FormatError> {
        let bytes = self.stream.bytes(width, subject)?;
        Ok(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }
}

/// Names of NumPy's types and of those that `ml_dtypes` adds.
fn encoding(name: &str) -> Encoding {
    Encoding::Plain(match name {
        "float64" => DType::F64,
        "float32" => DType::F32,
        "float16" => DType::F16,
        "bfloat16" => DType::BF16,
        "float8_e4m3fn" => DType::F8E4M3,
        "float8_e5m2" => DType::F8E5M2,
        "float8_e4m3fnuz" => DType::F8E4M3Fnuz,
        "float8_e5m2fnuz" => DType::F8E5M2Fnuz,
        "float8_e8m0fnu" => DType::F8E8M0,
        "int64" => DType::I64,
        "int32" => DType::I32,
        "int16" => DType::I16,
        "int8" => DType::I8,
        "uint64" => DType::U64,
        "uint32" => DType::U32,
        "uint16" => DType::U16,
        "uint8" => DType::U8,
        "bool" => DType::Bool,
        "complex64" => DType::C64,
        _ => return Encoding::Opaque("unknown type"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expect: Result<&[(&str, &[u64])], &str>) {
        let found = parse(&bytes, "f.msgpack", 0, &Limits::default());
        match (&found, expect) {
            (Ok(parsed), Ok(expect)) => {
                let found: Vec<_> =
                    parsed.tensors.iter().map(|t| (t.name.as_str(), t.shape.as_slice())).collect();
                assert_eq!(found, expect);
            }
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            _ => panic!("{found:?}"),
        }
    }

    #[test]
    fn maps_and_arrays() {
        let leaf = b"\xc7\x0c\x01\x93\x91\x02\xa5int16\xc4\x04\x01\x00\x02\x00";
        // The list above: 1 + 2 + 6 + 2 + 4 bytes.
        let mut leaf = leaf.to_vec();
        leaf[1] = (leaf.len() - 3) as u8;
        check(&[b"\x81\xa1a\x81\xa1b", &leaf[..]].concat(), Ok(&[("a.b", &[2])]));
        check(&[b"\x82\xa1a\x91", &leaf[..], b"\xa1b\x07"].concat(), Ok(&[("a.0", &[2])]));
        check(&[b"\x82\xa1a", &leaf[..], b"\xa1a\x07"].concat(), Err("occurs twice"));
        check(&[b"\x81\xa1a", &leaf[..leaf.len() - 1]].concat(), Err("the file ends at"));
        check(b"\xdf\xff\xff\xff\xff\xa1a", Err("the file ends at"));
        check(b"\x81\xa1a\xc1", Err("0xc1"));
        check(b"\x91\xa1a", Err("not a map"));
        check(&b"\x81\xa1a".repeat(100), Err("nesting"));
    }
}
