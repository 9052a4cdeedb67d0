//! Sketches of the layers of one model, kept so that memory does not grow with their number.

use crate::AuditError;
use std::io;
use std::ops::Range;
use stemmata_fingerprint::{Sketch, decode, encode};
use stemmata_source::Scratch;

/// Bytes of a model's layers that are kept in memory; beyond, they go to a file without a name where temporary files lie.
const HELD: usize = 4 << 20;
/// Bytes of the layers that are brought back at once, as far as whole layers allow.
const BLOCK: u64 = 2 << 20;

/// The layers of one model, each as it was sketched.
pub(crate) struct KeptLayers {
    scratch: Scratch,
    end: u64,
    /// Where each layer lies: start and length.
    places: Vec<(u64, u64)>,
    /// Of all layers, in their order.
    outline: Sketch,
}

impl KeptLayers {
    /// Places for `layers` layers of the model that `bare` outlines, which names none of them yet.
    pub(crate) fn new(bare: Sketch, layers: usize) -> KeptLayers {
        KeptLayers { scratch: Scratch::new(HELD), end: 0, places: vec![(0, 0); layers], outline: bare }
    }

    /// Keeps layer `index`; layers come in any order.
    pub(crate) fn keep(&mut self, index: usize, sketch: &Sketch) -> Result<(), AuditError> {
        let bytes = encode(sketch);
        self.scratch.append(&bytes).map_err(AuditError::Spool)?;
        self.places[index] = (self.end, bytes.len() as u64);
        self.end += bytes.len() as u64;
        let outline = sketch.outline();
        self.outline.groups.extend(outline.groups);
        self.outline.units.extend(outline.units);
        Ok(())
    }

    /// Which layers and channels there are.
    pub(crate) fn outline(&self) -> &Sketch {
        &self.outline
    }

    /// Runs of layers that may be in memory at once.
    pub(crate) fn blocks(&self) -> Vec<Range<usize>> {
        let (mut blocks, mut start, mut bytes) = (Vec::new(), 0, 0);
        for (index, (_, len)) in self.places.iter().enumerate() {
            if index > start && bytes + len > BLOCK {
                blocks.push(start..index);
                (start, bytes) = (index, 0);
            }
            bytes += len;
        }
        blocks.extend((start < self.places.len()).then_some(start..self.places.len()));
        blocks
    }

    /// The layers of a run.
    pub(crate) fn bring(&mut self, block: Range<usize>) -> Result<Sketch, AuditError> {
        let mut joined = self.outline.outline();
        joined.groups.clear();
        joined.units.clear();
        for (start, len) in &self.places[block] {
            let mut bytes = vec![0; *len as usize];
            self.scratch.read(*start, &mut bytes).map_err(AuditError::Spool)?;
            // With a checksum: what comes back otherwise than it was written is an error.
            let layer = decode(&bytes).map_err(|error| AuditError::Spool(io::Error::other(error)))?;
            joined.groups.extend(layer.groups);
            joined.units.extend(layer.units);
        }
        Ok(joined)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stemmata_architecture::{ChannelAxis, Component, Role};
    use stemmata_fingerprint::{Factor, GroupSketch, SketchParams};

    /// A layer of 256 KiB whose codes are its number.
    fn layer(number: u32) -> Sketch {
        let params = SketchParams::default();
        let kept = 4096 / 8;
        let factor = Factor {
            role: Role::Down,
            expert: None,
            total: 4096,
            squares: f64::from(number),
            norms: vec![1.0; kept],
            scales: vec![0.5; kept],
            codes: vec![number as i8; kept * params.buckets as usize],
        };
        let factors = vec![factor; 7];
        let group = GroupSketch {
            component: Component::LanguageModel,
            layer: Some(number),
            axis: ChannelAxis::Hidden,
            factors,
        };
        Sketch { groups: vec![group], ..bare() }
    }

    fn bare() -> Sketch {
        Sketch {
            params: SketchParams::default(),
            reference: String::new(),
            digest: String::new(),
            format: String::new(),
            family: String::new(),
            inferred: false,
            parameters: 0,
            bytes_read: 0,
            components: Vec::new(),
            parts: Vec::new(),
            groups: Vec::new(),
            units: Vec::new(),
            checks: Vec::new(),
        }
    }

    #[test]
    fn layers_come_back_in_order_from_memory_and_from_a_file() {
        for layers in [3, 40] {
            let mut kept = KeptLayers::new(bare(), layers);
            for index in (0..layers).rev() {
                kept.keep(index, &layer(index as u32)).unwrap();
            }
            assert_eq!(kept.scratch.is_file(), layers == 40);
            let blocks = kept.blocks();
            assert!(blocks.iter().all(|block| block.len() <= 8), "256 KiB each");
            assert_eq!(
                blocks.iter().flat_map(Clone::clone).collect::<Vec<_>>(),
                (0..layers).collect::<Vec<_>>()
            );
            for block in blocks {
                let brought = kept.bring(block.clone()).unwrap();
                let groups = block.flat_map(|index| layer(index as u32).groups).collect::<Vec<_>>();
                assert_eq!(brought.groups, groups);
            }
            assert_eq!(kept.outline().groups.len(), layers);
        }
    }
}
