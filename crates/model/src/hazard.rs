//! Dangerous or odd things seen while opening safely. A hazard is a value, not an error.

/// How much a hazard matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Worth knowing.
    Note,
    /// A loader may misread the file, or be misled by it.
    Warning,
    /// A loader that trusts the file may execute code or leave the directory.
    Danger,
}

impl Level {
    /// Lower-case name.
    pub fn name(self) -> &'static str {
        match self {
            Level::Note => "note",
            Level::Warning => "warning",
            Level::Danger => "danger",
        }
    }
}

/// One dangerous or odd thing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hazard {
    /// Kebab-case and stable, for instance `pickle-global`.
    pub code: &'static str,
    /// How much it matters.
    pub level: Level,
    /// The file (relative to the checkpoint) and, where it applies, the tensor or byte offset.
    pub subject: String,
    /// One sentence. Untrusted parts have been passed through [`crate::printable`].
    pub message: String,
}
