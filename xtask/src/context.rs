//! How statistics that prove nothing are distributed among models that are known to be independent: `cargo xtask context`.
//!
//! The directory is one that `calibrate-zoo` wrote. The table goes into the tool, which prints it beside the values of a pair.

use crate::{Failure, calibration, no_more, take_option};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use stemmata_audit::{ContextStatistic, FALSE_FRIENDS};

/// `context [--zoo DIR] [--out FILE]`.
pub(crate) fn run(options: &[String]) -> Result<(), Failure> {
    let mut options = options.to_vec();
    let zoo = take_option(&mut options, "--zoo")?.unwrap_or_else(|| "target/calibration".to_owned());
    let out =
        take_option(&mut options, "--out")?.unwrap_or_else(|| "crates/audit/data/context.tsv".to_owned());
    no_more(&options)?;
    let pairs = calibration::contexts(Path::new(&zoo))?;
    std::fs::write(PathBuf::from(&out), table(&pairs))?;
    println!("{} independent pairs: {out}", pairs.len());
    Ok(())
}

fn table(pairs: &[(String, Vec<ContextStatistic>)]) -> String {
    let mut values: BTreeMap<(usize, &str), Vec<f64>> = BTreeMap::new();
    for (architecture, context) in pairs {
        for (index, name) in FALSE_FRIENDS.iter().enumerate() {
            let value = context.iter().find(|c| c.name == *name).and_then(|c| c.value);
            for family in ["all", architecture.as_str()] {
                values.entry((index, family)).or_default().extend(value);
            }
        }
    }
    let mut out =
        "# Statistics that prove nothing, among pairs of models trained from independent random starts.\n\
                   # Made by `cargo train calibrate-zoo` and `cargo xtask context`.\n\
                   # statistic\tfamily\tpairs\t5 %\tmedian\t95 %\n"
            .to_owned();
    for ((index, family), mut list) in values.into_iter().filter(|(_, list)| !list.is_empty()) {
        list.sort_by(f64::total_cmp);
        let quantile = |q: f64| list[((list.len() - 1) as f64 * q).round() as usize];
        let name = FALSE_FRIENDS[index];
        let n = list.len();
        let _ = writeln!(
            out,
            "{name}\t{family}\t{n}\t{:.4}\t{:.4}\t{:.4}",
            quantile(0.05),
            quantile(0.5),
            quantile(0.95)
        );
    }
    out
}
