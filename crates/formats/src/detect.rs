//! Which container is this? Decided by content, never by the name of the file.

use crate::hazards::Hazards;
use crate::source::Source;
use crate::{FormatError, Limits, ReadAt, msgpack, npy, onnx, torch, zip};

/// What the content of a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Detected {
    /// A length, a JSON header, tensors.
    Safetensors,
    /// GGUF.
    Gguf,
    /// A zip archive with a pickle and storages.
    TorchZip,
    /// A stream of pickles followed by storages.
    TorchLegacy,
    /// One array of NumPy.
    Npy,
    /// A zip archive of arrays of NumPy.
    Npz,
    /// A model in ONNX.
    Onnx,
    /// Maps of arrays in MessagePack, as Flax writes them.
    Msgpack,
    /// Nothing that this crate reads; the text says what it looks like.
    Unknown(&'static str),
}

/// What is said of files that are known and not read: why, and how to get at their numbers.
const HDF5: &str = "HDF5 file (Keras and others), which is not read: its links, outside storage and virtual data sets can lead to any \
                    file, and there is no reader that was shown to be safe. Convert it: load it where it was made and save its arrays \
                    with `numpy.savez` or `safetensors.numpy.save_file`";
const KERAS: &str = "Keras archive, which is not read: its weights are an HDF5 file and its configuration may hold code. Convert it: load it \
                     where it was made, with `safe_mode=True`, and save its arrays with `numpy.savez` or `safetensors.numpy.save_file`";
const TENSORFLOW: &str = "index of a TensorFlow checkpoint, which is not read: there is no reader that was kept up and shown to be safe. Convert it: \
                          read it with `tf.train.load_checkpoint` and save its arrays with `numpy.savez` or `safetensors.numpy.save_file`";
const TAR: &str = "tar archive, as PyTorch before 0.1.10 wrote them, which is not read: current releases refuse them too, because their \
                   loader ran what the archive said. Convert it with PyTorch 1.x: load it and save it again";
/// The end of a table of LevelDB, which the index of a TensorFlow checkpoint is.
const TABLE_END: [u8; 8] = 0xdb47_7524_8b80_fb57u64.to_le_bytes();

/// Openings of other formats, and what to call them.
const OTHERS: [(&[u8], &str); 15] = [
    (b"7z\xbc\xaf\x27\x1c", "7z archive"),
    (b"\x1f\x8b", "gzip stream"),
    (b"\x28\xb5\x2f\xfd", "zstd stream"),
    (b"BZh", "bzip2 stream"),
    (b"\xfd7zXZ", "xz stream"),
    (b"Rar!", "rar archive"),
    (b"\x89HDF\r\n\x1a\n", HDF5),
    (b"version https://git-lfs", "git-lfs pointer: the weights have not been fetched"),
    (b"FUGG", "byte-swapped GGUF"),
    (b"GGLA", "low-rank adapter of before GGUF: convert it with llama.cpp's `convert_lora_to_gguf.py`"),
    (b"MZ\x90\0", "executable"),
    (b"ggjt", "GGML file of before GGUF"),
    (b"tjgg", "GGML file of before GGUF"),
    (b"lmgg", "GGML file of before GGUF"),
    (b"\x7fELF", "executable"),
];

/// Looks at the first bytes, and at the last ones where the first say nothing.
pub fn detect(file: &dyn ReadAt) -> Result<Detected, FormatError> {
    detect_in(&Source::new(file, "input"))
}

