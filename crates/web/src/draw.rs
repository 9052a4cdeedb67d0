//! Who meets whom, on which side? Drawn uniformly, promised by a hash before the vote, opened after it.

use crate::error::WebError;
use crate::random::{below, bytes, hex};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The name under which both sides of a check stand in votes: an entry against itself, which no rating counts.
pub const GOLD: &str = "gold";

/// A draw. Its JSON text, fields in this order and without blanks, is what the commitment is the SHA-256 of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draw {
    /// Identifier of the battle.
    pub battle: String,
    /// Who stands on the left.
    pub model_a: String,
    /// Who stands on the right.
    pub model_b: String,
    /// `model_a` or `model_b` where it is known which answer is better; empty otherwise.
    pub gold: String,
    /// SHA-256 of the prompt, hexadecimal.
    pub prompt_sha256: String,
    /// 32 random bytes, hexadecimal, without which the commitment tells nothing.
    pub nonce: String,
}

impl Draw {
    /// A draw with a new identifier and nonce.
    pub(crate) fn new(model_a: &str, model_b: &str, gold: &str, prompt: &str) -> Result<Draw, WebError> {
        Ok(Draw {
            battle: hex(&bytes::<16>()?),
            model_a: model_a.to_owned(),
            model_b: model_b.to_owned(),
            gold: gold.to_owned(),
            prompt_sha256: digest(prompt.as_bytes()),
            nonce: hex(&bytes::<32>()?),
        })
    }

    /// The text that opens the commitment.
    pub fn opening(&self) -> String {
        // INVARIANT: a struct of strings always has a JSON text.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// SHA-256 of the opening, hexadecimal.
    pub fn commitment(&self) -> String {
        digest(self.opening().as_bytes())
    }
}

/// SHA-256, hexadecimal.
pub(crate) fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Two different numbers below `n`, every ordered pair equally likely. `n` is 2 or more.
pub(crate) fn pair(n: usize) -> Result<(usize, usize), WebError> {
    let n = n as u64;
    let drawn = below(n * (n - 1))?;
    let (first, other) = (drawn / (n - 1), drawn % (n - 1));
    // The second runs over all but the first.
    let second = if other < first { other } else { other + 1 };
    Ok((first as usize, second as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ordered_pair_is_equally_likely() {
        // Chi-square with 11 degrees of freedom exceeds 58 with probability 2e-8.
        let mut counts = [[0_u32; 4]; 4];
        for _ in 0..60_000 {
            let (a, b) = pair(4).unwrap();
            counts[a][b] += 1;
        }
        let mut chi = 0.0;
        for (a, row) in counts.iter().enumerate() {
            assert_eq!(row[a], 0, "nobody meets itself");
            let others = row.iter().enumerate().filter(|(b, _)| *b != a);
            chi += others.map(|(_, c)| (f64::from(*c) - 5000.0).powi(2) / 5000.0).sum::<f64>();
        }
        assert!(chi < 58.0, "{counts:?}");
    }

    #[test]
    fn the_commitment_is_the_hash_of_the_opening() {
        let draw = Draw {
            battle: "b".to_owned(),
            model_a: "x".to_owned(),
            model_b: "y".to_owned(),
            gold: String::new(),
            prompt_sha256: "p".to_owned(),
            nonce: "n".to_owned(),
        };
        let opening =
            r#"{"battle":"b","model_a":"x","model_b":"y","gold":"","prompt_sha256":"p","nonce":"n"}"#;
        assert_eq!(draw.opening(), opening);
        // printf '%s' OPENING | sha256sum
        assert_eq!(draw.commitment(), "31dddd640b9feaca4729c0a2d435a9418323a8c982cff1d68453cb073f36a585");
        let again = Draw::new("x", "y", "", "p").unwrap();
        assert_ne!(again.commitment(), Draw::new("x", "y", "", "p").unwrap().commitment());
    }
}
