//! Votes as lines of JSON, each with the hash of the one before: what was exported cannot be changed unseen.
//!
//! A line is a JSON object whose last field is `hash`: the SHA-256 of the line without that field. `previous` is the hash of the
//! line before, 64 zeros in the first.

use crate::draw::{Draw, digest};
use crate::error::WebError;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, Read};

/// What stands for the hash before the first line.
pub(crate) const START: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// Longest line that is read, bytes.
const LINE: u64 = 1 << 20;

/// One vote, under the column names of Chatbot Arena where it has one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// From one, without gaps.
    pub seq: u64,
    /// Hash of the record before.
    pub previous: String,
    /// Identifier of the battle.
    pub question_id: String,
    /// On the left.
    pub model_a: String,
    /// On the right.
    pub model_b: String,
    /// `model_a`, `model_b`, `tie` or `tie (bothbad)`.
    pub winner: String,
    /// Keyed hash of the voter.
    pub judge: String,
    /// Always 1: one question, two answers.
    pub turn: u32,
    /// Always true: names were shown after the vote.
    pub anony: bool,
    /// When the vote was counted, seconds since 1970.
    pub tstamp: f64,
    /// `text`, `image` or `video`.
    pub medium: String,
    /// The better side where it is known, as in a check; empty otherwise.
    pub gold: String,
    /// Why, as far as the voter said.
    pub reasons: Vec<String>,
    /// Whether words that name a contestant were covered on the left.
    pub masked_a: bool,
    /// The same on the right.
    pub masked_b: bool,
    /// Milliseconds between the end of both answers and the vote.
    pub milliseconds: u64,
    /// SHA-256 of the prompt.
    pub prompt_sha256: String,
    /// Shown to the voter before the answers.
    pub commitment: String,
    /// Opens the commitment.
    pub nonce: String,
    /// How long and how decorated the answers were.
    pub conv_metadata: Look,
}

/// Amounts of style, for `rate --style`; zero for images and videos.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// Characters (Unicode scalar values) of the left answer.
    pub assistant_a_characters: u64,
    /// The same on the right.
    pub assistant_b_characters: u64,
    /// Lines that begin with `#`.
    pub header_count_a: u64,
    /// The same on the right.
    pub header_count_b: u64,
    /// Lines that are items of lists.
    pub list_count_a: u64,
    /// The same on the right.
    pub list_count_b: u64,
    /// Pairs of `**`.
    pub bold_count_a: u64,
    /// The same on the right.
    pub bold_count_b: u64,
}

impl Look {
    /// Amounts of two answers.
    pub fn of(a: &str, b: &str) -> Look {
        let characters = |text: &str| text.chars().count() as u64;
        let lines =
            |text: &str, is: fn(&str) -> bool| text.lines().filter(|l| is(l.trim_start())).count() as u64;
        let header: fn(&str) -> bool = |line| line.starts_with('#');
        let item: fn(&str) -> bool = |line| {
            let after = line.trim_start_matches(|c: char| c.is_ascii_digit());
            let numbered = after.len() < line.len() && (after.starts_with(". ") || after.starts_with(") "));
            numbered || line.starts_with("- ") || line.starts_with("* ") || line.starts_with("+ ")
        };
        let bold = |text: &str| text.matches("**").count() as u64 / 2;
        Look {
            assistant_a_characters: characters(a),
            assistant_b_characters: characters(b),
            header_count_a: lines(a, header),
            header_count_b: lines(b, header),
            list_count_a: lines(a, item),
            list_count_b: lines(b, item),
            bold_count_a: bold(a),
            bold_count_b: bold(b),
        }
    }
}

impl Record {
    /// The record without its hash, and the hash.
    pub(crate) fn sealed(&self) -> (String, String) {
        // INVARIANT: strings, whole numbers and one finite number always have a JSON text.
        let text = serde_json::to_string(self).unwrap_or_default();
        let hash = digest(text.as_bytes());
        (text, hash)
    }

    /// The draw that the vote was cast on.
    pub fn draw(&self) -> Draw {
        Draw {
            battle: self.question_id.clone(),
            model_a: self.model_a.clone(),
            model_b: self.model_b.clone(),
            gold: self.gold.clone(),
            prompt_sha256: self.prompt_sha256.clone(),
            nonce: self.nonce.clone(),
        }
    }
}

/// The line of an export.
pub(crate) fn line(record: &str, hash: &str) -> String {
    let open = record.strip_suffix('}').unwrap_or(record);
    format!("{open},\"hash\":\"{hash}\"}}")
}

/// What a check of an export found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// How many votes it holds.
    pub votes: u64,
    /// Hash of the last one; 64 zeros where there is none.
    pub head: String,
}

