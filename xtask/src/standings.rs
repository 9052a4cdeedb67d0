//! Do the intervals of abilities and of counts by lineage cover what they say?
//!
//! `cargo xtask standings [--sets N] [--out FILE] [--date TEXT]` draws data sets whose truth is known and writes a table.

use super::rating::Share;
use super::{Failure, no_more, take_option};
use stemmata_rating::ability::{Abilities, AbilityOptions, AbilityScale, Score, Scores, abilities};
use stemmata_rating::{Rated, Stratum, best_against_best, stratified_total};
use stemmata_stats::SplitMix64;

pub(crate) fn run(options: &[String]) -> Result<(), Failure> {
    let mut options = options.to_vec();
    let sets = match take_option(&mut options, "--sets")? {
        None => 500,
        Some(text) => text.parse().map_err(|_| Failure::Usage(format!("`{text}` is no number")))?,
    };
    let out = take_option(&mut options, "--out")?;
    let date = take_option(&mut options, "--date")?.unwrap_or_else(|| "undated".to_owned());
    no_more(&options)?;
    let text = study(sets, &date);
    match out {
        Some(path) => std::fs::write(path, text)?,
        None => print!("{text}"),
    }
    Ok(())
}

fn study(sets: u64, date: &str) -> String {
    let mut text = format!(
        "| {date}, {sets} data sets | count | share | Clopper-Pearson 95 % | wanted |\n|---|--:|--:|--:|--:|\n"
    );
    for world in WORLDS {
        world.coverage(sets, &mut text);
    }
    counts(sets, &mut text);
    leaders(sets, &mut text);
    text
}

/// What benchmark tables are drawn from.
struct World {
    name: &'static str,
    models: usize,
    units: usize,
    /// Standard deviation of what models do on a unit beside their ability, logits.
    spread: f64,
    /// Degrees of freedom of Student's t that it follows; 0 is normal.
    tails: u32,
    missing: f64,
}

const WORLDS: [World; 4] = [
    World {
        name: "30 models, 12 benchmarks, 30 % missing, no spread",
        models: 30,
        units: 12,
        spread: 0.0,
        tails: 0,
        missing: 0.3,
    },
    World {
        name: "30 models, 12 benchmarks, 30 % missing, spread 0.3",
        models: 30,
        units: 12,
        spread: 0.3,
        tails: 0,
        missing: 0.3,
    },
    World {
        name: "the same with heavy tails (t, 4)",
        models: 30,
        units: 12,
        spread: 0.3,
        tails: 4,
        missing: 0.3,
    },
    World {
        name: "10 models, 6 benchmarks, complete, spread 0.4",
        models: 10,
        units: 6,
        spread: 0.4,
        tails: 0,
        missing: 0.0,
    },
];

impl World {
    fn draw(&self, random: &mut SplitMix64) -> (Scores, Vec<f64>) {
        let theta: Vec<f64> = (0..self.models).map(|_| random.normal()).collect();
        let mut scores = Scores {
            models: (0..self.models).map(|i| format!("m{i:02}")).collect(),
            units: (0..self.units).map(|j| format!("u{j:02}")).collect(),
            cells: Vec::new(),
        };
        for unit in 0..self.units {
            let (slope, difficulty) = (0.5 + random.uniform(), 0.7 * random.normal());
            let items = [60_u32, 200, 1000][unit % 3];
            for (model, theta) in theta.iter().enumerate() {
                let p = 1.0 / (1.0 + (-(slope * (theta - difficulty) + self.noise(random))).exp());
                let right = (0..items).filter(|_| random.uniform() < p).count();
                if random.uniform() >= self.missing {
                    let (score, items) = (right as f64 / f64::from(items), f64::from(items));
                    scores.cells.push(Score { model: model as u32, unit: unit as u32, score, items });
                }
            }
        }
        (scores, theta)
    }

    fn noise(&self, random: &mut SplitMix64) -> f64 {
        let normal = random.normal();
        if self.tails == 0 {
            return self.spread * normal;
        }
        let freedom = f64::from(self.tails);
        let chi: f64 = (0..self.tails).map(|_| random.normal().powi(2)).sum();
        // A t with f degrees of freedom has the variance f/(f − 2).
        self.spread * normal / (chi / freedom).sqrt() / (freedom / (freedom - 2.0)).sqrt()
    }

    fn coverage(&self, sets: u64, text: &mut String) {
        let [mut single, mut jackknife, mut joint, mut ranks] = std::array::from_fn(|_| Share::default());
        let mut without = 0_u64;
        for set in 0..sets {
            let mut random = SplitMix64::new(7_368_787 * set + 29);
            let (scores, theta) = self.draw(&mut random);
            let options = AbilityOptions { weightings: 10, seed: set, ..AbilityOptions::default() };
            let found = abilities(&scores, &options);
            let Some(scale) = whole(&found, self.models) else {
                without += 1;
                continue;
            };
            let n = theta.len() as f64;
            let mean = theta.iter().sum::<f64>() / n;
            let deviation = (theta.iter().map(|t| (t - mean).powi(2)).sum::<f64>() / n).sqrt();
            let place = |truth: f64| 1 + theta.iter().filter(|t| **t > truth).count() as u32;
            let (mut all, mut placed) = (true, true);
            for ability in &scale.models {
                let truth = theta[ability.model[1..].parse::<usize>().unwrap_or(0)];
                let own = (truth - mean) / deviation;
                let inside = |(low, high): (f64, f64)| (low..=high).contains(&own);
                single.add(inside(ability.interval));
                all &= inside(ability.simultaneous);
                placed &= (ability.rank.0..=ability.rank.1).contains(&place(truth));
                if let Some(error) = ability.jackknife {
                    let half = stemmata_stats::student_quantile(0.975, (self.units - 1) as f64) * error;
                    jackknife.add(inside((ability.value - half, ability.value + half)));
                }
            }
            joint.add(all);
            ranks.add(placed);
        }
        let name = self.name;
        text.push_str(&single.row(&format!("{name}: one interval"), "93 to 97 %"));
        text.push_str(&joint.row(&format!("{name}: all intervals together"), "94 % or more"));
        text.push_str(&ranks.row(&format!("{name}: all rank sets together"), "94 % or more"));
        text.push_str(&jackknife.row(&format!("{name}: jackknife over benchmarks"), "(for comparison)"));
        if without > 0 {
            text.push_str(&format!("| {name}: data sets without a scale | {without} of {sets} | | | |\n"));
        }
    }
}

