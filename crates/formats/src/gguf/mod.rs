//! GGUF versions 2 and 3: key-value pairs, tensor descriptions, tensors.
//!
//! The key-value section is streamed: only what the caller gets is held, and every count is compared with the bytes
//! that are left before anything is allocated for it.

mod claims;
mod order;
mod tensors;
mod types;
mod values;

use crate::derived::Derived;
use crate::hazards::Hazards;
use crate::source::{Source, Stream};
use crate::{FormatError, Limits, Parsed, ReadAt};
use stemmata_model::{Container, Level};

/// Reads the inventory of one GGUF file.
pub fn parse(file: &dyn ReadAt, name: &str, file_index: u32, limits: &Limits) -> Result<Parsed, FormatError> {
    let source = Source::new(file, name);
    let mut hazards = Hazards::new(name);
    let mut stream = Stream::new(&source, 0);
    if stream.bytes(4, "the magic")? != b"GGUF" {
        return Err(source.malformed("the magic", 0..4, "not `GGUF`"));
    }
    let mut version = stream.u32("the version")?;
    if version & 0xffff == 0 && version != 0 {
        stream.big_endian = true;
        version = version.swap_bytes();
    }
    match version {
        2 | 3 => {}
        1 => return Err(source.unsupported("GGUF version 1", "convert the file with a current tool")),
        _ => return Err(source.unsupported(format!("GGUF version {version}"), "versions 2 and 3 are known")),
    }
    let tensor_count = stream.u64("the number of tensors")?;
    let key_count = stream.u64("the number of keys")?;
    if tensor_count > limits.tensors {
        return Err(source.limit("the number of tensors", tensor_count, limits.tensors));
    }
    if key_count > limits.kv_entries {
        return Err(source.limit("the number of keys", key_count, limits.kv_entries));
    }
    if crate::zip::find_end(&source)?.is_some() {
        hazards.file("polyglot", Level::Warning, || {
            "the file is also a zip archive: another reader would see other content".into()
        });
    }
    let mut keys = values::read(&source, &mut stream, key_count, limits, &mut hazards)?;
    let alignment = keys.alignment(&source)?;
    let mut tensors = tensors::read(
        &tensors::Section { source: &source, count: tensor_count, alignment, file_index, limits },
        &mut stream,
        &mut hazards,
    )?;
    let mut derived = Derived::behind(source.len);
    if stream.big_endian {
        hazards.file("big-endian", Level::Note, || "its numbers have the most significant byte first".into());
        order::turn(&mut tensors, &mut derived);
    }
    let declared = claims::declared(&keys.config);
    claims::chat_templates(&keys.config, &mut hazards);
    Ok(Parsed {
        tensors,
        declared,
        tokenizer: keys.tokenizer(),
        config: keys.config,
        derived,
        ..Parsed::of(Container::Gguf, hazards.finish())
    })
}
