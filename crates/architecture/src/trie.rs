//! Patterns over dot-separated names, compiled to a tree of tokens.
//!
//! Answers: *which pattern does this name match, and what do its captures hold?* Must not know: roles, families.

use std::collections::BTreeMap;

/// Most layer numbers in one name: level, block and layer of a U-Net.
pub(crate) const DEPTH: usize = 3;

/// What a name's captures held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Captures {
    /// `{L}`, from the left, and `{R}` counted down from the largest number.
    pub(crate) layers: [Option<u32>; DEPTH],
    /// `{E}`.
    pub(crate) expert: Option<u32>,
}

impl Captures {
    /// With one more layer number before those that are there. Patterns have no more than [`DEPTH`].
    fn inside(mut self, number: u32) -> Captures {
        self.layers.rotate_right(1);
        self.layers[0] = Some(number);
        self
    }
}

/// A set of patterns; each carries an index of the caller's.
#[derive(Debug, Default)]
pub(crate) struct Trie {
    children: BTreeMap<String, Trie>,
    layer: Option<Box<Trie>>,
    reversed: Option<Box<Trie>>,
    expert: Option<Box<Trie>>,
    value: Option<usize>,
}

impl Trie {
    /// Adds a pattern; a later equal pattern replaces the earlier one.
    pub(crate) fn insert(&mut self, pattern: &str, value: usize) -> Result<(), String> {
        let mut node = self;
        if tokens(pattern).iter().filter(|token| matches!(**token, "{L}" | "{R}")).count() > DEPTH {
            return Err(format!("too many layer numbers in pattern `{pattern}`"));
        }
        for token in tokens(pattern) {
            node = match token {
                "{L}" => node.layer.get_or_insert_default(),
                "{R}" => node.reversed.get_or_insert_default(),
                "{E}" => node.expert.get_or_insert_default(),
                _ if token.is_empty() || token.contains(['{', '}']) => {
                    return Err(format!("bad token in pattern `{pattern}`"));
                }
                _ => node.children.entry(token.to_owned()).or_default(),
            };
        }
        node.value = Some(value);
        Ok(())
    }

    /// The value of the pattern that matches all of `name`; literal tokens win over captures.
    pub(crate) fn find(&self, name: &[&str]) -> Option<(usize, Captures)> {
        let Some((token, rest)) = name.split_first() else {
            return self.value.map(|value| (value, Captures::default()));
        };
        if let Some(found) = self.children.get(*token).and_then(|child| child.find(rest)) {
            return Some(found);
        }
        // A number is only a number in its shortest form, so that no two names give the same index.
        let number =
            token.parse::<u32>().ok().filter(|_| token.len() == 1 || !token.starts_with(['0', '+']))?;
        let layer = self.layer.as_ref().and_then(|child| child.find(rest));
        if let Some((value, captures)) = layer {
            return Some((value, captures.inside(number)));
        }
        if let Some((value, captures)) = self.reversed.as_ref().and_then(|child| child.find(rest)) {
            return Some((value, captures.inside(u32::MAX - number)));
        }
        let (value, captures) = self.expert.as_ref()?.find(rest)?;
        Some((value, Captures { expert: Some(number), ..captures }))
    }
}

/// The tokens of a dotted name; the empty name has none.
pub(crate) fn tokens(name: &str) -> Vec<&str> {
    if name.is_empty() { Vec::new() } else { name.split('.').collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, expect: Option<(usize, Option<u32>, Option<u32>)>) {
        let mut trie = Trie::default();
        for (value, pattern) in
            ["", "a.{L}.b", "a.{L}.x.{E}.w", "a.7.c", "u.{L}.t.{L}.w", "v.{R}.w"].iter().enumerate()
        {
            trie.insert(pattern, value).unwrap();
        }
        let found = trie.find(&tokens(name)).map(|(value, c)| (value, c.layers[0], c.layers[1].or(c.expert)));
        assert_eq!(found, expect, "{name}");
    }

    #[test]
    fn captures() {
        check("", Some((0, None, None)));
        check("a.3.b", Some((1, Some(3), None)));
        check("a.7.b", Some((1, Some(7), None)));
        check("a.7.c", Some((3, None, None)));
        check("a.3.x.11.w", Some((2, Some(3), Some(11))));
        check("u.3.t.0.w", Some((4, Some(3), Some(0))));
        check("v.3.w", Some((5, Some(u32::MAX - 3), None)));
        for miss in ["a", "a.b", "a.-1.b", "a.+1.b", "a.03.b", "a.99999999999.b", "a.3.b.c", "a..b", "."] {
            check(miss, None);
        }
    }

    #[test]
    fn bad_patterns_are_refused() {
        for pattern in ["a..b", "{X}", "a.{L", ".", "{L}.{L}.{L}.{R}"] {
            assert!(Trie::default().insert(pattern, 0).is_err(), "{pattern}");
        }
    }
}
