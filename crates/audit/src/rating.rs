//! Ratings from blind votes: reads the inputs that a face opened, rates, and says what the votes do not allow.

use crate::finding::Finding;
use crate::{AuditError, printable};
use sha2::{Digest, Sha256};
use std::io::{self, BufRead, BufReader, Read, Seek};
use stemmata_model::Level;
use stemmata_rating::tables::{Kinship, TableError, evidence};
use stemmata_rating::votes::{Limits, Reader, Syntax, Tally, VoteError, Votes, Wanted};
use stemmata_rating::{LegacyElo, NoFit, Options, RateError, Standings, legacy_elo};

/// Fewer independent units than this make errors that are themselves uncertain.
const FEW: u64 = 30;

/// An opened input.
pub struct VoteInput<'a> {
    /// As the user wrote it.
    pub name: String,
    /// Its bytes.
    pub bytes: VoteBytes<'a>,
}

/// Bytes of an input.
pub enum VoteBytes<'a> {
    /// From first to last.
    Stream(Box<dyn Read + 'a>),
    /// Of a file that does not change, at any place: what Parquet needs.
    File(Box<dyn VoteFileBytes>),
}

/// A file that can be read at any place.
pub trait VoteFileBytes: Read + Seek + Send {}

impl<T: Read + Seek + Send> VoteFileBytes for T {}

impl Read for VoteBytes<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            VoteBytes::Stream(bytes) => bytes.read(buffer),
            VoteBytes::File(bytes) => bytes.read(buffer),
        }
    }
}

/// What to rate and how.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RateSettings {
    /// Columns to read beside the votes.
    pub wanted: Wanted,
    /// How to rate.
    pub options: Options,
    /// Names that are the same contestant; each group counts once.
    pub clones: Vec<Vec<String>>,
    /// Orders in which online Elo is run, for comparison; 0 runs none.
    pub legacy_elo: u32,
}

/// The votes of one part, rated by themselves.
#[derive(Clone, Debug, PartialEq)]
pub struct RatedPart {
    /// The value of the column, or the time.
    pub name: String,
    /// Whether the anchor has a rating in it; without one its mean is 1000.
    pub anchored: bool,
    /// Its ratings.
    pub standings: Standings,
}

/// Contestants that were counted as one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// The names of each, the one that stands for them first.
    pub groups: Vec<Vec<String>>,
    /// Votes between them, left out.
    pub votes: u64,
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
    /// The same by parts of the votes, where that was asked for.
    pub parts: Vec<RatedPart>,
    /// Contestants that were counted as one.
    pub merged: Merged,
    /// Online Elo, where that was asked for.
    pub legacy_elo: Option<Vec<LegacyElo>>,
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
        let (tally, sha256, length) = match syntax {
            Some(syntax) => {
                let tally = reader.read(syntax, &mut bytes).map_err(failed)?;
                let (sha256, length, _) = bytes.into_inner().finish();
                (tally, sha256, length)
            }
            None => parquet(&mut reader, bytes).map_err(failed)?,
        };
        files.push(VoteFile { name: name.clone(), sha256, bytes: length, tally });
    }
    let (votes, merged) = merge(reader.finish(), &settings.clones);
    let standings = stemmata_rating::rate(&votes, &settings.options)?;
    let anchor = settings.options.anchor.as_ref().map(|(name, _)| name);
    if let Some(name) = anchor
        && !standings.contestants.iter().any(|c| c.name == *name && c.rating.is_some())
    {
        return Err(AuditError::AnchorWithoutRating { name: printable(name) });
    }
    let mut findings = findings(&files, settings, &standings);
    let options = &settings.options;
    let mut say = |level, code, message: String| {
        findings.push(Finding { code, level, side: "", subject: String::new(), message });
    };
    if options.ridge > 0.0 && !options.position && options.styles.is_empty() {
        say(
            Level::Warning,
            "penalty-unused",
            "a ridge shrinks position and styles; neither was asked for".into(),
        );
    } else if options.ridge > 0.0 {
        let text = format!(
            "a ridge of {} votes shrinks the terms; their intervals are of the coefficients as shrunk",
            options.ridge
        );
        say(Level::Note, "penalised-terms", text);
    }
    let parts = parts(&votes, options)?;
    let without = parts.iter().filter(|p| !p.anchored).count();
    if settings.options.anchor.is_some() && without > 0 {
        let text =
            format!("the anchor has no rating in {without} of {} parts; their mean is 1000", parts.len());
        say(Level::Warning, "part-without-anchor", text);
    }
    if !settings.clones.is_empty() && merged.groups.is_empty() {
        let text =
            "no two contestants have the names of models that the reports found to be identical".to_owned();
        say(Level::Warning, "clones-unmatched", text);
    }
    let elo = match settings.legacy_elo {
        0 => None,
        orders => {
            let found = legacy_elo(&votes, orders, settings.options.seed);
            if found.is_none() {
                say(
                    Level::Note,
                    "legacy-elo-left-out",
                    "more votes than are put in order one by one".to_owned(),
                );
            }
            found
        }
    };
    Ok(Rated {
        inputs: files,
        settings: settings.clone(),
        standings,
        parts,
        merged,
        legacy_elo: elo,
        findings,
    })
}

