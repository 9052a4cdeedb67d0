//! An open file, wherever it lies.

use crate::file::plain;
use crate::{FileBytes, FileId, SourceError};
use std::io;
use stemmata_formats::{Derived, ReadAt};
use stemmata_model::printable;

#[cfg(feature = "net")]
use crate::remote::RemoteFile;

/// An open file, wherever it lies.
pub(crate) enum StoredFile {
    /// On this machine.
    Local(FileBytes),
    /// Elsewhere, read by ranges.
    #[cfg(feature = "net")]
    Remote(Box<RemoteFile>),
    /// One of these with places behind its end, for bytes that it does not hold as they are.
    Derived(Box<StoredFile>, Derived),
}

impl StoredFile {
    /// The mapped bytes, when mapped.
    pub(crate) fn mapped(&self) -> Option<&[u8]> {
        match self {
            StoredFile::Derived(file, _) => file.mapped(),
            StoredFile::Local(file) => file.mapped(),
            #[cfg(feature = "net")]
            StoredFile::Remote(_) => None,
        }
    }

    /// Which file of this machine it is.
    pub(crate) fn id(&self) -> Option<FileId> {
        match self {
            StoredFile::Derived(file, _) => file.id(),
            StoredFile::Local(file) => Some(file.id()),
            #[cfg(feature = "net")]
            StoredFile::Remote(_) => None,
        }
    }

    /// Whether it is another one than when it was opened. What lies elsewhere is checked with every answer.
    pub(crate) fn has_changed(&self) -> bool {
        match self {
            StoredFile::Derived(file, _) => file.has_changed(),
            StoredFile::Local(file) => file.has_changed(),
            #[cfg(feature = "net")]
            StoredFile::Remote(_) => false,
        }
    }

    /// Whether what was fetched of it could not be kept.
    pub(crate) fn cache_has_failed(&self) -> bool {
        match self {
            StoredFile::Derived(file, _) => file.cache_has_failed(),
            StoredFile::Local(_) => false,
            #[cfg(feature = "net")]
            StoredFile::Remote(file) => file.cache_has_failed(),
        }
    }

    /// SHA-256 of the content as a hub lists it, lower-case hexadecimal.
    pub(crate) fn listed_sha256(&self) -> Option<&str> {
        match self {
            StoredFile::Derived(file, _) => file.listed_sha256(),
            StoredFile::Local(_) => None,
            #[cfg(feature = "net")]
            StoredFile::Remote(file) => file.sha256(),
        }
    }

    /// Fetches byte ranges that will be read soon, where that is worth it.
    pub(crate) fn announce(&self, ranges: &[(u64, u64)]) -> io::Result<()> {
        match self {
            StoredFile::Derived(file, _) => {
                // What stands behind the end is fetched when it is asked for.
                let held: Vec<(u64, u64)> =
                    ranges.iter().copied().filter(|range| range.1 <= file.len()).collect();
                file.announce(&held)
            }
            StoredFile::Local(_) => {
                let _ = ranges;
                Ok(())
            }
            #[cfg(feature = "net")]
            StoredFile::Remote(file) => file.announce(ranges).map_err(crate::remote::FetchError::into_io),
        }
    }

    /// Whether bytes come over a network.
    pub(crate) fn is_remote(&self) -> bool {
        match self {
            StoredFile::Local(_) => false,
            #[cfg(feature = "net")]
            StoredFile::Remote(_) => true,
            StoredFile::Derived(file, _) => file.is_remote(),
        }
    }

    /// All bytes, `limit` at most; errors tell `name`.
    pub(crate) fn whole(&self, name: &str, limit: u64) -> Result<Vec<u8>, SourceError> {
        if self.len() > limit {
            return Err(SourceError::Limit { path: printable(name), what: "the size in bytes", limit });
        }
        let mut bytes = vec![0; self.len() as usize];
        self.read_exact_at(0, &mut bytes).map_err(|source| SourceError::Open {
            path: printable(name),
            reason: plain(&source),
            source,
        })?;
        Ok(bytes)
    }
}

impl ReadAt for StoredFile {
    fn len(&self) -> u64 {
        match self {
            StoredFile::Derived(file, _) => file.len(),
            StoredFile::Local(file) => file.len(),
            #[cfg(feature = "net")]
            StoredFile::Remote(file) => file.len(),
        }
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        match self {
            StoredFile::Derived(file, derived) if offset >= file.len() => {
                derived.read_exact_at(file.as_ref(), offset, buf)
            }
            StoredFile::Derived(file, _) => file.read_exact_at(offset, buf),
            StoredFile::Local(file) => file.read_exact_at(offset, buf),
            #[cfg(feature = "net")]
            StoredFile::Remote(file) => file.read_exact_at(offset, buf),
        }
    }
}
