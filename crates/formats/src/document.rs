//! JSON files as a whole: size, encoding, and one way to say why one is refused.

use crate::FormatError;
use crate::json::JsonError;
use stemmata_model::printable;

/// Why reading a document stopped: not JSON, or JSON that its reader refuses.
#[derive(Debug)]
pub(crate) enum Refusal {
    Json(JsonError),
    Format(FormatError),
}

impl From<JsonError> for Refusal {
    fn from(error: JsonError) -> Self {
        Refusal::Json(error)
    }
}

impl From<FormatError> for Refusal {
    fn from(error: FormatError) -> Self {
        Refusal::Format(error)
    }
}

impl Refusal {
    /// The error of a document that starts at byte `base` of the file with the printable name `file`.
    pub(crate) fn into_format(self, file: &str, base: u64) -> FormatError {
        match self {
            Refusal::Format(error) => error,
            Refusal::Json(JsonError { offset, reason }) => {
                let start = base + offset as u64;
                FormatError::Malformed {
                    file: file.to_owned(),
                    subject: "JSON".into(),
                    start,
                    end: start + 1,
                    reason: reason.into(),
                }
            }
        }
    }
}

/// The text of a document, after checking its size and its encoding; a byte order mark is dropped.
pub(crate) fn document<'a>(bytes: &'a [u8], name: &str, limit: u64) -> Result<&'a str, FormatError> {
    let file = printable(name);
    let claimed = bytes.len() as u64;
    if claimed > limit {
        return Err(FormatError::Limit {
            file,
            subject: "the document's size in bytes".into(),
            claimed,
            limit,
        });
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').unwrap_or(text)),
        Err(error) => {
            let start = error.valid_up_to() as u64;
            Err(FormatError::Malformed {
                file,
                subject: "JSON".into(),
                start,
                end: start + 1,
                reason: "not UTF-8".into(),
            })
        }
    }
}
