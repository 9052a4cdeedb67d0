//! Numbered files: which are there, which are not, and which nobody mentions.

use crate::directory::beside_weights;
use std::collections::{BTreeMap, BTreeSet};
use stemmata_model::{Hazard, Level, printable};

/// Gaps told one by one; a name can claim a million shards.
const GAPS: usize = 16;

/// What `model-00002-of-00007.safetensors` says of itself.
pub(crate) struct Numbered<'a> {
    pub(crate) stem: &'a str,
    pub(crate) extension: &'a str,
    number: u32,
    total: u32,
}

/// The number of a shard, where its name has one.
pub(crate) fn numbered(name: &str) -> Option<Numbered<'_>> {
    let (rest, extension) = name.rsplit_once('.')?;
    let (rest, total) = rest.rsplit_once("-of-")?;
    let (stem, number) = rest.rsplit_once(['-', '_'])?;
    let digits = |text: &str| {
        let few = (1..=6).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        if few { text.parse().ok() } else { None }
    };
    Some(Numbered { stem, extension, number: digits(number)?, total: digits(total)? })
}

/// One hazard for each set of numbered files that is not whole.
pub(crate) fn missing(names: &[String]) -> Vec<Hazard> {
    let mut sets: BTreeMap<(&str, &str, u32), (BTreeSet<u32>, &str)> = BTreeMap::new();
    for name in names {
        if let Some(n) = numbered(name) {
            sets.entry((n.stem, n.extension, n.total)).or_insert((BTreeSet::new(), name)).0.insert(n.number);
        }
    }
    let hazard = |((_, _, total), (numbers, name)): ((&str, &str, u32), (BTreeSet<u32>, &str))| {
        let gaps = gaps(&numbers, total);
        (!gaps.is_empty()).then(|| Hazard {
            code: "missing-shards",
            level: Level::Warning,
            subject: printable(name),
            message: format!("{} of {total} shards were read; not read: {gaps}", numbers.len()),
        })
    };
    sets.into_iter().filter_map(hazard).collect()
}

/// Runs of numbers that are not in `numbers`, for instance `2, 4-7`. Some writers count from 0.
fn gaps(numbers: &BTreeSet<u32>, total: u32) -> String {
    let first = u32::from(!numbers.contains(&0));
    let end = first.saturating_add(total);
    let mut next = first;
    let mut gaps = Vec::new();
    for &number in numbers.iter().chain([&end]).filter(|n| **n <= end) {
        match number.saturating_sub(next) {
            0 => {}
            1 => gaps.push(next.to_string()),
            _ => gaps.push(format!("{next}-{}", number - 1)),
        }
        next = number.saturating_add(1);
    }
    if gaps.len() > GAPS {
        gaps.truncate(GAPS);
        gaps.push("…".to_owned());
    }
    gaps.join(", ")
}

/// Weight files of the same kind as the shards that the shard map does not mention.
pub(crate) fn unindexed<'a>(
    present: &'a [String],
    shards: &'a [String],
    extension: &'a str,
) -> impl Iterator<Item = Hazard> + 'a {
    let stray = move |name: &&String| {
        name.ends_with(extension) && shards.binary_search(name).is_err() && !beside_weights(name)
    };
    present.iter().filter(stray).map(|name| Hazard {
        code: "unindexed-file",
        level: Level::Warning,
        subject: printable(name),
        message: "it lies beside the shards and the shard map does not mention it; it was not read"
            .to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(names: &[&str], expect: &[&str]) {
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        let found: Vec<String> = missing(&names).into_iter().map(|h| h.message).collect();
        assert_eq!(found, expect, "{names:?}");
    }

    #[test]
    fn gaps_are_named() {
        check(&["model.safetensors", "a-of-b.bin", "x-1-of-.bin", "x-0000001-of-2.bin"], &[]);
        check(&["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"], &[]);
        check(&["m-00000-of-00002.bin", "m-00001-of-00002.bin"], &[]);
        check(&["m-00001-of-00002.safetensors"], &["1 of 2 shards were read; not read: 2"]);
        check(&["m_00003-of-00007.bin"], &["1 of 7 shards were read; not read: 1-2, 4-7"]);
        check(
            &["m-2-of-3.bin", "n-1-of-2.bin"],
            &["1 of 3 shards were read; not read: 1, 3", "1 of 2 shards were read; not read: 2"],
        );
    }

    #[test]
    fn a_name_that_claims_much_costs_little() {
        check(&["m-5-of-999999.bin"], &["1 of 999999 shards were read; not read: 1-4, 6-999999"]);
        check(&["m-7-of-0.bin"], &[]);
        let odd: Vec<String> = (0..9999).map(|n| format!("m-{}-of-99999.bin", 2 * n + 1)).collect();
        let message = &missing(&odd)[0].message;
        assert!(message.len() < 120 && message.ends_with(", 32, …"), "{message}");
    }
}
