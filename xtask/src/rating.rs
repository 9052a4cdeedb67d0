//! Do the intervals of ratings cover what they say, where votes of one session depend on each other?
//!
//! `cargo xtask rating [--sets N] [--out FILE] [--date TEXT]` draws data sets whose truth is known and writes a table.

use super::{Failure, no_more, take_option};
use std::fmt::Write;
use stemmata_rating::votes::{Outcome, Votes};
use stemmata_rating::{Model, Options, Standings, rate};
use stemmata_stats::{SplitMix64, betting_log10, binomial_interval};

/// Contestants of a data set.
const CONTESTANTS: usize = 20;
/// Sessions of a data set, and most votes in one.
const SESSIONS: u32 = 400;
const LONGEST: u64 = 8;
/// Standard deviations of strengths, and of what a session thinks of each contestant beside that; nats.
const SPREAD: f64 = 0.6;
const MOOD: f64 = 0.7;
/// Coefficient of the style in the data sets that have one, nats per standard deviation.
const STYLE: f64 = 0.25;
/// Chance of a wrong decision that the bets are held against.
const ALPHA: f64 = 0.05;

pub(crate) fn run(options: &[String]) -> Result<(), Failure> {
    let mut options = options.to_vec();
    let number = |text: Option<String>, otherwise: u64| match text {
        None => Ok(otherwise),
        Some(text) => text.parse().map_err(|_| Failure::Usage(format!("`{text}` is no number"))),
    };
    let sets = number(take_option(&mut options, "--sets")?, 500)?;
    let out = take_option(&mut options, "--out")?;
    let date = take_option(&mut options, "--date")?.unwrap_or_else(|| "undated".to_owned());
    no_more(&options)?;
    let text = study(sets, &date)?;
    match out {
        Some(path) => std::fs::write(path, text)?,
        None => print!("{text}"),
    }
    Ok(())
}

/// Hits of trials.
#[derive(Default)]
pub(crate) struct Share {
    hits: u64,
    trials: u64,
}

impl Share {
    pub(crate) fn add(&mut self, hit: bool) {
        self.hits += u64::from(hit);
        self.trials += 1;
    }

    pub(crate) fn row(&self, what: &str, wanted: &str) -> String {
        let interval = binomial_interval(self.hits, self.trials, 0.95);
        let percent = |x: f64| format!("{:.1} %", 100.0 * x);
        format!(
            "| {what} | {} of {} | {} | {} to {} | {wanted} |\n",
            self.hits,
            self.trials,
            percent(self.hits as f64 / self.trials.max(1) as f64),
            percent(interval.low),
            percent(interval.high)
        )
    }
}

fn study(sets: u64, date: &str) -> Result<String, Failure> {
    let mut text = format!(
        "| {date}, {sets} data sets | count | share | Clopper-Pearson 95 % | wanted |\n|---|--:|--:|--:|--:|\n"
    );
    for model in Model::ALL {
        coverage(sets, model, &mut text)?;
    }
    style(sets, &mut text)?;
    peeking(sets, &mut text);
    Ok(text)
}

/// What a set of sessions is drawn from.
struct World {
    strengths: Vec<f64>,
    mood: f64,
    /// Rao and Kupper's η.
    ties: f64,
}

impl World {
    fn new(random: &mut SplitMix64, mood: f64) -> World {
        World { strengths: (0..CONTESTANTS).map(|_| SPREAD * random.normal()).collect(), mood, ties: 1.6 }
    }

    fn table(&self) -> Votes {
        Votes {
            contestants: (0..self.strengths.len()).map(|i| format!("c{i:02}")).collect(),
            clusters: vec![Vec::new()],
            ..Votes::default()
        }
    }

    fn outcome(&self, d: f64, random: &mut SplitMix64) -> Outcome {
        let (win, loss) = (1.0 / (1.0 + self.ties * (-d).exp()), 1.0 / (1.0 + self.ties * d.exp()));
        match random.uniform() {
            u if u < win => Outcome::First,
            u if u < win + loss => Outcome::Second,
            _ => Outcome::Tie,
        }
    }

    /// Sessions in which the same person judges up to eight pairs by strengths of its own.
    fn draw(&self, random: &mut SplitMix64) -> Votes {
        let mut table = self.table();
        let n = self.strengths.len() as u64;
        for session in 0..SESSIONS {
            let own: Vec<f64> = self.strengths.iter().map(|s| s + self.mood * random.normal()).collect();
            for _ in 0..1 + random.below(LONGEST) {
                let first = random.below(n);
                let second = (first + 1 + random.below(n - 1)) % n;
                let outcome = self.outcome(own[first as usize] - own[second as usize], random);
                table.first.push(first as u32);
                table.second.push(second as u32);
                table.outcome.push(outcome);
                table.clusters[0].push(session);
            }
        }
        table
    }

