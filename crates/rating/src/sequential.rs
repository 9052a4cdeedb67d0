//! Who is certainly above whom, however often one has looked? Bets on the direct votes of each pair.

use crate::table::{Cell, Same};
use crate::votes::Outcome;
use stemmata_stats::betting_log10;

/// A pair whose order may be asserted at any time.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Who is above.
    pub above: String,
    /// Who is below.
    pub below: String,
    /// Decided votes (or clusters of votes) for the one above.
    pub wins: u64,
    /// Those for the one below.
    pub losses: u64,
    /// log10 of the e-value against "the chance of a win is at most one half each time".
    pub log10_e: f64,
}

/// All pairs by their direct votes.
#[derive(Clone, Debug, PartialEq)]
pub struct Sequential {
    /// Chance, at most, that any decision is ever wrong.
    pub alpha: f64,
    /// Ordered pairs of contestants, which the threshold is divided among.
    pub tests: u64,
    /// The most certain first.
    pub decisions: Vec<Decision>,
}

/// Bets on each ordered pair; decided where the e-value is at least tests/α (Ville 1939, Bonferroni). Ties and "both bad" are no
/// bets. Where votes come in clusters, each cluster is one bet, on which of the two it favours: votes of one person that follow
/// each other are no fair coins even if the contestants are equals.
pub(crate) fn sequential(
    names: &[String],
    pairs: &[Cell],
    clustered: Option<&[Same]>,
    alpha: f64,
) -> Sequential {
    let counts: Vec<(u32, u32, u64, u64)> = match clustered {
        None => pairs.iter().map(|p| (p.first, p.second, p.votes[0] as u64, p.votes[1] as u64)).collect(),
        Some(same) => by_cluster(same),
    };
    let n = names.len() as u64;
    let tests = n * n.saturating_sub(1);
    let threshold = (tests as f64 / alpha).log10();
    let mut decisions = Vec::new();
    for (first, second, wins, losses) in counts {
        for (above, below, wins, losses) in [(first, second, wins, losses), (second, first, losses, wins)] {
            let log10_e = betting_log10(wins, losses);
            if wins > losses && log10_e >= threshold {
                let (above, below) = (names[above as usize].clone(), names[below as usize].clone());
                decisions.push(Decision { above, below, wins, losses, log10_e });
            }
        }
    }
    decisions.sort_by(|a, b| {
        let names = |d: &Decision| (d.above.clone(), d.below.clone());
        b.log10_e.total_cmp(&a.log10_e).then_with(|| names(a).cmp(&names(b)))
    });
    Sequential { alpha, tests, decisions }
}

/// For each pair, how many clusters favour the lower number and how many the other.
fn by_cluster(same: &[Same]) -> Vec<(u32, u32, u64, u64)> {
    let mut nets: Vec<(u32, u32, u32, f64)> = Vec::new();
    for s in same {
        let sign = match s.outcome {
            Outcome::First => s.votes,
            Outcome::Second => -s.votes,
            Outcome::Tie | Outcome::BothBad => continue,
        };
        let (low, high) = (s.first.min(s.second), s.first.max(s.second));
        nets.push((low, high, s.cluster, if s.first == low { sign } else { -sign }));
    }
    nets.sort_unstable_by(|a, b| (a.0, a.1, a.2).cmp(&(b.0, b.1, b.2)).then(a.3.total_cmp(&b.3)));
    let mut out: Vec<(u32, u32, u64, u64)> = Vec::new();
    for cluster in nets.chunk_by(|a, b| (a.0, a.1, a.2) == (b.0, b.1, b.2)) {
        let net: f64 = cluster.iter().map(|c| c.3).sum();
        let (low, high) = (cluster[0].0, cluster[0].1);
        if out.last().is_none_or(|last| (last.0, last.1) != (low, high)) {
            out.push((low, high, 0, 0));
        }
        if let Some(last) = out.last_mut() {
            last.2 += u64::from(net > 0.0);
            last.3 += u64::from(net < 0.0);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_bet_once_for_whom_they_favour() {
        use Outcome::{First, Second, Tie};
        let same = |cluster, first, second, outcome, votes| Same {
            cluster,
            first,
            second,
            outcome,
            votes,
            weight: 1.0,
            row: 0,
        };
        let list = [
            same(0, 0, 1, First, 3.0),
            same(0, 1, 0, First, 1.0),
            same(1, 1, 0, Second, 1.0),
            same(2, 0, 1, Second, 2.0),
            same(3, 0, 1, First, 1.0),
            same(3, 0, 1, Second, 1.0),
            same(4, 0, 1, Tie, 9.0),
        ];
        assert_eq!(by_cluster(&list), [(0, 1, 2, 1)]);
    }

    #[test]
    fn clear_orders_are_decided_and_equals_are_not() {
        let names = ["a", "b", "c"].map(str::to_owned);
        let cell = |first, second, win, loss| Cell { first, second, votes: [win, loss, 5.0, 5.0] };
        let pairs = [cell(0, 1, 10.0, 90.0), cell(0, 2, 50.0, 50.0)];
        let found = sequential(&names, &pairs, None, 0.05);
        assert_eq!((found.tests, found.decisions.len()), (6, 1));
        assert_eq!((found.decisions[0].above.as_str(), found.decisions[0].below.as_str()), ("b", "a"));
    }
}
