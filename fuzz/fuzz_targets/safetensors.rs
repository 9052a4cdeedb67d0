#![no_main]

use libfuzzer_sys::fuzz_target;
use stemmata_formats::{Limits, safetensors};

fuzz_target!(|data: &[u8]| {
    stemmata_fuzz::use_inventory(safetensors::parse(&data, "fuzz", 0, &Limits::default()), data);
    let _ = stemmata_formats::detect(&data);
});
