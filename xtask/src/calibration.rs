//! Calibration on known-independent pairs: compares the models of a directory and writes what the tests said.
//!
//! The directory is one that `calibrate-zoo` wrote: models that share data, order, tokenizer and recipe, and differ in their
//! seed. Models whose name ends in `-order` share another model's random start and are reported apart.

mod pairs;
mod plots;
mod tables;

use std::path::{Path, PathBuf};

use crate::{Failure, no_more, take_option};
use pairs::Model;
pub(crate) use pairs::{settings, side_by_side};
use stemmata_audit::ContextStatistic;

/// `calibrate [--zoo DIR] [--out DIR] [--date TEXT]`.
pub(crate) fn run(options: &[String]) -> Result<(), Failure> {
    let mut options = options.to_vec();
    let zoo = take_option(&mut options, "--zoo")?.unwrap_or_else(|| "target/calibration".to_owned());
    let out = PathBuf::from(take_option(&mut options, "--out")?.unwrap_or_else(|| "docs/methods".to_owned()));
    let date = take_option(&mut options, "--date")?;
    no_more(&options)?;
    let zoo = Path::new(&zoo);
    let models = models(zoo)?;
    let losses = std::fs::read_to_string(zoo.join("losses.tsv")).unwrap_or_default();
    let pairs = pairs::compare_all(zoo, &models)?;
    std::fs::create_dir_all(&out)?;
    std::fs::write(out.join("calibration.md"), tables::page(&models, &pairs, &losses, date.as_deref()))?;
    std::fs::write(out.join("calibration-qq.svg"), plots::statistics(&pairs))?;
    std::fs::write(out.join("calibration-p.svg"), plots::p_values(&pairs))?;
    println!("{} pairs compared", pairs.len());
    Ok(())
}

/// The models of a directory, by name.
fn models(zoo: &Path) -> Result<Vec<Model>, Failure> {
    let mut models: Vec<Model> = std::fs::read_dir(zoo)?
        .filter_map(|e| e.ok()?.file_name().into_string().ok())
        .filter(|name| zoo.join(name).join("config.json").is_file())
        .map(|name| Model::new(&name))
        .collect();
    models.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(models)
}

/// Every two independent models of one architecture: that, and where they lie.
pub(crate) fn independent(zoo: &Path) -> Result<Vec<(String, [PathBuf; 2])>, Failure> {
    Ok(pairs::independent(zoo, &models(zoo)?))
}

/// The statistics that prove nothing of every two independent models of one architecture, with its name.
pub(crate) fn contexts(zoo: &Path) -> Result<Vec<(String, Vec<ContextStatistic>)>, Failure> {
    Ok(pairs::contexts(zoo, &models(zoo)?)?)
}
