//! NumPy's arrays: one `.npy`, or a zip archive of them (`.npz`), stored or deflated.
//!
//! The header is a Python literal; it is scanned, never evaluated. An array of objects is a pickle, which is read for what it
//! would call and for nothing else.

use crate::derived::{Derived, Kind};
use crate::hazards::Hazards;
use crate::source::Source;
use crate::zip::{self, Entry};
use crate::{FormatError, Limits, Parsed, ReadAt, torch};
use stemmata_model::{Container, DType, Encoding, Level, Shape, Storage, Tensor, printable};

const MAGIC: &[u8] = b"\x93NUMPY";
/// NumPy itself refuses headers of more than 10 000 bytes unless it is told that the file is trusted.
const HEADER_BYTES: u64 = 1 << 16;
const END: &str = ".npy";
const STORED: u16 = 0;
const DEFLATED: u16 = 8;

/// Whether an archive's entry is an array.
pub(crate) fn is_array(name: &str) -> bool {
    name.ends_with(END)
}

/// Reads the inventory of one `.npy` or `.npz`.
pub fn parse(file: &dyn ReadAt, name: &str, file_index: u32, limits: &Limits) -> Result<Parsed, FormatError> {
    let source = Source::new(file, name);
    let mut reader = Reader {
        file,
        source: &source,
        file_index,
        limits,
        hazards: Hazards::new(name),
        derived: Derived::behind(source.len),
        tensors: Vec::new(),
    };
    let container = if source.head::<6>()? == MAGIC {
        let stem = name.rsplit('/').next().unwrap_or(name);
        let stem = stem.strip_suffix(END).unwrap_or(stem).to_owned();
        reader.array(stem, &Bytes { start: 0, len: source.len, packed: None })?;
        Container::Npy
    } else {
        reader.archive()?;
        Container::Npz
    };
    if reader.tensors.is_empty() {
        reader.hazards.file("no-tensors", Level::Warning, || "no tensor was found in the file".into());
    }
    let Reader { hazards, derived, mut tensors, .. } = reader;
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Parsed { tensors, derived, ..Parsed::of(container, hazards.finish()) })
}

/// Where an array with its header stands.
struct Bytes {
    /// In the file, or behind its end where it is deflated.
    start: u64,
    len: u64,
    packed: Option<u64>,
}

struct Reader<'a, 's> {
    file: &'a dyn ReadAt,
    source: &'s Source<'a>,
    file_index: u32,
    limits: &'s Limits,
    hazards: Hazards,
    derived: Derived,
    tensors: Vec<Tensor>,
}

impl Reader<'_, '_> {
    fn archive(&mut self) -> Result<(), FormatError> {
        let Some(end) = zip::find_end(self.source)? else {
            return Err(FormatError::Truncated {
                file: self.source.name.clone(),
                subject: "the zip directory, which stands at the end,".into(),
                start: 0,
                end: self.source.len.saturating_add(1),
                place: "the file",
                available: self.source.len,
            });
        };
        let mut entries = zip::directory(self.source, &end, self.limits, &mut self.hazards)?;
        zip::locate(self.source, &end, &mut entries, &mut self.hazards)?;
        let arrays = entries.iter().filter(|entry| is_array(&entry.name)).count() as u64;
        if arrays > self.limits.tensors {
            return Err(self.source.limit("the number of arrays", arrays, self.limits.tensors));
        }
        if let Some(other) = entries.iter().find(|entry| !is_array(&entry.name)) {
            self.hazards.part("other-entries", Level::Note, &other.name, || {
                "the archive holds entries that are no arrays; they were not read".into()
            });
        }
        for entry in entries.iter().filter(|entry| is_array(&entry.name)) {
            let bytes = self.entry(entry)?;
            let name = entry.name.strip_suffix(END).unwrap_or(&entry.name).to_owned();
            self.hazards.tensor_name(&name);
            self.array(name, &bytes)?;
        }
        Ok(())
    }

    fn entry(&mut self, entry: &Entry) -> Result<Bytes, FormatError> {
        let subject = format!("zip entry `{}`", printable(&entry.name));
        match entry.method {
            STORED if entry.packed == entry.size => {
                Ok(Bytes { start: entry.data, len: entry.size, packed: None })
            }
            STORED => {
                let range = entry.data..entry.data + entry.packed;
                Err(self.source.malformed(subject, range, "it is stored, and its two sizes differ"))
            }
            DEFLATED => {
                let most = entry.packed.saturating_mul(self.limits.inflation).max(self.limits.inflated_bytes);
                if entry.size > most {
                    return Err(self.source.limit(
                        format!("{subject} in bytes, once inflated,"),
                        entry.size,
                        most,
                    ));
                }
                let range = entry.data..entry.data + entry.packed;
                let start = self.derived.add(entry.size, Kind::Deflated(range.clone()));
                let start =
                    start.ok_or_else(|| self.source.malformed(subject, range, "its size overflows"))?;
                Ok(Bytes { start, len: entry.size, packed: Some(entry.packed) })
            }
            method => {
                let reason = "arrays are read stored or deflated, as NumPy writes them";
                Err(self.source.unsupported(format!("{subject} with method {method}"), reason))
            }
        }
    }

