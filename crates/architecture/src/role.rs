//! What a tensor is for.

use std::fmt;

/// The part of a multi-modal model that a tensor belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Component {
    /// The decoder that reads and writes tokens.
    LanguageModel,
    /// The image encoder.
    VisionTower,
    /// Projector or resampler between the two.
    Connector,
    /// Anything else.
    Other,
}

impl Component {
    /// All components, in report order.
    pub const ALL: [Component; 4] =
        [Component::LanguageModel, Component::VisionTower, Component::Connector, Component::Other];

    /// Name as reported in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Component::LanguageModel => "language-model",
            Component::VisionTower => "vision-tower",
            Component::Connector => "connector",
            Component::Other => "other",
        }
    }
}

/// What the index along one side of a matrix counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Axis {
    /// Channels of the residual stream.
    Residual,
    /// Hidden units of a feed-forward block.
    Hidden,
    /// Value channels: key-value heads times head width.
    Value,
    /// Attention output channels: query heads times head width; query head `h` reads the values of its group.
    AttentionOutput,
    /// Query channels.
    Query,
    /// Key channels.
    Key,
    /// Tokens of the vocabulary.
    Vocabulary,
    /// Positions.
    Position,
    /// Experts.
    Expert,
    /// A space with no name here: patches, another component's channels, low-rank bottlenecks.
    Foreign,
    /// The single row of a vector.
    Single,
}

/// The canonical purpose of a tensor within its component, layer and expert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
#[allow(missing_docs)] // The names are the field's.
pub enum Role {
    TokenEmbedding,
    PositionEmbedding,
    EmbeddingNorm,
    AttentionNorm,
    Query,
    Key,
    Value,
    Output,
    QueryNorm,
    KeyNorm,
    AttentionSinks,
    PostAttentionNorm,
    QueryDown,
    QueryDownNorm,
    QueryUp,
    KeyValueDown,
    KeyValueDownNorm,
    KeyValueUp,
    FeedForwardNorm,
    Gate,
    Up,
    Down,
    PostFeedForwardNorm,
    Router,
    RouterBias,
    SharedGate,
    SharedUp,
    SharedDown,
    SharedExpertGate,
    FinalNorm,
    Head,
    PatchEmbedding,
    ClassEmbedding,
    LatentQuery,
    InputProjection,
    InputNorm,
    QueryInputNorm,
    OutputProjection,
    LayerScale,
    FeedForwardLayerScale,
}

impl Role {
    /// Dotted canonical name, as in the data files.
    pub fn name(self) -> &'static str {
        ROLES.iter().find(|(role, ..)| *role == self).expect("every role is in the table; tested").1
    }

    /// The role with this canonical name.
    pub fn from_name(name: &str) -> Option<Role> {
        ROLES.iter().find(|(_, n, _)| *n == name).map(|(role, ..)| *role)
    }

    /// (row axis, column axis) of the canonical orientation, rows are outputs. Vectors are (Single, axis).
    pub fn axes(self) -> (Axis, Axis) {
        ROLES.iter().find(|(role, ..)| *role == self).expect("every role is in the table; tested").2
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Weight matrix (or gain) or additive bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Term {
    /// Multiplies.
    Weight,
    /// Is added.
    Bias,
}

use Axis::*;

/// One line per role: canonical name and axes. The axes are what the symmetry tests read.
const ROLES: &[(Role, &str, (Axis, Axis))] = &[
    (Role::TokenEmbedding, "embed.tok", (Vocabulary, Residual)),
    (Role::PositionEmbedding, "embed.pos", (Position, Residual)),
    (Role::EmbeddingNorm, "embed.norm", (Single, Residual)),
    (Role::AttentionNorm, "norm.pre_attn", (Single, Residual)),
    (Role::Query, "attn.q", (Axis::Query, Residual)),
    (Role::Key, "attn.k", (Axis::Key, Residual)),
    (Role::Value, "attn.v", (Axis::Value, Residual)),
    (Role::Output, "attn.o", (Residual, AttentionOutput)),
    (Role::QueryNorm, "attn.q_norm", (Single, Foreign)),
    (Role::KeyNorm, "attn.k_norm", (Single, Foreign)),
    (Role::AttentionSinks, "attn.sinks", (Single, Foreign)),
    (Role::PostAttentionNorm, "norm.post_attn", (Single, Residual)),
    (Role::QueryDown, "attn.q_a", (Foreign, Residual)),
    (Role::QueryDownNorm, "attn.q_a_norm", (Single, Foreign)),
    (Role::QueryUp, "attn.q_b", (Foreign, Foreign)),
    (Role::KeyValueDown, "attn.kv_a", (Foreign, Residual)),
    (Role::KeyValueDownNorm, "attn.kv_a_norm", (Single, Foreign)),
    (Role::KeyValueUp, "attn.kv_b", (Foreign, Foreign)),
    (Role::FeedForwardNorm, "norm.pre_ffn", (Single, Residual)),
    (Role::Gate, "ffn.gate", (Hidden, Residual)),
    (Role::Up, "ffn.up", (Hidden, Residual)),
    (Role::Down, "ffn.down", (Residual, Hidden)),
    (Role::PostFeedForwardNorm, "norm.post_ffn", (Single, Residual)),
    (Role::Router, "moe.router", (Expert, Residual)),
    (Role::RouterBias, "moe.router_bias", (Single, Expert)),
    (Role::SharedGate, "moe.shared.gate", (Hidden, Residual)),
    (Role::SharedUp, "moe.shared.up", (Hidden, Residual)),
    (Role::SharedDown, "moe.shared.down", (Residual, Hidden)),
    (Role::SharedExpertGate, "moe.shared_gate", (Foreign, Residual)),
    (Role::FinalNorm, "norm.final", (Single, Residual)),
    (Role::Head, "head", (Vocabulary, Residual)),
    (Role::PatchEmbedding, "embed.patch", (Residual, Foreign)),
    (Role::ClassEmbedding, "embed.class", (Single, Residual)),
    (Role::LatentQuery, "resampler.query", (Foreign, Residual)),
    (Role::InputProjection, "proj.in", (Foreign, Foreign)),
    (Role::InputNorm, "norm.in", (Single, Foreign)),
    (Role::QueryInputNorm, "norm.query", (Single, Foreign)),
    (Role::OutputProjection, "proj.out", (Foreign, Foreign)),
    (Role::LayerScale, "layer_scale", (Single, Residual)),
    (Role::FeedForwardLayerScale, "layer_scale.ffn", (Single, Residual)),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_round_trip() {
        for (role, name, _) in ROLES {
            assert_eq!(role.name(), *name);
            assert_eq!(Role::from_name(name), Some(*role));
            assert_eq!(ROLES.iter().filter(|(_, n, _)| n == name).count(), 1, "{name}");
        }
    }
}
