//! From the values of `audit` to the wire types of standings, one by one.

use super::super::{SCHEMA_VERSION, Tool, convert, finite};
use super::*;
use crate::Context;
use crate::text::clean;
use stemmata_audit as audit;

impl Survey {
    pub(crate) fn new(s: &audit::Surveyed, context: &Context) -> Survey {
        use audit::TableKind::{Aliases, Benchmarks, Models, Ratings, Regions, Report, Snapshot};
        let sources = |kinds: &[audit::TableKind]| -> Vec<u32> {
            let each = s.inputs.iter().enumerate();
            each.filter(|(_, i)| kinds.contains(&i.kind)).map(|(n, _)| n as u32).collect()
        };
        let named = |place: Option<usize>, value: &dyn Fn(&audit::SurveyedModel) -> Option<f64>| {
            let model = &s.models[place?];
            Some(Named { model: clean(&model.name), value: value(model)? })
        };
        let rating = |m: &audit::SurveyedModel| Some(m.rating.as_ref()?.rating);
        let ability = |m: &audit::SurveyedModel| finite(m.ability.as_ref()?.value);
        let likes = |m: &audit::SurveyedModel| Some(m.counts.as_ref()?.likes? as f64);
        let views = s.views.iter().map(|view| {
            let all: u64 = view.rows.iter().map(|r| r.models).sum();
            let rows = view.rows.iter().map(|r| ViewRow {
                name: clean(&r.name),
                models: r.models,
                share: r.models as f64 / all.max(1) as f64,
                best_rating: named(r.best_rating, &rating),
                best_ability: named(r.best_ability, &ability),
                likes: r.likes,
                most_liked: named(r.most_liked, &likes),
                downloads: r.downloads,
                downloads_all_time: r.downloads_all_time,
            });
            ViewPart {
                sources: sources(&[Models, Regions, Ratings, Benchmarks, Snapshot, Aliases]),
                by: view.by,
                models: all,
                counted_at: s.counted_at.as_ref().map(ToString::to_string),
                rows: rows.collect(),
            }
        });
        let time = Time {
            release_sources: sources(&[Models, Regions, Ratings, Benchmarks]),
            releases: s
                .releases
                .iter()
                .map(|r| ReleasePart {
                    quarter: clean(&r.quarter),
                    country: clean(&r.country),
                    models: r.models,
                    so_far: r.so_far,
                    best_rating: named(r.best_rating, &rating),
                    best_ability: named(r.best_ability, &ability),
                })
                .collect(),
            snapshot_sources: sources(&[Snapshot, Models, Regions]),
            snapshots: s
                .snapshots
                .iter()
                .map(|r| SnapshotPart {
                    date: r.date.as_ref().map(ToString::to_string),
                    country: clean(&r.country),
                    models: r.models,
                    likes: r.likes,
                    downloads: r.downloads,
                    downloads_all_time: r.downloads_all_time,
                })
                .collect(),
        };
        let of_ratings = sources(&[Ratings, Models, Regions, Aliases]);
        Survey {
            schema_version: SCHEMA_VERSION,
            tool: Tool { name: "stemmata", version: context.version.clone() },
            command: clean(&context.command),
            seed: s.settings.ability.seed,
            level: s.settings.ability.level,
            inputs: s.inputs.iter().map(input).collect(),
            models: s.models.iter().map(model).collect(),
            abilities: s.abilities.as_ref().map(|a| abilities(a, sources(&[Benchmarks, Aliases]))),
            contrasts: s.contrasts.iter().map(|c| best(c, of_ratings.clone())).collect(),
            views: views.collect(),
            time,
            families: FamiliesPart {
                sources: sources(&[Models, Aliases, Report, Snapshot]),
                list: s.families.iter().map(family).collect(),
            },
            origins: s.origins.as_ref().map(|o| origins(o, sources(&[Models, Regions, Aliases, Report]))),
            findings: convert::remarks(&s.findings),
            cost: context
                .timing
                .map(|t| Cost { seconds_wall: t.seconds_wall, peak_memory_bytes: t.peak_memory_bytes }),
        }
    }
}

fn input(file: &audit::TableFile) -> TableInput {
    TableInput {
        kind: file.kind.name(),
        name: clean(&file.name),
        digest: format!("sha256:{}", file.sha256),
        bytes: file.bytes,
        rows: file.rows,
        date_from: file.dates.as_ref().map(|d| d.0.to_string()),
        date_to: file.dates.as_ref().map(|d| d.1.to_string()),
    }
}

fn model(m: &audit::SurveyedModel) -> Model {
    let counts = m.counts.as_ref();
    Model {
        model: clean(&m.name),
        organisation: clean(&m.organisation),
        country: clean(&m.country),
        openness: m.openness.map(audit::Openness::name),
        licence: m.licence.as_deref().map(clean),
        released: m.released.as_ref().map(ToString::to_string),
        base: m.base.as_deref().map(clean),
        registered: m.registered,
        rating: m.rating.as_ref().map(|r| Published {
            rating: r.rating,
            lower: r.lower,
            upper: r.upper,
            date: r.date.as_ref().map(ToString::to_string),
        }),
        ability: m.ability.as_ref().and_then(|a| finite(a.value)),
        likes: counts.and_then(|c| c.likes),
        downloads: counts.and_then(|c| c.downloads),
        downloads_all_time: counts.and_then(|c| c.downloads_all_time),
        trending: counts.and_then(|c| c.trending),
    }
}

