//! What the fuzz targets share: after a parse, use the inventory as its readers would.

use stemmata_formats::{FormatError, Parsed, decode};

/// Checks what every reader promises, and decodes the first granules of each tensor.
pub fn use_inventory(outcome: Result<Parsed, FormatError>, file: &[u8]) {
    let Ok(parsed) = outcome else { return };
    assert!(parsed.tensors.windows(2).all(|pair| pair[0].name < pair[1].name));
    let end = if parsed.derived.is_empty() { file.len() as u64 } else { parsed.derived.end() };
    for tensor in &parsed.tensors {
        let storage = &tensor.storage;
        let last = storage.offset.checked_add(storage.len).expect("ranges do not overflow");
        assert!(storage.file as usize <= parsed.external.len());
        assert!(last <= end || storage.file > 0, "ranges lie in the file");
        // The documented promise: the product of a shape fits.
        let elements = tensor.elements();
        if storage.strides.is_none() && tensor.encoding.granule().is_some() {
            assert_eq!(tensor.encoding.bytes_for(elements), Some(storage.len));
        }
        let Some((per, size)) = tensor.encoding.granule() else { continue };
        let granules = (storage.len / u64::from(size)).min(8) as usize;
        let mut bytes = vec![0; granules * size as usize];
        if storage.file > 0 {
            continue;
        }
        match usize::try_from(storage.offset).ok().and_then(|start| file.get(start..start + bytes.len())) {
            Some(stored) => bytes.copy_from_slice(stored),
            // The front, and the end: compressed bytes may end before they should, which is an error and no more.
            None => {
                let last = storage.offset + storage.len - bytes.len() as u64;
                for place in [last, storage.offset] {
                    if parsed.derived.read_exact_at(&file, place, &mut bytes).is_err() {
                        break;
                    }
                }
            }
        }
        let mut out = vec![0.0; granules * per as usize];
        decode(tensor.encoding, &bytes, &mut out);
    }
}
