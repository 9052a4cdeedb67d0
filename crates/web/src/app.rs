//! What all requests share.

use crate::battle::{self, Answered, Battle, Sides, State};
use crate::config::Config;
use crate::error::WebError;
use crate::keys::Keys;
use crate::limits::{Allowances, Wait};
use crate::server::Tell;
use crate::standings::Board;
use crate::store::{Database, Store, StoreError};
use crate::upstream;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{Semaphore, watch};

/// How often, and after how long, it is tried again to keep answers where the disk is full.
const RETRIES: u32 = 12;
const RETRY: Duration = Duration::from_secs(5);

/// How often it is looked whether another server has the answers, and how many times: ten minutes.
const LOOK: Duration = Duration::from_millis(250);
const ELSEWHERE: u32 = 2400;

/// What all requests share.
pub(crate) struct App {
    pub(crate) config: Arc<Config>,
    pub(crate) store: Store,
    pub(crate) keys: Keys,
    pub(crate) board: Board,
    agent: ureq::Agent,
    tell: Tell,
    allowances: Mutex<Allowances>,
    /// Places for battles whose answers are being made.
    places: Arc<Semaphore>,
    /// Battles whose answers are being made; the value turns true at the end.
    running: Mutex<HashMap<String, watch::Receiver<bool>>>,
    stopped: watch::Receiver<bool>,
}

/// Why a question is not taken.
pub(crate) enum Refusal {
    Wait(Wait),
    Busy,
    /// Fewer than two can answer.
    Nobody,
    Store(StoreError),
    Other(WebError),
}

/// Milliseconds since 1970.
pub(crate) fn now() -> i64 {
    // INVARIANT: a clock before 1970 is none; what is stored then is 0.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_millis() as i64)
}

impl App {
    pub(crate) fn new(
        config: Config,
        store: Store,
        keys: Keys,
        database: Database,
        tell: Tell,
        stopped: watch::Receiver<bool>,
    ) -> Result<App, WebError> {
        let agent = upstream::agent(config.proxy.as_deref())
            .map_err(|what| WebError::Config { path: "proxy".to_owned(), what })?;
        let limits = &config.limits;
        let allowances =
            Allowances::new(limits.voter_battles_per_minute, limits.battles_per_minute, Instant::now());
        Ok(App {
            places: Arc::new(Semaphore::new(limits.battles_at_once)),
            allowances: Mutex::new(allowances),
            config: Arc::new(config),
            board: Board::new(database),
            store,
            keys,
            agent,
            tell,
            running: Mutex::default(),
            stopped,
        })
    }

    /// Turns true when the server stops.
    pub(crate) fn stopped(&self) -> watch::Receiver<bool> {
        self.stopped.clone()
    }

    /// Tells the operator.
    pub(crate) fn tell(&self, line: &str) {
        (self.tell)(line);
    }

    /// Draws, promises and begins; returns the identifier of the battle.
    pub(crate) async fn ask(
        self: &Arc<App>,
        question: &battle::Question<'_>,
        voter: &str,
    ) -> Result<String, Refusal> {
        lock(&self.allowances).take(voter, Instant::now()).map_err(Refusal::Wait)?;
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| Refusal::Busy)?;
        let drawn = battle::draw(&self.config, question, voter, now()).map_err(Refusal::Other)?;
        let (battle, sides) = drawn.ok_or(Refusal::Nobody)?;
        let id = battle.draw.battle.clone();
        // The promise is on disk before anybody sees it or an answer begins.
        self.store.begin(battle.clone()).await.map_err(Refusal::Store)?;
        let (done, watched) = watch::channel(false);
        lock(&self.running).insert(id.clone(), watched);
        let app = Arc::clone(self);
        tokio::spawn(async move {
            app.carry_out(battle, sides).await;
            let _ = done.send(true);
            drop(place);
        });
        Ok(id)
    }

    async fn carry_out(&self, battle: Battle, sides: Sides) {
        let id = battle.draw.battle.clone();
        let begun = Instant::now();
        let outcome = battle::answer(&self.config, &self.agent, &sides, &battle.prompt).await;
        // What took how long is told in coarse steps only, and failures as success.
        let grid = self.config.reveal.grid_milliseconds;
        let steps = (begun.elapsed().as_millis() as u64 / grid) + 1;
        tokio::time::sleep_until((begun + Duration::from_millis(steps * grid)).into()).await;
        let outcome = outcome.inspect_err(|why| {
            self.tell(&format!("battle {id}: {}", stemmata_audit::printable(why)));
        });
        let mut kept = self.keep(&id, &outcome).await;
        for _ in 0..RETRIES {
            let Err(error) = &kept else { break };
            self.tell(&format!("battle {id}: not kept: {error}"));
            tokio::time::sleep(RETRY).await;
            kept = self.keep(&id, &outcome).await;
        }
        lock(&self.running).remove(&id);
    }

    async fn keep(&self, id: &str, outcome: &Result<[Answered; 2], String>) -> Result<(), StoreError> {
        match outcome {
            Ok([a, b]) => {
                let texts = [a.kept.clone(), b.kept.clone()];
                self.store.ready(id, texts, [a.masked, b.masked], now()).await
            }
            Err(why) => self.store.fail(id, why.clone()).await,
        }
    }

    /// The battle once its answers are made, or failed, or the server stops.
    pub(crate) async fn finished(&self, id: &str, voter: &str) -> Result<Battle, StoreError> {
        let running = lock(&self.running).get(id).cloned();
        let (battle, _) = self.store.battle(id, voter).await?;
        if let (State::Asked, Some(mut running)) = (battle.state, running) {
            let mut stopped = self.stopped();
            tokio::select! {
                _ = running.wait_for(|done| *done) => {}
                _ = stopped.wait_for(|stopped| *stopped) => {}
            }
        }
        if battle.state == State::Asked && self.store.is_shared() && !lock(&self.running).contains_key(id) {
            self.elsewhere(id, voter).await?;
        }
        Ok(self.store.battle(id, voter).await?.0)
    }

    /// Waits for a battle that another server carries out.
    async fn elsewhere(&self, id: &str, voter: &str) -> Result<(), StoreError> {
        let mut stopped = self.stopped();
        for _ in 0..ELSEWHERE {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = stopped.wait_for(|stopped| *stopped) => break,
            }
            if self.store.battle(id, voter).await?.0.state != State::Asked {
                break;
            }
        }
        Ok(())
    }
}

/// A lock whose holder panicked guards counters that are still true.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
