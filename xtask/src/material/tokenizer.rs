//! A byte-level BPE tokenizer: learned, applied, and written as `tokenizer.json`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Bytes, then merges, then special tokens, numbered in this order.
#[derive(Clone, Debug)]
pub(crate) struct Tokenizer {
    merges: Vec<(u32, u32)>,
    specials: &'static [&'static str],
    /// The bytes of every token that is no special one.
    pieces: Vec<Vec<u8>>,
}

impl Tokenizer {
    /// Every byte a token, no merges.
    pub(crate) fn bytes_only(specials: &'static [&'static str]) -> Self {
        Self { merges: Vec::new(), specials, pieces: (0..=255).map(|byte| vec![byte]).collect() }
    }

    /// Learns merges until the vocabulary, special tokens included, has this size or no pair occurs twice.
    pub(crate) fn learn(text: &str, vocabulary: usize, specials: &'static [&'static str]) -> Self {
        let mut tokenizer = Self::bytes_only(specials);
        let mut words: BTreeMap<Vec<u32>, usize> = BTreeMap::new();
        for word in split(text) {
            *words.entry(word.bytes().map(u32::from).collect()).or_default() += 1;
        }
        let mut words: Vec<(Vec<u32>, usize)> = words.into_iter().collect();
        while tokenizer.len() < vocabulary {
            let mut pairs: BTreeMap<(u32, u32), usize> = BTreeMap::new();
            for (word, count) in &words {
                for pair in word.windows(2) {
                    *pairs.entry((pair[0], pair[1])).or_default() += count;
                }
            }
            // The most frequent pair; the smallest of equals, so that the order of counting cannot matter.
            let Some((&pair, &count)) = pairs.iter().max_by(|a, b| a.1.cmp(b.1).then(b.0.cmp(a.0))) else {
                break;
            };
            if count < 2 {
                break;
            }
            let merged = tokenizer.push(pair);
            for (word, _) in &mut words {
                *word = replace(word, pair, merged);
            }
        }
        tokenizer
    }

    fn push(&mut self, (left, right): (u32, u32)) -> u32 {
        let piece = [self.piece(left), self.piece(right)].concat();
        self.pieces.push(piece);
        self.merges.push((left, right));
        (self.pieces.len() - 1) as u32
    }

    fn piece(&self, id: u32) -> &[u8] {
        &self.pieces[id as usize]
    }

    /// Tokens, special ones included.
    pub(crate) fn len(&self) -> usize {
        self.pieces.len() + self.specials.len()
    }

    /// The id of a special token.
    pub(crate) fn special(&self, name: &str) -> u32 {
        let index = self.specials.iter().position(|special| *special == name);
        (self.pieces.len() + index.expect("asked only for tokens of its own list")) as u32
    }

    /// Token ids of a text that holds no special tokens.
    pub(crate) fn encode(&self, text: &str) -> Vec<u32> {
        let ranks: BTreeMap<(u32, u32), u32> = self.merges.iter().copied().zip(256..).collect();
        let mut known: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
        let mut ids = Vec::new();
        for word in split(text) {
            ids.extend(known.entry(word).or_insert_with(|| merge(word, &ranks)).iter());
        }
        ids
    }

    /// Printable form of every token, by id.
    pub(crate) fn vocabulary(&self) -> Vec<String> {
        let pieces = self.pieces.iter().map(|piece| printable(piece));
        pieces.chain(self.specials.iter().map(|special| special.to_string())).collect()
    }

    /// The merges as `left right` in printable form, by rank.
    pub(crate) fn merges(&self) -> Vec<String> {
        let show = |id| printable(self.piece(id));
        self.merges.iter().map(|(left, right)| format!("{} {}", show(*left), show(*right))).collect()
    }

    /// Number of ids before the first special token.
    pub(crate) fn ordinary(&self) -> usize {
        self.pieces.len()
    }

    /// The file `tokenizer.json` that other tools load.
    pub(crate) fn to_json(&self) -> Value {
        let vocabulary = self.vocabulary();
        let added: Vec<Value> = (self.ordinary()..self.len())
            .map(|id| {
                json!({
                    "id": id, "content": vocabulary[id], "single_word": false, "lstrip": false,
                    "rstrip": false, "normalized": false, "special": true
                })
            })
            .collect();
        let byte_level = json!({
            "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true
        });
        let ids: serde_json::Map<String, Value> =
            vocabulary[..self.ordinary()].iter().cloned().zip((0..).map(Value::from)).collect();
        json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
            "normalizer": null, "pre_tokenizer": byte_level, "post_processor": null, "decoder": byte_level,
            "model": {
                "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
                "ignore_merges": false, "vocab": ids, "merges": self.merges()
            }
        })
    }
}

