//! Votes in Parquet files that four writers made say what the same votes in JSON Lines say; `parquet/make.py` wrote both.
#![cfg(feature = "parquet")]

use std::fs;
use std::io::Cursor;
use std::path::PathBuf;
use stemmata_rating::votes::{Limits, Part, PartBy, Reader, Style, Syntax, Tally, VoteError, Votes, Wanted};

fn file(name: &str) -> Vec<u8> {
    fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/parquet").join(name)).unwrap()
}

fn lines(name: &str, wanted: Wanted) -> (Votes, Tally) {
    let mut reader = Reader::new(wanted, Limits::default());
    let tally = reader.read(Syntax::JsonLines, file(name).as_slice()).unwrap();
    (reader.finish(), tally)
}

fn parquet(bytes: Vec<u8>, wanted: Wanted, limits: Limits) -> Result<(Votes, Tally), VoteError> {
    let mut reader = Reader::new(wanted, limits);
    let tally = reader.read_parquet(Box::new(Cursor::new(bytes)))?;
    Ok((reader.finish(), tally))
}

fn read(name: &str, wanted: Wanted) -> Result<(Votes, Tally), VoteError> {
    parquet(file(name), wanted, Limits::default())
}

fn contrast(first: &str, second: &str) -> Style {
    Style::Contrast { first: first.to_owned(), second: second.to_owned() }
}

/// Clusters, amounts in groups, a group that is summed, weights, and months of times.
fn everything() -> Wanted {
    Wanted {
        clusters: vec!["evaluation_session_id".to_owned()],
        styles: vec![
            contrast("conv_metadata.sum_assistant_a_tokens", "conv_metadata.sum_assistant_b_tokens"),
            contrast("conv_metadata.header_count_a", "conv_metadata.header_count_b"),
            Style::Difference { column: "id".to_owned() },
        ],
        weight: Some("weight".to_owned()),
        part: Some(Part { column: "timestamp".to_owned(), by: PartBy::Month }),
    }
}

#[test]
fn four_writers_and_three_namings_say_what_the_lines_say() {
    let arena = lines("arena.jsonl", everything());
    assert_eq!((arena.0.len(), arena.0.parts.len(), arena.1.votes), (60, 2, 60));
    for name in ["arena-pyarrow.parquet", "arena-pages.parquet", "arena-duckdb.parquet"] {
        assert_eq!(read(name, everything()).unwrap(), arena, "{name}");
    }
    let clusters = || Wanted { clusters: vec!["visitor_id".to_owned()], ..Wanted::default() };
    assert_eq!(read("comparia-polars.parquet", clusters()).unwrap(), lines("comparia.jsonl", clusters()));
    let sides = read("sides-fastparquet.parquet", Wanted::default()).unwrap();
    assert_eq!(sides, lines("sides.jsonl", Wanted::default()));
    assert_eq!((sides.1.rows, sides.1.votes, sides.0.count.len()), (60, 90, 60));
}

#[test]
fn what_is_no_vote_is_an_error_with_its_row() {
    let error = read("spoilt.parquet", Wanted::default()).unwrap_err();
    assert_eq!(error.to_string(), "row 41: unknown outcome `invalid`");
    assert!(error.hint().is_some());
    let with = |column: &str| Wanted { clusters: vec![column.to_owned()], ..Wanted::default() };
    for (column, message) in [
        ("user", "there is no column `user`"),
        ("conversation_a", "there is no column `conversation_a`"),
        ("conversation_a.list.element.role", "the column `conversation_a.list.element.role` holds lists"),
        (
            "conv_metadata.header_count_a.h2",
            "row 1: the cluster column `conv_metadata.header_count_a.h2` is empty",
        ),
    ] {
        assert_eq!(read("arena-pyarrow.parquet", with(column)).unwrap_err().to_string(), message);
    }
    let weight = Wanted { weight: Some("winner".to_owned()), ..Wanted::default() };
    let error = read("arena-duckdb.parquet", weight).unwrap_err().to_string();
    assert!(error.starts_with("row 1: `") && error.contains("in column `winner` is no weight"), "{error}");
    let few = Limits { rows: 20, ..Limits::default() };
    let error = parquet(file("arena-pyarrow.parquet"), Wanted::default(), few).unwrap_err();
    assert_eq!(error.to_string(), "row 21: more than 20 rows");
    let narrow = Limits { columns: 5, ..Limits::default() };
    let error = parquet(file("arena-pyarrow.parquet"), Wanted::default(), narrow).unwrap_err();
    assert_eq!(error.to_string(), "more than 5 columns");
}

