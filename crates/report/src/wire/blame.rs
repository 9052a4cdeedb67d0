//! The wire format of a blame.

use super::comparison::{Input, Io, Remark, Tool};
use super::merge::Merging;
use super::{SCHEMA_VERSION, convert, finite};
use crate::Context;
use crate::text::clean;
use serde::Serialize;
use stemmata_audit as audit;

/// Outcome of `blame`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Blame {
    /// Version of this format.
    pub schema_version: &'static str,
    /// What wrote it.
    pub tool: Tool,
    /// The command line that gives the result again.
    pub command: String,
    /// Seed of every random choice.
    pub seed: u64,
    /// Candidate, then the references in the order in which they were named.
    pub inputs: Vec<Input>,
    /// Family-wise level.
    pub alpha: f64,
    /// Tests in the family.
    pub tests: usize,
    /// How the family was corrected.
    pub correction: &'static str,
    /// Per component the tensors outside layers, then its layers.
    pub layers: Vec<Origin>,
    /// The maps in runs.
    pub runs: Vec<Run>,
    /// Experts of mixtures.
    pub experts: Vec<Expert>,
    /// Hidden units of layers that nothing explains at equal indices.
    pub units: Vec<Units>,
    /// The residual streams of these layers.
    pub residual: Vec<Residual>,
    /// Attention heads of the layers that have an origin.
    pub heads: Vec<Heads>,
    /// What is said of the model as a sum of references; absent where no weights are at hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merging: Option<Merging>,
    /// Token rows.
    pub rows: Vec<Rows>,
    /// Remarks.
    pub findings: Vec<Remark>,
    /// Cost.
    pub io: Io,
}

/// What explains one layer best.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Origin {
    /// Component.
    pub component: &'static str,
    /// Layer of the candidate; nothing for tensors outside layers.
    pub layer: Option<u32>,
    /// Index of the reference among the references, from 0; nothing where no test rejects.
    pub reference: Option<usize>,
    /// Layer of that reference.
    pub reference_layer: Option<u32>,
    /// p after correction over all tests, log10; nothing where nothing could be tested.
    pub log10_p: Option<f64>,
    /// Cosine of the channels.
    pub effect: Option<f64>,
}

/// Layers that follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Run {
    /// Component.
    pub component: &'static str,
    /// First and last layer of the candidate.
    pub layers: [u32; 2],
    /// Index of the reference; nothing for layers without an origin.
    pub reference: Option<usize>,
    /// First and last layer there.
    pub reference_layers: Option<[u32; 2]>,
}

/// What explains one expert best.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Expert {
    /// Component.
    pub component: &'static str,
    /// Layer of the candidate.
    pub layer: u32,
    /// Expert of the candidate.
    pub expert: u32,
    /// Index of the reference; nothing where no test rejects.
    pub reference: Option<usize>,
    /// Layer of that reference.
    pub reference_layer: Option<u32>,
    /// Expert there; nothing for a dense block.
    pub reference_expert: Option<u32>,
    /// p after correction over all tests, log10.
    pub log10_p: Option<f64>,
    /// Cosine of the hidden channels, or the share of its units whose partners lie in that expert.
    pub effect: Option<f64>,
}

/// Hidden units of a layer that were found elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Units {
    /// Component.
    pub component: &'static str,
    /// Layer of the candidate.
    pub layer: u32,
    /// Index of the reference.
    pub reference: usize,
    /// Layer of that reference.
    pub reference_layer: u32,
    /// The test that decides.
    pub test: &'static str,
    /// Units of the candidate's and of the reference's layer.
    pub units: [u64; 2],
    /// Units that found each other.
    pub matched: u64,
    /// First and last of every run of the reference's units that is left, if they are in order.
    pub kept: Option<Vec<[u32; 2]>>,
}

/// Residual channels that two models share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Residual {
    /// Component.
    pub component: &'static str,
    /// Index of the reference.
    pub reference: usize,
    /// Widths of the candidate's and of the reference's stream.
    pub widths: [u64; 2],
    /// Channels that have one counterpart.
    pub matched: u64,
    /// As of units.
    pub kept: Option<Vec<[u32; 2]>>,
}

/// Attention heads of a layer among those of the layer that it comes from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Heads {
    /// Component.
    pub component: &'static str,
    /// Layer of the candidate.
    pub layer: u32,
    /// Index of the reference.
    pub reference: usize,
    /// Layer of that reference.
    pub reference_layer: u32,
    /// How the residual bases were taken to correspond.
    pub basis: &'static str,
    /// Query heads of the candidate's and of the reference's layer.
    pub heads: [u32; 2],
    /// Key-value heads of both.
    pub groups: [u32; 2],
    /// Query heads that were found.
    pub found: usize,
    /// Every query head of the candidate, in order.
    pub partners: Vec<HeadPartner>,
}

