//! How much may one voter ask, and all together? Counted in memory, by keyed hashes.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Voters that are remembered; beyond it those with a full allowance are forgotten.
const REMEMBERED: usize = 100_000;
const MINUTE: Duration = Duration::from_secs(60);

/// An allowance that is filled again evenly; `most` in a minute.
#[derive(Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Bucket {
    fn take(&mut self, most: u32, now: Instant) -> bool {
        self.fill(most, now);
        let enough = self.left >= 1.0;
        if enough {
            self.left -= 1.0;
        }
        enough
    }

    fn fill(&mut self, most: u32, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64() / MINUTE.as_secs_f64();
        self.left = (self.left + passed * f64::from(most)).min(f64::from(most));
        self.at = now;
    }
}

/// Why a voter has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// This voter asked often.
    Voter,
    /// All voters together asked often.
    Everybody,
}

/// The allowances.
pub(crate) struct Allowances {
    of_voter: u32,
    of_all: u32,
    all: Bucket,
    voters: HashMap<String, Bucket>,
}

impl Allowances {
    pub(crate) fn new(of_voter: u32, of_all: u32, now: Instant) -> Allowances {
        let all = Bucket { left: f64::from(of_all), at: now };
        Allowances { of_voter, of_all, all, voters: HashMap::new() }
    }

    /// Takes one of the voter's and one of all, or neither.
    pub(crate) fn take(&mut self, voter: &str, now: Instant) -> Result<(), Wait> {
        if self.voters.len() >= REMEMBERED {
            let most = self.of_voter;
            self.voters.retain(|_, bucket| {
                bucket.fill(most, now);
                bucket.left < f64::from(most)
            });
            if self.voters.len() >= REMEMBERED {
                return Err(Wait::Everybody);
            }
        }
        let full = Bucket { left: f64::from(self.of_voter), at: now };
        let bucket = self.voters.entry(voter.to_owned()).or_insert(full);
        bucket.fill(self.of_voter, now);
        if bucket.left < 1.0 {
            return Err(Wait::Voter);
        }
        if !self.all.take(self.of_all, now) {
            return Err(Wait::Everybody);
        }
        bucket.left -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_gets_more_than_the_share() {
        let start = Instant::now();
        let mut allowances = Allowances::new(2, 3, start);
        assert_eq!(allowances.take("a", start), Ok(()));
        assert_eq!(allowances.take("a", start), Ok(()));
        assert_eq!(allowances.take("a", start), Err(Wait::Voter));
        assert_eq!(allowances.take("b", start), Ok(()));
        assert_eq!(allowances.take("c", start), Err(Wait::Everybody));
        let later = start + MINUTE / 2;
        assert_eq!(allowances.take("a", later), Ok(()));
        assert_eq!(allowances.take("a", later), Err(Wait::Voter));
    }
}