    fn read(&self, bytes: &Bytes, at: u64, len: u64, subject: &str) -> Result<Vec<u8>, FormatError> {
        if at.checked_add(len).is_none_or(|end| end > bytes.len) {
            return Err(FormatError::Truncated {
                file: self.source.name.clone(),
                subject: subject.to_owned(),
                start: at,
                end: at.saturating_add(len),
                place: "the array's file",
                available: bytes.len,
            });
        }
        if bytes.packed.is_none() {
            return self.source.read(bytes.start + at, len, subject);
        }
        let mut out = vec![0; len as usize];
        let (start, end) = (bytes.start + at, bytes.start + at + len);
        self.derived.read_exact_at(self.file, start, &mut out).map_err(|source| match source.kind() {
            std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof => self.source.malformed(
                subject,
                at..at + len,
                "its compressed bytes are broken or end before that",
            ),
            _ => FormatError::Io { file: self.source.name.clone(), start, end, source },
        })?;
        Ok(out)
    }

    /// Reads the header of one array.
    fn array(&mut self, name: String, bytes: &Bytes) -> Result<(), FormatError> {
        let subject = format!("tensor `{}`", printable(&name));
        if name.len() > self.limits.name_bytes {
            let what = format!("the name length in bytes of {subject}");
            return Err(self.source.limit(what, name.len() as u64, self.limits.name_bytes as u64));
        }
        let front = self.read(bytes, 0, 8, &subject)?;
        let fail = |end: u64, reason: String| {
            let start = if bytes.packed.is_some() { 0 } else { bytes.start };
            Err(self.source.malformed(subject.clone(), start..start + end, reason))
        };
        if !front.starts_with(MAGIC) {
            return fail(8, "it does not begin as a NumPy array".into());
        }
        let (major, size_bytes) = (front[6], if front[6] == 1 { 2 } else { 4 });
        if !(1..=3).contains(&major) {
            return fail(8, format!("version {major} of the array format is not known"));
        }
        let size = self.read(bytes, 8, size_bytes, &subject)?;
        let size = size.iter().rev().fold(0u64, |size, byte| size << 8 | u64::from(*byte));
        if size > HEADER_BYTES {
            return Err(self.source.limit(format!("the header of {subject} in bytes"), size, HEADER_BYTES));
        }
        let data = 8 + size_bytes + size;
        let text = self.read(bytes, 8 + size_bytes, size, &subject)?;
        let header = match header(&String::from_utf8_lossy(&text), self.limits.rank) {
            Ok(header) => header,
            Err(reason) => return fail(data, format!("its header {reason}")),
        };
        let elements = header.shape.iter().try_fold(1u64, |all, extent| all.checked_mul((*extent).max(1)));
        let Some(elements) = elements.filter(|all| *all < 1 << 63) else {
            return fail(data, "the product of its shape overflows 63 bits".into());
        };
        let elements = if header.shape.contains(&0) { 0 } else { elements };
        let element = Element::of(&header.descr);
        if let Element::Objects = element {
            return self.objects(name, header, bytes, data);
        }
        let (encoding, width, turned) = match element {
            Element::Number(dtype, turned) => (Encoding::Plain(dtype), u64::from(dtype.bits() / 8), turned),
            Element::Other(kind, width) => (Encoding::Opaque(kind), width, false),
            Element::Objects => (Encoding::Opaque("Python objects"), 0, false),
        };
        let Some(len) = elements.checked_mul(width) else {
            return fail(data, "its size in bytes overflows 64 bits".into());
        };
        let rest = bytes.len - data;
        if len > rest {
            return Err(FormatError::Truncated {
                file: self.source.name.clone(),
                subject,
                start: data,
                end: data.saturating_add(len),
                place: "the array's file",
                available: bytes.len,
            });
        }
        if width > 0 && len < rest {
            self.hazards.part("trailing-bytes", Level::Warning, &name, || {
                format!("{} bytes stand behind the array", rest - len)
            });
        }
        if header.descr == "|V2" || header.descr == "<V2" {
            self.hazards.part("type-by-convention", Level::Note, &name, || {
                "its elements are two bytes without a type, which is how bfloat16 is saved; read as such"
                    .into()
            });
        }
        let mut offset = bytes.start + data;
        if turned && width > 1 && len > 0 {
            let kind = match bytes.packed {
                None => Kind::Turned { offset, block: width, fields: whole(width) },
                Some(_) => Kind::TurnedPart { of: offset, block: width, fields: whole(width) },
            };
            let Some(place) = self.derived.add(len, kind) else {
                return fail(data, "its size in bytes overflows 63 bits".into());
            };
            offset = place;
        }
        let strides = (header.fortran && header.shape.len() > 1 && elements > 0).then(|| {
            // The first extent is the innermost; the product of all has been checked.
            let steps = header.shape.iter().scan(1u64, |step, extent| {
                let here = *step;
                *step *= extent;
                Some(here)
            });
            steps.collect()
        });
        let storage = Storage { file: self.file_index, offset, len, strides };
        self.tensors.push(Tensor { name, shape: header.shape, encoding, storage });
        Ok(())
    }

