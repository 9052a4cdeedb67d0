//! `compare` where only so many bytes may be fetched: every stage gets its share before anything is read.

use crate::input::{Model, Whole};
use crate::structure::{Pair, places_layers_by_few_rows};
use crate::{AuditError, SearchMode, Settings, Watch};
use crate::{budget, compare, measuring, searching, studying};
use stemmata_alignment::{Measurement, Shapes, plan, search_plan};
use stemmata_evidence::{Judgement, NotTested, StorageFacts, asks_for_map, judge, wants_search};
use stemmata_fingerprint::{Blocks, row_cost};

/// One part in so many is kept for what follows the first decision: the map of layers, and then the kind of change.
const LATER: u64 = 3;

/// What each stage may fetch of either model: a function of extents and encodings, so that the family of tests is known before a weight is
/// read.
struct Shares {
    /// The tests at equal indices.
    pairs: u64,
    /// The map of layers as blocks of rows of each tensor that tells layers apart; 0 where there is none to look for, or not even one block is
    /// paid for.
    blocks: u32,
    /// The map of layers and what is compared along it, or the kind of change. A map takes two thirds.
    later: u64,
    /// The search; 0 where the first layers are not paid for.
    search: u64,
    /// What one block of each tensor would cost for a map of layers; 0 where there is none to look for.
    map_cost: u64,
    /// What the first layers of a search would cost; `None` where there are none, or it cannot be told.
    search_cost: Option<u64>,
}

impl Shares {
    fn of(bytes: u64, models: [Model<'_>; 2], settings: &Settings<'_>) -> Shares {
        let [ours, theirs] = models.map(|model| Shapes::of_anatomy(model.anatomy));
        let first = search_plan(models[0].anatomy, models[1].anatomy).first();
        let search_cost = searching::cost(models, &first).filter(|_| !first.is_empty());
        let wanted = settings.search != SearchMode::Never;
        let search = search_cost.filter(|cost| wanted && *cost <= bytes / 2).unwrap_or(0);
        let later = (bytes - search) / LATER;
        let has_map = ours.tests(&theirs) > 0;
        let cost = |blocks| models.map(|model| cost_of_map(model, blocks)).into_iter().fold(0, u64::max);
        let affordable = (0..31).map(|power| 1 << power).take_while(|blocks| cost(*blocks) <= later / 3 * 2);
        Shares {
            pairs: bytes - search - later,
            blocks: affordable.last().filter(|_| has_map).unwrap_or(0),
            later,
            search,
            map_cost: if has_map { cost(1) } else { 0 },
            search_cost,
        }
    }
}

/// Bytes of so many blocks of rows of every tensor that tells layers apart.
fn cost_of_map(model: Model<'_>, blocks: u32) -> u64 {
    let wanted = model.anatomy.parts.iter().filter(|part| places_layers_by_few_rows(part, model.anatomy));
    let of = |part: &stemmata_architecture::Part| {
        let row = row_cost(model.weights, &part.view, part.view.cols).unwrap_or(0);
        Blocks::new(part.view.rows, part.view.cols, u64::from(blocks), 0).rows().saturating_mul(row)
    };
    wanted.map(of).fold(0, u64::saturating_add)
}

/// Measures and judges what `bytes` of each model pay for.
pub(crate) fn within(
    bytes: u64,
    [c, r]: [&Whole; 2],
    storage: &StorageFacts,
    settings: &Settings<'_>,
    watch: Watch<'_>,
) -> Result<(Measurement, Judgement), AuditError> {
    let mut plan = plan(&c.anatomy, &r.anatomy);
    if let Some(measurement) = budget::equal_by_digest([c, r], &plan) {
        let mut judgement = judge(&measurement, storage, &settings.rule);
        budget::admit_digests(&mut judgement);
        return Ok((measurement, judgement));
    }
    let models = [c.model(), r.model()];
    let shares = Shares::of(bytes, models, settings);
    let sample = plan.sample([c.weights(), r.weights()], shares.pairs, settings.params.seed);
    let mut measurement = measuring::of(&plan, models, settings, watch)?;
    measurement.sample = Some(sample);
    if shares.search > 0 {
        measurement.search_tests = search_plan(&c.anatomy, &r.anatomy).tests;
    }
    let mut judgement = match shares.blocks {
        0 => judge(&measurement, storage, &settings.rule),
        blocks => {
            let shapes = [&c.anatomy, &r.anatomy].map(Shapes::of_anatomy);
            let pair = Pair::Sampled { models, blocks, along: shares.later / 3 };
            compare::look(&mut measurement, &shapes, &pair, storage, settings, watch)?
        }
    };
    let along = !measurement.structure.along.is_empty();
    if shares.search > 0 {
        let bytes = Some(shares.search);
        judgement = searching::run(models, judgement, &mut measurement, storage, bytes, settings, watch)?;
    }
    let left = match measurement.structure.maps.is_empty() {
        true => shares.later,
        false => shares.later / 3,
    };
    // Layers or units in other places look like training where they are not looked for.
    let shapes = [&c.anatomy, &r.anatomy].map(Shapes::of_anatomy);
    let unmapped = shares.blocks == 0 && asks_for_map(&judgement, &shapes[0], &shapes[1]);
    let unsearched =
        measurement.searched.is_empty() && wants_search(&judgement, &search_plan(&c.anatomy, &r.anatomy));
    let packed = measurement.sample.as_ref().is_some_and(|sample| !sample.left_out.is_empty());
    if judgement.verdict.kind.is_dependence() && (unmapped || unsearched || packed) {
        let reason = match packed {
            true => "tensors that cannot be read by rows would have a say in it",
            false => "some layers show nothing at equal indices, and where theirs lie was not looked for",
        };
        let (what, reason) = ("kind of change".to_owned(), reason.to_owned());
        judgement.not_tested.push(NotTested { what, reason });
    } else if !along {
        // What was compared along a map has taken the other share.
        studying::refine(&mut judgement, &measurement, c, r, Some(left), settings)?;
    }
    measurement.sample.iter().for_each(|sample| budget::admit_sample(sample, &mut judgement));
    admit(&shares, &mut judgement);
    Ok((measurement, judgement))
}

/// Says which questions were not asked, and what it would take.
fn admit(shares: &Shares, judgement: &mut Judgement) {
    let mut add = |what: &str, reason: String| {
        judgement.not_tested.push(NotTested { what: what.to_owned(), reason });
    };
    if shares.blocks == 0 && shares.map_cost > 0 {
        let needed = shares.map_cost.saturating_mul(LATER) / 2 * 3;
        add(
            "layers in other places",
            format!("a map of layers takes a budget of about {} of each model", megabytes(needed)),
        );
    }
    match shares.search_cost {
        _ if shares.search > 0 => {}
        Some(cost) => add(
            "units and residual channels in other places",
            format!(
                "a search of a few layers reads up to {} of each model; it is made when the budget is twice that",
                megabytes(cost)
            ),
        ),
        None => add(
            "units and residual channels in other places",
            "a search would read more than can be told in advance; it is made with `--budget full`"
                .to_owned(),
        ),
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{} MB", bytes.div_ceil(1_000_000))
}
