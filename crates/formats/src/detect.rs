//! Which container is this? Decided by content, never by the name of the file.

use crate::source::Source;
use crate::torch;
use crate::{FormatError, ReadAt};

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
    /// Nothing that this crate reads; the text says what it looks like.
    Unknown(&'static str),
}

/// Openings of other formats, and what to call them.
const OTHERS: [(&[u8], &str); 14] = [
    (b"7z\xbc\xaf\x27\x1c", "7z archive"),
    (b"\x1f\x8b", "gzip stream"),
    (b"\x28\xb5\x2f\xfd", "zstd stream"),
    (b"BZh", "bzip2 stream"),
    (b"\xfd7zXZ", "xz stream"),
    (b"Rar!", "rar archive"),
    (b"\x89HDF\r\n\x1a\n", "HDF5 file"),
    (b"\x93NUMPY", "NumPy array"),
    (b"version https://git-lfs", "git-lfs pointer: the weights have not been fetched"),
    (b"FUGG", "byte-swapped GGUF"),
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
    if head.starts_with(b"PK\x03\x04") {
        // A truncated archive is still one: the reader says where it ends.
        return Ok(match torch::zip_kind(source)? {
            None | Some(true) => Detected::TorchZip,
            Some(false) => Detected::Unknown("zip archive without `data.pkl`"),
        });
    }
    if let Some((_, seen)) = OTHERS.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Ok(Detected::Unknown(seen));
    }
    if looks_like_safetensors(&head, source.len) {
        return Ok(Detected::Safetensors);
    }
    if torch::zip_kind(source)? == Some(true) {
        return Ok(Detected::TorchZip);
    }
    if &head[257..262] == b"ustar" {
        return Ok(Detected::Unknown("tar archive: PyTorch before 0.1.10 wrote such files"));
    }
    if head[0] == 0x80 && (1..=5).contains(&head[1]) {
        return Ok(Detected::Unknown("pickle without a PyTorch header"));
    }
    let sample = &head[..source.len.min(HEAD as u64) as usize];
    let text = |b: &u8| matches!(b, b'\t' | b'\n' | b'\r' | 0x20..=0x7e);
    Ok(Detected::Unknown(match sample {
        _ if sample.iter().all(text) => "text",
        _ if source.len < 10 => "shorter than any header",
        _ => "unknown binary content",
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
        check(b"\0\0\0", Detected::Unknown("shorter than any header"));
    }
}
