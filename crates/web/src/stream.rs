//! The reveal: server-sent events that show both answers in step.

use crate::app::App;
use crate::battle::{State, steps};
use crate::keys::Voter;
use futures_util::stream::{self, Stream};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// While nothing can be shown, a line that says so, so that nobody takes the connection for dead.
const ALIVE: Duration = Duration::from_secs(10);

enum Stage {
    Waiting,
    Showing(VecDeque<String>),
    Over,
}

/// Events from the character `from` on.
pub(crate) fn reveal(
    app: Arc<App>,
    id: String,
    voter: Voter,
    from: usize,
    step: Duration,
) -> impl Stream<Item = Result<String, Infallible>> {
    stream::unfold(Stage::Waiting, move |mut stage| {
        let (app, id, voter) = (Arc::clone(&app), id.clone(), voter.clone());
        async move {
            loop {
                match stage {
                    Stage::Waiting => {
                        let finished = app.finished(&id, &voter.hash);
                        let Ok(outcome) = tokio::time::timeout(ALIVE, finished).await else {
                            return Some((Ok(": waiting\n\n".to_owned()), Stage::Waiting));
                        };
                        let speed = app.config.reveal.characters_per_second as usize;
                        stage = match outcome {
                            Ok(battle) if battle.state == State::Ready => {
                                let texts = match battle.medium {
                                    crate::config::Medium::Text => battle.answers,
                                    _ => Default::default(),
                                };
                                let each = (speed * step.as_millis() as usize / 1000).max(1);
                                Stage::Showing(events(&texts, from, each))
                            }
                            // The server stops, or could not keep the answers: the browser asks again later.
                            Ok(battle) if battle.state == State::Asked => return None,
                            // The page says the rest when it is loaded again.
                            _ => Stage::Showing(VecDeque::from([last("over")])),
                        };
                    }
                    Stage::Showing(mut left) => {
                        let event = left.pop_front()?;
                        let next = if left.is_empty() { Stage::Over } else { Stage::Showing(left) };
                        let mut stopped = app.stopped();
                        tokio::select! {
                            () = tokio::time::sleep(step) => {}
                            _ = stopped.wait_for(|stopped| *stopped) => return None,
                        }
                        return Some((Ok(event), next));
                    }
                    Stage::Over => return None,
                }
            }
        }
    })
}

fn events(texts: &[String; 2], from: usize, each: usize) -> VecDeque<String> {
    let shown = steps(texts, from, each).into_iter().enumerate();
    let mut out: VecDeque<String> = shown
        .map(|(i, [a, b])| {
            let data = serde_json::json!({ "a": a, "b": b });
            format!("id: {}\nevent: piece\ndata: {data}\n\n", from + (i + 1) * each)
        })
        .collect();
    out.push_back(last("done"));
    out
}

fn last(name: &str) -> String {
    format!("event: {name}\ndata: {{}}\n\n")
}
