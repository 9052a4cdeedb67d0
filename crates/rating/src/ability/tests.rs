use super::*;
use stemmata_stats::SplitMix64;

/// Models of known abilities on units of known slopes; a share of the scores is missing.
fn world(seed: u64, models: usize, units: usize, spread: f64, missing: f64) -> (Scores, Vec<f64>) {
    let mut random = SplitMix64::new(seed);
    let theta: Vec<f64> = (0..models).map(|_| random.normal()).collect();
    let mut scores = Scores {
        models: (0..models).map(|i| format!("m{i:02}")).collect(),
        units: (0..units).map(|j| format!("u{j:02}")).collect(),
        cells: Vec::new(),
    };
    for unit in 0..units {
        let (slope, difficulty) = (0.5 + random.uniform(), 0.7 * random.normal());
        let items = [100.0, 400.0, 1000.0][unit % 3];
        for (model, theta) in theta.iter().enumerate() {
            let eta = slope * (theta - difficulty) + spread * random.normal();
            let p = 1.0 / (1.0 + (-eta).exp());
            let right = (0..items as u32).filter(|_| random.uniform() < p).count();
            if random.uniform() >= missing {
                scores.cells.push(Score {
                    model: model as u32,
                    unit: unit as u32,
                    score: right as f64 / items,
                    items,
                });
            }
        }
    }
    (scores, theta)
}

fn only(abilities: &Abilities) -> &AbilityScale {
    assert_eq!(
        abilities.groups.len(),
        1,
        "{:?}",
        abilities.groups.iter().map(|g| g.units.len()).collect::<Vec<_>>()
    );
    abilities.groups[0].scale.as_ref().unwrap()
}

#[test]
fn abilities_come_back() {
    let (scores, theta) = world(3, 25, 14, 0.3, 0.3);
    let found = abilities(&scores, &AbilityOptions::default());
    let scale = only(&found);
    assert!((scale.spread - 0.3).abs() < 0.08, "{}", scale.spread);
    assert!((scale.chi_square / scale.freedom as f64 - 1.0).abs() < 1e-6);
    let mean = theta.iter().sum::<f64>() / 25.0;
    let spread = (theta.iter().map(|t| (t - mean).powi(2)).sum::<f64>() / 25.0).sqrt();
    let mut inside = 0;
    for ability in &scale.models {
        let truth = (theta[ability.model[1..].parse::<usize>().unwrap()] - mean) / spread;
        assert!((ability.value - truth).abs() < 0.6, "{} {} {truth}", ability.model, ability.value);
        inside += usize::from(ability.interval.0 <= truth && truth <= ability.interval.1);
        assert!(
            ability.rank.0 <= ability.places.0.max(1) + 24 && ability.simultaneous.0 <= ability.interval.0
        );
    }
    assert!(inside >= 22, "{inside}");
    let sum: f64 = scale.models.iter().map(|a| a.value).sum();
    assert!(sum.abs() < 1e-9);
    assert!((scale.models.iter().map(|a| a.leads).sum::<f64>() - 1.0).abs() < 1e-9);
    assert_eq!(scale.omissions.len(), 14);
}

#[test]
fn the_covariance_is_that_of_the_bordered_information() {
    // Against the full information of all parameters, bordered by the two equations that fix zero and unit, solved by elimination.
    let (mut scores, _) = world(5, 6, 4, 0.0, 0.0);
    scores.cells.sort_by_key(|c| (c.model, c.unit));
    let fitted = Fit::with_spread(6, 4, &scores.cells, 12.0).unwrap();
    let state = &fitted.state;
    let side = 6 + 8 + 2;
    let mut full = vec![vec![0.0; side]; side];
    for c in &scores.cells {
        let (i, j) = (c.model as usize, c.unit as usize);
        let weight = state.at(c, fitted.variance).weight;
        let parts = [(i, state.alpha[j]), (6 + j, state.theta[i]), (10 + j, -1.0)];
        for (a, x) in parts {
            for (b, y) in parts {
                full[a][b] += weight * x * y;
            }
        }
    }
    for (i, theta) in state.theta.iter().enumerate() {
        for (k, x) in [(14, 1.0), (15, *theta)] {
            full[i][k] = x;
            full[k][i] = x;
        }
    }
    let inverse = |column: usize| {
        let mut a = full.clone();
        let mut b = vec![0.0; side];
        b[column] = 1.0;
        for p in 0..side {
            let best = (p..side).max_by(|x, y| a[*x][p].abs().total_cmp(&a[*y][p].abs())).unwrap();
            a.swap(p, best);
            b.swap(p, best);
            for r in 0..side {
                if r != p {
                    let f = a[r][p] / a[p][p];
                    let row = a[p].clone();
                    a[r].iter_mut().zip(row).for_each(|(x, y)| *x -= f * y);
                    b[r] -= f * b[p];
                }
            }
        }
        (0..side).map(|i| b[i] / a[i][i]).collect::<Vec<_>>()
    };
    let covariance = errors::covariance(&fitted, &scores.cells).unwrap();
    let shown = covariance.shown(None);
    for i in 0..6 {
        let ratio = shown.error(i).powi(2) / inverse(i)[i];
        assert!((ratio - 1.0).abs() < 1e-6, "{i} {ratio}");
    }
    for j in 0..4 {
        assert!((covariance.slope_error(j).powi(2) / inverse(6 + j)[6 + j] - 1.0).abs() < 1e-6, "slope {j}");
    }
}

