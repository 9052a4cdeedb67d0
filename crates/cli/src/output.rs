//! Where results and messages go: results to standard output or a file, everything else to standard error.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use stemmata_audit::{AuditError, printable};
use stemmata_report::Style;

use crate::arguments::{ColorWhen, Common};
use crate::file;
use crate::run::{CANNOT, DONE};

/// Writes a result. A closed pipe is success.
pub(crate) fn write(target: Option<&Path>, content: file::Content<'_>) -> io::Result<()> {
    match target {
        Some(path) if path != Path::new("-") => file::write(path, content),
        _ => {
            let mut out = io::stdout().lock();
            closed_is_success(content(&mut out).and_then(|()| out.flush()))
        }
    }
}

/// Shows help or the version, which are results, or what is wrong with the arguments.
pub(crate) fn usage(shown: &clap::Error) -> u8 {
    let printed = shown.print();
    if shown.use_stderr() {
        return CANNOT;
    }
    match closed_is_success(printed.and_then(|()| io::stdout().flush())) {
        Ok(()) => DONE,
        Err(error) => {
            write_error(None, &error);
            CANNOT
        }
    }
}

fn closed_is_success(outcome: io::Result<()>) -> io::Result<()> {
    outcome.or_else(|error| if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) })
}

/// Writes a line to standard error. Where that cannot be written there is nobody left to tell.
pub(crate) fn tell(line: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// What failed, and what to do about it.
pub(crate) fn error(error: &AuditError) {
    tell(format_args!("error: {error}"));
    if let Some(hint) = error.hint() {
        tell(format_args!("hint:  {hint}"));
    }
}

/// A failure to write a result.
pub(crate) fn write_error(target: Option<&Path>, error: &io::Error) {
    let name = target.map_or_else(|| "standard output".to_owned(), |p| printable(&p.display().to_string()));
    tell(format_args!("error: cannot write `{name}`: {error}"));
}

/// How the terminal can show things.
pub(crate) fn style(common: &Common) -> Style {
    let terminal = io::stdout().is_terminal() && common.output.is_none();
    let variable = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty());
    let color = match common.color {
        ColorWhen::Always => true,
        ColorWhen::Never => false,
        ColorWhen::Auto => {
            let forced = variable("CLICOLOR_FORCE").is_some_and(|v| v != "0");
            let dumb = variable("TERM").is_some_and(|v| v == "dumb");
            variable("NO_COLOR").is_none() && (forced || (terminal && !dumb))
        }
    };
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| variable(name));
    let plain_locale = locale.is_some_and(|l| matches!(l.to_str(), Some("C" | "POSIX")));
    let width = variable("COLUMNS").and_then(|w| w.to_str()?.parse().ok()).unwrap_or(110).clamp(60, 200);
    Style { color, unicode: !plain_locale, width }
}