    /// What each model estimates: its fit to the expected votes, moods integrated out on a grid.
    fn truth(&self, model: Model) -> Result<Vec<f64>, Failure> {
        let mut table = self.table();
        table.clusters = Vec::new();
        let spread = self.mood * std::f64::consts::SQRT_2;
        for first in 0..CONTESTANTS {
            for second in first + 1..CONTESTANTS {
                let d = self.strengths[first] - self.strengths[second];
                let mut shares = [0.0; 3];
                let mut weights = 0.0;
                for step in -40..=40 {
                    let z = f64::from(step) * 0.125;
                    let weight = (-0.5 * z * z).exp();
                    let at = d + spread * z;
                    let (win, loss) =
                        (1.0 / (1.0 + self.ties * (-at).exp()), 1.0 / (1.0 + self.ties * at.exp()));
                    weights += weight;
                    for (share, p) in shares.iter_mut().zip([win, loss, 1.0 - win - loss]) {
                        *share += weight * p;
                    }
                }
                for (outcome, share) in
                    [Outcome::First, Outcome::Second, Outcome::Tie].into_iter().zip(shares)
                {
                    table.first.push(first as u32);
                    table.second.push(second as u32);
                    table.outcome.push(outcome);
                    table.count.push((share / weights * 1e9).round() as u64);
                }
            }
        }
        Ok(values(&rate(&table, &Options { model, ..Options::default() })?, |r| r.value))
    }
}

/// A number of each contestant, in the order of names.
fn values(standings: &Standings, f: impl Fn(&stemmata_rating::Rating) -> f64) -> Vec<f64> {
    let mut rows: Vec<(&str, f64)> = Vec::new();
    for c in &standings.contestants {
        rows.push((&c.name, c.rating.as_ref().map_or(f64::NAN, &f)));
    }
    rows.sort_by(|a, b| a.0.cmp(b.0));
    rows.into_iter().map(|(_, value)| value).collect()
}

fn coverage(sets: u64, model: Model, text: &mut String) -> Result<(), Failure> {
    let [mut single, mut naive, mut joint, mut ranks, mut resampled] =
        std::array::from_fn(|_| Share::default());
    for set in 0..sets {
        let mut random = SplitMix64::new(1_000_003 * set + 17);
        let world = World::new(&mut random, MOOD);
        let truth = world.truth(model)?;
        let table = world.draw(&mut random);
        let bootstrap = if model == Model::BradleyTerry { 200 } else { 0 };
        let options = Options { model, seed: set, bootstrap, ..Options::default() };
        let clustered = rate(&table, &options)?;
        let plain = Options { bootstrap: 0, ..options };
        let single_votes = rate(&Votes { clusters: Vec::new(), ..table }, &plain)?;
        let ends = |s: &Standings, f: &dyn Fn(&stemmata_rating::Rating) -> (f64, f64)| {
            values(s, |r| f(r).0).into_iter().zip(values(s, |r| f(r).1)).collect::<Vec<_>>()
        };
        let inside = |(low, high): &(f64, f64), truth: &f64| low <= truth && truth <= high;
        let of = |s: &Standings, f: &dyn Fn(&stemmata_rating::Rating) -> (f64, f64)| -> Vec<bool> {
            ends(s, f).iter().zip(&truth).map(|(ends, truth)| inside(ends, truth)).collect()
        };
        of(&clustered, &|r| r.interval).into_iter().for_each(|hit| single.add(hit));
        of(&single_votes, &|r| r.interval).into_iter().for_each(|hit| naive.add(hit));
        joint.add(of(&clustered, &|r| r.simultaneous).into_iter().all(|hit| hit));
        if bootstrap > 0 {
            let none = (f64::NAN, f64::NAN);
            of(&clustered, &|r| r.bootstrap.unwrap_or(none)).into_iter().for_each(|hit| resampled.add(hit));
        }
        let sets_of_ranks = ends(&clustered, &|r| (f64::from(r.rank.0), f64::from(r.rank.1)));
        ranks.add(sets_of_ranks.iter().zip(&truth).all(|(set, own)| {
            inside(set, &(1.0 + truth.iter().filter(|other| *other > own).count() as f64))
        }));
    }
    let name = model.name();
    text.push_str(&single.row(&format!("{name}: one interval, sessions as clusters"), "93 to 97 %"));
    text.push_str(
        &naive.row(&format!("{name}: the same with votes taken as independent"), "(for comparison)"),
    );
    text.push_str(&joint.row(&format!("{name}: all intervals together"), "94 % or more"));
    text.push_str(&ranks.row(&format!("{name}: all rank sets together"), "94 % or more"));
    if resampled.trials > 0 {
        text.push_str(&resampled.row(&format!("{name}: bootstrap of sessions, 200 samples"), "93 to 97 %"));
    }
    Ok(())
}

