#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = stemmata_formats::parse_tokenizer(data, "tokenizer.json");
});
