//! Ratings from blind votes: reads the inputs that a face opened, rates, and says what the votes do not allow.

use crate::finding::Finding;
use crate::{AuditError, printable};
use sha2::{Digest, Sha256};
use std::io::{self, BufRead, BufReader, Read};
use stemmata_model::Level;
use stemmata_rating::votes::{Limits, Reader, Syntax, Tally, VoteError, Wanted};
use stemmata_rating::{NoFit, Options, RateError, Standings};

/// Fewer independent units than this make errors that are themselves uncertain.
const FEW: u64 = 30;

/// An opened input.
pub struct VoteInput<'a> {
    /// As the user wrote it.
    pub name: String,
    /// Its bytes.
    pub bytes: Box<dyn Read + 'a>,
}

/// What to rate and how.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RateSettings {
    /// Columns to read beside the votes.
    pub wanted: Wanted,
    /// How to rate.
    pub options: Options,
}

/// One input that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoteFile {
    /// As the user wrote it, printable.
    pub name: String,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
    /// What it held.
    pub tally: Tally,
}

/// Outcome of `rate`.
#[derive(Clone, Debug, PartialEq)]
pub struct Rated {
    /// Inputs in the order given.
    pub inputs: Vec<VoteFile>,
    /// What was asked for.
    pub settings: RateSettings,
    /// The ratings.
    pub standings: Standings,
    /// Remarks.
    pub findings: Vec<Finding>,
}

/// Reads votes and rates their contestants.
pub fn rate(inputs: Vec<VoteInput<'_>>, settings: &RateSettings) -> Result<Rated, AuditError> {
    let mut reader = Reader::new(settings.wanted.clone(), Limits::default());
    let mut files = Vec::with_capacity(inputs.len());
    for input in inputs {
        let name = printable(&input.name);
        let failed = |source| AuditError::Votes { path: name.clone(), source };
        let mut bytes = BufReader::with_capacity(1 << 20, Hashed::new(input.bytes));
        let syntax = syntax(&mut bytes).map_err(failed)?;
        let tally = reader.read(syntax, &mut bytes).map_err(failed)?;
        let (sha256, length) = bytes.into_inner().finish();
        files.push(VoteFile { name: name.clone(), sha256, bytes: length, tally });
    }
    let standings = stemmata_rating::rate(&reader.finish(), &settings.options)?;
    let anchor = settings.options.anchor.as_ref().map(|(name, _)| name);
    if let Some(name) = anchor
        && !standings.contestants.iter().any(|c| c.name == *name && c.rating.is_some())
    {
        return Err(AuditError::AnchorWithoutRating { name: printable(name) });
    }
    let findings = findings(&files, settings, &standings);
    Ok(Rated { inputs: files, settings: settings.clone(), standings, findings })
}

/// JSON where the first character is that of an object.
fn syntax(bytes: &mut impl BufRead) -> Result<Syntax, VoteError> {
    let start = bytes.fill_buf().map_err(|source| VoteError::Io { line: 1, source })?;
    if start.starts_with(b"PAR1") {
        return Err(VoteError::Columns {
            line: 1,
            what: "this is a Parquet file, which is not read; write it as CSV or JSON Lines".to_owned(),
        });
    }
    let first = start.iter().find(|b| !b.is_ascii_whitespace());
    Ok(if first == Some(&b'{') { Syntax::JsonLines } else { Syntax::Csv })
}

