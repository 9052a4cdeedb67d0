//! What is judged, by which rules? Read from a TOML file; an unknown key is an error.

use crate::error::WebError;
use crate::mask::Mask;
use crate::recorded::{self, Recording};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use stemmata_audit::printable;

/// What answers are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Medium {
    /// Text.
    #[default]
    Text,
    /// PNG or JPEG.
    Image,
    /// MP4.
    Video,
}

impl Medium {
    /// All media.
    pub const ALL: [Medium; 3] = [Medium::Text, Medium::Image, Medium::Video];

    /// As in the configuration, the database and exports.
    pub fn name(self) -> &'static str {
        match self {
            Medium::Text => "text",
            Medium::Image => "image",
            Medium::Video => "video",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Medium> {
        Medium::ALL.into_iter().find(|medium| medium.name() == name)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default = "title")]
    title: String,
    #[serde(default)]
    secure_cookies: bool,
    #[serde(default)]
    identity_words: Vec<String>,
    proxy: Option<String>,
    #[serde(default)]
    sampling: Sampling,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    reveal: Reveal,
    #[serde(default)]
    gold: Gold,
    #[serde(default)]
    contestant: Vec<ContestantFile>,
    #[serde(default)]
    prompt: Vec<PromptFile>,
    #[serde(default)]
    check: Vec<CheckFile>,
}

/// How every endpoint is asked; the same for all.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sampling {
    /// Tokens of an answer at most.
    pub max_tokens: u32,
    /// Sent as it is.
    pub temperature: f64,
    /// Sent as it is.
    pub top_p: f64,
    /// Sent before the question, if not empty.
    pub system: String,
}

impl Default for Sampling {
    fn default() -> Sampling {
        Sampling { max_tokens: 1024, temperature: 0.7, top_p: 1.0, system: String::new() }
    }
}

/// Bounds on what voters and endpoints may cost.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Characters of a prompt.
    pub prompt_characters: usize,
    /// Characters of an answer; more are cut on both sides alike.
    pub answer_characters: usize,
    /// Seconds in which an answer must be complete, further attempts included.
    pub answer_seconds: u64,
    /// How often an endpoint that fails is asked, in all.
    pub attempts: u32,
    /// Battles that one voter may begin in a minute.
    pub voter_battles_per_minute: u32,
    /// Battles that all voters together may begin in a minute.
    pub battles_per_minute: u32,
    /// Battles whose answers are being made at the same time.
    pub battles_at_once: usize,
    /// Open connections.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            prompt_characters: 4000,
            answer_characters: 20_000,
            answer_seconds: 120,
            attempts: 3,
            voter_battles_per_minute: 6,
            battles_per_minute: 300,
            battles_at_once: 64,
            connections: 1024,
        }
    }
}

/// How answers are shown.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reveal {
    /// Characters per second, the same on both sides.
    pub characters_per_second: u32,
    /// Answers begin to appear at whole multiples of this many milliseconds after the question, never between.
    pub grid_milliseconds: u64,
}

impl Default for Reveal {
    fn default() -> Reveal {
        Reveal { characters_per_second: 600, grid_milliseconds: 2000 }
    }
}

/// How often a battle is a check.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gold {
    /// Share of battles on a listed prompt with checks that are one of them.
    pub share: f64,
}

