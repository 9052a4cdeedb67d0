//! How far is the best of one set of contestants above the best of another, by published ratings?

use stemmata_stats::normal_quantile;

/// A published rating as used here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rated {
    /// Points.
    pub rating: f64,
    /// Its standard error.
    pub standard_error: f64,
}

/// One best against another.
#[derive(Clone, Debug, PartialEq)]
pub struct Contrast {
    /// Place of the contestant with the highest rating in the first set.
    pub first: usize,
    /// In the second set.
    pub second: usize,
    /// First minus second, points.
    pub difference: f64,
    /// Interval of the difference between these two contestants, as if they had been named beforehand.
    pub interval: (f64, f64),
    /// Interval of the difference between the best of the sets, whoever they are.
    pub whoever: (f64, f64),
}

/// Compares the best of two sets given as places in `ratings`; `None` where one is empty. Errors of different contestants are taken as
/// independent, because published tables give no covariances.
///
/// `whoever`: limits of all contestants in either set that hold together (Šidák 1967) give limits of the best of each set, the largest
/// lower and the largest upper one. That the highest rating tends to be too high is in it, and it is wide.
pub fn best_against_best(
    ratings: &[Rated],
    first: &[usize],
    second: &[usize],
    level: f64,
) -> Option<Contrast> {
    let best = |set: &[usize]| {
        set.iter().copied().max_by(|a, b| ratings[*a].rating.total_cmp(&ratings[*b].rating).then(b.cmp(a)))
    };
    let (a, b) = (best(first)?, best(second)?);
    let difference = ratings[a].rating - ratings[b].rating;
    let z = normal_quantile(0.5 + level / 2.0);
    let half = if a == b { 0.0 } else { z * ratings[a].standard_error.hypot(ratings[b].standard_error) };
    let mut all: Vec<usize> = first.iter().chain(second).copied().collect();
    all.sort_unstable();
    all.dedup();
    let together = normal_quantile(0.5 + 0.5 * level.powf(1.0 / all.len() as f64));
    let limits = |set: &[usize]| {
        let end = |sign: f64| {
            let ends = set.iter().map(|i| ratings[*i].rating + sign * together * ratings[*i].standard_error);
            ends.fold(f64::NEG_INFINITY, f64::max)
        };
        (end(-1.0), end(1.0))
    };
    let ((low_a, high_a), (low_b, high_b)) = (limits(first), limits(second));
    let contains = |outer: &[usize], inner: &[usize]| inner.iter().all(|i| outer.contains(i));
    // A best over more contestants is never below a best over some of them.
    let floor = if contains(first, second) { 0.0 } else { f64::NEG_INFINITY };
    let roof = if contains(second, first) { 0.0 } else { f64::INFINITY };
    let whoever = ((low_a - high_b).max(floor), (high_a - low_b).min(roof));
    Some(Contrast {
        first: a,
        second: b,
        difference,
        interval: (difference - half, difference + half),
        whoever,
    })
}

/// The chance that one of two contestants wins a vote, ties as halves, from their difference in points: 1/(1 + 10^(−d/400)).
pub fn win_rate(points: f64) -> f64 {
    1.0 / (1.0 + 10f64.powf(-points / 400.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rated(rating: f64, half: f64) -> Rated {
        Rated { rating, standard_error: half / normal_quantile(0.975) }
    }

    #[test]
    fn two_named_contestants() {
        let list = [rated(1441.2, 4.8), rated(1365.2, 4.4), rated(1300.0, 4.0)];
        let found = best_against_best(&list, &[0, 2, 1], &[2, 1], 0.95).unwrap();
        assert_eq!((found.first, found.second), (0, 1));
        assert!((found.difference - 76.0).abs() < 1e-9);
        let half = 4.8_f64.hypot(4.4);
        assert!((found.interval.1 - 76.0 - half).abs() < 1e-9);
        assert!(found.whoever.0 < found.interval.0 && found.whoever.1 > found.interval.1);
        assert!((win_rate(found.difference) - 0.6077).abs() < 1e-4);
        assert_eq!(best_against_best(&list, &[], &[1], 0.95), None);
        let same = best_against_best(&list, &[0, 1], &[0], 0.95).unwrap();
        assert_eq!((same.difference, same.interval), (0.0, (0.0, 0.0)));
        assert!(same.whoever.0 >= 0.0);
    }
}
