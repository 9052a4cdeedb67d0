//! Files beside the weights: configuration, tokenizer, card.
//!
//! What is wrong with one of them is a hazard and no error: the weights are there without it.

use crate::directory::Directory;
use crate::open::Assembly;
use std::fmt::Display;
use stemmata_formats::{ReadAt, parse_card, parse_config, parse_template, parse_templates, parse_tokenizer};
use stemmata_model::{Hazard, Level};

/// One kind of side file.
struct Side {
    name: &'static str,
    /// Bytes, at most.
    limit: u64,
    /// What is raised when it cannot be read.
    code: &'static str,
    level: Level,
}

const CONFIG: Side =
    Side { name: "config.json", limit: 16 << 20, code: "config-unreadable", level: Level::Warning };
/// Where GPTQ's first tools put what is now in the configuration.
const QUANTIZE: Side =
    Side { name: "quantize_config.json", limit: 1 << 20, code: "config-unreadable", level: Level::Warning };
const TOKENIZER: Side =
    Side { name: "tokenizer.json", limit: 64 << 20, code: "tokenizer-unreadable", level: Level::Note };
/// Where chat templates are: in the tokenizer's configuration, or in files of their own.
const TEMPLATES: [Side; 3] = [
    Side { name: "tokenizer_config.json", limit: 16 << 20, code: "config-unreadable", level: Level::Note },
    Side { name: "chat_template.json", limit: 4 << 20, code: "config-unreadable", level: Level::Note },
    Side { name: "chat_template.jinja", limit: 4 << 20, code: "config-unreadable", level: Level::Note },
];
/// A file beside the weights may take one part in so many of the budget.
const SHARE: u64 = 16;
const CARD: Side = Side { name: "README.md", limit: 4 << 20, code: "card-unreadable", level: Level::Warning };

impl Assembly<'_> {
    /// Reads what lies in `directory` beside the weights. What the weight files say of themselves comes first.
    pub(crate) fn side_files(&mut self, directory: &Directory) {
        if let Some(bytes) = self.side_bytes(directory, &CONFIG) {
            match parse_config(&bytes, CONFIG.name) {
                Ok((config, hazards)) => {
                    self.hazards.extend(hazards);
                    if self.config.entries.is_empty() {
                        self.config = config;
                    }
                }
                Err(error) => self.unreadable(&CONFIG, error),
            }
        }
        if !self.config.entries.keys().any(|key| key.starts_with("quantization_config."))
            && let Some(bytes) = self.side_bytes(directory, &QUANTIZE)
        {
            match parse_config(&bytes, QUANTIZE.name) {
                Ok((config, hazards)) => {
                    self.hazards.extend(hazards);
                    let entries = config.entries.into_iter();
                    let entries = entries.map(|(key, value)| (format!("quantization_config.{key}"), value));
                    self.config.entries.extend(entries);
                }
                Err(error) => self.unreadable(&QUANTIZE, error),
            }
        }
        if self.tokenizer.is_none()
            && let Some(bytes) = self.side_bytes(directory, &TOKENIZER)
        {
            match parse_tokenizer(&bytes, TOKENIZER.name) {
                Ok(tokenizer) => self.tokenizer = Some(tokenizer),
                Err(error) => self.unreadable(&TOKENIZER, error),
            }
        }
        for side in &TEMPLATES {
            // Over a network they are worth less than what they cost: a test on weights needs none of them.
            if directory.is_remote() {
                continue;
            }
            let Some(bytes) = self.side_bytes(directory, side) else { continue };
            let found = match side.name.ends_with(".json") {
                true => parse_templates(&bytes, side.name),
                false => parse_template(&bytes, side.name),
            };
            match found {
                Ok(hazards) => self.hazards.extend(hazards),
                Err(error) => self.unreadable(side, error),
            }
        }
        if let Some(bytes) = self.side_bytes(directory, &CARD) {
            if let Err(error) = std::str::from_utf8(&bytes) {
                let at = error.valid_up_to();
                self.unreadable(&CARD, format_args!("byte {at} is not UTF-8; what is text was read"));
            }
            let card = parse_card(&bytes);
            if self.declared.base_model.is_empty() {
                self.declared.base_model = card.base_model;
                self.declared.base_model_relation = card.base_model_relation;
            }
            self.declared.license = self.declared.license.take().or(card.license);
            self.declared.name = self.declared.name.take().or(card.name);
        }
    }

    /// The bytes of a side file; nothing when it is absent, cannot be read, or would take too much of what may be fetched.
    fn side_bytes(&mut self, directory: &Directory, side: &Side) -> Option<Vec<u8>> {
        let share = self.options.budget.map_or(u64::MAX, |budget| budget / SHARE);
        if directory.is_remote() && share < side.limit {
            match directory.file(side.name, self.options.backend) {
                Ok(Some(file)) if file.len() > share => {
                    let message = format!("it has {} bytes, more than the budget allows for it", file.len());
                    let (code, level) = ("not-fetched", Level::Note);
                    self.hazards.push(Hazard { code, level, subject: side.name.to_owned(), message });
                    return None;
                }
                _ => {}
            }
        }
        match directory.read(side.name, side.limit) {
            Ok(found) => found.map(|(bytes, id)| {
                self.read.extend(id);
                self.overhead += bytes.len() as u64;
                bytes
            }),
            Err(error) => {
                self.unreadable(side, error);
                None
            }
        }
    }

    fn unreadable(&mut self, side: &Side, why: impl Display) {
        let (code, level) = (side.code, side.level);
        self.hazards.push(Hazard { code, level, subject: side.name.to_owned(), message: why.to_string() });
    }
}