/// Rates each part by itself: no bootstrap, no proposals, no bets.
fn parts(votes: &Votes, options: &Options) -> Result<Vec<RatedPart>, AuditError> {
    let mut out = Vec::with_capacity(votes.parts.len());
    for (number, name) in votes.parts.iter().enumerate() {
        let own = votes.only(number as u32);
        let mut options = Options { bootstrap: 0, sequential: false, next_pairs: 0, ..options.clone() };
        let wanted = options.anchor.take();
        options.anchor = wanted.clone().filter(|(name, _)| own.contestants.binary_search(name).is_ok());
        let mut standings = stemmata_rating::rate(&own, &options)?;
        let has = |standings: &Standings| {
            options.anchor.as_ref().is_some_and(|(name, _)| {
                standings
                    .contestants
                    .iter()
                    .any(|c| c.name == *name && c.rating.is_some() && c.component == 0)
            })
        };
        let anchored = wanted.is_none() || has(&standings);
        if !anchored && options.anchor.is_some() {
            standings = stemmata_rating::rate(&own, &Options { anchor: None, ..options.clone() })?;
        }
        out.push(RatedPart { name: name.clone(), anchored, standings });
    }
    Ok(out)
}

fn merge(votes: Votes, clones: &[Vec<String>]) -> (Votes, Merged) {
    let present = |group: &Vec<String>| {
        let mut names: Vec<String> =
            group.iter().filter(|n| votes.contestants.binary_search(n).is_ok()).cloned().collect();
        names.sort_unstable();
        names
    };
    let groups: Vec<Vec<String>> = clones.iter().map(present).filter(|g| g.len() > 1).collect();
    if groups.is_empty() {
        return (votes, Merged::default());
    }
    let (votes, gone) = votes.merged(&groups);
    (votes, Merged { groups, votes: gone })
}

/// Groups of models that saved reports of `compare` found to be identical, by the names that the reports use; `hf:org/name@revision` also
/// goes by `org/name` and by `name`.
///
/// # Errors
/// A file is no such report.
pub fn clone_groups(reports: Vec<VoteInput<'_>>) -> Result<Vec<Vec<String>>, AuditError> {
    let mut groups: Vec<Vec<String>> = Vec::new();
    for mut report in reports {
        let path = printable(&report.name);
        let mut bytes = Vec::new();
        let failed = |source: TableError| AuditError::Table { path: path.clone(), source };
        let io = |source| failed(VoteError::Io { line: 1, source }.into());
        report.bytes.by_ref().take(256 << 20).read_to_end(&mut bytes).map_err(io)?;
        let found = evidence(&bytes).map_err(failed)?;
        if found.kinship != Kinship::Identical {
            continue;
        }
        let mut own = [names(&found.candidate), names(&found.reference)].concat();
        // Groups that share a model are one.
        let (joined, rest): (Vec<_>, Vec<_>) =
            groups.into_iter().partition(|group| group.iter().any(|name| own.contains(name)));
        own.extend(joined.into_iter().flatten());
        own.sort_unstable();
        own.dedup();
        groups = rest;
        groups.push(own);
    }
    groups.sort_unstable();
    Ok(groups)
}

fn names(written: &str) -> Vec<String> {
    let mut out = vec![written.to_owned()];
    let short = written.strip_prefix("hf:").map(|rest| rest.split('@').next().unwrap_or(rest));
    if let Some(short) = short {
        out.push(short.to_owned());
        out.extend(short.rsplit_once('/').map(|(_, name)| name.to_owned()));
    } else if let Some(name) = written.trim_end_matches('/').rsplit_once('/').map(|(_, name)| name) {
        out.push(name.to_owned());
    }
    out.retain(|name| !name.is_empty());
    out
}

