//! What of the user's surroundings decides where references lead. The face reads the environment; this room does not.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Hugging Face's hub.
pub const HUB: &str = "https://huggingface.co";
/// ModelScope's hub.
pub const MODELSCOPE: &str = "https://www.modelscope.cn";

/// A word that must not be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `word`, trimmed; nothing where it is empty or could not stand in a header.
    pub fn new(word: &str) -> Option<Secret> {
        let word = word.trim();
        let good = !word.is_empty() && word.bytes().all(|b| b.is_ascii_graphic());
        good.then(|| Secret(word.to_owned()))
    }

    #[cfg(feature = "net")]
    pub(crate) fn word(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// Where references lead, and what may be asked there. The default knows no local store, no token and no cache, and is offline.
#[derive(Clone, Debug)]
pub struct Access {
    /// Never open a socket. Absolute.
    pub offline: bool,
    /// The hub's cache (`HF_HUB_CACHE`, or `hub` in `HF_HOME`). It is read and never written.
    pub hub_cache: Option<PathBuf>,
    /// ModelScope's cache: the folder that holds `org/name`.
    pub modelscope_cache: Option<PathBuf>,
    /// Ollama's store (`OLLAMA_MODELS`).
    pub ollama: Option<PathBuf>,
    /// The hub (`HF_ENDPOINT`), without a slash at the end.
    pub hub: String,
    /// Sent to the hub's own host and to no other.
    pub hub_token: Option<Secret>,
    /// ModelScope (`MODELSCOPE_DOMAIN`).
    pub modelscope: String,
    /// An S3-compatible store (`AWS_ENDPOINT_URL_S3`), buckets in the path; Amazon's, buckets in the host, without.
    pub s3: Option<String>,
    /// Google Cloud Storage, or what stands in for it.
    pub gcs: String,
    /// Through which proxy (`HTTPS_PROXY`).
    pub proxy: Option<String>,
    /// Where ranges that were fetched are kept.
    pub cache: Option<PathBuf>,
    /// Unit of the pauses before a request is made again: the first is half to one and a half of it, and each doubles.
    pub pause: Duration,
    /// Seed of the jitter of these pauses.
    pub seed: u64,
    /// Raised by the caller to stop, also while waiting.
    pub stop: Arc<AtomicBool>,
}

impl Default for Access {
    fn default() -> Access {
        Access {
            offline: true,
            hub_cache: None,
            modelscope_cache: None,
            ollama: None,
            hub: HUB.to_owned(),
            hub_token: None,
            modelscope: MODELSCOPE.to_owned(),
            s3: None,
            gcs: "https://storage.googleapis.com".to_owned(),
            proxy: None,
            cache: None,
            pause: Duration::from_millis(400),
            seed: 0,
            stop: Arc::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown_and_fit_into_a_header() {
        let secret = Secret::new(" hf_word\n").unwrap();
        assert_eq!(format!("{secret:?}"), "…");
        assert_eq!(Secret::new("two\r\nlines"), None);
        assert_eq!(Secret::new("  "), None);
    }
}