fn abilities(found: &audit::Abilities, sources: Vec<u32>) -> AbilityPart {
    let list = |names: &[String]| names.iter().map(|n| clean(n)).collect();
    let groups = found.groups.iter().map(|group| AbilityGroup {
        status: match &group.scale {
            Ok(_) => "fitted",
            Err(audit::NoScale::NoFreedom) => "no-freedom",
            Err(audit::NoScale::NotConverged) => "not-converged",
            Err(audit::NoScale::TooMany) => "too-many",
            Err(audit::NoScale::Anchors) => "anchors",
        },
        scores: group.cells,
        names: Names { models: list(&group.models), units: list(&group.units) },
        scale: group.scale.as_ref().ok().map(scale),
    });
    let reason = |why: &audit::Unplaced| match why {
        audit::Unplaced::FewModels => "few-models",
        audit::Unplaced::AllFull => "all-full",
        audit::Unplaced::AllZero => "all-zero",
        audit::Unplaced::NoUnits => "no-units",
    };
    let unplaced = |what, list: &[(String, audit::Unplaced)]| -> Vec<UnplacedPart> {
        list.iter().map(|(name, why)| UnplacedPart { what, name: clean(name), reason: reason(why) }).collect()
    };
    AbilityPart {
        sources,
        groups: groups.collect(),
        unplaced: [unplaced("model", &found.models_unplaced), unplaced("unit", &found.units_unplaced)]
            .concat(),
    }
}

fn scale(scale: &audit::AbilityScale) -> AbilityScalePart {
    let row = |a: &audit::Ability| AbilityRow {
        model: clean(&a.model),
        ability: finite(a.value),
        lower: finite(a.interval.0),
        upper: finite(a.interval.1),
        standard_error: finite(a.standard_error),
        simultaneous_lower: finite(a.simultaneous.0),
        simultaneous_upper: finite(a.simultaneous.1),
        rank_low: a.rank.0,
        rank_high: a.rank.1,
        top: a.top,
        group: a.group,
        units: a.units,
        jackknife: a.jackknife.and_then(finite),
        place_best: a.places.0,
        place_worst: a.places.1,
        leads: a.leads,
    };
    let unit = |u: &audit::UnitFit| UnitRow {
        unit: clean(&u.unit),
        slope: finite(u.slope),
        slope_error: finite(u.slope_error),
        difficulty: u.difficulty.and_then(finite),
        models: u.models,
        misfit: finite(u.misfit),
    };
    let omission = |o: &audit::Omission| OmissionRow {
        unit: clean(&o.unit),
        leader: o.leader.as_deref().map(clean),
        moved: o.moved.as_ref().map(|(name, _)| clean(name)),
        change: o.moved.as_ref().and_then(|(_, change)| finite(*change)),
        cut_off: o.cut_off,
    };
    let surprise = |s: &audit::Surprise| SurpriseRow {
        model: clean(&s.model),
        unit: clean(&s.unit),
        score: s.score,
        expected: s.expected,
        z: s.z,
    };
    AbilityScalePart {
        spread: scale.spread,
        freedom: scale.freedom,
        chi_square: scale.chi_square,
        quantile: finite(scale.limits.single),
        quantile_all: finite(scale.limits.all),
        quantile_pairs: finite(scale.limits.pairs),
        pairs_decided: scale.decided.0,
        pairs: scale.decided.1,
        abilities: scale.models.iter().map(row).collect(),
        units: scale.units.iter().map(unit).collect(),
        omissions: scale.omissions.iter().map(omission).collect(),
        surprises: scale.surprises.iter().map(surprise).collect(),
        weightings: scale.weighting.draws,
        filled: scale.weighting.filled.0,
        equal_weights: clean(&scale.weighting.equal),
    }
}

fn best(best: &audit::Best, sources: Vec<u32>) -> BestPart {
    BestPart {
        sources,
        first_set: clean(&best.first.0),
        first: clean(&best.first.1),
        second_set: clean(&best.second.0),
        second: clean(&best.second.1),
        first_rated: best.rated.0,
        second_rated: best.rated.1,
        difference: best.difference,
        lower: best.interval.0,
        upper: best.interval.1,
        whoever_lower: best.whoever.0,
        whoever_upper: best.whoever.1,
        win_rate: audit::win_rate(best.difference),
    }
}

fn family(f: &audit::FamilyCount) -> Family {
    let estimate = |e: &audit::CountEstimate| EstimatePart {
        total: e.total,
        standard_error: e.standard_error,
        lower: e.interval.0,
        upper: e.interval.1,
        unseen: e.unseen,
    };
    Family {
        family: clean(&f.family),
        direct: f.direct,
        declared: f.declared,
        downloads: f.downloads,
        precision: f.precision.map(|(hits, sampled, interval)| Precision {
            hits,
            sampled,
            lower: interval.low,
            upper: interval.high,
        }),
        corrected: f.corrected.as_ref().map(estimate),
        undeclared: f.undeclared.as_ref().map(estimate),
        strata: f
            .strata
            .iter()
            .map(|s| StratumPart {
                name: clean(&s.name),
                members: s.members,
                drawn: s.drawn,
                sampled: s.sampled,
                hits: s.hits,
                inconclusive: s.inconclusive,
            })
            .collect(),
    }
}

fn origins(o: &audit::Origins, sources: Vec<u32>) -> OriginsPart {
    let cells = |list: &[audit::OriginCell]| {
        let cell = |c: &audit::OriginCell| OriginPart {
            publisher: clean(&c.publisher),
            root: clean(&c.root),
            models: c.models,
        };
        list.iter().map(cell).collect()
    };
    OriginsPart {
        sources,
        declared: cells(&o.declared),
        none_declared: o.none_declared,
        verified: cells(&o.verified),
        none_found: o.none_found,
        no_answer: o.no_answer,
    }
}
