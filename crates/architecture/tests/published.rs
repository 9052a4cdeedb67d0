//! Every published family maps completely under its true names and shapes, and docs/architectures.md says so.

#[path = "common/inventory.rs"]
mod inventory;

use inventory::{Published, all, load};
use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use stemmata_architecture::{Anatomy, Component, Role, Term, dissect};

/// Everything is mapped by name, and every element of every mapped tensor belongs to exactly one part.
fn check(published: &Published, failures: &mut Vec<String>) -> Anatomy {
    let tensors = &published.checkpoint.tensors;
    let anatomy = dissect(&published.checkpoint);
    let id = &published.id;
    let left: Vec<&str> = anatomy.unmapped.iter().map(|&i| tensors[i].name.as_str()).collect();
    if !left.is_empty() || anatomy.inferred {
        failures.push(format!("{id}: unmapped {left:?}, notes {:?}", anatomy.notes));
    }
    let mut covered: HashMap<usize, u64> = HashMap::new();
    for part in &anatomy.parts {
        *covered.entry(part.view.tensor).or_default() += part.view.elements();
    }
    for (tensor, elements) in covered {
        let tensor = &tensors[tensor];
        assert_eq!(elements, tensor.shape.iter().product::<u64>(), "{id}: `{}` in parts", tensor.name);
    }
    anatomy
}

/// One row of the table.
fn row(published: &Published, anatomy: &Anatomy) -> String {
    let total = published.checkpoint.tensors.len();
    let (ignored, unmapped) = (anatomy.ignored.len(), anatomy.unmapped.len());
    let components = anatomy.components.iter().map(|info| match info.layers {
        0 => info.component.name().to_owned(),
        layers => format!("{} {layers}", info.component.name()),
    });
    format!(
        "| {} | {} | {} | {} | {} | {unmapped} | {ignored} | {} |\n",
        published.title,
        published.source,
        match published.names.as_str() {
            names if names.contains("index") => "index",
            names if names.contains("gguf") => "gguf",
            _ => "classes",
        },
        anatomy.family,
        total - ignored - unmapped,
        components.collect::<Vec<_>>().join(", "),
    )
}

const BEGIN: &str = "<!-- families: written by the test `published` of stemmata-architecture -->\n";
const END: &str = "<!-- end of families -->\n";

#[test]
fn every_family_maps_completely_and_the_table_says_so() {
    let mut failures = Vec::new();
    let mut rows: Vec<String> = all()
        .iter()
        .map(|id| {
            let published = load(id);
            row(&published, &check(&published, &mut failures))
        })
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    rows.sort_by_key(|row| row.to_lowercase());
    assert!(rows.len() > 100);
    let head = "| model | configuration | names | family | mapped | unmapped | no weights | components and their layers |\n\
                |---|---|---|---|--:|--:|--:|---|\n";
    let table = format!("{BEGIN}\n{head}{}\n{END}", rows.concat());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/architectures.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let fresh = format!("{before}{table}{after}");
    if std::env::var_os("STEMMATA_WRITE_DOCS").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    } else {
        assert!(text == fresh, "the table is stale: run this test with STEMMATA_WRITE_DOCS=1");
    }
}

type Logical = (Component, Option<u32>, Option<u32>, Role, Term, u64, u64);

/// Purposes and extents of everything in `component`; vectors and columns are alike.
fn logical(id: &str, component: Component) -> BTreeSet<Logical> {
    let parts = dissect(&load(id).checkpoint).parts.into_iter().filter(|part| part.component == component);
    let upright = |rows, cols, term| if term == Term::Bias && cols == 1 { (1, rows) } else { (rows, cols) };
    let all = parts.map(|part| {
        let (rows, cols) = upright(part.view.rows, part.view.cols, part.term);
        (part.component, part.layer, part.expert, part.role, part.term, rows, cols)
    });
    all.collect()
}

#[test]
fn the_same_model_under_two_names_has_the_same_parts() {
    let check = |a: &str, b: &str, component: Component, only: &[Role]| {
        let (ours, theirs) = (logical(a, component), logical(b, component));
        let mut different: Vec<&Logical> = ours.symmetric_difference(&theirs).collect();
        different.retain(|part| !only.contains(&part.3));
        assert!(different.is_empty() && !ours.is_empty(), "{a}, {b}: {different:?}");
    };
    use Component::{
        Autoencoder, Connector, Denoiser, LanguageModel, SecondTextEncoder, TextEncoder, VisionTower,
    };
    check("mistral-7b", "mistral-7b-native", LanguageModel, &[]);
    check("mixtral-8x7b", "mixtral-8x7b-native", LanguageModel, &[]);
    check("yi-6b", "yi-6b-first", LanguageModel, &[]);
    check("gpt-oss-20b", "gpt-oss-20b-native", LanguageModel, &[]);
    check("gpt-oss-20b", "gpt-oss-20b-mxfp4", LanguageModel, &[]);
    for id in
        ["deepseek-v2-lite", "gpt-oss-20b", "gpt-neox-20b", "phi-3-mini", "mixtral-8x7b", "qwen3-30b-a3b"]
    {
        check(id, &format!("{id}-gguf"), LanguageModel, &[]);
    }
    check("llava-1.5-7b", "llava-1.5-7b-native", VisionTower, &[]);
    check("llava-1.5-7b", "llava-1.5-7b-native", Connector, &[]);
    check("internvl2-8b", "internvl3-8b-hf", VisionTower, &[]);
    check("flux.1-dev", "flux.1-dev-transformer", Denoiser, &[]);
    // The bias of both halves of a single block's last matrix is given to the second.
    check("flux.1-dev-transformer", "flux.1-dev-native", Denoiser, &[]);
    check("hunyuanvideo-transformer", "hunyuanvideo-native", Denoiser, &[]);
    check("wan2.1-t2v-transformer", "wan2.1-t2v-14b-native", Denoiser, &[]);
    check("wan2.1-i2v-14b", "wan2.1-i2v-14b-native", Denoiser, &[]);
    check("cogvideox-5b-transformer", "cogvideox-5b-native", Denoiser, &[]);
    for (one, other) in [("sd-1.5", "sd-1.5-single"), ("sdxl", "sdxl-single")] {
        check(one, other, Denoiser, &[]);
        check(one, other, Autoencoder, &[]);
        check(one, other, TextEncoder, &[]);
    }
    // The single file keeps OpenCLIP's scale of logits.
    check("sdxl", "sdxl-single", SecondTextEncoder, &[Role::LogitScale]);
}
