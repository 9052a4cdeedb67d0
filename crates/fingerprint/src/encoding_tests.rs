use super::*;
use proptest::prelude::*;

fn example() -> Sketch {
    let params = SketchParams { buckets: 2, channels: 3, units: 1, unit_buckets: 2, seed: 5, blocks: 0 };
    Sketch {
        params,
        reference: "./model".into(),
        digest: "sha256:00".into(),
        format: "safetensors".into(),
        family: "llama".into(),
        inferred: false,
        parameters: 12,
        bytes_read: 24,
        components: vec![ComponentInfo {
            component: Component::LanguageModel,
            norm: Norm::Rms,
            gated: true,
            layers: 1,
            residual: 4,
            query_heads: 2,
            kv_heads: 1,
            head_dim: 2,
        }],
        parts: vec![PartSummary {
            component: Component::LanguageModel,
            layer: Some(0),
            expert: None,
            role: Role::Up,
            term: Term::Weight,
            rows: 3,
            cols: 4,
            digest: Digest(7),
            squares: 1.5,
        }],
        groups: vec![GroupSketch {
            component: Component::LanguageModel,
            layer: Some(0),
            axis: ChannelAxis::Hidden,
            factors: vec![Factor {
                role: Role::Up,
                expert: None,
                total: 3,
                squares: 1.5,
                norms: vec![0.5; 3],
                scales: vec![0.1; 3],
                codes: vec![1, -1, 0, 127, -127, 3],
            }],
        }],
        units: vec![UnitSketch {
            component: Component::LanguageModel,
            layer: Some(0),
            total: 3,
            scales: vec![1.0],
            codes: vec![4, -4],
        }],
        checks: vec![
            (
                Component::LanguageModel,
                SelfCheck { pattern: Pattern::Ones(ChannelAxis::Hidden), log10_p: -0.5 },
            ),
            (
                Component::VisionTower,
                SelfCheck { pattern: Pattern::Diagonal(ChannelAxis::Value), log10_p: -12.0 },
            ),
            (Component::LanguageModel, SelfCheck { pattern: Pattern::Labels, log10_p: 0.0 }),
        ],
    }
}

#[test]
fn round_trip() {
    assert_eq!(decode(&encode(&example())).unwrap(), example());
}

#[test]
fn every_truncation_and_every_flipped_byte_is_refused() {
    let bytes = encode(&example());
    for end in 0..bytes.len() {
        assert!(decode(&bytes[..end]).is_err(), "{end}");
    }
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x40;
        assert!(decode(&damaged).is_err(), "{at}");
    }
}

proptest! {
    /// A forged checksum gets past the first door; the lengths behind it still bound every allocation.
    #[test]
    fn forged_bodies_never_panic(flips in prop::collection::vec((16_usize..400, any::<u8>()), 1..20)) {
        let mut bytes = encode(&example());
        let body = bytes.len() - 8;
        for (at, value) in flips {
            if at < body { bytes[at] = value; }
        }
        let checksum = xxh3_64(&bytes[..body]).to_le_bytes();
        bytes[body..].copy_from_slice(&checksum);
        let _ = decode(&bytes);
    }
}
