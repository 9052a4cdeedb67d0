//! What do the columns of votes mean? The namings that are known, and one record in them.

use super::error::shown;
use super::{Limits, Outcome, Part, VoteError};

/// Which columns to keep beside the votes themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Columns whose values say which votes belong together (session, user, prompt, item).
    pub clusters: Vec<String>,
    /// Style terms.
    pub styles: Vec<Style>,
    /// How much a vote counts: a column of numbers that are not negative.
    pub weight: Option<String>,
    /// Parts that are rated by themselves.
    pub part: Option<Part>,
}

/// Where the value of a style term comes from. In JSON a dot leads into an object, and the numbers below the place are added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Style {
    /// A column that holds the difference, first minus second.
    Difference {
        /// Its name.
        column: String,
    },
    /// Two columns of amounts a and b; the value is (a − b)/(a + b), 0 where both are 0.
    Contrast {
        /// Amount of the first contestant.
        first: String,
        /// Amount of the second contestant.
        second: String,
    },
}

impl Style {
    pub(super) fn columns(&self) -> Vec<&str> {
        match self {
            Style::Difference { column } => vec![column],
            Style::Contrast { first, second } => vec![first, second],
        }
    }
}

/// How contestants and outcome are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    /// Chatbot Arena.
    Arena,
    /// evalica, LLMFAO.
    Sides,
    /// compar:IA.
    ComparIa,
}

impl Naming {
    pub(super) const ALL: [Naming; 3] = [Naming::Arena, Naming::Sides, Naming::ComparIa];

    /// First contestant, second contestant, outcome, and a further column where the outcome needs one.
    pub(super) fn columns(self) -> &'static [&'static str] {
        match self {
            Naming::Arena => &["model_a", "model_b", "winner"],
            Naming::Sides => &["left", "right", "winner"],
            Naming::ComparIa => &["model_a_name", "model_b_name", "chosen_model_name", "both_equal"],
        }
    }

    /// The one naming whose columns are all there.
    pub(super) fn find(has: impl Fn(&str) -> bool, line: u64) -> Result<Naming, VoteError> {
        let fitting: Vec<Naming> =
            Naming::ALL.into_iter().filter(|naming| naming.columns().iter().all(|c| has(c))).collect();
        match fitting.as_slice() {
            [naming] => Ok(*naming),
            [] => Err(VoteError::Columns { line, what: "no known names of columns".to_owned() }),
            _ => Err(VoteError::Columns { line, what: "the columns fit more than one naming".to_owned() }),
        }
    }

    /// What the cells say; `cells` are those of [`Naming::columns`], in that order.
    pub(super) fn outcome(self, cells: &[&str], line: u64) -> Result<Outcome, VoteError> {
        let unknown = |value: &str| Err(VoteError::Outcome { line, value: shown(value) });
        match self {
            Naming::Arena => match cells[2] {
                "model_a" => Ok(Outcome::First),
                "model_b" => Ok(Outcome::Second),
                "tie" => Ok(Outcome::Tie),
                "tie (bothbad)" | "both_bad" => Ok(Outcome::BothBad),
                other => unknown(other),
            },
            Naming::Sides => match cells[2] {
                "left" => Ok(Outcome::First),
                "right" => Ok(Outcome::Second),
                "tie" => Ok(Outcome::Tie),
                other => unknown(other),
            },
            Naming::ComparIa => match (cells[2], cells[3]) {
                ("", "true" | "True") => Ok(Outcome::Tie),
                // The published votes have rows with a chosen model and nothing beside it: that is no contradiction.
                (chosen, "false" | "False" | "") if !chosen.is_empty() && chosen == cells[0] => {
                    Ok(Outcome::First)
                }
                (chosen, "false" | "False" | "") if !chosen.is_empty() && chosen == cells[1] => {
                    Ok(Outcome::Second)
                }
                (chosen, equal) => unknown(&format!("{chosen}, both_equal {equal}")),
            },
        }
    }
}

/// One vote as read.
pub(super) struct Record<'a> {
    pub(super) line: u64,
    pub(super) first: &'a str,
    pub(super) second: &'a str,
    pub(super) outcome: Outcome,
    pub(super) count: u64,
    pub(super) clusters: Vec<&'a str>,
    pub(super) styles: Vec<f64>,
    pub(super) weight: Option<f64>,
    pub(super) part: Option<String>,
}

/// A count; at most what f64 holds exactly.
pub(super) fn count(text: &str, line: u64) -> Result<u64, VoteError> {
    let bad = || VoteError::Count { line, value: shown(text) };
    // `parse` would take a leading plus sign.
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(bad());
    }
    text.parse().ok().filter(|n| *n <= 1 << 50).ok_or_else(bad)
}

/// The value of a style term from the numbers in its columns.
pub(super) fn style(style: &Style, numbers: &[f64], line: u64) -> Result<f64, VoteError> {
    let number = |column: &str, value: f64| VoteError::Number {
        line,
        column: shown(column),
        value: value.to_string(),
    };
    match (style, numbers) {
        (Style::Difference { column }, [value]) => {
            if value.is_finite() {
                Ok(*value)
            } else {
                Err(number(column, *value))
            }
        }
        (Style::Contrast { first, second }, [a, b]) => {
            for (column, value) in [(first, a), (second, b)] {
                if !(0.0..1e15).contains(value) {
                    return Err(number(column, *value));
                }
            }
            Ok(if a + b > 0.0 { (a - b) / (a + b) } else { 0.0 })
        }
        _ => Ok(f64::NAN),
    }
}

/// How much a vote counts.
pub(super) fn weight(text: &str, column: &str, line: u64) -> Result<f64, VoteError> {
    let number = text.trim().parse::<f64>().ok().filter(|w| (0.0..1e9).contains(w));
    number.ok_or_else(|| VoteError::Weight { line, column: shown(column), value: shown(text) })
}

/// The part that a row belongs to.
pub(super) fn part(part: &Part, text: &str, limits: &Limits, line: u64) -> Result<String, VoteError> {
    let key = part.by.key(bounded(text, limits, line)?);
    key.ok_or_else(|| VoteError::Part { line, column: shown(&part.column), value: shown(text) })
}

/// A name or a cluster value no longer than allowed.
pub(super) fn bounded<'a>(text: &'a str, limits: &Limits, line: u64) -> Result<&'a str, VoteError> {
    if text.len() > limits.name_bytes {
        return Err(VoteError::TooLong { line, what: "a name", limit: limits.name_bytes as u64 });
    }
    Ok(text)
}
