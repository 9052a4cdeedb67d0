//! Big-endian files: which bytes of a tensor are numbers of more than one byte, and are turned when they are read.

use crate::derived::{Derived, Kind};
use stemmata_model::{Block, Encoding, Tensor};

/// (place, bytes) of the numbers in a block; `None` where no tool says how such a block is written on a big-endian machine.
fn fields(block: Block) -> Option<&'static [(usize, usize)]> {
    // What the reference package converts (`gguf_convert_endian.py`), and those made of the same parts: a half-precision scale or two,
    // everything else bytes.
    Some(match block {
        Block::Q4_0 | Block::Q8_0 | Block::Iq4Nl | Block::Q1_0 | Block::Q2_0 => &[(0, 2)],
        Block::Q4_1 | Block::Q4K | Block::Q5K => &[(0, 2), (2, 2)],
        Block::Q2K => &[(80, 2), (82, 2)],
        Block::Q3K => &[(108, 2)],
        Block::Q6K => &[(208, 2)],
        Block::Tq1_0 => &[(52, 2)],
        Block::Tq2_0 => &[(64, 2)],
        Block::Mxfp4 | Block::Nvfp4 => &[],
        _ => return None,
    })
}

/// Gives every tensor a place where its bytes stand as in a little-endian file.
pub(super) fn turn(tensors: &mut [Tensor], derived: &mut Derived) {
    for tensor in tensors {
        let Some((_, bytes)) = tensor.encoding.granule() else { continue };
        let fields: Option<&'static [(usize, usize)]> = match tensor.encoding {
            Encoding::Quantized(block) => fields(block),
            _ => Some(match bytes {
                2 => &[(0, 2)],
                4 => &[(0, 4)],
                8 => &[(0, 8)],
                _ => &[],
            }),
        };
        let Some(fields) = fields else {
            tensor.encoding = Encoding::Opaque("big-endian block");
            continue;
        };
        if fields.is_empty() || tensor.storage.len == 0 {
            continue;
        }
        let kind = Kind::Turned { offset: tensor.storage.offset, block: bytes.into(), fields };
        if let Some(place) = derived.add(tensor.storage.len, kind) {
            tensor.storage.offset = place;
        } else {
            tensor.encoding = Encoding::Opaque("big-endian");
        }
    }
}