    /// An array of objects: what follows is a pickle.
    fn objects(&mut self, name: String, header: Header, bytes: &Bytes, data: u64) -> Result<(), FormatError> {
        self.hazards.part("pickle-inside", Level::Danger, &name, || {
            "an array of Python objects: a loader that allows it would run the pickle inside".into()
        });
        let len = bytes.len - data;
        if len <= self.limits.pickle_bytes {
            let pickle = self.read(bytes, data, len, &format!("tensor `{}`", printable(&name)))?;
            torch::report_pickle(
                &pickle,
                if bytes.packed.is_some() { 0 } else { bytes.start + data },
                self.limits,
                &mut self.hazards,
            );
        }
        let storage = Storage { file: self.file_index, offset: bytes.start + data, len, strides: None };
        let encoding = Encoding::Opaque("Python objects");
        self.tensors.push(Tensor { name, shape: header.shape, encoding, storage });
        Ok(())
    }
}

/// The whole element as one field.
fn whole(width: u64) -> &'static [(usize, usize)] {
    match width {
        2 => &[(0, 2)],
        4 => &[(0, 4)],
        _ => &[(0, 8)],
    }
}

enum Element {
    /// A number, and whether its bytes are in the other order.
    Number(DType, bool),
    /// Something else of so many bytes; none where that is not known.
    Other(&'static str, u64),
    Objects,
}

impl Element {
    fn of(descr: &str) -> Element {
        let (order, code) = match descr.split_at_checked(1) {
            Some((order @ ("<" | ">" | "|" | "="), code)) => (order, code),
            _ => ("|", descr),
        };
        let dtype = match code {
            "f2" => DType::F16,
            "f4" => DType::F32,
            "f8" => DType::F64,
            "V2" => DType::BF16,
            "i1" => DType::I8,
            "i2" => DType::I16,
            "i4" => DType::I32,
            "i8" => DType::I64,
            "u1" => DType::U8,
            "u2" => DType::U16,
            "u4" => DType::U32,
            "u8" => DType::U64,
            "b1" => DType::Bool,
            "c8" if order != ">" => DType::C64,
            "O" | "O8" => return Element::Objects,
            _ => {
                let size = |rest: &str| rest.parse::<u32>().map_or(0, u64::from);
                return match code.split_at_checked(1) {
                    Some(("V", rest)) => Element::Other("untyped bytes", size(rest)),
                    Some(("c", rest)) => Element::Other("complex", size(rest)),
                    Some(("f", rest)) => Element::Other("long double", size(rest)),
                    Some(("S" | "a", rest)) => Element::Other("text", size(rest)),
                    Some(("U", rest)) => Element::Other("text", 4 * size(rest)),
                    Some(("M" | "m", _)) => Element::Other("dates", 8),
                    _ => Element::Other("structured", 0),
                };
            }
        };
        Element::Number(dtype, order == ">")
    }
}

#[derive(Debug, PartialEq)]
struct Header {
    descr: String,
    fortran: bool,
    shape: Shape,
}

/// The header's dictionary. `Err` ends a sentence that begins with "its header".
fn header(text: &str, rank: usize) -> Result<Header, String> {
    let mut scanner = Scanner(text);
    let (mut descr, mut fortran, mut shape) = (None, None, None);
    scanner.expect('{')?;
    while !scanner.accept('}') {
        let key = scanner.text()?;
        scanner.expect(':')?;
        let twice = match key {
            "descr" => descr.replace(scanner.descr()?).is_some(),
            "fortran_order" => fortran.replace(scanner.truth()?).is_some(),
            "shape" => shape.replace(scanner.shape(rank)?).is_some(),
            _ => return Err(format!("has the key `{}`, which the format does not know", printable(key))),
        };
        if twice {
            return Err(format!("has the key `{key}` twice"));
        }
        if !scanner.accept(',') {
            scanner.expect('}')?;
            break;
        }
    }
    if !scanner.0.trim().is_empty() {
        return Err("goes on behind its dictionary".into());
    }
    match (descr, fortran, shape) {
        (Some(descr), Some(fortran), Some(shape)) => Ok(Header { descr, fortran, shape }),
        _ => Err("lacks one of `descr`, `fortran_order` and `shape`".into()),
    }
}

/// Takes tokens off the front of a Python literal.
struct Scanner<'t>(&'t str);

