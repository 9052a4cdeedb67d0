//! Bytes that are put aside and read again within one run.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

/// Bytes in memory until there are too many, then in a file without a name where temporary files lie. In memory to the end where no file can be
/// made.
pub struct Scratch {
    most: usize,
    held: Held,
}

enum Held {
    Memory(Vec<u8>),
    File(File),
}

impl Scratch {
    /// Nothing yet; `most` bytes stay in memory.
    pub fn new(most: usize) -> Scratch {
        Scratch { most, held: Held::Memory(Vec::new()) }
    }

    /// Whether they lie in a file.
    pub fn is_file(&self) -> bool {
        matches!(self.held, Held::File(_))
    }

    /// Adds bytes at the end.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Held::Memory(held) = &self.held
            && held.len() + bytes.len() > self.most
            && let Ok(mut file) = tempfile::tempfile()
        {
            file.write_all(held)?;
            self.held = Held::File(file);
        }
        match &mut self.held {
            Held::Memory(held) => held.extend_from_slice(bytes),
            Held::File(file) => {
                file.seek(SeekFrom::End(0))?;
                file.write_all(bytes)?;
            }
        }
        Ok(())
    }

    /// Fills `out` with what was put at `start`.
    pub fn read(&mut self, start: u64, out: &mut [u8]) -> io::Result<()> {
        match &mut self.held {
            Held::Memory(held) => {
                let rest = usize::try_from(start).ok().and_then(|start| held.get(start..));
                rest.unwrap_or_default().read_exact(out)
            }
            Held::File(file) => {
                file.seek(SeekFrom::Start(start))?;
                file.read_exact(out)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_the_same_in_memory_and_in_a_file() {
        for (most, is_file) in [(1000, false), (250, true), (0, true)] {
            let mut scratch = Scratch::new(most);
            for byte in 0..10_u8 {
                scratch.append(&[byte; 100]).unwrap();
            }
            assert_eq!(scratch.is_file(), is_file);
            let mut out = [0; 20];
            for (start, found) in [(0, [0, 0]), (90, [0, 1]), (980, [9, 9])] {
                scratch.read(start, &mut out).unwrap();
                assert_eq!([out[0], out[19]], found);
            }
            // What lies behind the end is not there, and reading leaves the end where it was.
            assert!(scratch.read(990, &mut out).is_err() && scratch.read(u64::MAX >> 1, &mut out).is_err());
            scratch.append(&[7; 20]).unwrap();
            scratch.read(1000, &mut out).unwrap();
            assert_eq!(out, [7; 20]);
        }
    }
}
