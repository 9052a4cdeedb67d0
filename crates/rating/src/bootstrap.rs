//! Would other votes of the same kind have given other ratings? Clusters drawn anew, fitted again.

use crate::fit::{Design, Fit, Row, fit};
use crate::sandwich::Ballots;
use crate::votes::Outcome;
use stemmata_stats::SplitMix64;

/// Most votes that are drawn one by one for a sample.
pub(crate) const DRAWN: u64 = 1_000_000_000;

/// What resampling gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Resampled {
    /// Samples drawn.
    pub samples: u32,
    /// Samples without finite ratings for all contestants; they are in no interval.
    pub without_fit: u32,
    /// Percentile interval of each strength minus the mean, nats; empty where no sample has a fit.
    pub(crate) intervals: Vec<(f64, f64)>,
}

/// Draws as many clusters as there are, with replacement, and fits again (Efron 1979; clusters as units: Davison and Hinkley 1997,
/// 3.8). Where each vote is its own cluster, votes are drawn.
pub(crate) fn bootstrap(
    start: &Fit,
    design: &Design,
    ballots: &Ballots<'_>,
    samples: u32,
    level: f64,
    seed: u64,
) -> Resampled {
    let plan = Plan::new(design, ballots);
    let mut random = SplitMix64::new(seed ^ 0x626f_6f74_0000_0000);
    let mut strengths: Vec<Vec<f64>> = Vec::with_capacity(samples as usize);
    let mut counts = vec![0.0; design.rows.len() * 3];
    for _ in 0..samples {
        plan.draw(&mut random, &mut counts);
        let rows: Vec<Row> = design
            .rows
            .iter()
            .zip(counts.chunks_exact(3))
            .filter(|(_, c)| c.iter().any(|c| *c > 0.0))
            .map(|(row, c)| Row { votes: (c[0], c[1], c[2]), ..*row })
            .collect();
        let sample =
            Design { contestants: design.contestants, rows, terms: 0, values: Vec::new(), ridge: 0.0 };
        if sample.is_linked()
            && let Ok(fit) = fit(&sample, start.model, Some(start))
        {
            strengths.push(fit.strengths);
        }
    }
    let intervals = (0..design.contestants)
        .filter_map(|i| {
            let mut values: Vec<f64> = strengths.iter().map(|s| s[i]).collect();
            values.sort_by(f64::total_cmp);
            let tail = (1.0 - level) / 2.0;
            Some((quantile(&values, tail)?, quantile(&values, 1.0 - tail)?))
        })
        .collect();
    Resampled { samples, without_fit: samples - strengths.len() as u32, intervals }
}

/// Linear between order statistics (type 7 of Hyndman and Fan 1996).
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share * (sorted.len().checked_sub(1)?) as f64;
    let low = place.floor() as usize;
    let (a, b) = (sorted.get(low)?, sorted.get(low + 1).or(sorted.last())?);
    Some(a + (place - low as f64) * (b - a))
}

/// Where the votes of each cluster go.
enum Plan {
    /// Clusters: ends in the list of (slot, votes).
    Clusters { ends: Vec<u32>, slots: Vec<u32>, votes: Vec<f64> },
    /// Independent votes, drawn by the alias method (Walker 1977; Vose 1991).
    Votes { slots: Vec<u32>, keep: Vec<u64>, alias: Vec<u32>, total: u64 },
}

