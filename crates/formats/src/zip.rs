//! The central directory of a zip archive, ZIP64 included. Only what is needed to find stored entries.
//!
//! Two readers of one archive may trust different copies of the same fact (local header or directory, 32 or 64 bits,
//! this end record or that). Where copies differ there is a hazard; where the difference decides what is read, an error.

use crate::hazards::Hazards;
use crate::source::Source;
use crate::{FormatError, Limits};
use std::collections::HashSet;
use stemmata_model::{Level, printable};

const END_BYTES: u64 = 22;
const COMMENT_BYTES: u64 = 0xffff;
const LOCATOR_BYTES: u64 = 20;
const END64_BYTES: u64 = 56;
const ENTRY_BYTES: usize = 46;
const LOCAL_BYTES: u64 = 30;
const FLAG_ENCRYPTED: u16 = 1;
const FLAG_DESCRIPTOR: u16 = 1 << 3;

/// The end record: where the directory lies.
#[derive(Clone, Debug)]
pub(crate) struct End {
    entries: u64,
    size: u64,
    /// As recorded; relative to the start of the archive, which need not be the start of the file.
    offset: u64,
    /// Where the end records begin.
    start: u64,
    comment: u64,
    /// Whether the 32-bit and 64-bit records contradict each other.
    contradicts: bool,
}

/// One stored file.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    /// Length of the name as stored.
    name_bytes: u64,
    pub(crate) flags: u16,
    pub(crate) method: u16,
    pub(crate) crc: u32,
    pub(crate) packed: u64,
    pub(crate) size: u64,
    /// The local header.
    pub(crate) local: u64,
    /// First byte of the content; known after [`locate`].
    pub(crate) data: u64,
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

/// Finds the end record whose comment reaches exactly to the end of the file.
pub(crate) fn find_end(source: &Source) -> Result<Option<End>, FormatError> {
    let tail_len = source.len.min(END_BYTES + COMMENT_BYTES);
    let tail_start = source.len - tail_len;
    let tail = source.read(tail_start, tail_len, "the end of the file")?;
    let record = (0..tail.len().saturating_sub(END_BYTES as usize - 1)).rev().find(|at| {
        tail[*at..].starts_with(b"PK\x05\x06")
            && usize::from(u16_at(&tail, at + 20)) == tail.len() - at - END_BYTES as usize
    });
    let Some(at) = record else { return Ok(None) };
    let record = &tail[at..];
    let position = tail_start + at as u64;
    let mut end = End {
        entries: u16_at(record, 10).into(),
        size: u32_at(record, 12).into(),
        offset: u32_at(record, 16).into(),
        start: position,
        comment: u16_at(record, 20).into(),
        contradicts: false,
    };
    let Some(locator_at) = position.checked_sub(LOCATOR_BYTES) else { return Ok(Some(end)) };
    let locator: [u8; LOCATOR_BYTES as usize] = source.array(locator_at, "the ZIP64 locator")?;
    if !locator.starts_with(b"PK\x06\x07") {
        return Ok(Some(end));
    }
    // Where junk precedes the archive the recorded position is off, but the record still precedes its locator.
    for at in [Some(u64_at(&locator, 8)), locator_at.checked_sub(END64_BYTES)].into_iter().flatten() {
        if at.checked_add(END64_BYTES).is_none_or(|record_end| record_end > locator_at) {
            continue;
        }
        let wide: [u8; END64_BYTES as usize] = source.array(at, "the ZIP64 end record")?;
        if wide.starts_with(b"PK\x06\x06") {
            let (entries, size, offset) = (u64_at(&wide, 32), u64_at(&wide, 40), u64_at(&wide, 48));
            end.contradicts = (end.entries != 0xffff && end.entries != entries)
                || (end.size != 0xffff_ffff && end.size != size)
                || (end.offset != 0xffff_ffff && end.offset != offset);
            (end.entries, end.size, end.offset, end.start) = (entries, size, offset, at);
            return Ok(Some(end));
        }
    }
    Ok(Some(end))
}

