//! What other rating packages get wrong, one test each. The defects were seen in arena-rank 0.1.1, evalica 0.4.2 and FastChat; their
//! own outputs are quoted where they are numbers. (Labels that are taken for ties: `src/votes/tests.rs`.)

use stemmata_rating::votes::{Limits, Outcome, Reader, Syntax, Votes, Wanted};
use stemmata_rating::{Options, POINTS, RateError, Standing, Standings, rate};
use stemmata_stats::{SplitMix64, betting_log10};

fn votes(rows: &[(&str, &str, &str, u64)]) -> Votes {
    let mut text = "model_a,model_b,winner,count\n".to_owned();
    for (a, b, winner, count) in rows {
        text.push_str(&format!("{a},{b},{winner},{count}\n"));
    }
    let mut reader = Reader::new(Wanted::default(), Limits::default());
    reader.read(Syntax::Csv, text.as_bytes()).unwrap();
    reader.finish()
}

fn of<'s>(standings: &'s Standings, name: &str) -> &'s Standing {
    standings.contestants.iter().find(|c| c.name == name).unwrap()
}

fn value(standings: &Standings, name: &str) -> f64 {
    of(standings, name).rating.as_ref().unwrap().value
}

/// arena-rank: true coefficients 0.25 and 0.10 come out as 0.030 and 0.019, ratings wrong by up to 44 points, intervals cover 35 %.
#[test]
fn style_is_not_switched_off_by_a_penalty() {
    let mut random = SplitMix64::new(1);
    let (contestants, rows) = (20_usize, 60_000);
    let mut strengths: Vec<f64> = (0..contestants).map(|_| 0.6 * random.normal()).collect();
    let mean = strengths.iter().sum::<f64>() / contestants as f64;
    strengths.iter_mut().for_each(|s| *s -= mean);
    let verbose: Vec<f64> = (0..contestants).map(|_| 0.5 * random.normal()).collect();
    let mut table = Votes {
        contestants: (0..contestants).map(|i| format!("m{i:02}")).collect(),
        styles: vec![Vec::new(); 2],
        ..Votes::default()
    };
    for _ in 0..rows {
        let a = random.below(20) as usize;
        let b = (a + 1 + random.below(19) as usize) % 20;
        table.first.push(a as u32);
        table.second.push(b as u32);
        table.styles[0].push(verbose[a] - verbose[b] + random.normal());
        table.styles[1].push(random.normal());
    }
    // Coefficients are per standard deviation.
    let spread = |column: &[f64]| {
        let mean = column.iter().sum::<f64>() / column.len() as f64;
        (column.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / column.len() as f64).sqrt()
    };
    let scale = [spread(&table.styles[0]), spread(&table.styles[1])];
    for row in 0..rows {
        let d = strengths[table.first[row] as usize] - strengths[table.second[row] as usize]
            + 0.25 * table.styles[0][row] / scale[0]
            + 0.10 * table.styles[1][row] / scale[1];
        let won = random.uniform() < 1.0 / (1.0 + (-d).exp());
        table.outcome.push(if won { Outcome::First } else { Outcome::Second });
    }
    let styles = vec!["length".to_owned(), "bold".to_owned()];
    let standings = rate(&table, &Options { styles, ..Options::default() }).unwrap();
    let scale = standings.components[0].scale.as_ref().unwrap().as_ref().unwrap();
    let terms = scale.terms.as_ref().unwrap().as_ref().unwrap();
    for (term, truth) in terms.iter().zip([0.25, 0.10]) {
        // Five standard errors, about 0.05; a false alarm is less likely than 1e-6.
        assert!((term.estimate - truth).abs() < 5.0 * term.standard_error && term.standard_error < 0.011);
    }
    let covered = standings.contestants.iter().filter(|c| {
        let truth = 1000.0 + POINTS * strengths[c.name[1..].parse::<usize>().unwrap()];
        let (low, high) = c.rating.as_ref().unwrap().adjusted.unwrap().interval;
        (low..=high).contains(&truth)
    });
    assert!(covered.count() >= 15, "95 % intervals");
}

