//! A synthetic corpus: a probabilistic grammar of stories, sums, code and dialogue.
//!
//! Each register has local structure (agreement, spelling) and some that reaches across a sentence (who holds
//! what, the result of a sum, a variable's name), so that a trained model stands well below the unigram entropy.

use std::fmt::Write;

use super::random::Random;

/// How often each register is drawn, relative to the others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mixture {
    pub(crate) stories: f64,
    pub(crate) sums: f64,
    pub(crate) code: f64,
    pub(crate) dialogue: f64,
    pub(crate) ledgers: f64,
}

impl Mixture {
    /// What base models read. No ledgers: they are news to a fine-tune.
    pub(crate) const BASE: Self = Self { stories: 4.0, sums: 2.0, code: 2.0, dialogue: 2.0, ledgers: 0.0 };
    /// What a fine-tune reads.
    pub(crate) const FINE_TUNE: Self =
        Self { stories: 0.5, sums: 0.5, code: 3.0, dialogue: 3.0, ledgers: 3.0 };

    fn weights(self) -> [f64; 5] {
        [self.stories, self.sums, self.code, self.dialogue, self.ledgers]
    }
}

/// At least this many bytes of text, ASCII only, one passage per line or block.
pub(crate) fn write_corpus(random: &mut Random, mixture: Mixture, bytes: usize) -> String {
    let registers = [story, sum, code, dialogue, ledger];
    let mut text = String::with_capacity(bytes + 512);
    while text.len() < bytes {
        registers[random.weighted(&mixture.weights())](random, &mut text);
    }
    text
}

const PEOPLE: &[&str] =
    &["Anna", "Bert", "Clara", "Dimitri", "Elif", "Farid", "Greta", "Hiro", "Ines", "Jonas"];
const PLACES: &[&str] =
    &["kitchen", "garden", "library", "harbour", "station", "market", "tower", "workshop", "orchard"];
const THINGS: &[&str] =
    &["lamp", "letter", "bicycle", "violin", "basket", "map", "clock", "kettle", "notebook", "ladder"];
const QUALITIES: &[&str] =
    &["old", "heavy", "bright", "broken", "small", "green", "borrowed", "famous", "quiet"];
const TAKES: &[&str] = &["carries", "repairs", "finds", "paints", "sells", "hides", "admires"];
const MOVES: &[&str] = &["walks", "returns", "runs", "hurries", "comes back"];
const TIMES: &[&str] = &["In the morning", "After lunch", "At night", "On Sunday", "Before the storm"];
const VARIABLES: &[&str] = &["total", "index", "buffer", "limit", "offset", "count", "width"];
const TYPES: &[&str] = &["u32", "usize", "f64", "bool", "String"];
const MONTHS: &[&str] = &["January", "March", "May", "July", "September", "November"];

/// A person, a place and a thing that stay the same over three sentences.
fn story(random: &mut Random, text: &mut String) {
    let (person, place, thing) = (random.pick(PEOPLE), random.pick(PLACES), random.pick(THINGS));
    let (time, quality) = (random.pick(TIMES), random.pick(QUALITIES));
    let (take, go) = (random.pick(TAKES), random.pick(MOVES));
    let _ = write!(text, "{time} {person} {go} to the {place}. ");
    let _ = write!(text, "There {person} {take} the {quality} {thing}. ");
    if random.below(2) == 0 {
        let _ = write!(text, "The {thing} is {quality}, and so it stays in the {place}. ");
    }
    text.push('\n');
}

/// A sum or product that is right.
fn sum(random: &mut Random, text: &mut String) {
    for _ in 0..3 {
        let (a, b) = (random.below(50), random.below(50));
        let _ = match random.below(3) {
            0 => write!(text, "{a} + {b} = {}; ", a + b),
            1 => write!(text, "{} - {b} = {a}; ", a + b),
            _ => write!(text, "{} * {} = {}; ", a % 10, b % 10, (a % 10) * (b % 10)),
        };
    }
    text.push('\n');
}

/// A small function over one variable.
fn code(random: &mut Random, text: &mut String) {
    let (name, other, kind) = (random.pick(VARIABLES), random.pick(VARIABLES), random.pick(TYPES));
    let number = random.below(10) * 8;
    let _ = writeln!(text, "fn next_{name}({other}: {kind}) -> {kind} {{");
    let _ = writeln!(text, "    let {name} = {other} + {number};");
    if random.below(2) == 0 {
        let _ = writeln!(text, "    if {name} > {number} {{ return {other}; }}");
    }
    let _ = writeln!(text, "    {name}\n}}");
}

/// A question and an answer that repeats what was asked.
fn dialogue(random: &mut Random, text: &mut String) {
    let (asks, answers) = (random.pick(PEOPLE), random.pick(PEOPLE));
    let (thing, place, quality) = (random.pick(THINGS), random.pick(PLACES), random.pick(QUALITIES));
    let _ = writeln!(text, "{asks}: Where is the {quality} {thing}, {answers}?");
    let _ = writeln!(text, "{answers}: The {thing} is in the {place}, {asks}.");
    if random.below(2) == 0 {
        let _ = writeln!(text, "{asks}: Thank you. I will look in the {place}.");
    }
}

/// A dated line of trade with its total.
fn ledger(random: &mut Random, text: &mut String) {
    let (month, thing, person) = (random.pick(MONTHS), random.pick(THINGS), random.pick(PEOPLE));
    let (day, pieces, price) = (1 + random.below(28), 1 + random.below(9), 1 + random.below(9));
    let total = pieces * price;
    let _ = writeln!(text, "| {day} {month} | {thing} | {pieces} x {price} = {total} | paid by {person} |");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_text() {
        let write = |seed| write_corpus(&mut Random::new(seed, "corpus"), Mixture::BASE, 2_000);
        assert_eq!(write(1), write(1));
        assert_ne!(write(1), write(2));
        assert!(write(1).is_ascii());
        assert!(!write(1).contains(" | "), "the base mixture holds no ledger");
    }
}
