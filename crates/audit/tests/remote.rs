//! Verdicts on models that lie on a server which behaves like a hub, and misbehaves like one.
#![cfg(feature = "net")]

#[path = "../../source/tests/hub/mod.rs"]
mod hub;

use hub::{Faults, Hub, Manners, of_directory};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use stemmata_audit::{Access, AuditError, Budget, Comparison, Kind, Settings, compare};

const BASE: &str = "hf:acme/base";
const CHILD: &str = "hf:acme/child";
const OTHER: &str = "hf:acme/other";
/// Enough for the headers of the fixtures and a block of some of their tensors.
const SOME: Budget = Budget::Bytes(750_000);

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/models").join(name)
}

fn start(faults: Faults, manners: Manners) -> Hub {
    let digest = |bytes: &[u8]| Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect::<String>();
    let of = |name: &str| of_directory(&fixture(name), &digest);
    let repositories = [
        ("acme/base", of("minicpm-v")),
        ("acme/copy", of("minicpm-v")),
        ("acme/child", of("minicpm-v-ft")),
        ("acme/other", of("minicpm-v-seed1")),
    ];
    let repositories = repositories.into_iter().map(|(name, r)| (name.to_owned(), r));
    Hub::start(repositories.collect::<BTreeMap<_, _>>(), faults, manners)
}

fn access(hub: &Hub) -> Access {
    Access { offline: false, hub: hub.url.clone(), pause: Duration::from_millis(1), ..Access::default() }
}

fn settings<'a>(access: &'a Access, stop: &'a AtomicBool, budget: Budget) -> Settings<'a> {
    Settings { access: Some(access), budget, threads: 2, ..Settings::new(stop) }
}

fn run(access: &Access, candidate: &str, reference: &str, budget: Budget) -> Result<Comparison, AuditError> {
    let stop = AtomicBool::new(false);
    compare(candidate, reference, &settings(access, &stop, budget), &mut |_| {})
}

#[test]
fn a_sample_gives_the_verdict_of_everything_and_keeps_to_its_budget() {
    for (candidate, kind) in [(CHILD, Kind::Related), (OTHER, Kind::NoDependenceFound)] {
        let hub = start(Faults::default(), Manners::default());
        let sampled = run(&access(&hub), candidate, BASE, SOME).unwrap();
        assert_eq!(sampled.judgement.verdict.kind, kind);
        for repository in [&candidate[3..], &BASE[3..]] {
            assert!(hub.sent(repository) <= 750_000, "{} bytes of {repository}", hub.sent(repository));
        }
        let sample = sampled.measurement.sample.as_ref().unwrap();
        assert!(sample.values > 0 && sample.values < sample.values_total / 2, "{sample:?}");
        assert!(sampled.judgement.not_tested.iter().any(|n| n.what.contains("that have a counterpart")));
        let whole = run(&access(&hub), candidate, BASE, Budget::Full).unwrap();
        assert_eq!(whole.judgement.verdict.kind, kind);
        let power = |c: &Comparison| c.judgement.verdict.power.map(|p| p.smallest_share);
        if let (Some(sampled), Some(whole)) = (power(&sampled), power(&whole)) {
            assert!(sampled > whole, "a sample has less power: {sampled} against {whole}");
        }
        // The same rows of the same files here.
        let local = fixture(if candidate == CHILD { "minicpm-v-ft" } else { "minicpm-v-seed1" });
        let here = run(&access(&hub), local.to_str().unwrap(), BASE, SOME).unwrap();
        assert_eq!(here.measurement.groups, sampled.measurement.groups);
    }
}

#[test]
fn equal_digests_cost_no_weight() {
    let hub = start(Faults::default(), Manners::default());
    let result = run(&access(&hub), "hf:acme/copy", BASE, SOME).unwrap();
    assert_eq!(result.judgement.verdict.kind, Kind::Identical);
    assert_eq!(result.judgement.verdict.relation, Some("copy"));
    assert_eq!(result.bytes_read, 0);
    assert!(result.candidate.digest.starts_with("sha256-listed"), "{}", result.candidate.digest);
    let resolved = "hf:acme/copy@0123456789abcdef0123456789abcdef01234567";
    assert_eq!(result.candidate.resolved.as_deref(), Some(resolved));
}

#[test]
fn what_reads_everything_asks_first() {
    let hub = start(Faults::default(), Manners::default());
    let (access, stop) = (access(&hub), AtomicBool::new(false));
    let with = |budget| stemmata_audit::diff(CHILD, BASE, &settings(&access, &stop, budget), &mut |_| {});
    assert!(matches!(with(SOME), Err(AuditError::NeedsEverything { verb: "diff", .. })));
    let elsewhere = with(Budget::Full).unwrap();
    let here = [fixture("minicpm-v-ft"), fixture("minicpm-v")];
    let [c, r] = here.each_ref().map(|path| path.to_str().unwrap());
    let local = stemmata_audit::diff(c, r, &settings(&access, &stop, Budget::Auto), &mut |_| {}).unwrap();
    assert_eq!(elsewhere.rows, local.rows);
}

