//! Parts of a table: by the values of a column, or by the time of a vote. And contestants that are one and the same.

use super::Votes;
use crate::tables::Date;
use std::collections::BTreeMap;

/// Which votes belong to one part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The column.
    pub column: String,
    /// What of its value counts.
    pub by: PartBy,
}

/// What of a value counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartBy {
    /// All of it.
    Value,
    /// The year of a date.
    Year,
    /// The quarter of a date.
    Quarter,
    /// The month of a date.
    Month,
}

/// Seconds of a day.
const DAY: f64 = 86_400.0;

impl PartBy {
    /// The part that a value belongs to; nothing where it is empty or no date. A date is written `2025-12-11`, or as seconds since 1970
    /// (milliseconds where they would lie beyond the year 5000).
    pub(super) fn key(self, text: &str) -> Option<String> {
        if self == PartBy::Value {
            return (!text.is_empty()).then(|| text.to_owned());
        }
        let day = match Date::parse(text) {
            Some(date) if date.as_str().len() >= 7 || self == PartBy::Year => date.as_str().to_owned(),
            _ => {
                let seconds = text.parse::<f64>().ok().filter(|s| (0.0..1e14).contains(s) && *s >= 1e6)?;
                let seconds = if seconds > 1e11 { seconds / 1000.0 } else { seconds };
                civil((seconds / DAY).floor() as i64)
            }
        };
        let month = day.get(5..7).and_then(|m| m.parse::<u32>().ok()).unwrap_or(1);
        let year = day.get(..4)?;
        Some(match self {
            PartBy::Year => year.to_owned(),
            PartBy::Quarter => format!("{year}-Q{}", month.div_ceil(3)),
            _ => format!("{year}-{month:02}"),
        })
    }
}

/// In what a time since 1970-01-01 is counted.
#[cfg(feature = "parquet")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Days,
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

/// A time as text, `2025-12-11T09:30:00.5`, in the calendar that it was counted in.
#[cfg(feature = "parquet")]
pub(super) fn instant(value: i64, unit: Unit) -> String {
    let (per_second, width) = match unit {
        Unit::Days => return civil(value),
        Unit::Milliseconds => (1_000, 3),
        Unit::Microseconds => (1_000_000, 6),
        Unit::Nanoseconds => (1_000_000_000, 9),
    };
    let (seconds, rest) = (value.div_euclid(per_second), value.rem_euclid(per_second));
    let (day, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let clock = format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60);
    let fraction = if rest == 0 { String::new() } else { format!(".{rest:0width$}") };
    format!("{}T{clock}{}", civil(day), fraction.trim_end_matches('0'))
}

