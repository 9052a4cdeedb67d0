//! Assembles channel groups from the tensors that the channels touch, in plan order, so that sums have one order.

use crate::{Channel, ChannelGroup};
use std::collections::BTreeMap;
use stemmata_architecture::{ChannelAxis, ChannelMap, Component};

/// Inner products and norms of one side (rows or columns) of one pair of tensors.
pub(crate) struct SideProducts {
    pub(crate) map: ChannelMap,
    /// (Σ c·r, Σ c², Σ r²) per index along the side.
    pub(crate) sums: Vec<(f64, f64, f64)>,
}

/// Groups under construction. Unit i of every expert is one coin: experts that were made as copies of one block share its signs,
/// in both models alike, and for experts that were not the sum loses nothing but depth.
#[derive(Default)]
pub(crate) struct Groups {
    groups: BTreeMap<(Component, Option<u32>, ChannelAxis), Vec<Channel>>,
}

impl Groups {
    /// Adds one side of a tensor, weighted by 1/(‖C‖‖R‖) so that large tensors do not drown small ones (METHODS S1).
    pub(crate) fn add(
        &mut self,
        (component, layer): (Component, Option<u32>),
        side: &SideProducts,
        (candidate_squares, reference_squares): (f64, f64),
    ) {
        let scale = (candidate_squares * reference_squares).sqrt();
        if !(scale > 0.0 && scale.is_finite()) {
            return;
        }
        let channels = self.groups.entry((component, layer, side.map.axis)).or_default();
        let count = side.map.channels(side.sums.len() as u64) as usize;
        if channels.len() < count {
            channels.resize(count, Channel::default());
        }
        // Norms are joined per channel before the square root: |⟨c, r⟩| ≤ ‖c‖‖r‖ holds for the channel as a whole.
        let mut joined = vec![(0.0, 0.0, 0.0); count];
        for (index, sums) in side.sums.iter().enumerate() {
            let slot = &mut joined[side.map.channel(index as u64) as usize];
            slot.0 += sums.0;
            slot.1 += sums.1;
            slot.2 += sums.2;
        }
        for (channel, (dot, c2, r2)) in channels.iter_mut().zip(joined) {
            channel.product += dot / scale;
            channel.reach += (c2 * r2).sqrt() / scale;
        }
    }

    pub(crate) fn finish(self) -> Vec<ChannelGroup> {
        self.groups
            .into_iter()
            .map(|((component, layer, axis), channels)| ChannelGroup { component, layer, axis, channels })
            .collect()
    }
}
