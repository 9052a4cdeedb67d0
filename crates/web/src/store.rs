//! Where battles and votes are kept. One thread owns the connection; what is acknowledged is on disk.
//!
//! Requests that wait at the same time are written in one transaction and acknowledged after it was committed with
//! `synchronous=FULL`, so that two hundred voters cost a few writes to disk a second, not two hundred.

use crate::battle::{Battle, State};
use crate::chain::{Look, Record, START};
use crate::error::WebError;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, params};
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;
use stemmata_audit::printable;
use tokio::sync::{mpsc, oneshot};

const SCHEMA: &str = include_str!("schema.sql");
/// Version of the schema, in `meta`.
const VERSION: &str = "1";
/// Requests that wait for the thread; more wait for a place.
const WAITING: usize = 1024;
/// Requests in one transaction.
const TOGETHER: usize = 256;

/// Why something was not kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StoreError {
    /// Nothing more can be written.
    #[error("the disk is full")]
    Full,
    /// There is no such battle for this voter.
    #[error("no such battle")]
    Missing,
    /// The answers are not there yet.
    #[error("the answers are not complete")]
    NotReady,
    /// A vote was counted already.
    #[error("a vote was counted already")]
    Voted,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> StoreError {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => StoreError::Full,
            _ => StoreError::Other(error.to_string()),
        }
    }
}

/// Tells whoever asked what became of the request; called after the commit.
type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
/// A request: its work, which says whether it succeeded, and how to answer. Without a connection nothing is tried.
type Job = Box<dyn FnOnce(Option<&Connection>) -> (bool, Answer) + Send>;

/// A handle on the database.
#[derive(Clone)]
pub(crate) struct Store {
    jobs: mpsc::Sender<Job>,
}

/// What ends with the server: the thread, and the lock that keeps a second server away.
pub(crate) struct Keeper {
    thread: std::thread::JoinHandle<()>,
    _lock: File,
}

impl Keeper {
    /// Waits until everything that was asked for is written. All handles must be gone.
    pub(crate) fn finish(self) {
        let _ = self.thread.join();
    }
}

/// Opens the database for a server; makes it where there is none. Battles that an earlier server left unfinished are void.
pub(crate) fn open(path: &Path) -> Result<(Store, Keeper), WebError> {
    let lock = lock(path)?;
    let failed = |error: rusqlite::Error| refused(path, &error);
    let mut connection = Connection::open(path).map_err(failed)?;
    prepare(&mut connection, path)?;
    let (jobs, queue) = mpsc::channel(WAITING);
    let thread = std::thread::Builder::new()
        .name("votes".to_owned())
        .spawn(move || keep(&mut connection, queue))
        .map_err(WebError::Start)?;
    Ok((Store { jobs }, Keeper { thread, _lock: lock }))
}

/// Opens the database for reading beside a server.
pub(crate) fn open_to_read(path: &Path) -> Result<Connection, WebError> {
    let failed = |error: rusqlite::Error| refused(path, &error);
    // Reading a write-ahead log needs its index, which may have to be made: hence not the flag for reading only.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(Duration::from_secs(10)).map_err(failed)?;
    connection.execute_batch("PRAGMA query_only = ON").map_err(failed)?;
    let version = version(&connection).map_err(failed)?;
    check_version(path, version.as_deref())?;
    Ok(connection)
}

/// A path beside the database.
pub(crate) fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(extension);
    PathBuf::from(name)
}

fn lock(path: &Path) -> Result<File, WebError> {
    let shown = printable(&path.display().to_string());
    let place = beside(path, ".lock");
    let failed = |what: std::io::Error| WebError::Database { path: shown.clone(), what: what.to_string() };
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&place).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(WebError::Locked { path: shown }),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

fn refused(path: &Path, error: &rusqlite::Error) -> WebError {
    let what = match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => "the file is no SQLite database".to_owned(),
        Some(ErrorCode::DatabaseCorrupt) => "the file is damaged".to_owned(),
        Some(ErrorCode::DiskFull) => "the disk is full".to_owned(),
        Some(ErrorCode::CannotOpen) => {
            "it cannot be opened; are the folder and the file there, and writable?".to_owned()
        }
        Some(ErrorCode::ReadOnly) => "it is not writable".to_owned(),
        _ => printable(&error.to_string()),
    };
    WebError::Database { path: printable(&path.display().to_string()), what }
}

