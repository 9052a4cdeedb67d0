//! Assembles channel groups from the tensors that the channels touch, in plan order, so that sums have one order. The channels of one layer are
//! held until the next layer begins, and those of a whole component until the end.

use crate::{Channel, ChannelGroup};
use std::collections::BTreeMap;
use stemmata_architecture::{ChannelAxis, ChannelMap, Component};

/// Inner products and norms of one side (rows or columns) of one pair of tensors.
pub(crate) struct SideProducts {
    pub(crate) map: ChannelMap,
    /// (Σ c·r, Σ c², Σ r²) per index along the side.
    pub(crate) sums: Vec<(f64, f64, f64)>,
}

/// A layer, or what lies outside layers.
type Place = (Component, Option<u32>);

/// Sees the channels of a layer before they are reduced.
pub(crate) type Watch<'a> = &'a mut dyn FnMut(Place, ChannelAxis, &[Channel]);

/// Groups under construction. Unit i of every expert is one coin: experts that were made as copies of one block share its signs,
/// in both models alike, and for experts that were not the sum loses nothing but depth.
pub(crate) struct Groups<'a> {
    place: Option<Place>,
    open: BTreeMap<ChannelAxis, Vec<Channel>>,
    pooled: BTreeMap<(Component, ChannelAxis), Vec<Channel>>,
    done: Vec<ChannelGroup>,
    watch: Watch<'a>,
}

impl<'a> Groups<'a> {
    pub(crate) fn new(watch: Watch<'a>) -> Groups<'a> {
        Groups { place: None, open: BTreeMap::new(), pooled: BTreeMap::new(), done: Vec::new(), watch }
    }

    /// Adds one side of a tensor, weighted by 1/(‖C‖‖R‖) so that large tensors do not drown small ones (METHODS S1). Tensors come in the
    /// order of their places.
    pub(crate) fn add(
        &mut self,
        place: Place,
        side: &SideProducts,
        (candidate_squares, reference_squares): (f64, f64),
    ) {
        let scale = (candidate_squares * reference_squares).sqrt();
        if !(scale > 0.0 && scale.is_finite()) {
            return;
        }
        let count = side.map.channels(side.sums.len() as u64) as usize;
        // Norms are joined per channel before the square root: |⟨c, r⟩| ≤ ‖c‖‖r‖ holds for the channel as a whole.
        let mut joined = vec![(0.0, 0.0, 0.0); count];
        for (index, sums) in side.sums.iter().enumerate() {
            let slot = &mut joined[side.map.channel(index as u64) as usize];
            slot.0 += sums.0;
            slot.1 += sums.1;
            slot.2 += sums.2;
        }
        let terms = joined.into_iter().map(|(dot, c2, r2): (f64, f64, f64)| Channel {
            product: dot / scale,
            reach: (c2 * r2).sqrt() / scale,
        });
        add_to(self.at(place).entry(side.map.axis).or_default(), terms);
    }

    /// Adds channels to those of the same place and axis.
    pub(crate) fn add_channels(&mut self, place: Place, axis: ChannelAxis, channels: &[Channel]) {
        add_to(self.at(place).entry(axis).or_default(), channels.iter().copied());
    }

    /// What is open at `place`; what was open elsewhere is done.
    fn at(&mut self, place: Place) -> &mut BTreeMap<ChannelAxis, Vec<Channel>> {
        if self.place != Some(place) {
            self.close();
            self.place = Some(place);
        }
        &mut self.open
    }

    fn close(&mut self) {
        let Some(place) = self.place else { return };
        let (component, layer) = place;
        for (axis, channels) in std::mem::take(&mut self.open) {
            (self.watch)(place, axis, &channels);
            self.done.push(ChannelGroup::new(component, layer, axis, &channels));
            add_to(self.pooled.entry((component, axis)).or_default(), channels.into_iter());
        }
    }

    /// The groups of all places, and those of whole components.
    pub(crate) fn finish(mut self) -> (Vec<ChannelGroup>, Vec<ChannelGroup>) {
        self.close();
        let whole = |((component, axis), channels): (_, Vec<Channel>)| {
            ChannelGroup::new(component, None, axis, &channels)
        };
        (self.done, self.pooled.into_iter().map(whole).collect())
    }
}

fn add_to(total: &mut Vec<Channel>, terms: impl ExactSizeIterator<Item = Channel>) {
    if total.len() < terms.len() {
        total.resize(terms.len(), Channel::default());
    }
    for (sum, term) in total.iter_mut().zip(terms) {
        sum.product += term.product;
        sum.reach += term.reach;
    }
}

/// Component and layer, axis, and the channels there in index order.
pub type PlacedChannels = ((Component, Option<u32>), ChannelAxis, Vec<Channel>);

/// Reduces the channels of several places to groups and to those of whole components; places in order.
pub fn channel_groups(channels: &[PlacedChannels]) -> (Vec<ChannelGroup>, Vec<ChannelGroup>) {
    let watch: Watch<'_> = &mut |_, _, _| ();
    let mut groups = Groups::new(watch);
    channels.iter().for_each(|(place, axis, channels)| groups.add_channels(*place, *axis, channels));
    groups.finish()
}