impl Plan {
    fn new(design: &Design, ballots: &Ballots<'_>) -> Plan {
        let pair = |row: &Row| (u64::from(row.first) << 32) | u64::from(row.second);
        let keys: Vec<u64> = design.rows.iter().map(pair).collect();
        let slot = |first: u32, second: u32, outcome: Outcome| -> Option<u32> {
            let (low, high) = (first.min(second), first.max(second));
            let row = keys.binary_search(&((u64::from(low) << 32) | u64::from(high))).ok()?;
            let kind = match outcome {
                Outcome::Tie | Outcome::BothBad => 2,
                Outcome::First => u32::from(first != low),
                Outcome::Second => u32::from(first == low),
            };
            Some(row as u32 * 3 + kind)
        };
        let (mut slots, mut votes, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        let mut cluster = None;
        for same in ballots.same {
            let (first, second) = (ballots.local[same.first as usize], ballots.local[same.second as usize]);
            if first == u32::MAX || second == u32::MAX {
                continue;
            }
            let Some(slot) = slot(first, second, same.outcome) else { continue };
            if cluster.is_some_and(|c| c != same.cluster) {
                ends.push(slots.len() as u32);
            }
            cluster = Some(same.cluster);
            slots.push(slot);
            votes.push(if ballots.independent { same.votes } else { same.votes * same.weight });
        }
        ends.push(slots.len() as u32);
        if !ballots.independent {
            return Plan::Clusters { ends, slots, votes };
        }
        let total: f64 = votes.iter().sum();
        let (keep, alias) = alias_table(&votes, total);
        Plan::Votes { slots, keep, alias, total: total as u64 }
    }

    fn draw(&self, random: &mut SplitMix64, counts: &mut [f64]) {
        counts.fill(0.0);
        match self {
            Plan::Clusters { ends, slots, votes } => {
                let mut times = vec![0_u32; ends.len()];
                for _ in 0..ends.len() {
                    times[random.below(ends.len() as u64) as usize] += 1;
                }
                let mut start = 0;
                for (end, times) in ends.iter().zip(times) {
                    let range = start..*end as usize;
                    start = *end as usize;
                    if times > 0 {
                        for (slot, votes) in slots[range.clone()].iter().zip(&votes[range]) {
                            counts[*slot as usize] += f64::from(times) * votes;
                        }
                    }
                }
            }
            Plan::Votes { slots, keep, alias, total } => {
                let n = slots.len() as u128;
                for _ in 0..*total {
                    let wide = u128::from(random.next_u64()) * n;
                    let (place, rest) = ((wide >> 64) as usize, wide as u64);
                    let chosen = if rest <= keep[place] { place } else { alias[place] as usize };
                    counts[slots[chosen] as usize] += 1.0;
                }
            }
        }
    }
}

/// For each place the share of 2^64 in which it is kept, and who is taken instead.
fn alias_table(weights: &[f64], total: f64) -> (Vec<u64>, Vec<u32>) {
    let n = weights.len();
    let mut scaled: Vec<f64> = weights.iter().map(|w| w * n as f64 / total).collect();
    let (mut keep, mut alias) = (vec![u64::MAX; n], (0..n as u32).collect::<Vec<_>>());
    let (mut small, mut large): (Vec<usize>, Vec<usize>) = (0..n).partition(|i| scaled[*i] < 1.0);
    while let (Some(low), Some(&high)) = (small.pop(), large.last()) {
        keep[low] = (scaled[low] * 2f64.powi(64)) as u64;
        alias[low] = high as u32;
        scaled[high] -= 1.0 - scaled[low];
        if scaled[high] < 1.0 {
            large.pop();
            small.push(high);
        }
    }
    (keep, alias)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alias_table_keeps_the_weights() {
        let weights = [5.0, 1.0, 0.0, 10.0, 4.0];
        let (keep, alias) = alias_table(&weights, 20.0);
        let mut shares = [0.0; 5];
        for i in 0..5 {
            let kept = keep[i] as f64 / 2f64.powi(64);
            shares[i] += kept / 5.0;
            shares[alias[i] as usize] += (1.0 - kept) / 5.0;
        }
        for (share, weight) in shares.iter().zip(weights) {
            assert!((share - weight / 20.0).abs() < 1e-12);
        }
    }

    #[test]
    fn quantiles_are_those_of_type_seven() {
        // numpy.quantile([1, 2, 3, 4], 0.3) = 1.9.
        assert!((quantile(&[1.0, 2.0, 3.0, 4.0], 0.3).unwrap() - 1.9).abs() < 1e-12);
        assert_eq!((quantile(&[7.0], 0.975), quantile(&[], 0.5)), (Some(7.0), None));
    }
}
