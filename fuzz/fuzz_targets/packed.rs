#![no_main]

#[path = "../../crates/formats/tests/common/invented.rs"]
mod invented;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    invented::invent(data);
});
