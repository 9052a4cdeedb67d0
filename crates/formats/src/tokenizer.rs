//! `tokenizer.json`: enough of it to compare vocabularies. No encoder, no normaliser, no regular expression is read.

use crate::document::{Refusal, document};
use crate::json::{Kind, Scanner};
use crate::{FormatError, Limits};
use stemmata_model::{Tokenizer, printable};

/// Ids may exceed the number of tokens by this much beyond a factor of two; a single id of 2^31 must not allocate.
const SPARE_IDS: u64 = 65_536;

/// Reads the vocabulary of a tokenizer file: `model.vocab` and `added_tokens`.
pub fn parse_tokenizer(bytes: &[u8], name: &str) -> Result<Tokenizer, FormatError> {
    let limits = Limits::default();
    let text = document(bytes, name, limits.document_bytes)?;
    let file = printable(name);
    let mut reader = Reader { file: &file, limits: &limits, found: Vec::new(), kind: None, seen: false };
    let mut scanner = Scanner::new(text, limits.json_depth);
    scanner
        .object(|scanner, key| match (&*key, scanner.kind()?) {
            ("model", Kind::Object) => reader.model(scanner),
            ("added_tokens", Kind::Array) => reader.added(scanner),
            _ => Ok(scanner.skip()?),
        })
        .and_then(|()| Ok(scanner.end()?))
        .map_err(|refusal| refusal.into_format(&file, 0))?;
    if !reader.seen {
        return Err(FormatError::Malformed {
            subject: "tokenizer".into(),
            start: 0,
            end: bytes.len() as u64,
            reason: "`model.vocab` is missing".into(),
            file,
        });
    }
    reader.finish()
}

struct Reader<'r> {
    file: &'r str,
    limits: &'r Limits,
    /// Ids with their tokens, in file order; later ones win.
    found: Vec<(u64, String)>,
    kind: Option<String>,
    seen: bool,
}

impl Reader<'_> {
    fn model(&mut self, scanner: &mut Scanner) -> Result<(), Refusal> {
        scanner.object(|scanner, key| match (&*key, scanner.kind()?) {
            ("type", Kind::Text) => {
                self.kind = Some(scanner.string()?.into_owned());
                Ok(())
            }
            ("vocab", Kind::Object) => {
                self.seen = true;
                scanner.object(|scanner, token| {
                    let id = scanner.unsigned()?;
                    self.push(id, token.into_owned())
                })
            }
            ("vocab", Kind::Array) => {
                self.seen = true;
                let mut id = 0;
                scanner.array(|scanner| {
                    let mut token = None;
                    scanner.array(|scanner| {
                        if token.is_none() {
                            token = Some(scanner.string()?.into_owned());
                            return Ok(());
                        }
                        scanner.skip()
                    })?;
                    self.push(id, token.unwrap_or_default())?;
                    id += 1;
                    Ok::<_, Refusal>(())
                })
            }
            _ => Ok(scanner.skip()?),
        })
    }

    fn added(&mut self, scanner: &mut Scanner) -> Result<(), Refusal> {
        scanner.array(|scanner| {
            let (mut id, mut content) = (None, None);
            scanner.object(|scanner, key| {
                match &*key {
                    "id" => id = Some(scanner.unsigned()?),
                    "content" => content = Some(scanner.string()?.into_owned()),
                    _ => scanner.skip()?,
                }
                Ok::<_, Refusal>(())
            })?;
            match (id, content) {
                (Some(id), Some(content)) => self.push(id, content),
                _ => Ok(scanner.fail("an added token lacks `id` or `content`")?),
            }
        })
    }

    fn push(&mut self, id: u64, token: String) -> Result<(), Refusal> {
        let (claimed, limit) = (self.found.len() as u64 + 1, self.limits.tokens as u64);
        if claimed > limit {
            return Err(self.limit("the number of tokens so far", claimed, limit).into());
        }
        self.found.push((id, token));
        Ok(())
    }

    fn limit(&self, subject: &str, claimed: u64, limit: u64) -> FormatError {
        FormatError::Limit { file: self.file.to_owned(), subject: subject.into(), claimed, limit }
    }

    fn finish(self) -> Result<Tokenizer, FormatError> {
        let most = 2 * self.found.len() as u64 + SPARE_IDS;
        let size = self.found.iter().map(|(id, _)| id.saturating_add(1)).max().unwrap_or(0);
        if size > most {
            return Err(self.limit("the largest token id", size - 1, most - 1));
        }
        let mut tokens = vec![String::new(); size as usize];
        for (id, token) in self.found {
            tokens[id as usize] = token;
        }
        Ok(Tokenizer { tokens, kind: self.kind })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Result<(&[&str], Option<&str>), &str>) {
        match (parse_tokenizer(text.as_bytes(), "tokenizer.json"), expect) {
            (Ok(tokenizer), Ok((tokens, kind))) => {
                assert_eq!(tokenizer.tokens, tokens);
                assert_eq!(tokenizer.kind.as_deref(), kind);
            }
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (outcome, expect) => panic!("{text}: {outcome:?}, expected {expect:?}"),
        }
    }

    #[test]
    fn shapes() {
        check(
            r#"{"added_tokens":[{"id":3,"content":"<s>","special":true}],"model":{"type":"BPE","vocab":{"b":1,"a":0},"merges":["a b"]}}"#,
            Ok((&["a", "b", "", "<s>"], Some("BPE"))),
        );
        check(
            r#"{"model":{"type":"Unigram","unk_id":0,"vocab":[["<unk>",0.0],["x",-3.5]]}}"#,
            Ok((&["<unk>", "x"], Some("Unigram"))),
        );
        check(r#"{"model":{"vocab":{"a":4000000000}}}"#, Err("largest token id"));
        check(r#"{"model":{"vocab":{"a":-1}}}"#, Err("non-negative"));
        check(r#"{"model":{}}"#, Err("`model.vocab` is missing"));
    }
}