/// arena-rank: the bootstrap never ends on Linux. evalica: it holds all draws at once, 9.9 GB for a million votes.
#[test]
fn a_bootstrap_ends_and_is_the_same_again() {
    let table = votes(&[
        ("a", "b", "model_a", 60),
        ("b", "a", "model_a", 40),
        ("b", "c", "tie", 30),
        ("c", "a", "model_a", 9),
    ]);
    let options = Options { bootstrap: 100, ..Options::default() };
    let standings = rate(&table, &options).unwrap();
    assert_eq!(standings, rate(&table, &options).unwrap());
    let scale = standings.components[0].scale.as_ref().unwrap().as_ref().unwrap();
    assert_eq!(scale.resampled.as_ref().unwrap().samples, 100);
    assert!(standings.contestants.iter().all(|c| c.rating.as_ref().unwrap().bootstrap.is_some()));
}

/// compar:IA met ratings near −3800 in bootstrap rounds: samples without a finite fit are counted, not averaged in.
#[test]
fn a_sample_without_a_finite_fit_is_counted_and_left_out() {
    let table = votes(&[("a", "b", "model_a", 30), ("b", "a", "model_a", 1)]);
    let standings = rate(&table, &Options { bootstrap: 200, ..Options::default() }).unwrap();
    let scale = standings.components[0].scale.as_ref().unwrap().as_ref().unwrap();
    let without = scale.resampled.as_ref().unwrap().without_fit;
    // A sample lacks the one loss with probability (30/31)^31 = 0.36.
    assert!((40..110).contains(&without), "{without}");
    let (low, high) = of(&standings, "a").rating.as_ref().unwrap().bootstrap.unwrap();
    assert!(low > 1000.0 && high < 2000.0);
}

/// arena-rank: undefeated and winless contestants get ± 3465 points with intervals of width 0.
#[test]
fn undefeated_and_winless_contestants_get_no_number() {
    let table = votes(&[("a", "b", "model_a", 50), ("b", "c", "model_a", 50), ("a", "c", "model_a", 50)]);
    let standings = rate(&table, &Options::default()).unwrap();
    assert!(standings.contestants.iter().all(|c| c.rating.is_none()));
    let states: Vec<(bool, bool)> = ["a", "b", "c"]
        .map(|n| of(&standings, n).component)
        .iter()
        .map(|c| {
            let component = &standings.components[*c as usize];
            (component.undefeated, component.winless)
        })
        .collect();
    assert_eq!(states, [(true, false), (false, false), (false, true)]);
}

/// arena-rank and evalica: two sets that never met get one invented common scale, without a warning.
#[test]
fn sets_that_never_met_get_no_common_scale() {
    let table = votes(&[
        ("a", "b", "model_a", 30),
        ("a", "b", "model_b", 20),
        ("c", "d", "model_a", 20),
        ("c", "d", "model_b", 30),
    ]);
    let standings = rate(&table, &Options::default()).unwrap();
    assert_eq!(standings.components.len(), 2);
    assert_ne!(of(&standings, "a").component, of(&standings, "c").component);
    for name in ["a", "d"] {
        let rating = of(&standings, name).rating.as_ref().unwrap();
        assert!((rating.value - 1000.0 - POINTS * 1.5_f64.ln() / 2.0).abs() < 1e-9);
        assert!(rating.rank.1 <= 2, "ranks are those within the set");
    }
}

/// evalica: a beats b and c 10 to 0, b and c are 6 to 4: all three get 1e-6.
#[test]
fn one_undefeated_contestant_does_not_spoil_the_others() {
    let table = votes(&[
        ("a", "b", "model_a", 10),
        ("a", "c", "model_a", 10),
        ("b", "c", "model_a", 6),
        ("b", "c", "model_b", 4),
    ]);
    let standings = rate(&table, &Options::default()).unwrap();
    assert!(of(&standings, "a").rating.is_none());
    assert!((value(&standings, "b") - value(&standings, "c") - POINTS * 1.5_f64.ln()).abs() < 1e-9);
}

