#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = stemmata_formats::parse_config(data, "config.json");
    stemmata_formats::parse_card(data);
    let _ = stemmata_formats::AdapterConfig::parse(data);
});
