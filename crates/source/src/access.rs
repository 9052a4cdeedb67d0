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

/// Keys of an account with an S3-compatible store. Requests are signed with them; of the keys only the identifier and the session travel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Keys {
    #[cfg_attr(not(feature = "net"), allow(dead_code, reason = "only requests are signed"))]
    pub(crate) id: Secret,
    #[cfg_attr(not(feature = "net"), allow(dead_code, reason = "only requests are signed"))]
    pub(crate) secret: Secret,
    #[cfg_attr(not(feature = "net"), allow(dead_code, reason = "only requests are signed"))]
    pub(crate) session: Option<Secret>,
    pub(crate) region: String,
}

impl S3Keys {
    /// Nothing where a word is empty or could not stand in a header. Without a region, or with something else in its place, it is `us-east-1`, which
    /// stores other than Amazon's take.
    pub fn new(id: &str, secret: &str, session: Option<&str>, region: Option<&str>) -> Option<S3Keys> {
        let is_region = |text: &&str| {
            !text.is_empty()
                && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        let session = match session {
            Some(word) => Some(Secret::new(word)?),
            None => None,
        };
        Some(S3Keys {
            id: Secret::new(id).filter(|id| !id.0.contains(['/', ',']))?,
            secret: Secret::new(secret)?,
            session,
            region: region.filter(is_region).unwrap_or("us-east-1").to_owned(),
        })
    }
}

/// What shows a server who asks.
#[cfg(feature = "net")]
#[derive(Clone)]
pub(crate) enum Credential {
    /// Sent as it is.
    Bearer(Secret),
    /// Signed with.
    S3(Box<S3Keys>),
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
    /// Requests to that store, or to Amazon's, are signed with these; without, only what everybody may read is.
    pub s3_keys: Option<S3Keys>,
    /// Google Cloud Storage, or what stands in for it.
    pub gcs: String,
    /// Sent to that store's own host and to no other.
    pub gcs_token: Option<Secret>,
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
            s3_keys: None,
            gcs: "https://storage.googleapis.com".to_owned(),
            gcs_token: None,
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
        let keys = S3Keys::new("AKID", "hidden-1", Some("hidden-2"), Some("eu-west-1")).unwrap();
        assert!(!format!("{keys:?}").contains("hidden"));
        assert_eq!(S3Keys::new("AK/ID", "word", None, None), None);
        assert_eq!(S3Keys::new("AKID", "word", Some("two lines\n."), None), None);
        assert_eq!(S3Keys::new("AKID", "word", None, Some("a.example/")).unwrap().region, "us-east-1");
    }
}
