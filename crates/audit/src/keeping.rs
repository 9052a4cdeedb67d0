//! Sketches that were made before, by the content that they are of.

use crate::Settings;
use crate::input::Whole;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;
use stemmata_fingerprint::{Sketch, SketchParams, decode};
use stemmata_source::{keep_sketch, kept_sketch};

/// Raised whenever the same model gives another sketch.
const MAKE: u32 = 1;
/// Smaller models on this machine are sketched as quickly as their sketches are found.
const WORTH_KEEPING: u64 = 64 << 20;

/// Where the sketch of a model is kept, if it is.
pub(crate) struct Shelf<'a> {
    cache: &'a Path,
    key: String,
    whole: &'a Whole,
}

impl<'a> Shelf<'a> {
    /// `None` where there is no cache, where the content has no digest, or where keeping is not worth it. The key holds the digest of the files, what
    /// is made of them and how, and the place where somebody else says what the digest is: others may lie.
    pub(crate) fn of(whole: &'a Whole, params: &SketchParams, settings: &Settings<'a>) -> Option<Shelf<'a>> {
        let cache = settings.access.and_then(|access| access.cache.as_deref())?;
        let size: u64 = whole.opened.checkpoint.files.iter().map(|f| f.len).sum();
        if whole.facts.files.is_empty() || !(whole.opened.remote || size > WORTH_KEEPING) {
            return None;
        }
        let place = if whole.opened.remote { whole.opened.resolved.to_string() } else { String::new() };
        let (version, anatomy) = (env!("CARGO_PKG_VERSION"), &whole.anatomy);
        let mut text = Hashed(Sha256::new());
        writeln!(text, "{MAKE} {version}\n{place}\n{}\n{params:?}", whole.facts.digest).ok()?;
        writeln!(text, "{} {} {:?}", anatomy.family, anatomy.inferred, anatomy.components).ok()?;
        anatomy.parts.iter().try_for_each(|part| writeln!(text, "{part:?}")).ok()?;
        let key = text.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Some(Shelf { cache, key, whole })
    }

    /// The kept sketch.
    pub(crate) fn get(&self) -> Option<Sketch> {
        decode(&kept_sketch(self.cache, &self.key)?).ok()
    }

    /// Keeps what `content` writes. Where that fails the run goes on, and says so.
    pub(crate) fn put(&self, content: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) {
        if keep_sketch(self.cache, &self.key, content).is_err() {
            self.whole.cache_failed.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    }
}

/// A digest of text.
struct Hashed(Sha256);

impl std::fmt::Write for Hashed {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.update(text);
        Ok(())
    }
}