impl<'t> Scanner<'t> {
    fn accept(&mut self, c: char) -> bool {
        let rest = self.0.trim_start().strip_prefix(c);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn expect(&mut self, c: char) -> Result<(), String> {
        if self.accept(c) { Ok(()) } else { Err(format!("is not the literal that it should be: no `{c}`")) }
    }

    fn text(&mut self) -> Result<&'t str, String> {
        let quote = if self.accept('\'') { '\'' } else { self.expect('"').map(|()| '"')? };
        let (text, rest) = self.0.split_once(quote).ok_or("ends within a text")?;
        if text.contains('\\') {
            return Err("has an escape in a text".into());
        }
        self.0 = rest;
        Ok(text)
    }

    /// A type's text; structured types are lists, which are passed over.
    fn descr(&mut self) -> Result<String, String> {
        if !self.accept('[') {
            return self.text().map(str::to_owned);
        }
        let mut depth = 1usize;
        let end = self.0.char_indices().find_map(|(at, c)| {
            match c {
                '[' => depth += 1,
                ']' => depth -= 1,
                _ => {}
            }
            (depth == 0).then_some(at + 1)
        });
        let end = end.ok_or("ends within a list")?;
        // A field of objects anywhere within makes the whole a pickle.
        let objects = ["'|O'", "'O'", "\"|O\""].iter().any(|object| self.0[..end].contains(object));
        self.0 = &self.0[end..];
        Ok(if objects { "|O" } else { "structured" }.to_owned())
    }

    fn truth(&mut self) -> Result<bool, String> {
        let rest = self.0.trim_start();
        for (word, value) in [("True", true), ("False", false)] {
            if let Some(rest) = rest.strip_prefix(word) {
                self.0 = rest;
                return Ok(value);
            }
        }
        Err("has an order that is neither `True` nor `False`".into())
    }

    fn shape(&mut self, rank: usize) -> Result<Shape, String> {
        self.expect('(')?;
        let mut shape = Shape::new();
        while !self.accept(')') {
            let rest = self.0.trim_start();
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let extent = rest[..digits].parse().map_err(|_| "has an extent that is no number below 2^64")?;
            // Python 2 wrote long integers with a letter.
            self.0 = rest[digits..].strip_prefix('L').unwrap_or(&rest[digits..]);
            if shape.len() == rank {
                return Err(format!("has more than {rank} extents"));
            }
            shape.push(extent);
            if !self.accept(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Result<(&str, bool, &[u64]), &str>) {
        let found = header(text, 4);
        match (&found, expect) {
            (Ok(found), Ok((descr, fortran, shape))) => {
                assert_eq!(
                    (found.descr.as_str(), found.fortran, found.shape.as_slice()),
                    (descr, fortran, shape)
                );
            }
            (Err(reason), Err(part)) => assert!(reason.contains(part), "{text}: {reason}"),
            _ => panic!("{text}: {found:?}"),
        }
    }

    #[test]
    fn headers() {
        check("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }  \n", Ok(("<f4", false, &[3, 4])));
        check("{'descr':'|u1','fortran_order':True,'shape':()}", Ok(("|u1", true, &[])));
        check("{\"descr\": \">f8\", 'fortran_order': False, 'shape': (7L,)}", Ok((">f8", false, &[7])));
        check(
            "{'descr': [('a', '<f4'), ('b', [('c', '|O')])], 'fortran_order': False, 'shape': (1,)}",
            Ok(("|O", false, &[1])),
        );
        check(
            "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}",
            Ok(("structured", false, &[1])),
        );
        check("{'descr': '<f4', 'fortran_order': False, 'shape': (1,2,3,4,5)}", Err("more than 4 extents"));
        check("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", Err("no number"));
        check(
            "{'descr': '<f4', 'fortran_order': __import__('os'), 'shape': (1,)}",
            Err("neither `True` nor"),
        );
        check("{'descr': '<f4', 'shape': (1,)}", Err("lacks one of"));
        check("{'descr': '<f4', 'descr': '<f8', 'fortran_order': False, 'shape': (1,)}", Err("twice"));
        check("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} + x", Err("goes on"));
        check("{'descr': [[[[", Err("ends within a list"));
        check("__import__('os').system('id')", Err("no `{`"));
        check("{'x': 1}", Err("does not know"));
    }
}
