//! What the fuzz targets share: after a parse, use the inventory as its readers would.

use stemmata_formats::{FormatError, Parsed, decode};

/// Checks what every reader promises, and decodes the first granules of each tensor.
pub fn use_inventory(outcome: Result<Parsed, FormatError>, file: &[u8]) {
    let Ok(parsed) = outcome else { return };
    assert!(parsed.tensors.windows(2).all(|pair| pair[0].name < pair[1].name));
    for tensor in &parsed.tensors {
        let storage = &tensor.storage;
        let end = storage.offset.checked_add(storage.len).expect("ranges do not overflow");
        assert!(end <= file.len() as u64, "ranges lie in the file");
        // The documented promise: the product of a shape fits.
        let elements = tensor.elements();
        if storage.strides.is_none() && tensor.encoding.granule().is_some() {
            assert_eq!(tensor.encoding.bytes_for(elements), Some(storage.len));
        }
        let Some((per, size)) = tensor.encoding.granule() else { continue };
        let granules = (storage.len / u64::from(size)).min(8) as usize;
        let bytes = &file[storage.offset as usize..][..granules * size as usize];
        let mut out = vec![0.0; granules * per as usize];
        decode(tensor.encoding, bytes, &mut out);
    }
}
