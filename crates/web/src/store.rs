//! Where battles and votes are kept. One thread owns the connection; what is acknowledged is on disk.
//!
//! Requests that wait at the same time are written in one transaction and acknowledged after it was committed to disk
//! (SQLite: `synchronous=FULL`; PostgreSQL: `synchronous_commit=on`), so that two hundred voters cost a few writes to disk a second, not two hundred.

use crate::battle::{Battle, State};
use crate::chain::{Look, Record, START};
use crate::error::WebError;
use std::fs::File;
use std::path::{Path, PathBuf};
use stemmata_audit::printable;
use tokio::sync::{mpsc, oneshot};

mod database;
#[cfg(feature = "postgres")]
mod postgres;
mod sql;
mod sqlite;

pub use database::Database;
pub(crate) use sql::{Cell, Sql, first};

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

/// Tells whoever asked what became of the request; called after the commit.
type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
/// A request: its work, which says whether it succeeded, and how to answer. Without a connection nothing is tried.
type Job = Box<dyn FnOnce(Option<&mut dyn Sql>) -> (bool, Answer) + Send>;

/// A handle on the database.
#[derive(Clone)]
pub(crate) struct Store {
    jobs: mpsc::Sender<Job>,
    shared: bool,
}

/// What ends with the server: the thread, and the lock that keeps a second server away from a file.
pub(crate) struct Keeper {
    thread: std::thread::JoinHandle<()>,
    _lock: Option<File>,
}

impl Keeper {
    /// Waits until everything that was asked for is written. All handles must be gone.
    pub(crate) fn finish(self) {
        let _ = self.thread.join();
    }
}

/// Opens the database for a server; makes it where there is none. Battles that an earlier server left unfinished are void.
pub(crate) fn open(database: &Database) -> Result<(Store, Keeper), WebError> {
    let (jobs, queue) = mpsc::channel(WAITING);
    let (mut sql, lock): (Box<dyn Sql>, _) = match database {
        Database::File(path) => {
            let (connection, lock) = sqlite::open(path)?;
            (Box::new(connection), Some(lock))
        }
        #[cfg(feature = "postgres")]
        Database::Server { address, password } => {
            (Box::new(postgres::open(address, password.as_deref())?), None)
        }
        #[cfg(not(feature = "postgres"))]
        Database::Server { .. } => return Err(WebError::NoServer { path: database.shown() }),
    };
    let thread = std::thread::Builder::new()
        .name("votes".to_owned())
        .spawn(move || keep(&mut *sql, queue))
        .map_err(WebError::Start)?;
    Ok((Store { jobs, shared: database.is_shared() }, Keeper { thread, _lock: lock }))
}

/// Opens the database for reading beside servers.
pub(crate) fn open_to_read(database: &Database) -> Result<Box<dyn Sql>, WebError> {
    match database {
        Database::File(path) => Ok(Box::new(sqlite::open_to_read(path)?)),
        #[cfg(feature = "postgres")]
        Database::Server { address, password } => {
            Ok(Box::new(postgres::open_to_read(address, password.as_deref())?))
        }
        #[cfg(not(feature = "postgres"))]
        Database::Server { .. } => Err(WebError::NoServer { path: database.shown() }),
    }
}

/// A path beside the database.
pub(crate) fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(extension);
    PathBuf::from(name)
}

fn check_version(database: &Database, version: Option<&str>) -> Result<(), WebError> {
    let what = match version {
        Some(VERSION) => return Ok(()),
        Some(other) => {
            format!("its schema has version {}, this program knows {VERSION}", printable(other))
        }
        None => "it holds no votes of this program".to_owned(),
    };
    Err(WebError::Database { path: database.shown(), what })
}

