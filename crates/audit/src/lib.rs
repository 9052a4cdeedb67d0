//! Use cases.
//!
//! Answers: *what does a user get who asks to inspect, compare, blame, diff, sketch, rate or compare standings?* Orchestrates the rooms below it and returns
//! plain values; how they look is for `report` to say.
#![forbid(unsafe_code)]

mod blame;
mod budget;
mod compare;
mod context;
mod controls;
mod diff;
mod error;
mod finding;
mod heads;
mod input;
mod inspect;
mod keeping;
mod kept_layers;
mod line;
mod measuring;
mod merging;
mod moving;
mod rating;
mod relatives;
mod sampled;
mod searching;
mod sketching;
mod standings;
mod structure;
mod studying;

pub use blame::{Blame, ExpertOrigin, LayerOrigin, RowOrigin, blame};
pub use budget::{Budget, DEFAULT_BUDGET};
pub use compare::{Comparison, compare};
pub use context::{Background, ContextStatistic, FALSE_FRIENDS};
pub use controls::{ControlRun, Controls};
pub use diff::{Difference, DifferenceRow, Status, diff};
pub use error::AuditError;
pub use finding::{Finding, explanation};
pub use heads::HeadOrigin;
pub use input::{InputFacts, Subject};
pub use inspect::{ComponentFacts, Inspection, TensorRow, inspect};
pub use line::is_no_ancestor;
pub use merging::Merging;
pub use moving::{ResidualOrigin, UnitOrigin};
pub use rating::{
    Merged, RateSettings, Rated, RatedPart, VoteBytes, VoteFile, VoteFileBytes, VoteInput, clone_groups, rate,
};
pub use relatives::{Relative, RelativeRole, Seen};
pub use searching::SearchMode;
pub use sketching::{Encoded, Sketched, sketch, sketch_into};
pub use standings::{
    Best, DrawnModel, FamilyCount, OriginCell, Origins, ReleaseRow, Selection, SelectionTerm, SnapshotRow,
    StandingsSettings, StratumCount, Surveyed, SurveyedModel, TableFile, TableInput, TableKind, View,
    ViewRow, draw_sample, standings,
};

pub use stemmata_alignment::{
    Basis, Column, EqualRows, HeadMap, HeadPick, LayerCell, LayerGrid, LayerMap, LayerRun, Moments, PairKey,
    Sample, SignOutcome, Structure,
};
pub use stemmata_architecture::{Component, Norm, Role};
pub use stemmata_evidence::merge::{
    Block, Estimate, Granularity, Homogeneity, Merge, MergeBasis, MergeMethod, MergeOutcome, Weighed,
    WeightGroup,
};
pub use stemmata_evidence::{
    Change, ComponentVerdict, DecisionRule, Direction, Evidence, Judgement, Kind, LayerEffect, Noise,
    NotTested, Power, Scope, TestKind, Tier, Verdict,
};
pub use stemmata_fingerprint::SketchParams;
pub use stemmata_model::{Level, ModelRef, ReferenceError, printable};
pub use stemmata_rating::ability::{
    Abilities, Ability, AbilityOptions, AbilityScale, Group as AbilityGroup, NoScale, Omission, Surprise,
    UnitFit, Unplaced, Weighting,
};
pub use stemmata_rating::tables::{Date, Openness, PublishedRating, Snapshot, TableError};
pub use stemmata_rating::votes::{
    Outcome, Part as VotePart, PartBy, Style as VoteStyle, Tally, VoteError, Wanted,
};
pub use stemmata_rating::{
    Adjusted, Checks, Component as RatingComponent, Decision, Estimate as CountEstimate, Flip, LegacyElo,
    Limits as RatingLimits, Model as VoteModel, NextPair, NoFit, Options as RatingOptions, POINTS, RateError,
    Rating, Resampled, Scale, Sequential, Standing, Standings, Term, win_rate,
};
pub use stemmata_source::{Access, Backend, FileDigest, HUB, S3Keys, Secret, SourceError};
pub use stemmata_stats::{Interval, PKind, PValue};

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// How a use case runs.
pub struct Settings<'a> {
    /// How bytes are fetched.
    pub backend: Backend,
    /// Where references lead; without it only local paths do.
    pub access: Option<&'a Access>,
    /// Bytes that may be fetched of each model.
    pub budget: Budget,
    /// Worker threads; 0 means one per processor.
    pub threads: usize,
    /// Raised by the caller to stop.
    pub stop: &'a AtomicBool,
    /// Whether to hash whole files whatever their size.
    pub digests: bool,
    /// How to decide.
    pub rule: DecisionRule,
    /// When to look for units that were moved.
    pub search: SearchMode,
    /// How many negative controls `compare` makes beside its positive ones; with 0 it makes none of either.
    pub controls: u32,
    /// Other models that `compare` looks at beside the pair, to tell merges and which of the two came first.
    pub relatives: &'a [String],
    /// What fixes a sketch.
    pub params: SketchParams,
    /// Where the caller will write the result; refused when it is a file that the result is made from.
    pub output: Option<&'a Path>,
}

impl<'a> Settings<'a> {
    /// What is usual: local files, read in full by all processors, searched where that is needed.
    pub fn new(stop: &'a AtomicBool) -> Settings<'a> {
        Settings {
            backend: Backend::Read,
            access: None,
            budget: Budget::default(),
            threads: 0,
            stop,
            digests: false,
            rule: DecisionRule::default(),
            search: SearchMode::default(),
            controls: 0,
            relatives: &[],
            params: SketchParams::default(),
            output: None,
        }
    }

    /// An error when the user asked to stop. To be asked between stages.
    pub fn check_stop(&self) -> Result<(), AuditError> {
        if self.stop.load(Ordering::Relaxed) {
            Err(stemmata_model::ReadError::Interrupted.into())
        } else {
            Ok(())
        }
    }
}

/// What is going on, for whoever shows progress.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A model was opened.
    Opened {
        /// As written, printable.
        reference: String,
        /// Stored parameters.
        parameters: u64,
    },
    /// Work on weights.
    Working {
        /// What is being done.
        doing: &'static str,
        /// Elements done.
        elements: u64,
        /// Elements to do.
        elements_total: u64,
        /// Bytes fetched so far.
        bytes: u64,
        /// Tensors done.
        tensors: usize,
        /// Tensors to do.
        tensors_total: usize,
    },
}

/// Receives events.
pub type Watch<'a> = &'a mut dyn FnMut(Event);