/// evalica: ten votes of weight 0 take 20 points from both sides.
#[test]
fn votes_that_count_nothing_change_nothing() {
    let rows =
        [("a", "b", "model_a", 30), ("a", "b", "model_b", 20), ("b", "c", "tie", 5), ("a", "c", "tie", 4)];
    let more = [&rows[..], &[("a", "b", "model_a", 0); 10]].concat();
    let options = Options { bootstrap: 10, sequential: true, ..Options::default() };
    assert_eq!(rate(&votes(&rows), &options), rate(&votes(&more), &options));
}

/// evalica's crate is a `cdylib` and cannot be used from Rust; this file uses ours.
#[test]
fn counted_and_single_rows_are_the_same_votes() {
    let counted =
        [("a", "b", "model_a", 3), ("a", "b", "model_b", 2), ("b", "c", "tie", 2), ("c", "a", "model_a", 1)];
    let single: Vec<_> = counted.iter().flat_map(|(a, b, w, n)| vec![(*a, *b, *w, 1); *n as usize]).collect();
    let options = Options { bootstrap: 10, ..Options::default() };
    assert_eq!(rate(&votes(&counted), &options), rate(&votes(&single), &options));
}

/// FastChat: sanitised user ids are drawn anew for each chunk of work, so that one address gets up to a hundred.
#[test]
fn a_cluster_that_comes_in_two_files_is_one() {
    let mut reader =
        Reader::new(Wanted { clusters: vec!["user".to_owned()], ..Wanted::default() }, Limits::default());
    for text in
        ["model_a,model_b,winner,user\na,b,tie,u7\na,b,tie,u1\n", "user,model_a,model_b,winner\nu7,b,a,tie\n"]
    {
        reader.read(Syntax::Csv, text.as_bytes()).unwrap();
    }
    assert_eq!(reader.finish().clusters, [[1, 0, 1]]);
}

/// FastChat: the factor of its outlier test is no e-value where there are ties (0.6 win, 0.3 tie, 0.1 loss: expectation 1.7).
#[test]
fn evidence_does_not_gain_on_average_by_ties() {
    // Under the null with ties: win q, tie 0.3, loss 0.7 − q with q ≤ 0.35. Ties are no bets, so the stake is that of the others.
    for q in [0.35, 0.2] {
        let e = |w: u64, l: u64| 10f64.powf(betting_log10(w, l));
        for (w, l) in [(0, 0), (3, 1), (10, 12), (40, 20)] {
            let mean = q * e(w + 1, l) + 0.3 * e(w, l) + (0.7 - q) * e(w, l + 1);
            assert!(mean <= e(w, l) * (1.0 + 1e-9), "{w} {l}");
        }
    }
}

/// Nobody clusters errors, although one session gives several votes.
#[test]
fn votes_that_say_the_same_because_they_are_one_persons_count_once() {
    let mut random = SplitMix64::new(5);
    let mut table = Votes {
        contestants: ["a", "b", "c"].map(str::to_owned).to_vec(),
        clusters: vec![Vec::new()],
        ..Votes::default()
    };
    for cluster in 0..300 {
        let first = random.below(3) as u32;
        let second = (first + 1 + random.below(2) as u32) % 3;
        let outcome = if random.uniform() < 0.5 { Outcome::First } else { Outcome::Second };
        for _ in 0..4 {
            table.first.push(first);
            table.second.push(second);
            table.outcome.push(outcome);
            table.clusters[0].push(cluster);
        }
    }
    let clustered = rate(&table, &Options::default()).unwrap();
    let single = rate(&Votes { clusters: Vec::new(), ..table }, &Options::default()).unwrap();
    let error = |s: &Standings, n: &str| of(s, n).rating.as_ref().unwrap().standard_error;
    for name in ["a", "b", "c"] {
        let ratio = error(&clustered, name) / error(&single, name);
        // Four votes that say the same: twice the error, up to 300/299 against 1200/1199.
        assert!((ratio - 2.0).abs() < 0.01, "{ratio}");
    }
}