/// Makes the tables where there are none, voids battles that nobody works on any more (all, or those asked before `left`), and looks at the last vote.
fn prepare(sql: &mut dyn Sql, left: Option<i64>) -> Result<(), StoreError> {
    sql.begin()?;
    sql.serialise()?;
    sql.batch(SCHEMA)?;
    sql.run(
        "INSERT INTO meta (name, value) VALUES ('schema', ?1) ON CONFLICT DO NOTHING",
        &[VERSION.into()],
    )?;
    sql.run(
        "UPDATE battles SET state = 'failed', failure = 'the server stopped' WHERE state = 'asked' AND created < ?1",
        &[left.unwrap_or(i64::MAX).into()],
    )?;
    sql.batch("COMMIT")?;
    let last = first(sql, "SELECT seq, record, hash FROM votes ORDER BY seq DESC LIMIT 1", &[])?;
    match last.as_deref() {
        Some([seq, record, hash]) if crate::draw::digest(record.text().as_bytes()) != hash.text() => {
            Err(StoreError::Other(format!("vote {} was changed after it was counted", seq.whole())))
        }
        _ => Ok(()),
    }
}

/// The thread: takes what waits, writes it together, answers.
fn keep(sql: &mut dyn Sql, mut queue: mpsc::Receiver<Job>) {
    while let Some(first) = queue.blocking_recv() {
        let mut batch = vec![first];
        while batch.len() < TOGETHER
            && let Ok(next) = queue.try_recv()
        {
            batch.push(next);
        }
        write(sql, batch);
    }
    sql.finish();
}