fn findings(files: &[VoteFile], settings: &RateSettings, standings: &Standings) -> Vec<Finding> {
    let mut out = Vec::new();
    let mut say = |level, code, subject: &str, message: String| {
        out.push(Finding { code, level, side: "", subject: printable(subject), message });
    };
    for file in files.iter().filter(|f| f.tally.against_itself > 0) {
        let message =
            format!("{} rows of a contestant against itself were left out", file.tally.against_itself);
        say(Level::Note, "votes-against-itself", &file.name, message);
    }
    let scales = standings.components.iter().filter(|c| matches!(c.scale, Some(Ok(_)))).count();
    if standings.components.len() > 1 {
        let message = format!(
            "{} sets of contestants, {scales} with a scale: ratings and ranks compare within a set only",
            standings.components.len()
        );
        say(Level::Warning, "no-common-scale", "", message);
    }
    for (number, component) in standings.components.iter().enumerate() {
        let names: Vec<&str> = standings
            .contestants
            .iter()
            .filter(|c| c.component as usize == number)
            .map(|c| c.name.as_str())
            .collect();
        let subject = match names.as_slice() {
            [one] => (*one).to_owned(),
            [first, ..] => format!("{first} and {} more", names.len() - 1),
            [] => continue,
        };
        let alone = names.len() == 1;
        let what = |text: &str| match alone {
            true => format!("{text}: the votes allow no number"),
            false => format!("{text}: the votes allow no distance to the others"),
        };
        if number == 0 && !alone {
            // The largest set needs no remark: the others say how they stand to it.
        } else if component.undefeated {
            say(
                Level::Warning,
                "undefeated",
                &subject,
                what("never lost to or tied with a contestant outside"),
            );
        } else if component.winless {
            say(
                Level::Warning,
                "winless",
                &subject,
                what("never won against or tied with a contestant outside"),
            );
        } else if alone {
            say(Level::Warning, "unlinked", &subject, what("no chain of wins or ties leads there and back"));
        } else {
            say(Level::Warning, "unlinked", &subject, what("no chain of wins or ties links them both ways"));
        }
        match &component.scale {
            Some(Err(NoFit::Separated)) => {
                let text = "the likelihood has no finite maximum: without ties (or without wins) a model of ties has none";
                say(Level::Warning, "no-finite-fit", &subject, text.to_owned());
            }
            Some(Err(NoFit::NotConverged)) => {
                let text = "the fit did not converge and is not shown".to_owned();
                say(Level::Warning, "not-converged", &subject, text);
            }
            Some(Ok(scale)) => {
                if !settings.wanted.clusters.is_empty() && scale.units < FEW {
                    let text = format!(
                        "{} clusters: too few for errors that can be relied on; quantiles are those of Student's t",
                        scale.units
                    );
                    say(Level::Warning, "few-clusters", &subject, text);
                }
                if let Some(sampled) = scale.resampled.as_ref().filter(|r| r.without_fit > 0) {
                    let text = format!(
                        "{} of {} bootstrap samples have no finite ratings for all and are in no interval",
                        sampled.without_fit, sampled.samples
                    );
                    say(Level::Warning, "bootstrap-incomplete", &subject, text);
                }
                if matches!(scale.terms, Some(Err(_))) {
                    let text =
                        "position and style cannot be told from the strengths by these votes".to_owned();
                    say(Level::Warning, "terms-not-fitted", &subject, text);
                }
            }
            None => {}
        }
    }
    out
}

/// Hashes what passes.
pub(crate) struct Hashed<R> {
    inner: R,
    hasher: Sha256,
    bytes: u64,
}

impl<R: Read> Hashed<R> {
    pub(crate) fn new(inner: R) -> Hashed<R> {
        Hashed { inner, hasher: Sha256::new(), bytes: 0 }
    }

    pub(crate) fn finish(self) -> (String, u64) {
        let digest = self.hasher.finalize();
        (digest.iter().map(|b| format!("{b:02x}")).collect(), self.bytes)
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        self.bytes += read as u64;
        Ok(read)
    }
}

impl From<RateError> for AuditError {
    fn from(error: RateError) -> AuditError {
        AuditError::Rate(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rated(text: &str, settings: &RateSettings) -> Result<Rated, AuditError> {
        let input = VoteInput { name: "votes.csv".to_owned(), bytes: Box::new(text.as_bytes()) };
        rate(vec![input], settings)
    }

    #[test]
    fn what_the_votes_do_not_allow_is_named() {
        let text = "model_a,model_b,winner,count\na,b,model_a,3\na,b,model_b,2\nb,c,model_a,4\nd,a,model_a,1\ne,e,tie,1\n";
        let result = rated(text, &RateSettings::default()).unwrap();
        let told: Vec<(&str, &str)> = result.findings.iter().map(|f| (f.code, f.subject.as_str())).collect();
        let expected = [
            ("votes-against-itself", "votes.csv"),
            ("no-common-scale", ""),
            ("winless", "c"),
            ("undefeated", "d"),
            ("unlinked", "e"),
        ];
        assert_eq!(told, expected);
        assert_eq!(result.inputs[0].bytes, text.len() as u64);
        let mut anchored = RateSettings::default();
        anchored.options.anchor = Some(("d".to_owned(), 1000.0));
        assert!(matches!(rated(text, &anchored), Err(AuditError::AnchorWithoutRating { .. })));
        anchored.options.anchor = Some(("nobody".to_owned(), 1000.0));
        assert!(matches!(rated(text, &anchored), Err(AuditError::Rate(RateError::NoAnchor { .. }))));
    }

    #[test]
    fn parquet_is_refused_by_name() {
        let error = rated("PAR1\u{0}\u{0}", &RateSettings::default()).unwrap_err();
        assert!(error.to_string().contains("Parquet"), "{error}");
    }
}
