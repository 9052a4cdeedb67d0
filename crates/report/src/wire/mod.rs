//! The wire format: serialisable twins of the values of `audit`, converted one by one.
//!
//! A field here is a promise (`schemas/report-1.0.0.json`); a field of a domain type is not. Every text passes
//! through one cleaner, every number that weights can make infinite or NaN becomes `null`.

mod blame;
mod comparison;
mod controls;
mod convert;
mod difference;
mod inspection;
mod layer_map;
mod merge;
mod rating;
mod rating_beside;
mod standings;

pub use blame::{Blame, Expert, HeadPartner, Heads, Origin, Residual, Rows, Run, Units};
pub use comparison::{
    Change, Component, Declared, Evidence, File, Input, Interval, Io, Layer, LayerCount, Noise, NotTested,
    Power, Relative, Remark, Report, Seen, Tool, Verdict,
};
pub use controls::{Background, ContextStatistic, ControlRun, Controls, NegativeControls};
pub use difference::{Difference, Row, Totals};
pub use inspection::{Inspection, Part, StoredFile, Tensor, Tokenizer};
pub use layer_map::{LayerMap, LayerRun};
pub use merge::{Best, Equal, Group, Homogeneity, Merge, Merging, Parent, Single};
pub use rating::{
    Adjusted, Anchor, Cluster, Component as RatingComponent, Cost, Decision, Fit, Flip, Group as RatingGroup,
    Rating, Ratings, Sequential, Term, Votes,
};

pub use rating_beside::{Clones, LegacyElo, LegacyRow, NextPair, PartRating, RatedPart, RatedParts};
pub use standings::{
    AbilityGroup, AbilityPart, AbilityRow, AbilityScalePart, BestPart, EstimatePart, FamiliesPart, Family,
    Model, Named, Names, OmissionRow, OriginPart, OriginsPart, Precision, Published, ReleasePart,
    SnapshotPart, StratumPart, SurpriseRow, Survey, TableInput, Time, UnitRow, UnplacedPart, ViewPart,
    ViewRow,
};

/// Version of the wire format of all results.
pub const SCHEMA_VERSION: &str = "1.0.0";

/// A number that JSON can hold; `-0` becomes `0`.
fn finite(x: f64) -> Option<f64> {
    x.is_finite().then_some(x + 0.0)
}
