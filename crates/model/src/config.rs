//! A model's configuration as a flat, ordered table of dotted keys.

use std::collections::BTreeMap;

/// A value of a configuration file or of a GGUF key.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// JSON null.
    Null,
    /// True or false.
    Bool(bool),
    /// An integer that fits.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Text; attacker-controlled.
    Text(String),
    /// A list; readers cap its length and keep only scalars (long vocabularies are not kept here).
    List(Vec<Value>),
}

/// Dotted keys (`text_config.hidden_size`, `llama.block_count`) to values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// The table, in key order.
    pub entries: BTreeMap<String, Value>,
}

impl Config {
    /// The value under `key`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries.get(key)
    }

    /// The value under `key` as a non-negative integer.
    pub fn count(&self, key: &str) -> Option<u64> {
        match self.get(key)? {
            Value::Int(n) => u64::try_from(*n).ok(),
            Value::Float(x) if *x >= 0.0 && x.fract() == 0.0 && *x < 9.0e15 => Some(*x as u64),
            _ => None,
        }
    }

    /// The value under `key` as text.
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.get(key)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value under `key` as a truth value.
    pub fn flag(&self, key: &str) -> Option<bool> {
        match self.get(key)? {
            Value::Bool(flag) => Some(*flag),
            _ => None,
        }
    }

    /// The first text in the list under `key`, or the text itself.
    pub fn first_text(&self, key: &str) -> Option<&str> {
        match self.get(key)? {
            Value::Text(text) => Some(text),
            Value::List(items) => items.iter().find_map(|item| match item {
                Value::Text(text) => Some(text.as_str()),
                _ => None,
            }),
            _ => None,
        }
    }
}
