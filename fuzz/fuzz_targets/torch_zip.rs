#![no_main]

use libfuzzer_sys::fuzz_target;
use stemmata_formats::{Limits, torch};

fuzz_target!(|data: &[u8]| {
    stemmata_fuzz::use_inventory(torch::parse(&data, "fuzz", 0, &Limits::default()), data);
    let _ = stemmata_formats::detect(&data);
});
