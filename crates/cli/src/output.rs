//! Where results and messages go: results to standard output or a file, everything else to standard error.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use stemmata_audit::{AuditError, printable};
use stemmata_report::Style;

use crate::arguments::{ColorWhen, Common};

/// Writes a result. A file is complete or absent: temporary sibling, then rename. A closed pipe is success.
pub(crate) fn write(target: Option<&Path>, bytes: &[u8]) -> io::Result<()> {
    match target {
        // A device or a pipe is written to; only a regular file can be replaced as a whole.
        Some(path) if path != Path::new("-") && path.metadata().is_ok_and(|m| !m.is_file()) => {
            std::fs::OpenOptions::new().write(true).open(path)?.write_all(bytes)
        }
        Some(path) if path != Path::new("-") => {
            let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let mut file = tempfile::Builder::new().prefix(".stemmata-").tempfile_in(parent)?;
            file.write_all(bytes)?;
            file.as_file().sync_all()?;
            set_ordinary_mode(file.as_file())?;
            file.persist(path).map_err(|error| error.error)?;
            Ok(())
        }
        _ => {
            let mut out = io::stdout().lock();
            match out.write_all(bytes).and_then(|()| out.flush()) {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                other => other,
            }
        }
    }
}

/// Temporary files are private; a result is as readable as any new file.
fn set_ordinary_mode(file: &std::fs::File) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    Ok(())
}

/// What failed, and what to do about it.
pub(crate) fn error(error: &AuditError) {
    eprintln!("error: {error}");
    if let Some(hint) = error.hint() {
        eprintln!("hint:  {hint}");
    }
}

/// A failure to write a result.
pub(crate) fn write_error(target: Option<&Path>, error: &io::Error) {
    let name = target.map_or_else(|| "standard output".to_owned(), |p| printable(&p.display().to_string()));
    eprintln!("error: cannot write `{name}`: {error}");
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
