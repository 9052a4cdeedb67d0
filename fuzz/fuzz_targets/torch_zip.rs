#![no_main]

use libfuzzer_sys::fuzz_target;
use stemmata_formats::{Limits, torch};

fuzz_target!(|data: &[u8]| {
    // A bomb that runs into the default budget takes a second, in which thousands of other inputs could be tried.
    let limits = Limits { pickle_nodes: 20_000, pickle_opcodes: 200_000, ..Limits::default() };
    stemmata_fuzz::use_inventory(torch::parse(&data, "fuzz", 0, &limits), data);
    let _ = stemmata_formats::detect(&data);
});
