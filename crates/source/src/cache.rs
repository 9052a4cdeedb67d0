//! Our own cache on disk: bounded, and never needed. What is broken is as good as absent, what cannot be written is not kept.
//!
//! `<cache>/ranges-1/<content>/<start>-<end>` are ranges that were fetched (`remote/cache.rs`); `<cache>/sketches-1/<key>` are sketches: the content,
//! then its SHA-256. What was used last is kept longest.

use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

/// Version of the layout of ranges, and of sketches.
pub(crate) const RANGES: &str = "ranges-1";
const SKETCHES: &str = "sketches-1";
/// Bytes that the cache holds, at most. Where it has more, what was not used longest goes, until a quarter is free.
const MOST: u64 = 16 << 30;
/// Larger sketches are not kept: they are read whole.
const LARGEST_SKETCH: u64 = 64 << 20;
const DIGEST: usize = 32;
/// What a run that was killed left half written goes after so long.
const STALE: Duration = Duration::from_secs(86_400);

/// Tells temporary files of one process apart.
static WRITTEN: AtomicU64 = AtomicU64::new(0);

/// The room that is left in each cache that this process uses.
static ROOMS: Mutex<BTreeMap<PathBuf, Arc<Room>>> = Mutex::new(BTreeMap::new());

/// Bytes that may be added.
pub(crate) struct Room(AtomicU64);

impl Room {
    /// The room of a cache. Who asks first makes some where there is too little.
    pub(crate) fn of(cache: &Path) -> Arc<Room> {
        let mut rooms = ROOMS.lock().unwrap_or_else(|e| e.into_inner());
        let room = || Arc::new(Room(AtomicU64::new(MOST.saturating_sub(trim(cache, MOST)))));
        Arc::clone(rooms.entry(cache.to_owned()).or_insert_with(room))
    }

    /// Takes so many bytes, if there are as many.
    pub(crate) fn take(&self, bytes: u64) -> bool {
        let less = |left: u64| left.checked_sub(bytes);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}

/// Removes what was not used longest, if the cache has more than `most` bytes; returns what it has then. Looks at names and sizes only.
fn trim(cache: &Path, most: u64) -> u64 {
    let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
    let used =
        |entry: &fs::DirEntry| entry.metadata().and_then(|m| m.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    let stale = |entry: &fs::DirEntry| {
        let half = entry.file_name().to_string_lossy().starts_with(".part.");
        half && used(entry).elapsed().is_ok_and(|age| age > STALE)
    };
    let mut kept: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
    for content in entries(&cache.join(RANGES)).filter(|e| e.file_type().is_ok_and(|t| t.is_dir())) {
        let mut bytes = 0;
        for file in entries(&content.path()) {
            match range(&file.file_name().to_string_lossy()) {
                Some((start, end)) => bytes += end - start + DIGEST as u64,
                None if stale(&file) => drop(fs::remove_file(file.path())),
                None => {}
            }
        }
        kept.push((used(&content), bytes, content.path()));
    }
    for sketch in entries(&cache.join(SKETCHES)) {
        match sketch.metadata() {
            Ok(_) if stale(&sketch) => drop(fs::remove_file(sketch.path())),
            Ok(metadata) if metadata.is_file() => kept.push((used(&sketch), metadata.len(), sketch.path())),
            _ => {}
        }
    }
    let mut total = kept.iter().map(|(_, bytes, _)| bytes).sum::<u64>();
    if total <= most {
        return total;
    }
    kept.sort();
    for (_, bytes, path) in kept {
        if total <= most / 4 * 3 {
            break;
        }
        let gone = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        total -= if gone.is_ok() { bytes } else { 0 };
    }
    total
}

/// Start and end from the name of a kept range.
pub(crate) fn range(name: &str) -> Option<(u64, u64)> {
    let (start, end) = name.split_once('-')?;
    let (start, end) = (start.parse::<u64>().ok()?, end.parse::<u64>().ok()?);
    (start < end).then_some((start, end))
}

/// Notes that a file or folder of the cache was used.
pub(crate) fn touch(path: &Path) {
    // What cannot be noted is forgotten sooner.
    let _ = fs::File::open(path).and_then(|file| file.set_modified(SystemTime::now()));
}

/// Writes a file complete or not at all.
pub(crate) fn put(
    folder: &Path,
    name: &str,
    content: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
    let temporary = folder.join(format!(".part.{}.{number}", std::process::id()));
    let written = fs::create_dir_all(folder)
        .and_then(|()| fs::File::create(&temporary))
        .and_then(|mut file| content(&mut file))
        .and_then(|()| fs::rename(&temporary, folder.join(name)));
    written.inspect_err(|_| drop(fs::remove_file(&temporary)))
}

/// The sketch that is kept under `key`, if it is what was written.
pub fn kept_sketch(cache: &Path, key: &str) -> Option<Vec<u8>> {
    let path = cache.join(SKETCHES).join(key);
    let file = fs::File::open(&path).ok()?;
    let len = file.metadata().ok()?.len();
    if len > LARGEST_SKETCH + DIGEST as u64 {
        return None;
    }
    let mut bytes = Vec::with_capacity(len as usize);
    file.take(len).read_to_end(&mut bytes).ok()?;
    let at = bytes.len().checked_sub(DIGEST)?;
    if Sha256::digest(&bytes[..at])[..] != bytes[at..] {
        return None;
    }
    bytes.truncate(at);
    touch(&path);
    Some(bytes)
}

/// Keeps what `content` writes under `key`, a lower-case hexadecimal digest. A sketch that is too large for the cache is not kept, which is no
/// error; a disk that is full is one, and nothing is left of it.
pub fn keep_sketch(
    cache: &Path,
    key: &str,
    content: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let room = Room::of(cache);
    let outcome = put(&cache.join(SKETCHES), key, &mut |out| {
        let mut bounded = Bounded { out, hash: Sha256::new(), len: 0, room: &room };
        content(&mut bounded)?;
        let digest = bounded.hash.finalize();
        bounded.out.write_all(&digest)
    });
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Ok(()),
        outcome => outcome,
    }
}

/// Hashes what it writes, and stops where it is too much.
struct Bounded<'a> {
    out: &'a mut dyn Write,
    hash: Sha256,
    len: u64,
    room: &'a Room,
}