/// Contestants with a style of their own, votes that like it by 0.25.
fn style(sets: u64, text: &mut String) -> Result<(), Failure> {
    let (mut covered, mut sum, mut squares) = (Share::default(), 0.0, 0.0);
    for set in 0..sets {
        let mut random = SplitMix64::new(999_983 * set + 5);
        let world = World { ties: 1.0, ..World::new(&mut random, 0.0) };
        let own: Vec<f64> = (0..CONTESTANTS).map(|_| 0.5 * random.normal()).collect();
        let mut table = world.table();
        table.clusters = Vec::new();
        table.styles = vec![Vec::new()];
        let n = CONTESTANTS as u64;
        for _ in 0..4000 {
            let first = random.below(n) as usize;
            let second = (first + 1 + random.below(n - 1) as usize) % CONTESTANTS;
            let style = own[first] - own[second] + random.normal();
            let d = world.strengths[first] - world.strengths[second] + STYLE * style;
            table.first.push(first as u32);
            table.second.push(second as u32);
            table.outcome.push(world.outcome(d, &mut random));
            table.styles[0].push(style);
        }
        let standings = rate(&table, &Options { styles: vec!["style".to_owned()], ..Options::default() })?;
        let scale = standings.components[0].scale.as_ref().and_then(|s| s.as_ref().ok());
        let Some(Ok(terms)) = scale.and_then(|s| s.terms.as_ref()) else { continue };
        let deviation = terms[0].scale.map_or(f64::NAN, |s| s.1);
        let estimate = terms[0].estimate / deviation;
        let (low, high) = terms[0].interval;
        covered.add((low / deviation..=high / deviation).contains(&STYLE));
        sum += estimate;
        squares += estimate * estimate;
    }
    let count = covered.trials as f64;
    let mean = sum / count;
    let error = ((squares / count - mean * mean) / count).sqrt();
    let what = format!("style coefficient {STYLE}: mean estimate {mean:.4} ± {error:.4}; its interval");
    text.push_str(&covered.row(&what, "93 to 97 %"));
    Ok(())
}

/// Eight equals, looked at after every vote or session until 3,000: is a decision ever made?
fn peeking(sets: u64, text: &mut String) {
    let (mut votes, mut sessions, mut tested) = (Share::default(), Share::default(), Share::default());
    let n = 8_u64;
    let threshold = ((n * (n - 1)) as f64 / ALPHA).log10();
    for set in 0..sets {
        let mut random = SplitMix64::new(7_919 * set + 3);
        let mut wins = [[0_u64; 8]; 8];
        let (mut wrong, mut crossed) = (false, false);
        for _ in 0..3000 {
            let first = random.below(n) as usize;
            let second = (first + 1 + random.below(n - 1) as usize) % 8;
            wins[first][second] += 1;
            let (w, l) = (wins[first][second] as f64, wins[second][first] as f64);
            wrong |= betting_log10(w as u64, l as u64) >= threshold;
            // What a reader does who compares one pair, 0 with 1, with 1.96 standard errors after each vote.
            let pair = first.max(second) == 1;
            crossed |= pair && w + l >= 10.0 && (w - l).abs() > 1.96 * (w + l).sqrt();
        }
        votes.add(wrong);
        tested.add(crossed);
        // Persons with moods, equals on average; a session is one bet on the contestant that it favours.
        let mut wins = [[0_u64; 8]; 8];
        let mut wrong = false;
        for _ in 0..1000 {
            let own: Vec<f64> = (0..8).map(|_| MOOD * 2.0 * random.normal()).collect();
            let first = random.below(n) as usize;
            let second = (first + 1 + random.below(n - 1) as usize) % 8;
            let p = 1.0 / (1.0 + (own[second] - own[first]).exp());
            let net: i32 = (0..5).map(|_| if random.uniform() < p { 1 } else { -1 }).sum();
            let (better, worse) = if net > 0 { (first, second) } else { (second, first) };
            wins[better][worse] += 1;
            wrong |= betting_log10(wins[better][worse], wins[worse][better]) >= threshold;
        }
        sessions.add(wrong);
    }
    text.push_str(
        &votes.row("eight equals, looked at after each of 3,000 votes: any decision by bets", "5 % or less"),
    );
    text.push_str(&sessions.row("the same with 1,000 sessions of five votes and moods", "5 % or less"));
    let _ = write!(
        text,
        "{}",
        tested.row(
            "for comparison: one pair of them, 1.96 standard errors after each vote",
            "(for comparison)"
        )
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use stemmata_rating::POINTS;

    #[test]
    fn expected_votes_give_the_strengths_back_where_moods_are_none() {
        let mut random = SplitMix64::new(3);
        let world = World::new(&mut random, 0.0);
        let truth = world.truth(Model::RaoKupper).ok().unwrap();
        let mean = world.strengths.iter().sum::<f64>() / CONTESTANTS as f64;
        for (rating, strength) in truth.iter().zip(&world.strengths) {
            assert!((rating - 1000.0 - POINTS * (strength - mean)).abs() < 1e-4);
        }
    }

    #[test]
    fn a_small_study_is_complete() {
        let text = study(2, "today").ok().unwrap();
        assert_eq!(text.lines().count(), 2 + 13 + 4, "{text}");
    }
}
