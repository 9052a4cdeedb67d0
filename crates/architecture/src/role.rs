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
    /// Reads text and writes features: BERT, the text halves of CLIP and SigLIP, T5's encoder.
    TextEncoder,
    /// The second text encoder of a pipeline.
    SecondTextEncoder,
    /// The third text encoder of a pipeline.
    ThirdTextEncoder,
    /// Reads sound and writes features.
    AudioEncoder,
    /// The transformer or U-Net that takes noise away.
    Denoiser,
    /// The second one, for another range of noise (Wan 2.2).
    SecondDenoiser,
    /// Encodes images or video to latents and back.
    Autoencoder,
}

impl Component {
    /// All components, in report order.
    pub const ALL: [Component; 11] = [
        Component::LanguageModel,
        Component::VisionTower,
        Component::Connector,
        Component::Other,
        Component::TextEncoder,
        Component::SecondTextEncoder,
        Component::ThirdTextEncoder,
        Component::AudioEncoder,
        Component::Denoiser,
        Component::SecondDenoiser,
        Component::Autoencoder,
    ];

    /// Name as reported in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Component::LanguageModel => "language-model",
            Component::VisionTower => "vision-tower",
            Component::Connector => "connector",
            Component::Other => "other",
            Component::TextEncoder => "text-encoder",
            Component::SecondTextEncoder => "text-encoder-2",
            Component::ThirdTextEncoder => "text-encoder-3",
            Component::AudioEncoder => "audio-encoder",
            Component::Denoiser => "denoiser",
            Component::SecondDenoiser => "denoiser-2",
            Component::Autoencoder => "autoencoder",
        }
    }

    /// The component of this name.
    pub fn from_name(name: &str) -> Option<Component> {
        Component::ALL.into_iter().find(|component| component.name() == name)
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
    KeyUp,
    ValueUp,
    QueryGate,
    KeyValueNorm,
    RelativePositions,
    TypeEmbedding,
    HeadProjection,
    HeadNorm,
    SentenceHead,
    Pooler,
    LogitScale,
    LogitBias,
    LinearAttentionFused,
    LinearAttentionFusedRates,
    LinearAttentionQueryKeyValue,
    LinearAttentionValue,
    LinearAttentionGate,
    LinearAttentionGateDown,
    LinearAttentionGateUp,
    LinearAttentionDecayDown,
    LinearAttentionDecayUp,
    LinearAttentionRate,
    LinearAttentionBeta,
    LinearAttentionConvolution,
    LinearAttentionQueryConvolution,
    LinearAttentionKeyConvolution,
    LinearAttentionValueConvolution,
    LinearAttentionDecay,
    LinearAttentionStep,
    LinearAttentionNorm,
    LinearAttentionOutput,
    CrossNorm,
    CrossQuery,
    CrossKey,
    CrossValue,
    CrossOutput,
    CrossQueryNorm,
    CrossKeyNorm,
    CrossImageKey,
    CrossImageValue,
    CrossImageKeyNorm,
    SecondQuery,
    SecondKey,
    SecondValue,
    SecondOutput,
    SecondQueryNorm,
    SecondKeyNorm,
    ContextNorm,
    ContextQuery,
    ContextKey,
    ContextValue,
    ContextOutput,
    ContextQueryNorm,
    ContextKeyNorm,
    ContextUp,
    ContextDown,
    ContextModulation,
    ContextModulationScale,
    ContextModulationShift,
    ContextInput,
    ContextInputOut,
    Modulation,
    ModulationOfFeedForward,
    ModulationTable,
    OutputModulation,
    OutputModulationScale,
    OutputModulationShift,
    OutputModulationTable,
    TimeInput,
    TimeOutput,
    TimeProjection,
    ContextTimeInput,
    ContextTimeOutput,
    GuidanceInput,
    GuidanceOutput,
    PooledInput,
    PooledOutput,
    ContextPooledInput,
    ContextPooledOutput,
    ImageInput,
    ImageOutput,
    ImageInputNorm,
    ImageOutputNorm,
    FirstNorm,
    FirstConvolution,
    SecondNorm,
    SecondConvolution,
    SkipConvolution,
    ShrinkingConvolution,
    GrowingConvolution,
    TimeConvolution,
    InputConvolution,
    OutputConvolution,
    OutputConvolutionNorm,
    LatentConvolution,
    FromLatentConvolution,
    FirstNormScale,
    FirstNormShift,
    SecondNormScale,
    SecondNormShift,
    OutputNormScale,
    OutputNormShift,
    MergerGate,
    MergerUp,
    MergerDown,
    PatchMerger,
    Separator,
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
    (Role::KeyUp, "attn.k_b", (Axis::Key, Foreign)),
    (Role::ValueUp, "attn.v_b", (Value, Foreign)),
    (Role::QueryGate, "attn.q_gate", (Foreign, Residual)),
    (Role::KeyValueNorm, "attn.kv_norm", (Single, Foreign)),
    (Role::RelativePositions, "embed.relative", (Foreign, Foreign)),
    (Role::TypeEmbedding, "embed.type", (Foreign, Residual)),
    (Role::HeadProjection, "head.dense", (Foreign, Residual)),
    (Role::HeadNorm, "head.norm", (Single, Residual)),
    (Role::SentenceHead, "head.sentence", (Foreign, Residual)),
    (Role::Pooler, "pooler", (Foreign, Residual)),
    (Role::LogitScale, "logit.scale", (Single, Foreign)),
    (Role::LogitBias, "logit.bias", (Single, Foreign)),
    (Role::LinearAttentionFused, "lin.qkvz", (Foreign, Residual)),
    (Role::LinearAttentionFusedRates, "lin.ba", (Foreign, Residual)),
    (Role::LinearAttentionQueryKeyValue, "lin.qkv", (Foreign, Residual)),
    (Role::LinearAttentionValue, "lin.v", (Foreign, Residual)),
    (Role::LinearAttentionGate, "lin.z", (Foreign, Residual)),
    (Role::LinearAttentionGateDown, "lin.z_a", (Foreign, Residual)),
    (Role::LinearAttentionGateUp, "lin.z_b", (Foreign, Foreign)),
    (Role::LinearAttentionDecayDown, "lin.f_a", (Foreign, Residual)),
    (Role::LinearAttentionDecayUp, "lin.f_b", (Foreign, Foreign)),
    (Role::LinearAttentionRate, "lin.a", (Foreign, Residual)),
    (Role::LinearAttentionBeta, "lin.b", (Foreign, Residual)),
    (Role::LinearAttentionConvolution, "lin.conv", (Foreign, Foreign)),
    (Role::LinearAttentionQueryConvolution, "lin.conv_q", (Foreign, Foreign)),
    (Role::LinearAttentionKeyConvolution, "lin.conv_k", (Foreign, Foreign)),
    (Role::LinearAttentionValueConvolution, "lin.conv_v", (Foreign, Foreign)),
    (Role::LinearAttentionDecay, "lin.a_log", (Single, Foreign)),
    (Role::LinearAttentionStep, "lin.dt", (Single, Foreign)),
    (Role::LinearAttentionNorm, "lin.norm", (Single, Foreign)),
    (Role::LinearAttentionOutput, "lin.out", (Residual, Foreign)),
    (Role::CrossNorm, "norm.cross", (Single, Residual)),
    (Role::CrossQuery, "cross.q", (Foreign, Residual)),
    (Role::CrossKey, "cross.k", (Foreign, Foreign)),
    (Role::CrossValue, "cross.v", (Foreign, Foreign)),
    (Role::CrossOutput, "cross.o", (Residual, Foreign)),
    (Role::CrossQueryNorm, "cross.q_norm", (Single, Foreign)),
    (Role::CrossKeyNorm, "cross.k_norm", (Single, Foreign)),
    (Role::CrossImageKey, "cross.k_img", (Foreign, Foreign)),
    (Role::CrossImageValue, "cross.v_img", (Foreign, Foreign)),
    (Role::CrossImageKeyNorm, "cross.k_img_norm", (Single, Foreign)),
    (Role::SecondQuery, "attn2.q", (Foreign, Foreign)),
    (Role::SecondKey, "attn2.k", (Foreign, Foreign)),
    (Role::SecondValue, "attn2.v", (Foreign, Foreign)),
    (Role::SecondOutput, "attn2.o", (Foreign, Foreign)),
    (Role::SecondQueryNorm, "attn2.q_norm", (Single, Foreign)),
    (Role::SecondKeyNorm, "attn2.k_norm", (Single, Foreign)),
    (Role::ContextNorm, "ctx.norm", (Single, Foreign)),
    (Role::ContextQuery, "ctx.attn.q", (Foreign, Foreign)),
    (Role::ContextKey, "ctx.attn.k", (Foreign, Foreign)),
    (Role::ContextValue, "ctx.attn.v", (Foreign, Foreign)),
    (Role::ContextOutput, "ctx.attn.o", (Foreign, Foreign)),
    (Role::ContextQueryNorm, "ctx.attn.q_norm", (Single, Foreign)),
    (Role::ContextKeyNorm, "ctx.attn.k_norm", (Single, Foreign)),
    (Role::ContextUp, "ctx.ffn.up", (Foreign, Foreign)),
    (Role::ContextDown, "ctx.ffn.down", (Foreign, Foreign)),
    (Role::ContextModulation, "ctx.mod", (Foreign, Foreign)),
    (Role::ContextModulationScale, "ctx.mod.scale", (Foreign, Foreign)),
    (Role::ContextModulationShift, "ctx.mod.shift", (Foreign, Foreign)),
    (Role::ContextInput, "ctx.in", (Foreign, Foreign)),
    (Role::ContextInputOut, "ctx.in.out", (Foreign, Foreign)),
    (Role::Modulation, "mod", (Foreign, Foreign)),
    (Role::ModulationOfFeedForward, "mod.ffn", (Foreign, Foreign)),
    (Role::ModulationTable, "mod.table", (Foreign, Foreign)),
    (Role::OutputModulation, "mod.out", (Foreign, Foreign)),
    (Role::OutputModulationScale, "mod.out.scale", (Foreign, Foreign)),
    (Role::OutputModulationShift, "mod.out.shift", (Foreign, Foreign)),
    (Role::OutputModulationTable, "mod.out.table", (Foreign, Foreign)),
    (Role::TimeInput, "time.in", (Foreign, Foreign)),
    (Role::TimeOutput, "time.out", (Foreign, Foreign)),
    (Role::TimeProjection, "time.proj", (Foreign, Foreign)),
    (Role::ContextTimeInput, "ctx.time.in", (Foreign, Foreign)),
    (Role::ContextTimeOutput, "ctx.time.out", (Foreign, Foreign)),
    (Role::GuidanceInput, "guidance.in", (Foreign, Foreign)),
    (Role::GuidanceOutput, "guidance.out", (Foreign, Foreign)),
    (Role::PooledInput, "pooled.in", (Foreign, Foreign)),
    (Role::PooledOutput, "pooled.out", (Foreign, Foreign)),
    (Role::ContextPooledInput, "ctx.pooled.in", (Foreign, Foreign)),
    (Role::ContextPooledOutput, "ctx.pooled.out", (Foreign, Foreign)),
    (Role::ImageInput, "image.in", (Foreign, Foreign)),
    (Role::ImageOutput, "image.out", (Foreign, Foreign)),
    (Role::ImageInputNorm, "image.norm.in", (Single, Foreign)),
    (Role::ImageOutputNorm, "image.norm.out", (Single, Foreign)),
    (Role::FirstNorm, "conv.norm1", (Single, Foreign)),
    (Role::FirstConvolution, "conv.1", (Foreign, Foreign)),
    (Role::SecondNorm, "conv.norm2", (Single, Foreign)),
    (Role::SecondConvolution, "conv.2", (Foreign, Foreign)),
    (Role::SkipConvolution, "conv.skip", (Foreign, Foreign)),
    (Role::ShrinkingConvolution, "conv.down", (Foreign, Foreign)),
    (Role::GrowingConvolution, "conv.up", (Foreign, Foreign)),
    (Role::TimeConvolution, "conv.time", (Foreign, Foreign)),
    (Role::InputConvolution, "conv.in", (Foreign, Foreign)),
    (Role::OutputConvolution, "conv.out", (Foreign, Foreign)),
    (Role::OutputConvolutionNorm, "conv.norm_out", (Single, Foreign)),
    (Role::LatentConvolution, "conv.quant", (Foreign, Foreign)),
    (Role::FromLatentConvolution, "conv.post_quant", (Foreign, Foreign)),
    (Role::FirstNormScale, "conv.norm1.scale", (Foreign, Foreign)),
    (Role::FirstNormShift, "conv.norm1.shift", (Foreign, Foreign)),
    (Role::SecondNormScale, "conv.norm2.scale", (Foreign, Foreign)),
    (Role::SecondNormShift, "conv.norm2.shift", (Foreign, Foreign)),
    (Role::OutputNormScale, "conv.norm_out.scale", (Foreign, Foreign)),
    (Role::OutputNormShift, "conv.norm_out.shift", (Foreign, Foreign)),
    (Role::MergerGate, "merger.gate", (Foreign, Foreign)),
    (Role::MergerUp, "merger.up", (Foreign, Foreign)),
    (Role::MergerDown, "merger.down", (Foreign, Foreign)),
    (Role::PatchMerger, "merger.patches", (Foreign, Foreign)),
    (Role::Separator, "embed.separator", (Single, Foreign)),
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