impl Write for Bounded<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.len += bytes.len() as u64;
        if self.len > LARGEST_SKETCH || !self.room.take(bytes.len() as u64) {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.out.write_all(bytes)?;
        self.hash.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(cache: &Path, key: &str, bytes: &[u8]) -> io::Result<()> {
        keep_sketch(cache, key, &mut |out| out.write_all(bytes))
    }

    #[test]
    fn a_sketch_is_found_again_and_a_broken_one_is_not() {
        let cache = tempfile::tempdir().unwrap();
        keep(cache.path(), "ab", b"a sketch").unwrap();
        assert_eq!(kept_sketch(cache.path(), "ab").as_deref(), Some(&b"a sketch"[..]));
        assert_eq!(kept_sketch(cache.path(), "cd"), None);
        let file = cache.path().join(SKETCHES).join("ab");
        let whole = fs::read(&file).unwrap();
        let mut flipped = whole.clone();
        flipped[3] ^= 1;
        for broken in [&whole[..20], &[][..], &[whole.as_slice(), b"x"].concat(), &flipped] {
            fs::write(&file, broken).unwrap();
            assert_eq!(kept_sketch(cache.path(), "ab"), None);
        }
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing() {
        let cache = tempfile::tempdir().unwrap();
        let full = |_: &mut dyn Write| Err(io::Error::from(io::ErrorKind::StorageFull));
        assert!(keep_sketch(cache.path(), "ab", &mut { full }).is_err());
        let large = |out: &mut dyn Write| (0..65).try_for_each(|_| out.write_all(&vec![7; 1 << 20]));
        keep_sketch(cache.path(), "ab", &mut { large }).unwrap();
        assert_eq!(fs::read_dir(cache.path().join(SKETCHES)).unwrap().count(), 0);
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(keep(file.path(), "ab", b"a sketch").is_err());
    }

    #[test]
    fn what_was_not_used_longest_goes_first() {
        let cache = tempfile::tempdir().unwrap();
        let content = |name: &str, seconds: u64| {
            let folder = cache.path().join(RANGES).join(name);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("1000-1100"), [0; 132]).unwrap();
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            fs::write(folder.join(".part.1.1"), b"half").unwrap();
            fs::File::options()
                .write(true)
                .open(folder.join(".part.1.1"))
                .unwrap()
                .set_modified(time)
                .unwrap();
            fs::File::open(&folder).unwrap().set_modified(time).unwrap();
            folder
        };
        let [old, new] = [content("aa", 1000), content("bb", 2000)];
        keep(cache.path(), "ab", b"a sketch").unwrap();
        // Half-written files go; everything else fits.
        assert_eq!(trim(cache.path(), 1000), 2 * 132 + 40);
        assert!(old.is_dir() && !old.join(".part.1.1").exists());
        fs::File::open(&old).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(trim(cache.path(), 240), 132 + 40);
        assert!(!old.exists() && new.is_dir() && kept_sketch(cache.path(), "ab").is_some());
        assert_eq!(trim(&cache.path().join("nowhere"), 10), 0);
    }
}
