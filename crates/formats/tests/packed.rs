//! Odd, truncated and hostile packed weights: refused with a reason, or read; never a panic, never a large request.

#[path = "common/invented.rs"]
mod invented;

/// A stream of bytes that is the same every time (SplitMix64).
fn stream(mut state: u64) -> impl Iterator<Item = u8> {
    std::iter::repeat_with(move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) as u8
    })
}

#[test]
fn arbitrary_inventories() {
    let mut together = 0;
    for seed in 0..4_000 {
        let data: Vec<u8> = stream(seed).take(400).collect();
        together += invented::invent(&data);
    }
    // Not all are refused.
    assert!(together > 900, "{together}");
}
