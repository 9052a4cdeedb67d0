//! An open file, wherever it lies.

use crate::file::plain;
use crate::{FileBytes, FileId, SourceError};
use std::io;
use stemmata_formats::ReadAt;
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
}

impl StoredFile {
    /// The mapped bytes, when mapped.
    pub(crate) fn mapped(&self) -> Option<&[u8]> {
        match self {
            StoredFile::Local(file) => file.mapped(),
            #[cfg(feature = "net")]
            StoredFile::Remote(_) => None,
        }
    }

    /// Which file of this machine it is.
    pub(crate) fn id(&self) -> Option<FileId> {
        match self {
            StoredFile::Local(file) => Some(file.id()),
            #[cfg(feature = "net")]
            StoredFile::Remote(_) => None,
        }
    }

    /// Whether it is another one than when it was opened. What lies elsewhere is checked with every answer.
    pub(crate) fn has_changed(&self) -> bool {
        match self {
            StoredFile::Local(file) => file.has_changed(),
            #[cfg(feature = "net")]
            StoredFile::Remote(_) => false,
        }
    }

    /// Whether what was fetched of it could not be kept.
    pub(crate) fn cache_has_failed(&self) -> bool {
        match self {
            StoredFile::Local(_) => false,
            #[cfg(feature = "net")]
            StoredFile::Remote(file) => file.cache_has_failed(),
        }
    }

    /// SHA-256 of the content as a hub lists it, lower-case hexadecimal.
    pub(crate) fn listed_sha256(&self) -> Option<&str> {
        match self {
            StoredFile::Local(_) => None,
            #[cfg(feature = "net")]
            StoredFile::Remote(file) => file.sha256(),
        }
    }

    /// Fetches byte ranges that will be read soon, where that is worth it.
    pub(crate) fn announce(&self, ranges: &[(u64, u64)]) -> io::Result<()> {
        match self {
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
        !matches!(self, StoredFile::Local(_))
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
            StoredFile::Local(file) => file.len(),
            #[cfg(feature = "net")]
            StoredFile::Remote(file) => file.len(),
        }
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        match self {
            StoredFile::Local(file) => file.read_exact_at(offset, buf),
            #[cfg(feature = "net")]
            StoredFile::Remote(file) => file.read_exact_at(offset, buf),
        }
    }
}
