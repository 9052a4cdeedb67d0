//! Pipelines of diffusers, and the single files of the same models: the true names at a fraction of the extents.

#[allow(dead_code, reason = "shared with the tests of another crate")]
#[path = "../../architecture/tests/common/inventory.rs"]
mod inventory;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use stemmata_architecture::{Anatomy, Part, dissect};
use stemmata_audit::{Comparison, Kind, SearchMode, Settings, compare, inspect};
use stemmata_model::{Checkpoint, Encoding, Tensor};
use stemmata_stats::SplitMix64;

/// A published model with every extent that `by` divides made so many times smaller.
fn small(id: &str, by: u64) -> (Checkpoint, Anatomy) {
    let mut checkpoint = inventory::load(id).checkpoint;
    for extent in checkpoint.tensors.iter_mut().flat_map(|tensor| &mut tensor.shape) {
        if *extent % by == 0 {
            *extent /= by;
        }
    }
    let anatomy = dissect(&checkpoint);
    (checkpoint, anatomy)
}

/// Values of each tensor by what its parts are for, so that models with other names hold the same numbers.
fn values((checkpoint, anatomy): &(Checkpoint, Anatomy), seed: u64) -> Vec<Vec<f32>> {
    let count = |tensor: &Tensor| tensor.shape.iter().product::<u64>() as usize;
    let mut values: Vec<Vec<f32>> =
        checkpoint.tensors.iter().map(|tensor| vec![0.0; count(tensor)]).collect();
    for Part { component, layer, expert, role, term, view, .. } in &anatomy.parts {
        let place = [*component as u64, layer.map_or(9999, u64::from), expert.map_or(9999, u64::from)];
        let words = place.into_iter().chain([*role as u64, *term as u64]);
        let mut random =
            SplitMix64::new(words.fold(seed, |seed, word| SplitMix64::new(seed ^ word).next_u64()));
        for row in 0..view.rows {
            for column in 0..view.cols {
                let at = view.first + view.stored_row(row) * view.row_stride + column * view.col_stride;
                values[view.tensor][at as usize] = 0.02 * random.normal() as f32;
            }
        }
    }
    values
}

