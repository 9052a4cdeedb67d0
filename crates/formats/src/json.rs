//! A JSON scanner for untrusted headers: pull, bounded depth, no tree, no recursion on attacker-chosen depth.
//!
//! A general parser that builds a tree costs 14 bytes of memory for each byte of a hostile header and lets the last
//! of two equal keys win in silence; here the caller sees every key, in order, and decides.

use std::borrow::Cow;

/// A document that is not JSON, or nests too deeply.
#[derive(Debug)]
pub(crate) struct JsonError {
    /// Byte in the document.
    pub(crate) offset: usize,
    /// Why.
    pub(crate) reason: &'static str,
}

/// What the next value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
    Text,
    Number,
    Bool,
    Null,
}

/// A scalar value.
pub(crate) enum Scalar<'a> {
    Null,
    Bool(bool),
    /// As written; `NaN` and `Infinity`, which Python writes, included.
    Number(&'a str),
    Text(Cow<'a, str>),
}

pub(crate) struct Scanner<'a> {
    text: &'a str,
    position: usize,
    depth: usize,
    max_depth: usize,
}

type Result<T> = std::result::Result<T, JsonError>;

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str, max_depth: usize) -> Self {
        Scanner { text, position: 0, depth: 0, max_depth }
    }

    /// Byte of the next token.
    pub(crate) fn offset(&mut self) -> usize {
        self.blank();
        self.position
    }

    pub(crate) fn fail<T>(&self, reason: &'static str) -> Result<T> {
        Err(JsonError { offset: self.position, reason })
    }

    fn peek_byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    fn blank(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek_byte() {
            self.position += 1;
        }
    }

    fn expect(&mut self, byte: u8, reason: &'static str) -> Result<()> {
        self.blank();
        if self.peek_byte() != Some(byte) {
            return self.fail(reason);
        }
        self.position += 1;
        Ok(())
    }

    /// What the next value is, without consuming it.
    pub(crate) fn kind(&mut self) -> Result<Kind> {
        self.blank();
        match self.peek_byte() {
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b'"') => Ok(Kind::Text),
            Some(b't' | b'f') => Ok(Kind::Bool),
            Some(b'n') => Ok(Kind::Null),
            Some(b'-' | b'0'..=b'9' | b'N' | b'I') => Ok(Kind::Number),
            Some(_) => self.fail("expected a value"),
            None => self.fail("the document ends where a value should be"),
        }
    }

    fn descend(&mut self) -> Result<()> {
        self.depth += 1;
        if self.depth > self.max_depth {
            return self.fail("values nest too deeply");
        }
        Ok(())
    }

    /// Calls `entry` for each key of the object that comes next; `entry` must consume the value.
    pub(crate) fn object<E: From<JsonError>>(
        &mut self,
        mut entry: impl FnMut(&mut Self, Cow<'a, str>) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        self.expect(b'{', "expected an object")?;
        self.descend()?;
        self.blank();
        if self.peek_byte() == Some(b'}') {
            self.position += 1;
        } else {
            loop {
                let key = self.string()?;
                self.expect(b':', "expected `:` after a key")?;
                entry(self, key)?;
                self.blank();
                match self.peek_byte() {
                    Some(b',') => self.position += 1,
                    Some(b'}') => {
                        self.position += 1;
                        break;
                    }
                    _ => return self.fail("expected `,` or `}`").map_err(E::from),
                }
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// Calls `item` for each item of the array that comes next; `item` must consume the value.
    pub(crate) fn array<E: From<JsonError>>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        self.expect(b'[', "expected an array")?;
        self.descend()?;
        self.blank();
        if self.peek_byte() == Some(b']') {
            self.position += 1;
        } else {
            loop {
                item(self)?;
                self.blank();
                match self.peek_byte() {
                    Some(b',') => self.position += 1,
                    Some(b']') => {
                        self.position += 1;
                        break;
                    }
                    _ => return self.fail("expected `,` or `]`").map_err(E::from),
                }
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// The scalar that comes next.
    pub(crate) fn scalar(&mut self) -> Result<Scalar<'a>> {
        match self.kind()? {
            Kind::Text => self.string().map(Scalar::Text),
            Kind::Number => self.number().map(Scalar::Number),
            Kind::Bool | Kind::Null => {
                for (word, value) in
                    [("true", Scalar::Bool(true)), ("false", Scalar::Bool(false)), ("null", Scalar::Null)]
                {
                    if self.text.as_bytes()[self.position..].starts_with(word.as_bytes()) {
                        self.position += word.len();
                        return Ok(value);
                    }
                }
                self.fail("expected `true`, `false` or `null`")
            }
            Kind::Object | Kind::Array => self.fail("expected a single value"),
        }
    }

    /// Consumes whatever value comes next.
    pub(crate) fn skip(&mut self) -> Result<()> {
        // INVARIANT: recursion is bounded by `max_depth`.
        match self.kind()? {
            Kind::Object => self.object(|scanner, _| scanner.skip()),
            Kind::Array => self.array(Self::skip),
            _ => self.scalar().map(|_| ()),
        }
    }

    /// Fails unless only blanks are left.
    pub(crate) fn end(&mut self) -> Result<()> {
        self.blank();
        if self.position < self.text.len() {
            return self.fail("text after the end of the document");
        }
        Ok(())
    }

    /// A non-negative integer below 2^64, written as digits only.
    pub(crate) fn unsigned(&mut self) -> Result<u64> {
        if self.kind()? != Kind::Number {
            return self.fail("expected a non-negative integer");
        }
        let start = self.position;
        let text = self.number()?;
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        match text.parse() {
            Ok(value) if digits => Ok(value),
            _ => Err(JsonError { offset: start, reason: "expected a non-negative integer below 2^64" }),
        }
    }

    fn number(&mut self) -> Result<&'a str> {
        let start = self.position;
        let rest = &self.text[start..];
        for word in ["NaN", "Infinity", "-Infinity"] {
            if rest.starts_with(word) {
                self.position += word.len();
                return Ok(word);
            }
        }
        let bytes = rest.as_bytes();
        let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
        let mut at = usize::from(bytes.first() == Some(&b'-'));
        let whole = digits(at);
        if whole == 0 || (whole > 1 && bytes[at] == b'0') {
            return self.fail("malformed number");
        }
        at += whole;
        if bytes.get(at) == Some(&b'.') {
            let fraction = digits(at + 1);
            if fraction == 0 {
                return self.fail("malformed number");
            }
            at += 1 + fraction;
        }
        if let Some(b'e' | b'E') = bytes.get(at) {
            at += 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
            let exponent = digits(at);
            if exponent == 0 {
                return self.fail("malformed number");
            }
            at += exponent;
        }
        self.position += at;
        Ok(&rest[..at])
    }

    /// The text that comes next; borrowed unless it contains escapes.
    pub(crate) fn string(&mut self) -> Result<Cow<'a, str>> {
        self.expect(b'"', "expected a string")?;
        let start = self.position;
        loop {
            match self.peek_byte() {
                Some(b'"') => {
                    let text = &self.text[start..self.position];
                    self.position += 1;
                    return Ok(Cow::Borrowed(text));
                }
                Some(b'\\') => break,
                Some(0..=0x1f) => return self.fail("control character in a string"),
                Some(_) => self.position += 1,
                None => return self.fail("unterminated string"),
            }
        }
        let mut out = self.text[start..self.position].to_owned();
        loop {
            let plain = self.position;
            while !matches!(self.peek_byte(), Some(b'"' | b'\\' | 0..=0x1f) | None) {
                self.position += 1;
            }
            out.push_str(&self.text[plain..self.position]);
            match self.peek_byte() {
                Some(b'"') => {
                    self.position += 1;
                    return Ok(Cow::Owned(out));
                }
                Some(b'\\') => out.push(self.escape()?),
                Some(_) => return self.fail("control character in a string"),
                None => return self.fail("unterminated string"),
            }
        }
    }

    fn escape(&mut self) -> Result<char> {
        self.position += 1;
        let letter = self.peek_byte();
        self.position += 1;
        Ok(match letter {
            Some(c @ (b'"' | b'\\' | b'/')) => char::from(c),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let first = self.hex()?;
                let code = if (0xd800..0xdc00).contains(&first)
                    && self.text.as_bytes()[self.position..].starts_with(b"\\u")
                {
                    self.position += 2;
                    let second = self.hex()?;
                    if !(0xdc00..0xe000).contains(&second) {
                        return self.fail("lone surrogate");
                    }
                    0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
                } else {
                    first
                };
                match char::from_u32(code) {
                    Some(c) => c,
                    None => return self.fail("lone surrogate"),
                }
            }
            _ => {
                self.position = self.position.min(self.text.len());
                return self.fail("unknown escape in a string");
            }
        })
    }

    fn hex(&mut self) -> Result<u32> {
        let digits = self.text.as_bytes().get(self.position..self.position + 4);
        let mut value = 0;
        for digit in digits.unwrap_or(b"x") {
            match char::from(*digit).to_digit(16) {
                Some(digit) => value = value * 16 + digit,
                None => return self.fail("malformed `\\u` escape"),
            }
        }
        self.position += 4;
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, valid: bool) {
        let mut scanner = Scanner::new(text, 8);
        let result = scanner.skip().and_then(|()| scanner.end());
        assert_eq!(result.is_ok(), valid, "{text}: {result:?}");
    }

    #[test]
    fn grammar() {
        for text in
            ["{}", "[]", " [1, -2.5e+3, true, null, \"a\\u00e9\\ud83d\\ude00\"] ", "{\"a\":{\"b\":[]}}", "0"]
        {
            check(text, true);
        }
        for text in [
            "",
            "{",
            "[1,]",
            "{\"a\"}",
            "{\"a\":1,}",
            "01",
            "1.",
            "-",
            "1e",
            "\"\\ud800\"",
            "\"\\ud800\\u0041\"",
            "\"\\x\"",
            "\"\n\"",
            "tru",
            "[[[[[[[[[]]]]]]]]]",
            "{} {}",
            "\"\\u12",
            "\"\\",
            "nul",
        ] {
            check(text, false);
        }
    }

    #[test]
    fn strings_borrow_where_they_can() {
        assert!(matches!(Scanner::new("\"plain\"", 1).string(), Ok(Cow::Borrowed("plain"))));
        assert_eq!(Scanner::new("\"a\\n\\u00e9b\"", 1).string().unwrap(), "a\néb");
    }
}
