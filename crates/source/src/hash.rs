//! SHA-256 of whole files: the identity that hubs publish. Reads every byte, so it is done on request.

use crate::CheckpointWeights;
use sha2::{Digest, Sha256};
use std::sync::atomic::{AtomicBool, Ordering};
use stemmata_formats::ReadAt;

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

/// Digests of all weight files, in name order; `None` when stopped. About 2 GB/s a core, files in parallel.
pub fn digest_files(
    weights: &CheckpointWeights,
    stop: &AtomicBool,
) -> std::io::Result<Option<Vec<FileDigest>>> {
    let one = |index: usize| -> std::io::Result<Option<FileDigest>> {
        let (file, name) = (&weights.files[index], &weights.names[index]);
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 1 << 20];
        let mut at = 0;
        while at < file.len() {
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let taken = (file.len() - at).min(buffer.len() as u64) as usize;
            file.read_exact_at(at, &mut buffer[..taken])?;
            hasher.update(&buffer[..taken]);
            at += taken as u64;
        }
        let sha256 = hex(&hasher.finalize());
        Ok(Some(FileDigest { name: name.clone(), len: file.len(), sha256 }))
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let next = std::sync::atomic::AtomicUsize::new(0);
    let slots: Vec<_> = weights.files.iter().map(|_| std::sync::OnceLock::new()).collect();
    std::thread::scope(|scope| {
        for _ in 0..threads.min(slots.len()) {
            scope.spawn(|| {
                while let Some(slot) = slots.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let index =
                        slots.iter().position(|s| std::ptr::eq(s, slot)).expect("the slot is in the list");
                    let _ = slot.set(one(index));
                }
            });
        }
    });
    slots.into_iter().map(|slot| slot.into_inner().expect("every index was taken once")).collect()
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