fn whole(found: &Abilities, models: usize) -> Option<&AbilityScale> {
    let scale = found.groups.first()?.scale.as_ref().ok()?;
    (scale.models.len() == models).then_some(scale)
}

/// Lists with tagged and untagged members, of which some are looked at.
fn counts(sets: u64, text: &mut String) {
    // Members and share of hits by stratum, sampled: precise tags and rare hits without a tag; the rest is for the corners.
    type Design = (&'static str, &'static [(u64, f64, u64)]);
    let designs: [Design; 4] = [
        (
            "200 tagged (95 %), 3,000 untagged (1 %), 40 and 150 looked at",
            &[(200, 0.95, 40), (3000, 0.01, 150)],
        ),
        ("the same with 10 and 30 looked at", &[(200, 0.95, 10), (3000, 0.01, 30)]),
        (
            "five strata of 100 to 2,000, 2 to 90 %, 25 each",
            &[(100, 0.9, 25), (300, 0.5, 25), (500, 0.2, 25), (1000, 0.05, 25), (2000, 0.02, 25)],
        ),
        ("one stratum of 80, half, 20 looked at", &[(80, 0.5, 20)]),
    ];
    for (name, design) in designs {
        let (mut covered, mut plain, mut bias) = (Share::default(), Share::default(), 0.0);
        for set in 0..sets * 10 {
            let mut random = SplitMix64::new(15_485_863 * set + 11);
            let mut truth = 0_u64;
            let strata: Vec<Stratum> = design
                .iter()
                .map(|(members, share, sampled)| {
                    let hits = (*members as f64 * share).round() as u64;
                    truth += hits;
                    // A draw without replacement.
                    let (mut left, mut hits_left, mut found) = (*members, hits, 0);
                    for _ in 0..*sampled {
                        let hit = random.below(left) < hits_left;
                        found += u64::from(hit);
                        hits_left -= u64::from(hit);
                        left -= 1;
                    }
                    Stratum { name: String::new(), members: *members, sampled: *sampled, hits: found }
                })
                .collect();
            let Some(found) = stratified_total(&strata, 0.95) else { continue };
            let truth = truth as f64;
            covered.add((found.interval.0 - 1e-9..=found.interval.1 + 1e-9).contains(&truth));
            plain.add(found.standard_error.is_some_and(|e| (found.total - truth).abs() <= 1.96 * e));
            bias += (found.total - truth) / (sets * 10) as f64 / truth;
        }
        let bias = format!("{:+.2} %", 100.0 * bias).replace('-', "−");
        text.push_str(
            &covered.row(&format!("count by lineage, {name}: interval (mean error {bias})"), "95 % or more"),
        );
        text.push_str(&plain.row(&format!("{name}: 1.96 standard errors"), "(for comparison)"));
    }
}

/// Best of twelve near equals, whose order the errors blur, against one that was named beforehand.
fn leaders(sets: u64, text: &mut String) {
    let (mut named, mut whoever) = (Share::default(), Share::default());
    let sides: [Vec<usize>; 2] = [(0..12).collect(), vec![12]];
    for set in 0..sets * 10 {
        let mut random = SplitMix64::new(32_452_843 * set + 7);
        let truth: Vec<f64> = (0..13).map(|_| 2.0 * random.normal()).collect();
        let ratings: Vec<Rated> =
            truth.iter().map(|t| Rated { rating: t + 6.0 * random.normal(), standard_error: 6.0 }).collect();
        let best = |side: &[usize]| side.iter().map(|i| truth[*i]).fold(f64::NEG_INFINITY, f64::max);
        let difference = best(&sides[0]) - best(&sides[1]);
        let Some(found) = best_against_best(&ratings, &sides[0], &sides[1], 0.95) else { continue };
        named.add((found.interval.0..=found.interval.1).contains(&difference));
        whoever.add((found.whoever.0..=found.whoever.1).contains(&difference));
    }
    text.push_str(&whoever.row("best of twelve near equals against one, whoever is best", "95 % or more"));
    text.push_str(&named.row("the same, interval of the two that look best", "(for comparison)"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_study_is_complete() {
        let text = study(2, "today");
        // Two lines of head; four rows for each of four designs, two for each of four surveys, two for the best.
        assert_eq!(text.lines().count(), 2 + 4 * 4 + 4 * 2 + 2, "{text}");
    }
}
