//! Weak evidence from the words of a name.
//!
//! Answers: *which of the roles that the shapes allow does this name sound like?* A hint never overrules a shape.

use crate::catalogue::Catalogue;
use crate::{Component, Role};

/// Lower-case words: runs of letters and digits.
pub(crate) fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect()
}

/// How many words of `text` are in the list of `role`.
pub(crate) fn score(text: &str, role: Role) -> usize {
    let Some(list) = Catalogue::embedded().hints.role.get(role.name()) else { return 0 };
    words(text).iter().filter(|word| list.contains(word)).count()
}

/// How many words of `text` speak of `component`.
pub(crate) fn component_score(text: &str, component: Component) -> usize {
    let Some(list) = Catalogue::embedded().hints.component.get(component.name()) else { return 0 };
    words(text).iter().filter(|word| list.contains(word)).count()
}

/// The component that the words of `text` speak of most, if one does.
pub(crate) fn component(text: &str) -> Option<Component> {
    let scored = Component::ALL.map(|component| (component_score(text, component), component));
    let best = scored.iter().map(|(score, _)| *score).max().filter(|score| *score > 0)?;
    let mut leaders = scored.iter().filter(|(score, _)| *score == best);
    leaders.next().filter(|_| leaders.next().is_none()).map(|(_, component)| *component)
}

/// Whether the last word says that this is an additive term; gives what stands before it.
pub(crate) fn bias_stem(suffix: &str) -> Option<&str> {
    let (stem, last) = split_last_word(suffix)?;
    Catalogue::embedded().hints.bias.iter().any(|word| last.eq_ignore_ascii_case(word)).then_some(stem)
}

/// The name without a last word such as `weight`.
pub(crate) fn weight_stem(suffix: &str) -> &str {
    match split_last_word(suffix) {
        Some((stem, last)) if ["weight", "w", "kernel", "gamma", "scale", "g"].contains(&last) => stem,
        _ => suffix,
    }
}

fn split_last_word(suffix: &str) -> Option<(&str, &str)> {
    suffix.rfind(['.', '_', '/']).map(|at| (&suffix[..at], &suffix[at + 1..]))
}

/// Gives each of `roles` one of as many `names` so that the words fit best. Names come in storage order and roles in
/// customary order, which decides between equal fits; the flag says that it had to.
pub(crate) fn assign(names: &[&str], roles: &[Role]) -> (Vec<Role>, bool) {
    debug_assert!(names.len() == roles.len() && roles.len() <= 4, "permutations are tried one by one");
    let scores: Vec<Vec<usize>> =
        names.iter().map(|name| roles.iter().map(|role| score(name, *role)).collect()).collect();
    let mut best: Option<(usize, Vec<usize>)> = None;
    let mut ties = false;
    for order in permutations(roles.len()) {
        let total = order.iter().enumerate().map(|(name, role)| scores[name][*role]).sum();
        match &best {
            Some((highest, _)) if total < *highest => {}
            Some((highest, _)) if total == *highest => ties = true,
            _ => (best, ties) = (Some((total, order)), false),
        }
    }
    let order = best.map(|(_, order)| order).unwrap_or_default();
    (order.into_iter().map(|role| roles[role]).collect(), ties)
}

/// All orders of `0..n`, the natural one first.
fn permutations(n: usize) -> Vec<Vec<usize>> {
    (0..n).fold(vec![Vec::new()], |shorter, _| {
        let longer = |order: &Vec<usize>| {
            (0..n)
                .filter(|next| !order.contains(next))
                .map(|next| [order.as_slice(), &[next]].concat())
                .collect::<Vec<_>>()
        };
        shorter.iter().flat_map(longer).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(names: &[&str], roles: &[Role], expect: &[Role], guessed: bool) {
        assert_eq!(assign(names, roles), (expect.to_vec(), guessed), "{names:?}");
    }

    #[test]
    fn words_choose_and_order_decides_the_rest() {
        use Role::*;
        check(&["mixer.wo.weight", "mixer.wq.weight"], &[Query, Output], &[Output, Query], false);
        check(&["ffn.w3", "ffn.w1"], &[Gate, Up], &[Up, Gate], false);
        check(&["x.a9", "x.a8"], &[Key, Value], &[Key, Value], true);
        check(
            &["norm_a", "norm_b"],
            &[AttentionNorm, FeedForwardNorm],
            &[AttentionNorm, FeedForwardNorm],
            false,
        );
        check(&["q", "z", "y", "o"], &[Query, Key, Value, Output], &[Query, Key, Value, Output], true);
    }

    #[test]
    fn stems() {
        assert_eq!(bias_stem("attn.in_proj_bias"), Some("attn.in_proj"));
        assert_eq!(bias_stem("norm.weight"), None);
        assert_eq!(weight_stem("attn.in_proj_weight"), "attn.in_proj");
        assert_eq!(component("vision_projector.query"), Some(Component::Connector));
        assert_eq!(component("x.y"), None);
    }
}
