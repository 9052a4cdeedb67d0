//! SHA-256 of whole files: the identity that hubs publish. Reads every byte, so it is done on request.

use crate::file::plain;
use crate::stored::StoredFile;
use crate::{CheckpointWeights, SourceError};
use sha2::{Digest, Sha256};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use stemmata_formats::ReadAt;

/// As many hash faster than any disk delivers, and each further thread costs address space, which may be limited.
const MOST_THREADS: usize = 8;
/// Bytes read at once.
const PIECE: usize = 1 << 20;

/// SHA-256 of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileDigest {
    /// File, relative to the checkpoint.
    pub name: String,
    /// Bytes.
    pub len: u64,
    /// Lower-case hexadecimal.
    pub sha256: String,
}

/// Digests of all weight files, in name order. About 2 GB/s a core, files in parallel; `threads` as in the settings: 0
/// means one per processor.
pub fn digest_files(
    weights: &CheckpointWeights,
    threads: usize,
    stop: &AtomicBool,
) -> Result<Vec<FileDigest>, SourceError> {
    let asked = match threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    };
    let threads = asked.min(MOST_THREADS).min(weights.store.files.len());
    let next = AtomicUsize::new(0);
    let slots: Vec<_> = weights.store.files.iter().map(|_| OnceLock::new()).collect();
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(slot) = slots.get(index) else { break };
            let _ = slot.set(digest(&weights.store.files[index], &weights.store.names[index], stop));
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            // With fewer threads than asked for it takes longer, that is all.
            if std::thread::Builder::new().spawn_scoped(scope, work).is_err() {
                break;
            }
        }
        work();
    });
    slots.into_iter().map(|slot| slot.into_inner().expect("every index was taken once")).collect()
}

fn digest(file: &StoredFile, name: &str, stop: &AtomicBool) -> Result<FileDigest, SourceError> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; PIECE];
    let mut start = 0;
    while start < file.len() {
        if stop.load(Ordering::Relaxed) {
            return Err(SourceError::Interrupted);
        }
        let taken = (file.len() - start).min(buffer.len() as u64) as usize;
        let end = start + taken as u64;
        file.read_exact_at(start, &mut buffer[..taken]).map_err(|source| SourceError::Hash {
            file: name.to_owned(),
            start,
            end,
            reason: plain(&source),
            source,
        })?;
        hasher.update(&buffer[..taken]);
        start = end;
    }
    Ok(FileDigest { name: name.to_owned(), len: file.len(), sha256: hex(&hasher.finalize()) })
}

/// One digest for a set of files: the file's own for a single file, otherwise SHA-256 over the list `<sha256>  <name>`.
pub fn combined_digest(files: &[FileDigest]) -> String {
    match files {
        [only] => format!("sha256:{}", only.sha256),
        _ => {
            let mut hasher = Sha256::new();
            for file in files {
                hasher.update(format!("{}  {}\n", file.sha256, file.name));
            }
            format!("sha256-files:{}", hex(&hasher.finalize()))
        }
    }
}

/// SHA-256 over the inventory (names, shapes, encodings, places, file sizes): says which files were meant, not what
/// their weights are. For checkpoints too large to hash unasked.
pub fn inventory_digest(checkpoint: &stemmata_model::Checkpoint) -> String {
    let mut hasher = Sha256::new();
    for file in &checkpoint.files {
        hasher.update(format!("{} {:?}\n", file.len, file.name));
    }
    for t in &checkpoint.tensors {
        hasher.update(format!(
            "{:?} {:?} {} {} {} {}\n",
            t.name, t.shape, t.encoding, t.storage.file, t.storage.offset, t.storage.len
        ));
    }
    format!("sha256-inventory:{}", hex(&hasher.finalize()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
