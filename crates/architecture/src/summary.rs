//! Facts about components, from their parts.

use crate::catalogue::Catalogue;
use crate::dimensions::{Configured, Evidence, resolve};
use crate::notes::Notes;
use crate::{Component, ComponentInfo, Norm, Part, Role, Term};
use std::collections::{BTreeMap, BTreeSet};
use stemmata_model::Config;

/// One [`ComponentInfo`] per component that has parts. `norms` is what the chosen families say.
pub(crate) fn summarise(
    config: &Config,
    parts: &[Part],
    norms: &BTreeMap<Component, Norm>,
    notes: &mut Notes,
) -> Vec<ComponentInfo> {
    let mut seen: BTreeMap<Component, Seen> = BTreeMap::new();
    for part in parts {
        let seen = seen.entry(part.component).or_default();
        if let Some(layer) = part.layer {
            seen.layers.insert(layer);
        }
        seen.gated |= matches!(part.role, Role::Gate | Role::SharedGate);
        let is_norm = matches!(part.role, Role::AttentionNorm | Role::FeedForwardNorm | Role::FinalNorm);
        seen.norms |= is_norm;
        seen.norm_biases |= is_norm && part.term == Term::Bias;
        if part.term == Term::Weight {
            seen.evidence.observe(part.role, part.view.rows, part.view.cols);
        }
    }
    seen.into_iter()
        .map(|(component, seen)| {
            let configured = Configured::new(config, component);
            let dimensions = resolve(&seen.evidence, &configured);
            if dimensions.guessed {
                notes
                    .say(format!("the head width of the {} is a guess: nothing states it", component.name()));
            }
            ComponentInfo {
                component,
                norm: norm(&seen, norms.get(&component).copied(), &configured),
                gated: seen.gated,
                layers: u32::try_from(seen.layers.len()).unwrap_or(u32::MAX),
                residual: dimensions.residual,
                query_heads: dimensions.query_heads,
                kv_heads: dimensions.kv_heads,
                head_dim: dimensions.value_width,
            }
        })
        .collect()
}

#[derive(Default)]
struct Seen {
    layers: BTreeSet<u32>,
    gated: bool,
    norms: bool,
    norm_biases: bool,
    evidence: Evidence,
}

/// A norm with a bias is a LayerNorm, whatever a family or a configuration says; without one, the family's word counts,
/// then the configuration's. LayerNorm without bias exists, so silence is not a proof of RMS.
fn norm(seen: &Seen, family: Option<Norm>, configured: &Configured<'_>) -> Norm {
    let keys = &Catalogue::embedded().config_keys;
    if seen.norm_biases {
        return Norm::Layer;
    }
    if !seen.norms {
        return Norm::Unknown;
    }
    match (family, configured.has(&keys.rms_epsilon), configured.has(&keys.layer_epsilon)) {
        // Cohere has Llama's names and LayerNorm without bias: the configuration may weaken the family's word.
        (Some(Norm::Rms), false, true) => Norm::Unknown,
        (Some(norm), ..) => norm,
        (None, true, false) => Norm::Rms,
        (None, false, true) => Norm::Layer,
        _ => Norm::Unknown,
    }
}