fn version(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let tables: i64 =
        connection
            .query_row("SELECT count(*) FROM sqlite_master WHERE name = 'meta'", [], |row| row.get(0))?;
    if tables == 0 {
        return Ok(None);
    }
    connection.query_row("SELECT value FROM meta WHERE name = 'schema'", [], |row| row.get(0)).optional()
}

fn check_version(path: &Path, version: Option<&str>) -> Result<(), WebError> {
    let path = printable(&path.display().to_string());
    match version {
        Some(VERSION) => Ok(()),
        Some(other) => {
            let what = format!("its schema has version {}, this program knows {VERSION}", printable(other));
            Err(WebError::Database { path, what })
        }
        None => Err(WebError::Database { path, what: "it holds no votes of this program".to_owned() }),
    }
}

fn prepare(connection: &mut Connection, path: &Path) -> Result<(), WebError> {
    let failed = |error: rusqlite::Error| refused(path, &error);
    connection.busy_timeout(Duration::from_secs(10)).map_err(failed)?;
    // A commit waits until the disk has the vote, also if the power goes a moment later.
    connection
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON")
        .map_err(failed)?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0)).map_err(failed)?;
    if tables > 0 {
        let version = version(connection).map_err(failed)?;
        check_version(path, version.as_deref())?;
    }
    let transaction = connection.transaction().map_err(failed)?;
    transaction.execute_batch(SCHEMA).map_err(failed)?;
    transaction
        .execute("INSERT INTO meta (name, value) VALUES ('schema', ?1) ON CONFLICT DO NOTHING", [VERSION])
        .map_err(failed)?;
    transaction
        .execute(
            "UPDATE battles SET state = 'failed', failure = 'the server stopped' WHERE state = 'asked'",
            [],
        )
        .map_err(failed)?;
    transaction.commit().map_err(failed)?;
    let last = "SELECT seq, record, hash FROM votes ORDER BY seq DESC LIMIT 1";
    let last = connection.query_row(last, [], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?))
    });
    if let Some((seq, record, hash)) = last.optional().map_err(failed)?
        && crate::draw::digest(record.as_bytes()) != hash
    {
        let path = printable(&path.display().to_string());
        return Err(WebError::Database {
            path,
            what: format!("vote {seq} was changed after it was counted"),
        });
    }
    Ok(())
}

/// The thread: takes what waits, writes it together, answers.
fn keep(connection: &mut Connection, mut queue: mpsc::Receiver<Job>) {
    while let Some(first) = queue.blocking_recv() {
        let mut batch = vec![first];
        while batch.len() < TOGETHER
            && let Ok(next) = queue.try_recv()
        {
            batch.push(next);
        }
        write(connection, batch);
    }
    // Leaves one file behind instead of three.
    let _ = connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
}

fn write(connection: &Connection, batch: Vec<Job>) {
    let mut answers: Vec<Answer> = Vec::with_capacity(batch.len());
    let mut outcome = connection.execute_batch("BEGIN IMMEDIATE").map_err(StoreError::from);
    for job in batch {
        // One request that fails takes nothing of the others with it.
        if outcome.is_ok() {
            outcome = connection.execute_batch("SAVEPOINT one").map_err(StoreError::from);
        }
        let (succeeded, answer) = job(outcome.is_ok().then_some(connection));
        answers.push(answer);
        if outcome.is_ok() {
            // A full disk ends the whole transaction, and what came before in it is lost, too.
            let undo = if succeeded { "RELEASE one" } else { "ROLLBACK TO one; RELEASE one" };
            outcome = match connection.is_autocommit() {
                true => Err(StoreError::Full),
                false => connection.execute_batch(undo).map_err(StoreError::from),
            };
        }
    }
    if outcome.is_ok() {
        outcome = connection.execute_batch("COMMIT").map_err(StoreError::from);
    }
    if outcome.is_err() && !connection.is_autocommit() {
        let _ = connection.execute_batch("ROLLBACK");
    }
    answers.into_iter().for_each(|answer| answer(outcome.clone()));
}

