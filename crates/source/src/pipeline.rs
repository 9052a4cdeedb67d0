//! Pipelines of the diffusers library: a `model_index.json`, and a folder for each component. Together they are one model, whose tensors have the
//! names that they have in their files, with the folder in front.

use crate::SourceError;
use crate::directory::{Directory, Layout};
use crate::open::{Assembly, add_directory};
use stemmata_formats::parse_config;
use stemmata_model::{Hazard, Level, Value, printable};

const INDEX: &str = "model_index.json";
const INDEX_BYTES: u64 = 1 << 20;
const CONFIG: &str = "config.json";
const CONFIG_BYTES: u64 = 16 << 20;
/// Folders that are looked into, at most; published pipelines have eight.
const FOLDERS: usize = 64;

/// Adds the components that the index of `directory` names to `assembly`; false where it is no pipeline.
pub(crate) fn add_components(
    directory: &Directory,
    shown: &str,
    assembly: &mut Assembly<'_>,
) -> Result<bool, SourceError> {
    let Some((bytes, id)) = directory.read(INDEX, INDEX_BYTES)? else { return Ok(false) };
    let Ok((index, hazards)) = parse_config(&bytes, INDEX) else { return Ok(false) };
    // `"unet": ["diffusers", "UNet2DConditionModel"]`; a component that was left out is `[null, null]`, and what begins with `_` is no component.
    let named = index.entries.iter().filter(|(name, value)| {
        let words = |items: &[Value]| items.len() == 2 && items.iter().all(|x| matches!(x, Value::Text(_)));
        !name.starts_with('_') && !name.contains('.') && matches!(value, Value::List(items) if words(items))
    });
    let mut folders = Vec::new();
    for (name, _) in named.take(FOLDERS) {
        // Schedulers and tokenizers have folders, too, and no weights.
        if let Some(folder) = directory.folder(name)?.filter(|folder| folder.layout() != Layout::Nothing) {
            folders.push((name.as_str(), folder));
        }
    }
    if folders.is_empty() {
        return Ok(false);
    }
    assembly.overhead += bytes.len() as u64;
    assembly.read.extend(id);
    assembly.hazards.extend(hazards);
    for (name, folder) in folders {
        add_directory(assembly, &folder, &format!("{shown}/{name}"), &format!("{name}/"))?;
        add_configuration(assembly, name, &folder)?;
        assembly.hazards.extend(folder.hazards());
    }
    // Single files of the same model often lie beside the folders.
    assembly.hazards.extend(directory.weight_files().map(|file| Hazard {
        code: "file-not-read",
        level: Level::Note,
        subject: printable(file),
        message: format!("it lies beside the components that `{INDEX}` names; those were read"),
    }));
    Ok(true)
}

/// Keeps the configuration of a component under the name of its folder: components have keys in common that mean different things.
fn add_configuration(assembly: &mut Assembly<'_>, name: &str, folder: &Directory) -> Result<(), SourceError> {
    let Some((bytes, id)) = folder.read(CONFIG, CONFIG_BYTES)? else { return Ok(()) };
    assembly.read.extend(id);
    assembly.overhead += bytes.len() as u64;
    match parse_config(&bytes, &format!("{name}/{CONFIG}")) {
        Ok((config, hazards)) => {
            assembly.hazards.extend(hazards);
            for (key, value) in config.entries {
                // Packed tensors are put together by one description of how they are packed.
                if key.starts_with("quantization_config.") {
                    assembly.config.entries.entry(key.clone()).or_insert_with(|| value.clone());
                }
                assembly.config.entries.insert(format!("{name}.{key}"), value);
            }
        }
        Err(error) => assembly.hazards.push(Hazard {
            code: "config-unreadable",
            level: Level::Warning,
            subject: format!("{}/{CONFIG}", printable(name)),
            message: error.to_string(),
        }),
    }
    Ok(())
}
