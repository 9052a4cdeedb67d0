//! A result in a file: complete or not there at all, whatever stood there before.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Gives the content of a result.
pub(crate) type Content<'a> = &'a mut dyn FnMut(&mut dyn Write) -> io::Result<()>;

/// Links followed, at most; as many as the kernel follows.
const LINKS: usize = 40;

/// Writes what `content` gives to what `path` leads to. A link stays a link, a file that is replaced keeps its mode.
pub(crate) fn write(path: &Path, content: Content<'_>) -> io::Result<()> {
    // A device or a pipe is written to; only a regular file can be replaced as a whole.
    if path.metadata().is_ok_and(|m| !m.is_file()) {
        return content(&mut OpenOptions::new().write(true).open(path)?);
    }
    match target(path)? {
        Some(target) => replace(&target, content),
        None => content(&mut OpenOptions::new().append(true).open(path)?),
    }
}

/// A file without a name, beside the one that will be written where that is a regular file, so that it is as large as the disk that was
/// chosen for the result; otherwise where temporary files lie.
pub(crate) fn spool(path: Option<&Path>) -> io::Result<File> {
    let regular = |path: &&Path| path.metadata().map_or(true, |m| m.is_file());
    match path.filter(regular).map(target) {
        Some(Ok(Some(target))) => tempfile::tempfile_in(folder(&target)),
        _ => tempfile::tempfile(),
    }
}

/// The end of the chain of links that starts at `path`; nothing where the system's own links, such as `/dev/stdout`,
/// lead to a file that is open already: the shell that opened it decides what becomes of its content.
fn target(path: &Path) -> io::Result<Option<PathBuf>> {
    let mut target = path.to_owned();
    for _ in 0..LINKS {
        let Ok(next) = target.read_link() else { return Ok(Some(target)) };
        let folder = folder(&target);
        if folder.canonicalize().is_ok_and(|folder| folder.starts_with("/proc")) {
            return Ok(None);
        }
        target = folder.join(next);
    }
    Err(io::Error::other("too many levels of symbolic links"))
}

/// Temporary sibling, then rename. The sibling is removed when anything fails.
fn replace(target: &Path, content: Content<'_>) -> io::Result<()> {
    let before = target.metadata().ok();
    // A new file is readable as far as the umask allows; a copy of an old one must not be readable by more than that was.
    let mode = if before.is_none() { 0o666 } else { 0o600 };
    // Opened here and not by `tempfile`, whose errors name the temporary file: nobody asked for that one.
    let create = |path: &Path| OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut file = tempfile::Builder::new().prefix(".stemmata-").make_in(folder(target), create)?;
    content(file.as_file_mut())?;
    if let Some(before) = before {
        file.as_file().set_permissions(before.permissions())?;
    }
    file.as_file().sync_all()?;
    file.persist(target).map_err(|error| error.error)?;
    Ok(())
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
