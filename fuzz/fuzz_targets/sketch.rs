#![no_main]

use libfuzzer_sys::fuzz_target;
use stemmata_fingerprint::{decode, encode};

// The checksum is the first door and would turn every mutation away, so it is forged: what lies behind must hold by itself.
fuzz_target!(|data: &[u8]| {
    let mut bytes = data.to_vec();
    bytes.extend(xxhash_rust::xxh3::xxh3_64(data).to_le_bytes());
    if let Ok(sketch) = decode(&bytes) {
        assert_eq!(decode(&encode(&sketch)).map(|again| encode(&again)), Ok(encode(&sketch)));
    }
});