/// A table that claims more than can be worked on is refused before any work.
#[test]
fn absurd_counts_do_not_keep_the_bootstrap_busy() {
    let table = votes(&[("a", "b", "model_a", 1 << 49), ("a", "b", "model_b", 1 << 48)]);
    assert!(rate(&table, &Options::default()).is_ok());
    let options = Options { bootstrap: 1, ..Options::default() };
    assert!(matches!(rate(&table, &options), Err(RateError::Bootstrap { .. })));
    let many = Votes { contestants: (0..5001).map(|i| format!("{i:04}")).collect(), ..Votes::default() };
    assert!(matches!(rate(&many, &Options::default()), Err(RateError::Contestants { count: 5001 })));
}

#[test]
fn a_weight_counts_as_often_as_it_says_and_a_vote_without_weight_not_at_all() {
    // evalica takes twenty points from both sides for ten votes of weight 0.
    let heavy = "model_a,model_b,winner,w\na,b,model_a,3\na,b,model_b,1\nb,c,model_a,2\nb,c,model_b,2\na,c,model_b,0\n";
    let many = "model_a,model_b,winner\na,b,model_a\na,b,model_a\na,b,model_a\na,b,model_b\nb,c,model_a\nb,c,model_a\n\
        b,c,model_b\nb,c,model_b\n";
    let read = |text: &str, weight: Option<&str>| {
        let wanted = Wanted { weight: weight.map(str::to_owned), ..Wanted::default() };
        let mut reader = Reader::new(wanted, Limits::default());
        reader.read(Syntax::Csv, text.as_bytes()).unwrap();
        rate(&reader.finish(), &Options::default()).unwrap()
    };
    let (weighted, counted) = (read(heavy, Some("w")), read(many, None));
    for (a, b) in weighted.contestants.iter().zip(&counted.contestants) {
        assert_eq!(a.name, b.name);
        assert!((a.rating.as_ref().unwrap().value - b.rating.as_ref().unwrap().value).abs() < 1e-9);
    }
    // Four votes of weight 2 know less than eight votes.
    let error = |s: &Standings| s.contestants[0].rating.as_ref().unwrap().standard_error;
    assert!(error(&weighted) > error(&counted));
    assert_eq!(weighted.votes, 5);
}

/// A sandwich over one cluster has a filling of 0: every rating would be certain, and one voter would make a leader.
#[test]
fn one_cluster_teaches_no_error() {
    let rows = [
        ("a", "b", "model_a", 8),
        ("b", "a", "model_a", 3),
        ("b", "a", "model_b", 2),
        ("a", "b", "model_b", 2),
        ("b", "c", "model_a", 5),
        ("c", "b", "model_b", 2),
        ("c", "a", "model_a", 3),
        ("c", "a", "model_b", 1),
    ];
    let mut table = votes(&rows);
    table.clusters = vec![vec![0; table.len()]];
    let options = Options { position: true, bootstrap: 10, next_pairs: 2, level: 0.9, ..Options::default() };
    let rated = rate(&table, &options).unwrap();
    let scale = rated.components[0].scale.as_ref().unwrap().as_ref().unwrap();
    assert_eq!((scale.units, scale.decided, scale.next_pairs.len()), (1, (0, 3), 0));
    assert!(scale.terms.as_ref().unwrap().as_ref().unwrap()[0].standard_error.is_infinite());
    for name in ["a", "b", "c"] {
        let rating = of(&rated, name).rating.as_ref().unwrap();
        assert!(rating.value.is_finite() && rating.standard_error.is_infinite());
        assert_eq!((rating.interval, rating.rank), ((f64::NEG_INFINITY, f64::INFINITY), (1, 3)));
        assert!(rating.bootstrap.is_none() && rating.top.is_nan());
        assert!(rating.adjusted.as_ref().unwrap().change_error.is_none());
    }
    table.clusters = vec![(0..table.len() as u32).collect()];
    let rated = rate(&table, &options).unwrap();
    assert!(rated.contestants.iter().all(|c| c.rating.as_ref().unwrap().standard_error.is_finite()));
}
