//! Every value of packed weights, against what an independent script computes from the definition of each scheme.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use stemmata_model::{Encoding, ModelRef, ReadError, Weights};
use stemmata_source::{Backend, OpenOptions, Opened, SourceError, open};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn open_path(path: &str, backend: Backend) -> Result<Opened, SourceError> {
    open(&ModelRef::Path(path.into()), &OpenOptions { backend, ..OpenOptions::default() })
}

/// Adapters are opened on their base.
fn reference(case: &str) -> String {
    let path = golden().join(case);
    match case.starts_with("adapter") {
        true => format!("{}+{}", golden().join("base").display(), path.display()),
        false => path.display().to_string(),
    }
}

fn cases() -> BTreeMap<String, Vec<Vec<String>>> {
    let mut cases: BTreeMap<String, Vec<Vec<String>>> = BTreeMap::new();
    let read = |name: &str| std::fs::read_to_string(golden().join(name)).unwrap();
    for line in (read("index.tsv") + &read("tools.tsv") + &read("compressed.tsv")).lines() {
        let line: Vec<String> = line.split('\t').map(str::to_owned).collect();
        cases.entry(line[0].clone()).or_default().push(line);
    }
    assert!(cases.len() >= 20);
    cases
}

fn same(found: &[f32], truth: &[f32]) -> bool {
    found.len() == truth.len() && found.iter().zip(truth).all(|(a, b)| a.to_bits() == b.to_bits())
}

#[test]
fn every_value_of_every_scheme() {
    for (case, lines) in cases() {
        let truth = std::fs::read(golden().join(&case).join("values.f32")).unwrap();
        let truth: Vec<f32> = truth.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        for backend in [Backend::Read, Backend::Map] {
            let opened = open_path(&reference(&case), backend).unwrap();
            assert!(opened.undecoded.is_empty(), "{case}");
            let tensors = opened.weights.tensors();
            if !case.starts_with("adapter") {
                // The pieces are not there by themselves.
                assert_eq!(tensors.len(), lines.len(), "{case}: {tensors:?}");
            }
            for line in &lines {
                let index = tensors.iter().position(|t| t.name == line[1]).unwrap();
                let tensor = &tensors[index];
                let shape: Vec<u64> = line[3].split(',').map(|n| n.parse().unwrap()).collect();
                assert_eq!((tensor.encoding.to_string(), &tensor.shape), (line[2].clone(), &shape), "{case}");
                if let (Encoding::Packed(packing), false) = (tensor.encoding, case.starts_with("adapter")) {
                    assert_eq!(packing.millibits.to_string(), line[4], "{case}");
                }
                let start: usize = line[5].parse().unwrap();
                let truth = &truth[start..start + tensor.elements() as usize];
                let mut found = vec![f32::NAN; truth.len()];
                opened.weights.read(index, 0, &mut found).unwrap();
                assert!(same(&found, truth), "{case}: {:?} is not {:?}", &found[..4], &truth[..4]);
                // Any run gives the same numbers.
                for (from, to) in [(1, 2), (3, 50), (7, 8), (truth.len() - 9, truth.len())] {
                    let mut found = vec![f32::NAN; to - from];
                    opened.weights.read(index, from as u64, &mut found).unwrap();
                    assert!(same(&found, &truth[from..to]), "{case} at {from}");
                }
                let beyond = opened.weights.read(index, truth.len() as u64 - 1, &mut [0.0; 2]);
                assert!(matches!(beyond, Err(ReadError::OutOfRange { .. })), "{case}");
            }
        }
    }
}

#[test]
fn two_packed_tensors_do_not_mix() {
    let a = open_path(&reference("gptq4-act-order"), Backend::Read).unwrap();
    let b = open_path(&reference("gptq4-runs"), Backend::Read).unwrap();
    let read = |opened: &Opened, start| {
        let mut out = [0.0; 16];
        opened.weights.read(0, start, &mut out).unwrap();
        out
    };
    let alone = (read(&a, 0), read(&b, 0));
    for _ in 0..3 {
        assert_eq!((read(&a, 0), read(&b, 0)), alone);
        read(&a, 640);
        read(&b, 480);
    }
}

#[test]
fn an_existing_path_wins_over_a_base_with_an_adapter() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a", "b", "a+b"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
    }
    let copy = |from: &str, to: &str| {
        std::fs::copy(golden().join(from), folder.path().join(to)).unwrap();
    };
    copy("base/model.safetensors", "a/model.safetensors");
    copy("nf4/model.safetensors", "a+b/model.safetensors");
    let plus = format!("{0}/a+{0}/b", folder.path().display());
    let is_nf4 = |path: &str| {
        open_path(path, Backend::Read)
            .map(|opened| opened.checkpoint.tensors[0].encoding.to_string() == "nf4")
    };
    assert!(is_nf4(&folder.path().join("a+b").display().to_string()).unwrap());
    let error = is_nf4(&plus).unwrap_err();
    assert!(matches!(&error, SourceError::NotAnAdapter { file, .. } if file == "adapter_config.json"));
    assert!(error.hint().is_some());
    copy("adapter/adapter_config.json", "b/adapter_config.json");
    copy("adapter/adapter_model.safetensors", "b/adapter_model.safetensors");
    let opened = open_path(&plus, Backend::Read).unwrap();
    let names: Vec<&str> = opened.checkpoint.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["model.safetensors", "+adapter_model.safetensors"]);
}