/// Writes the tensors whose names begin with `prefix` to a safetensors file, without it.
fn write(path: &Path, prefix: &str, checkpoint: &Checkpoint, values: &[Vec<f32>]) {
    let (mut header, mut data) = (String::from("{"), Vec::new());
    for (tensor, values) in checkpoint.tensors.iter().zip(values) {
        let Some(name) = tensor.name.strip_prefix(prefix) else { continue };
        let start = data.len();
        let whole = matches!(tensor.encoding, Encoding::Plain(dtype) if !dtype.is_float());
        let kind = if whole { "I32" } else { "F32" };
        data.extend(values.iter().flat_map(|x| x.to_le_bytes()));
        let (shape, end) = (&tensor.shape, data.len());
        write!(header, r#""{name}":{{"dtype":"{kind}","shape":{shape:?},"data_offsets":[{start},{end}]}},"#)
            .unwrap();
    }
    assert!(!data.is_empty(), "{prefix}");
    header.pop();
    header.push('}');
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.into_bytes());
    bytes.extend(data);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Folders, and the file of weights in each.
const STABLE_DIFFUSION: [(&str, &str); 3] = [
    ("unet", "diffusion_pytorch_model.safetensors"),
    ("vae", "diffusion_pytorch_model.safetensors"),
    ("text_encoder", "model.safetensors"),
];

fn write_pipeline(path: &Path, folders: &[(&str, &str)], model: &(Checkpoint, Anatomy), seed: u64) {
    let values = values(model, seed);
    let mut index =
        String::from(r#"{"_class_name": "Pipeline", "scheduler": ["diffusers", "PNDMScheduler"], "#);
    for (folder, file) in folders {
        write(&path.join(folder).join(file), &format!("{folder}."), &model.0, &values);
        fs::write(path.join(folder).join("config.json"), r#"{"sample_size": 64}"#).unwrap();
        write!(index, r#""{folder}": ["library", "Class"], "#).unwrap();
    }
    index += r#""safety_checker": [null, null]}"#;
    fs::write(path.join("model_index.json"), index).unwrap();
}

fn with_settings<T>(run: impl FnOnce(&Settings<'_>) -> T) -> T {
    let stop = AtomicBool::new(false);
    run(&Settings { threads: 2, search: SearchMode::Never, ..Settings::new(&stop) })
}

fn compared(candidate: &Path, reference: &Path) -> Comparison {
    let [c, r] = [candidate, reference].map(|path| path.to_str().unwrap());
    with_settings(|settings| compare(c, r, settings, &mut |_| {})).unwrap()
}

fn keys(anatomy: &Anatomy) -> BTreeSet<(String, u64, u64)> {
    let key = |p: &Part| format!("{:?} {:?} {:?} {:?} {:?}", p.component, p.layer, p.expert, p.role, p.term);
    anatomy.parts.iter().map(|part| (key(part), part.view.rows, part.view.cols)).collect()
}

#[test]
fn a_single_file_is_the_pipeline_of_the_same_model() {
    let folder = tempfile::tempdir().unwrap();
    // What the single file has beyond the folders: OpenCLIP keeps the scale of its training.
    let second = [&STABLE_DIFFUSION[..], &[("text_encoder_2", "model.safetensors")]].concat();
    for (id, single, folders, by, more) in [
        ("sd-1.5", "sd-1.5-single", &STABLE_DIFFUSION[..], 16, &[][..]),
        ("sdxl", "sdxl-single", &second, 32, &["SecondTextEncoder None None LogitScale Weight"][..]),
    ] {
        let (pipeline, alone) = (small(id, by), small(single, by));
        let [ours, theirs] = [&pipeline.1, &alone.1].map(keys);
        let differing: Vec<&str> = ours.symmetric_difference(&theirs).map(|key| key.0.as_str()).collect();
        assert_eq!(differing, more, "{id}");
        let [directory, file] = [id, single].map(|name| folder.path().join(name));
        let file = file.join("model.safetensors");
        write_pipeline(&directory, folders, &pipeline, 1);
        write(&file, "", &alone.0, &values(&alone, 1));
        let same = compared(&file, &directory);
        assert_eq!(same.measurement.pairs.len(), pipeline.1.parts.len());
        assert!(same.measurement.pairs.iter().all(|pair| pair.identical), "{id}");
        let kind = same.judgement.verdict.kind;
        assert!(kind.is_dependence() && (kind == Kind::Identical) == more.is_empty(), "{id}: {kind:?}");
        assert!(same.judgement.components.len() >= folders.len());
        write(&file, "", &alone.0, &values(&alone, 2));
        assert!(!compared(&file, &directory).judgement.verdict.kind.is_dependence(), "{id}");
    }
}

#[test]
fn a_transformer_pipeline_opens_as_one_model() {
    let folder = tempfile::tempdir().unwrap();
    let folders = [
        ("transformer", "diffusion_pytorch_model.safetensors"),
        ("vae", "diffusion_pytorch_model.safetensors"),
        ("text_encoder", "model.safetensors"),
        ("text_encoder_2", "model.safetensors"),
    ];
    let model = small("flux.1-dev", 64);
    write_pipeline(folder.path(), &folders, &model, 1);
    let path = folder.path().to_str().unwrap();
    let inspection = with_settings(|settings| inspect(path, false, settings, &mut |_| {})).unwrap();
    assert_eq!(inspection.components.len(), folders.len());
    // The transformer alone is the denoiser of all.
    let native = small("flux.1-dev-native", 64);
    let alone = folder.path().join("flux1-dev.safetensors");
    write(&alone, "", &native.0, &values(&native, 1));
    let same = compared(&alone, folder.path());
    assert!(same.measurement.candidate_only.is_empty());
    assert!(same.measurement.pairs.iter().all(|pair| pair.identical));
    assert!(same.findings.iter().any(|f| f.code == "file-not-read" && f.subject == "flux1-dev.safetensors"));
}

#[test]
fn of_variants_and_formats_one_is_read_and_the_others_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let model = small("sd-1.5", 16);
    write_pipeline(folder.path(), &STABLE_DIFFUSION, &model, 1);
    let unet = folder.path().join("unet");
    let plain = unet.join("diffusion_pytorch_model.safetensors");
    let told = || {
        let path = folder.path().to_str().unwrap();
        let inspection = with_settings(|settings| inspect(path, false, settings, &mut |_| {}))?;
        let told = inspection.findings.into_iter().filter(|f| f.code == "file-not-read");
        Ok::<_, stemmata_audit::AuditError>(told.map(|f| f.subject).collect::<Vec<String>>())
    };
    assert!(told().unwrap().is_empty());
    fs::copy(&plain, unet.join("diffusion_pytorch_model.fp16.safetensors")).unwrap();
    fs::write(unet.join("diffusion_pytorch_model.bin"), b"not read").unwrap();
    let others = ["diffusion_pytorch_model.bin", "diffusion_pytorch_model.fp16.safetensors"];
    assert_eq!(told().unwrap(), others.map(|name| format!("unet/{name}")));
    // The only variant is read.
    fs::remove_file(&plain).unwrap();
    assert_eq!(told().unwrap(), ["unet/diffusion_pytorch_model.bin"]);
    // Of two nobody can say which is meant.
    let variant = unet.join("diffusion_pytorch_model.fp16.safetensors");
    fs::copy(&variant, unet.join("diffusion_pytorch_model.non_ema.safetensors")).unwrap();
    assert!(told().unwrap_err().to_string().contains("name one file"));
}

#[test]
fn an_index_leads_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let model = small("sd-1.5", 16);
    write_pipeline(&folder.path().join("outside"), &STABLE_DIFFUSION, &model, 1);
    let inside = folder.path().join("inside");
    fs::create_dir_all(&inside).unwrap();
    let index = r#"{"_class_name": "Pipeline", "../outside/unet": ["diffusers", "UNet"]}"#;
    fs::write(inside.join("model_index.json"), index).unwrap();
    std::os::unix::fs::symlink(folder.path().join("outside/unet"), inside.join("unet")).unwrap();
    let opened = || with_settings(|settings| inspect(inside.to_str().unwrap(), false, settings, &mut |_| {}));
    assert!(opened().is_err());
    fs::write(inside.join("model_index.json"), r#"{"unet": ["diffusers", "UNet"]}"#).unwrap();
    assert!(opened().map(|_| ()).unwrap_err().to_string().contains("outside"), "a link");
}
