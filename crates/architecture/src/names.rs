//! What a tensor's name and encoding say before any family is tried.
//!
//! Answers: *is this a weight at all, and which component do its prefixes speak of?* Must not know: families, roles.

use crate::catalogue::Catalogue;
use crate::trie::tokens;
use crate::{Component, Term};
use std::collections::HashSet;
use stemmata_model::Tensor;

/// Longer names are nobody's; they stay unmapped without being taken apart.
const NAME_LIMIT: usize = 1024;
/// The same for names of more tokens; real ones have at most a dozen.
const TOKEN_LIMIT: usize = 48;
/// Wrappers around wrappers; real checkpoints have at most four.
const STRIP_LIMIT: usize = 8;

/// What a tensor is at first sight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// May be a weight.
    Candidate,
    /// Known to be no weight: rotary table, mask, scale, statistic.
    SideTensor,
    /// Codes that this build does not decode.
    Packed,
    /// Part of a low-rank adapter.
    Adapter,
}

/// Sorts every tensor by kind.
pub(crate) fn kinds(tensors: &[Tensor]) -> Vec<Kind> {
    let catalogue = Catalogue::embedded();
    let packed: HashSet<&str> =
        tensors.iter().filter(|t| !t.encoding.is_float()).map(|t| stem_of(&t.name).0).collect();
    tensors
        .iter()
        .map(|tensor| {
            let (stem, last) = stem_of(&tensor.name);
            let is_last = |list: &[String]| list.iter().any(|word| word == last);
            // ggml gives its rotary tables the name of a weight: `rope_freqs.weight`.
            let bare = if last == "weight" { stem_of(stem).1 } else { last };
            if catalogue.ignored_last.iter().any(|word| word == bare) || is_causal_mask(tensor, last) {
                Kind::SideTensor
            } else if !tensor.encoding.is_float() {
                Kind::Packed
            } else if is_last(&catalogue.ignored_beside_packed) && packed.contains(stem) {
                Kind::SideTensor
            } else if tensor.name.split('.').any(|token| catalogue.adapter_tokens.iter().any(|t| t == token))
            {
                Kind::Adapter
            } else {
                Kind::Candidate
            }
        })
        .collect()
}

/// (stem, last token) of a name.
fn stem_of(name: &str) -> (&str, &str) {
    name.rsplit_once('.').unwrap_or(("", name))
}

/// GPT-2 keeps its triangle of ones as `attn.bias` \[1, 1, n, n\].
fn is_causal_mask(tensor: &Tensor, last: &str) -> bool {
    last == "bias" && matches!(tensor.shape.as_slice(), [1, 1, rows, cols] if rows == cols)
}

/// A name with its prefixes taken off.
#[derive(Clone, Debug)]
pub(crate) struct Stripped<'a> {
    /// What the prefixes say.
    pub(crate) component: Option<Component>,
    /// The remaining tokens, `weight` and `bias` included.
    pub(crate) tokens: Vec<&'a str>,
}

/// Takes the known prefixes off; `None` for names that are too long.
pub(crate) fn strip(name: &str) -> Option<Stripped<'_>> {
    if name.len() > NAME_LIMIT || name.bytes().filter(|byte| *byte == b'.').count() >= TOKEN_LIMIT {
        return None;
    }
    let tokens = tokens(name);
    let (mut start, mut component) = (0, None);
    for _ in 0..STRIP_LIMIT {
        let rest = &tokens[start..];
        let matches =
            |prefix: &[String]| rest.len() > prefix.len() && prefix.iter().zip(rest).all(|(a, b)| a == b);
        let Some(prefix) = Catalogue::embedded().prefixes.iter().find(|p| matches(&p.tokens)) else { break };
        start += prefix.tokens.len();
        component = prefix.component.or(component);
    }
    Some(Stripped { component, tokens: tokens[start..].to_vec() })
}

/// The tokens without a trailing `weight` or `bias`, and the term that it says.
pub(crate) fn split_term<'t, 'a>(tokens: &'t [&'a str]) -> (&'t [&'a str], Option<Term>) {
    match tokens {
        [stem @ .., "weight"] => (stem, Some(Term::Weight)),
        [stem @ .., "bias"] => (stem, Some(Term::Bias)),
        _ => (tokens, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, component: Option<Component>, rest: &str) {
        let stripped = strip(name).unwrap();
        assert_eq!((stripped.component, stripped.tokens.join(".").as_str()), (component, rest), "{name}");
    }

    #[test]
    fn prefixes() {
        use Component::*;
        check("model.layers.0.x", None, "layers.0.x");
        check("llm.model.norm.weight", Some(LanguageModel), "norm.weight");
        check(
            "model.vision_tower.vision_tower.vision_model.post_layernorm.bias",
            Some(VisionTower),
            "post_layernorm.bias",
        );
        check("visual.merger.ln_q.weight", Some(Connector), "ln_q.weight");
        check("mm_projector.0.weight", Some(Connector), "0.weight");
        check("model", None, "model");
        check("model.model", None, "model");
        check("", None, "");
        assert!(strip(&"a".repeat(1025)).is_none());
        assert!(strip(&"a.".repeat(48)).is_none());
    }
}