#[test]
fn anchors_move_the_scale_and_no_order() {
    let (scores, _) = world(7, 8, 6, 0.2, 0.1);
    let plain = abilities(&scores, &AbilityOptions::default());
    let anchors = Some([("m00".to_owned(), 100.0), ("m01".to_owned(), 150.0)]);
    let anchored = abilities(&scores, &AbilityOptions { anchors, ..AbilityOptions::default() });
    let of = |a: &Abilities, name: &str| only(a).models.iter().find(|m| m.model == name).unwrap().clone();
    assert!((of(&anchored, "m00").value - 100.0).abs() < 1e-9 && of(&anchored, "m00").standard_error < 1e-6);
    assert!((of(&anchored, "m01").value - 150.0).abs() < 1e-9);
    for name in ["m02", "m05"] {
        assert_eq!(of(&plain, name).rank, of(&anchored, name).rank);
    }
    let nobody = Some([("m00".to_owned(), 1.0), ("m99".to_owned(), 2.0)]);
    let refused = abilities(&scores, &AbilityOptions { anchors: nobody, ..AbilityOptions::default() });
    assert_eq!(refused.groups[0].scale, Err(NoScale::Anchors));
}

#[test]
fn what_is_not_linked_is_named() {
    let (mut scores, _) = world(9, 12, 6, 0.2, 0.0);
    // Models 0 to 5 on units 0 to 2, the others on units 3 to 5; model 5 on all: one shared model is no link.
    scores.cells.retain(|c| c.model == 5 || (c.model < 5) == (c.unit < 3));
    let found = abilities(&scores, &AbilityOptions::default());
    assert_eq!(
        found.groups.iter().map(|g| (g.models.len(), g.units.len())).collect::<Vec<_>>(),
        [(7, 3), (6, 3)]
    );
    assert!(found.groups.iter().all(|g| g.models.contains(&"m05".to_owned())));
    // A second shared model joins them.
    let (all, _) = world(9, 12, 6, 0.2, 0.0);
    scores.cells.extend(all.cells.iter().filter(|c| c.model == 4 && c.unit >= 3));
    assert_eq!(abilities(&scores, &AbilityOptions::default()).groups.len(), 1);
}

#[test]
fn full_marks_everywhere_have_no_number() {
    let (mut scores, _) = world(11, 8, 5, 0.2, 0.0);
    scores.cells.iter_mut().filter(|c| c.model == 2).for_each(|c| c.score = 1.0);
    scores.cells.iter_mut().filter(|c| c.unit == 4).for_each(|c| c.score = 0.0);
    scores.cells.retain(|c| c.unit != 3 || c.model < 2);
    let found = abilities(&scores, &AbilityOptions::default());
    assert_eq!(found.models_unplaced, [("m02".to_owned(), Unplaced::AllFull)]);
    assert_eq!(
        found.units_unplaced,
        [("u03".to_owned(), Unplaced::FewModels), ("u04".to_owned(), Unplaced::AllZero)]
    );
    assert!(only(&found).models.iter().all(|a| a.value.is_finite()));
    // One unit alone leaves nothing to learn the noise from.
    scores.cells.retain(|c| c.unit == 0);
    assert_eq!(abilities(&scores, &AbilityOptions::default()).groups[0].scale, Err(NoScale::NoFreedom));
}

#[test]
fn a_score_out_of_line_is_a_surprise() {
    let (mut scores, _) = world(13, 20, 10, 0.1, 0.0);
    let weakest = only(&abilities(&scores, &AbilityOptions::default())).models.last().unwrap().model.clone();
    let number = weakest[1..].parse::<u32>().unwrap();
    scores.cells.iter_mut().filter(|c| c.model == number && c.unit == 2).for_each(|c| c.score = 0.97);
    let found = abilities(&scores, &AbilityOptions::default());
    let first = &only(&found).surprises[0];
    assert_eq!((first.model.as_str(), first.unit.as_str()), (weakest.as_str(), "u02"));
}

#[test]
fn the_order_of_rows_leaves_no_trace() {
    let (scores, _) = world(15, 9, 6, 0.2, 0.2);
    let mut turned = scores.clone();
    turned.cells.reverse();
    assert_eq!(
        abilities(&scores, &AbilityOptions::default()),
        abilities(&turned, &AbilityOptions::default())
    );
}
