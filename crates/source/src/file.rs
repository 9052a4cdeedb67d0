//! One open weight file.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use stemmata_formats::ReadAt;
use stemmata_model::printable;

use crate::SourceError;

/// How bytes are fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// Positioned reads: a file that shrinks is an error, never a signal.
    #[default]
    Read,
    /// A read-only mapping: no copy, but a file that shrinks underneath ends the process.
    Map,
}

/// Which file it is, whatever the path that led to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// The file that `path` leads to; nothing where there is none.
    pub fn of(path: &Path) -> Option<FileId> {
        path.metadata().ok().as_ref().map(FileId::from)
    }
}

impl From<&Metadata> for FileId {
    fn from(metadata: &Metadata) -> FileId {
        FileId { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// An open file, immutable as far as we can tell: size and modification time are checked again at the end.
pub struct FileBytes {
    file: File,
    map: Option<memmap2::Mmap>,
    len: u64,
    modified: Option<std::time::SystemTime>,
    id: FileId,
}

impl FileBytes {
    /// Opens a regular file. Devices, pipes, sockets and directories are refused before anything is read from them.
    pub fn open(path: &Path, backend: Backend) -> Result<FileBytes, SourceError> {
        FileBytes::open_as(path, &path.display().to_string(), backend)
    }

    /// As `open`, with the name that errors tell.
    pub(crate) fn open_as(path: &Path, name: &str, backend: Backend) -> Result<FileBytes, SourceError> {
        let name = || printable(name);
        let fail = |source: io::Error| SourceError::Open { path: name(), reason: plain(&source), source };
        // Non-blocking, so that opening a pipe without a writer returns instead of waiting.
        const O_NONBLOCK: i32 = 0o4000;
        let mut options = std::fs::OpenOptions::new();
        options.read(true);
        if cfg!(target_os = "linux") {
            options.custom_flags(O_NONBLOCK);
        }
        let file = options.open(path).map_err(fail)?;
        let metadata = file.metadata().map_err(fail)?;
        if !metadata.is_file() {
            return Err(SourceError::NotAFile { path: name(), kind: kind(metadata.file_type()) });
        }
        // Every file is read from front to back, by several threads: ask for deeper read-ahead. Only a hint.
        #[cfg(target_os = "linux")]
        let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::Sequential);
        let map = match backend {
            Backend::Map if metadata.len() > 0 => Some(map(&file).map_err(fail)?),
            _ => None,
        };
        let (len, modified) = (metadata.len(), metadata.modified().ok());
        Ok(FileBytes { file, map, len, modified, id: FileId::from(&metadata) })
    }

    /// Which file it is.
    pub(crate) fn id(&self) -> FileId {
        self.id
    }

    /// All bytes, `limit` at most; errors tell `name`.
    pub(crate) fn whole(&self, name: &str, limit: u64) -> Result<Vec<u8>, SourceError> {
        if self.len > limit {
            return Err(SourceError::Limit { path: printable(name), what: "the size in bytes", limit });
        }
        self.front(name, self.len)
    }

    /// The first `len` bytes, fewer if there are fewer; errors tell `name`.
    pub(crate) fn front(&self, name: &str, len: u64) -> Result<Vec<u8>, SourceError> {
        let mut bytes = vec![0; self.len.min(len) as usize];
        self.read_exact_at(0, &mut bytes).map_err(|source| SourceError::Open {
            path: printable(name),
            reason: plain(&source),
            source,
        })?;
        Ok(bytes)
    }

    /// The mapped bytes, when mapped.
    pub(crate) fn mapped(&self) -> Option<&[u8]> {
        self.map.as_deref()
    }

    /// Whether size or modification time differ from when the file was opened.
    pub fn has_changed(&self) -> bool {
        self.file.metadata().map_or(true, |m| m.len() != self.len || m.modified().ok() != self.modified)
    }
}

/// Maps a file for reading.
#[allow(unsafe_code)]
fn map(file: &File) -> io::Result<memmap2::Mmap> {
    // SAFETY: the mapping is private and read-only, and every access goes through a slice that is read once per use. A
    // writer elsewhere can change the bytes under us; they are only ever decoded as numbers, for which every bit
    // pattern is valid. A file that is truncated while mapped raises SIGBUS, which is why mapping is opt-in.
    let map = unsafe { memmap2::Mmap::map(file)? };
    let _ = map.advise(memmap2::Advice::Sequential);
    Ok(map)
}

impl ReadAt for FileBytes {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        if let Some(map) = &self.map {
            let end = offset.checked_add(buf.len() as u64).filter(|end| *end <= map.len() as u64);
            let end = end.ok_or(io::ErrorKind::UnexpectedEof)? as usize;
            buf.copy_from_slice(&map[offset as usize..end]);
            return Ok(());
        }
        self.file.read_exact_at(buf, offset)
    }
}

/// An error in the operating system's words, without the number.
pub(crate) fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::UnexpectedEof => "the file ends before that".to_owned(),
        _ => error.to_string(),
    }
}

fn kind(kind: std::fs::FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else if kind.is_block_device() || kind.is_char_device() {
        "a device"
    } else {
        "something else"
    }
}
