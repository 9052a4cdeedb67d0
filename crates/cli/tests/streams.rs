//! Where results and messages go: streams that are full or closed, and a user who does not want to wait.

mod support;

use std::fs::File;
use std::io::Read;
use std::process::{Command, Stdio};
use support::stemmata;

fn full() -> Stdio {
    File::options().write(true).open("/dev/full").expect("Linux has it").into()
}

#[test]
fn a_full_standard_error_changes_no_exit_code() {
    for (arguments, code) in [
        (&["compare", "llama3-v", "minicpm-v"][..], 0),
        (&["compare", "llama3-v", "minicpm-v", "--exit-code"], 1),
        (&["compare", "nowhere", "minicpm-v"], 2),
        (&["explain", "no-such-code"], 2),
        (&["frobnicate"], 2),
    ] {
        let status = stemmata(arguments).stdout(Stdio::null()).stderr(full()).status().unwrap();
        assert_eq!(status.code(), Some(code), "{arguments:?}");
    }
}

#[test]
fn what_cannot_be_written_is_not_a_success() {
    for arguments in [&["--help"][..], &["--version"], &["compare", "--help"], &["explain", "file-changed"]] {
        let output = stemmata(arguments).stdout(full()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.starts_with("error: cannot write `standard output`"), "{message}");
    }
}

#[test]
fn a_closed_pipe_is_success() {
    for arguments in [&["--help"][..], &["compare", "llama3-v", "minicpm-v", "--json", "-q"]] {
        let mut child = stemmata(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]), "{arguments:?}");
    }
}

#[test]
fn a_second_interrupt_ends_the_process_at_once() {
    let arguments = ["compare", "llama3-v", "minicpm-v", "--format", "html", "-q"];
    let mut child = stemmata(&arguments).stdout(Stdio::piped()).spawn().unwrap();
    // More than a pipe holds, and nobody reads: from its first byte on the process is stuck in writing.
    let mut pipe = child.stdout.take().unwrap();
    pipe.read_exact(&mut [0]).unwrap();
    let interrupt = |child: &std::process::Child| {
        assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
        std::thread::sleep(std::time::Duration::from_millis(200));
    };
    interrupt(&child);
    assert!(child.try_wait().unwrap().is_none(), "the first interrupt only asks");
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn little_address_space_is_enough() {
    let limited = "ulimit -v 524288; exec \"$0\" \"$@\"";
    let arguments = ["compare", "llama3-v", "minicpm-v", "-q", "--threads", "4"];
    let mut command = Command::new("sh");
    command.args(["-c", limited]).arg(stemmata(&[]).get_program()).args(arguments);
    let output = command.current_dir(support::fixtures()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}