/// JSON where the first character is that of an object.
/// How votes are written; nothing for Parquet.
fn syntax(bytes: &mut impl BufRead) -> Result<Option<Syntax>, VoteError> {
    let start = bytes.fill_buf().map_err(|source| VoteError::Io { line: 1, source })?;
    if start.starts_with(b"PAR1") {
        return Ok(None);
    }
    let first = start.iter().find(|b| !b.is_ascii_whitespace());
    Ok(Some(if first == Some(&b'{') { Syntax::JsonLines } else { Syntax::Csv }))
}

/// Votes, digest and length of a Parquet file. It is read twice: once for the digest, once at the places that its end names.
#[cfg(feature = "parquet")]
fn parquet(
    reader: &mut Reader,
    mut bytes: BufReader<Hashed<VoteBytes<'_>>>,
) -> Result<(Tally, String, u64), VoteError> {
    io::copy(&mut bytes, &mut io::sink()).map_err(|source| VoteError::Io { line: 0, source })?;
    let (sha256, length, bytes) = bytes.into_inner().finish();
    match bytes {
        VoteBytes::File(file) => Ok((reader.read_parquet(Box::new(file))?, sha256, length)),
        VoteBytes::Stream(_) => {
            Err(VoteError::Parquet { why: "which is read from its end and cannot come through a pipe" })
        }
    }
}

#[cfg(not(feature = "parquet"))]
fn parquet(_: &mut Reader, _: BufReader<Hashed<VoteBytes<'_>>>) -> Result<(Tally, String, u64), VoteError> {
    Err(VoteError::Parquet { why: "which this build does not read" })
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
                    let text = match scale.units {
                        0 | 1 => "one cluster: no error can be learnt from it, so ratings have no intervals and ranks no limits".into(),
                        few => format!(
                            "{few} clusters: too few for errors that can be relied on; quantiles are those of Student's t"
                        ),
                    };
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

    /// Digest, length, and what was read from.
    pub(crate) fn finish(self) -> (String, u64, R) {
        let digest = self.hasher.finalize();
        (digest.iter().map(|b| format!("{b:02x}")).collect(), self.bytes, self.inner)
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
        let input =
            VoteInput { name: "votes.csv".to_owned(), bytes: VoteBytes::Stream(Box::new(text.as_bytes())) };
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
    fn clones_are_found_in_reports_and_counted_once() {
        let report = |a: &str, b: &str, kind: &str| {
            format!(
                r#"{{"schema_version":"1.0.0","inputs":[{{"role":"candidate","ref":"{a}"}},{{"role":"reference","ref":"{b}"}}],"verdict":{{"kind":"{kind}","tier":"exact","direction":"unknown"}}}}"#
            )
        };
        let texts = [
            report("hf:x/b@main", "a", "identical"),
            report("./c/", "hf:x/b", "identical"),
            report("d", "a", "related"),
        ];
        let inputs = texts.iter().map(|t| VoteInput {
            name: "r.json".to_owned(),
            bytes: VoteBytes::Stream(Box::new(t.as_bytes())),
        });
        let clones = clone_groups(inputs.collect()).unwrap();
        assert_eq!(clones.len(), 1);
        let text = "model_a,model_b,winner,count,lang\na,d,model_a,3,en\nd,b,model_a,2,en\nb,a,tie,4,en\nc,d,model_b,1,fr\n\
            d,c,model_b,5,fr\n";
        let mut settings = RateSettings { clones, legacy_elo: 5, ..RateSettings::default() };
        settings.wanted.part = Some(stemmata_rating::votes::Part {
            column: "lang".to_owned(),
            by: stemmata_rating::votes::PartBy::Value,
        });
        settings.options.anchor = Some(("d".to_owned(), 1000.0));
        let found = rated(text, &settings).unwrap();
        assert_eq!(
            found.merged,
            Merged { groups: vec![["a", "b", "c"].map(str::to_owned).to_vec()], votes: 4 }
        );
        assert_eq!(found.standings.contestants.len(), 2);
        let gap = found.standings.contestants[0].rating.as_ref().unwrap().value - 1000.0;
        assert!((gap - stemmata_rating::POINTS * (8.0_f64 / 3.0).ln()).abs() < 1e-9);
        assert_eq!(
            found.parts.iter().map(|p| (p.name.as_str(), p.anchored)).collect::<Vec<_>>(),
            [("en", true), ("fr", true)]
        );
        assert_eq!(found.legacy_elo.unwrap().len(), 2);
    }

    #[test]
    fn parquet_is_refused_by_name() {
        let error = rated("PAR1\u{0}\u{0}", &RateSettings::default()).unwrap_err();
        assert!(error.to_string().contains("Parquet"), "{error}");
    }
}
