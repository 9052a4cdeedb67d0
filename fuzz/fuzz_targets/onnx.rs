#![no_main]

use libfuzzer_sys::fuzz_target;
use stemmata_formats::{Limits, onnx};

fuzz_target!(|data: &[u8]| {
    let limits = Limits { held_bytes: 1 << 20, ..Limits::default() };
    stemmata_fuzz::use_inventory(onnx::parse(&data, "fuzz", 0, &limits), data);
    let _ = stemmata_formats::detect(&data);
});
