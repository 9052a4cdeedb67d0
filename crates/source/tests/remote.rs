//! Models on a server that behaves like a hub, and misbehaves like one.
#![cfg(feature = "net")]

mod hub;

use hub::{Faults, Hub, Manners, Repository, of_directory};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use stemmata_model::{ModelRef, ReadError, Weights};
use stemmata_source::{Access, OpenOptions, Opened, S3Keys, Secret, SourceError, open};

const NAME: &str = "acme/nova";

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/models").join(name)
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn nova() -> Repository {
    of_directory(&fixture("minicpm-v"), &digest)
}

fn start(repository: Repository, faults: Faults, manners: Manners) -> Hub {
    Hub::start(BTreeMap::from([(NAME.to_owned(), repository)]), faults, manners)
}

fn access(hub: &Hub) -> Access {
    Access { offline: false, hub: hub.url.clone(), pause: Duration::from_millis(1), ..Access::default() }
}

fn try_open(text: &str, access: &Access) -> Result<Opened, SourceError> {
    let options = OpenOptions { access: Some(access), ..OpenOptions::default() };
    open(&ModelRef::parse(text).unwrap(), &options)
}

/// All values of all tensors.
fn values(opened: &Opened) -> Result<Vec<Vec<u32>>, ReadError> {
    let weights = &opened.weights;
    let one = |(index, tensor): (usize, &stemmata_model::Tensor)| {
        let mut out = vec![0.0; tensor.elements() as usize];
        weights.read(index, 0, &mut out)?;
        Ok(out.iter().map(|x| x.to_bits()).collect())
    };
    weights.tensors().iter().enumerate().map(one).collect()
}

fn local() -> Vec<Vec<u32>> {
    let path = fixture("minicpm-v");
    values(&open(&ModelRef::Path(path), &OpenOptions::default()).unwrap()).unwrap()
}

#[test]
fn a_repository_reads_like_the_directory_it_came_from() {
    let hub = start(nova(), Faults::default(), Manners::default());
    let opened = try_open("hf:acme/nova", &access(&hub)).unwrap();
    assert_eq!(opened.resolved.to_string(), format!("hf:acme/nova@{}", nova().commit));
    assert!(opened.remote && opened.checkpoint.tokenizer.is_some());
    assert_eq!(opened.listed_digests().unwrap().len(), 2);
    assert_eq!(values(&opened).unwrap(), local());
    for text in [format!("hf:acme/nova@{}", nova().commit), format!("{}/acme/nova/tree/main", hub.url)] {
        assert_eq!(try_open(&text, &access(&hub)).unwrap().checkpoint.tensors, opened.checkpoint.tensors);
    }
    let shard = try_open("hf:acme/nova/model-00001-of-00002.safetensors", &access(&hub)).unwrap();
    assert!(shard.checkpoint.tensors.len() < opened.checkpoint.tensors.len());
}

#[test]
fn secrets_stay_with_the_hub() {
    let gated = Repository { gated: true, ..nova() };
    let hub = start(gated, Faults::default(), Manners::default());
    let error = try_open("hf:acme/nova", &access(&hub)).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("gated") && error.hint().unwrap().contains("HF_TOKEN"), "{error}");
    let with_token = Access { hub_token: Secret::new("hf_word"), ..access(&hub) };
    let opened = try_open("hf:acme/nova", &with_token).unwrap();
    assert_eq!(values(&opened).unwrap(), local());
    let counts = hub.counts();
    let count = |n: &std::sync::atomic::AtomicU64| n.load(std::sync::atomic::Ordering::Relaxed);
    assert!(count(&counts.authorized) > 0 && count(&counts.ranges) > 0);
    assert_eq!(count(&counts.leaked), 0);
}

#[test]
fn faults_cost_time_and_never_a_value() {
    for seed in 0..12 {
        let hub = start(nova(), Faults::all(seed, 0.06), Manners::default());
        let opened = try_open("hf:acme/nova", &access(&hub)).unwrap();
        // Eight failures in a row are rarer than one in a million.
        assert_eq!(values(&opened).unwrap(), local(), "seed {seed}");
    }
}

#[test]
fn what_changes_is_an_error_that_names_the_file() {
    for after in [1, 2, 5] {
        let manners = Manners { changes_after: Some(after), ..Manners::default() };
        let hub = start(nova(), Faults::default(), manners);
        let outcome = try_open("hf:acme/nova", &access(&hub)).map(|opened| values(&opened));
        let error = match outcome {
            Ok(values) => values.unwrap_err().to_string(),
            Err(error) => error.to_string(),
        };
        assert!(error.contains("model-0000") && error.contains("it changed while it was read"), "{error}");
    }
}

