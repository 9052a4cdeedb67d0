//! Output for people at a terminal: the verdict first, then the reasons, then what was not done.

mod blame;
mod comparison;
mod curve;
mod difference;
mod inspection;
mod merge;
mod pen;
mod rating;
mod rating_beside;
mod shared;
pub(crate) mod standings;
mod table;

pub(crate) use rating::{errors, model, points};
pub(crate) use rating_beside::part_rating;

use crate::Style;
use crate::wire;
use pen::Pen;

/// A comparison.
pub(crate) fn comparison(report: &wire::Report, style: &Style) -> String {
    finish(comparison::lines(report, &Pen::new(*style)))
}

/// An inspection.
pub(crate) fn inspection(inspection: &wire::Inspection, style: &Style) -> String {
    finish(inspection::lines(inspection, &Pen::new(*style)))
}

/// A diff; `stat_only` leaves only the totals.
pub(crate) fn difference(difference: &wire::Difference, stat_only: bool, style: &Style) -> String {
    finish(difference::lines(difference, stat_only, &Pen::new(*style)))
}

/// A blame.
pub(crate) fn blame(blame: &wire::Blame, style: &Style) -> String {
    finish(blame::lines(blame, &Pen::new(*style)))
}

/// Ratings.
pub(crate) fn rating(ratings: &wire::Ratings, style: &Style) -> String {
    finish(rating::lines(ratings, &Pen::new(*style)))
}

/// Standings.
pub(crate) fn standings(survey: &wire::Survey, style: &Style) -> String {
    finish(standings::lines(survey, &Pen::new(*style)))
}

fn finish(lines: Vec<String>) -> String {
    let mut out = String::new();
    for line in lines {
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}