#[test]
fn damaged_files_are_errors() {
    for name in ["arena-pages.parquet", "comparia-polars.parquet"] {
        let whole = file(name);
        let cluster = if name.starts_with("arena") { "evaluation_session_id" } else { "visitor_id" };
        let wanted = Wanted { clusters: vec![cluster.to_owned()], ..Wanted::default() };
        for length in (0..whole.len()).step_by(97) {
            assert!(
                parquet(whole[..length].to_vec(), wanted.clone(), Limits::default()).is_err(),
                "{length}"
            );
        }
        // A byte turned over may hit a name or a column that is not read; what matters is that an answer comes.
        let mut errors = 0;
        for at in (4..whole.len()).step_by(7) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x55;
            errors += u32::from(parquet(bytes, wanted.clone(), Limits::default()).is_err());
        }
        assert!(errors > 50, "{errors} of {name}");
    }
}

/// A list of 2³¹ − 1 elements of a type, in a field that the format does not have.
fn boundless(element: u8) -> Vec<u8> {
    vec![0x09, 0xd0, 0x0f, 0xf0 | element, 0xff, 0xff, 0xff, 0xff, 0x07]
}

#[test]
fn headers_that_claim_elements_without_end_are_errors_at_once() {
    let (truths, doubles) = (1, 7);
    let plain = file("arena-pyarrow.parquet");
    let footer = plain.len() - 8;
    let length = u32::from_le_bytes(plain[footer..footer + 4].try_into().unwrap()) as usize;
    let (data, rest) = plain.split_at(footer - length);
    let with = |more: &[u8]| {
        let meta = [&rest[..length - 1], more, &[0]].concat();
        let bytes = [data, &meta, &(meta.len() as u32).to_le_bytes(), b"PAR1"].concat();
        parquet(bytes, Wanted::default(), Limits::default())
    };
    // What the format does not have yet is passed over.
    let few =
        [0x09, 0xd0, 0x0f, 0x37, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2];
    assert_eq!(with(&few).unwrap(), read("arena-pyarrow.parquet", Wanted::default()).unwrap());
    let refused = |more: Vec<u8>, why: &str| {
        let error = with(&more).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    };
    refused(boundless(truths).repeat(200), "a list of truth values in a header");
    refused(boundless(doubles), "an early end in a header");
    refused(vec![0x08, 0x08, 0xff, 0x01], "a field of another type in a header");
    refused(vec![0x08, 0x80, 0x80, 0x08, 0x00], "the number of a field in a header");
    refused([&[0x09, 0xd0, 0x0f][..], &[0x19; 80]].concat(), "lists within lists in a header");
    for element in [truths, doubles] {
        let mut page = plain.clone();
        page[4..13].copy_from_slice(&boundless(element));
        // The first column that is stored.
        let wanted = Wanted { weight: Some("id".to_owned()), ..Wanted::default() };
        let error = parquet(page, wanted, Limits::default()).unwrap_err().to_string();
        assert!(error.ends_with("in a header"), "{error}");
    }
    // Found by fuzzing: no end in sight before.
    let error = parquet(file("endless-page.parquet"), Wanted::default(), Limits::default()).unwrap_err();
    assert!(error.to_string().contains("in a header"), "{error}");
}
