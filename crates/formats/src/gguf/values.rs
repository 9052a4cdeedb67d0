//! The key-value section.

use crate::hazards::Hazards;
use crate::source::{Source, Stream};
use crate::{FormatError, Limits};
use std::collections::HashSet;
use stemmata_model::{Config, Level, Tokenizer, Value, printable};

/// Bytes of the longest key; the format says 65 535.
const KEY_BYTES: u64 = 65_535;
/// The smallest pair: an empty key, a type, a one-byte value.
const PAIR_BYTES: u64 = 8 + 4 + 1;
/// Alignments above this are not padding but a way to move the data section.
const MAX_ALIGNMENT: u32 = 1 << 20;

const TEXT: u32 = 8;
const ARRAY: u32 = 9;
/// The key whose texts become the tokenizer.
const TOKENS: &str = "tokenizer.ggml.tokens";

/// What the key-value section holds.
pub(super) struct Keys {
    /// Scalars and short lists.
    pub(super) config: Config,
    tokens: Option<Vec<String>>,
    alignment: Alignment,
}

enum Alignment {
    Default,
    Set(u32),
    WrongType(u64),
}

impl Keys {
    /// The alignment of the data section.
    pub(super) fn alignment(&self, source: &Source) -> Result<u64, FormatError> {
        match self.alignment {
            Alignment::Default => Ok(32),
            Alignment::Set(value) if value.is_power_of_two() && value <= MAX_ALIGNMENT => Ok(value.into()),
            Alignment::Set(value) => Err(source.malformed(
                "key `general.alignment`",
                0..source.len,
                format!("`{value}` is not a power of two up to {MAX_ALIGNMENT}"),
            )),
            Alignment::WrongType(at) => {
                Err(source.malformed("key `general.alignment`", at..at + 1, "not a 32-bit unsigned integer"))
            }
        }
    }

    /// The vocabulary, if there is one.
    pub(super) fn tokenizer(&mut self) -> Option<Tokenizer> {
        let kind = self.config.text("tokenizer.ggml.model").map(str::to_owned);
        self.tokens.take().map(|tokens| Tokenizer { tokens, kind })
    }
}

/// Reads `count` pairs.
pub(super) fn read(
    source: &Source,
    stream: &mut Stream,
    count: u64,
    limits: &Limits,
    hazards: &mut Hazards,
) -> Result<Keys, FormatError> {
    if count > stream.remaining() / PAIR_BYTES {
        let at = stream.position();
        return Err(FormatError::Truncated {
            file: source.name.clone(),
            subject: format!("a section of {count} keys"),
            start: at,
            end: at.saturating_add(count.saturating_mul(PAIR_BYTES)),
            place: "the file",
            available: source.len,
        });
    }
    let keys = Keys { config: Config::default(), tokens: None, alignment: Alignment::Default };
    let start = stream.position();
    let mut reader =
        Reader { source, limits, hazards, keys, seen: HashSet::new(), items_left: limits.kept_items as u64 };
    for _ in 0..count {
        reader.pair(stream)?;
        if stream.position() - start > limits.kv_bytes {
            return Err(source.limit(
                "the size of the keys in bytes so far",
                stream.position() - start,
                limits.kv_bytes,
            ));
        }
    }
    Ok(reader.keys)
}

struct Reader<'r, 'a> {
    source: &'r Source<'a>,
    limits: &'r Limits,
    hazards: &'r mut Hazards,
    keys: Keys,
    seen: HashSet<String>,
    /// A list item takes far more memory than file: all lists of a file share this budget.
    items_left: u64,
}

impl Reader<'_, '_> {
    fn pair(&mut self, stream: &mut Stream) -> Result<(), FormatError> {
        let at = stream.position();
        let Some(key) = self.text(stream, KEY_BYTES, "a key")? else {
            return Err(self.source.malformed("a key", at..stream.position(), "longer than 65535 bytes"));
        };
        let subject = format!("key `{}`", printable(&key));
        if key.chars().any(|c| c.is_control() || c == '\u{fffd}') {
            self.hazards.part("odd-key", Level::Warning, &format!("byte {at}"), || {
                format!("{subject} holds control characters or is not UTF-8")
            });
        }
        if !self.seen.insert(key.clone()) {
            return Err(self.source.malformed(subject, at..stream.position(), "the key occurs twice"));
        }
        let kind = stream.u32(&subject)?;
        if key == "general.alignment" && kind != 4 {
            self.keys.alignment = Alignment::WrongType(at);
        }
        let value = match kind {
            TEXT => self.long_text(stream, &key, &subject)?,
            ARRAY => self.array(stream, &key, &subject)?,
            _ => Some(self.scalar(stream, kind, &subject)?),
        };
        if let (4, "general.alignment", Some(Value::Int(alignment))) = (kind, key.as_str(), &value) {
            self.keys.alignment = Alignment::Set(u32::try_from(*alignment).unwrap_or(0));
        }
        if let Some(value) = value {
            self.keys.config.entries.insert(key, value);
        }
        Ok(())
    }