/// One query head.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct HeadPartner {
    /// Query head of the reference; nothing where it was not found.
    pub partner: Option<u32>,
    /// Cosine of what it writes, as a matrix, with that of the head it picks.
    pub value_output: Option<f64>,
    /// The same of what it asks.
    pub query_key: Option<f64>,
}

/// Token rows that are equal at the same index.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rows {
    /// Purpose of the tensor.
    pub role: &'static str,
    /// Index of the reference.
    pub reference: usize,
    /// Rows compared.
    pub compared: u64,
    /// Rows that are equal.
    pub equal: u64,
    /// Their share.
    pub share: Option<f64>,
}

impl Blame {
    /// Converts a blame.
    pub fn new(b: &audit::Blame, context: &Context) -> Blame {
        let references = b.references.iter().map(|facts| Input::new("reference", facts));
        Blame {
            schema_version: SCHEMA_VERSION,
            tool: Tool::new(context),
            command: clean(&context.command),
            seed: b.seed,
            inputs: std::iter::once(Input::new("candidate", &b.candidate)).chain(references).collect(),
            alpha: b.alpha,
            tests: b.tests,
            correction: "bonferroni",
            layers: b.layers.iter().map(origin).collect(),
            runs: b
                .runs
                .iter()
                .flat_map(|(component, runs)| runs.iter().map(|r| run(*component, r)))
                .collect(),
            experts: b.experts.iter().map(expert).collect(),
            units: b.units.iter().map(units).collect(),
            residual: b.residual.iter().map(residual).collect(),
            heads: b.heads.iter().map(heads).collect(),
            merging: b.merging.as_ref().map(Merging::new),
            rows: b.rows.iter().map(rows).collect(),
            findings: convert::remarks(&b.findings),
            io: Io::new(b.bytes_read, context),
        }
    }

    /// The name of reference `index` as it was written.
    pub fn reference(&self, index: usize) -> &str {
        self.inputs.get(index + 1).map_or("", |input| &input.reference)
    }
}

fn origin(o: &audit::LayerOrigin) -> Origin {
    Origin {
        component: o.component.name(),
        layer: o.layer,
        reference: o.from.map(|from| from.0),
        reference_layer: o.from.and_then(|from| from.1),
        log10_p: o.tested.then_some(o.log10_p).and_then(finite),
        effect: o.effect.and_then(finite),
    }
}

fn run(component: audit::Component, run: &audit::LayerRun) -> Run {
    Run {
        component: component.name(),
        layers: [run.candidate.0, run.candidate.1],
        reference: run.from.map(|from| from.reference),
        reference_layers: run.origin().map(|(first, last)| [first, last]),
    }
}

fn expert(e: &audit::ExpertOrigin) -> Expert {
    Expert {
        component: e.component.name(),
        layer: e.layer,
        expert: e.expert,
        reference: e.from.map(|from| from.0),
        reference_layer: e.from.map(|from| from.1),
        reference_expert: e.from.and_then(|from| from.2),
        log10_p: e.effect.and(finite(e.log10_p)),
        effect: e.effect.and_then(finite),
    }
}

fn units(u: &audit::UnitOrigin) -> Units {
    Units {
        component: u.component.name(),
        layer: u.layer,
        reference: u.from.0,
        reference_layer: u.from.1,
        test: u.test.name(),
        units: [u.units.0, u.units.1],
        matched: u.matched,
        kept: u.kept.as_deref().map(spans),
    }
}

fn residual(r: &audit::ResidualOrigin) -> Residual {
    Residual {
        component: r.component.name(),
        reference: r.reference,
        widths: [r.widths.0, r.widths.1],
        matched: r.matched,
        kept: r.kept.as_deref().map(spans),
    }
}

fn heads(h: &audit::HeadOrigin) -> Heads {
    let map = &h.map;
    let partner = |(partner, pick): (Option<u32>, &audit::HeadPick)| HeadPartner {
        partner,
        value_output: finite(pick.value_output),
        query_key: finite(pick.query_key),
    };
    Heads {
        component: map.component.name(),
        layer: map.layer,
        reference: h.reference,
        reference_layer: map.reference_layer,
        basis: map.basis.name(),
        heads: [map.heads.0, map.heads.1],
        groups: [map.groups.0, map.groups.1],
        found: map.found(),
        partners: map.partners().zip(&map.picks).map(partner).collect(),
    }
}

fn spans(runs: &[(u32, u32)]) -> Vec<[u32; 2]> {
    runs.iter().map(|run| [run.0, run.1]).collect()
}

fn rows(r: &audit::RowOrigin) -> Rows {
    Rows {
        role: r.role.name(),
        reference: r.reference,
        compared: r.rows.compared,
        equal: r.rows.equal,
        share: r.rows.share(),
    }
}
