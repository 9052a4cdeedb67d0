//! Answers that were made before: one file per prompt, `ID.txt`, `ID.md`, `ID.png`, `ID.jpg` or `ID.mp4`.

use crate::config::Medium;
use crate::error::WebError;
use crate::mask::Mask;
use crate::media;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use stemmata_audit::printable;

/// Largest file of a recorded answer, bytes.
const LARGEST: u64 = 64 << 20;

/// A recorded answer, kept in memory.
pub(crate) struct Recording {
    path: String,
    pub(crate) content: Content,
}

/// What an answer is made of.
#[derive(Clone)]
pub(crate) enum Content {
    Text(String),
    /// Bytes without descriptions of who made them, and their media type.
    Media(Arc<[u8]>, &'static str),
}

impl Recording {
    /// An error where an image or video still names a contestant.
    pub(crate) fn check(&self, mask: &Mask) -> Result<(), WebError> {
        let Content::Media(bytes, _) = &self.content else { return Ok(()) };
        match media::names(bytes, mask) {
            None => Ok(()),
            Some(text) => {
                let what = format!("names a contestant in its bytes: `{}`", printable(&text));
                Err(WebError::Recorded { path: self.path.clone(), what })
            }
        }
    }
}

/// The answers to these prompts in a folder.
pub(crate) fn folder<'a>(
    folder: &Path,
    ids: impl Iterator<Item = &'a str>,
    medium: Medium,
) -> Result<BTreeMap<String, Recording>, WebError> {
    let endings: &[&str] = match medium {
        Medium::Text => &["txt", "md"],
        Medium::Image => &["png", "jpg", "jpeg"],
        Medium::Video => &["mp4"],
    };
    if !folder.is_dir() {
        let path = printable(&folder.display().to_string());
        return Err(WebError::Recorded { path, what: "is no folder".to_owned() });
    }
    let mut out = BTreeMap::new();
    for id in ids {
        let there = endings.iter().map(|ending| folder.join(format!("{id}.{ending}"))).find(|p| p.exists());
        if let Some(path) = there {
            out.insert(id.to_owned(), file(&path, medium)?);
        }
    }
    Ok(out)
}

/// One answer.
pub(crate) fn file(path: &Path, medium: Medium) -> Result<Recording, WebError> {
    let shown = printable(&path.display().to_string());
    let failed = |what: String| WebError::Recorded { path: shown.clone(), what };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| failed(error.to_string()))?;
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| failed(error.to_string()))?;
    if bytes.len() as u64 > LARGEST {
        return Err(failed(format!("is larger than {LARGEST} bytes")));
    }
    let content = match medium {
        Medium::Text => {
            let text = String::from_utf8(bytes).map_err(|_| failed("is no UTF-8 text".to_owned()))?;
            Content::Text(text)
        }
        Medium::Image | Medium::Video => {
            let (clean, kind) = media::clean(&bytes, medium).map_err(|what| failed(what.to_owned()))?;
            Content::Media(clean.into(), kind)
        }
    };
    Ok(Recording { path: shown, content })
}
