//! The summary of one model.

use crate::SelfCheck;
use stemmata_architecture::{ChannelAxis, Component, ComponentInfo, Role, Term};
use stemmata_model::Digest;

/// What fixes a sketch. Two sketches are comparable when these are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SketchParams {
    /// Buckets of each projected channel.
    pub buckets: u32,
    /// Channels kept per layer and axis.
    pub channels: u32,
    /// Feed-forward units kept per layer for fixed points.
    pub units: u32,
    /// Buckets of each projected unit.
    pub unit_buckets: u32,
    /// Seed of the projections, and of the rows that are read where not all are.
    pub seed: u64,
    /// Blocks of rows that are read of each tensor; 0 for all rows.
    pub blocks: u32,
}

impl Default for SketchParams {
    fn default() -> SketchParams {
        SketchParams { buckets: 64, channels: 512, units: 256, unit_buckets: 256, seed: 0, blocks: 0 }
    }
}

/// What is kept of one logical tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct PartSummary {
    /// Component.
    pub component: Component,
    /// Layer.
    pub layer: Option<u32>,
    /// Expert.
    pub expert: Option<u32>,
    /// Purpose.
    pub role: Role,
    /// Weight or bias.
    pub term: Term,
    /// Logical rows.
    pub rows: u64,
    /// Logical columns.
    pub cols: u64,
    /// Digest of the values as f32 in row order; equal for bf16 and its lossless copy in f32.
    pub digest: Digest,
    /// Σ x².
    pub squares: f64,
}

/// The projected channels of one tensor along one axis: codes of `channels × buckets`, one scale per channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Factor {
    /// Purpose of the tensor.
    pub role: Role,
    /// Expert.
    pub expert: Option<u32>,
    /// Channels of the axis before picking.
    pub total: u64,
    /// ‖tensor‖² of the clipped values.
    pub squares: f64,
    /// ‖channel‖² of each kept channel.
    pub norms: Vec<f32>,
    /// One per kept channel.
    pub scales: Vec<f32>,
    /// Row-major, kept channels × buckets.
    pub codes: Vec<i8>,
}

/// The projected channels of one layer along one axis.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupSketch {
    /// Component.
    pub component: Component,
    /// Layer; `None` for embeddings and heads.
    pub layer: Option<u32>,
    /// Axis.
    pub axis: ChannelAxis,
    /// One per tensor that the channels touch, ordered by (role, expert).
    pub factors: Vec<Factor>,
}

/// The projected feed-forward units of one layer.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitSketch {
    /// Component.
    pub component: Component,
    /// Layer.
    pub layer: Option<u32>,
    /// Units before picking.
    pub total: u64,
    /// One per kept unit.
    pub scales: Vec<f32>,
    /// Row-major, kept units × unit buckets.
    pub codes: Vec<i8>,
}

/// The summary of one model.
#[derive(Clone, Debug, PartialEq)]
pub struct Sketch {
    /// What fixes it.
    pub params: SketchParams,
    /// How the model was named when it was sketched, printable.
    pub reference: String,
    /// Digest of the checkpoint, as text.
    pub digest: String,
    /// Container format's name.
    pub format: String,
    /// Architecture family.
    pub family: String,
    /// Whether roles were inferred.
    pub inferred: bool,
    /// Stored elements.
    pub parameters: u64,
    /// Bytes read to make it.
    pub bytes_read: u64,
    /// Components.
    pub components: Vec<ComponentInfo>,
    /// All logical tensors, in key order.
    pub parts: Vec<PartSummary>,
    /// Ordered by (component, layer, axis).
    pub groups: Vec<GroupSketch>,
    /// Ordered by (component, layer).
    pub units: Vec<UnitSketch>,
    /// The model by itself, tensor by tensor in key order.
    pub checks: Vec<(Component, SelfCheck)>,
}

impl Sketch {
    /// Which layers and channels there are, without what was kept of any of them: O(tensors) bytes.
    pub fn outline(&self) -> Sketch {
        let bare =
            |factor: &Factor| Factor { norms: Vec::new(), scales: Vec::new(), codes: Vec::new(), ..*factor };
        let groups = self
            .groups
            .iter()
            .map(|group| GroupSketch { factors: group.factors.iter().map(bare).collect(), ..*group });
        let units =
            self.units.iter().map(|units| UnitSketch { scales: Vec::new(), codes: Vec::new(), ..*units });
        Sketch {
            params: self.params,
            reference: self.reference.clone(),
            digest: self.digest.clone(),
            format: self.format.clone(),
            family: self.family.clone(),
            inferred: self.inferred,
            parameters: self.parameters,
            bytes_read: self.bytes_read,
            components: self.components.clone(),
            parts: Vec::new(),
            groups: groups.collect(),
            units: units.collect(),
            checks: Vec::new(),
        }
    }
}

/// `Ok` when two sketches can be compared, otherwise the name of the first parameter that differs.
pub fn comparable(a: &Sketch, b: &Sketch) -> Result<(), &'static str> {
    let (a, b) = (&a.params, &b.params);
    let checks = [
        (a.buckets == b.buckets, "buckets"),
        (a.channels == b.channels, "channels"),
        (a.units == b.units, "units"),
        (a.unit_buckets == b.unit_buckets, "unit_buckets"),
        (a.seed == b.seed, "seed"),
        (a.blocks == b.blocks, "blocks"),
    ];
    checks.iter().find(|(equal, _)| !equal).map_or(Ok(()), |(_, name)| Err(*name))
}
