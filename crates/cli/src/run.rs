//! Carries out what was asked.

use crate::arguments::{Arguments, Common, FormatName, Search, Verb};
use crate::command;
use crate::environment;
use crate::file;
use crate::output;
use crate::progress::Progress;
use clap::CommandFactory;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use stemmata_audit::{AuditError, Backend, Kind, SearchMode, Settings};
use stemmata_report::{Context, Format, Timing};

/// Done.
pub(crate) const DONE: u8 = 0;
/// Dependence, or a finding of the level that was named, was found and `--exit-code` was given.
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
    let mut access = environment::access(common.offline, Arc::clone(&stop));
    if common.no_cache {
        access.cache = None;
    }
    let settings = Settings {
        access: Some(&access),
        budget: common.budget.unwrap_or_default(),
        backend: if common.mmap { Backend::Map } else { Backend::Read },
        threads: common.threads,
        digests: common.digests,
        output: common.output.as_deref().filter(|path| *path != Path::new("-")),
        ..Settings::new(&stop)
    };
    let mut progress = Progress::new(common.quiet > 0);
    carry_out(arguments, settings, &mut progress).unwrap_or_else(|error| {
        progress.finish();
        if common.quiet < 2 || !error.is_interrupt() {
            output::error(&error);
        }
        CANNOT
    })
}

