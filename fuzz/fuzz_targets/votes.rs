#![no_main]

use libfuzzer_sys::fuzz_target;
use stemmata_rating::votes::{Limits, Part, PartBy, Reader, Style, Syntax, Wanted};
use stemmata_rating::{Options, rate};

// The first byte chooses what is asked for; what is read is rated, too.
fuzz_target!(|data: &[u8]| {
    let Some((choice, text)) = data.split_first() else { return };
    let mut wanted = Wanted::default();
    if choice & 1 != 0 {
        wanted.clusters.push("user".to_owned());
    }
    if choice & 2 != 0 {
        wanted.styles.push(Style::Contrast { first: "meta.a".to_owned(), second: "b".to_owned() });
    }
    if choice & 16 != 0 {
        wanted.weight = Some("count".to_owned());
        wanted.part = Some(Part { column: "user".to_owned(), by: PartBy::Month });
    }
    let limits = Limits { contestants: 40, rows: 2000, ..Limits::default() };
    let syntax = if choice & 4 != 0 { Syntax::JsonLines } else { Syntax::Csv };
    let styles = wanted.styles.iter().map(|_| "style".to_owned()).collect();
    let mut reader = Reader::new(wanted, limits);
    let Ok(tally) = reader.read(syntax, text) else { return };
    let votes = reader.finish();
    assert!(votes.total() <= tally.votes && votes.contestants.len() <= limits.contestants);
    let options = Options { styles, position: choice & 8 != 0, sequential: true, next_pairs: 3, ..Options::default() };
    let standings = rate(&votes, &options).expect("nothing was asked for that the table lacks");
    assert_eq!(standings.contestants.len(), votes.contestants.len());
    let parts: u64 = (0..votes.parts.len()).map(|part| votes.only(part as u32).total()).sum();
    assert!(votes.parts.is_empty() || parts == votes.total());
});
