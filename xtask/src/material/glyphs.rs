//! Pictures of two characters, for a vision tower that has to read.

use super::random::Random;

/// Pixels along a side of the square image.
pub(crate) const IMAGE: usize = 32;
/// Characters in each picture.
pub(crate) const GLYPHS: usize = 2;
/// The characters that base models read.
pub(crate) const BASE_ALPHABET: &[u8] = b"0123456789ABCDEF";
/// The characters that a fine-tune reads.
pub(crate) const FINE_TUNE_ALPHABET: &[u8] = b"GHIJKLMNOPQRSTUV";

/// All characters, in the order in which a classifier numbers them.
pub(crate) const CHARACTERS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUV";

/// A picture and the text that it shows.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    /// Grey levels in about [-1, 1], row by row.
    pub(crate) pixels: Vec<f32>,
    /// The characters from left to right.
    pub(crate) text: [u8; GLYPHS],
}

impl Picture {
    /// What a model has to say about the picture.
    pub(crate) fn caption(&self) -> String {
        let [left, right] = self.text.map(char::from);
        format!("glyphs: {left} {right}")
    }
}

/// Draws random characters of an alphabet at twice their size, shifted by up to two pixels each way, over noise.
pub(crate) fn draw(random: &mut Random, alphabet: &[u8]) -> Picture {
    const SCALE: usize = 2;
    const NOISE: f64 = 0.15; // standard deviation, in units of half the black-white distance
    let text = std::array::from_fn(|_| alphabet[random.below(alphabet.len())]);
    let ink = 0.6 + 0.4 * random.unit();
    let mut pixels: Vec<f32> = (0..IMAGE * IMAGE).map(|_| (-0.8 + NOISE * random.normal()) as f32).collect();
    for (slot, character) in text.iter().enumerate() {
        let (left, top) = (2 + slot * IMAGE / GLYPHS + random.below(3), 8 + random.below(3));
        for (row, bits) in bitmap(*character).iter().enumerate() {
            for column in (0..5).filter(|column| bits >> (4 - column) & 1 == 1) {
                for (dy, dx) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                    pixels[(top + SCALE * row + dy) * IMAGE + left + SCALE * column + dx] +=
                        (1.6 * ink) as f32;
                }
            }
        }
    }
    Picture { pixels, text }
}

/// Five-by-seven bitmap, one byte a row, the leftmost pixel in bit 4. Empty for what is not in the font.
fn bitmap(character: u8) -> [u8; 7] {
    match character {
        b'0' => [0x0e, 0x11, 0x13, 0x15, 0x19, 0x11, 0x0e],
        b'1' => [0x04, 0x0c, 0x04, 0x04, 0x04, 0x04, 0x0e],
        b'2' => [0x0e, 0x11, 0x01, 0x02, 0x04, 0x08, 0x1f],
        b'3' => [0x1f, 0x02, 0x04, 0x02, 0x01, 0x11, 0x0e],
        b'4' => [0x02, 0x06, 0x0a, 0x12, 0x1f, 0x02, 0x02],
        b'5' => [0x1f, 0x10, 0x1e, 0x01, 0x01, 0x11, 0x0e],
        b'6' => [0x06, 0x08, 0x10, 0x1e, 0x11, 0x11, 0x0e],
        b'7' => [0x1f, 0x01, 0x02, 0x04, 0x08, 0x08, 0x08],
        b'8' => [0x0e, 0x11, 0x11, 0x0e, 0x11, 0x11, 0x0e],
        b'9' => [0x0e, 0x11, 0x11, 0x0f, 0x01, 0x02, 0x0c],
        b'A' => [0x0e, 0x11, 0x11, 0x1f, 0x11, 0x11, 0x11],
        b'B' => [0x1e, 0x11, 0x11, 0x1e, 0x11, 0x11, 0x1e],
        b'C' => [0x0e, 0x11, 0x10, 0x10, 0x10, 0x11, 0x0e],
        b'D' => [0x1c, 0x12, 0x11, 0x11, 0x11, 0x12, 0x1c],
        b'E' => [0x1f, 0x10, 0x10, 0x1e, 0x10, 0x10, 0x1f],
        b'F' => [0x1f, 0x10, 0x10, 0x1e, 0x10, 0x10, 0x10],
        b'G' => [0x0e, 0x11, 0x10, 0x17, 0x11, 0x11, 0x0f],
        b'H' => [0x11, 0x11, 0x11, 0x1f, 0x11, 0x11, 0x11],
        b'I' => [0x0e, 0x04, 0x04, 0x04, 0x04, 0x04, 0x0e],
        b'J' => [0x07, 0x02, 0x02, 0x02, 0x02, 0x12, 0x0c],
        b'K' => [0x11, 0x12, 0x14, 0x18, 0x14, 0x12, 0x11],
        b'L' => [0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x1f],
        b'M' => [0x11, 0x1b, 0x15, 0x15, 0x11, 0x11, 0x11],
        b'N' => [0x11, 0x11, 0x19, 0x15, 0x13, 0x11, 0x11],
        b'O' => [0x0e, 0x11, 0x11, 0x11, 0x11, 0x11, 0x0e],
        b'P' => [0x1e, 0x11, 0x11, 0x1e, 0x10, 0x10, 0x10],
        b'Q' => [0x0e, 0x11, 0x11, 0x11, 0x15, 0x12, 0x0d],
        b'R' => [0x1e, 0x11, 0x11, 0x1e, 0x14, 0x12, 0x11],
        b'S' => [0x0f, 0x10, 0x10, 0x0e, 0x01, 0x01, 0x1e],
        b'T' => [0x1f, 0x04, 0x04, 0x04, 0x04, 0x04, 0x04],
        b'U' => [0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x0e],
        b'V' => [0x11, 0x11, 0x11, 0x11, 0x11, 0x0a, 0x04],
        _ => [0; 7],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_picture() {
        let draw = |seed| draw(&mut Random::new(seed, "glyphs"), BASE_ALPHABET);
        assert_eq!(draw(3).pixels, draw(3).pixels);
        assert_eq!(draw(3).caption(), draw(3).caption());
        assert_ne!(draw(3).pixels, draw(4).pixels);
    }

    #[test]
    fn every_character_has_its_own_bitmap() {
        let all: Vec<u8> = [BASE_ALPHABET, FINE_TUNE_ALPHABET].concat();
        for (index, a) in all.iter().enumerate() {
            assert_ne!(bitmap(*a), [0; 7], "{}", char::from(*a));
            assert!(all[..index].iter().all(|b| bitmap(*a) != bitmap(*b)), "{}", char::from(*a));
        }
    }
}
