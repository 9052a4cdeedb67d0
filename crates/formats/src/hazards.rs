//! Collects hazards of one file, bounded in number.

use std::collections::BTreeMap;
use stemmata_model::{Hazard, Level, printable};

/// More than this many of one code say nothing new; the rest is counted.
const PER_CODE: usize = 64;

/// The hazards of one file.
#[derive(Debug)]
pub(crate) struct Hazards {
    file: String,
    list: Vec<Hazard>,
    counts: BTreeMap<&'static str, (Level, usize)>,
}

impl Hazards {
    /// A collector for the file called `name`.
    pub(crate) fn new(name: &str) -> Self {
        Hazards { file: printable(name), list: Vec::new(), counts: BTreeMap::new() }
    }

    /// Adds a hazard of the file as a whole.
    pub(crate) fn file(&mut self, code: &'static str, level: Level, message: impl FnOnce() -> String) {
        self.push(code, level, None, message);
    }

    /// Adds a hazard of one part of the file: a tensor name or a place such as `byte 12`.
    pub(crate) fn part(
        &mut self,
        code: &'static str,
        level: Level,
        part: &str,
        message: impl FnOnce() -> String,
    ) {
        self.push(code, level, Some(part), message);
    }

    fn push(
        &mut self,
        code: &'static str,
        level: Level,
        part: Option<&str>,
        message: impl FnOnce() -> String,
    ) {
        let count = self.counts.entry(code).or_insert((level, 0));
        count.0 = count.0.max(level);
        count.1 += 1;
        if count.1 > PER_CODE {
            return;
        }
        let subject = match part {
            Some(part) => format!("{}: {}", self.file, printable(part)),
            None => self.file.clone(),
        };
        self.list.push(Hazard { code, level, subject, message: message() });
    }

    /// Notes a tensor name that could mislead a reader or a program that uses it as a path.
    pub(crate) fn tensor_name(&mut self, name: &str) {
        let shown = |c: char| printable(c.encode_utf8(&mut [0; 4])).starts_with(c);
        if name.is_empty() || !name.chars().all(shown) {
            self.part("odd-name", Level::Warning, name, || {
                "the tensor name is empty or holds control or invisible characters".into()
            });
        } else if name.contains("..") || name.starts_with('/') || name.contains('\\') {
            self.part("odd-name", Level::Warning, name, || {
                "the tensor name looks like a path that leaves its directory".into()
            });
        }
    }

    /// Whether anything dangerous was seen.
    pub(crate) fn has_danger(&self) -> bool {
        self.counts.values().any(|(level, _)| *level == Level::Danger)
    }

    /// The list, with one more entry for each code that was cut.
    pub(crate) fn finish(mut self) -> Vec<Hazard> {
        for (code, (level, count)) in self.counts {
            if count > PER_CODE {
                let message = format!("{} more of the same kind are not listed", count - PER_CODE);
                self.list.push(Hazard { code, level, subject: self.file.clone(), message });
            }
        }
        self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_counted() {
        let mut hazards = Hazards::new("f");
        for _ in 0..1000 {
            hazards.part("odd", Level::Note, "x", || "again".into());
        }
        let list = hazards.finish();
        assert_eq!(list.len(), PER_CODE + 1);
        assert!(list[PER_CODE].message.starts_with("936 more"));
    }
}