/// Reads the central directory.
pub(crate) fn directory(
    source: &Source,
    end: &End,
    limits: &Limits,
    hazards: &mut Hazards,
) -> Result<Vec<Entry>, FormatError> {
    const SUBJECT: &str = "the zip directory";
    if end.contradicts {
        return Err(source.malformed(
            SUBJECT,
            end.start..source.len,
            "its 32-bit and 64-bit end records differ",
        ));
    }
    if end.size > limits.zip_directory_bytes {
        return Err(source.limit("the zip directory in bytes", end.size, limits.zip_directory_bytes));
    }
    if end.entries > limits.zip_entries {
        return Err(source.limit("the number of zip entries", end.entries, limits.zip_entries));
    }
    if end.comment > 0 {
        hazards.file("zip-comment", Level::Note, || {
            format!(
                "the archive ends in a comment of {} bytes, in which another end record may hide",
                end.comment
            )
        });
    }
    let prefix =
        end.offset.checked_add(end.size).and_then(|directory_end| end.start.checked_sub(directory_end));
    let Some(prefix) = prefix else {
        let range = end.offset..end.offset.saturating_add(end.size);
        return Err(source.malformed(
            SUBJECT,
            range,
            format!("it reaches over its end record at byte {}", end.start),
        ));
    };
    if prefix > 0 {
        hazards.file("zip-prefix", Level::Warning, || {
            format!("{prefix} bytes precede the archive: a reader that starts at the front sees another file")
        });
    }
    let start = end.offset + prefix;
    let bytes = source.read(start, end.size, SUBJECT)?;
    let mut entries = Vec::new();
    let mut names = HashSet::new();
    let mut at = 0;
    while entries.len() as u64 != end.entries {
        let position = start + at as u64;
        let Some((entry, len)) = entry(&bytes[at..], prefix) else {
            let reason = format!("entry {} of {} is cut off or malformed", entries.len() + 1, end.entries);
            return Err(source.malformed(SUBJECT, position..start + end.size, reason));
        };
        let subject = format!("zip entry `{}`", printable(&entry.name));
        let range = position..position + len as u64;
        if !names.insert(entry.name.clone()) {
            return Err(source.malformed(subject, range, "the name occurs twice"));
        }
        if entry.flags & FLAG_ENCRYPTED != 0 {
            return Err(source.unsupported(subject, "it is marked as encrypted"));
        }
        let leaves = entry.name.split(['/', '\\']).any(|part| part == "..") || entry.name.starts_with('/');
        if leaves {
            hazards.part("zip-entry-path", Level::Warning, &entry.name, || {
                "the entry's name leaves the directory that an extractor is given".into()
            });
        }
        entries.push(entry);
        at += len;
    }
    if at != bytes.len() {
        hazards.file("zip-header-mismatch", Level::Warning, || {
            format!("the directory has {} bytes behind its last entry", bytes.len() - at)
        });
    }
    Ok(entries)
}

/// The entry at the start of `bytes`, and its length in the directory.
fn entry(bytes: &[u8], prefix: u64) -> Option<(Entry, usize)> {
    let (head, rest) = bytes.split_at_checked(ENTRY_BYTES)?;
    if !head.starts_with(b"PK\x01\x02") {
        return None;
    }
    let (name_len, extra_len) = (usize::from(u16_at(head, 28)), usize::from(u16_at(head, 30)));
    let comment_len = usize::from(u16_at(head, 32));
    let (name, rest) = rest.split_at_checked(name_len)?;
    let (extra, rest) = rest.split_at_checked(extra_len)?;
    rest.get(..comment_len)?;
    let mut packed = u64::from(u32_at(head, 20));
    let mut size = u64::from(u32_at(head, 24));
    let mut local = u64::from(u32_at(head, 42));
    let wide = extra_field(extra, 1).unwrap_or_default();
    let mut wide = wide.as_chunks::<8>().0.iter();
    // Only the fields that are saturated in the short record are present, in this order.
    for field in [&mut size, &mut packed, &mut local] {
        if *field == 0xffff_ffff {
            *field = u64::from_le_bytes(*wide.next()?);
        }
    }
    let entry = Entry {
        name: String::from_utf8_lossy(name).into_owned(),
        name_bytes: name_len as u64,
        flags: u16_at(head, 8),
        method: u16_at(head, 10),
        crc: u32_at(head, 16),
        packed,
        size,
        local: local.checked_add(prefix)?,
        data: 0,
    };
    Some((entry, ENTRY_BYTES + name_len + extra_len + comment_len))
}

