//! The rows of the power study: what is done to a base before it is retrained, and after.

use crate::launder::decoder::Decoder;
use crate::launder::{numbers, structure, symmetries};
use crate::layout::array::Stored;
use crate::material::random::Random;

/// Where a row stands in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    Storage,
    Symmetry,
    Structure,
    Numbers,
    Composition,
}

impl Group {
    pub(super) const ALL: [Self; 5] =
        [Self::Storage, Self::Symmetry, Self::Structure, Self::Numbers, Self::Composition];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Storage => "Storage",
            Self::Symmetry => "Symmetries of the function",
            Self::Structure => "Structure",
            Self::Numbers => "Numbers",
            Self::Composition => "Compositions",
        }
    }
}

/// What is done to the base, so that retraining heals it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    Nothing,
    Dropped,
    Repeated,
    Reordered,
    Narrow,
    NarrowSorted,
    Slim,
    Half,
    TwoOfFour,
    Tokenizer,
    Embeddings,
    /// The base's tower is retrained instead of its decoder.
    Tower,
}

impl Before {
    pub(super) const ALL: [Self; 12] = [
        Self::Nothing,
        Self::Dropped,
        Self::Repeated,
        Self::Reordered,
        Self::Narrow,
        Self::NarrowSorted,
        Self::Slim,
        Self::Half,
        Self::TwoOfFour,
        Self::Tokenizer,
        Self::Embeddings,
        Self::Tower,
    ];

    /// Makes it of a base of four layers.
    pub(super) fn apply(self, model: &mut Decoder, random: &mut Random) {
        /// Seven of ten units stay.
        const UNITS: usize = 112;
        match self {
            Self::Nothing | Self::Tower => {}
            Self::Dropped => structure::pick_layers(model, &[0, 1, 3]),
            Self::Repeated => structure::pick_layers(model, &[0, 1, 2, 1, 2, 3]),
            Self::Reordered => structure::pick_layers(model, &[0, 2, 1, 3]),
            Self::Narrow => structure::prune_units(model, UNITS, false),
            Self::NarrowSorted => structure::prune_units(model, UNITS, true),
            Self::Slim => structure::slim(model, UNITS),
            Self::Half => numbers::prune_half(model),
            Self::TwoOfFour => numbers::prune_two_of_four(model),
            Self::Tokenizer => structure::replace_tokens(model, 0.3, random),
            Self::Embeddings => structure::replace_tokens(model, 1.0, random),
        }
    }

    /// Whether its zeros are put back after retraining.
    pub(super) fn is_sparse(self) -> bool {
        matches!(self, Self::Half | Self::TwoOfFour)
    }
}

/// Other models that an operation may need.
pub(super) struct Relatives<'a> {
    /// Another child of the same base.
    pub(super) sibling: &'a Decoder,
    /// A model of another start.
    pub(super) stranger: &'a Decoder,
}

