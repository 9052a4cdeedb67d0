//! Why votes could not be read; every error names its line.

/// Why votes could not be read. Lines are counted from 1; texts are cut and free of control characters.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VoteError {
    /// The bytes could not be fetched.
    #[error("line {line}: {source}")]
    Io {
        /// Where.
        line: u64,
        /// Why.
        source: std::io::Error,
    },
    /// There is no header or no row.
    #[error("there are no votes in it")]
    Empty,
    /// The columns fit no naming, or more than one.
    #[error("line {line}: {what}")]
    Columns {
        /// Of the header, or of the first object.
        line: u64,
        /// In a sentence.
        what: String,
    },
    /// A column that was asked for is not there.
    #[error("line {line}: there is no column `{column}`")]
    MissingColumn {
        /// Where.
        line: u64,
        /// Which.
        column: String,
    },
    /// A row says something that is no outcome.
    #[error("line {line}: unknown outcome `{value}`")]
    Outcome {
        /// Where.
        line: u64,
        /// What it says.
        value: String,
    },
    /// A count is no whole number.
    #[error("line {line}: `{value}` is no count")]
    Count {
        /// Where.
        line: u64,
        /// What it says.
        value: String,
    },
    /// A style value is no finite number, or negative where amounts are compared.
    #[error("line {line}: `{value}` in column `{column}` is no finite number that a style term can use")]
    Number {
        /// Where.
        line: u64,
        /// Which column.
        column: String,
        /// What it says.
        value: String,
    },
    /// A weight is no number, or negative.
    #[error("line {line}: `{value}` in column `{column}` is no weight: a number from 0 on")]
    Weight {
        /// Where.
        line: u64,
        /// Which column.
        column: String,
        /// What it says.
        value: String,
    },
    /// A row belongs to no part.
    #[error(
        "line {line}: `{value}` in column `{column}` names no part: it is empty, or no date where dates are asked for"
    )]
    Part {
        /// Where.
        line: u64,
        /// Which column.
        column: String,
        /// What it says.
        value: String,
    },
    /// A contestant has no name.
    #[error("line {line}: a contestant has no name")]
    EmptyName {
        /// Where.
        line: u64,
    },
    /// A vote belongs to no cluster.
    #[error("line {line}: the cluster column `{column}` is empty")]
    EmptyCluster {
        /// Where.
        line: u64,
        /// Which column.
        column: String,
    },
    /// A row is not written as the syntax asks.
    #[error("line {line}: {what}")]
    Syntax {
        /// Where the record begins.
        line: u64,
        /// In a sentence.
        what: String,
    },
    /// Something is longer than the limit.
    #[error("line {line}: {what} is longer than {limit} bytes")]
    TooLong {
        /// Where.
        line: u64,
        /// What.
        what: &'static str,
        /// How much is allowed.
        limit: u64,
    },
    /// There are more of something than the limit.
    #[error("line {line}: more than {limit} {what}")]
    TooMany {
        /// Where.
        line: u64,
        /// What.
        what: &'static str,
        /// How many are allowed.
        limit: u64,
    },
    /// A Parquet file where none can be read.
    #[error("this is a Parquet file, {why}")]
    Parquet {
        /// Why not, and the way out.
        why: &'static str,
    },
    /// Something is wrong with a row of a table that has no lines, or with the table.
    #[error("{}", of_row(.0))]
    Row(Box<VoteError>),
}

/// The message of an error whose line is a row; 0 is none.
fn of_row(error: &VoteError) -> String {
    let text = error.to_string();
    match text.strip_prefix("line ") {
        Some(rest) => rest.strip_prefix("0: ").map_or_else(|| format!("row {rest}"), str::to_owned),
        None => text,
    }
}

impl VoteError {
    /// What the user could do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            VoteError::Row(error) => error.hint(),
            VoteError::Parquet { .. } => Some(
                "build with `--features parquet` and name the file, or convert: duckdb -c \"COPY \
                 (SELECT model_a, model_b, winner FROM 'votes.parquet') TO 'votes.csv'\"",
            ),
            VoteError::Columns { .. } => Some(
                "columns are `model_a, model_b, winner`, `left, right, winner` or `model_a_name, model_b_name, \
                 chosen_model_name, both_equal`; `count` may be added",
            ),
            VoteError::Outcome { .. } => Some(
                "with `model_a, model_b`: model_a, model_b, tie, tie (bothbad) or both_bad; with `left, right`: left, \
                 right or tie; a vote that was not cast has no row",
            ),
            VoteError::EmptyCluster { .. } => {
                Some("name a column that every vote has, or leave such rows out and say so")
            }
            _ => None,
        }
    }
}

/// Text from the input as it may stand in a message.
pub(crate) fn shown(text: &str) -> String {
    const MOST: usize = 60;
    let mut out = String::new();
    for c in text.chars().take(MOST) {
        if c.is_control() { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    if text.chars().nth(MOST).is_some() {
        out.push('…');
    }
    out
}
