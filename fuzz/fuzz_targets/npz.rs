#![no_main]

use libfuzzer_sys::fuzz_target;
use stemmata_formats::{Limits, npy};

fuzz_target!(|data: &[u8]| {
    let limits = Limits {
        pickle_nodes: 20_000,
        pickle_opcodes: 200_000,
        inflated_bytes: 1 << 20,
        ..Limits::default()
    };
    stemmata_fuzz::use_inventory(npy::parse(&data, "fuzz", 0, &limits), data);
    let _ = stemmata_formats::detect(&data);
});
