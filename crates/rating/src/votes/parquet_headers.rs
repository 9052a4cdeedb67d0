//! Can the headers of a Parquet file be decoded in time that is linear in their length? Knows the layout of footers and page headers (compact
//! Thrift), and nothing of values.
//!
//! The format's crate passes over fields that it does not know, and there trusts the number of elements that a list claims: truth values, which
//! take no byte there, and elements beyond the end of the file cost it no input, so seven bytes buy eight seconds. Here every header is walked first,
//! as that crate would walk it, and refused if it claims what is not there. A field that the format defines must have the type that it
//! defines, for the crate reads it as such whatever the header says.

use std::io::{self, Read};

/// Elements without a byte of their own that a list may claim.
const FREE: u64 = 15;
/// Structures within structures; the format needs eight.
const DEPTH: u8 = 32;

type Fields = &'static [(i64, Shape)];

/// What a field holds, by the ways in which it can be written.
enum Shape {
    Truth,
    Byte,
    /// Of 16 to 64 bits, and enumerations: all are varints.
    Number,
    /// A number that says how many bytes follow the header.
    Following,
    Double,
    Text,
    List(&'static Shape),
    Group(Fields),
}

use Shape::{Byte, Double, Following, Group, List, Number, Text, Truth};

impl Shape {
    /// Whether a type of the wire is one in which this is written.
    fn is(&self, wire: u8) -> bool {
        match self {
            Truth => matches!(wire, 1 | 2),
            Byte => wire == 3,
            Number | Following => matches!(wire, 4..=6),
            Double => wire == 7,
            Text => wire == 8,
            List(_) => wire == 9,
            Group(_) => wire == 12,
        }
    }
}

const STATISTICS: Fields = &[
    (1, Text),
    (2, Text),
    (3, Number),
    (4, Number),
    (5, Text),
    (6, Text),
    (7, Truth),
    (8, Truth),
    (9, Number),
];
const UNIT: Shape = Group(&[(1, Group(&[])), (2, Group(&[])), (3, Group(&[]))]);
const TIME: Shape = Group(&[(1, Truth), (2, UNIT)]);
const LOGICAL: Fields = &[
    (1, Group(&[])),
    (2, Group(&[])),
    (3, Group(&[])),
    (4, Group(&[])),
    (5, Group(&[(1, Number), (2, Number)])),
    (6, Group(&[])),
    (7, TIME),
    (8, TIME),
    (10, Group(&[(1, Byte), (2, Truth)])),
    (11, Group(&[])),
    (12, Group(&[])),
    (13, Group(&[])),
    (14, Group(&[])),
    (15, Group(&[])),
    (16, Group(&[(1, Byte)])),
    (17, Group(&[(1, Text)])),
    (18, Group(&[(1, Text), (2, Number)])),
];
const ELEMENT: Fields = &[
    (1, Number),
    (2, Number),
    (3, Number),
    (4, Text),
    (5, Number),
    (6, Number),
    (7, Number),
    (8, Number),
    (9, Number),
    (10, Group(LOGICAL)),
];
const PROPERTIES: Shape = List(&Group(&[(1, Text), (2, Text)]));
const SIZES: Fields = &[(1, Number), (2, List(&Number)), (3, List(&Number))];
const BOX: Fields =
    &[(1, Double), (2, Double), (3, Double), (4, Double), (5, Double), (6, Double), (7, Double), (8, Double)];
const CHUNK: Fields = &[
    (1, Number),
    (2, List(&Number)),
    (3, List(&Text)),
    (4, Number),
    (5, Number),
    (6, Number),
    (7, Number),
    (8, PROPERTIES),
    (9, Number),
    (10, Number),
    (11, Number),
    (12, Group(STATISTICS)),
    (13, List(&Group(&[(1, Number), (2, Number), (3, Number)]))),
    (14, Number),
    (15, Number),
    (16, Group(SIZES)),
    (17, Group(&[(1, Group(BOX)), (2, List(&Number))])),
];
const COLUMN: Fields = &[
    (1, Text),
    (2, Number),
    (3, Group(CHUNK)),
    (4, Number),
    (5, Number),
    (6, Number),
    (7, Number),
    (8, Group(&[(1, Group(&[])), (2, Group(&[(1, List(&Text)), (2, Text)]))])),
    (9, Text),
];
const ROWS: Fields = &[
    (1, List(&Group(COLUMN))),
    (2, Number),
    (3, Number),
    (4, List(&Group(&[(1, Number), (2, Truth), (3, Truth)]))),
    (5, Number),
    (6, Number),
    (7, Number),
];
const CIPHER: Shape = Group(&[(1, Text), (2, Text), (3, Truth)]);
const FOOTER: Fields = &[
    (1, Number),
    (2, List(&Group(ELEMENT))),
    (3, Number),
    (4, List(&Group(ROWS))),
    (5, PROPERTIES),
    (6, Text),
    (7, List(&Group(&[(1, Group(&[])), (2, Group(&[]))]))),
    (8, Group(&[(1, CIPHER), (2, CIPHER)])),
    (9, Text),
];
const PAGE: Fields = &[
    (1, Number),
    (2, Number),
    (3, Following),
    (4, Number),
    (5, Group(&[(1, Number), (2, Number), (3, Number), (4, Number), (5, Group(STATISTICS))])),
    (6, Group(&[])),
    (7, Group(&[(1, Number), (2, Number), (3, Truth)])),
    (
        8,
        Group(&[
            (1, Number),
            (2, Number),
            (3, Number),
            (4, Number),
            (5, Number),
            (6, Number),
            (7, Truth),
            (8, Group(STATISTICS)),
        ]),
    ),
];

/// Walks a footer.
///
/// # Errors
/// If it ends too early, claims what it does not hold, or a field has a type that is not the format's.
pub(super) fn footer(input: impl Read) -> io::Result<()> {
    Walk { input, taken: 0, following: None }.group(FOOTER, DEPTH)
}

/// Walks the header of a page; the bytes of header and page.
///
/// # Errors
/// As for [`footer`], and if it does not say how long the page is.
pub(super) fn page(input: impl Read) -> io::Result<u64> {
    let mut walk = Walk { input, taken: 0, following: None };
    walk.group(PAGE, DEPTH)?;
    let following = walk.following.and_then(|length| i32::try_from(length).ok());
    let following = following.and_then(|length| u64::try_from(length).ok());
    following.map(|length| walk.taken + length).ok_or_else(|| wrong("a page without a length"))
}

struct Walk<R> {
    input: R,
    taken: u64,
    following: Option<i64>,
}

impl<R: Read> Walk<R> {
    fn group(&mut self, fields: Fields, depth: u8) -> io::Result<()> {
        let depth = depth.checked_sub(1).ok_or_else(|| wrong("structures within structures"))?;
        let mut field = 0i64;
        loop {
            let head = self.byte()?;
            if head & 15 == 0 {
                return Ok(());
            }
            field = match head >> 4 {
                0 => self.number()?,
                step => field.saturating_add(i64::from(step)),
            };
            // A larger one would be cut by the decoder, and be another field.
            i16::try_from(field).map_err(|_| wrong("the number of a field"))?;
            let shape = fields.iter().find(|(known, _)| *known == field).map(|(_, shape)| shape);
            if shape.is_some_and(|shape| !shape.is(head & 15)) {
                return Err(wrong("a field of another type"));
            }
            self.value(head & 15, shape, depth)?;
        }
    }