/// The content of the extra field with this id.
fn extra_field(mut extra: &[u8], id: u16) -> Option<&[u8]> {
    while let Some((head, rest)) = extra.split_at_checked(4) {
        let (content, rest) = rest.split_at_checked(usize::from(u16_at(head, 2)))?;
        if u16_at(head, 0) == id {
            return Some(content);
        }
        extra = rest;
    }
    None
}

/// Follows every entry to its local header, and refuses entries that share bytes.
pub(crate) fn locate(
    source: &Source,
    end: &End,
    entries: &mut [Entry],
    hazards: &mut Hazards,
) -> Result<(), FormatError> {
    let directory = end.start - end.size;
    for entry in entries.iter_mut() {
        let subject = format!("zip entry `{}`", printable(&entry.name));
        let header: [u8; LOCAL_BYTES as usize] = source.array(entry.local, &subject)?;
        if !header.starts_with(b"PK\x03\x04") {
            let range = entry.local..entry.local + LOCAL_BYTES;
            return Err(source.malformed(subject, range, "no local header where the directory says"));
        }
        let (name_len, extra_len) = (u64::from(u16_at(&header, 26)), u64::from(u16_at(&header, 28)));
        // A name of another length differs for sure; reading it would let one header cost 64 KiB for each entry.
        let same_length = name_len == entry.name_bytes;
        let local_name = match same_length {
            true => source.read(entry.local + LOCAL_BYTES, name_len, &subject)?,
            false => Vec::new(),
        };
        entry.data = entry.local + LOCAL_BYTES + name_len + extra_len;
        source.end(entry.data, entry.packed, &subject)?;
        if let Some(what) = contradiction(entry, &header, &local_name) {
            hazards.part("zip-header-mismatch", Level::Warning, &entry.name, || {
                format!(
                    "the local header has another {what} than the directory: readers disagree on the content"
                )
            });
        }
    }
    let mut order: Vec<&Entry> = entries.iter().collect();
    order.sort_by_key(|entry| entry.local);
    for (index, entry) in order.iter().enumerate() {
        let (next, what) = match order.get(index + 1) {
            Some(next) => (next.local, "the next entry"),
            None => (directory, "the directory"),
        };
        let entry_end = entry.data + entry.packed;
        if entry_end > next {
            let subject = format!("zip entry `{}`", printable(&entry.name));
            return Err(source.malformed(
                subject,
                entry.local..entry_end,
                format!("overlaps {what}, which starts at byte {next}"),
            ));
        }
    }
    Ok(())
}

/// What the local header says differently, if anything.
fn contradiction(entry: &Entry, header: &[u8], local_name: &[u8]) -> Option<&'static str> {
    let differs = |at: usize, value: u64| {
        let local = u32_at(header, at);
        local != u32::MAX && u64::from(local) != value
    };
    // With a data descriptor the sizes follow the content and the header may hold zeros.
    let deferred = u16_at(header, 6) & FLAG_DESCRIPTOR != 0;
    let deferred = |at: usize| deferred && u32_at(header, at) == 0;
    if String::from_utf8_lossy(local_name) != entry.name {
        Some("name")
    } else if u16_at(header, 8) != entry.method {
        Some("method")
    } else if (u16_at(header, 6) ^ entry.flags) & FLAG_ENCRYPTED != 0 {
        Some("encryption flag")
    } else if !deferred(18) && differs(18, entry.packed) || !deferred(22) && differs(22, entry.size) {
        Some("size")
    } else if !deferred(14) && u32_at(header, 14) != entry.crc {
        Some("checksum")
    } else {
        None
    }
}

/// The checksum of zip entries.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            let mut value = byte as u32;
            let mut bit = 0;
            while bit < 8 {
                value = if value & 1 == 1 { value >> 1 ^ 0xedb8_8320 } else { value >> 1 };
                bit += 1;
            }
            table[byte] = value;
            byte += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |crc, byte| TABLE[usize::from(crc as u8 ^ byte)] ^ crc >> 8)
}

#[cfg(test)]
mod tests {
    #[test]
    fn checksum() {
        assert_eq!(super::crc32(b"123456789"), 0xcbf4_3926);
    }
}
