//! Ranges that were fetched, on disk, by the digest of the content that they are from.
//!
//! Layout: `<cache>/ranges-1/<digest of the content>/<start>-<end>`, each the SHA-256 of the range and then its bytes. A file that is short,
//! long or does not have its digest is as good as absent. What cannot be written is not kept; nothing here is ever an error.

use crate::cache::{RANGES, Room, put, range, touch};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

const DIGEST: usize = 32;
/// Bytes that one run adds for one file, at most: reading a large model in full must not fill the disk.
const MOST: u64 = 4 << 30;

/// The kept ranges of one content.
pub(super) struct RangeCache {
    folder: PathBuf,
    /// Start to end.
    known: Mutex<BTreeMap<u64, u64>>,
    added: AtomicU64,
    room: Arc<Room>,
    /// Nothing more is written: there is no room.
    full: AtomicBool,
    /// Why that is so is the disk, not a bound of ours.
    failed: AtomicBool,
}

impl RangeCache {
    /// `content` is a lower-case hexadecimal digest.
    pub(super) fn open(cache: &Path, content: &str) -> RangeCache {
        let folder = cache.join(RANGES).join(content);
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        let mut known = BTreeMap::new();
        for (start, end) in entries.filter_map(|entry| range(entry.file_name().to_str()?)) {
            let longest = known.entry(start).or_insert(end);
            *longest = end.max(*longest);
        }
        if !known.is_empty() {
            touch(&folder);
        }
        RangeCache {
            folder,
            known: Mutex::new(known),
            added: AtomicU64::new(0),
            room: Room::of(cache),
            full: AtomicBool::new(false),
            failed: AtomicBool::new(false),
        }
    }

    /// Fills `out` from byte `start` on, if one kept range holds all of it.
    pub(super) fn get(&self, start: u64, out: &mut [u8]) -> bool {
        let end = start + out.len() as u64;
        let found = {
            let known = self.known.lock().unwrap_or_else(|e| e.into_inner());
            known.range(..=start).next_back().map(|(s, e)| (*s, *e)).filter(|(_, e)| *e >= end)
        };
        let Some((from, to)) = found else { return false };
        match read(&self.folder.join(format!("{from}-{to}")), to - from) {
            Some(bytes) => {
                out.copy_from_slice(&bytes[DIGEST..][(start - from) as usize..][..out.len()]);
                true
            }
            None => {
                self.known.lock().unwrap_or_else(|e| e.into_inner()).remove(&from);
                false
            }
        }
    }

    /// Whether one kept range holds all of these bytes, as far as names tell.
    pub(super) fn holds(&self, start: u64, end: u64) -> bool {
        let known = self.known.lock().unwrap_or_else(|e| e.into_inner());
        known.range(..=start).next_back().is_some_and(|(_, e)| *e >= end)
    }

    /// Whether something could not be written.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Keeps `bytes`, which lie at `start`: complete or not at all.
    pub(super) fn put(&self, start: u64, bytes: &[u8]) {
        let len = bytes.len() as u64;
        if len == 0
            || self.full.load(Ordering::Relaxed)
            || self.added.fetch_add(len, Ordering::Relaxed) > MOST
        {
            return;
        }
        if !self.room.take(len + DIGEST as u64) {
            self.full.store(true, Ordering::Relaxed);
            return;
        }
        let end = start + len;
        let written = put(&self.folder, &format!("{start}-{end}"), &mut |file| {
            file.write_all(&Sha256::digest(bytes))?;
            file.write_all(bytes)
        });
        if written.is_err() {
            // A full disk stays full; the range is at hand, so nothing is lost but the next run's time.
            self.full.store(true, Ordering::Relaxed);
            self.failed.store(true, Ordering::Relaxed);
            return;
        }
        let mut known = self.known.lock().unwrap_or_else(|e| e.into_inner());
        let longest = known.entry(start).or_insert(end);
        *longest = end.max(*longest);
    }
}

/// The digest and the bytes of a kept range, if the file is what it says.
fn read(path: &Path, len: u64) -> Option<Vec<u8>> {
    let file = fs::File::open(path).ok()?;
    let whole = len.checked_add(DIGEST as u64)?;
    if file.metadata().ok()?.len() != whole {
        return None;
    }
    let mut bytes = Vec::with_capacity(usize::try_from(whole).ok()?);
    file.take(whole).read_to_end(&mut bytes).ok()?;
    let good = bytes.len() as u64 == whole && Sha256::digest(&bytes[DIGEST..])[..] == bytes[..DIGEST];
    good.then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_found_again_and_what_is_broken_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..200).collect();
        RangeCache::open(folder.path(), "ab").put(1000, &bytes);
        let cache = RangeCache::open(folder.path(), "ab");
        let mut out = [0; 10];
        assert!(cache.get(1050, &mut out));
        assert_eq!(out[..], bytes[50..60]);
        assert!(!cache.get(1195, &mut out) && !cache.get(990, &mut out));
        assert!(!RangeCache::open(folder.path(), "cd").get(1050, &mut out));

        let file = folder.path().join("ranges-1/ab/1000-1200");
        let whole = fs::read(&file).unwrap();
        for broken in [&whole[..100], &[][..], &[whole.as_slice(), b"x"].concat(), &{
            let mut flipped = whole.clone();
            flipped[90] ^= 1;
            flipped
        }] {
            fs::write(&file, broken).unwrap();
            let cache = RangeCache::open(folder.path(), "ab");
            assert!(!cache.get(1050, &mut out));
            assert!(!cache.holds(1050, 1060), "a broken range is asked for once");
        }
    }

    #[test]
    fn a_place_that_cannot_be_written_keeps_nothing() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let cache = RangeCache::open(file.path(), "ab");
        assert!(!cache.has_failed());
        cache.put(0, b"bytes");
        assert!(cache.has_failed() && !cache.get(0, &mut [0; 2]));
    }
}