fn write(sql: &mut dyn Sql, batch: Vec<Job>) {
    let mut answers: Vec<Answer> = Vec::with_capacity(batch.len());
    let mut outcome = sql.begin();
    for job in batch {
        // One request that fails takes nothing of the others with it.
        if outcome.is_ok() {
            outcome = sql.batch("SAVEPOINT one");
        }
        let (succeeded, answer) = job(if outcome.is_ok() { Some(&mut *sql) } else { None });
        answers.push(answer);
        if outcome.is_ok() {
            // A full disk or a lost connection ends the whole transaction, and what came before in it is lost, too.
            let undo = if succeeded { "RELEASE one" } else { "ROLLBACK TO one; RELEASE one" };
            outcome = match sql.is_in_transaction() {
                true => sql.batch(undo),
                false => Err(sql.why_ended()),
            };
        }
    }
    if outcome.is_ok() {
        outcome = sql.batch("COMMIT");
    }
    if outcome.is_err() && sql.is_in_transaction() {
        let _ = sql.batch("ROLLBACK");
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
    /// Whether other servers add to the same database.
    pub(crate) fn is_shared(&self) -> bool {
        self.shared
    }

    /// Runs `work` in the next transaction; answers when that is on disk.
    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Sql) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move |sql| {
            let closed = || StoreError::Other("nothing can be written".to_owned());
            let result = sql.ok_or_else(closed).and_then(work);
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
        self.ask(move |sql| {
            sql.run(
                "INSERT INTO battles (id, voter, created, medium, prompt, model_a, model_b, gold, nonce, commitment, state, ready, \
                 answer_a, answer_b, masked_a, masked_b, failure) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 'asked', 0, '', '', \
                 0, 0, '')",
                &[
                    (&battle.draw.battle).into(),
                    (&battle.voter).into(),
                    battle.created.into(),
                    battle.medium.name().into(),
                    (&battle.prompt).into(),
                    (&battle.draw.model_a).into(),
                    (&battle.draw.model_b).into(),
                    (&battle.draw.gold).into(),
                    (&battle.draw.nonce).into(),
                    (&battle.draw.commitment()).into(),
                ],
            )
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
        let values = [
            battle.into(),
            now.into(),
            storable(&answers[0]),
            storable(&answers[1]),
            masked[0].into(),
            masked[1].into(),
        ];
        self.ask(move |sql| {
            sql.run(
                "UPDATE battles SET state = 'ready', ready = ?2, answer_a = ?3, answer_b = ?4, masked_a = ?5, masked_b = ?6 WHERE id = \
                 ?1 AND state = 'asked'",
                &values,
            )
        })
        .await
    }

    pub(crate) async fn fail(&self, battle: &str, failure: String) -> Result<(), StoreError> {
        let values = [battle.into(), storable(&failure)];
        self.ask(move |sql| {
            sql.run(
                "UPDATE battles SET state = 'failed', failure = ?2 WHERE id = ?1 AND state = 'asked'",
                &values,
            )
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
        self.ask(move |sql| {
            let battle = find(sql, &id, &voter)?;
            let row = first(sql, "SELECT seq, hash, winner FROM votes WHERE battle = ?1", &[(&id).into()])?;
            let receipt = row.map(|row| Receipt {
                seq: row[0].whole(),
                hash: row[1].text().to_owned(),
                winner: row[2].text().to_owned(),
            });
            Ok((battle, receipt))
        })
        .await
    }

    /// Counts a vote, once.
    pub(crate) async fn vote(&self, ballot: Ballot) -> Result<Receipt, StoreError> {
        self.ask(move |sql| vote(sql, ballot)).await
    }

    /// What this voter did with checks so far.
    pub(crate) async fn checked(&self, voter: &str) -> Result<Checked, StoreError> {
        let voter = voter.to_owned();
        self.ask(move |sql| {
            let row = first(
                sql,
                "SELECT count(*), coalesce(sum(CASE WHEN v.winner <> b.gold THEN 1 ELSE 0 END), 0) FROM votes v JOIN battles b ON b.id = \
                 v.battle WHERE v.voter = ?1 AND b.gold <> ''",
                &[(&voter).into()],
            )?;
            let counts = |row: Vec<Cell>| Checked { seen: row[0].whole() as u64, missed: row[1].whole() as u64 };
            Ok(row.map_or_else(Checked::default, counts))
        })
        .await
    }
}

/// Text without the one character that PostgreSQL does not keep.
fn storable(text: &str) -> Cell {
    Cell::Text(text.replace('\0', "\u{fffd}"))
}

fn find(sql: &mut dyn Sql, id: &str, voter: &str) -> Result<Battle, StoreError> {
    let query = "SELECT voter, created, medium, id, model_a, model_b, gold, nonce, prompt, state, ready, answer_a, answer_b, masked_a, \
                 masked_b FROM battles WHERE id = ?1 AND voter = ?2";
    let row = first(sql, query, &[id.into(), voter.into()])?.ok_or(StoreError::Missing)?;
    let text = |place: usize| row[place].text().to_owned();
    Ok(Battle {
        voter: text(0),
        created: row[1].whole(),
        medium: crate::config::Medium::from_name(row[2].text()).unwrap_or_default(),
        draw: crate::draw::Draw {
            battle: text(3),
            model_a: text(4),
            model_b: text(5),
            gold: text(6),
            nonce: text(7),
            prompt_sha256: crate::draw::digest(row[8].text().as_bytes()),
        },
        prompt: text(8),
        state: match row[9].text() {
            "asked" => State::Asked,
            "ready" => State::Ready,
            _ => State::Failed,
        },
        ready: row[10].whole(),
        answers: [text(11), text(12)],
        masked: [row[13].whole() != 0, row[14].whole() != 0],
    })
}

fn vote(sql: &mut dyn Sql, ballot: Ballot) -> Result<Receipt, StoreError> {
    // Before anything is looked at: what is seen from here on nobody else changes.
    sql.serialise()?;
    let battle = find(sql, &ballot.battle, &ballot.voter)?;
    if battle.state != State::Ready {
        return Err(StoreError::NotReady);
    }
    if first(sql, "SELECT seq FROM votes WHERE battle = ?1", &[(&ballot.battle).into()])?.is_some() {
        return Err(StoreError::Voted);
    }
    let last = first(sql, "SELECT seq, hash FROM votes ORDER BY seq DESC LIMIT 1", &[])?;
    let (seq, previous) =
        last.map_or_else(|| (0, START.to_owned()), |row| (row[0].whole(), row[1].text().to_owned()));
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
    sql.run(
        "INSERT INTO votes (seq, battle, voter, cast_at, winner, record, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        &[
            (record.seq as i64).into(),
            (&record.question_id).into(),
            (&record.judge).into(),
            ballot.now.into(),
            (&record.winner).into(),
            (&text).into(),
            (&hash).into(),
        ],
    )?;
    Ok(Receipt { seq: record.seq as i64, hash, winner: record.winner })
}

#[cfg(test)]
mod tests;