    fn value(&mut self, wire: u8, shape: Option<&Shape>, depth: u8) -> io::Result<()> {
        match wire {
            1 | 2 => Ok(()),
            3 => self.pass(1),
            4..=6 => {
                let number = self.number()?;
                if let Some(Following) = shape {
                    self.following = Some(number);
                }
                Ok(())
            }
            7 => self.pass(8),
            8 => {
                let length = self.varint()?;
                self.pass(length)
            }
            9 | 10 => {
                let head = self.byte()?;
                let size = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
                let of = match shape {
                    Some(List(of)) if size > 0 && !of.is(head & 15) => {
                        return Err(wrong("a list of another type"));
                    }
                    Some(List(of)) => Some(*of),
                    _ => None,
                };
                self.elements(size, &[(head & 15, of)], depth)
            }
            11 => match self.varint()? {
                0 => Ok(()),
                size => {
                    let types = self.byte()?;
                    self.elements(size, &[(types >> 4, None), (types & 15, None)], depth)
                }
            },
            12 => {
                let fields = if let Some(Group(fields)) = shape { fields } else { &[][..] };
                self.group(fields, depth)
            }
            13 => self.pass(16),
            _ => Err(wrong("a type without a name")),
        }
    }

    /// As many times as are claimed one value of each kind.
    fn elements(&mut self, size: u64, kinds: &[(u8, Option<&Shape>)], depth: u8) -> io::Result<()> {
        if kinds.iter().all(|(wire, _)| matches!(wire, 1 | 2)) && size > FREE {
            return Err(wrong("a list of truth values"));
        }
        let depth = depth.checked_sub(1).ok_or_else(|| wrong("lists within lists"))?;
        for _ in 0..size {
            for (wire, shape) in kinds {
                self.value(*wire, *shape, depth)?;
            }
        }
        Ok(())
    }

    fn byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        self.input.read_exact(&mut byte).map_err(cut)?;
        self.taken += 1;
        Ok(byte[0])
    }

    fn varint(&mut self) -> io::Result<u64> {
        let mut value = 0;
        for place in 0..10 {
            let byte = self.byte()?;
            value |= u64::from(byte & 127) << (7 * place);
            if byte < 128 {
                return Ok(value);
            }
        }
        Err(wrong("a number of more than ten bytes"))
    }

    fn number(&mut self) -> io::Result<i64> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    fn pass(&mut self, bytes: u64) -> io::Result<()> {
        let passed = io::copy(&mut (&mut self.input).take(bytes), &mut io::sink())?;
        self.taken += passed;
        if passed == bytes { Ok(()) } else { Err(cut(io::ErrorKind::UnexpectedEof.into())) }
    }
}

fn cut(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::UnexpectedEof { wrong("an early end") } else { error }
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} in a header"))
}
