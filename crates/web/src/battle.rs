//! The life of a question: drawn, promised, answered by both, shown in step, judged once.

use crate::config::{Answers, Check, Config, Medium};
use crate::draw::{self, Draw, GOLD};
use crate::error::WebError;
use crate::random;
use crate::recorded::Content;
use crate::upstream::{self, Bounds};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How far a battle is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Answers are being made.
    Asked,
    /// Both answers are there.
    Ready,
    /// One answer could not be made; the draw is void.
    Failed,
}

/// A question and its two answers.
#[derive(Clone, Debug)]
pub(crate) struct Battle {
    pub(crate) draw: Draw,
    /// Keyed hash.
    pub(crate) voter: String,
    /// Milliseconds since 1970.
    pub(crate) created: i64,
    pub(crate) medium: Medium,
    pub(crate) prompt: String,
    pub(crate) state: State,
    /// When both answers were there, milliseconds since 1970; 0 before.
    pub(crate) ready: i64,
    /// Texts as shown; for other media where they are found again, see [`media`].
    pub(crate) answers: [String; 2],
    /// Whether words were covered.
    pub(crate) masked: [bool; 2],
}

/// Where an answer will come from.
#[derive(Clone)]
enum Source {
    Contestant { number: usize, prompt: Option<String> },
    Check { number: usize, better: bool },
}

/// Who answers on the left and on the right.
#[derive(Clone)]
pub(crate) struct Sides([Source; 2]);

/// What was asked.
pub(crate) struct Question<'a> {
    pub(crate) medium: Medium,
    /// Identifier of a listed prompt; nothing where it was typed.
    pub(crate) id: Option<&'a str>,
    pub(crate) text: &'a str,
}

/// Draws who answers. Nothing where fewer than two can.
pub(crate) fn draw(
    config: &Config,
    question: &Question<'_>,
    voter: &str,
    now: i64,
) -> Result<Option<(Battle, Sides)>, WebError> {
    let battle = |draw: Draw| Battle {
        draw,
        voter: voter.to_owned(),
        created: now,
        medium: question.medium,
        prompt: question.text.to_owned(),
        state: State::Asked,
        ready: 0,
        answers: Default::default(),
        masked: [false; 2],
    };
    // Only where the prompt was listed: a check is a pair of recorded answers to the very question that was asked, so that nobody can
    // tell it from any other battle.
    let fits = |check: &Check| Some(check.prompt.as_str()) == question.id;
    let fitting: Vec<usize> = (0..config.checks.len()).filter(|i| fits(&config.checks[*i])).collect();
    if !fitting.is_empty() && random::happens(config.gold_share)? {
        let number = fitting[random::below(fitting.len() as u64)? as usize];
        let left = random::below(2)? == 0;
        let gold = if left { "model_a" } else { "model_b" };
        let draw = Draw::new(GOLD, GOLD, gold, question.text)?;
        let sides = [left, !left].map(|better| Source::Check { number, better });
        return Ok(Some((battle(draw), Sides(sides))));
    }
    let able = config.answering(question.medium, question.id);
    if able.len() < 2 {
        return Ok(None);
    }
    let (a, b) = draw::pair(able.len())?;
    let of = |place: usize| able[place];
    let name = |place: usize| config.contestants[of(place)].name.as_str();
    let draw = Draw::new(name(a), name(b), "", question.text)?;
    let prompt = question.id.map(str::to_owned);
    let sides = [a, b].map(|place| Source::Contestant { number: of(place), prompt: prompt.clone() });
    Ok(Some((battle(draw), Sides(sides))))
}

/// An answer as it will be kept: text, or where the media lie.
pub(crate) struct Answered {
    pub(crate) kept: String,
    pub(crate) masked: bool,
}

/// Makes both answers, each on a thread of its own; further attempts where an endpoint fails.
///
/// # Errors
/// Which side failed and why, for the operator.
pub(crate) async fn answer(
    config: &Arc<Config>,
    agent: &ureq::Agent,
    sides: &Sides,
    prompt: &str,
) -> Result<[Answered; 2], String> {
    let bounds = Bounds {
        deadline: Instant::now() + Duration::from_secs(config.limits.answer_seconds),
        characters: config.limits.answer_characters,
    };
    let ask = |side: &Source| {
        let (config, agent, side, prompt) =
            (Arc::clone(config), agent.clone(), side.clone(), prompt.to_owned());
        tokio::task::spawn_blocking(move || one(&config, &agent, &side, &prompt, bounds))
    };
    let [left, right] = &sides.0;
    let (left, right) = (ask(left), ask(right));
    // Both are waited for, whatever becomes of the first.
    let (left, right) = (left.await, right.await);
    let done = |side: &str, outcome: Result<Result<Answered, String>, tokio::task::JoinError>| match outcome {
        Ok(answered) => answered.map_err(|why| format!("{side}: {why}")),
        Err(_) => Err(format!("{side}: the thread ended early")),
    };
    Ok([done("left", left)?, done("right", right)?])
}

