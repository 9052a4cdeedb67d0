#![no_main]

use libfuzzer_sys::fuzz_target;
use stemmata_formats::{Limits, parse_shard_map};

fuzz_target!(|data: &[u8]| {
    if let Ok((map, _)) = parse_shard_map(data, "m.index.json", ".safetensors", &Limits::default()) {
        for shard in map.entries.values() {
            assert!(shard.ends_with(".safetensors") && !shard.starts_with('/'));
            assert!(shard.split('/').all(|part| part != ".." && !part.contains(['\\', ':', '\0'])));
        }
    }
});