fn carry_out<'a>(
    arguments: &'a Arguments,
    mut settings: Settings<'a>,
    progress: &mut Progress,
) -> Result<u8, AuditError> {
    let (common, started) = (&arguments.common, Instant::now());
    let style = output::style(common);
    let context = || context(arguments, started);
    if common.format == Some(FormatName::Mergekit) && !matches!(arguments.verb, Verb::Blame { .. }) {
        output::tell("error: the format `mergekit` is only for `blame`");
        return Ok(CANNOT);
    }
    if common.format == Some(FormatName::Sarif) && !matches!(arguments.verb, Verb::Inspect { .. }) {
        output::tell("error: the format `sarif` is only for `inspect`");
        return Ok(CANNOT);
    }
    match &arguments.verb {
        Verb::Compare { candidate, reference, alpha, search, controls, relatives, seed, exit_code } => {
            settings.rule.alpha = *alpha;
            settings.controls = controls.unwrap_or(0);
            settings.relatives = relatives;
            settings.params.seed = *seed;
            settings.search = match search {
                Search::Auto => SearchMode::Auto,
                Search::Always => SearchMode::Always,
                Search::Never => SearchMode::Never,
            };
            let watch = &mut |event| progress.show(event);
            let result = stemmata_audit::compare(candidate, reference, &settings, watch)?;
            progress.finish();
            let code = match result.judgement.verdict.kind {
                Kind::Inconclusive => INCONCLUSIVE,
                kind if *exit_code && kind.is_dependence() => FOUND,
                _ => DONE,
            };
            let show = |format| stemmata_report::comparison(&result, format, &style, &context());
            put(common, &settings, show, code)
        }
        Verb::Blame { model, among, alpha } => {
            settings.rule.alpha = *alpha;
            let watch = &mut |event| progress.show(event);
            let result = stemmata_audit::blame(model, among, &settings, watch)?;
            progress.finish();
            let code = if result.layers.iter().any(|l| l.tested) { DONE } else { INCONCLUSIVE };
            if common.format == Some(FormatName::Mergekit) {
                return Ok(match stemmata_report::mergekit(&result, &context()) {
                    Ok(text) => write(common, text.as_bytes(), code),
                    Err(reason) => {
                        output::tell(format_args!("error: this is no mergekit configuration: {reason}"));
                        output::tell("hint:  name more references after `--among`, or choose another format");
                        CANNOT
                    }
                });
            }
            let show = |format| stemmata_report::blame(&result, format, &style, &context());
            put(common, &settings, show, code)
        }
        Verb::Inspect { model, values, exit_code } => {
            let watch = &mut |event| progress.show(event);
            let result = stemmata_audit::inspect(model, *values, &settings, watch)?;
            progress.finish();
            let worst = result.findings.iter().map(|finding| finding.level).max();
            let reached = exit_code.is_some_and(|level| worst.is_some_and(|worst| worst >= level.level()));
            let code = if reached { FOUND } else { DONE };
            if common.format == Some(FormatName::Sarif) {
                settings.check_stop()?;
                return Ok(write(common, stemmata_report::sarif(&result, &context()).as_bytes(), code));
            }
            let show = |format| stemmata_report::inspection(&result, format, &style, &context());
            put(common, &settings, show, code)
        }
        Verb::Diff { candidate, reference, stat } => {
            let watch = &mut |event| progress.show(event);
            let result = stemmata_audit::diff(candidate, reference, &settings, watch)?;
            progress.finish();
            let show = |format| stemmata_report::difference(&result, *stat, format, &style, &context());
            put(common, &settings, show, DONE)
        }
        Verb::Sketch { model, seed } => {
            if common.output.is_none() && std::io::stdout().is_terminal() {
                output::tell("error: a sketch is binary and is not written to a terminal");
                output::tell(
                    "hint:  name a file with `-o model.sketch`, or `-o -` for standard output in a pipe",
                );
                return Ok(CANNOT);
            }
            settings.params.seed = *seed;
            let spool = match file::spool(settings.output) {
                Ok(spool) => spool,
                Err(error) => {
                    output::write_error(settings.output, &error);
                    return Ok(CANNOT);
                }
            };
            let watch = &mut |event| progress.show(event);
            let mut result = stemmata_audit::sketch_into(model, spool, &settings, watch)?;
            progress.finish();
            // A sketch has no place for remarks on how it was made.
            for f in result.findings.iter().filter(|_| common.quiet < 2) {
                output::tell(format_args!("warning: {}: `{}`: {}", f.code, f.subject, f.message));
            }
            Ok(write_with(common, &mut |out| result.bytes.write_to(out), DONE))
        }
        Verb::Rate(rate) => {
            let (result, code) = crate::rate::rate(rate, settings.output)?;
            let show = |format| stemmata_report::rating(&result, format, &style, &context());
            put(common, &settings, show, code)
        }
        Verb::Serve(serve) => Ok(crate::serve::serve(serve, common, settings.stop)),
        Verb::Standings(arguments) => {
            if let Some(wrong) = arguments.wrong() {
                output::tell(format_args!("error: {wrong}"));
                return Ok(CANNOT);
            }
            if let Some(table) = crate::standings::sample(arguments, settings.output)? {
                return Ok(write(common, table.as_bytes(), DONE));
            }
            let (result, code) = crate::standings::standings(arguments, settings.output)?;
            let show = |format| stemmata_report::standings(&result, format, &style, &context());
            put(common, &settings, show, code)
        }
        Verb::Explain { code } => Ok(match stemmata_audit::explanation(code) {
            Some(text) => write(common, format!("{code}: {text}\n").as_bytes(), DONE),
            None => {
                let code = stemmata_audit::printable(code);
                output::tell(format_args!("error: no finding has the code `{code}`"));
                CANNOT
            }
        }),
        Verb::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Arguments::command(), "stemmata", &mut script);
            Ok(write(common, &script, DONE))
        }
        Verb::Man => {
            let mut page = Vec::new();
            Ok(match clap_mangen::Man::new(Arguments::command()).render(&mut page) {
                Ok(()) => write(common, &page, DONE),
                Err(error) => {
                    output::write_error(None, &error);
                    CANNOT
                }
            })
        }
    }
}

/// Shows a result in the format that was asked for, or that fits where it goes.
fn put(
    common: &Common,
    settings: &Settings<'_>,
    show: impl Fn(Format) -> String,
    code: u8,
) -> Result<u8, AuditError> {
    if common.quiet > 1 && common.output.is_none() {
        return Ok(code);
    }
    let format = match common.format {
        _ if common.json => Format::Json,
        // Written before this is asked.
        Some(FormatName::Human | FormatName::Mergekit | FormatName::Sarif) => Format::Human,
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
    let shown = show(format);
    settings.check_stop()?;
    Ok(write(common, shown.as_bytes(), code))
}

pub(crate) fn write(common: &Common, bytes: &[u8], code: u8) -> u8 {
    write_with(common, &mut |out| out.write_all(bytes), code)
}

fn write_with(common: &Common, content: file::Content<'_>, code: u8) -> u8 {
    match output::write(common.output.as_deref(), content) {
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
