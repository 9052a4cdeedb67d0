//! View models and renderers: human, TSV, JSON, HTML, SARIF.
//!
//! Answers: *how does a result look?* Takes plain values from `audit`, turns them into the wire types once, and renders
//! those. Knows no file, no clock and no terminal; the same values give the same bytes.
#![forbid(unsafe_code)]

mod html;
mod human;
mod json;
mod mergekit;
mod number;
mod sarif;
mod text;
mod tsv;
pub mod wire;
mod words;

use stemmata_audit as audit;

/// How a result is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// For a terminal.
    Human,
    /// One header line, then rows.
    Tsv,
    /// The versioned interchange format.
    Json,
    /// One self-contained page.
    Html,
}

impl Format {
    /// All formats.
    pub const ALL: [Format; 4] = [Format::Human, Format::Tsv, Format::Json, Format::Html];

    /// Name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Format::Human => "human",
            Format::Tsv => "tsv",
            Format::Json => "json",
            Format::Html => "html",
        }
    }

    /// The format with this name.
    pub fn from_name(name: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|format| format.name() == name)
    }
}

/// What the terminal can show. Only human output looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Whether colour may accompany the words; it never replaces them.
    pub color: bool,
    /// Whether anything beyond ASCII may be written, names in the data excepted.
    pub unicode: bool,
    /// Columns.
    pub width: usize,
}

impl Default for Style {
    fn default() -> Style {
        Style { color: false, unicode: true, width: 110 }
    }
}

/// What is known of the run besides its result.
#[derive(Clone, Debug, PartialEq)]
pub struct Context {
    /// The command line that gives the result again, quoted for a shell.
    pub command: String,
    /// Version of the tool.
    pub version: String,
    /// How long it took, only when it was asked for: it differs between runs.
    pub timing: Option<Timing>,
}

/// Cost of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timing {
    /// Elapsed seconds.
    pub seconds_wall: f64,
    /// Peak resident memory.
    pub peak_memory_bytes: u64,
}

/// Renders a comparison.
pub fn comparison(c: &audit::Comparison, format: Format, style: &Style, context: &Context) -> String {
    let report = wire::Report::new(c, context);
    match format {
        Format::Human => human::comparison(&report, style),
        Format::Tsv => tsv::comparison(&report),
        Format::Json => json::pretty(&report),
        Format::Html => html::comparison(&report),
    }
}

/// Renders a blame. TSV has one row per layer, then one per expert.
pub fn blame(b: &audit::Blame, format: Format, style: &Style, context: &Context) -> String {
    let blame = wire::Blame::new(b, context);
    match format {
        Format::Human => human::blame(&blame, style),
        Format::Tsv => tsv::blame(&blame),
        Format::Json => json::pretty(&blame),
        Format::Html => html::plain("Blame", &human::blame(&blame, &Style::default()), &blame),
    }
}

/// The map as a mergekit configuration, or the reason why it cannot be written as one.
pub fn mergekit(b: &audit::Blame, context: &Context) -> Result<String, String> {
    mergekit::blame(&wire::Blame::new(b, context))
}

/// Renders an inspection. TSV has one row per tensor.
pub fn inspection(i: &audit::Inspection, format: Format, style: &Style, context: &Context) -> String {
    let inspection = wire::Inspection::new(i, context);
    match format {
        Format::Human => human::inspection(&inspection, style),
        Format::Tsv => tsv::inspection(&inspection),
        Format::Json => json::pretty(&inspection),
        Format::Html => {
            html::plain("Inspection", &human::inspection(&inspection, &Style::default()), &inspection)
        }
    }
}

/// The remarks of an inspection as a SARIF 2.1.0 log.
pub fn sarif(i: &audit::Inspection, context: &Context) -> String {
    sarif::inspection(&wire::Inspection::new(i, context))
}

/// Renders a diff; `stat_only` leaves only the totals of human output; rows for programs are always complete.
pub fn difference(
    d: &audit::Difference,
    stat_only: bool,
    format: Format,
    style: &Style,
    context: &Context,
) -> String {
    let difference = wire::Difference::new(d, context);
    match format {
        Format::Human => human::difference(&difference, stat_only, style),
        Format::Tsv => tsv::difference(&difference),
        Format::Json => json::pretty(&difference),
        Format::Html => {
            html::plain("Diff", &human::difference(&difference, stat_only, &Style::default()), &difference)
        }
    }
}

/// Renders ratings from votes. TSV has one row per contestant.
pub fn rating(r: &audit::Rated, format: Format, style: &Style, context: &Context) -> String {
    let ratings = wire::Ratings::new(r, context);
    match format {
        Format::Human => human::rating(&ratings, style),
        Format::Tsv => tsv::rating(&ratings),
        Format::Json => json::pretty(&ratings),
        Format::Html => html::rating(&ratings),
    }
}

/// The style sheet of all pages.
pub const STYLE_SHEET: &str = html::STYLE;

/// The sections of the page of ratings, for a page with a frame of its own that has [`STYLE_SHEET`]: first who leads, with figure and
/// table, then how that was found.
pub fn rating_sections(r: &audit::Rated, context: &Context) -> [String; 2] {
    html::rating_sections(&wire::Ratings::new(r, context))
}

/// Text between tags or inside a double-quoted attribute.
pub fn escaped(text: &str) -> std::borrow::Cow<'_, str> {
    text::escape_html(text)
}

/// Renders standings. TSV has one row per model.
pub fn standings(s: &audit::Surveyed, format: Format, style: &Style, context: &Context) -> String {
    let survey = wire::Survey::new(s, context);
    match format {
        Format::Human => human::standings(&survey, style),
        Format::Tsv => tsv::standings(&survey),
        Format::Json => json::pretty(&survey),
        Format::Html => html::standings(&survey),
    }
}
