//! What happens while a use case runs: files that change, users who stop it.

mod support;

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use stemmata_audit::{AuditError, Event, Finding, Settings};
use support::copy;

fn settings(stop: &AtomicBool) -> Settings<'_> {
    Settings { threads: 2, digests: true, ..Settings::new(stop) }
}

/// What a use case finds when `happen` is called on each of its events.
fn outcomes(
    model: &str,
    stop: &AtomicBool,
    happen: &mut dyn FnMut(&Event),
) -> [Result<Vec<Finding>, AuditError>; 4] {
    let settings = settings(stop);
    let watch = &mut |event: Event| happen(&event);
    let anew = || stop.store(false, Ordering::Relaxed);
    anew();
    let inspected = stemmata_audit::inspect(model, false, &settings, watch).map(|r| r.findings);
    anew();
    let sketched = stemmata_audit::sketch(model, &settings, watch).map(|r| r.findings);
    anew();
    let differing = stemmata_audit::diff(model, model, &settings, watch).map(|r| r.findings);
    anew();
    let compared = stemmata_audit::compare(model, model, &settings, watch).map(|r| r.findings);
    [inspected, sketched, differing, compared]
}

#[test]
fn a_file_that_changes_is_a_finding_of_every_verb() {
    let folder = tempfile::tempdir().unwrap();
    let model = copy("minicpm-v", folder.path());
    let shard = model.join("model-00002-of-00002.safetensors");
    let touch = |path: &Path, seconds| {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    };
    let mut seconds = 1_000_000_000;
    let found = outcomes(model.to_str().unwrap(), &AtomicBool::new(false), &mut |event| {
        if matches!(event, Event::Opened { .. }) {
            seconds += 1;
            touch(&shard, seconds);
        }
    });
    for (verb, findings) in ["inspect", "sketch", "diff", "compare"].iter().zip(found) {
        let findings = findings.unwrap();
        let changed = findings.iter().find(|f| f.code == "file-changed");
        assert_eq!(changed.map(|f| f.subject.as_str()), Some("model-00002-of-00002.safetensors"), "{verb}");
    }
    let quiet = outcomes(model.to_str().unwrap(), &AtomicBool::new(false), &mut |_| {});
    assert!(quiet.iter().flatten().flatten().all(|f| f.code != "file-changed"));
}

#[test]
fn a_request_to_stop_is_heard_at_the_end_of_every_stage() {
    let folder = tempfile::tempdir().unwrap();
    let model = copy("minicpm-v", folder.path());
    for last in [false, true] {
        let stop = AtomicBool::new(false);
        let mut events = 0;
        let happen = &mut |event: &Event| {
            events += 1;
            let raise = match event {
                Event::Opened { .. } => !last,
                Event::Working { elements, elements_total, .. } => last && elements == elements_total,
            };
            stop.fetch_or(raise, Ordering::Relaxed);
        };
        // An inspection does no work that tells of its end.
        let skipped = usize::from(last);
        for (i, outcome) in outcomes(model.to_str().unwrap(), &stop, happen).iter().enumerate().skip(skipped)
        {
            assert!(matches!(outcome, Err(error) if error.is_interrupt()), "{last} {i}: {outcome:?}");
        }
        assert!(events > 0);
    }
}
