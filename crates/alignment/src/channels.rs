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

/// Component, layer, axis, and the expert where channels are per expert.
type GroupKey = (Component, Option<u32>, ChannelAxis, Option<u32>);

/// Groups under construction. For an axis whose channels are per expert, experts follow one another.
#[derive(Default)]
pub(crate) struct Groups {
    groups: BTreeMap<GroupKey, Vec<Channel>>,
}

impl Groups {
    /// Adds one side of a tensor, weighted by 1/(‖C‖‖R‖) so that large tensors do not drown small ones (METHODS S1).
    pub(crate) fn add(
        &mut self,
        (component, layer, expert): (Component, Option<u32>, Option<u32>),
        side: &SideProducts,
        (candidate_squares, reference_squares): (f64, f64),
    ) {
        let scale = (candidate_squares * reference_squares).sqrt();
        if !(scale > 0.0 && scale.is_finite()) {
            return;
        }
        // Hidden units belong to an expert; residual channels are shared by all of them.
        let expert = expert.filter(|_| side.map.axis == ChannelAxis::Hidden);
        let channels = self.groups.entry((component, layer, side.map.axis, expert)).or_default();
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
        let mut groups: Vec<ChannelGroup> = Vec::new();
        for ((component, layer, axis, _), channels) in self.groups {
            match groups.last_mut() {
                Some(last) if (last.component, last.layer, last.axis) == (component, layer, axis) => {
                    last.channels.extend(channels);
                }
                _ => groups.push(ChannelGroup { component, layer, axis, channels }),
            }
        }
        groups
    }
}
