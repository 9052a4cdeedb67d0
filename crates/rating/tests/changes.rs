//! The error of what a style term changes, against how much that varies over votes drawn again.

use stemmata_rating::votes::{Outcome, Votes};
use stemmata_rating::{Options, rate};
use stemmata_stats::SplitMix64;

#[test]
fn the_error_of_a_change_is_its_spread_over_draws() {
    let n = 6_u64;
    let own = [0.8, -0.5, 0.3, 0.0, -0.9, 0.3];
    let strengths = [0.5, 0.2, 0.0, -0.1, -0.2, -0.4];
    let (mut changes, mut errors) = (Vec::new(), Vec::new());
    for set in 0..400 {
        let mut random = SplitMix64::new(77 + 1_000_003 * set);
        let mut votes = Votes {
            contestants: (0..n).map(|i| format!("c{i}")).collect(),
            clusters: vec![Vec::new()],
            styles: vec![Vec::new()],
            ..Votes::default()
        };
        for session in 0..300 {
            // A person with a mood judges three pairs.
            let mood: Vec<f64> = (0..n).map(|_| 0.8 * random.normal()).collect();
            for _ in 0..3 {
                let first = random.below(n) as usize;
                let second = (first + 1 + random.below(n - 1) as usize) % n as usize;
                let style = own[first] - own[second] + 0.5 * random.normal();
                let d = strengths[first] + mood[first] - strengths[second] - mood[second] + 0.4 * style;
                let won = random.uniform() < 1.0 / (1.0 + (-d).exp());
                votes.first.push(first as u32);
                votes.second.push(second as u32);
                votes.outcome.push(if won { Outcome::First } else { Outcome::Second });
                votes.styles[0].push(style);
                votes.clusters[0].push(session);
            }
        }
        let options = Options { styles: vec!["style".to_owned()], ..Options::default() };
        let found = rate(&votes, &options).unwrap();
        let rating = found.contestants.iter().find(|c| c.name == "c0").unwrap().rating.clone().unwrap();
        let adjusted = rating.adjusted.unwrap();
        changes.push(adjusted.change);
        errors.push(adjusted.change_error.unwrap());
    }
    let count = changes.len() as f64;
    let mean = changes.iter().sum::<f64>() / count;
    let spread = (changes.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / (count - 1.0)).sqrt();
    let told = (errors.iter().map(|e| e * e).sum::<f64>() / count).sqrt();
    // The spread of 400 draws is known to about 3.5 %.
    assert!((told / spread - 1.0).abs() < 0.12, "{told} {spread}");
    assert!(mean < -5.0, "{mean}");
}
