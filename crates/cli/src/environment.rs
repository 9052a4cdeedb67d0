//! What the environment says of places and secrets. The one file that reads these variables.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use stemmata_audit::{Access, HUB, S3Keys, Secret};

/// Reads `HF_ENDPOINT`, `HF_HOME`, `HF_HUB_CACHE`, `HF_HUB_OFFLINE`, `HF_TOKEN`, `MODELSCOPE_CACHE`, `MODELSCOPE_DOMAIN`, `OLLAMA_MODELS`,
/// `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION`, `AWS_DEFAULT_REGION`,
/// `GOOGLE_OAUTH_ACCESS_TOKEN`, `HTTPS_PROXY`, `XDG_CACHE_HOME`, `HOME` and `STEMMATA_CACHE`.
pub(crate) fn access(offline: bool, stop: Arc<AtomicBool>) -> Access {
    access_from(&|name| std::env::var(name).ok().filter(|value| !value.is_empty()), offline, stop)
}

fn access_from(variable: &dyn Fn(&str) -> Option<String>, offline: bool, stop: Arc<AtomicBool>) -> Access {
    let path = |name: &str| variable(name).map(PathBuf::from);
    let home = path("HOME");
    let under_home = |rest: &str| home.as_ref().map(|home| home.join(rest));
    let set =
        |name: &str| variable(name).is_some_and(|v| !matches!(v.as_str(), "0" | "false" | "False" | "no"));
    let endpoint = |text: String| {
        let text = if text.contains("://") { text } else { format!("https://{text}") };
        text.trim_end_matches('/').to_owned()
    };
    let hub_home = path("HF_HOME")
        .or_else(|| Some(path("XDG_CACHE_HOME").or_else(|| under_home(".cache"))?.join("huggingface")));
    let hub = variable("HF_ENDPOINT").map_or_else(|| HUB.to_owned(), endpoint);
    // A mirror gets the token of the hub only from who says so.
    let trusted = hub == HUB || set("STEMMATA_TOKEN_TO_ENDPOINT");
    let token = || {
        let kept = hub_home.as_ref().and_then(|home| std::fs::read_to_string(home.join("token")).ok());
        Secret::new(&variable("HF_TOKEN").or(kept)?)
    };
    let cache = match variable("STEMMATA_CACHE") {
        Some(none) if none == "none" => None,
        Some(folder) => Some(PathBuf::from(folder)),
        None => path("XDG_CACHE_HOME").or_else(|| under_home(".cache")).map(|cache| cache.join("stemmata")),
    };
    let modelscope = variable("MODELSCOPE_DOMAIN").map(endpoint);
    Access {
        offline: offline || set("HF_HUB_OFFLINE"),
        hub_cache: path("HF_HUB_CACHE").or_else(|| Some(hub_home.as_ref()?.join("hub"))),
        modelscope_cache: path("MODELSCOPE_CACHE")
            .map(|cache| cache.join("hub/models"))
            .or_else(|| under_home(".cache/modelscope/hub/models")),
        ollama: path("OLLAMA_MODELS").or_else(|| under_home(".ollama/models")),
        hub_token: if trusted { token() } else { None },
        hub,
        modelscope: modelscope.unwrap_or_else(|| Access::default().modelscope),
        s3: variable("AWS_ENDPOINT_URL_S3").or_else(|| variable("AWS_ENDPOINT_URL")).map(endpoint),
        s3_keys: s3_keys(variable),
        gcs_token: variable("GOOGLE_OAUTH_ACCESS_TOKEN").and_then(|word| Secret::new(&word)),
        proxy: ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
            .iter()
            .find_map(|name| variable(name)),
        cache,
        stop,
        ..Access::default()
    }
}

fn s3_keys(variable: &dyn Fn(&str) -> Option<String>) -> Option<S3Keys> {
    let region = variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION"));
    let session = variable("AWS_SESSION_TOKEN");
    let (id, secret) = (variable("AWS_ACCESS_KEY_ID")?, variable("AWS_SECRET_ACCESS_KEY")?);
    S3Keys::new(&id, &secret, session.as_deref(), region.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(pairs: &[(&str, &str)]) -> Access {
        let variable =
            |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        access_from(&variable, false, Arc::default())
    }

    #[test]
    fn places_follow_the_variables_of_the_tools_that_own_them() {
        let plain = from(&[("HOME", "/home/u")]);
        assert_eq!(plain.hub_cache, Some("/home/u/.cache/huggingface/hub".into()));
        assert_eq!(plain.ollama, Some("/home/u/.ollama/models".into()));
        assert_eq!(plain.cache, Some("/home/u/.cache/stemmata".into()));
        assert!(!plain.offline && plain.hub == HUB);
        let set = from(&[("HF_HOME", "/hf"), ("HF_HUB_OFFLINE", "1"), ("STEMMATA_CACHE", "none")]);
        assert_eq!(set.hub_cache, Some("/hf/hub".into()));
        assert!(set.offline && set.cache.is_none());
        assert_eq!(from(&[("HF_HOME", "/hf"), ("HF_HUB_CACHE", "/c")]).hub_cache, Some("/c".into()));
        assert!(!from(&[("HF_HUB_OFFLINE", "0")]).offline);
    }

    #[test]
    fn a_mirror_gets_the_token_only_when_told() {
        let token = ("HF_TOKEN", "word");
        assert!(from(&[token]).hub_token.is_some());
        let mirror = ("HF_ENDPOINT", "https://mirror.example/");
        assert_eq!(from(&[token, mirror]).hub, "https://mirror.example");
        assert!(from(&[token, mirror]).hub_token.is_none());
        assert!(from(&[token, mirror, ("STEMMATA_TOKEN_TO_ENDPOINT", "1")]).hub_token.is_some());
    }
}
