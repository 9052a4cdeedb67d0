use super::*;
use crate::config::Medium;
use crate::draw::Draw;
use rusqlite::Connection;

fn file(path: &Path) -> Database {
    Database::new(path.to_owned(), None)
}

fn battle(voter: &str, gold: &str) -> Battle {
    let (a, b) = if gold.is_empty() { ("x", "y") } else { ("gold", "gold") };
    Battle {
        draw: Draw::new(a, b, gold, "a question").unwrap(),
        voter: voter.to_owned(),
        created: 5,
        medium: Medium::Text,
        prompt: "a question".to_owned(),
        state: State::Asked,
        ready: 0,
        answers: Default::default(),
        masked: [false; 2],
    }
}

fn ballot(battle: &str, voter: &str, winner: &'static str) -> Ballot {
    Ballot { battle: battle.to_owned(), voter: voter.to_owned(), winner, reasons: Vec::new(), now: 2000 }
}

/// Runs the work on a store in a new folder.
fn with<F: Future>(work: impl FnOnce(Store, PathBuf) -> F) -> F::Output {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("votes.sqlite");
    let (store, keeper) = open(&file(&path)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let out = runtime.block_on(work(store, path));
    keeper.finish();
    out
}

async fn ready(store: &Store, voter: &str, gold: &str) -> String {
    let battle = battle(voter, gold);
    let id = battle.draw.battle.clone();
    store.begin(battle).await.unwrap();
    store.ready(&id, ["left".to_owned(), "right".to_owned()], [false, true], 1000).await.unwrap();
    id
}

#[test]
fn a_vote_counts_once_for_its_own_voter_and_when_both_answers_are_there() {
    with(|store, path| async move {
        let asked = battle("v", "");
        let id = asked.draw.battle.clone();
        store.begin(asked).await.unwrap();
        assert_eq!(store.vote(ballot(&id, "v", "tie")).await, Err(StoreError::NotReady));
        store.ready(&id, ["l".to_owned(), "r".to_owned()], [false; 2], 1000).await.unwrap();
        assert_eq!(store.vote(ballot(&id, "w", "tie")).await, Err(StoreError::Missing));
        assert_eq!(store.battle(&id, "w").await.unwrap_err(), StoreError::Missing);
        let receipt = store.vote(ballot(&id, "v", "model_b")).await.unwrap();
        assert_eq!(store.vote(ballot(&id, "v", "model_a")).await, Err(StoreError::Voted));
        let (kept, again) = store.battle(&id, "v").await.unwrap();
        assert_eq!((kept.state, again), (State::Ready, Some(receipt.clone())));
        let failed = battle("v", "");
        let void = failed.draw.battle.clone();
        store.begin(failed).await.unwrap();
        store.fail(&void, "left: gone".to_owned()).await.unwrap();
        assert_eq!(store.vote(ballot(&void, "v", "tie")).await, Err(StoreError::NotReady));

        let second = ready(&store, "v", "").await;
        store.vote(ballot(&second, "v", "tie (bothbad)")).await.unwrap();
        let mut out = Vec::new();
        let exported = crate::export::export(&file(&path), crate::export::Voters::All, &mut out).unwrap();
        assert_eq!((exported.votes, exported.left_out), (2, 0));
        let verified = crate::chain::verify(&out[..], Some(&receipt.hash)).unwrap();
        assert_eq!(verified.votes, 2);
        let first = String::from_utf8(out).unwrap();
        assert!(first.contains("\"winner\":\"model_b\"") && first.contains("\"milliseconds\":1000"));
    });
}

#[test]
fn voters_who_miss_checks_are_flagged_and_left_out_on_demand_only() {
    with(|store, path| async move {
        for (voter, winner) in [("careful", "model_a"), ("careless", "model_b"), ("careless", "tie")] {
            let check = ready(&store, voter, "model_a").await;
            store.vote(ballot(&check, voter, winner)).await.unwrap();
            let plain = ready(&store, voter, "").await;
            store.vote(ballot(&plain, voter, "tie")).await.unwrap();
        }
        assert_eq!(store.checked("careful").await.unwrap(), Checked { seen: 1, missed: 0 });
        assert!(store.checked("careless").await.unwrap().is_flagged());
        let exported = |voters| crate::export::export(&file(&path), voters, &mut Vec::new()).unwrap();
        assert_eq!(exported(crate::export::Voters::All).votes, 6);
        let some = exported(crate::export::Voters::Unflagged);
        assert_eq!((some.votes, some.left_out, some.flagged), (2, 4, 1));
    });
}

#[test]
fn flags_need_two_misses_and_a_third() {
    let flagged = |missed, seen| Checked { seen, missed }.is_flagged();
    assert!(
        !flagged(0, 0) && !flagged(1, 1) && flagged(2, 2) && flagged(2, 5) && !flagged(2, 6) && flagged(3, 8)
    );
}

#[test]
fn a_full_disk_loses_only_what_was_not_acknowledged() {
    with(|store, _| async move {
        let id = ready(&store, "v", "").await;
        store.vote(ballot(&id, "v", "tie")).await.unwrap();
        let full = store
            .ask(|sql| {
                let pages = first(sql, "PRAGMA page_count", &[])?.unwrap()[0].whole();
                first(sql, &format!("PRAGMA max_page_count = {pages}"), &[])?;
                Ok(())
            })
            .await;
        assert_eq!(full, Ok(()));
        let mut large = battle("v", "");
        large.prompt = "x".repeat(1 << 20);
        assert_eq!(store.begin(large).await, Err(StoreError::Full));
        // Several at once: none is acknowledged that is not kept.
        let refused = battle("v", "");
        let (mut huge, refused_id) = (battle("v", ""), refused.draw.battle.clone());
        huge.prompt = "x".repeat(1 << 20);
        let (_, outcome) = tokio::join!(store.begin(huge), store.begin(refused));
        let there = store.battle(&refused_id, "v").await.is_ok();
        assert_eq!(outcome.is_ok(), there);
        store
            .ask(|sql| {
                first(sql, "PRAGMA max_page_count = 100000", &[])?;
                Ok(())
            })
            .await
            .unwrap();
        assert!(store.battle(&id, "v").await.unwrap().1.is_some(), "the vote is still there");
        let next = ready(&store, "v", "").await;
        assert_eq!(store.vote(ballot(&next, "v", "tie")).await.unwrap().seq, 2);
    });
}

#[test]
fn what_is_no_database_of_ours_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("votes.sqlite");
    let refusal = |path: &Path| open(&file(path)).err().unwrap().to_string();
    std::fs::write(
        &path,
        "no database, but long enough for a header of a hundred bytes, which is what is looked at first: so",
    )
    .unwrap();
    assert!(refusal(&path).contains("no SQLite database"), "{}", refusal(&path));
    let other = folder.path().join("other.sqlite");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE t (a TEXT)").unwrap();
    assert!(refusal(&other).contains("no votes of this program"), "{}", refusal(&other));
    assert!(open_to_read(&file(&other)).is_err());
    assert!(refusal(&folder.path().join("nowhere/votes.sqlite")).contains("nowhere"));
    let ours = folder.path().join("ours.sqlite");
    let (store, keeper) = open(&file(&ours)).unwrap();
    assert!(matches!(open(&file(&ours)), Err(WebError::Locked { .. })));
    drop(store);
    keeper.finish();
    let connection = Connection::open(&ours).unwrap();
    connection.execute_batch("UPDATE meta SET value = '99' WHERE name = 'schema'").unwrap();
    assert!(refusal(&ours).contains("version 99"));
}

#[test]
fn battles_that_a_stopped_server_left_are_void_and_a_changed_vote_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("votes.sqlite");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (store, keeper) = open(&file(&path)).unwrap();
    let left = battle("v", "");
    let id = left.draw.battle.clone();
    runtime.block_on(store.begin(left)).unwrap();
    let done = runtime.block_on(ready(&store, "v", ""));
    runtime.block_on(store.vote(ballot(&done, "v", "tie"))).unwrap();
    drop(store);
    keeper.finish();
    let (store, keeper) = open(&file(&path)).unwrap();
    assert_eq!(runtime.block_on(store.battle(&id, "v")).unwrap().0.state, State::Failed);
    drop(store);
    keeper.finish();
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch("UPDATE votes SET record = replace(record, '\"tie\"', '\"model_a\"')").unwrap();
    assert!(open(&file(&path)).err().unwrap().to_string().contains("was changed"));
}
