//! A made-up merge of two references, and a shortened model.

use super::{derived, facts};
use stemmata_architecture::Component::LanguageModel;
use stemmata_audit::*;

/// Four layers: two of the first reference, one of the second, one of its own, with experts in the first.
pub fn blamed() -> Blame {
    let layer = |layer: u32, from: Option<(usize, Option<u32>)>, log10_p: f64, effect: f64| LayerOrigin {
        component: LanguageModel,
        layer: Some(layer),
        from,
        log10_p,
        effect: Some(effect),
        tested: true,
    };
    let column = |reference, layer| Some(Column { reference, layer });
    let expert = |expert, from, log10_p, effect| ExpertOrigin {
        component: LanguageModel,
        layer: 0,
        expert,
        from,
        log10_p,
        effect,
    };
    let heads = |layer, reference, picks: &[[u32; 2]]| HeadOrigin {
        reference,
        map: HeadMap {
            component: LanguageModel,
            layer,
            reference_layer: 3 * reference as u32,
            basis: Basis::AsStored,
            heads: (4, 4),
            groups: (2, 2),
            picks: picks
                .iter()
                .map(|picks| HeadPick { heads: *picks, value_output: 0.97, query_key: 0.91 })
                .collect(),
        },
    };
    let counts = [("language-model", 4)];
    Blame {
        candidate: facts("./merge", 'a', &counts),
        references: vec![facts("./left", 'b', &counts), facts("=right", 'c', &counts)],
        layers: vec![
            LayerOrigin {
                component: LanguageModel,
                layer: None,
                from: Some((0, None)),
                log10_p: -88.1,
                effect: Some(0.97),
                tested: true,
            },
            layer(0, Some((0, Some(0))), -301.2, 0.99),
            layer(1, Some((0, Some(1))), -300.0, 0.98),
            layer(2, Some((1, Some(3))), -212.5, 0.71),
            layer(3, None, 0.0, -0.003),
        ],
        runs: vec![(
            LanguageModel,
            vec![
                LayerRun { candidate: (0, 1), from: column(0, 0) },
                LayerRun { candidate: (2, 2), from: column(1, 3) },
                LayerRun { candidate: (3, 3), from: None },
            ],
        )],
        experts: vec![
            expert(0, Some((0, 0, None)), -120.0, Some(0.9)),
            expert(1, Some((0, 0, Some(3))), -119.0, Some(0.88)),
            expert(2, None, 0.0, None),
        ],
        units: vec![UnitOrigin {
            component: LanguageModel,
            layer: 2,
            from: (1, 3),
            test: TestKind::LabelOrder(Basis::ByTokens),
            units: (576, 768),
            matched: 570,
            kept: Some(vec![(0, 4), (6, 6), (9, 301), (305, 400), (402, 500), (510, 767)]),
        }],
        residual: vec![ResidualOrigin {
            component: LanguageModel,
            reference: 1,
            widths: (112, 128),
            matched: 40,
            kept: None,
        }],
        heads: vec![
            heads(0, 0, &[[0, 0], [1, 1], [2, 2], [3, 3]]),
            heads(2, 1, &[[2, 2], [3, 3], [0, 1], [1, 1]]),
        ],
        merging: Some(Merging {
            weighed: Weighed {
                outcome: MergeOutcome::NotFound,
                single: Some((1, Estimate { value: 0.99, standard_error: 1e-4 })),
                single_excess: 1234.5,
                best: Some((vec![1, 2], 0.21)),
                equal: Vec::new(),
                elements: 229_376,
                matrices: 28,
            },
            references: vec![0, 1],
            left_out: 0,
            sampled: true,
        }),
        rows: vec![
            RowOrigin {
                role: Role::TokenEmbedding,
                reference: 0,
                rows: EqualRows { compared: 32_000, equal: 31_000 },
            },
            RowOrigin { role: Role::Head, reference: 1, rows: EqualRows::default() },
        ],
        tests: 57,
        alpha: 0.001,
        findings: derived().findings,
        bytes_read: 16_062_177_280,
        seed: 0,
    }
}

/// The same models, the candidate being a sum of both, with weights of its own in attention, and a copy of the first.
pub fn summed() -> Blame {
    let weight = |value, standard_error| Estimate { value, standard_error };
    let group = |block, a: f64| WeightGroup {
        block: Some(block),
        layer: None,
        weights: vec![weight(a, 3e-5), weight(1.0 - a, 3e-5)],
    };
    let merge = Merge {
        method: MergeMethod::Slerp,
        basis: MergeBasis::Rounding,
        parents: vec![1, 2],
        base: false,
        weights: vec![weight(0.6, 3e-4), weight(0.4, 3e-4)],
        granularity: Granularity::Block,
        groups: vec![group(Block::Attention, 0.7), group(Block::FeedForward, 0.3), group(Block::Other, 0.5)],
        slerp_alike: false,
        densities: Vec::new(),
        normalized: false,
        alternatives: vec![(1, 3)],
        excess: 1.02,
        homogeneity: None,
        explained: None,
    };
    let mut blame = blamed();
    let mut third = blame.references[1].clone();
    third.reference = "./right-q8".to_owned();
    let mut fourth = blame.references[0].clone();
    fourth.reference = "./left-copy".to_owned();
    blame.references.extend([third, fourth]);
    if let Some(merging) = &mut blame.merging {
        merging.references = vec![0, 1, 2, 3];
        merging.weighed.equal = vec![(4, 1)];
        merging.weighed.outcome = MergeOutcome::Merge(Box::new(merge));
    }
    blame
}

/// The derived pair with four of six layers kept.
pub fn shortened() -> Comparison {
    let mut comparison = derived();
    let cell = |told: bool| LayerCell {
        signs: Some(SignOutcome {
            statistic: if told { 13.9 } else { 0.4 },
            log10_p: if told { -57.0 } else { -0.1 },
            n: 192,
            effect: if told { 0.98 } else { 0.01 },
        }),
        fixed: None,
    };
    let from = [0, 1, 4, 5];
    let cells = from.iter().flat_map(|to| (0..6).map(move |column| cell(column == *to))).collect();
    let grid = LayerGrid {
        component: LanguageModel,
        candidate_layers: (0..4).collect(),
        reference_layers: (0..6).collect(),
        cells,
    };
    let to = (0..6).map(|column| from.iter().position(|to| *to == column)).collect();
    let map = LayerMap { grid, from: from.iter().map(|to| Some(*to)).collect(), to };
    comparison.measurement.structure = Structure { reserved: 24, maps: vec![map], along: Vec::new() };
    comparison.judgement.verdict.relation = Some("layers-dropped");
    comparison
}
