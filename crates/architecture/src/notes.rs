//! Remarks, counted and bounded: one line per kind, however many tensors it concerns.

use std::collections::BTreeMap;
use stemmata_model::printable;

/// Collects remarks; each kind keeps a count and its first subject.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    counted: BTreeMap<String, (u64, String)>,
    plain: Vec<String>,
}

impl Notes {
    /// A remark that stands alone. Untrusted text in it must be printable already.
    pub(crate) fn say(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.plain.contains(&text) {
            self.plain.push(text);
        }
    }

    /// One more tensor to which `what` applies.
    pub(crate) fn count(&mut self, what: &str, name: &str) {
        let slot = self.counted.entry(what.to_owned()).or_insert_with(|| (0, printable(name)));
        slot.0 += 1;
    }

    /// All remarks, the same for the same checkpoint.
    pub(crate) fn finish(self) -> Vec<String> {
        let counted = self.counted.into_iter().map(|(what, (count, name))| {
            if count == 1 {
                format!("{what}: 1 (`{name}`)")
            } else {
                format!("{what}: {count} (first `{name}`)")
            }
        });
        self.plain.into_iter().chain(counted).collect()
    }
}
