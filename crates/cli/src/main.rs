//! The command line: parse, call `audit`, show through `report`.
//!
//! Answers: *what did the user ask for, and where does the answer go?* Must not know: formats, statistics.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::exit,
    reason = "the face that talks to the terminal"
)]

mod arguments;
mod output;
mod progress;
mod run;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = match arguments::Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            // Help and version are results; anything else is a mistake in the arguments.
            return ExitCode::from(if error.use_stderr() { run::CANNOT } else { run::DONE });
        }
    };
    ExitCode::from(run::run(&arguments))
}