/// Applies merges to one word, lowest rank first.
fn merge(word: &str, ranks: &BTreeMap<(u32, u32), u32>) -> Vec<u32> {
    let mut ids: Vec<u32> = word.bytes().map(u32::from).collect();
    loop {
        let best = ids.windows(2).filter_map(|pair| {
            let pair = (pair[0], pair[1]);
            ranks.get(&pair).map(|&merged| (merged, pair))
        });
        match best.min() {
            Some((merged, pair)) => ids = replace(&ids, pair, merged),
            None => return ids,
        }
    }
}

fn replace(ids: &[u32], (left, right): (u32, u32), merged: u32) -> Vec<u32> {
    let mut result = Vec::with_capacity(ids.len());
    let mut rest = ids;
    while let [first, tail @ ..] = rest {
        match tail {
            [second, beyond @ ..] if (*first, *second) == (left, right) => {
                result.push(merged);
                rest = beyond;
            }
            _ => {
                result.push(*first);
                rest = tail;
            }
        }
    }
    result
}

/// Splits as GPT-2's pattern does: `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`.
/// Written out for ASCII, which is all that the corpus holds.
fn split(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (word, tail) = rest.split_at(word_length(rest));
        words.push(word);
        rest = tail;
    }
    words
}

fn word_length(rest: &str) -> usize {
    const CONTRACTIONS: [&str; 7] = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"];
    if let Some(found) = CONTRACTIONS.iter().find(|contraction| rest.starts_with(**contraction)) {
        return found.len();
    }
    let bytes = rest.as_bytes();
    let space = usize::from(bytes[0] == b' ');
    if let Some(class) = bytes.get(space).map(class).filter(|class| *class != Class::Space) {
        return space + bytes[space..].iter().take_while(|byte| self::class(byte) == class).count();
    }
    let blanks = bytes.iter().take_while(|byte| class(byte) == Class::Space).count();
    // A run of blanks leaves its last one to the word behind it.
    if blanks < bytes.len() && blanks > 1 { blanks - 1 } else { blanks }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Letter,
    Number,
    Space,
    Mark,
}

fn class(byte: &u8) -> Class {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' => Class::Letter,
        b'0'..=b'9' => Class::Number,
        b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => Class::Space,
        _ => Class::Mark,
    }
}

fn printable(piece: &[u8]) -> String {
    piece.iter().map(|byte| byte_to_char(*byte)).collect()
}

/// GPT-2's map of bytes to printable characters: itself where printable in Latin-1, else the next one from U+0100.
fn byte_to_char(byte: u8) -> char {
    let is_printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    if is_printable(byte) {
        return char::from(byte);
    }
    let rank = (0..byte).filter(|other| !is_printable(*other)).count() as u32;
    char::from_u32(0x100 + rank).expect("at most 68 bytes are not printable")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_byte_map_is_one_to_one() {
        let characters: BTreeSet<char> = (0..=255).map(byte_to_char).collect();
        assert_eq!(characters.len(), 256);
        assert_eq!(byte_to_char(b' '), '\u{120}'); // the well-known G with a dot
        assert_eq!(byte_to_char(b'\n'), '\u{10a}');
    }

    #[test]
    fn splits_like_gpt2() {
        assert_eq!(split("It's 12 + x;\n    go"), ["It", "'s", " 12", " +", " x", ";", "\n   ", " go"]);
    }

    #[test]
    fn encoding_loses_nothing() {
        let text = "the cat, the hat, the mat: 12 + 12 = 24\n";
        let tokenizer = Tokenizer::learn(&text.repeat(4), 280, &["<s>"]);
        let ids = tokenizer.encode(text);
        assert!(ids.len() < text.len() / 2);
        assert_eq!(
            ids.iter().flat_map(|id| tokenizer.piece(*id).to_vec()).collect::<Vec<_>>(),
            text.as_bytes()
        );
        assert_eq!(tokenizer.special("<s>") as usize, tokenizer.len() - 1);
    }
}