/// What is done after retraining.
pub(super) type After = fn(&mut Decoder, &Relatives<'_>, &mut Random);

/// A row.
pub(super) struct Operation {
    /// Part of a directory's name.
    pub(super) name: &'static str,
    /// As the table calls it.
    pub(super) words: &'static str,
    pub(super) group: Group,
    pub(super) before: Before,
    pub(super) after: After,
    /// Whether `after` keeps the function.
    pub(super) keeps: bool,
    pub(super) stored: Stored,
    pub(super) shards: usize,
    /// Whether tensors get names that no family has, and the configuration other keys.
    pub(super) renamed: bool,
    /// Whether a decoder becomes the language model of a vision-language model with a stranger's tower.
    pub(super) wrapped: bool,
}

const fn row(
    group: Group,
    name: &'static str,
    words: &'static str,
    before: Before,
    (keeps, after): (bool, After),
) -> Operation {
    Operation {
        name,
        words,
        group,
        before,
        after,
        keeps,
        stored: Stored::Bf16,
        shards: 1,
        renamed: false,
        wrapped: false,
    }
}

const fn symmetry(name: &'static str, words: &'static str, after: After) -> Operation {
    row(Group::Symmetry, name, words, Before::Nothing, (true, after))
}

const fn healed(name: &'static str, words: &'static str, before: Before) -> Operation {
    row(Group::Structure, name, words, before, (true, |_, _, _| {}))
}

const fn numbers(name: &'static str, words: &'static str, before: Before, after: After) -> Operation {
    row(Group::Numbers, name, words, before, (false, after))
}

const fn composed(
    name: &'static str,
    words: &'static str,
    before: Before,
    after: (bool, After),
) -> Operation {
    row(Group::Composition, name, words, before, after)
}

const fn storage(name: &'static str, words: &'static str) -> Operation {
    row(Group::Storage, name, words, Before::Nothing, (true, |_, _, _| {}))
}

/// All rows.
pub(super) const OPERATIONS: &[Operation] = &[
    storage("copied", "copied as it is"),
    Operation { renamed: true, ..storage("renamed", "tensors and configuration renamed") },
    Operation { shards: 3, ..storage("sharded", "cut into three shards") },
    Operation { stored: Stored::F32, ..storage("f32", "stored as f32") },
    Operation { stored: Stored::F16, ..storage("f16", "stored as f16") },
    symmetry("residual-signs", "signs of residual channels", |m, _, r| symmetries::flip_residual_signs(m, r)),
    symmetry("residual-order", "order of residual channels", |m, _, r| symmetries::permute_residual(m, r)),
    symmetry("gains", "gains folded and replaced", |m, _, r| symmetries::replace_gains(m, r)),
    symmetry("rotated", "residual stream rotated, gains folded", |m, _, r| symmetries::rotate_residual(m, r)),
    symmetry("residual-scale", "residual stream times 3", |m, _, r| symmetries::scale_residual(m, r)),
    symmetry("unit-order", "order of hidden units", |m, _, r| symmetries::permute_units(m, r)),
    symmetry("unit-scale", "units up times c > 0, down by c", |m, _, r| symmetries::scale_units(m, r)),
    symmetry("unit-signs", "the same with random signs", |m, _, r| symmetries::scale_units_signed(m, r)),
    symmetry("head-order", "order of key-value groups and of heads in them", |m, _, r| {
        symmetries::permute_heads(m, r);
    }),
    symmetry("value-scale", "value channels times c with signs, outputs by c", |m, _, r| {
        symmetries::scale_values(m, r);
    }),
    symmetry("value-mix", "values of a group mixed by an invertible matrix", |m, _, r| {
        symmetries::mix_values(m, r);
    }),
    symmetry("query-scale", "rotary pairs: queries times c, keys by c", |m, _, r| {
        symmetries::scale_queries(m, r);
    }),
    symmetry("query-turn", "rotary pairs turned by an angle", |m, _, r| symmetries::turn_queries(m, r)),
    symmetry("head-shift", "one vector added to every row of the head", |m, _, r| {
        symmetries::shift_softmax(m, r);
    }),
    symmetry("token-order", "order of tokens, with the tokenizer", |m, _, r| m.permute_tokens(r)),
    symmetry("empty-blocks", "two layers put in that write nothing", |m, _, r| {
        symmetries::insert_block(m, 2, r);
        symmetries::insert_block(m, 5, r);
    }),
    symmetry("more-units", "a quarter of the units doubled, as many dead ones, shuffled", |m, _, r| {
        symmetries::widen_units(m, r);
    }),
    symmetry("attention-all", "heads reordered, values mixed, queries scaled and turned", |m, _, r| {
        symmetries::permute_heads(m, r);
        symmetries::mix_values(m, r);
        symmetries::scale_queries(m, r);
        symmetries::turn_queries(m, r);
    }),
    row(
        Group::Structure,
        "upcycled",
        "four experts, copies of the block",
        Before::Nothing,
        (true, |m, _, r| {
            structure::upcycle(m, 4, r);
        }),
    ),
    row(
        Group::Structure,
        "upcycled-order",
        "the same with noise of 0.3 on each, units and experts shuffled",
        Before::Nothing,
        (false, |m, _, r| {
            structure::upcycle(m, 4, r);
            numbers::add_noise(m, 0.3, r);
            symmetries::permute_units(m, r);
            symmetries::permute_experts(m, r);
        }),
    ),
    row(
        Group::Structure,
        "sliced",
        "four experts, slices of the block's shuffled units",
        Before::Nothing,
        (false, |m, _, r| structure::slice_experts(m, 4, r)),
    ),
    healed("dropped", "one layer of four dropped", Before::Dropped),
    healed("repeated", "layers 2 and 3 repeated (six layers)", Before::Repeated),
    healed("reordered", "layers 2 and 3 swapped", Before::Reordered),
    healed("narrow", "three tenths of the units pruned, order kept", Before::Narrow),
    healed("narrow-sorted", "the same, units sorted by importance", Before::NarrowSorted),
    healed("slim", "half of the residual channels, heads and three tenths of the units pruned", Before::Slim),
    healed("tokenizer", "new tokenizer: ids shuffled, three tenths of the rows new", Before::Tokenizer),
    healed("embeddings", "new tokenizer: embedding and head drawn anew", Before::Embeddings),
    Operation {
        wrapped: true,
        ..healed("language-model", "taken as the language model of a vision-language model", Before::Nothing)
    },
    healed("tower", "vision tower taken into another vision-language model", Before::Tower),
    numbers("half", "the smaller half set to zero", Before::Half, |_, _, _| {}),
    numbers("two-of-four", "two of four set to zero", Before::TwoOfFour, |_, _, _| {}),
    numbers("int8", "rounded to 8 bits, groups of 32", Before::Nothing, |m, _, _| numbers::quantise(m, 8)),
    numbers("int4", "rounded to 4 bits, groups of 32", Before::Nothing, |m, _, _| numbers::quantise(m, 4)),
    numbers("noise-light", "Gaussian noise, 0.1 of the deviation", Before::Nothing, |m, _, r| {
        numbers::add_noise(m, 0.1, r);
    }),
    numbers("noise-heavy", "Gaussian noise, 1.0 of the deviation", Before::Nothing, |m, _, r| {
        numbers::add_noise(m, 1.0, r);
    }),
    numbers("adapter", "adapter of rank 4 merged, a fifth of the norm", Before::Nothing, |m, _, r| {
        numbers::add_low_rank(m, 4, 0.2, r);
    }),
    numbers("merge-sibling", "half, with half of a sibling", Before::Nothing, |m, o, _| {
        numbers::merge(m, o.sibling, 0.5);
    }),
    numbers("merge-70", "0.7, with 0.3 of an unrelated model", Before::Nothing, |m, o, _| {
        numbers::merge(m, o.stranger, 0.7);
    }),
    numbers("merge-40", "0.4, with 0.6 of an unrelated model", Before::Nothing, |m, o, _| {
        numbers::merge(m, o.stranger, 0.4);
    }),
    numbers("merge-10", "0.1, with 0.9 of an unrelated model", Before::Nothing, |m, o, _| {
        numbers::merge(m, o.stranger, 0.1);
    }),
    composed(
        "all",
        "all symmetries of one token numbering",
        Before::Nothing,
        (true, |m, _, r| {
            symmetries::all(m, r);
        }),
    ),
    composed(
        "all-noise",
        "all symmetries, noise of 0.3",
        Before::Nothing,
        (false, |m, _, r| {
            symmetries::all(m, r);
            numbers::add_noise(m, 0.3, r);
        }),
    ),
    composed(
        "all-int4",
        "all symmetries, rounded to 4 bits",
        Before::Nothing,
        (false, |m, _, r| {
            symmetries::all(m, r);
            numbers::quantise(m, 4);
        }),
    ),
    composed(
        "rotated-narrow",
        "rotation, order of units, three tenths of the units pruned",
        Before::Narrow,
        (true, |m, _, r| {
            symmetries::rotate_residual(m, r);
            symmetries::permute_units(m, r);
        }),
    ),
    composed(
        "rotated-dropped",
        "rotation, order of units, one layer dropped",
        Before::Dropped,
        (true, |m, _, r| {
            symmetries::rotate_residual(m, r);
            symmetries::permute_units(m, r);
        }),
    ),
    composed(
        "merged-order",
        "0.7, with 0.3 of an unrelated model, order of units",
        Before::Nothing,
        (false, |m, o, r| {
            numbers::merge(m, o.stranger, 0.7);
            symmetries::permute_units(m, r);
        }),
    ),
    composed(
        "shifted-order",
        "an empty layer put first, order of units",
        Before::Nothing,
        (true, |m, _, r| {
            symmetries::insert_block(m, 0, r);
            symmetries::permute_units(m, r);
        }),
    ),
    composed(
        "shifted-rotated",
        "an empty layer put first, rotation, order of units",
        Before::Nothing,
        (true, |m, _, r| {
            symmetries::insert_block(m, 0, r);
            symmetries::rotate_residual(m, r);
            symmetries::permute_units(m, r);
        }),
    ),
    composed(
        "rotated-tokens",
        "rotation, order of tokens",
        Before::Nothing,
        (true, |m, _, r| {
            symmetries::rotate_residual(m, r);
            m.permute_tokens(r);
        }),
    ),
    composed(
        "rotated-tokenizer",
        "rotation, new tokenizer as above",
        Before::Tokenizer,
        (true, |m, _, r| {
            symmetries::rotate_residual(m, r);
        }),
    ),
    composed(
        "order-embeddings",
        "order of units, embedding and head drawn anew",
        Before::Embeddings,
        (true, |m, _, r| symmetries::permute_units(m, r)),
    ),
    composed(
        "rotated-embeddings",
        "rotation, embedding and head drawn anew",
        Before::Embeddings,
        (true, |m, _, r| symmetries::rotate_residual(m, r)),
    ),
    composed(
        "all-embeddings",
        "all symmetries, embedding and head drawn anew",
        Before::Embeddings,
        (true, |m, _, r| symmetries::all(m, r)),
    ),
];
