//! An inspection and a diff of the same made-up models.

use super::derived;
use stemmata_audit::*;

/// An inspection of the same made-up model.
pub fn inspected() -> Inspection {
    let facts = derived().candidate;
    let info =
        |component, layers, residual, query_heads, kv_heads, head_dim| stemmata_architecture::ComponentInfo {
            component,
            norm: if query_heads > 0 { Norm::Rms } else { Norm::Unknown },
            gated: query_heads > 0,
            layers,
            residual,
            query_heads,
            kv_heads,
            head_dim,
        };
    let tensor = |name: &str, shape: &[u64], purpose: &str| TensorRow {
        name: name.to_owned(),
        shape: shape.to_vec(),
        encoding: if shape.len() > 1 { "bf16" } else { "f32" }.to_owned(),
        file: "model.safetensors".to_owned(),
        purpose: purpose.to_owned(),
    };
    Inspection {
        files: facts
            .files
            .iter()
            .map(|f| (f.name.clone(), f.len))
            .chain([("extra.bin".to_owned(), 912)])
            .collect(),
        facts,
        components: vec![
            ComponentFacts {
                info: info(Component::LanguageModel, 32, 4096, 32, 8, 128),
                parameters: 7_504_924_672,
                tensors: 291,
            },
            ComponentFacts {
                info: info(Component::Connector, 0, 0, 0, 0, 0),
                parameters: 20_979_712,
                tensors: 4,
            },
        ],
        tensors: vec![
            tensor("model.embed_tokens.weight", &[128_256, 4096], "language-model embed.tok"),
            tensor(
                "model.layers.0.self_attn.qkv_proj.weight",
                &[6144, 4096],
                "language-model layer 0 attn.q, attn.k, attn.v",
            ),
            tensor("model.norm.weight", &[4096], "language-model norm.final"),
        ],
        tokenizer: Some((128_256, Some("BPE".to_owned()))),
        findings: derived().findings,
    }
}

/// A diff with every status.
pub fn differing() -> Difference {
    let c = derived();
    let moments = |changed: u64| Moments {
        n: 16_777_216,
        changed,
        dot: 4190.0,
        candidate_squares: if changed > 0 { 4200.0 } else { 4190.0 },
        reference_squares: 4190.0,
        difference_squares: if changed > 0 { 10.1 } else { 0.0 },
        ..Moments::default()
    };
    let row = |status, place: &str, candidate: &str, reference: &str, moments| DifferenceRow {
        status,
        place: place.to_owned(),
        candidate: candidate.to_owned(),
        reference: reference.to_owned(),
        shape: (4096, 4096),
        moments,
    };
    Difference {
        candidate: c.candidate,
        reference: c.reference,
        rows: vec![
            row(Status::Changed, "language-model/0/attn.q", "l.0.q", "l.0.q", Some(moments(16_700_000))),
            row(Status::Same, "language-model/0/attn.o", "l.0.o", "l.0.o", Some(moments(0))),
            row(Status::Renamed, "language-model/1/attn.o", "h.1.o", "l.1.o", Some(moments(0))),
            row(Status::Reshaped, "language-model/embed.tok", "embed", "embed", Some(moments(1000))),
            row(Status::Added, "", "extra.weight", "", None),
            row(Status::Removed, "language-model/head", "", "lm_head.weight", None),
        ],
        findings: vec![Finding {
            code: "file-changed",
            level: Level::Warning,
            side: "reference",
            subject: "model-00001-of-00002.safetensors".to_owned(),
            message: "size or modification time changed while it was read".to_owned(),
        }],
        bytes_read: 671_088_640,
    }
}