impl Default for Gold {
    fn default() -> Gold {
        Gold { share: 0.05 }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ContestantFile {
    name: String,
    #[serde(default)]
    identity_words: Vec<String>,
    url: Option<String>,
    model: Option<String>,
    key_env: Option<String>,
    directory: Option<PathBuf>,
    medium: Option<Medium>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PromptFile {
    id: String,
    text: String,
    #[serde(default)]
    medium: Medium,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CheckFile {
    prompt: String,
    better: PathBuf,
    worse: PathBuf,
}

/// An OpenAI-compatible endpoint.
pub(crate) struct Endpoint {
    pub(crate) url: String,
    pub(crate) model: String,
    /// Sent as a bearer token.
    pub(crate) key: Option<String>,
}

/// Where answers come from.
pub(crate) enum Answers {
    /// Any prompt.
    Endpoint(Endpoint),
    /// Listed prompts, by their identifiers.
    Recorded(BTreeMap<String, Recording>),
}

/// Somebody who answers.
pub(crate) struct Contestant {
    pub(crate) name: String,
    pub(crate) medium: Medium,
    pub(crate) answers: Answers,
}

/// A listed prompt.
pub(crate) struct Prompt {
    pub(crate) id: String,
    pub(crate) text: String,
    pub(crate) medium: Medium,
}

/// A pair of answers of which it is known which one is better.
pub(crate) struct Check {
    /// Identifier of a listed prompt.
    pub(crate) prompt: String,
    pub(crate) better: Recording,
    pub(crate) worse: Recording,
}

/// A configuration that was checked.
pub struct Config {
    pub(crate) title: String,
    pub(crate) secure_cookies: bool,
    pub(crate) proxy: Option<String>,
    pub(crate) sampling: Sampling,
    pub(crate) limits: Limits,
    pub(crate) reveal: Reveal,
    pub(crate) gold_share: f64,
    pub(crate) contestants: Vec<Contestant>,
    pub(crate) prompts: Vec<Prompt>,
    pub(crate) checks: Vec<Check>,
    pub(crate) mask: Mask,
}

fn title() -> String {
    "Which answer is better?".to_owned()
}

impl Config {
    /// Reads and checks a configuration. Paths in it start at its folder; `variable` gives the values of environment variables.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn open(path: &Path, variable: &dyn Fn(&str) -> Option<String>) -> Result<Config, WebError> {
        let shown = printable(&path.display().to_string());
        let text = std::fs::read_to_string(path)
            .map_err(|source| WebError::ConfigFile { path: shown.clone(), source })?;
        let folder = path.parent().unwrap_or(Path::new("."));
        Config::parse(&text, folder, variable).map_err(|error| match error {
            Refused::What(what) => WebError::Config { path: shown, what },
            Refused::Other(error) => error,
        })
    }

    fn parse(
        text: &str,
        folder: &Path,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Config, Refused> {
        let file: File = toml::from_str(text).map_err(|error| Refused::What(place(text, &error)))?;
        check_numbers(&file)?;
        let mut contestants: Vec<Contestant> = Vec::new();
        let mut words = file.identity_words;
        let mut prompts: Vec<Prompt> = Vec::new();
        for prompt in file.prompt {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            if prompt.id.is_empty() || prompt.id.len() > 64 || !prompt.id.chars().all(plain) {
                return refuse(format!(
                    "the prompt id `{}` is not made of 1 to 64 letters, digits, `-` and `_`",
                    printable(&prompt.id)
                ));
            }
            if prompts.iter().any(|other| other.id == prompt.id) {
                return refuse(format!("two prompts have the id `{}`", prompt.id));
            }
            if prompt.text.trim().is_empty() {
                return refuse(format!("the prompt `{}` is empty", prompt.id));
            }
            prompts.push(Prompt { id: prompt.id, text: prompt.text, medium: prompt.medium });
        }
        for one in file.contestant {
            let name = one.name.trim().to_owned();
            let shown = printable(&name);
            let control = name.chars().any(char::is_control);
            if name.is_empty()
                || control
                || name.len() > 200
                || name.split('/').next() == Some(crate::draw::GOLD)
            {
                return refuse(format!("`{shown}` is no name for a contestant"));
            }
            if contestants.iter().any(|other| other.name == name) {
                return refuse(format!("two contestants are called `{shown}`"));
            }
            words.push(name.clone());
            words.extend(one.identity_words);
            let (medium, answers) = match (one.url, one.directory) {
                (Some(url), None) => {
                    if one.medium.unwrap_or_default() != Medium::Text {
                        return refuse(format!("`{shown}`: endpoints answer with text only"));
                    }
                    if !(url.starts_with("http://") || url.starts_with("https://")) {
                        return refuse(format!("`{shown}`: `url` begins with neither http:// nor https://"));
                    }
                    let Some(model) = one.model else {
                        return refuse(format!("`{shown}`: an endpoint needs `model`"));
                    };
                    words.push(model.clone());
                    let key = match one.key_env {
                        None => None,
                        Some(name) => Some(variable(&name).ok_or_else(|| {
                            Refused::What(format!(
                                "`{shown}`: the environment variable `{}` is not set",
                                printable(&name)
                            ))
                        })?),
                    };
                    (Medium::Text, Answers::Endpoint(Endpoint { url, model, key }))
                }
                (None, Some(directory)) => {
                    if one.model.is_some() || one.key_env.is_some() {
                        return refuse(format!("`{shown}`: `model` and `key_env` go with `url`"));
                    }
                    let medium = one.medium.unwrap_or_default();
                    let ids = prompts.iter().filter(|p| p.medium == medium).map(|p| p.id.as_str());
                    let recordings = recorded::folder(&folder.join(directory), ids, medium)?;
                    if recordings.is_empty() {
                        return refuse(format!("`{shown}`: its directory answers no listed prompt"));
                    }
                    (medium, Answers::Recorded(recordings))
                }
                _ => return refuse(format!("`{shown}` needs either `url` or `directory`")),
            };
            contestants.push(Contestant { name, medium, answers });
        }
        let mut checks = Vec::new();
        for check in file.check {
            let Some(prompt) = prompts.iter().find(|prompt| prompt.id == check.prompt) else {
                return refuse(format!(
                    "a check belongs to the prompt `{}`, which is not listed",
                    printable(&check.prompt)
                ));
            };
            checks.push(Check {
                better: recorded::file(&folder.join(check.better), prompt.medium)?,
                worse: recorded::file(&folder.join(check.worse), prompt.medium)?,
                prompt: check.prompt,
            });
        }
        let mask = Mask::new(&words);
        for contestant in &contestants {
            let Answers::Recorded(recordings) = &contestant.answers else { continue };
            recordings.values().try_for_each(|recording| recording.check(&mask))?;
        }
        checks.iter().flat_map(|c| [&c.better, &c.worse]).try_for_each(|recording| recording.check(&mask))?;
        let config = Config {
            title: file.title,
            secure_cookies: file.secure_cookies,
            proxy: file.proxy,
            sampling: file.sampling,
            limits: file.limits,
            reveal: file.reveal,
            gold_share: file.gold.share,
            contestants,
            prompts,
            checks,
            mask,
        };
        config.check_pairs()?;
        Ok(config)
    }

    /// Who can answer this prompt; without an identifier it was typed.
    pub(crate) fn answering(&self, medium: Medium, id: Option<&str>) -> Vec<usize> {
        let able = |c: &Contestant| match (&c.answers, id) {
            (Answers::Endpoint(_), _) => true,
            (Answers::Recorded(recordings), Some(id)) => recordings.contains_key(id),
            (Answers::Recorded(_), None) => false,
        };
        let all = self.contestants.iter().enumerate();
        all.filter(|(_, c)| c.medium == medium && able(c)).map(|(i, _)| i).collect()
    }

    /// Whether prompts can be typed.
    pub(crate) fn is_open(&self) -> bool {
        self.answering(Medium::Text, None).len() >= 2
    }

    fn check_pairs(&self) -> Result<(), Refused> {
        if self.contestants.len() < 2 {
            return refuse("at least two contestants are needed".to_owned());
        }
        for prompt in &self.prompts {
            if self.answering(prompt.medium, Some(&prompt.id)).len() < 2 {
                return refuse(format!(
                    "the prompt `{}` is answered by fewer than two contestants",
                    prompt.id
                ));
            }
        }
        if !self.is_open() && self.prompts.is_empty() {
            return refuse("there is nothing to ask: list prompts, or two endpoints".to_owned());
        }
        Ok(())
    }
}

fn check_numbers(file: &File) -> Result<(), Refused> {
    let Limits { prompt_characters, answer_characters, .. } = file.limits;
    let within = |name: &str, value: u64, least: u64, most: u64| match (least..=most).contains(&value) {
        true => Ok(()),
        false => refuse(format!("`{name}` is {value}; it must lie between {least} and {most}")),
    };
    within("limits.prompt_characters", prompt_characters as u64, 1, 1_000_000)?;
    within("limits.answer_characters", answer_characters as u64, 1, 1_000_000)?;
    within("limits.answer_seconds", file.limits.answer_seconds, 1, 3600)?;
    within("limits.attempts", file.limits.attempts.into(), 1, 10)?;
    within("limits.voter_battles_per_minute", file.limits.voter_battles_per_minute.into(), 1, 1_000_000)?;
    within("limits.battles_per_minute", file.limits.battles_per_minute.into(), 1, 1_000_000)?;
    // Two threads answer each battle, and the runtime lends 512.
    within("limits.battles_at_once", file.limits.battles_at_once as u64, 1, 250)?;
    within("limits.connections", file.limits.connections as u64, 1, 100_000)?;
    within("reveal.characters_per_second", file.reveal.characters_per_second.into(), 10, 1_000_000)?;
    within("reveal.grid_milliseconds", file.reveal.grid_milliseconds, 1, 60_000)?;
    within("sampling.max_tokens", file.sampling.max_tokens.into(), 1, 1_000_000)?;
    let finite = file.sampling.temperature.is_finite() && file.sampling.top_p.is_finite();
    if !finite || !(0.0..=1.0).contains(&file.gold.share) {
        return refuse("`gold.share` lies between 0 and 1, and `sampling` holds plain numbers".to_owned());
    }
    Ok(())
}

enum Refused {
    What(String),
    Other(WebError),
}

impl From<WebError> for Refused {
    fn from(error: WebError) -> Refused {
        Refused::Other(error)
    }
}

fn refuse<T>(what: String) -> Result<T, Refused> {
    Err(Refused::What(what))
}

/// The message of a TOML error with its line.
fn place(text: &str, error: &toml::de::Error) -> String {
    let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    let message = printable(error.message());
    line.map_or_else(|| message.clone(), |line| format!("line {line}: {message}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        match Config::parse(text, Path::new("."), &|name| (name == "KEY").then(|| "secret".to_owned())) {
            Ok(_) => String::new(),
            Err(Refused::What(what)) => what,
            Err(Refused::Other(error)) => error.to_string(),
        }
    }

    const TWO: &str = "[[contestant]]\nname = 'one'\nurl = 'http://127.0.0.1:1/v1'\nmodel = 'm'\nkey_env = 'KEY'\n\
        [[contestant]]\nname = 'two'\nurl = 'https://x.example/v1'\nmodel = 'm'\n";

    #[test]
    fn two_endpoints_are_enough() {
        assert_eq!(refusal(TWO), "");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (change, wanted) in [
            (("", ""), ""),
            (("'one'", "'two'"), "two contestants are called `two`"),
            (("key_env = 'KEY'", "key_env = 'NO'"), "variable `NO` is not set"),
            (("http://127", "ftp://127"), "neither http"),
            (("key_env = 'KEY'", "surprise = 1"), "line 5: unknown field `surprise`"),
            (("'one'", "'gold'"), "no name for a contestant"),
            (("url = 'http://127.0.0.1:1/v1'\n", ""), "needs either `url` or `directory`"),
            (
                ("url = 'http://127.0.0.1:1/v1'\nmodel = 'm'\nkey_env = 'KEY'", "directory = 'nowhere'"),
                "nowhere",
            ),
        ] {
            let said = refusal(&TWO.replacen(change.0, change.1, 1));
            assert!(said.contains(wanted) && said.is_empty() == wanted.is_empty(), "{said} / {wanted}");
        }
        assert!(refusal("").contains("at least two"));
        assert!(refusal(&format!("{TWO}[limits]\nattempts = 0\n")).contains("limits.attempts"));
        assert!(refusal(&format!("{TWO}[gold]\nshare = nan\n")).contains("gold.share"));
        let prompt = "[[prompt]]\nid = 'a b'\ntext = 'x'\n";
        assert!(refusal(&format!("{TWO}{prompt}")).contains("`a b`"));
        assert!(
            refusal(&format!("{TWO}[[check]]\nprompt = 'x'\nbetter = 'b'\nworse = 'w'\n"))
                .contains("not listed")
        );
        let image = "[[prompt]]\nid = 'a'\ntext = 'x'\nmedium = 'image'\n";
        assert!(refusal(&format!("{TWO}{image}")).contains("fewer than two"));
    }
}
