//! The command line: parse, call `audit`, show through `report`.
//!
//! Answers: *what did the user ask for, and where does the answer go?* Must not know: formats, statistics.
#![allow(clippy::exit, reason = "the face that ends the process")]

mod arguments;
mod command;
mod environment;
mod file;
mod output;
mod progress;
mod rate;
mod run;
mod serve;
mod standings;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(match arguments::Arguments::try_parse() {
        Ok(arguments) => run::run(&arguments),
        Err(shown) => output::usage(&shown),
    })
}