#[test]
fn redirects_lead_nowhere_dangerous() {
    for (to, why) in [("file://", "something other than a web address"), ("ftp://host", "something other")] {
        let hub = start(nova(), Faults::default(), Manners { redirects_to: Some(to), ..Manners::default() });
        let error = try_open("hf:acme/nova", &access(&hub)).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn a_server_without_ranges_is_read_from_the_start_and_no_further_than_wanted() {
    let hub = start(nova(), Faults::default(), Manners { ignores_ranges: true, ..Manners::default() });
    let opened = try_open("hf:acme/nova", &access(&hub)).unwrap();
    assert_eq!(values(&opened).unwrap(), local());
}

#[test]
fn the_server_says_how_long_to_wait() {
    let hub = start(nova(), Faults::default(), Manners { wait: Some(1), ..Manners::default() });
    let started = Instant::now();
    try_open("hf:acme/nova", &access(&hub)).unwrap();
    assert!(started.elapsed() >= Duration::from_secs(1));
    let hub = start(nova(), Faults::default(), Manners { wait: Some(3600), ..Manners::default() });
    let error = try_open("hf:acme/nova", &access(&hub)).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("asks to wait for 3600 s"), "{error}");
}

#[test]
fn offline_opens_no_socket() {
    let hub = start(nova(), Faults::default(), Manners::default());
    let offline = Access { offline: true, ..access(&hub) };
    for text in ["hf:acme/nova", "modelscope:acme/nova", "s3://bucket/key", "gs://bucket/key", &hub.url] {
        let error = try_open(text, &offline).map(|_| ()).unwrap_err();
        assert!(matches!(error, SourceError::Offline { .. }), "{error}");
    }
    assert_eq!(hub.counts().requests.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[test]
fn what_was_fetched_is_not_fetched_again_and_a_broken_cache_is_a_miss() {
    let folder = tempfile::tempdir().unwrap();
    let hub = start(nova(), Faults::default(), Manners::default());
    let cached = Access { cache: Some(folder.path().to_owned()), ..access(&hub) };
    let read = || values(&try_open("hf:acme/nova", &cached).unwrap()).unwrap();
    assert_eq!(read(), local());
    let ranges = || hub.counts().ranges.load(std::sync::atomic::Ordering::Relaxed);
    let large = |hub: &Hub| hub.sent(NAME);
    let (before, sent) = (ranges(), large(&hub));
    assert_eq!(read(), local());
    let again = large(&hub) - sent;
    assert!(again < sent / 20, "{again} of {sent} bytes were sent again; {} ranges", ranges() - before);
    // Every kept range loses its last byte or gets a wrong one.
    let mut broken = 0;
    for content in std::fs::read_dir(folder.path().join("ranges-1")).unwrap().flatten() {
        for file in std::fs::read_dir(content.path()).unwrap().flatten() {
            let mut bytes = std::fs::read(file.path()).unwrap();
            match broken % 2 {
                0 => drop(bytes.pop()),
                _ => *bytes.last_mut().unwrap() ^= 1,
            }
            std::fs::write(file.path(), bytes).unwrap();
            broken += 1;
        }
    }
    assert!(broken > 2);
    assert_eq!(read(), local());
}

#[test]
fn a_stop_ends_the_waiting() {
    let hub = start(nova(), Faults { busy: 1.0, ..Faults::default() }, Manners::default());
    let waiting = Access { pause: Duration::from_secs(60), ..access(&hub) };
    let stop = std::sync::Arc::clone(&waiting.stop);
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let started = Instant::now();
    let options = OpenOptions { access: Some(&waiting), stop: Some(&waiting.stop), ..OpenOptions::default() };
    let error = open(&ModelRef::parse("hf:acme/nova").unwrap(), &options).map(|_| ()).unwrap_err();
    assert!(matches!(error, SourceError::Interrupted), "{error}");
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_repository_in_the_local_cache_needs_no_network() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("models--acme--nova");
    let (commit, blobs) = (nova().commit, root.join("blobs"));
    let snapshot = root.join("snapshots").join(&commit);
    for made in [&root.join("refs"), &blobs, &snapshot] {
        std::fs::create_dir_all(made).unwrap();
    }
    std::fs::write(root.join("refs/main"), format!("{commit}\n")).unwrap();
    for entry in std::fs::read_dir(fixture("minicpm-v")).unwrap().flatten() {
        let bytes = std::fs::read(entry.path()).unwrap();
        let blob = digest(&bytes);
        std::fs::write(blobs.join(&blob), bytes).unwrap();
        let link = Path::new("../../blobs").join(blob);
        std::os::unix::fs::symlink(link, snapshot.join(entry.file_name())).unwrap();
    }
    let offline = Access { hub_cache: Some(folder.path().to_owned()), ..Access::default() };
    for text in
        ["hf:acme/nova", "acme/nova", &format!("hf:acme/nova@{commit}"), "https://huggingface.co/acme/nova"]
    {
        let opened = try_open(text, &offline).unwrap();
        assert_eq!(opened.resolved.to_string(), format!("hf:acme/nova@{commit}"), "{text}");
        assert!(!opened.remote);
    }
    for file in ["../../../etc/passwd", "a/./b", "a//b"] {
        let error = try_open(&format!("hf:acme/nova/{file}"), &offline).map(|_| ()).unwrap_err();
        assert!(matches!(error, SourceError::Escapes { .. }), "{error}");
    }
    assert!(try_open("hf:acme/other", &offline).is_err() && try_open("hf:acme/nova@v2", &offline).is_err());
    // Somebody must say which commit the branch is at; the weights are here.
    let hub = start(nova(), Faults::default(), Manners::default());
    let online = Access { hub_cache: offline.hub_cache.clone(), ..access(&hub) };
    assert!(!try_open("hf:acme/nova", &online).unwrap().remote);
    assert_eq!(hub.counts().ranges.load(std::sync::atomic::Ordering::Relaxed), 0);
    let elsewhere = Repository { commit: "f".repeat(40), ..nova() };
    let hub = start(elsewhere, Faults::default(), Manners::default());
    let online = Access { hub_cache: offline.hub_cache, ..access(&hub) };
    assert!(try_open("hf:acme/nova", &online).unwrap().remote);
}

#[test]
fn ollama_models_are_found_by_their_manifests_and_lead_nowhere_else() {
    let store = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(fixture("minicpm-v.gguf").join("minicpm-v.gguf"))
        .or_else(|_| std::fs::read(fixture("minicpm-v.gguf")))
        .unwrap();
    let hex = digest(&bytes);
    std::fs::create_dir_all(store.path().join("blobs")).unwrap();
    std::fs::write(store.path().join("blobs").join(format!("sha256-{hex}")), bytes).unwrap();
    let manifests = store.path().join("manifests/registry.ollama.ai/library/nova");
    std::fs::create_dir_all(&manifests).unwrap();
    let layer = |kind: &str, digest: &str| {
        format!(r#"{{"mediaType":"application/vnd.ollama.image.{kind}","digest":"{digest}","size":1}}"#)
    };
    let write = |tag: &str, layers: &[String]| {
        let text = format!(r#"{{"schemaVersion":2,"layers":[{}]}}"#, layers.join(","));
        std::fs::write(manifests.join(tag), text).unwrap();
    };
    let good = format!("sha256:{hex}");
    write("latest", &[layer("model", &good), layer("adapter", &good), layer("license", &good)]);
    write("odd", &[layer("model", "sha256:../../../../etc/passwd")]);
    write("none", &[layer("license", &good)]);
    let access = Access { ollama: Some(store.path().to_owned()), ..Access::default() };
    let opened = try_open("ollama:nova", &access).unwrap();
    assert!(opened.hazards.iter().any(|hazard| hazard.code == "layer-not-read"));
    assert!(!opened.hazards.iter().any(|hazard| hazard.code == "extension-lies"));
    assert!(try_open("ollama:nova:odd", &access).map(|_| ()).unwrap_err().to_string().contains("SHA-256"));
    assert!(
        try_open("ollama:nova:none", &access).is_err() && try_open("ollama:nova:absent", &access).is_err()
    );
}

#[test]
fn other_places_read_like_the_directory_they_came_from() {
    let hub = start(nova(), Faults::default(), Manners::default());
    let all = Access {
        modelscope: hub.url.clone(),
        s3: Some(hub.url.clone()),
        gcs: hub.url.clone(),
        ..access(&hub)
    };
    for text in ["modelscope:acme/nova", "s3://store/acme/nova", "gs://store/acme/nova/"] {
        let opened = try_open(text, &all).unwrap();
        assert_eq!(values(&opened).unwrap(), local(), "{text}");
        assert!(opened.hazards.iter().any(|hazard| hazard.code == "revision-not-pinned"), "{text}");
    }
    let file = "acme/nova/model-00002-of-00002.safetensors";
    for text in [format!("s3://store/{file}"), format!("{}/store/{file}", hub.url)] {
        let opened = try_open(&text, &all).unwrap();
        assert!(opened.hazards.iter().any(|hazard| hazard.code == "missing-shards"), "{text}");
        assert_eq!(opened.checkpoint.files.len(), 1);
    }
    for text in
        ["s3://store/acme/no", "modelscope:acme/other", "s3://store/x", &format!("{}/store/x", hub.url)]
    {
        assert!(try_open(text, &all).is_err(), "{text}");
    }
}

/// HMAC-SHA256 as RFC 2104 defines it, so that what signs is not checked by itself.
fn keyed(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut block = [0_u8; 64];
    block[..key.len()].copy_from_slice(key);
    let pad = |with: u8| block.map(|byte| byte ^ with);
    let inner = Sha256::digest([&pad(0x36)[..], text].concat());
    Sha256::digest([&pad(0x5c)[..], &inner].concat()).to_vec()
}

/// Whether a request carries the signature that these keys give it, made up from what arrived.
fn is_signed(asked: &hub::Asked<'_>, id: &str, secret: &str, region: &str) -> Option<()> {
    let header = |name: &str| Some(&asked.headers.iter().find(|(n, _)| n == name)?.1);
    let rest = header("authorization")?.strip_prefix("AWS4-HMAC-SHA256 Credential=")?;
    let (scope, rest) = rest.split_once(",SignedHeaders=")?;
    let (names, signature) = rest.split_once(",Signature=")?;
    let moment = header("x-amz-date")?;
    let day = &moment[..8];
    let place = format!("{day}/{region}/s3/aws4_request");
    // Whatever decides the answer is signed.
    let needed = ["host", "range", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token"];
    let present = needed.into_iter().filter(|name| header(name).is_some());
    if scope != format!("{id}/{place}") || present.collect::<Vec<_>>().join(";").len() != names.len() {
        return None;
    }
    let (path, query) = asked.path.split_once('?').unwrap_or((asked.path, ""));
    let mut pairs: Vec<String> = query.split('&').map(str::to_owned).collect();
    pairs.sort();
    let headers: Vec<String> =
        names.split(';').map(|name| Some(format!("{name}:{}\n", header(name)?))).collect::<Option<_>>()?;
    let body = header("x-amz-content-sha256")?;
    let request = format!("GET\n{path}\n{}\n{}\n{names}\n{body}", pairs.join("&"), headers.concat());
    let text = format!("AWS4-HMAC-SHA256\n{moment}\n{place}\n{}", digest(request.as_bytes()));
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in [day, region, "s3", "aws4_request"] {
        key = keyed(&key, part.as_bytes());
    }
    let expected: String = keyed(&key, text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    (signature == expected).then_some(())
}

#[test]
fn a_private_store_is_asked_with_signatures() {
    let guard: hub::Guard = std::sync::Arc::new(|asked| {
        is_signed(asked, "AKID", "word", "eu-west-1").map_or(Some(403), |()| None)
    });
    let of = |faults| {
        let repositories = BTreeMap::from([(NAME.to_owned(), nova())]);
        Hub::guarded(repositories, faults, Manners::default(), Some(guard.clone()))
    };
    let hub = of(Faults::default());
    let with = |hub: &Hub, keys| Access { s3: Some(hub.url.clone()), s3_keys: keys, ..access(hub) };
    let keys = |id, secret, session, region| S3Keys::new(id, secret, session, Some(region));
    for session in [None, Some("session")] {
        let good = with(&hub, keys("AKID", "word", session, "eu-west-1"));
        assert_eq!(values(&try_open("s3://store/acme/nova", &good).unwrap()).unwrap(), local());
    }
    let wrong = [
        None,
        keys("AKID", "other", None, "eu-west-1"),
        keys("OTHER", "word", None, "eu-west-1"),
        keys("AKID", "word", None, "us-east-1"),
    ];
    for wrong in wrong {
        let error = try_open("s3://store/acme/nova", &with(&hub, wrong)).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("eu-west-1"), "{error}");
        assert!(error.hint().unwrap().contains("AWS_REGION"));
    }
    // Every request is signed anew, also one that is made again.
    let hub = of(Faults { hang_up: 0.1, cut: 0.1, busy: 0.1, ..Faults::all(7, 0.0) });
    let good = with(&hub, keys("AKID", "word", None, "eu-west-1"));
    assert_eq!(values(&try_open("s3://store/acme/nova", &good).unwrap()).unwrap(), local());
}

#[test]
fn a_token_goes_to_its_store_and_nowhere_else() {
    let guard: hub::Guard = std::sync::Arc::new(|asked| {
        let sent = asked.headers.iter().find(|(name, _)| name == "authorization");
        if sent.is_some_and(|(_, value)| value == "Bearer ya29.word") { None } else { Some(401) }
    });
    let manners = Manners { store_redirects: true, ..Manners::default() };
    let start = |guard: Option<hub::Guard>| {
        let repositories = BTreeMap::from([(NAME.to_owned(), nova())]);
        Hub::guarded(repositories, Faults::default(), manners, guard)
    };
    let (hub, token) = (start(Some(guard)), Secret::new("ya29.word"));
    let with = Access { gcs: hub.url.clone(), gcs_token: token.clone(), ..access(&hub) };
    assert_eq!(values(&try_open("gs://store/acme/nova", &with).unwrap()).unwrap(), local());
    let without = Access { gcs_token: None, ..with.clone() };
    assert!(try_open("gs://store/acme/nova", &without).is_err());
    let count = |n: &std::sync::atomic::AtomicU64| n.load(std::sync::atomic::Ordering::Relaxed);
    // The caches, to which the store sends, never saw it.
    assert!(count(&hub.counts().ranges) > 0);
    assert_eq!(count(&hub.counts().leaked), 0);
    // Nor does a hub, or a store of the other kind, see what is for this one; and keys do not travel along a redirect.
    let keys = S3Keys::new("AKID", "word", Some("session"), None);
    let open = start(None);
    let both = Access {
        gcs_token: token,
        s3_keys: keys,
        s3: Some(open.url.clone()),
        gcs: open.url.clone(),
        ..access(&open)
    };
    for text in ["hf:acme/nova", "s3://store/acme/nova", "gs://store/acme/nova"] {
        let before = count(&open.counts().authorized);
        assert_eq!(values(&try_open(text, &both).unwrap()).unwrap(), local());
        assert_eq!(count(&open.counts().authorized) > before, !text.starts_with("hf:"), "{text}");
    }
    assert_eq!(count(&open.counts().leaked), 0);
}

#[test]
fn an_adapter_may_lie_elsewhere_than_its_base() {
    let folder = tempfile::tempdir().unwrap();
    let (base, adapter) = (folder.path().join("base"), folder.path().join("adapter"));
    let write = |path: &Path, name: &str, tensors: &[(&str, [usize; 2])]| {
        std::fs::create_dir_all(path).unwrap();
        let (mut header, mut at, mut bytes) = (Vec::new(), 0, Vec::new());
        for (name, [rows, cols]) in tensors {
            let end = at + rows * cols * 4;
            header.push(format!(
                r#""{name}":{{"dtype":"F32","shape":[{rows},{cols}],"data_offsets":[{at},{end}]}}"#
            ));
            bytes.extend((0..rows * cols).flat_map(|i| (i as f32 * 0.01).to_le_bytes()));
            at = end;
        }
        let header = format!("{{{}}}", header.join(","));
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header.into_bytes());
        file.extend(bytes);
        std::fs::write(path.join(name), file).unwrap();
    };
    let weight = "model.layers.0.self_attn.q_proj";
    write(&base, "model.safetensors", &[(&format!("{weight}.weight"), [8, 8])]);
    let factor = |which: &str| format!("base_model.model.{weight}.lora_{which}.weight");
    write(&adapter, "adapter_model.safetensors", &[(&factor("A"), [2, 8]), (&factor("B"), [8, 2])]);
    let config = r#"{"peft_type":"LORA","r":2,"lora_alpha":4,"target_modules":["q_proj"]}"#;
    std::fs::write(adapter.join("adapter_config.json"), config).unwrap();
    let served = [("acme/base", &base), ("acme/lora", &adapter)];
    let served = served.map(|(name, path)| (name.to_owned(), of_directory(path, &digest)));
    let hub = Hub::start(BTreeMap::from(served), Faults::default(), Manners::default());
    let here = format!("{}+{}", base.display(), adapter.display());
    let expected = values(&try_open(&here, &access(&hub)).unwrap()).unwrap();
    for text in [
        "hf:acme/base+hf:acme/lora".to_owned(),
        format!("hf:acme/base+{}", adapter.display()),
        format!("{}+hf:acme/lora", base.display()),
    ] {
        let opened = try_open(&text, &access(&hub)).unwrap();
        assert_eq!(values(&opened).unwrap(), expected, "{text}");
        assert!(matches!(opened.resolved, ModelRef::Merged { .. }));
    }
}