fn one(
    config: &Config,
    agent: &ureq::Agent,
    side: &Source,
    prompt: &str,
    bounds: Bounds,
) -> Result<Answered, String> {
    let (text, place) = match side {
        Source::Contestant { number, prompt: id } => {
            let contestant = &config.contestants[*number];
            match (&contestant.answers, id) {
                (Answers::Endpoint(endpoint), _) => {
                    let mut last = String::new();
                    let mut answer = None;
                    for attempt in 0..config.limits.attempts {
                        // Endpoints that are overloaded are given a moment.
                        std::thread::sleep(Duration::from_millis(250) * attempt);
                        match upstream::ask(agent, endpoint, &config.sampling, prompt, bounds) {
                            Ok(text) => {
                                answer = Some(text);
                                break;
                            }
                            Err(why) => last = why,
                        }
                    }
                    let named = || format!("`{}`: {last}", contestant.name);
                    (Content::Text(answer.ok_or_else(named)?), String::new())
                }
                (Answers::Recorded(recordings), Some(id)) => {
                    let recording = recordings.get(id).ok_or("the recorded answer is gone")?;
                    (recording.content.clone(), format!("{}/{id}", contestant.name))
                }
                (Answers::Recorded(_), None) => {
                    return Err("a recorded answer to no listed prompt".to_owned());
                }
            }
        }
        Source::Check { number, better } => {
            let check = &config.checks[*number];
            let side = if *better { "better" } else { "worse" };
            (content(check, *better), format!("{GOLD}/{number}/{side}"))
        }
    };
    Ok(match text {
        Content::Text(text) => {
            let cut: String = text.trim().chars().take(bounds.characters).collect();
            let (kept, masked) = config.mask.cover(&cut);
            Answered { kept, masked }
        }
        Content::Media(..) => Answered { kept: place, masked: false },
    })
}

fn content(check: &Check, better: bool) -> Content {
    let recording = if better { &check.better } else { &check.worse };
    recording.content.clone()
}

/// The image or video that was kept under this place.
pub(crate) fn media(config: &Config, place: &str) -> Option<(Arc<[u8]>, &'static str)> {
    let found = match place.strip_prefix(GOLD).and_then(|rest| rest.strip_prefix('/')) {
        Some(rest) => {
            let (number, side) = rest.split_once('/')?;
            content(config.checks.get(number.parse::<usize>().ok()?)?, side == "better")
        }
        None => {
            let (name, id) = place.rsplit_once('/')?;
            let contestant = config.contestants.iter().find(|c| c.name == name)?;
            let Answers::Recorded(recordings) = &contestant.answers else { return None };
            recordings.get(id)?.content.clone()
        }
    };
    match found {
        Content::Media(bytes, kind) => Some((bytes, kind)),
        Content::Text(_) => None,
    }
}

/// Both texts cut into steps of equally many characters, from `from` on.
pub(crate) fn steps(answers: &[String; 2], from: usize, step: usize) -> Vec<[String; 2]> {
    let characters = answers.each_ref().map(|text| text.chars().collect::<Vec<char>>());
    let longest = characters[0].len().max(characters[1].len());
    let cut = |text: &[char], at: usize| text.iter().skip(at).take(step).collect::<String>();
    let starts = (from.min(longest)..longest).step_by(step.max(1));
    starts.map(|at| [cut(&characters[0], at), cut(&characters[1], at)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_advance_by_as_many_characters() {
        let answers = ["héllo wörld".to_owned(), "ab".to_owned()];
        let all = steps(&answers, 0, 4);
        assert_eq!(all.len(), 3);
        assert_eq!(all[0], ["héll".to_owned(), "ab".to_owned()]);
        assert_eq!(all[2], ["rld".to_owned(), String::new()]);
        for (side, whole) in answers.iter().enumerate() {
            assert_eq!(&all.iter().map(|step| step[side].as_str()).collect::<String>(), whole);
        }
        assert_eq!(steps(&answers, 8, 4), all[2..]);
        assert!(steps(&answers, 99, 4).is_empty());
        assert!(steps(&Default::default(), 0, 4).is_empty());
    }
}
