//! `serve`: what can be asked, the configuration, the export, the exit code.

use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;

pub(crate) const EXAMPLES: &str = "\
Examples:
  stemmata serve arena.toml --listen 127.0.0.1:8080
  stemmata serve --export --database votes.sqlite -o votes.jsonl
  stemmata serve --verify votes.jsonl --receipt 3f1c…

A configuration names who answers and where:
  [[contestant]]
  name = \"nova-7b\"
  url = \"http://127.0.0.1:8000/v1/chat/completions\"
  model = \"acme/nova-7b\"

The export is read by `rate`, for instance with `--cluster judge --position`.
Protocol, database, threats and all keys: docs/serve.md.";

/// What can be asked of the page.
#[derive(Debug, Args)]
#[cfg_attr(
    not(feature = "serve"),
    allow(dead_code, reason = "asked all the same, so that the answer can name the feature")
)]
pub(crate) struct ServeArguments {
    /// The configuration (TOML): contestants, prompts, limits.
    #[arg(required_unless_present_any = ["export", "verify"])]
    config: Option<PathBuf>,
    /// Address and port. Others than 127.0.0.1 are open to the network; put a server for HTTPS before it.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Votes are kept here; made where there is none. A file of SQLite, or postgres://USER@HOST/NAME in a build with that feature;
    /// PGPASSWORD may hold the password.
    #[arg(long, value_name = "FILE|ADDRESS", default_value = "votes.sqlite")]
    database: PathBuf,
    /// The key that voters are hashed with; made where there is none. Without it FILE.key, or stemmata.key beside PostgreSQL; servers that
    /// share a database need the same one.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Write all votes as a chain of JSON lines, instead of serving.
    #[arg(long, conflicts_with_all = ["config", "verify"])]
    export: bool,
    /// Leave out voters who missed too many checks; the chain has gaps then.
    #[arg(long, requires = "export")]
    unflagged: bool,
    /// Check that no line of an export was changed, replaced or left out, instead of serving.
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    verify: Option<PathBuf>,
    /// Also check that the vote with this receipt is there.
    #[arg(long, value_name = "HASH", requires = "verify")]
    receipt: Option<String>,
}

#[cfg(not(feature = "serve"))]
pub(crate) use without_page::serve;

#[cfg(not(feature = "serve"))]
mod without_page {
    use super::ServeArguments;
    use crate::arguments::Common;
    use crate::output;
    use crate::run::CANNOT;
    use std::sync::atomic::AtomicBool;

    pub(crate) fn serve(_: &ServeArguments, _: &Common, _: &AtomicBool) -> u8 {
        output::tell("error: this program was built without the page");
        output::tell("hint:  build it with `cargo build --release --features serve`");
        CANNOT
    }
}

#[cfg(feature = "serve")]
pub(crate) use with_page::serve;

#[cfg(feature = "serve")]
mod with_page {
    use super::ServeArguments;
    use crate::arguments::Common;
    use crate::output;
    use crate::run::{CANNOT, DONE, write};
    use std::fs::File;
    use std::io::BufReader;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    use stemmata_web::{Config, Database, Serve, Tell, Voters, WebError};

    pub(crate) fn serve(arguments: &ServeArguments, common: &Common, stop: &AtomicBool) -> u8 {
        carry_out(arguments, common, stop).unwrap_or_else(|error| {
            output::tell(format_args!("error: {error}"));
            if let Some(hint) = error.hint() {
                output::tell(format_args!("hint:  {hint}"));
            }
            CANNOT
        })
    }

    fn carry_out(arguments: &ServeArguments, common: &Common, stop: &AtomicBool) -> Result<u8, WebError> {
        let quiet = common.quiet;
        let note = |text: String| {
            if quiet == 0 {
                output::tell(text);
            }
        };
        if let Some(path) = &arguments.verify {
            let unread = |source| WebError::Export { doing: "read", source };
            let file = File::open(path).map_err(unread)?;
            let verified = stemmata_web::verify(BufReader::new(file), arguments.receipt.as_deref())?;
            let said = format!("{} votes, head {}\n", verified.votes, verified.head);
            return Ok(write(common, said.as_bytes(), DONE));
        }
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let database = Database::new(arguments.database.clone(), variable("PGPASSWORD"));
        if arguments.export {
            let voters = if arguments.unflagged { Voters::Unflagged } else { Voters::All };
            let mut votes = Vec::new();
            let exported = stemmata_web::export(&database, voters, &mut votes)?;
            note(format!(
                "{} votes written, {} left out, {} voters flagged",
                exported.votes, exported.left_out, exported.flagged
            ));
            return Ok(write(common, &votes, DONE));
        }
        // The arguments ask for a configuration where neither of the above is given.
        let Some(path) = &arguments.config else { return Ok(CANNOT) };
        let config = Config::open(path, &variable)?;
        let tell: Tell = Arc::new(move |line| {
            if quiet < 2 {
                output::tell(line);
            }
        });
        let settings = Serve { config, listen: arguments.listen, database, key: arguments.key.clone() };
        stemmata_web::serve(settings, stop, &tell)?;
        note("stopped; every vote is on disk".to_owned());
        Ok(DONE)
    }
}

/// The configuration, where one was given.
pub(crate) fn words(arguments: &ServeArguments) -> Vec<String> {
    arguments.config.iter().map(|path| path.display().to_string()).collect()
}
