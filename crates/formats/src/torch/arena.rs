//! The values a pickle builds: plain data in one arena, referred to by number.
//!
//! Sharing and cycles cost nothing, nothing is cloned, and dropping the arena never recurses.

use super::globals::Global;
use std::borrow::Cow;
use stemmata_model::printable;

/// A value's place in the arena.
pub(super) type Id = u32;

/// Bytes within the pickle.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) len: u32,
}

/// One value.
#[derive(Debug)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i64),
    /// Text in the pickle itself, UTF-8 as far as it goes.
    Text(Span),
    /// Text that had to be unescaped.
    Owned(Box<str>),
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// An imported name: index into [`Pickle::globals`].
    Global(u32),
    /// What calling something would have returned.
    Call {
        callable: Id,
        args: Id,
        state: Option<Id>,
    },
    /// A reference to data outside the pickle.
    Persistent(Id),
    /// Anything that no checkpoint needs: floats, byte strings, sets, integers beyond 64 bits.
    Opaque,
}

/// All values of one pickle.
pub(super) struct Pickle<'a> {
    pub(super) code: &'a [u8],
    pub(super) values: Vec<Value>,
    pub(super) globals: Vec<Global>,
    /// Every persistent reference, reachable or not, in order.
    pub(super) persistent: Vec<Id>,
}

impl Pickle<'_> {
    pub(super) fn get(&self, id: Id) -> &Value {
        // INVARIANT: ids are only made by pushing to `values`.
        &self.values[id as usize]
    }

    fn text(&self, id: Id) -> Option<Cow<'_, str>> {
        match self.get(id) {
            Value::Text(span) => Some(String::from_utf8_lossy(self.span(*span))),
            Value::Owned(text) => Some(Cow::Borrowed(text)),
            _ => None,
        }
    }

    /// Whether a value is this very text; costs nothing however long the value is.
    pub(super) fn is_text(&self, id: Id, text: &str) -> bool {
        match self.get(id) {
            Value::Text(span) => self.span(*span) == text.as_bytes(),
            Value::Owned(owned) => **owned == *text,
            _ => false,
        }
    }

    /// The text of a value of at most `most` bytes, for names that will be kept: one long text may be used a million
    /// times, and must not be copied each time.
    pub(super) fn short_text(&self, id: Id, most: usize) -> Option<Cow<'_, str>> {
        let len = match self.get(id) {
            Value::Text(span) => span.len as usize,
            Value::Owned(text) => text.len(),
            _ => return None,
        };
        if len <= most { self.text(id) } else { None }
    }

    pub(super) fn span(&self, span: Span) -> &[u8] {
        &self.code[span.start as usize..][..span.len as usize]
    }

    pub(super) fn int(&self, id: Id) -> Option<i64> {
        match self.get(id) {
            Value::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// The items of a tuple or list.
    pub(super) fn items(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Value::Tuple(items) | Value::List(items) => Some(items),
            _ => None,
        }
    }

    pub(super) fn global(&self, id: Id) -> Option<&Global> {
        match self.get(id) {
            Value::Global(index) => self.globals.get(*index as usize),
            _ => None,
        }
    }

    /// A short printable sketch of a value, for messages.
    pub(super) fn sketch(&self, id: Id, depth: usize) -> String {
        const ITEMS: usize = 4;
        let list = |items: &[Id], open: &str, close: &str| {
            if depth == 0 {
                return format!("{open}…{close}");
            }
            let mut parts: Vec<String> =
                items.iter().take(ITEMS).map(|item| self.sketch(*item, depth - 1)).collect();
            if items.len() > ITEMS {
                parts.push("…".into());
            }
            format!("{open}{}{close}", parts.join(", "))
        };
        match self.get(id) {
            Value::None => "None".into(),
            Value::Bool(true) => "True".into(),
            Value::Bool(false) => "False".into(),
            Value::Int(value) => value.to_string(),
            Value::Text(_) | Value::Owned(_) => {
                let text = self.short_text(id, 4096).unwrap_or(Cow::Borrowed("…"));
                let cut: String = text.chars().take(60).collect();
                format!("\"{}{}\"", printable(&cut), if cut.len() < text.len() { "…" } else { "" })
            }
            Value::List(items) => list(items, "[", "]"),
            Value::Tuple(items) => list(items, "(", ")"),
            Value::Dict(_) => "{…}".into(),
            Value::Global(_) => self.global(id).map_or_else(String::new, Global::dotted),
            Value::Call { callable, args, .. } if depth > 0 => {
                format!("{}{}", self.sketch(*callable, depth - 1), self.sketch(*args, depth - 1))
            }
            Value::Call { .. } | Value::Persistent(_) | Value::Opaque => "…".into(),
        }
    }
}
