//! Which labels are arbitrary: the symmetries of *training* that give exact nulls (METHODS 2.2).

use crate::{Axis, Component, ComponentInfo, Norm, Part, Role, Term};

/// An axis along which flipping the sign of any channel, in every tensor that the channel touches, maps a training run to
/// an equally likely training run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ChannelAxis {
    /// Hidden units of a gated feed-forward block: (up row, down column).
    Hidden,
    /// Value channels: (value row, output columns of every query head that reads it).
    Value,
    /// Residual channels of a component with RMS normalisation: (embedding columns, input columns, output rows).
    Residual,
}

impl ChannelAxis {
    /// All axes, in report order.
    pub const ALL: [ChannelAxis; 3] = [ChannelAxis::Hidden, ChannelAxis::Value, ChannelAxis::Residual];

    /// Name as reported in JSON.
    pub fn name(self) -> &'static str {
        match self {
            ChannelAxis::Hidden => "hidden",
            ChannelAxis::Value => "value",
            ChannelAxis::Residual => "residual",
        }
    }

    /// Whether the symmetry holds for a component with these facts.
    pub fn holds_for(self, info: &ComponentInfo) -> bool {
        match self {
            ChannelAxis::Hidden => info.gated,
            ChannelAxis::Value => true,
            ChannelAxis::Residual => info.norm == Norm::Rms,
        }
    }
}

/// How the index along one side of a matrix maps to channels of an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelMap {
    /// The axis.
    pub axis: ChannelAxis,
    /// Head width and query heads per key-value head when several columns share a value channel; (1, 1) otherwise.
    group: (u64, u64),
}

impl ChannelMap {
    /// Every index is a channel of its own.
    pub fn direct(axis: ChannelAxis) -> ChannelMap {
        ChannelMap { axis, group: (1, 1) }
    }

    /// The channel of index `i`.
    pub fn channel(&self, i: u64) -> u64 {
        let (width, shared) = self.group;
        (i / width) / shared * width + i % width
    }

    /// Number of channels along a side of `extent` indices.
    pub fn channels(&self, extent: u64) -> u64 {
        let (width, shared) = self.group;
        extent.div_ceil(width * shared) * width
    }

    /// Which of the indices that share a channel `i` is: 0 for the first query head of a group.
    pub fn member(&self, i: u64) -> u64 {
        let (width, shared) = self.group;
        (i / width) % shared
    }
}

/// The channel maps of the rows and of the columns of `part`, where its axes are channels of a sign symmetry that `part`'s
/// tensor takes part in. Gains and biases take no part: a gain is not flipped, and a bias adds one number per channel.
pub fn channel_maps(part: &Part, info: &ComponentInfo) -> (Option<ChannelMap>, Option<ChannelMap>) {
    let (rows, cols) = part.role.axes();
    if part.term == Term::Bias || rows == Axis::Single || part.role == Role::LatentQuery {
        return (None, None);
    }
    // The gate decides *whether* a unit fires and is not flipped with it.
    let gate = matches!(part.role, Role::Gate | Role::SharedGate);
    let map = |axis: Axis| {
        let direct = |axis| Some(ChannelMap::direct(axis));
        match axis {
            Axis::Hidden if !gate => direct(ChannelAxis::Hidden),
            Axis::Value => direct(ChannelAxis::Value),
            Axis::AttentionOutput => {
                let shared = match (info.query_heads, info.kv_heads) {
                    (0, _) | (_, 0) => 1,
                    (query, kv) if query % kv == 0 => query / kv,
                    _ => return None,
                };
                let width = if shared == 1 { 1 } else { info.head_dim };
                (width > 0).then_some(ChannelMap { axis: ChannelAxis::Value, group: (width, shared) })
            }
            // A connector's residual stream is not one space: latents, image features and output differ.
            Axis::Residual if part.component != Component::Connector => direct(ChannelAxis::Residual),
            _ => None,
        }
    };
    (map(rows), map(cols))
}

/// Whether the rows of `part` are feed-forward units to match for fixed points: the gate's rows, or the first matrix's
/// where there is no gate. Units are exchangeable under training in either case (METHODS 2.2, T2a).
pub fn labels_units(part: &Part, info: &ComponentInfo) -> bool {
    let role = if info.gated { Role::Gate } else { Role::Up };
    part.role == role && part.term == Term::Weight && part.expert.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_heads_of_a_group_share_value_channels() {
        // 4 query heads, 2 key-value heads, width 3: query heads 0 and 1 read value head 0.
        let map = ChannelMap { axis: ChannelAxis::Value, group: (3, 2) };
        let channels: Vec<u64> = (0..12).map(|i| map.channel(i)).collect();
        assert_eq!(channels, [0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5]);
        assert_eq!(map.channels(12), 6);
        assert_eq!((0..6).map(|i| map.member(i)).collect::<Vec<_>>(), [0, 0, 0, 1, 1, 1]);
    }
}
