//! `config.json`: a document becomes a flat table of dotted keys.

use crate::document::{Refusal, document};
use crate::hazards::Hazards;
use crate::json::{Kind, Scalar, Scanner};
use crate::{FormatError, Limits};
use stemmata_model::{Config, Hazard, Level, Value, printable};

/// Reads a configuration. Lists that hold anything but scalars, or too many of them, are dropped.
pub fn parse_config(bytes: &[u8], name: &str) -> Result<(Config, Vec<Hazard>), FormatError> {
    let limits = Limits::default();
    let text = document(bytes, name, limits.config_bytes)?;
    let mut hazards = Hazards::new(name);
    let mut reader = Reader {
        limits: &limits,
        file: printable(name),
        config: Config::default(),
        repeated: None,
        items: 0,
    };
    let mut scanner = Scanner::new(text, limits.json_depth);
    reader
        .object(&mut scanner, "")
        .and_then(|()| Ok(scanner.end()?))
        .map_err(|refusal| refusal.into_format(&reader.file, 0))?;
    if let Some(key) = &reader.repeated {
        hazards.part("duplicate-key", Level::Warning, key, || {
            "the key occurs twice: readers disagree on which value counts".into()
        });
    }
    let remote = |key: &String| {
        key.as_str() == "auto_map" || key.starts_with("auto_map.") || key.contains(".auto_map.")
    };
    if let Some(key) = reader.config.entries.keys().find(|key| remote(key)) {
        hazards.part("remote-code", Level::Danger, key, || {
            "the configuration names Python code of the repository that a loader may be asked to run".into()
        });
    }
    Ok((reader.config, hazards.finish()))
}

struct Reader<'l> {
    limits: &'l Limits,
    file: String,
    config: Config,
    repeated: Option<String>,
    /// Items of all lists so far.
    items: usize,
}

impl Reader<'_> {
    fn object(&mut self, scanner: &mut Scanner, prefix: &str) -> Result<(), Refusal> {
        // INVARIANT: recursion is bounded by the scanner's depth.
        let mut empty = true;
        scanner.object(|scanner, key| {
            empty = false;
            let path = if prefix.is_empty() { key.into_owned() } else { format!("{prefix}.{key}") };
            // A long prefix would be copied into every key below it.
            if path.len() > self.limits.name_bytes {
                let (claimed, limit) = (path.len() as u64, self.limits.name_bytes as u64);
                let (file, subject) = (self.file.clone(), "the length in bytes of a dotted key".into());
                return Err(FormatError::Limit { file, subject, claimed, limit }.into());
            }
            match scanner.kind()? {
                Kind::Object => self.object(scanner, &path),
                Kind::Array => match self.list(scanner)? {
                    Some(list) => self.insert(path, Value::List(list)),
                    None => Ok(()),
                },
                _ => {
                    let value = value(scanner.scalar()?);
                    self.insert(path, value)
                }
            }
        })?;
        // An empty `auto_map` or `rope_scaling` says something too.
        if empty && !prefix.is_empty() {
            self.insert(prefix.to_owned(), Value::Null)?;
        }
        Ok(())
    }

    fn list(&mut self, scanner: &mut Scanner) -> Result<Option<Vec<Value>>, Refusal> {
        let mut kept = Some(Vec::new());
        scanner.array(|scanner| {
            match (scanner.kind()?, &mut kept) {
                (Kind::Object | Kind::Array, _) => {
                    kept = None;
                    scanner.skip()?;
                }
                (_, Some(list))
                    if list.len() < self.limits.list_items && self.items < self.limits.kept_items =>
                {
                    self.items += 1;
                    list.push(value(scanner.scalar()?));
                }
                _ => {
                    kept = None;
                    scanner.skip()?;
                }
            }
            Ok::<_, Refusal>(())
        })?;
        Ok(kept)
    }

    fn insert(&mut self, key: String, value: Value) -> Result<(), Refusal> {
        let (claimed, limit) = (self.config.entries.len() as u64 + 1, self.limits.config_entries as u64);
        if claimed > limit {
            let (file, subject) = (self.file.clone(), "the number of keys so far".into());
            return Err(FormatError::Limit { file, subject, claimed, limit }.into());
        }
        if self.config.entries.contains_key(&key) {
            self.repeated.get_or_insert_with(|| key.clone());
        }
        self.config.entries.insert(key, value);
        Ok(())
    }
}

fn value(scalar: Scalar) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Bool(flag) => Value::Bool(flag),
        Scalar::Text(text) => Value::Text(text.into_owned()),
        Scalar::Number(text) => match text.parse() {
            Ok(integer) => Value::Int(integer),
            // Out of range becomes infinite, as in the reference; every other number of the grammar parses.
            Err(_) => Value::Float(text.replace("Infinity", "inf").parse().unwrap_or(f64::NAN)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_keys_are_dotted_and_lists_of_objects_dropped() {
        let text =
            br#"{"a":{"b":[1,"x",null]},"c":1e3,"d":[{}],"e":9007199254740993,"f":-Infinity,"g":true}"#;
        let (config, hazards) = parse_config(text, "config.json").unwrap();
        assert!(hazards.is_empty());
        let list = Value::List(vec![Value::Int(1), Value::Text("x".into()), Value::Null]);
        assert_eq!(config.get("a.b"), Some(&list));
        assert_eq!(config.count("c"), Some(1000));
        assert_eq!(config.get("d"), None);
        assert_eq!(config.get("e"), Some(&Value::Int(9_007_199_254_740_993)));
        assert_eq!(config.get("f"), Some(&Value::Float(f64::NEG_INFINITY)));
        assert_eq!(config.flag("g"), Some(true));
    }

    #[test]
    fn remote_code_is_a_hazard() {
        for text in
            [r#"{"auto_map":{"AutoModel":"m.M"}}"#, r#"{"auto_map":{}}"#, r#"{"x":{"auto_map":{"A":"b"}}}"#]
        {
            let (_, hazards) = parse_config(text.as_bytes(), "config.json").unwrap();
            assert_eq!(hazards.len(), 1, "{text}");
            assert_eq!(hazards[0].code, "remote-code");
        }
    }

    #[test]
    fn repeated_keys_are_a_hazard_and_depth_is_bounded() {
        let (config, hazards) = parse_config(br#"{"a":1,"a":2}"#, "c").unwrap();
        assert_eq!(config.count("a"), Some(2));
        assert_eq!(hazards[0].code, "duplicate-key");
        let deep = "{\"a\":".repeat(100_000);
        assert!(parse_config(deep.as_bytes(), "c").unwrap_err().to_string().contains("too deeply"));
    }
}
