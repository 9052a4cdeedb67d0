//! The pickle machine: every opcode of protocols 0 to 5, over plain values, within a budget.

use super::arena::{Id, Pickle, Value};
use super::globals::Global;
use super::operands::{Fault, FaultKind, Operands, unescape};
use crate::Limits;
use crate::hazards::Hazards;
use std::collections::HashMap;
use stemmata_model::Level;

/// Values that every machine starts with, so that a pickle of nothing but constants builds nothing.
const NONE: Id = 0;
pub(super) const TRUE: Id = 1;
pub(super) const FALSE: Id = 2;
const EMPTY_TUPLE: Id = 3;

/// More oddities than this say nothing new.
const NOTES: usize = 256;

/// What interpreting a pickle came to.
pub(super) struct Outcome<'a> {
    pub(super) pickle: Pickle<'a>,
    /// The result, or why there is none.
    pub(super) root: Result<Id, Fault>,
    /// The byte behind `STOP`, from the start of the code.
    pub(super) end: usize,
    notes: Vec<Note>,
}

/// Something odd, kept until it is known that this run of the machine counts.
struct Note {
    code: &'static str,
    level: Level,
    offset: u64,
    message: String,
}

impl Outcome<'_> {
    /// Moves what was odd or dangerous into `hazards`.
    pub(super) fn report(&self, hazards: &mut Hazards) {
        for Note { code, level, offset, message } in &self.notes {
            hazards.part(code, *level, &format!("pickle byte {offset}"), || message.clone());
        }
        for global in self.pickle.globals.iter().filter(|global| !global.is_trusted) {
            hazards.part("pickle-global", Level::Danger, &format!("pickle byte {}", global.offset), || {
                let name = global.dotted();
                match &global.called {
                    Some(arguments) => format!("a loader would call `{name}` with `{arguments}`"),
                    None => format!("a loader would import `{name}`"),
                }
            });
        }
    }
}

/// Interprets the pickle at the start of `code`; `base` is its place in the file, for messages.
pub(super) fn run<'a>(code: &'a [u8], base: u64, limits: &Limits) -> Outcome<'a> {
    let mut machine = Machine {
        operands: Operands { code, position: 0 },
        base,
        limits,
        pickle: Pickle { code, values: Vec::new(), globals: Vec::new(), persistent: Vec::new() },
        known: HashMap::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        notes: Vec::new(),
    };
    machine.pickle.values =
        vec![Value::None, Value::Bool(true), Value::Bool(false), Value::Tuple(Vec::new())];
    let root = if code.len() as u64 > limits.pickle_bytes.min(u32::MAX.into()) {
        machine.operands.limit("its size in bytes", code.len() as u64, limits.pickle_bytes)
    } else {
        machine.run()
    };
    if root.is_err() && machine.pickle.globals.iter().any(|global| !global.is_trusted) {
        machine.note("pickle-malformed", Level::Danger, || {
            "the pickle is broken behind what it imports: a known way to blind scanners".into()
        });
    }
    Outcome { pickle: machine.pickle, root, end: machine.operands.position, notes: machine.notes }
}

pub(super) struct Machine<'a, 'l> {
    pub(super) operands: Operands<'a>,
    base: u64,
    limits: &'l Limits,
    pub(super) pickle: Pickle<'a>,
    /// Globals already met, by module and name.
    pub(super) known: HashMap<(String, String), Id>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
    notes: Vec<Note>,
}

impl Machine<'_, '_> {
    /// Notes something odd at the current opcode.
    pub(super) fn note(&mut self, code: &'static str, level: Level, message: impl FnOnce() -> String) {
        if self.notes.len() < NOTES {
            let offset = self.offset();
            self.notes.push(Note { code, level, offset, message: message() });
        }
    }

    /// As [`Self::note`], with a sketch of a value that is only made if the note is kept.
    pub(super) fn note_about(
        &mut self,
        id: Id,
        code: &'static str,
        level: Level,
        message: impl FnOnce(&str) -> String,
    ) {
        if self.notes.len() < NOTES {
            let sketch = self.pickle.sketch(id, 2);
            self.note(code, level, || message(&sketch));
        }
    }

    /// The current place in the file.
    pub(super) fn offset(&self) -> u64 {
        self.base + self.operands.position.saturating_sub(1) as u64
    }

    pub(super) fn make(&mut self, value: Value) -> Result<Id, Fault> {
        let (count, limit) = (self.pickle.values.len() as u64, self.limits.pickle_nodes.min(u32::MAX.into()));
        if count >= limit {
            return self.operands.limit("the number of values so far", count + 1, limit);
        }
        self.pickle.values.push(value);
        Ok(count as Id)
    }

    pub(super) fn push_id(&mut self, id: Id) {
        self.stack.push(id);
    }