/// A vote as it comes in.
pub(crate) struct Ballot {
    pub(crate) battle: String,
    pub(crate) voter: String,
    pub(crate) winner: &'static str,
    pub(crate) reasons: Vec<String>,
    /// Milliseconds since 1970.
    pub(crate) now: i64,
}

/// What the voter gets for a vote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Receipt {
    pub(crate) seq: i64,
    pub(crate) hash: String,
    pub(crate) winner: String,
}

/// What a voter did with checks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checked {
    /// Checks voted on.
    pub(crate) seen: u64,
    /// Checks in which the better answer was not chosen.
    pub(crate) missed: u64,
}

impl Checked {
    /// Flagged are voters who missed two checks or more and more than a third of those they saw.
    pub(crate) fn is_flagged(self) -> bool {
        self.missed >= 2 && self.missed * 3 > self.seen
    }
}

impl Store {
    /// Runs `work` in the next transaction; answers when that is on disk.
    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let closed = || StoreError::Other("nothing can be written".to_owned());
            let result = connection.ok_or_else(closed).and_then(work);
            let succeeded = result.is_ok();
            let answer: Answer = Box::new(move |committed| {
                // Whoever asked may have gone away; what was asked is done all the same.
                let _ = sender.send(committed.and(result));
            });
            (succeeded, answer)
        });
        let gone = || StoreError::Other("the database is closed".to_owned());
        self.jobs.send(job).await.map_err(|_| gone())?;
        receiver.await.map_err(|_| gone())?
    }

    pub(crate) async fn begin(&self, battle: Battle) -> Result<(), StoreError> {
        self.ask(move |connection| {
            connection.execute(
                "INSERT INTO battles (id, voter, created, medium, prompt, model_a, model_b, gold, nonce, commitment, state, ready, \
                 answer_a, answer_b, masked_a, masked_b, failure) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 'asked', 0, '', '', \
                 0, 0, '')",
                params![
                    battle.draw.battle,
                    battle.voter,
                    battle.created,
                    battle.medium.name(),
                    battle.prompt,
                    battle.draw.model_a,
                    battle.draw.model_b,
                    battle.draw.gold,
                    battle.draw.nonce,
                    battle.draw.commitment(),
                ],
            )?;
            Ok(())
        })
        .await
    }

    /// Keeps both answers as they will be shown: text, or the file that holds it; and whether words were covered.
    pub(crate) async fn ready(
        &self,
        battle: &str,
        answers: [String; 2],
        masked: [bool; 2],
        now: i64,
    ) -> Result<(), StoreError> {
        let battle = battle.to_owned();
        self.ask(move |connection| {
            let [a, b] = answers;
            connection.execute(
                "UPDATE battles SET state = 'ready', ready = ?2, answer_a = ?3, answer_b = ?4, masked_a = ?5, masked_b = ?6 WHERE id = \
                 ?1 AND state = 'asked'",
                params![battle, now, a, b, masked[0], masked[1]],
            )?;
            Ok(())
        })
        .await
    }

    pub(crate) async fn fail(&self, battle: &str, failure: String) -> Result<(), StoreError> {
        let battle = battle.to_owned();
        self.ask(move |connection| {
            connection.execute(
                "UPDATE battles SET state = 'failed', failure = ?2 WHERE id = ?1 AND state = 'asked'",
                params![battle, failure],
            )?;
            Ok(())
        })
        .await
    }

    /// The battle of this voter, with the vote where there is one.
    pub(crate) async fn battle(
        &self,
        id: &str,
        voter: &str,
    ) -> Result<(Battle, Option<Receipt>), StoreError> {
        let (id, voter) = (id.to_owned(), voter.to_owned());
        self.ask(move |connection| {
            let battle = find(connection, &id, &voter)?;
            let receipt = connection
                .query_row("SELECT seq, hash, winner FROM votes WHERE battle = ?1", [&id], |row| {
                    Ok(Receipt { seq: row.get(0)?, hash: row.get(1)?, winner: row.get(2)? })
                })
                .optional()?;
            Ok((battle, receipt))
        })
        .await
    }

    /// Counts a vote, once.
    pub(crate) async fn vote(&self, ballot: Ballot) -> Result<Receipt, StoreError> {
        self.ask(move |connection| vote(connection, ballot)).await
    }

    /// What this voter did with checks so far.
    pub(crate) async fn checked(&self, voter: &str) -> Result<Checked, StoreError> {
        let voter = voter.to_owned();
        self.ask(move |connection| {
            let counts = connection.query_row(
                "SELECT count(*), coalesce(sum(CASE WHEN v.winner <> b.gold THEN 1 ELSE 0 END), 0) FROM votes v JOIN battles b ON b.id = \
                 v.battle WHERE v.voter = ?1 AND b.gold <> ''",
                [voter],
                |row| Ok(Checked { seen: row.get::<_, i64>(0)? as u64, missed: row.get::<_, i64>(1)? as u64 }),
            )?;
            Ok(counts)
        })
        .await
    }
}

