//! Chores of the repository, run as `cargo xtask COMMAND`.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a chore talks to the developer who runs it")]

use std::error::Error;
use std::process::ExitCode;

#[cfg(feature = "train")]
mod calibrate;
mod calibration;
mod context;
#[cfg(feature = "train")]
mod fixtures;
mod heads;
#[cfg_attr(not(feature = "train"), allow(dead_code, reason = "tested always, used by the trainer only"))]
mod launder;
#[cfg_attr(not(feature = "train"), allow(dead_code, reason = "tested always, used by the trainer only"))]
mod layout;
#[cfg(feature = "train")]
mod lineage;
#[cfg_attr(not(feature = "train"), allow(dead_code, reason = "tested always, used by the trainer only"))]
mod material;
#[cfg(feature = "train")]
mod power;
mod rating;
mod relatives;
mod remote;
mod standings;
mod tidy;
#[cfg(feature = "train")]
mod train;
mod zoo;

const USAGE: &str = "\
usage: cargo xtask COMMAND [OPTIONS]

commands:
  tidy            check the dependency table and the rules for files
  fixtures        train and write the fixture models          [--out DIR]
  calibrate       compare a calibration zoo's pairs          [--zoo DIR] [--out DIR] [--date TEXT]
  context         statistics that prove nothing among its pairs  [--zoo DIR] [--out FILE]
  heads           cosines of attention heads among its pairs   [--zoo DIR]
  zoo             verdicts on a labelled collection, every error listed  --zoo DIR [--out FILE] [--date TEXT]
  relatives       what relatives say of which came first, on lines  [--lines DIR] [--out FILE] [--date TEXT]
  rating          coverage of ratings' intervals on drawn votes  [--sets N] [--out FILE] [--date TEXT]
  standings       coverage of abilities and of counts by lineage on drawn tables  [--sets N] [--out FILE] [--date TEXT]
  calibrate-zoo   train independent models for calibration    [--out DIR] [--models N] [--only NAMES] [--shared-init K]
  calibrate-lines train bases, their children and models of the same start  [--out DIR] [--models N] [--gpt2 N]
  remote          compare a synthetic 8B pair on a local server under budgets  [--full]
  memory          peak memory against the size of the models, as a chart  [--tool PATH] [--scratch DIR] [--out FILE]
  power           disguise and change bases, and count what is found  [--out DIR] [--models DIR] [--bases N] [--only WORDS] [--date TEXT]
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (command, options) = match arguments.split_first() {
        Some((command, options)) => (command.as_str(), options),
        None => return usage("no command given"),
    };
    let done = match command {
        "tidy" => no_more(options).and_then(|()| Ok(tidy::run()?)),
        "calibrate" => calibration::run(options),
        "context" => context::run(options),
        "heads" => heads::run(options),
        "zoo" => zoo::run(options),
        "relatives" => relatives::run(options),
        "rating" => rating::run(options),
        "standings" => standings::run(options),
        "fixtures" => fixtures(options),
        "calibrate-zoo" => calibrate_zoo(options),
        "calibrate-lines" => calibrate_lines(options),
        "power" => power(options),
        "remote" => remote::run(options),
        "memory" => remote::memory(options),
        "help" | "--help" | "-h" => {
            print!("{USAGE}");
            Ok(())
        }
        unknown => return usage(&format!("unknown command `{unknown}`")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(message)) => usage(&message),
        Err(Failure::Other(error)) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
        #[cfg(feature = "train")]
        Err(Failure::Reported(code)) => ExitCode::from(code),
    }
}

/// Why a chore did not end well.
enum Failure {
    /// The command line is wrong: exit code 2.
    Usage(String),
    /// The work could not be done: exit code 1.
    Other(Box<dyn Error>),
    /// A child process has said what failed and ended with this code.
    #[cfg(feature = "train")]
    Reported(u8),
}

impl<E: Into<Box<dyn Error>>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

fn usage(message: &str) -> ExitCode {
    eprint!("error: {message}\n\n{USAGE}");
    ExitCode::from(2)
}

#[cfg(feature = "train")]
fn fixtures(options: &[String]) -> Result<(), Failure> {
    single_threaded(|| fixtures::run(options))
}

#[cfg(feature = "train")]
fn calibrate_zoo(options: &[String]) -> Result<(), Failure> {
    single_threaded(|| calibrate::run(options))
}

#[cfg(feature = "train")]
fn calibrate_lines(options: &[String]) -> Result<(), Failure> {
    single_threaded(|| lineage::run(options))
}

#[cfg(feature = "train")]
fn power(options: &[String]) -> Result<(), Failure> {
    single_threaded(|| power::run(options))
}

#[cfg(not(feature = "train"))]
fn power(_: &[String]) -> Result<(), Failure> {
    needs_trainer("power")
}

#[cfg(not(feature = "train"))]
fn calibrate_lines(_: &[String]) -> Result<(), Failure> {
    needs_trainer("calibrate-lines")
}

/// Runs the work in a process whose tensor library keeps to one thread: at these sizes its pool only spins, and
/// whole models run side by side instead. The variable can only be set before a process starts.
#[cfg(feature = "train")]
fn single_threaded(work: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    const THREADS: &str = "RAYON_NUM_THREADS";
    if std::env::var_os(THREADS).is_some() {
        return work();
    }
    let mut child = std::process::Command::new(std::env::current_exe()?);
    let status = child.args(std::env::args_os().skip(1)).env(THREADS, "1").status()?;
    match status.code() {
        Some(0) => Ok(()),
        code => Err(Failure::Reported(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))),
    }
}

#[cfg(not(feature = "train"))]
fn fixtures(_: &[String]) -> Result<(), Failure> {
    needs_trainer("fixtures")
}

#[cfg(not(feature = "train"))]
fn calibrate_zoo(_: &[String]) -> Result<(), Failure> {
    needs_trainer("calibrate-zoo")
}

/// The trainer pulls in a tensor library, so the everyday build leaves it out.
#[cfg(not(feature = "train"))]
fn needs_trainer(command: &str) -> Result<(), Failure> {
    let full = "cargo run --release -p xtask --features train --";
    Err(Failure::Other(
        format!("`{command}` needs the trainer; run `cargo train {command}`, short for `{full} {command}`")
            .into(),
    ))
}

/// The value of `--name VALUE` among the options, taken out of them.
fn take_option(options: &mut Vec<String>, name: &str) -> Result<Option<String>, Failure> {
    let Some(at) = options.iter().position(|option| option == name) else { return Ok(None) };
    if at + 1 >= options.len() {
        return Err(Failure::Usage(format!("`{name}` needs a value")));
    }
    options.remove(at);
    Ok(Some(options.remove(at)))
}

/// Refuses what no option has taken.
fn no_more(options: &[String]) -> Result<(), Failure> {
    match options.first() {
        Some(option) => Err(Failure::Usage(format!("unexpected `{option}`"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_taken_out() {
        let mut options = vec!["--out".to_owned(), "x".to_owned(), "rest".to_owned()];
        assert!(matches!(take_option(&mut options, "--out"), Ok(Some(value)) if value == "x"));
        assert!(matches!(take_option(&mut options, "--out"), Ok(None)));
        assert!(no_more(&options).is_err());
        assert!(take_option(&mut vec!["--out".to_owned()], "--out").is_err());
    }
}
