//! How many of a list are something, when only a sample was looked at? Horvitz and Thompson's estimate from strata.

use stemmata_stats::{SplitMix64, Sum, hypergeometric_interval};

/// A stratum: a part of the list from which members were drawn at random, each with the same chance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stratum {
    /// Its name.
    pub name: String,
    /// Members.
    pub members: u64,
    /// Members that were looked at and gave an answer.
    pub sampled: u64,
    /// Those of them that are it.
    pub hits: u64,
}

/// What the sample says of the whole list.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate {
    /// Σ members·hits/sampled.
    pub total: f64,
    /// Its standard error; nothing where a stratum has one sampled member of several.
    pub standard_error: Option<f64>,
    /// Interval of the total.
    pub interval: (f64, f64),
    /// Members of strata from which nobody was looked at: the estimate is silent on them, the interval holds all that they may be.
    pub unseen: u64,
}

/// `wanted` of `members` numbers without replacement, or all, in ascending order: every set of that size is equally likely (the first of a
/// Fisher-Yates shuffle). Streams of one seed are independent of each other.
pub fn draw_without_replacement(members: usize, wanted: usize, seed: u64, stream: u64) -> Vec<usize> {
    // A generator started at `seed + stream` would give the same draws as that of the next seed.
    let mut random = SplitMix64::new(SplitMix64::new(seed).next_u64() ^ SplitMix64::new(!stream).next_u64());
    let mut places: Vec<usize> = (0..members).collect();
    let count = wanted.min(members);
    for i in 0..count {
        let other = i + random.below((members - i) as u64) as usize;
        places.swap(i, other);
    }
    places.truncate(count);
    places.sort_unstable();
    places
}

/// Horvitz and Thompson's total over strata (1952), its standard error with the finite population correction (Cochran 1977, 5.6), and
/// an interval: exact hypergeometric limits of each stratum, put together as squares of their distances to the estimate (MOVER: Zou
/// and Donner 2008), which stays honest where a stratum has no hit. With one stratum it is the exact interval. Strata from which
/// nobody was looked at widen the upper end by all their members.
///
/// `None` where nobody was looked at.
pub fn stratified_total(strata: &[Stratum], level: f64) -> Option<Estimate> {
    let seen: Vec<&Stratum> = strata.iter().filter(|s| s.sampled > 0).collect();
    if seen.is_empty() {
        return None;
    }
    let unseen: u64 = strata.iter().filter(|s| s.sampled == 0).map(|s| s.members).sum();
    let (mut total, mut variance) = (Sum::default(), Some(Sum::default()));
    let (mut below, mut above) = (Sum::default(), Sum::default());
    for s in seen {
        let (members, sampled) = (s.members as f64, s.sampled.min(s.members) as f64);
        let hits = s.hits.min(s.sampled) as f64;
        let estimate = members * hits / sampled;
        total.add(estimate);
        let share = hits / sampled;
        if members > sampled {
            variance = variance.filter(|_| sampled > 1.0);
            if let Some(sum) = &mut variance {
                sum.add(members * (members - sampled) * share * (1.0 - share) / (sampled - 1.0));
            }
        }
        let (low, high) = hypergeometric_interval(s.hits, s.sampled, s.members, level);
        below.add((estimate - low as f64).powi(2));
        above.add((high as f64 - estimate).powi(2));
    }
    let total = total.value();
    let interval = (total - below.value().sqrt(), total + above.value().sqrt() + unseen as f64);
    Some(Estimate { total, standard_error: variance.map(|v| v.value().sqrt()), interval, unseen })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stratum(members: u64, sampled: u64, hits: u64) -> Stratum {
        Stratum { name: String::new(), members, sampled, hits }
    }

    #[test]
    fn a_census_has_no_error_and_one_stratum_is_exact() {
        let census = stratified_total(&[stratum(10, 10, 4), stratum(5, 5, 0)], 0.95).unwrap();
        assert_eq!((census.total, census.standard_error, census.interval), (4.0, Some(0.0), (4.0, 4.0)));
        let one = stratified_total(&[stratum(20, 10, 0)], 0.95).unwrap();
        assert_eq!((one.total, one.interval), (0.0, (0.0, 4.0)));
    }

    #[test]
    fn by_hand() {
        // 100 members, 20 looked at, 5 hits; 400, 40, 2: 25 + 20 = 45.
        let found = stratified_total(&[stratum(100, 20, 5), stratum(400, 40, 2)], 0.95).unwrap();
        assert!((found.total - 45.0).abs() < 1e-12);
        let variance: f64 = 100.0 * 80.0 * 0.25 * 0.75 / 19.0 + 400.0 * 360.0 * 0.05 * 0.95 / 39.0;
        assert!((found.standard_error.unwrap() - variance.sqrt()).abs() < 1e-9);
        assert!(found.interval.0 < 45.0 - variance.sqrt() && found.interval.1 > 45.0 + variance.sqrt());
    }

    #[test]
    fn who_was_not_looked_at_is_counted_in_the_interval() {
        let found = stratified_total(&[stratum(10, 10, 4), stratum(7, 0, 0)], 0.95).unwrap();
        assert_eq!((found.total, found.interval, found.unseen), (4.0, (4.0, 11.0), 7));
        assert_eq!(stratified_total(&[stratum(7, 0, 0)], 0.95), None);
        assert_eq!(stratified_total(&[stratum(7, 1, 1)], 0.95).unwrap().standard_error, None);
    }
}
