//! Online Elo, as leaderboards of 2023 had it: a view for comparison only. Its numbers depend on the order of votes.

use crate::votes::{Outcome, Votes};
use stemmata_stats::SplitMix64;

/// Where everybody begins, points a vote can move at most, and votes beyond which reordering is not done.
const START: f64 = 1000.0;
const STEP: f64 = 4.0;
const MOST: u64 = 20_000_000;

/// Online Elo of one contestant.
#[derive(Clone, Debug, PartialEq)]
pub struct LegacyElo {
    /// Its name.
    pub contestant: String,
    /// Lowest over the orders that were tried.
    pub low: f64,
    /// Median.
    pub median: f64,
    /// Highest.
    pub high: f64,
    /// Best and worst place over the orders.
    pub places: (u32, u32),
}

/// Online Elo (K = 4, from 1000) over `orders` random orders of the same votes, drawn from the seed; ties and "both bad" are halves.
/// Weights are not used. Nothing where there are more than twenty million votes. By median, the highest first.
pub fn legacy_elo(votes: &Votes, orders: u32, seed: u64) -> Option<Vec<LegacyElo>> {
    let total = votes.total();
    if total > MOST || orders == 0 {
        return None;
    }
    let n = votes.contestants.len();
    // In an order of their own before they are shuffled, so that the order of the file leaves no trace.
    let mut list: Vec<(u32, u32, u8)> = Vec::with_capacity(total as usize);
    for row in 0..votes.len() {
        let halves = match votes.outcome[row] {
            Outcome::First => 2,
            Outcome::Second => 0,
            Outcome::Tie | Outcome::BothBad => 1,
        };
        let vote = (votes.first[row], votes.second[row], halves);
        list.extend(std::iter::repeat_n(vote, votes.count(row) as usize));
    }
    list.sort_unstable();
    let mut random = SplitMix64::new(seed ^ 0x656c_6f00_0000_0000);
    let mut values: Vec<Vec<f64>> = vec![Vec::with_capacity(orders as usize); n];
    let mut places = vec![(u32::MAX, 0); n];
    for _ in 0..orders {
        random.shuffle(&mut list);
        let ratings = run(n, &list);
        for (place, i) in crate::ranks::order(&ratings).into_iter().enumerate() {
            let place = place as u32 + 1;
            places[i] = (places[i].0.min(place), places[i].1.max(place));
        }
        values.iter_mut().zip(ratings).for_each(|(list, rating)| list.push(rating));
    }
    let mut out: Vec<LegacyElo> = values
        .into_iter()
        .enumerate()
        .map(|(i, mut list)| {
            list.sort_by(f64::total_cmp);
            let median = 0.5 * (list[(list.len() - 1) / 2] + list[list.len() / 2]);
            let (low, high) = (list[0], list[list.len() - 1]);
            LegacyElo { contestant: votes.contestants[i].clone(), low, median, high, places: places[i] }
        })
        .collect();
    out.sort_by(|a, b| b.median.total_cmp(&a.median).then_with(|| a.contestant.cmp(&b.contestant)));
    Some(out)
}

fn run(n: usize, votes: &[(u32, u32, u8)]) -> Vec<f64> {
    let mut ratings = vec![START; n];
    for (first, second, halves) in votes {
        let (a, b) = (*first as usize, *second as usize);
        let expected = 1.0 / (1.0 + 10f64.powf((ratings[b] - ratings[a]) / 400.0));
        let moved = STEP * (0.5 * f64::from(*halves) - expected);
        ratings[a] += moved;
        ratings[b] -= moved;
    }
    ratings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_vote_moves_half_a_step_and_order_changes_the_rest() {
        assert_eq!(run(2, &[(0, 1, 2)]), [1002.0, 998.0]);
        let mut votes = Votes { contestants: vec!["a".to_owned(), "b".to_owned()], ..Votes::default() };
        for row in 0..200 {
            votes.first.push(0);
            votes.second.push(1);
            votes.outcome.push(if row < 120 { Outcome::First } else { Outcome::Second });
        }
        let found = legacy_elo(&votes, 50, 1).unwrap();
        assert_eq!(found[0].contestant, "a");
        assert!(found[0].high - found[0].low > 5.0, "{found:?}");
        assert!((found[0].median + found[1].median - 2000.0).abs() < 1e-9);
        let mut turned = votes.clone();
        turned.outcome.reverse();
        assert_eq!(legacy_elo(&turned, 50, 1).unwrap(), found);
        votes.count = vec![1_000_000; 200];
        assert_eq!(legacy_elo(&votes, 1, 1), None);
    }
}