/// The day in the Gregorian calendar, from days since 1970-01-01 (Hinnant 2013, days_from_civil turned round).
fn civil(days: i64) -> String {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

impl Votes {
    /// The votes of one part, with the contestants that are in it. Numbers of clusters start from 0 again.
    pub fn only(&self, part: u32) -> Votes {
        let rows: Vec<usize> = (0..self.len()).filter(|row| self.part.get(*row) == Some(&part)).collect();
        let mut there = vec![false; self.contestants.len()];
        rows.iter().for_each(|row| {
            there[self.first[*row] as usize] = true;
            there[self.second[*row] as usize] = true;
        });
        let mut places = vec![u32::MAX; there.len()];
        let mut contestants = Vec::new();
        for (i, name) in self.contestants.iter().enumerate().filter(|(i, _)| there[*i]) {
            places[i] = contestants.len() as u32;
            contestants.push(name.clone());
        }
        let clusters = self.clusters.iter().map(|column| {
            let mut seen: Vec<u32> = rows.iter().map(|row| column[*row]).collect();
            seen.sort_unstable();
            seen.dedup();
            // INVARIANT: every value was put into the list above.
            rows.iter().map(|row| seen.binary_search(&column[*row]).unwrap_or(0) as u32).collect()
        });
        fn pick<T: Copy>(rows: &[usize], column: &[T]) -> Vec<T> {
            if column.is_empty() { Vec::new() } else { rows.iter().map(|row| column[*row]).collect() }
        }
        Votes {
            first: rows.iter().map(|row| places[self.first[*row] as usize]).collect(),
            second: rows.iter().map(|row| places[self.second[*row] as usize]).collect(),
            outcome: pick(&rows, &self.outcome),
            count: pick(&rows, &self.count),
            weight: pick(&rows, &self.weight),
            clusters: clusters.collect(),
            styles: self.styles.iter().map(|column| pick(&rows, column)).collect(),
            part: Vec::new(),
            parts: Vec::new(),
            contestants,
        }
    }

    /// The votes with contestants of one group counted as one, under the first of their names; `groups` holds names that are the same
    /// contestant. Also the votes between members of a group, which say nothing and are left out.
    pub fn merged(&self, groups: &[Vec<String>]) -> (Votes, u64) {
        let mut stands_for: BTreeMap<&str, &str> = BTreeMap::new();
        for group in groups {
            let mut present: Vec<&str> = group
                .iter()
                .map(String::as_str)
                .filter(|n| self.contestants.binary_search_by(|c| c.as_str().cmp(n)).is_ok())
                .collect();
            present.sort_unstable();
            if let Some((first, rest)) = present.split_first() {
                stands_for.extend(rest.iter().map(|name| (*name, *first)));
            }
        }
        let name = |i: u32| {
            let own = self.contestants[i as usize].as_str();
            stands_for.get(own).copied().unwrap_or(own)
        };
        let mut contestants: Vec<String> =
            (0..self.contestants.len() as u32).map(|i| name(i).to_owned()).collect();
        contestants.sort_unstable();
        contestants.dedup();
        // INVARIANT: every name that stands for a contestant is in the list.
        let place = |i: u32| contestants.binary_search_by(|c| c.as_str().cmp(name(i))).unwrap_or(0) as u32;
        let mut whole = self.clone();
        whole.first.iter_mut().for_each(|i| *i = place(*i));
        whole.second.iter_mut().for_each(|i| *i = place(*i));
        whole.contestants.clone_from(&contestants);
        let keep: Vec<bool> = whole.first.iter().zip(&whole.second).map(|(a, b)| a != b).collect();
        let gone = (0..whole.len()).filter(|row| !keep[*row]).map(|row| whole.count(row)).sum();
        fn retain<T>(column: &mut Vec<T>, keep: &[bool]) {
            let mut kept = keep.iter();
            if !column.is_empty() {
                column.retain(|_| kept.next().copied().unwrap_or(true));
            }
        }
        retain(&mut whole.first, &keep);
        retain(&mut whole.second, &keep);
        retain(&mut whole.outcome, &keep);
        retain(&mut whole.count, &keep);
        retain(&mut whole.weight, &keep);
        retain(&mut whole.part, &keep);
        whole.clusters.iter_mut().for_each(|column| retain(column, &keep));
        whole.styles.iter_mut().for_each(|column| retain(column, &keep));
        (whole, gone)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Outcome;
    use super::*;

    #[test]
    fn dates_and_seconds_fall_into_the_same_parts() {
        for (text, month, quarter) in [
            ("2024-08-14", "2024-08", "2024-Q3"),
            ("1723640000.5", "2024-08", "2024-Q3"),
            ("1723640000000", "2024-08", "2024-Q3"),
            ("2000-02-29T23:59:59", "2000-02", "2000-Q1"),
        ] {
            assert_eq!(PartBy::Month.key(text).as_deref(), Some(month), "{text}");
            assert_eq!(PartBy::Quarter.key(text).as_deref(), Some(quarter), "{text}");
        }
        assert_eq!((PartBy::Month.key("2024"), PartBy::Year.key("2024")), (None, Some("2024".to_owned())));
        assert_eq!((PartBy::Month.key("soon"), PartBy::Value.key("")), (None, None));
        assert_eq!(
            (civil(0), civil(11_016), civil(-1)),
            ("1970-01-01".into(), "2000-02-29".into(), "1969-12-31".into())
        );
    }

    #[cfg(feature = "parquet")]
    #[test]
    fn times_are_written_as_dates() {
        for (value, unit, text) in [
            (1_723_640_000_500, Unit::Milliseconds, "2024-08-14T12:53:20.5"),
            (1_723_640_000_000_000, Unit::Microseconds, "2024-08-14T12:53:20"),
            (-1, Unit::Nanoseconds, "1969-12-31T23:59:59.999999999"),
            (11_016, Unit::Days, "2000-02-29"),
        ] {
            assert_eq!(instant(value, unit), text);
            assert!(PartBy::Month.key(text).is_some());
        }
        for value in [i64::MIN, i64::MAX] {
            instant(value, Unit::Milliseconds);
        }
    }

    #[test]
    fn clones_count_once_and_parts_keep_their_own_contestants() {
        let votes = Votes {
            contestants: ["a", "b", "c", "d"].map(str::to_owned).to_vec(),
            first: vec![0, 1, 2, 0],
            second: vec![1, 2, 3, 2],
            outcome: vec![Outcome::First; 4],
            count: vec![5, 1, 1, 1],
            part: vec![0, 0, 1, 1],
            clusters: vec![vec![9, 9, 4, 9]],
            ..Votes::default()
        };
        let (merged, gone) = votes.merged(&[vec!["b".to_owned(), "a".to_owned(), "nobody".to_owned()]]);
        assert_eq!((merged.contestants.join(""), gone), ("acd".to_owned(), 5));
        assert_eq!((merged.first.as_slice(), merged.second.as_slice()), (&[0, 1, 0][..], &[1, 2, 1][..]));
        let part = votes.only(1);
        assert_eq!((part.contestants.join(""), part.clusters[0].as_slice()), ("acd".to_owned(), &[0, 1][..]));
    }
}