fn find(connection: &Connection, id: &str, voter: &str) -> Result<Battle, StoreError> {
    let mut query = connection.prepare_cached("SELECT * FROM battles WHERE id = ?1 AND voter = ?2")?;
    let found = query.query_row([id, voter], |row| {
        let state: String = row.get("state")?;
        let medium: String = row.get("medium")?;
        let prompt: String = row.get("prompt")?;
        Ok(Battle {
            voter: row.get("voter")?,
            created: row.get("created")?,
            medium: crate::config::Medium::from_name(&medium).unwrap_or_default(),
            draw: crate::draw::Draw {
                battle: row.get("id")?,
                model_a: row.get("model_a")?,
                model_b: row.get("model_b")?,
                gold: row.get("gold")?,
                prompt_sha256: crate::draw::digest(prompt.as_bytes()),
                nonce: row.get("nonce")?,
            },
            prompt,
            state: match state.as_str() {
                "asked" => State::Asked,
                "ready" => State::Ready,
                _ => State::Failed,
            },
            ready: row.get("ready")?,
            answers: [row.get("answer_a")?, row.get("answer_b")?],
            masked: [row.get("masked_a")?, row.get("masked_b")?],
        })
    });
    found.optional()?.ok_or(StoreError::Missing)
}

fn vote(connection: &Connection, ballot: Ballot) -> Result<Receipt, StoreError> {
    let battle = find(connection, &ballot.battle, &ballot.voter)?;
    if battle.state != State::Ready {
        return Err(StoreError::NotReady);
    }
    let voted = connection.query_row("SELECT 1 FROM votes WHERE battle = ?1", [&ballot.battle], |_| Ok(()));
    if voted.optional()?.is_some() {
        return Err(StoreError::Voted);
    }
    let last = connection
        .query_row("SELECT seq, hash FROM votes ORDER BY seq DESC LIMIT 1", [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
        })
        .optional()?;
    let (seq, previous) = last.unwrap_or((0, START.to_owned()));
    let look = match battle.medium {
        crate::config::Medium::Text => Look::of(&battle.answers[0], &battle.answers[1]),
        _ => Look::default(),
    };
    let record = Record {
        seq: seq as u64 + 1,
        previous,
        question_id: battle.draw.battle.clone(),
        commitment: battle.draw.commitment(),
        model_a: battle.draw.model_a,
        model_b: battle.draw.model_b,
        winner: ballot.winner.to_owned(),
        judge: ballot.voter,
        turn: 1,
        anony: true,
        tstamp: ballot.now as f64 / 1000.0,
        medium: battle.medium.name().to_owned(),
        gold: battle.draw.gold,
        reasons: ballot.reasons,
        masked_a: battle.masked[0],
        masked_b: battle.masked[1],
        milliseconds: (ballot.now - battle.ready).max(0) as u64,
        prompt_sha256: battle.draw.prompt_sha256,
        nonce: battle.draw.nonce,
        conv_metadata: look,
    };
    let (text, hash) = record.sealed();
    connection.execute(
        "INSERT INTO votes (seq, battle, voter, cast_at, winner, record, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![record.seq as i64, record.question_id, record.judge, ballot.now, record.winner, text, hash],
    )?;
    Ok(Receipt { seq: record.seq as i64, hash, winner: record.winner })
}

#[cfg(test)]
mod tests;