/// Checks that every line is as it was written, that none is missing before the last, and that every commitment opens to the draw
/// beside it. With `receipt`, also that a vote with this hash is among them.
///
/// # Errors
/// The first line that does not hold, or a receipt that is nowhere.
pub fn verify(mut input: impl BufRead, receipt: Option<&str>) -> Result<Verified, WebError> {
    let (mut head, mut votes, mut number) = (START.to_owned(), 0, 0);
    let mut found = receipt.is_none();
    let mut raw = String::new();
    loop {
        raw.clear();
        number += 1;
        let read = Read::take(&mut input, LINE).read_line(&mut raw);
        let read = read.map_err(|source| WebError::Export { doing: "read", source })?;
        if read == 0 {
            break;
        }
        let wrong = |what: &str| WebError::Chain { line: number, what: what.to_owned() };
        let text = raw.strip_suffix('\n').ok_or_else(|| wrong("the line has no end"))?;
        let (open, rest) = text.rsplit_once(",\"hash\":\"").ok_or_else(|| wrong("the line has no hash"))?;
        let hash = rest.strip_suffix("\"}").ok_or_else(|| wrong("the hash is not the last field"))?;
        let record = format!("{open}}}");
        if digest(record.as_bytes()) != hash {
            return Err(wrong("the hash is not that of the line: it was changed"));
        }
        let record: Record = serde_json::from_str(&record)
            .map_err(|error| wrong(&format!("no vote: {}", stemmata_audit::printable(&error.to_string()))))?;
        if record.seq != votes + 1 {
            return Err(wrong(&format!("vote {} where vote {} was expected", record.seq, votes + 1)));
        }
        if record.previous != head {
            return Err(wrong("the hash of the vote before is another: a line was replaced"));
        }
        if record.draw().commitment() != record.commitment {
            return Err(wrong("the commitment does not open to this draw"));
        }
        found |= receipt == Some(hash);
        votes = record.seq;
        head = hash.to_owned();
    }
    if !found {
        return Err(WebError::Chain {
            line: number,
            what: "the end, and no vote has this receipt".to_owned(),
        });
    }
    Ok(Verified { votes, head })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn record(seq: u64, previous: &str) -> Record {
        let draw = Draw::new("x", "y", "", "a question").unwrap();
        Record {
            seq,
            previous: previous.to_owned(),
            question_id: draw.battle.clone(),
            commitment: draw.commitment(),
            model_a: draw.model_a,
            model_b: draw.model_b,
            winner: "tie".to_owned(),
            judge: "v".to_owned(),
            turn: 1,
            anony: true,
            tstamp: 1_795_000_000.125,
            medium: "text".to_owned(),
            gold: draw.gold,
            reasons: vec!["clear".to_owned()],
            masked_a: false,
            masked_b: true,
            milliseconds: 7,
            prompt_sha256: draw.prompt_sha256,
            nonce: draw.nonce,
            conv_metadata: Look::default(),
        }
    }

    fn three() -> (String, Vec<String>) {
        let (mut text, mut hashes) = (String::new(), Vec::new());
        for seq in 1..=3 {
            let (record, hash) = record(seq, hashes.last().map_or(START, String::as_str)).sealed();
            text.push_str(&line(&record, &hash));
            text.push('\n');
            hashes.push(hash);
        }
        (text, hashes)
    }

    fn error(text: &str) -> String {
        verify(text.as_bytes(), None).unwrap_err().to_string()
    }

    #[test]
    fn a_whole_chain_holds_and_any_change_is_seen() {
        let (text, hashes) = three();
        let whole = verify(text.as_bytes(), None).unwrap();
        assert_eq!(whole, Verified { votes: 3, head: hashes[2].clone() });
        assert!(verify(text.as_bytes(), Some(&hashes[1])).is_ok());
        assert!(verify(text.as_bytes(), Some(START)).is_err());
        assert_eq!(verify(&b""[..], None).unwrap().head, START);
        let lines: Vec<&str> = text.lines().collect();
        assert!(error(&text.replacen("\"tie\"", "\"model_a\"", 1)).contains("was changed"));
        assert!(error(&format!("{}\n{}\n", lines[0], lines[2])).contains("vote 3 where vote 2"));
        assert!(error(&format!("{}\n{}\n", lines[1], lines[0])).contains("vote 2 where vote 1"));
        assert!(error(text.trim_end()).contains("has no end"));
        for position in [10, text.len() / 2, text.len() - 20] {
            let mut bytes = text.clone().into_bytes();
            bytes[position] = if bytes[position] == b'0' { b'1' } else { b'0' };
            assert!(verify(&bytes[..], None).is_err(), "byte {position}");
        }
    }

    #[test]
    fn a_chain_made_anew_after_a_change_has_another_head_and_needs_openings() {
        let mut forged = record(1, START);
        forged.model_a = "z".to_owned();
        let (record, hash) = forged.sealed();
        assert!(error(&format!("{}\n", line(&record, &hash))).contains("does not open"));
    }

    #[test]
    fn style_is_counted() {
        let look = Look::of("# Head\n- one\n12. two\n**bold** é", "3.14 is no item");
        assert_eq!((look.header_count_a, look.list_count_a, look.bold_count_a), (1, 2, 1));
        assert_eq!((look.list_count_b, look.assistant_b_characters), (0, 15));
    }
}