pub(crate) fn detect_in(source: &Source) -> Result<Detected, FormatError> {
    const HEAD: usize = 512;
    if source.len == 0 {
        return Ok(Detected::Unknown("empty file"));
    }
    let head: [u8; HEAD] = source.head()?;
    if head.starts_with(b"GGUF") {
        return Ok(Detected::Gguf);
    }
    if torch::is_legacy(&head) {
        return Ok(Detected::TorchLegacy);
    }
    if head.starts_with(b"\x93NUMPY") {
        return Ok(Detected::Npy);
    }
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        // A truncated archive is still one: the reader says where it ends.
        return Ok(archive(source)?.unwrap_or(Detected::TorchZip));
    }
    if let Some((_, seen)) = OTHERS.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Ok(Detected::Unknown(seen));
    }
    if looks_like_safetensors(&head, source.len) {
        return Ok(Detected::Safetensors);
    }
    if let Some(found @ (Detected::TorchZip | Detected::Npz)) = archive(source)? {
        return Ok(found);
    }
    if &head[257..262] == b"ustar" {
        return Ok(Detected::Unknown(TAR));
    }
    if head[0] == 0x80 && (1..=5).contains(&head[1]) {
        return Ok(Detected::Unknown("pickle without a PyTorch header"));
    }
    if source.len >= 48 && source.array::<8>(source.len - 8, "the end of the file")? == TABLE_END {
        return Ok(Detected::Unknown(TENSORFLOW));
    }
    if msgpack::looks_like(&head, source.len) {
        return Ok(Detected::Msgpack);
    }
    if onnx::looks_like(source)? {
        return Ok(Detected::Onnx);
    }
    let sample = &head[..source.len.min(HEAD as u64) as usize];
    let text = |b: &u8| matches!(b, b'\t' | b'\n' | b'\r' | 0x20..=0x7e);
    Ok(Detected::Unknown(match sample {
        _ if sample.iter().all(text) => "text",
        _ if source.len < 10 => "shorter than any header",
        _ => "unknown binary content",
    }))
}

/// What a zip archive holds; nothing where the file is none or its directory is broken.
fn archive(source: &Source) -> Result<Option<Detected>, FormatError> {
    let Some(end) = zip::find_end(source)? else { return Ok(None) };
    let mut hazards = Hazards::new("");
    let entries = match zip::directory(source, &end, &Limits::default(), &mut hazards) {
        Ok(entries) => entries,
        Err(FormatError::Io { file, start, end, source }) => {
            return Err(FormatError::Io { file, start, end, source });
        }
        Err(_) => return Ok(None),
    };
    let any = |test: fn(&str) -> bool| entries.iter().any(|entry| test(&entry.name));
    Ok(Some(if any(torch::is_pickle) {
        Detected::TorchZip
    } else if any(npy::is_array) {
        Detected::Npz
    } else if any(|name| name.ends_with(".weights.h5")) {
        Detected::Unknown(KERAS)
    } else {
        Detected::Unknown("zip archive without `data.pkl` and without arrays")
    }))
}

/// A brace (after blanks, which the reference lets pass) behind eight bytes that are not themselves text.
fn looks_like_safetensors(head: &[u8], len: u64) -> bool {
    let (prefix, rest) = head.split_at(8);
    let blank = |b: &&u8| matches!(b, b' ' | b'\t' | b'\n' | b'\r');
    let brace = rest.iter().find(|b| !blank(b)) == Some(&b'{');
    let array = rest.first() == Some(&b'[');
    let prefix_is_text = prefix.iter().all(|b| matches!(b, b'\t' | b'\n' | b'\r' | 0x20..=0x7e));
    len > 8 && (brace || array) && !prefix_is_text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expect: Detected) {
        assert_eq!(detect(&bytes).unwrap(), expect, "{bytes:?}");
    }

    #[test]
    fn by_content() {
        check(b"", Detected::Unknown("empty file"));
        check(b"GGUF\x03\0\0\0", Detected::Gguf);
        check(b"\x02\0\0\0\0\0\0\0{}", Detected::Safetensors);
        check(b"{\"weight_map\": {}}", Detected::Unknown("text"));
        check(b"7z\xbc\xaf\x27\x1c\0\0", Detected::Unknown("7z archive"));
        check(b"\x80\x02}q\x00.", Detected::Unknown("pickle without a PyTorch header"));
        check(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", Detected::TorchLegacy);
        check(b"\x93NUMPY\x01\0", Detected::Npy);
        check(b"\x81\xa6params\x80", Detected::Msgpack);
        check(b"\x08\x0a\x3a\x02\x0a\0", Detected::Onnx);
        check(b"\x89HDF\r\n\x1a\n\0\0", Detected::Unknown(HDF5));
        check(&[&[0; 40][..], &TABLE_END].concat(), Detected::Unknown(TENSORFLOW));
        check(b"\0\0\0", Detected::Unknown("shorter than any header"));
    }
}
