//! Carries out what was asked.

use crate::arguments::{Arguments, Common, FormatName, Verb};
use crate::command;
use crate::output;
use crate::progress::Progress;
use clap::CommandFactory;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use stemmata_audit::{AuditError, Backend, DecisionRule, Kind, Settings, SketchParams};
use stemmata_report::{Context, Format, Timing};

/// Done.
pub(crate) const DONE: u8 = 0;
/// Dependence was found and `--exit-code` was given.
pub(crate) const FOUND: u8 = 1;
/// It could not be done.
pub(crate) const CANNOT: u8 = 2;
/// Inconclusive.
pub(crate) const INCONCLUSIVE: u8 = 3;

/// Carries out what was asked; returns the exit code.
pub(crate) fn run(arguments: &Arguments) -> u8 {
    let common = &arguments.common;
    let stop = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&stop);
    // The first Ctrl-C stops in order; the second one ends at once.
    let _ = ctrlc::set_handler(move || {
        if raised.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    });
    let mut settings = Settings {
        backend: if common.mmap { Backend::Map } else { Backend::Read },
        threads: common.threads,
        stop: &stop,
        digests: common.digests,
        rule: DecisionRule::default(),
        params: SketchParams::default(),
    };
    let mut progress = Progress::new(common.quiet > 0);
    let started = Instant::now();
    let outcome = match &arguments.verb {
        Verb::Compare { candidate, reference, alpha, exit_code } => {
            settings.rule.alpha = *alpha;
            stemmata_audit::compare(candidate, reference, &settings, &mut |event| progress.show(event)).map(
                |result| {
                    progress.finish();
                    let code = match result.judgement.verdict.kind {
                        Kind::Inconclusive => INCONCLUSIVE,
                        kind if *exit_code && kind.is_dependence() => FOUND,
                        _ => DONE,
                    };
                    let show = |format| {
                        stemmata_report::comparison(
                            &result,
                            format,
                            &output::style(common),
                            &context(arguments, started),
                        )
                    };
                    put(common, show, code)
                },
            )
        }
        Verb::Inspect { model } => {
            stemmata_audit::inspect(model, &settings, &mut |event| progress.show(event)).map(|result| {
                progress.finish();
                let show = |format| {
                    stemmata_report::inspection(
                        &result,
                        format,
                        &output::style(common),
                        &context(arguments, started),
                    )
                };
                put(common, show, DONE)
            })
        }
        Verb::Diff { candidate, reference, stat } => {
            stemmata_audit::diff(candidate, reference, &settings, &mut |event| progress.show(event)).map(
                |result| {
                    progress.finish();
                    let show = |format| {
                        stemmata_report::difference(
                            &result,
                            *stat,
                            format,
                            &output::style(common),
                            &context(arguments, started),
                        )
                    };
                    put(common, show, DONE)
                },
            )
        }
        Verb::Sketch { model, seed } => {
            if common.output.is_none() && std::io::stdout().is_terminal() {
                output::tell("error: a sketch is binary and is not written to a terminal");
                output::tell(
                    "hint:  name a file with `-o model.sketch`, or `-o -` for standard output in a pipe",
                );
                return CANNOT;
            }
            settings.params.seed = *seed;
            stemmata_audit::sketch(model, &settings, &mut |event| progress.show(event)).map(|result| {
                progress.finish();
                write(common, &result.bytes, DONE)
            })
        }
        Verb::Explain { code } => match stemmata_audit::explanation(code) {
            Some(text) => Ok(write(common, format!("{code}: {text}\n").as_bytes(), DONE)),
            None => {
                let code = stemmata_audit::printable(code);
                output::tell(format_args!("error: no finding has the code `{code}`"));
                return CANNOT;
            }
        },
        Verb::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Arguments::command(), "stemmata", &mut script);
            Ok(write(common, &script, DONE))
        }
        Verb::Man => {
            let mut page = Vec::new();
            match clap_mangen::Man::new(Arguments::command()).render(&mut page) {
                Ok(()) => Ok(write(common, &page, DONE)),
                Err(error) => {
                    output::write_error(None, &error);
                    return CANNOT;
                }
            }
        }
    };
    outcome.unwrap_or_else(|error| failed(&error, &progress, common))
}

fn failed(error: &AuditError, progress: &Progress, common: &Common) -> u8 {
    progress.finish();
    if common.quiet < 2 || !error.is_interrupt() {
        output::error(error);
    }
    CANNOT
}

/// Shows a result in the format that was asked for, or that fits where it goes.
fn put(common: &Common, show: impl Fn(Format) -> String, code: u8) -> u8 {
    if common.quiet > 1 && common.output.is_none() {
        return code;
    }
    let format = match common.format {
        _ if common.json => Format::Json,
        Some(FormatName::Human) => Format::Human,
        Some(FormatName::Tsv) => Format::Tsv,
        Some(FormatName::Json) => Format::Json,
        Some(FormatName::Html) => Format::Html,
        None => match common.output.as_deref().and_then(|p| p.extension()?.to_str()) {
            Some("json") => Format::Json,
            Some("html" | "htm") => Format::Html,
            Some("tsv") => Format::Tsv,
            Some(_) => Format::Human,
            None if common.output.is_none() && std::io::stdout().is_terminal() => Format::Human,
            None => Format::Tsv,
        },
    };
    write(common, show(format).as_bytes(), code)
}

fn write(common: &Common, bytes: &[u8], code: u8) -> u8 {
    match output::write(common.output.as_deref(), bytes) {
        Ok(()) => code,
        Err(error) => {
            output::write_error(common.output.as_deref(), &error);
            CANNOT
        }
    }
}

fn context(arguments: &Arguments, started: Instant) -> Context {
    Context {
        command: command::line(arguments),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        timing: arguments.common.timing.then(|| Timing {
            seconds_wall: started.elapsed().as_secs_f64(),
            peak_memory_bytes: peak_memory(),
        }),
    }
}

/// Peak resident memory of this process, 0 where the system does not tell.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    line.and_then(|l| l.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()).map_or(0, |kb| kb * 1024)
}
