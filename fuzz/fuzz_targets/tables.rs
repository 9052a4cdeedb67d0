#![no_main]

use libfuzzer_sys::fuzz_target;
use stemmata_rating::ability::{AbilityOptions, Score, Scores, abilities};
use stemmata_rating::tables::{aliases, benchmarks, evidence, models, ratings, read, regions, snapshots};

// Every kind of table from the same text; what is read as scores is fitted, too.
fuzz_target!(|data: &[u8]| {
    let _ = evidence(data);
    let Ok(table) = read(data) else { return };
    assert!(table.rows.iter().all(|(_, cells)| cells.len() == table.columns.len()));
    let _ = (models(&table), regions(&table), aliases(&table), snapshots(&table));
    for rating in ratings(&table, None).unwrap_or_default() {
        assert!(rating.lower <= rating.rating && rating.rating <= rating.upper);
    }
    let list = benchmarks(&table).unwrap_or_default();
    if list.len() > 60 {
        return;
    }
    let mut scores = Scores::default();
    for b in &list {
        assert!((0.0..=1.0).contains(&b.score) && b.items > 0);
        let number = |names: &mut Vec<String>, name: &str| {
            let place = names.iter().position(|n| n == name);
            place.unwrap_or_else(|| {
                names.push(name.to_owned());
                names.len() - 1
            }) as u32
        };
        let (model, unit) = (number(&mut scores.models, &b.model), number(&mut scores.units, &b.task));
        if !scores.cells.iter().any(|c| (c.model, c.unit) == (model, unit)) {
            scores.cells.push(Score { model, unit, score: b.score, items: b.items as f64 });
        }
    }
    let found = abilities(&scores, &AbilityOptions { weightings: 20, ..AbilityOptions::default() });
    for scale in found.groups.iter().filter_map(|g| g.scale.as_ref().ok()) {
        assert!(scale.models.iter().all(|a| a.value.is_finite()));
    }
});
