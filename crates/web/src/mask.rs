//! Which words of an answer would say who wrote it? They are covered by a bar of one length.

use std::collections::BTreeSet;

/// What stands in place of a word; always the same, so that its length tells nothing.
const BAR: &str = "\u{2588}\u{2588}\u{2588}\u{2588}";

/// Names of models and makers that are covered in every answer.
const KNOWN: &[&str] = &[
    "AI21",
    "Alibaba",
    "Amazon Nova",
    "Anthropic",
    "Baichuan",
    "Baidu",
    "Bard",
    "ByteDance",
    "ChatGLM",
    "ChatGPT",
    "Claude",
    "Cohere",
    "Command R",
    "Copilot",
    "Dall-E",
    "Databricks",
    "DBRX",
    "DeepMind",
    "DeepSeek",
    "Dolly",
    "Doubao",
    "ERNIE",
    "EXAONE",
    "Falcon LLM",
    "Flux.1",
    "Gemini",
    "Gemma",
    "GLM",
    "Google",
    "GPT",
    "GPT-3",
    "GPT-3.5",
    "GPT-4",
    "GPT-4o",
    "GPT-5",
    "gpt-oss",
    "Grok",
    "Hugging Face",
    "Hunyuan",
    "InternLM",
    "Jamba",
    "Kimi",
    "LaMDA",
    "LLaMA",
    "LMSYS",
    "LAION",
    "Meta AI",
    "Microsoft",
    "Midjourney",
    "MiniCPM",
    "MiniMax",
    "Ministral",
    "Mistral",
    "Mistral AI",
    "Mixtral",
    "Moonshot",
    "Nemotron",
    "Nvidia",
    "OLMo",
    "OpenAI",
    "Open Assistant",
    "PaLM",
    "Perplexity",
    "Phi-3",
    "Phi-4",
    "Qwen",
    "QwQ",
    "Reka",
    "Sora",
    "Stability AI",
    "Stable Diffusion",
    "Tencent",
    "Tongyi",
    "Vicuna",
    "WizardLM",
    "xAI",
    "Yi-34B",
    "Zephyr",
    "Zhipu",
];

/// The words to cover. A word is compared without regard to case, and blanks, hyphens, dots and underscores in it are alike or absent.
pub(crate) struct Mask {
    /// Letters and digits of each word, in lower case; longest first.
    words: Vec<Vec<char>>,
}

impl Mask {
    /// The known names and these.
    pub(crate) fn new(own: &[String]) -> Mask {
        let all = KNOWN.iter().map(|word| (*word).to_owned()).chain(own.iter().cloned());
        // A name like `org/model` is covered as a whole and by its last part.
        let parts = all.flat_map(|word| {
            let last = word.rsplit('/').next().unwrap_or_default().to_owned();
            [word, last]
        });
        let plain = parts.map(|word| letters(&word)).filter(|word| word.len() > 1);
        let mut words: Vec<Vec<char>> = plain.collect::<BTreeSet<_>>().into_iter().collect();
        words.sort_by_key(|word| std::cmp::Reverse(word.len()));
        Mask { words }
    }

    /// The text with the words covered, and whether there were any.
    pub(crate) fn cover(&self, text: &str) -> (String, bool) {
        let characters: Vec<char> = text.chars().collect();
        let mut out = String::with_capacity(text.len());
        let (mut at, mut covered) = (0, false);
        while at < characters.len() {
            let starts = at == 0 || !characters[at - 1].is_alphanumeric();
            match starts.then(|| self.words.iter().find_map(|word| ends(word, &characters, at))).flatten() {
                Some(end) => {
                    out.push_str(BAR);
                    at = end;
                    covered = true;
                }
                None => {
                    out.push(characters[at]);
                    at += 1;
                }
            }
        }
        (out, covered)
    }
}

/// Letters and digits in lower case.
fn letters(word: &str) -> Vec<char> {
    word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Where `word` ends if it begins at `at`.
fn ends(word: &[char], text: &[char], at: usize) -> Option<usize> {
    let mut place = at;
    for (i, wanted) in word.iter().enumerate() {
        // One character that joins the parts of a name, none at its beginning; invisible ones do not count.
        let mut joined = false;
        loop {
            let c = *text.get(place)?;
            let joins = matches!(c, ' ' | '-' | '.' | '_' | '/' | '\u{a0}' | '\u{2010}' | '\u{2011}' | '*');
            let hidden = matches!(c, '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}');
            if i > 0 && (hidden || (joins && !joined)) {
                joined |= joins;
                place += 1;
            } else {
                break;
            }
        }
        let mut lower = text.get(place)?.to_lowercase();
        if lower.next() != Some(*wanted) {
            return None;
        }
        place += 1;
    }
    let next = text.get(place);
    let longer = next.is_some_and(|c| c.is_alphabetic());
    let another_number = word.last()?.is_numeric() && next.is_some_and(|c| c.is_numeric());
    let whole = !longer && !another_number;
    // What follows a name without a blank, such as a version, belongs to it.
    whole.then(|| {
        let mut end = place;
        while text.get(end).is_some_and(|c| c.is_numeric())
            || (text.get(end).is_some_and(|c| matches!(c, '-' | '.'))
                && text.get(end + 1).is_some_and(|c| c.is_numeric()))
        {
            end += 1;
        }
        end
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covered(text: &str) -> String {
        Mask::new(&["acme/Nova-7B-Instruct".to_owned(), "Ω-net".to_owned()]).cover(text).0
    }

    #[test]
    fn names_are_covered_in_every_spelling() {
        for text in [
            "OpenAI",
            "openai",
            "Open AI",
            "gpt 4",
            "GPT-4",
            "GPT4",
            "GPT\u{200b}-4",
            "gpt_4",
            "nova-7b-instruct",
            "acme/nova-7b-instruct",
            "Nova 7B Instruct",
            "Qwen2.5",
            "Qwen-3",
            "Llama 3.1",
            "ω-NET",
            "LLaMA",
            "**GPT**-4",
        ] {
            let out = covered(&format!("I am {text}, made for you."));
            let bare = out.replace("**", "");
            assert!(bare.starts_with("I am \u{2588}\u{2588}\u{2588}\u{2588}"), "{out}");
            assert!(bare.ends_with(" made for you."), "{out}");
        }
    }

    #[test]
    fn other_words_stay() {
        for text in [
            "metallic",
            "a gemstone",
            "clauded",
            "the phi-314 constant",
            "bards sing",
            "googled",
            "Yi",
            "glma",
            "",
        ] {
            assert_eq!(Mask::new(&[]).cover(text), (text.to_owned(), false));
        }
        assert_eq!(covered("by Google."), "by \u{2588}\u{2588}\u{2588}\u{2588}.");
        assert!(Mask::new(&[]).cover("ask ChatGPT").1);
    }
}
