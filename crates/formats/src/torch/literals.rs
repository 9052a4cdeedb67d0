//! The opcodes that push numbers and texts.

use super::arena::{Span, Value};
use super::machine::{FALSE, Machine, TRUE};
use super::operands::{Fault, long, unescape};

impl Machine<'_, '_> {
    pub(super) fn int_line(&mut self) -> Result<(), Fault> {
        // Protocol 0 writes truth values as the integers `00` and `01`.
        let line = self.operands.line()?;
        match line {
            b"01" => self.push_id(TRUE),
            b"00" => self.push_id(FALSE),
            _ => match std::str::from_utf8(line).ok().and_then(|text| text.trim().parse().ok()) {
                Some(value) => self.push(Value::Int(value))?,
                None => self.push(Value::Opaque)?,
            },
        }
        Ok(())
    }

    pub(super) fn long(&mut self, opcode: u8) -> Result<(), Fault> {
        let len = if opcode == 0x8a { self.operands.byte()?.into() } else { self.operands.int32()? };
        let Ok(len) = u64::try_from(len) else {
            return self.operands.fault("an integer of negative length");
        };
        let value = long(self.operands.take(len)?);
        self.push(value.map_or(Value::Opaque, Value::Int))
    }

    pub(super) fn text(&mut self, opcode: u8) -> Result<(), Fault> {
        let value = match opcode {
            b'S' => {
                let line = self.operands.line()?;
                let quoted =
                    line.len() >= 2 && line[0] == line[line.len() - 1] && matches!(line[0], b'\'' | b'"');
                if !quoted {
                    return self.operands.fault("a string without its quotes");
                }
                Value::Owned(unescape(&line[1..line.len() - 1]))
            }
            b'V' => Value::Owned(unescape(self.operands.line()?)),
            _ => {
                let len = match opcode {
                    b'U' | b'C' | 0x8c => self.operands.byte()?.into(),
                    b'T' => match u64::try_from(self.operands.int32()?) {
                        Ok(len) => len,
                        Err(_) => return self.operands.fault("a string of negative length"),
                    },
                    b'X' | b'B' => self.operands.unsigned::<4>()?,
                    _ => self.operands.unsigned::<8>()?,
                };
                let span: Span = self.operands.span(len)?;
                match opcode {
                    b'B' | b'C' | 0x8e | 0x96 => Value::Opaque,
                    _ => Value::Text(span),
                }
            }
        };
        self.push(value)
    }
}