    /// A text value; `None` (and a hazard) if it is too long to keep.
    fn long_text(
        &mut self,
        stream: &mut Stream,
        key: &str,
        subject: &str,
    ) -> Result<Option<Value>, FormatError> {
        let text = self.text(stream, self.limits.value_bytes, subject)?;
        if text.is_none() {
            self.hazards.part("long-value", Level::Warning, key, || {
                format!("the text is longer than {} bytes and was skipped", self.limits.value_bytes)
            });
        }
        Ok(text.map(Value::Text))
    }

    /// A text, or `None` after skipping one longer than `most`. The length is compared with the file either way.
    fn text(&mut self, stream: &mut Stream, most: u64, subject: &str) -> Result<Option<String>, FormatError> {
        let len = stream.u64(subject)?;
        if len > most {
            stream.skip(len, subject)?;
            return Ok(None);
        }
        let bytes = stream.bytes(len, subject)?;
        // Some writers store the terminating zero of a C string.
        let bytes = bytes.strip_suffix(b"\0").unwrap_or(bytes);
        Ok(Some(String::from_utf8_lossy(bytes).into_owned()))
    }

    fn scalar(&self, stream: &mut Stream, kind: u32, subject: &str) -> Result<Value, FormatError> {
        let at = stream.position();
        let Some(size) = scalar_bytes(kind) else {
            return Err(self.source.malformed(
                subject,
                at..at + 4,
                format!("value type {kind} is not known"),
            ));
        };
        let big_endian = stream.big_endian;
        Ok(scalar_value(kind, stream.bytes(size, subject)?, big_endian))
    }

    fn array(&mut self, stream: &mut Stream, key: &str, subject: &str) -> Result<Option<Value>, FormatError> {
        let at = stream.position();
        let kind = stream.u32(subject)?;
        let count = stream.u64(subject)?;
        let item_bytes = match kind {
            TEXT => 8,
            ARRAY => return Err(self.source.malformed(subject, at..at + 4, "arrays of arrays are not read")),
            _ => scalar_bytes(kind).ok_or_else(|| {
                self.source.malformed(subject, at..at + 4, format!("item type {kind} is not known"))
            })?,
        };
        // Texts take at least their length fields: enough to refuse a count before looping over it.
        let least = count.saturating_mul(item_bytes);
        self.source.end(stream.position(), least, subject)?;
        if least > self.limits.kv_bytes {
            return Err(self.source.limit(
                format!("the size in bytes of {subject}"),
                least,
                self.limits.kv_bytes,
            ));
        }
        if key == TOKENS && kind == TEXT {
            self.keys.tokens = Some(self.tokens(stream, count, subject)?);
            return Ok(None);
        }
        let keep = count <= self.limits.list_items as u64 && count <= self.items_left;
        if keep {
            self.items_left -= count;
        }
        let mut list = Vec::new();
        match kind {
            TEXT => {
                // Texts of a kept list share the budget of one text.
                let mut left = self.limits.value_bytes;
                for _ in 0..count {
                    let text = self.text(stream, if keep { left } else { 0 }, subject)?.unwrap_or_default();
                    left -= (text.len() as u64).min(left);
                    if keep {
                        list.push(Value::Text(text));
                    }
                }
            }
            _ if keep => {
                let big_endian = stream.big_endian;
                let bytes = stream.bytes(least, subject)?;
                let items = bytes.chunks_exact(item_bytes as usize);
                list.extend(items.map(|item| scalar_value(kind, item, big_endian)));
            }
            _ => stream.skip(least, subject)?,
        }
        Ok(keep.then_some(Value::List(list)))
    }

    fn tokens(&mut self, stream: &mut Stream, count: u64, subject: &str) -> Result<Vec<String>, FormatError> {
        if count > self.limits.tokens as u64 {
            return Err(self.source.limit("the number of tokens", count, self.limits.tokens as u64));
        }
        // Grown, not reserved: a count is worth no more memory than the bytes that back it.
        let mut tokens = Vec::new();
        for _ in 0..count {
            tokens.push(self.text(stream, KEY_BYTES, subject)?.unwrap_or_default());
        }
        Ok(tokens)
    }
}

fn scalar_bytes(kind: u32) -> Option<u64> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

/// The value of a scalar whose size has been checked against its kind.
fn scalar_value(kind: u32, bytes: &[u8], big_endian: bool) -> Value {
    let mut wide = [0; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    if big_endian {
        wide[..bytes.len()].reverse();
    }
    let raw = u64::from_le_bytes(wide);
    match kind {
        1 => Value::Int((raw as u8).cast_signed().into()),
        3 => Value::Int((raw as u16).cast_signed().into()),
        5 => Value::Int((raw as u32).cast_signed().into()),
        6 => Value::Float(f32::from_bits(raw as u32).into()),
        7 => Value::Bool(raw != 0),
        11 => Value::Int(raw.cast_signed()),
        12 => Value::Float(f64::from_bits(raw)),
        _ => i64::try_from(raw).map_or(Value::Float(raw as f64), Value::Int),
    }
}