#[test]
fn sketches_of_a_sample_compare_with_each_other_and_with_models() {
    let hub = start(Faults::default(), Manners::default());
    let (access, stop) = (access(&hub), AtomicBool::new(false));
    // Enough to read each once, and not as often as it takes to read everything.
    let budget = Budget::Bytes(2_500_000);
    let folder = tempfile::tempdir().unwrap();
    let made = |model: &str, name: &str| {
        let sketched = stemmata_audit::sketch(model, &settings(&access, &stop, budget), &mut |_| {}).unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, sketched.bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (base, child, other) = (made(BASE, "base"), made(CHILD, "child"), made(OTHER, "other"));
    assert_eq!(run(&access, &child, &base, budget).unwrap().judgement.verdict.kind, Kind::Related);
    let acquitted = run(&access, &other, &base, budget).unwrap();
    assert!(!acquitted.judgement.verdict.kind.is_dependence());
    assert!(acquitted.reference.notes[0].contains("block"), "{:?}", acquitted.reference.notes);
    // A model beside a sketch is read at the sketch's rows.
    let beside = run(&access, CHILD, &base, budget).unwrap();
    assert_eq!(beside.judgement.verdict.kind, Kind::Related);
    let whole = made_whole(&access, folder.path());
    let error = run(&access, CHILD, &whole, SOME).map(|_| ()).unwrap_err();
    assert!(matches!(error, AuditError::NeedsEverything { .. }), "{error}");
}

/// Sketches all of the base, and stops after so many tensors.
fn sketch_until(access: &Access, tensors: usize) -> Result<Vec<u8>, AuditError> {
    let (stop, mut seen) = (AtomicBool::new(false), 0);
    let mut watch = |event| {
        if let stemmata_audit::Event::Working { .. } = event {
            seen += 1;
            stop.store(seen >= tensors, Ordering::Relaxed);
        }
    };
    let sketched = stemmata_audit::sketch(BASE, &settings(access, &stop, Budget::Full), &mut watch);
    sketched.map(|sketched| sketched.bytes)
}

#[test]
fn an_interrupted_sketch_goes_on_where_it_stopped() {
    let hub = start(Faults::default(), Manners::default());
    let expected = sketch_until(&access(&hub), usize::MAX).unwrap();
    let once = hub.sent("acme/base");
    for faults in [None, Some(1), Some(2), Some(3)] {
        let of = faults.map_or_else(Faults::default, |seed| Faults::all(seed, 0.05));
        let (hub, folder) = (start(of, Manners::default()), tempfile::tempdir().unwrap());
        let kept = Access { cache: Some(folder.path().to_owned()), ..access(&hub) };
        let mut stopped = 0;
        let made = loop {
            match sketch_until(&kept, 5 + 20 * stopped) {
                Ok(made) => break made,
                // A server that fails for too long ends a run like a stop does.
                Err(error) => assert!(error.is_interrupt() || faults.is_some(), "{error}"),
            }
            stopped += 1;
        };
        assert!(made == expected && stopped > 2, "{stopped} stops");
        if faults.is_some() {
            continue;
        }
        // Headers, and what was in flight when the run was stopped.
        let sent = hub.sent("acme/base");
        assert!(sent <= once + once / 10, "{sent} bytes instead of {once} after {stopped} stops");
        // The sketch itself is kept as well, and a broken one is made again from what was fetched.
        assert!(sketch_until(&kept, 1).unwrap() == expected);
        for sketch in std::fs::read_dir(folder.path().join("sketches-1")).unwrap().flatten() {
            std::fs::write(sketch.path(), b"broken").unwrap();
        }
        assert!(sketch_until(&kept, 1).is_err());
        assert!(sketch_until(&kept, usize::MAX).unwrap() == expected);
        let again = hub.sent("acme/base") - sent;
        assert!(again <= once / 10, "{again} of {once} bytes were sent again");
    }
}

#[test]
fn a_cache_that_cannot_be_written_is_told_and_changes_nothing() {
    let hub = start(Faults::default(), Manners::default());
    let file = tempfile::NamedTempFile::new().unwrap();
    let unwritable = Access { cache: Some(file.path().to_owned()), ..access(&hub) };
    let (plain, told) =
        (run(&access(&hub), CHILD, BASE, SOME).unwrap(), run(&unwritable, CHILD, BASE, SOME).unwrap());
    assert_eq!(told.judgement.verdict.kind, plain.judgement.verdict.kind);
    assert_eq!(told.measurement.groups, plain.measurement.groups);
    let findings =
        |result: &Comparison| result.findings.iter().filter(|f| f.code == "cache-not-written").count();
    assert_eq!((findings(&plain), findings(&told)), (0, 2));
}

/// A sketch of all of the base.
fn made_whole(access: &Access, folder: &Path) -> String {
    let stop = AtomicBool::new(false);
    let sketched = stemmata_audit::sketch(BASE, &settings(access, &stop, Budget::Full), &mut |_| {}).unwrap();
    let path = folder.join("whole");
    std::fs::write(&path, sketched.bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Two hundred runs, each with its own mixture of faults: an error now and then, a wrong verdict never.
#[test]
fn faults_never_change_a_verdict() {
    let expected = [(CHILD, Kind::Related), (OTHER, Kind::NoDependenceFound)];
    let (mut judged, mut refused) = (0, 0);
    for seed in 0..200_u64 {
        let (candidate, kind) = expected[(seed % 2) as usize];
        let manners = match seed % 10 {
            7 => Manners { changes_after: Some(seed % 17), ..Manners::default() },
            8 => Manners { ignores_ranges: true, ..Manners::default() },
            _ => Manners::default(),
        };
        let hub = start(Faults::all(seed, [0.02, 0.05, 0.1, 0.2][(seed / 2 % 4) as usize]), manners);
        match run(&access(&hub), candidate, BASE, SOME) {
            Ok(result) => {
                assert_eq!(result.judgement.verdict.kind, kind, "seed {seed}");
                judged += 1;
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                refused += 1;
            }
        }
        assert_eq!(hub.counts().leaked.load(Ordering::Relaxed), 0);
    }
    assert!(judged >= 120 && refused >= 10, "{judged} judged, {refused} refused");
}
