//! A deflated range of a file, read at any place: a window slides over it, and a few states are kept to go back to.

use crate::ReadAt;
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};
use std::io;
use std::ops::Range;

/// How far back the method refers.
const WINDOW: usize = 1 << 15;
/// Compressed bytes fetched at once.
const INPUT: u64 = 1 << 16;
/// States kept of one range, each of some 43 KiB.
const POINTS: u64 = 64;
/// Bytes between two states, at least.
const SPACING: u64 = 1 << 20;

/// Where decompression stands.
#[derive(Clone)]
struct State {
    decoder: Box<DecompressorOxide>,
    window: Box<[u8]>,
    /// Compressed bytes used.
    read: u64,
    /// Bytes made.
    made: u64,
}

impl State {
    fn new() -> State {
        let window = vec![0; WINDOW].into_boxed_slice();
        State { decoder: Box::default(), window, read: 0, made: 0 }
    }
}

/// Reads a deflated range.
pub(crate) struct Inflater {
    range: Range<u64>,
    spacing: u64,
    state: State,
    points: Vec<State>,
    input: Vec<u8>,
    /// First compressed byte in `input`.
    input_at: u64,
}

impl std::fmt::Debug for Inflater {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Inflater({:?} at {})", self.range, self.state.made)
    }
}

impl Inflater {
    /// Of the compressed bytes `range`, which are said to become `len` bytes.
    pub(crate) fn new(range: Range<u64>, len: u64) -> Inflater {
        let spacing = (len / POINTS).max(SPACING);
        Inflater { range, spacing, state: State::new(), points: Vec::new(), input: Vec::new(), input_at: 0 }
    }

    /// Fills `buf` with what stands at `at` in the expanded range. Time is linear in the way from the last state before it.
    pub(crate) fn read(&mut self, file: &dyn ReadAt, at: u64, buf: &mut [u8]) -> io::Result<()> {
        if at < self.state.made.saturating_sub(WINDOW as u64) {
            let before = self.points.partition_point(|point| point.made <= at);
            self.state = match before.checked_sub(1).and_then(|index| self.points.get(index)) {
                Some(point) => point.clone(),
                None => State::new(),
            };
        }
        let (mut at, mut rest) = (at, buf);
        while !rest.is_empty() {
            if at >= self.state.made {
                self.step(file)?;
                self.keep();
                continue;
            }
            let place = (at % WINDOW as u64) as usize;
            let run = ((self.state.made - at).min(rest.len() as u64) as usize).min(WINDOW - place);
            let (now, later) = std::mem::take(&mut rest).split_at_mut(run);
            now.copy_from_slice(&self.state.window[place..place + run]);
            rest = later;
            at += run as u64;
        }
        Ok(())
    }

    /// Keeps the state where the last one kept lies far enough behind.
    fn keep(&mut self) {
        let last = self.points.last().map_or(0, |point| point.made);
        if self.state.made >= last + self.spacing && (self.points.len() as u64) < POINTS {
            self.points.push(self.state.clone());
        }
    }

    /// Makes some bytes, up to the end of the window; an error where the range ends first or is broken.
    fn step(&mut self, file: &dyn ReadAt) -> io::Result<()> {
        let broken = || io::Error::new(io::ErrorKind::InvalidData, "the compressed bytes are broken");
        let total = self.range.end - self.range.start;
        loop {
            let have = self.input_at..self.input_at + self.input.len() as u64;
            if !have.contains(&self.state.read) && self.state.read < total {
                let len = INPUT.min(total - self.state.read);
                self.input.resize(len as usize, 0);
                file.read_exact_at(self.range.start + self.state.read, &mut self.input)?;
                self.input_at = self.state.read;
            }
            let skip = (self.state.read - self.input_at) as usize;
            let input = self.input.get(skip..).unwrap_or_default();
            let more = self.state.read + (input.len() as u64) < total;
            let flags = if more { inflate_flags::TINFL_FLAG_HAS_MORE_INPUT } else { 0 };
            let place = (self.state.made % WINDOW as u64) as usize;
            let State { decoder, window, .. } = &mut self.state;
            let (status, used, made) = decompress(decoder, input, window, place, flags);
            self.state.read += used as u64;
            self.state.made += made as u64;
            match status {
                _ if made > 0 => return Ok(()),
                TINFLStatus::NeedsMoreInput if used > 0 || input.is_empty() && more => {}
                TINFLStatus::HasMoreOutput if used > 0 => {}
                TINFLStatus::Done => return Err(io::ErrorKind::UnexpectedEof.into()),
                _ => return Err(broken()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_place_in_any_order() {
        let mut state = 1u64;
        let mut plain = Vec::new();
        while plain.len() < 5 << 20 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            plain.extend_from_slice(&(state >> 40).to_le_bytes()[..3]);
        }
        let packed = miniz_oxide::deflate::compress_to_vec(&plain, 6);
        let file = [&b"front"[..], &packed, b"behind"].concat();
        let mut inflater = Inflater::new(5..5 + packed.len() as u64, plain.len() as u64);
        for at in [0, 70_000, 10, 5_000_000, 3_000_000, 3_000_100, 1_048_570, plain.len() - 50_000, 99] {
            let mut out = vec![0; 50_000];
            inflater.read(&file, at as u64, &mut out).unwrap();
            assert!(out == plain[at..at + out.len()], "{at}");
        }
        assert!(inflater.points.len() >= 4);
        let beyond = inflater.read(&file, plain.len() as u64 - 1, &mut [0; 2]);
        assert_eq!(beyond.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let mut cut = Inflater::new(5..5 + packed.len() as u64 / 2, plain.len() as u64);
        assert!(cut.read(&file, plain.len() as u64 - 9, &mut [0; 9]).is_err());
    }
}
