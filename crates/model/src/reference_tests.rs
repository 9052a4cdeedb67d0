use super::*;

fn check(text: &str, expect: Result<ModelRef, &'static str>) {
    assert_eq!(ModelRef::parse(text).map_err(|error| error.reason), expect, "{text}");
}

fn hub_of(site: Site, revision: Option<&str>, file: Option<&str>) -> ModelRef {
    let (revision, file) = (revision.map(Into::into), file.map(Into::into));
    ModelRef::Hub { site, repository: "acme/nova".into(), revision, file }
}

fn hub(revision: Option<&str>, file: Option<&str>) -> ModelRef {
    hub_of(Site::HuggingFace, revision, file)
}

fn merged(base: ModelRef, adapter: ModelRef) -> ModelRef {
    ModelRef::Merged { base: Box::new(base), adapter: Box::new(adapter) }
}

#[test]
fn paths_and_repositories() {
    check("./a:b", Ok(ModelRef::Path("./a:b".into())));
    check("dir/model.gguf", Ok(ModelRef::Path("dir/model.gguf".into())));
    check("hf:acme/nova", Ok(hub(None, None)));
    check("hf://acme/nova@v1/model.gguf", Ok(hub(Some("v1"), Some("model.gguf"))));
    check("hf:acme/nova@refs/pr/3/a/b.gguf", Ok(hub(Some("refs/pr/3"), Some("a/b.gguf"))));
    check("hf:acme/nova/transformer/", Ok(hub(None, Some("transformer"))));
    check("hf:acme/nova/odd@name.gguf", Ok(hub(None, Some("odd@name.gguf"))));
    check("modelscope:acme/nova@master", Ok(hub_of(Site::ModelScope, Some("master"), None)));
    check("hf:acme/nova@", Err("the revision after `@` is empty"));
    check("hf:acme/nova@a@b", Err("it has two revisions"));
    check("hf:nova", Err(TWO_PARTS));
    check("hf:acme/..", Err("names of hub repositories have letters, digits, `.`, `_` and `-`"));
    check("hf:acme/no va", Err("names of hub repositories have letters, digits, `.`, `_` and `-`"));
    check("ftp:acme/nova", Err("the scheme is not known"));
    check("", Err("it is empty"));
}

#[test]
fn stores_and_digests() {
    let ollama =
        |name: &str, tag: Option<&str>| ModelRef::Ollama { name: name.into(), tag: tag.map(Into::into) };
    check("ollama:nova", Ok(ollama("nova", None)));
    check("ollama:acme/nova:7b-q4", Ok(ollama("acme/nova", Some("7b-q4"))));
    check("ollama:localhost:5000/acme/nova:7b", Ok(ollama("localhost:5000/acme/nova", Some("7b"))));
    check("ollama:../nova", Err("it names no model"));
    check("ollama:nova:", Err("it names no model"));
    let bucket = |store, key: &str| ModelRef::Bucket { store, bucket: "models".into(), key: key.into() };
    check("s3://models/nova/", Ok(bucket(BucketStore::S3, "nova")));
    check("gs://models/a/b.gguf", Ok(bucket(BucketStore::Gcs, "a/b.gguf")));
    check("s3:models/nova", Err("it names no bucket"));
    check("gs://a%2fb/x", Err("it names no bucket"));
    check("sha256:12", Err("a SHA-256 has 64 hexadecimal digits"));
}

#[test]
fn pasted_links() {
    check("https://huggingface.co/acme/nova", Ok(hub(None, None)));
    check("https://huggingface.co/acme/nova/tree/main", Ok(hub(Some("main"), None)));
    check("https://hf.co/acme/nova/blob/v1/a%20b.gguf?download=true", Ok(hub(Some("v1"), Some("a b.gguf"))));
    check("https://huggingface.co/acme/nova/tree/refs/pr/2", Ok(hub(Some("refs/pr/2"), None)));
    check("https://www.modelscope.cn/models/acme/nova/files", Ok(hub_of(Site::ModelScope, None, None)));
    check("https://huggingface.co/datasets/acme/nova", Err("it is no model"));
    check("https://huggingface.co/acme/n%2fova", Err("it names no repository"));
    check("https://user:word@host/model.gguf", Err("the link holds a name or a password"));
    check("https://host/model.gguf", Ok(ModelRef::Link("https://host/model.gguf".into())));
    check("https:host", Err("the link has no host"));
}

#[test]
fn adapters() {
    let path = |text: &str| ModelRef::Path(text.into());
    check("hf:acme/nova@v1+./lora", Ok(merged(hub(Some("v1"), None), path("./lora"))));
    check("hf:acme/nova+lora", Ok(merged(hub(None, None), path("lora"))));
    check("./base+hf:acme/nova", Ok(merged(path("./base"), hub(None, None))));
    let link = ModelRef::Link("https://host/a+b.gguf".into());
    check("https://host/a+b.gguf", Ok(link.clone()));
    check("https://host/a+b.gguf+hf:acme/nova", Ok(merged(link, hub(None, None))));
    check("base+lora", Ok(path("base+lora")));
    check("hf:acme/nova+", Err("it is empty"));
}

#[test]
fn shorthand_is_a_repository_and_nothing_else() {
    assert_eq!(ModelRef::shorthand("acme/nova"), Some(hub(None, None)));
    assert_eq!(ModelRef::shorthand("acme/nova@v1"), Some(hub(Some("v1"), None)));
    for text in
        ["nova", "acme/nova/x", "./nova", "../nova", "acme/", "acme/nova@", "/nova", "a b/c", "acme/.."]
    {
        assert_eq!(ModelRef::shorthand(text), None, "{text}");
    }
}

#[test]
fn display_parses_back() {
    for text in [
        "hf:acme/nova@v1/x.gguf",
        "modelscope:acme/nova",
        "dir/model.gguf",
        "s3://bucket/prefix",
        "ollama:acme/nova:7b",
        "hf:acme/nova+./lora",
    ] {
        let parsed = ModelRef::parse(text).unwrap();
        assert_eq!(parsed.to_string(), text);
        assert_eq!(ModelRef::parse(&parsed.to_string()).unwrap(), parsed);
    }
}
