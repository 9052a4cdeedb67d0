//! JSON tables. A key that comes twice in one object is an error, because readers disagree which one counts.

use super::{COLUMNS, ROWS, Table, TableError, bounded, wrong};
use crate::votes::{VoteError, shown};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// A JSON value whose objects have each key once.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// A text, a number or a truth value as text; nothing for null.
    Plain(String),
    List(Vec<Value>),
    Object(Vec<(String, Value)>),
}

impl Value {
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        match self {
            Value::Object(fields) => fields.iter().find(|(k, _)| k == key).map(|(_, v)| v),
            _ => None,
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Value::Plain(text) => Some(text),
            _ => None,
        }
    }
}

pub(super) fn parse(bytes: &[u8]) -> Result<Value, TableError> {
    serde_json::from_slice(bytes).map_err(|error| {
        let line = error.line() as u64;
        VoteError::Syntax { line, what: shown(&error.to_string()) }.into()
    })
}

pub(super) fn read(bytes: &[u8]) -> Result<Table, TableError> {
    let value = parse(bytes)?;
    let list = match &value {
        Value::List(list) => Some(list),
        value => match value.get("models") {
            Some(Value::List(list)) => Some(list),
            _ => None,
        },
    };
    let mut table = Builder::default();
    if let Some(list) = list {
        for (number, element) in list.iter().enumerate() {
            let row = number as u64 + 1;
            let Value::Object(fields) = element else { return Err(wrong(row, "it is no object")) };
            table.row(row, &[], fields)?;
        }
        return Ok(table.table);
    }
    let shape = || {
        TableError::Shape {
        what: "JSON is read as a list of objects, as a list under the key `models`, or as categories of contestants"
            .to_owned(),
    }
    };
    let Value::Object(categories) = &value else { return Err(shape()) };
    let mut row = 0;
    for (category, contestants) in categories {
        let Value::Object(contestants) = contestants else { return Err(shape()) };
        for (name, fields) in contestants {
            row += 1;
            let Value::Object(fields) = fields else { return Err(shape()) };
            table.row(row, &[("category", category), ("model", name)], fields)?;
        }
    }
    Ok(table.table)
}

#[derive(Default)]
struct Builder {
    table: Table,
}

impl Builder {
    fn row(
        &mut self,
        row: u64,
        fixed: &[(&str, &str)],
        fields: &[(String, Value)],
    ) -> Result<(), TableError> {
        if self.table.rows.len() >= ROWS {
            return Err(wrong(row, format!("more than {ROWS} rows")));
        }
        let mut cells = vec![String::new(); self.table.columns.len()];
        let given = fields.iter().filter_map(|(key, value)| Some((key.as_str(), value.text()?)));
        for (key, text) in fixed.iter().copied().chain(given) {
            let place = match self.table.columns.iter().position(|c| c == key) {
                Some(place) => place,
                None => {
                    if self.table.columns.len() >= COLUMNS {
                        return Err(wrong(row, format!("more than {COLUMNS} columns")));
                    }
                    self.table.columns.push(bounded(key, row)?.to_owned());
                    cells.push(String::new());
                    cells.len() - 1
                }
            };
            cells[place] = bounded(text, row)?.trim().to_owned();
        }
        // Rows before a new column get empty cells for it at the end, when all columns are known.
        self.table.rows.push((row, cells));
        let columns = self.table.columns.len();
        if self.table.rows.first().is_some_and(|(_, first)| first.len() < columns) {
            self.table.rows.iter_mut().for_each(|(_, cells)| cells.resize(columns, String::new()));
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(Any)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Plain(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Plain(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Plain(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Plain(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Plain(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Plain(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Plain(String::new()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = seq.next_element()? {
            list.push(value);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields: Vec<(String, Value)> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        while let Some((key, value)) = map.next_entry::<String, Value>()? {
            if !seen.insert(key.clone()) {
                return Err(serde::de::Error::custom("a key comes twice"));
            }
            fields.push((key, value));
        }
        Ok(Value::Object(fields))
    }
}
