//! Projected channels of one block (a feed-forward block, an expert, the value side of attention) and their products with
//! those of another block. Sign-exact: codes are signed bytes, so a flipped channel flips its products exactly.

use super::SignOutcome;
use stemmata_architecture::{ChannelAxis, Component, Role};
use stemmata_fingerprint::{Factor, GroupSketch, Sketch};

/// Adds the products of `ours` with `theirs`, tensor by tensor of the same role, to `channels` from position `start` on, as
/// (product, reach).
///
/// A tensor's weight is 1/(‖C‖‖R‖) as everywhere. The reach is that of the projections, so that the cosine of a block with
/// itself is 1. Tensors whose channel counts differ take no part. O(channels · buckets).
pub(super) fn add_products(
    ours: &[&Factor],
    theirs: &[&Factor],
    buckets: usize,
    start: usize,
    channels: &mut Vec<(f64, f64)>,
) {
    for c in ours {
        let Some(r) = theirs.iter().find(|r| (r.role, r.total) == (c.role, c.total)) else { continue };
        let scale = (c.squares * r.squares).sqrt();
        if !(scale > 0.0 && scale.is_finite()) {
            continue;
        }
        let kept = c.scales.len().min(r.scales.len());
        if channels.len() < start + kept {
            channels.resize(start + kept, (0.0, 0.0));
        }
        let range = |i: usize| i * buckets..(i + 1) * buckets;
        for (i, channel) in channels[start..].iter_mut().enumerate().take(kept) {
            let (a, b) = (&c.codes[range(i)], &r.codes[range(i)]);
            let unit = f64::from(c.scales[i]) * f64::from(r.scales[i]) / scale;
            if !unit.is_finite() {
                continue;
            }
            channel.0 += dot(a, b) as f64 * unit;
            channel.1 += (dot(a, a) as f64 * dot(b, b) as f64).sqrt() * unit;
        }
    }
}

fn dot(a: &[i8], b: &[i8]) -> i64 {
    // 1024 products of signed bytes stay far inside 32 bits.
    let part =
        |(a, b): (&[i8], &[i8])| a.iter().zip(b).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum::<i32>();
    a.chunks(1024).zip(b.chunks(1024)).map(|both| i64::from(part(both))).sum()
}

/// The feed-forward channels of `layer`: those of one expert, or of the dense block.
pub(super) fn feed_forward(group: &GroupSketch, expert: Option<u32>) -> Vec<&Factor> {
    let shared = |role: Role| matches!(role, Role::SharedUp | Role::SharedDown);
    group.factors.iter().filter(|f| f.expert == expert && !shared(f.role)).collect()
}

fn hidden_group(sketch: &Sketch, component: Component, layer: u32) -> Option<&GroupSketch> {
    let wanted = (component, Some(layer), ChannelAxis::Hidden);
    sketch.groups.iter().find(|g| (g.component, g.layer, g.axis) == wanted)
}

/// The experts of one layer, ascending; `[None]` for a dense block, empty where there is none.
pub fn experts_of(sketch: &Sketch, component: Component, layer: u32) -> Vec<Option<u32>> {
    let Some(group) = hidden_group(sketch, component, layer) else { return Vec::new() };
    let routed = |f: &&Factor| !matches!(f.role, Role::SharedUp | Role::SharedDown);
    let mut experts: Vec<Option<u32>> = group.factors.iter().filter(routed).map(|f| f.expert).collect();
    experts.sort_unstable();
    experts.dedup();
    experts
}

/// One feed-forward block (or expert) against another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BlockMatch {
    /// The candidate's expert; `None` for a dense block.
    pub candidate: Option<u32>,
    /// The reference's expert; `None` for a dense block.
    pub reference: Option<u32>,
    /// The sign-flip test on hidden channels.
    pub signs: SignOutcome,
}

/// Every feed-forward block of one layer of the candidate against every one of a layer of the reference: the dense block
/// that was copied into all experts shows here, and so do experts in another order. Blocks of another width are left out.
/// O(experts · experts · channels · buckets).
pub fn match_blocks(
    candidate: (&Sketch, u32),
    reference: (&Sketch, u32),
    component: Component,
) -> Vec<BlockMatch> {
    let groups = [candidate, reference].map(|(sketch, layer)| hidden_group(sketch, component, layer));
    let [Some(ours), Some(theirs)] = groups else { return Vec::new() };
    let buckets = candidate.0.params.buckets as usize;
    let mut out = Vec::new();
    for c in experts_of(candidate.0, component, candidate.1) {
        for r in experts_of(reference.0, component, reference.1) {
            let mut channels = Vec::new();
            add_products(&feed_forward(ours, c), &feed_forward(theirs, r), buckets, 0, &mut channels);
            let signs = SignOutcome::of(&channels);
            out.extend(signs.map(|signs| BlockMatch { candidate: c, reference: r, signs }));
        }
    }
    out
}