    pub(super) fn push(&mut self, value: Value) -> Result<(), Fault> {
        let id = self.make(value)?;
        self.stack.push(id);
        Ok(())
    }

    pub(super) fn pop(&mut self) -> Result<Id, Fault> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return self.operands.fault("it takes a value from an empty stack");
        }
        self.stack.pop().map_or_else(|| self.operands.fault("empty stack"), Ok)
    }

    fn top(&self) -> Result<Id, Fault> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.last() {
            Some(top) if self.stack.len() > floor => Ok(*top),
            _ => self.operands.fault("it looks at an empty stack"),
        }
    }

    /// Everything above the last mark.
    pub(super) fn pop_mark(&mut self) -> Result<Vec<Id>, Fault> {
        let Some(mark) = self.marks.pop() else {
            return self.operands.fault("there is no mark");
        };
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn tuple(&mut self, items: Vec<Id>) -> Result<(), Fault> {
        if items.is_empty() {
            self.stack.push(EMPTY_TUPLE);
            return Ok(());
        }
        self.push(Value::Tuple(items))
    }

    fn run(&mut self) -> Result<Id, Fault> {
        let mut opcodes = 0;
        loop {
            opcodes += 1;
            if opcodes > self.limits.pickle_opcodes {
                return self.operands.limit(
                    "the number of opcodes so far",
                    opcodes,
                    self.limits.pickle_opcodes,
                );
            }
            let opcode = self.operands.byte()?;
            if opcode == b'.' {
                let root = self.pop()?;
                if !self.stack.is_empty() || !self.marks.is_empty() {
                    self.note("pickle-odd", Level::Warning, || "values are left behind the result".into());
                }
                return Ok(root);
            }
            self.step(opcode)?;
        }
    }

    fn step(&mut self, opcode: u8) -> Result<(), Fault> {
        match opcode {
            b'(' => {
                let (depth, limit) = (self.marks.len() as u64 + 1, self.limits.pickle_depth as u64);
                if depth > limit {
                    return self.operands.limit("the nesting of marks", depth, limit);
                }
                self.marks.push(self.stack.len());
            }
            b'0' if self.marks.last() == Some(&self.stack.len()) => drop(self.marks.pop()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_mark()?),
            b'2' => self.stack.push(self.top()?),
            b'N' => self.stack.push(NONE),
            0x88 => self.stack.push(TRUE),
            0x89 => self.stack.push(FALSE),
            b')' => self.stack.push(EMPTY_TUPLE),
            b'I' => self.int_line()?,
            b'L' => match self.operands.number_line()? {
                Some(value) => self.push(Value::Int(value))?,
                None => self.push(Value::Opaque)?,
            },
            b'J' => {
                let value = self.operands.int32()?;
                self.push(Value::Int(value))?;
            }
            b'K' => {
                let value = self.operands.byte()?.into();
                self.push(Value::Int(value))?;
            }
            b'M' => {
                let value = self.operands.unsigned::<2>()?.cast_signed();
                self.push(Value::Int(value))?;
            }
            0x8a | 0x8b => self.long(opcode)?,
            b'F' => {
                self.operands.line()?;
                self.push(Value::Opaque)?;
            }
            b'G' => {
                self.operands.take(8)?;
                self.push(Value::Opaque)?;
            }
            b'S' | b'V' | b'T' | b'U' | b'X' | 0x8c | 0x8d | b'B' | b'C' | 0x8e | 0x96 => {
                self.text(opcode)?
            }
            b']' => self.push(Value::List(Vec::new()))?,
            b'}' => self.push(Value::Dict(Vec::new()))?,
            0x8f => self.push(Value::Opaque)?,
            b'l' => {
                let items = self.pop_mark()?;
                self.push(Value::List(items))?;
            }
            b't' => {
                let items = self.pop_mark()?;
                self.tuple(items)?;
            }
            0x85..=0x87 => {
                let mut items = vec![NONE; usize::from(opcode - 0x84)];
                for item in items.iter_mut().rev() {
                    *item = self.pop()?;
                }
                self.tuple(items)?;
            }
            b'd' => {
                let items = self.pop_mark()?;
                let pairs = self.pairs(&items)?;
                self.push(Value::Dict(pairs))?;
            }
            b'a' => {
                let item = self.pop()?;
                self.append(&[item])?;
            }
            b'e' => {
                let items = self.pop_mark()?;
                self.append(&items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set_items(&[key, value])?;
            }
            b'u' => {
                let items = self.pop_mark()?;
                self.set_items(&items)?;
            }
            0x90 => drop((self.pop_mark()?, self.top()?)),
            0x91 => {
                self.pop_mark()?;
                self.push(Value::Opaque)?;
            }
            b'p' | b'q' | b'r' | 0x94 => self.put(opcode)?,
            b'g' | b'h' | b'j' => self.get(opcode)?,
            b'P' | b'Q' => self.persistent(opcode)?,
            0x80 | 0x95 => self.framing(opcode)?,
            b'c' | 0x93 | b'i' | b'o' | 0x81 | 0x92 | b'R' | b'b' | 0x82..=0x84 | 0x97 | 0x98 => {
                self.call(opcode)?;
            }
            _ => return self.operands.fault(format!("`{opcode:#04x}` is not an opcode")),
        }
        Ok(())
    }

    pub(super) fn pairs(&mut self, items: &[Id]) -> Result<Vec<(Id, Id)>, Fault> {
        let (pairs, rest) = items.as_chunks::<2>();
        if !rest.is_empty() {
            return self.operands.fault("a key without a value");
        }
        Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect())
    }

    fn append(&mut self, items: &[Id]) -> Result<(), Fault> {
        let list = self.top()?;
        if let Value::List(list) = &mut self.pickle.values[list as usize] {
            list.extend_from_slice(items);
        }
        Ok(())
    }

    fn set_items(&mut self, items: &[Id]) -> Result<(), Fault> {
        let pairs = self.pairs(items)?;
        let dict = self.top()?;
        if let Value::Dict(dict) = &mut self.pickle.values[dict as usize] {
            dict.extend(pairs);
        }
        Ok(())
    }

    fn put(&mut self, opcode: u8) -> Result<(), Fault> {
        let index = match opcode {
            b'p' => match self.operands.number_line()? {
                Some(index) => index,
                None => return self.operands.fault("a memo index that is not a number"),
            },
            b'q' => self.operands.byte()?.into(),
            b'r' => self.operands.unsigned::<4>()?,
            _ => self.memo.len() as u64,
        };
        let top = self.top()?;
        self.memo.insert(index, top);
        let (count, limit) = (self.memo.len() as u64, self.limits.pickle_nodes);
        if count > limit {
            return self.operands.limit("the number of memoised values so far", count, limit);
        }
        Ok(())
    }

    fn get(&mut self, opcode: u8) -> Result<(), Fault> {
        let index = match opcode {
            b'g' => self.operands.number_line()?,
            b'h' => Some(self.operands.byte()?.into()),
            _ => Some(self.operands.unsigned::<4>()?),
        };
        let value = index.and_then(|index| self.memo.get(&index));
        match value {
            Some(value) => self.stack.push(*value),
            None => return self.operands.fault("it recalls a value that was never memoised"),
        }
        Ok(())
    }

    fn persistent(&mut self, opcode: u8) -> Result<(), Fault> {
        let id = if opcode == b'P' {
            let line = self.operands.line()?;
            self.note("pickle-persistent-id", Level::Warning, || {
                "an outside reference is written as text, which PyTorch never does".into()
            });
            self.make(Value::Owned(unescape(line)))?
        } else {
            self.pop()?
        };
        let reference = self.make(Value::Persistent(id))?;
        self.pickle.persistent.push(reference);
        self.stack.push(reference);
        let kind = self.pickle.items(id).and_then(|items| items.first());
        let is_storage = kind.is_some_and(|kind| self.pickle.is_text(*kind, "storage"));
        if opcode == b'Q' && !is_storage {
            self.note_about(id, "pickle-persistent-id", Level::Warning, |sketch| {
                format!("an outside reference `{sketch}` does not name a storage")
            });
        }
        Ok(())
    }

    fn framing(&mut self, opcode: u8) -> Result<(), Fault> {
        if opcode == 0x80 {
            let first = self.operands.position == 1;
            let protocol = self.operands.byte()?;
            if protocol > 5 {
                self.note("pickle-odd", Level::Warning, || format!("protocol {protocol} is not known"));
            }
            if !first {
                self.note("pickle-odd", Level::Warning, || {
                    "the protocol is declared in the middle: pickles have been joined".into()
                });
            }
        } else {
            let len = self.operands.unsigned::<8>()?;
            let left = (self.operands.code.len() - self.operands.position) as u64;
            if len > left {
                self.note("pickle-odd", Level::Warning, || {
                    format!("a frame claims {len} bytes, {left} are left")
                });
            }
        }
        Ok(())
    }

    /// The global behind an id, for changing it.
    pub(super) fn global_mut(&mut self, id: Id) -> Option<&mut Global> {
        match self.pickle.get(id) {
            Value::Global(index) => {
                let index = *index as usize;
                self.pickle.globals.get_mut(index)
            }
            _ => None,
        }
    }
}

impl Outcome<'_> {
    /// Whether more bytes could have helped.
    pub(super) fn wants_more(&self) -> bool {
        matches!(self.root, Err(Fault { kind: FaultKind::Truncated { .. }, .. }))
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
