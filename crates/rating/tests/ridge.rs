//! Does a ridge on the terms shrink as it says, and do its errors tell how far the shrunk coefficients scatter? Without one, 0.25 comes back
//! as 0.25.

use stemmata_rating::votes::{Outcome, Votes};
use stemmata_rating::{Options, Term, rate};
use stemmata_stats::SplitMix64;

const STYLE: f64 = 0.25;
const VOTES: usize = 600;
const SETS: u64 = 300;

fn votes(seed: u64) -> Votes {
    let mut random = SplitMix64::new(seed);
    let strengths = [0.8, 0.4, 0.1, -0.2, -0.4, -0.7];
    let mut table = Votes {
        contestants: (0..strengths.len()).map(|i| format!("c{i}")).collect(),
        styles: vec![Vec::new()],
        ..Votes::default()
    };
    for _ in 0..VOTES {
        let first = random.below(6);
        let second = (first + 1 + random.below(5)) % 6;
        let x = random.normal();
        let d = strengths[first as usize] - strengths[second as usize] + STYLE * x;
        let won = random.uniform() < 1.0 / (1.0 + (-d).exp());
        table.first.push(first as u32);
        table.second.push(second as u32);
        table.outcome.push(if won { Outcome::First } else { Outcome::Second });
        table.styles[0].push(x);
    }
    table
}

fn style(votes: &Votes, ridge: f64, position: bool) -> Vec<Term> {
    let options = Options { styles: vec!["style".to_owned()], ridge, position, ..Options::default() };
    let standings = rate(votes, &options).unwrap();
    let scale = standings.components[0].scale.as_ref().unwrap().as_ref().unwrap();
    scale.terms.as_ref().unwrap().as_ref().unwrap().clone()
}

fn mean(values: impl Iterator<Item = f64> + Clone) -> f64 {
    values.clone().sum::<f64>() / values.count() as f64
}

#[test]
fn a_ridge_shrinks_by_what_it_says_and_errors_are_those_of_what_is_shrunk() {
    // About as many votes' worth as the votes know of the coefficient: half of it is left.
    let lambda = 120.0;
    let (mut free, mut shrunk) = (Vec::new(), Vec::new());
    for seed in 0..SETS {
        let votes = votes(seed);
        free.extend(style(&votes, 0.0, false));
        shrunk.extend(style(&votes, lambda, false));
    }
    let estimates = |terms: &[Term]| mean(terms.iter().map(|t| t.estimate));
    let spread = |terms: &[Term]| {
        let middle = estimates(terms);
        mean(terms.iter().map(|t| (t.estimate - middle).powi(2))).sqrt()
    };
    let error = |terms: &[Term]| mean(terms.iter().map(|t| t.standard_error));
    let noise = spread(&free) / (SETS as f64).sqrt();
    // A maximum of likelihood is too long by about 1 + parameters/votes.
    assert!((estimates(&free) - STYLE).abs() < 3.0 * noise + 0.003, "{}", estimates(&free));
    assert!(free.iter().all(|t| t.kept == 1.0));
    let kept = mean(shrunk.iter().map(|t| t.kept));
    assert!((0.3..0.7).contains(&kept), "{kept}");
    let predicted = STYLE * kept;
    assert!((estimates(&shrunk) - predicted).abs() < 3.0 * noise * kept + 0.003, "{}", estimates(&shrunk));
    for terms in [&free, &shrunk] {
        let ratio = error(terms) / spread(terms);
        assert!((0.88..1.12).contains(&ratio), "{ratio}");
    }
    let covering = |target: f64| {
        shrunk.iter().filter(|t| t.interval.0 < target && target < t.interval.1).count() as f64 / SETS as f64
    };
    assert!((0.92..0.98).contains(&covering(predicted)), "{}", covering(predicted));
    // What the report must say: these intervals are not of the coefficient without a ridge.
    assert!(covering(STYLE) < 0.5, "{}", covering(STYLE));
}

#[test]
fn more_penalty_leaves_less_and_none_leaves_all() {
    let votes = votes(7);
    let at = |lambda: f64| style(&votes, lambda, true);
    let [none, some, most] = [0.0, 50.0, 1e9].map(at);
    for term in 0..2 {
        assert_eq!(none[term].kept, 1.0);
        assert!(some[term].estimate.abs() < none[term].estimate.abs());
        assert!(some[term].kept < 1.0 && most[term].kept < 1e-5 && most[term].estimate.abs() < 1e-5);
        assert!(some[term].standard_error < none[term].standard_error);
    }
    // One Newton step from the shrunk fit back to the free one: (1 − kept) of the effect is what is missing.
    let back = some[1].estimate / some[1].kept;
    assert!((back - none[1].estimate).abs() < 0.02, "{back} {}", none[1].estimate);
}

#[test]
fn a_ridge_gives_a_finite_fit_where_votes_alone_have_none() {
    // The second seat never wins: no finite advantage of the first.
    let table = Votes {
        contestants: vec!["a".to_owned(), "b".to_owned()],
        first: vec![0, 1],
        second: vec![1, 0],
        outcome: vec![Outcome::First; 2],
        count: vec![5, 5],
        ..Votes::default()
    };
    let terms = |ridge: f64| {
        let options = Options { position: true, ridge, ..Options::default() };
        rate(&table, &options).unwrap().components[0].scale.clone().unwrap().unwrap().terms.unwrap()
    };
    assert!(terms(0.0).is_err());
    let found = terms(2.0).unwrap();
    // λ·β = 10·σ(−β).
    let beta = found[0].estimate;
    assert!((2.0 * beta - 10.0 / (1.0 + beta.exp())).abs() < 1e-9, "{beta}");
}
