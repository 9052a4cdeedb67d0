//! Hashing of files that change under it, and on request to stop.

use std::fs::File;
use std::sync::atomic::AtomicBool;
use stemmata_model::ModelRef;
use stemmata_source::{OpenOptions, Opened, SourceError, digest_files, open};

/// A folder with one file of `len` bytes of weights, open.
fn opened(len: usize) -> (tempfile::TempDir, Opened) {
    let folder = tempfile::tempdir().unwrap();
    let header = format!(r#"{{"a":{{"dtype":"U8","shape":[{len}],"data_offsets":[0,{len}]}}}}"#);
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.into_bytes());
    bytes.resize(bytes.len() + len, 7);
    std::fs::write(folder.path().join("model.safetensors"), bytes).unwrap();
    let opened = open(&ModelRef::Path(folder.path().to_owned()), &OpenOptions::default()).unwrap();
    (folder, opened)
}

#[test]
fn a_file_that_shrinks_is_named_with_the_bytes_that_are_gone() {
    let (folder, opened) = opened(3 << 20);
    let path = folder.path().join("model.safetensors");
    File::options().write(true).open(&path).unwrap().set_len(2 << 20).unwrap();
    let error = digest_files(&opened.weights, 0, &AtomicBool::new(false)).unwrap_err();
    let expected = "cannot hash `model.safetensors`: bytes 2097152..3145728: the file ends before that";
    assert_eq!(error.to_string(), expected);
    assert!(error.hint().unwrap().contains("truncated"));
}

#[test]
fn a_request_to_stop_is_heard() {
    let (folder, opened) = opened(1);
    let stop = AtomicBool::new(true);
    assert!(matches!(digest_files(&opened.weights, 1, &stop), Err(SourceError::Interrupted)));
    let options = OpenOptions { stop: Some(&stop), ..OpenOptions::default() };
    let again = open(&ModelRef::Path(folder.path().to_owned()), &options);
    assert!(matches!(again, Err(SourceError::Interrupted)));
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let (_folder, opened) = opened(1 << 10);
    let with = |threads| digest_files(&opened.weights, threads, &AtomicBool::new(false)).unwrap();
    assert_eq!(with(1), with(7));
    assert_eq!(with(0), with(usize::MAX));
}
