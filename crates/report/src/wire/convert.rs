//! From the values of `audit` to the wire types of a comparison.

use super::comparison::*;
use super::{SCHEMA_VERSION, finite};
use crate::Context;
use crate::text::clean;
use stemmata_audit as audit;

impl Report {
    /// Converts a comparison.
    pub fn new(c: &audit::Comparison, context: &Context) -> Report {
        let judgement = &c.judgement;
        Report {
            schema_version: SCHEMA_VERSION,
            tool: Tool::new(context),
            command: clean(&context.command),
            seed: c.seed,
            inputs: vec![Input::new("candidate", &c.candidate), Input::new("reference", &c.reference)],
            verdict: verdict(&judgement.verdict),
            components: judgement.components.iter().map(component).collect(),
            evidence: judgement.evidence.iter().map(evidence).collect(),
            layers: judgement.layers.iter().map(layer).collect(),
            layer_maps: c.measurement.structure.maps.iter().map(super::LayerMap::new).collect(),
            change: judgement.change.as_ref().map(change),
            not_tested: judgement.not_tested.iter().map(not_tested).collect(),
            findings: remarks(&c.findings),
            context: c.context.iter().map(super::ContextStatistic::new).collect(),
            controls: c.controls.as_ref().map(super::Controls::new),
            relatives: c.relatives.iter().map(relative).collect(),
            sample: c.measurement.sample.as_ref().map(|s| Sample {
                blocks: s.blocks,
                values: s.values,
                values_total: s.values_total,
                bytes: s.bytes,
                skipped: s.skipped,
                left_out: s.left_out.len(),
            }),
            io: Io::new(c.bytes_read, context),
        }
    }

    /// The candidate.
    pub fn candidate(&self) -> &Input {
        &self.inputs[0]
    }

    /// The reference.
    pub fn reference(&self) -> &Input {
        &self.inputs[1]
    }
}

impl Tool {
    pub(super) fn new(context: &Context) -> Tool {
        Tool { name: "stemmata", version: clean(&context.version) }
    }
}

impl Io {
    pub(super) fn new(bytes_read: u64, context: &Context) -> Io {
        Io {
            bytes_read,
            seconds_wall: context.timing.and_then(|t| finite(t.seconds_wall)),
            peak_memory_bytes: context.timing.map(|t| t.peak_memory_bytes),
        }
    }
}

impl Input {
    pub(super) fn new(role: &'static str, facts: &audit::InputFacts) -> Input {
        let all = |list: &[String]| list.iter().map(|text| clean(text)).collect();
        let layer_count = |&(component, layers): &(&'static str, u32)| LayerCount { component, layers };
        Input {
            role,
            reference: clean(&facts.reference),
            resolved: facts.resolved.as_deref().map(clean),
            digest: clean(&facts.digest),
            format: clean(&facts.format),
            architecture: clean(&facts.family),
            parameters: facts.parameters,
            inferred: facts.inferred,
            encoding: clean(&facts.encoding),
            layers: facts.layers.iter().map(layer_count).collect(),
            files: facts.files.iter().map(file).collect(),
            declared: Declared {
                base_model: all(&facts.declared_base),
                license: facts.declared_license.as_deref().map(clean),
            },
            notes: all(&facts.notes),
        }
    }
}

fn relative(r: &audit::Relative) -> Relative {
    let seen =
        |s: audit::Seen| Seen { kind: s.kind.name(), relation: s.relation, direction: s.direction.name() };
    Relative {
        reference: clean(&r.facts.reference),
        digest: clean(&r.facts.digest),
        role: r.role.name(),
        to_candidate: seen(r.seen[0]),
        to_reference: seen(r.seen[1]),
    }
}

fn file(f: &audit::FileDigest) -> File {
    File { name: clean(&f.name), bytes: f.len, sha256: f.sha256.clone() }
}

fn verdict(v: &audit::Verdict) -> Verdict {
    Verdict {
        kind: v.kind.name(),
        tier: v.tier.name(),
        relation: v.relation,
        direction: v.direction.name(),
        log10_p: finite(v.log10_p),
        alpha: v.alpha,
        tests: v.tests,
        correction: "bonferroni",
        cue: v.cue.as_deref().map(clean),
        power: v.power.map(|p| Power {
            probability: p.probability,
            smallest_share: finite(p.smallest_share),
            smallest_share_one_layer: p.smallest_share_one_layer.and_then(finite),
        }),
        missing: v.missing.iter().map(|m| clean(m)).collect(),
    }
}

fn component(c: &audit::ComponentVerdict) -> Component {
    Component {
        name: c.component.name(),
        kind: c.kind.name(),
        share_inherited: finite(c.share_inherited),
        log10_p: finite(c.log10_p),
        noise_sigma: c.noise.filter(|n| n.gaussian).and_then(|n| finite(n.sigma)),
        noise: c.noise.map(|n| Noise {
            sigma: finite(n.sigma),
            excess_kurtosis: finite(n.excess_kurtosis),
            magnitude_correlation: finite(n.magnitude_correlation),
            sigma_variation: finite(n.sigma_variation),
            gaussian: n.gaussian,
        }),
        effect: c.effect.and_then(|(effect, _)| finite(effect)),
        interval: c.effect.map(|(_, i)| interval(i)),
        change: c.change.as_ref().map(change),
        detectable: c.detectable.and_then(finite),
    }
}

fn interval(i: audit::Interval) -> Interval {
    Interval { low: finite(i.low), high: finite(i.high), level: i.level }
}

fn change(c: &audit::Change) -> Change {
    Change {
        elements: c.elements,
        changed: finite(c.changed),
        relative: finite(c.relative),
        cosine: finite(c.cosine),
        scale: finite(c.scale),
    }
}

fn evidence(e: &audit::Evidence) -> Evidence {
    Evidence {
        test: e.test.name(),
        scope: e.scope.to_string(),
        null: e.p.map(|p| p.null),
        p_kind: e.p.map(|p| p.kind.name()),
        statistic: finite(e.statistic),
        n: e.n,
        log10_p: e.p.and_then(|p| finite(p.log10())),
        effect: e.effect.and_then(finite),
        interval: e.interval.map(interval),
        detectable: e.detectable.and_then(finite),
    }
}

fn layer(l: &audit::LayerEffect) -> Layer {
    Layer {
        component: l.component.name(),
        candidate_layer: l.candidate_layer,
        reference_layer: l.reference_layer,
        effect: l.effect.and_then(finite),
        interval: l.interval.map(interval),
        log10_p: finite(l.log10_p),
        dependent: l.dependent,
    }
}

fn not_tested(n: &audit::NotTested) -> NotTested {
    NotTested { what: clean(&n.what), reason: clean(&n.reason) }
}

pub(super) fn remarks(findings: &[audit::Finding]) -> Vec<Remark> {
    let remark = |f: &audit::Finding| Remark {
        code: f.code,
        level: f.level.name(),
        side: f.side,
        subject: clean(&f.subject),
        message: clean(&f.message),
        explanation: audit::explanation(f.code),
    };
    findings.iter().map(remark).collect()
}
