//! Results in files: whole or not at all, in the place and with the mode that the user expects.

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use support::{copy, fixtures, run, stemmata};

const EXPLAIN: [&str; 2] = ["explain", "file-changed"];

fn explain_to(path: &Path) {
    let outcome = run(&[&EXPLAIN[..], &["-o", path.to_str().unwrap()]].concat());
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().mode() & 0o7777
}

/// Runs in a shell that has `before` done first.
fn shell(before: &str, arguments: &[&str]) -> (i32, String) {
    let output = Command::new("sh")
        .current_dir(fixtures())
        .args(["-c", &format!("{before}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_stemmata")])
        .args(arguments)
        .output()
        .unwrap();
    (output.status.code().expect("no signal"), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_new_file_obeys_the_umask_and_an_old_one_keeps_its_mode() {
    let folder = tempfile::tempdir().unwrap();
    for (umask, expected) in [("umask 022", 0o644), ("umask 077", 0o600), ("umask 002", 0o664)] {
        let path = folder.path().join(umask);
        let arguments = [&EXPLAIN[..], &["-o", path.to_str().unwrap()]].concat();
        assert_eq!(shell(umask, &arguments), (0, String::new()));
        assert_eq!(mode(&path), expected, "{umask}");
    }
    let old = folder.path().join("old");
    fs::write(&old, "old").unwrap();
    for expected in [0o600, 0o640, 0o604] {
        fs::set_permissions(&old, Permissions::from_mode(expected)).unwrap();
        explain_to(&old);
        assert_eq!(mode(&old), expected);
    }
    assert_ne!(fs::read(&old).unwrap(), b"old");
}

#[test]
fn a_link_is_written_through() {
    let folder = tempfile::tempdir().unwrap();
    let (inner, first, second) =
        (folder.path().join("inner"), folder.path().join("first"), folder.path().join("second"));
    fs::create_dir(&inner).unwrap();
    symlink("second", &first).unwrap();
    symlink("inner/result", &second).unwrap();
    for _ in 0..2 {
        // Once the result is new, once it is replaced.
        explain_to(&first);
        assert_eq!(first.read_link().unwrap(), Path::new("second"));
        assert_eq!(second.read_link().unwrap(), Path::new("inner/result"));
        assert!(!inner.join("result").is_symlink() && inner.join("result").is_file());
    }
    let own = folder.path().join("own");
    symlink("own", &own).unwrap();
    let refused = run(&[&EXPLAIN[..], &["-o", own.to_str().unwrap()]].concat());
    assert!(refused.code == 2 && refused.stderr.contains("symbolic links"), "{}", refused.stderr);
}

#[test]
fn what_the_shell_opened_is_added_to() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    fs::write(&log, "before\n").unwrap();
    let out = fs::OpenOptions::new().append(true).open(&log).unwrap();
    let arguments = [&EXPLAIN[..], &["-o", "/dev/stdout"]].concat();
    assert!(stemmata(&arguments).stdout(out).status().unwrap().success());
    let text = fs::read_to_string(&log).unwrap();
    assert!(text.starts_with("before\nfile-changed: "), "{text}");
}

#[test]
fn a_file_of_an_input_is_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let model = copy("minicpm-v", folder.path());
    let sketch = folder.path().join("model.sketch");
    assert_eq!(run(&["sketch", "minicpm-v", "-o", sketch.to_str().unwrap(), "-q"]).code, 0);
    let (linked, hard) = (folder.path().join("linked.json"), folder.path().join("hard.json"));
    symlink(model.join("config.json"), &linked).unwrap();
    fs::hard_link(model.join("model-00001-of-00002.safetensors"), &hard).unwrap();
    let name = |path: &Path| path.to_str().unwrap().to_owned();
    let (model, sketch) = (name(&model), name(&sketch));
    for (output, verb) in [
        (name(&linked), &["inspect", &model][..]),
        (name(&hard), &["compare", "llama3-v", &model]),
        (format!("{model}/README.md"), &["diff", &model, "llama3-v"]),
        (format!("{model}/./model.safetensors.index.json"), &["sketch", &model]),
        (sketch.clone(), &["compare", "llama3-v", &sketch]),
    ] {
        let before = fs::read(&output).unwrap();
        let refused = run(&[verb, &["-q", "-o", &output]].concat());
        assert_eq!(refused.code, 2, "{output}");
        assert!(
            refused.stderr.contains(&output) && refused.stderr.contains("refusing"),
            "{}",
            refused.stderr
        );
        assert_eq!(fs::read(&output).unwrap(), before);
    }
    // Another file in the same folder is nobody's input, the second time as well as the first.
    let report = format!("{model}/report.json");
    for _ in 0..2 {
        assert_eq!(run(&["inspect", &model, "-q", "-o", &report]).code, 0);
    }
}

#[test]
fn a_failure_names_the_file_that_was_asked_for_and_leaves_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("nowhere/report.html");
    let html = |path: &Path| {
        ["compare", "llama3-v", "minicpm-v", "-q", "-o", path.to_str().unwrap()].map(str::to_owned)
    };
    for (before, path) in [(":", &nowhere), ("trap '' XFSZ; ulimit -f 8", &folder.path().join("report.html"))]
    {
        let arguments = html(path);
        let (code, message) = shell(before, &arguments.each_ref().map(String::as_str));
        assert_eq!(code, 2);
        let named = format!("error: cannot write `{}`: ", path.display());
        assert!(message.starts_with(&named) && !message.contains(".stemmata-"), "{message}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
