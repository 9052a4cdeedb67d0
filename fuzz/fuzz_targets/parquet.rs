#![no_main]

use libfuzzer_sys::fuzz_target;
use std::io::Cursor;
use std::panic::{set_hook, take_hook};
use std::sync::Once;
use stemmata_rating::votes::{Limits, Part, PartBy, Reader, Style, Wanted};

static HOOK: Once = Once::new();

// The first byte chooses what is asked for. Panics of the format's crate are caught and are errors; those of ours are crashes.
fuzz_target!(|data: &[u8]| {
    HOOK.call_once(|| {
        let usual = take_hook();
        set_hook(Box::new(move |panic| {
            let ours = panic.location().is_some_and(|place| place.file().contains("crates/"));
            if ours {
                usual(panic);
            }
        }));
    });
    let Some((choice, file)) = data.split_first() else { return };
    let mut wanted = Wanted::default();
    if choice & 1 != 0 {
        wanted.clusters.push("evaluation_session_id".to_owned());
    }
    if choice & 2 != 0 {
        let [first, second] = ["a", "b"].map(|side| format!("conv_metadata.header_count_{side}"));
        wanted.styles.push(Style::Contrast { first, second });
    }
    if choice & 4 != 0 {
        wanted.weight = Some("weight".to_owned());
        wanted.part = Some(Part { column: "timestamp".to_owned(), by: PartBy::Month });
    }
    let limits = Limits { contestants: 40, rows: 2000, ..Limits::default() };
    let mut reader = Reader::new(wanted, limits);
    let Ok(tally) = reader.read_parquet(Box::new(Cursor::new(file.to_vec()))) else { return };
    let votes = reader.finish();
    assert!(votes.total() <= tally.votes && votes.contestants.len() <= limits.contestants);
});
