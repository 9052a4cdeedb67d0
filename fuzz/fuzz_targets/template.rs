#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = stemmata_formats::parse_template(data, "chat_template.jinja");
    let _ = stemmata_formats::parse_templates(data, "tokenizer_config.json");
});
