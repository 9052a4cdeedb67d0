//! Models that lie elsewhere: a hub's repository, an object store, a file behind a link.
//!
//! The only folder that opens sockets. What a server says is checked against what was asked; secrets go to the host they are for;
//! nothing is opened but the files of one listing.

mod address;
mod cache;
mod client;
mod error;
mod file;
mod listing;
mod signing;

pub use error::FetchError;
pub(crate) use file::RemoteFile;

use crate::Access;
use crate::access::Credential;
use crate::remote::client::Client;
use crate::remote::file::Described;
use std::collections::BTreeMap;
use std::sync::Arc;
use stemmata_model::{ModelRef, Site};

/// The files of one model elsewhere, pinned where the place has commits.
#[derive(Clone)]
pub(crate) struct Repository {
    client: Arc<Client>,
    files: BTreeMap<String, Described>,
    credential: Option<Credential>,
    /// The reference that stands for exactly these files.
    pub(crate) resolved: ModelRef,
    /// Whether the place promises that the same reference always means the same bytes.
    pub(crate) pinned: bool,
    /// The commit, where there is one.
    pub(crate) commit: Option<String>,
    /// The one file that was named, where one was.
    pub(crate) file: Option<String>,
}

impl Repository {
    /// Asks what `reference` has. Local references are a mistake of ours and give an error.
    pub(crate) fn ask(reference: &ModelRef, access: &Access) -> Result<Repository, FetchError> {
        let client = Arc::new(Client::new(access)?);
        match reference {
            ModelRef::Hub { site: Site::HuggingFace, .. } => listing::hub(&client, reference),
            ModelRef::Hub { site: Site::ModelScope, .. } => listing::modelscope(&client, reference),
            ModelRef::Link(link) => listing::link(&client, link),
            ModelRef::Bucket { .. } => listing::bucket(&client, reference),
            other => Err(FetchError::new(&other.to_string(), "it lies nowhere else")),
        }
    }

    /// Names of all files, sorted.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// The files in a folder, by their names in it.
    pub(crate) fn folder(mut self, folder: &str) -> Repository {
        let prefix = format!("{}/", folder.trim_end_matches('/'));
        let inside = |(name, file): (String, Described)| Some((name.strip_prefix(&prefix)?.to_owned(), file));
        self.files = std::mem::take(&mut self.files).into_iter().filter_map(inside).collect();
        self
    }

    /// Opens one of the listed files; `None` when it is not listed.
    pub(crate) fn open(&self, name: &str) -> Result<Option<RemoteFile>, FetchError> {
        match self.files.get(name) {
            Some(described) => {
                RemoteFile::open(&self.client, name, described, self.credential.clone()).map(Some)
            }
            None => Ok(None),
        }
    }
}
