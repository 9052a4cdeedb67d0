//! Every hostile file has one expected outcome; none panics; none makes a parser hold much more than the file.

mod common;

use common::{InFile, attacks_dir, golden};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use stemmata_formats::packed::{Inventory, Scratch, inventory};
use stemmata_formats::{
    FormatError, Limits, decode, parse, parse_config, parse_shard_map, parse_templates, parse_tokenizer,
};
use stemmata_model::{Config, Hazard, Tensor};

/// Counts the bytes that are allocated, and the most there ever were.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator unchanged; counting has no effect on memory.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(held, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What a parser may hold beyond the file; several tests run at once and share it.
const ALLOWANCE: usize = 64 << 20;

/// What any of them may take.
const SECONDS: f64 = 2.0;
/// Hostile files, at least, over all formats.
const CORPUS: usize = 330;

/// Seconds of a processor that this thread has had: what else the machine does is no matter.
fn processor_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// What was said of a file that was read.
#[derive(Debug, Default)]
struct Read {
    hazards: Vec<Hazard>,
    /// Why packed tensors were not put together.
    undecoded: Vec<&'static str>,
    /// What was said when their numbers were asked for.
    unreadable: Vec<String>,
}

impl From<Vec<Hazard>> for Read {
    fn from(hazards: Vec<Hazard>) -> Read {
        Read { hazards, ..Read::default() }
    }
}

/// Puts packed tensors together and asks for some numbers of each.
fn read_packed(tensors: Vec<Tensor>, bytes: &[u8]) -> (Vec<&'static str>, Vec<String>) {
    let pieces = InFile(bytes);
    let Inventory { entries, undecoded } = inventory(tensors, &Config::default(), &pieces);
    let mut unreadable = Vec::new();
    for entry in entries.iter().filter(|entry| !entry.is_stored()) {
        let mut out = vec![0.0; entry.tensor.elements().min(100) as usize];
        let outcome = entry.read(&pieces, &mut Scratch::default(), 0, &mut out);
        unreadable.extend(outcome.err().map(|error| error.to_string()));
    }
    (undecoded.into_values().collect(), unreadable)
}

fn open(path: &str, bytes: &[u8]) -> Result<Read, FormatError> {
    let limits = Limits::default();
    let name = path.rsplit('/').next().unwrap();
    if path.starts_with("shards/") {
        parse_shard_map(bytes, name, ".safetensors", &limits).map(|(_, hazards)| hazards.into())
    } else if path.ends_with(".config.json") {
        parse_config(bytes, name).map(|(_, hazards)| hazards.into())
    } else if path.ends_with(".tokenizer_config.json") {
        parse_templates(bytes, name).map(Read::from)
    } else if path.ends_with(".tokenizer.json") {
        parse_tokenizer(bytes, name).map(|_| Read::default())
    } else {
        parse(&bytes, name, 0, &limits).map(|parsed| {
            let end = parsed.derived.end().max(bytes.len() as u64);
            for tensor in &parsed.tensors {
                let storage = &tensor.storage;
                assert!(storage.offset + storage.len <= end || storage.file > 0, "{path}: {}", tensor.name);
            }
            let (undecoded, unreadable) = read_packed(parsed.tensors, bytes);
            Read { hazards: parsed.hazards, undecoded, unreadable }
        })
    }
}

#[test]
fn every_attack_has_its_outcome() {
    let table = std::fs::read_to_string(attacks_dir().join("EXPECT.tsv")).unwrap();
    let mut failures = Vec::new();
    let mut count = 0;
    for line in table.lines().skip(1) {
        let [path, _, expected] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let bytes = std::fs::read(attacks_dir().join(path)).unwrap();
        let before = HELD.load(Ordering::Relaxed);
        PEAK.store(before, Ordering::Relaxed);
        let started = processor_seconds();
        let outcome = open(path, &bytes);
        let seconds = processor_seconds() - started;
        assert!(seconds < SECONDS, "{path}: {seconds}");
        let peak = PEAK.load(Ordering::Relaxed).saturating_sub(before);
        assert!(peak < ALLOWANCE, "{path}: held {peak} bytes");
        let as_expected = match (&outcome, expected.split_once(':').unwrap()) {
            (Err(error), ("error", part)) => error.to_string().contains(part),
            (Ok(read), ("hazard", code)) => read.hazards.iter().any(|hazard| hazard.code == code),
            (Ok(read), ("undecoded", part)) => read.undecoded.iter().any(|reason| reason.contains(part)),
            (Ok(read), ("unreadable", part)) => read.unreadable.iter().any(|text| text.contains(part)),
            _ => false,
        };
        let messages = match &outcome {
            Ok(read) => {
                read.hazards.iter().map(|hazard| format!("{} {}", hazard.subject, hazard.message)).collect()
            }
            Err(error) => error.to_string(),
        };
        assert!(!messages.contains(['\u{1b}', '\0', '\n', '\u{202e}']), "{path}: {messages:?}");
        if !as_expected {
            failures.push(format!("{path}: expected {expected}, found {outcome:?}"));
        }
        count += 1;
    }
    assert!(failures.is_empty(), "{} of {count}:\n{}", failures.len(), failures.join("\n"));
    assert!(count >= CORPUS, "{count}");
}

#[test]
fn every_file_of_the_corpus_is_in_the_table() {
    let table = std::fs::read_to_string(attacks_dir().join("EXPECT.tsv")).unwrap();
    for folder in std::fs::read_dir(attacks_dir()).unwrap().map(|entry| entry.unwrap().path()) {
        if !folder.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            let name = file.strip_prefix(attacks_dir()).unwrap().to_str().unwrap().replace('\\', "/");
            assert!(table.lines().any(|line| line.split('\t').next() == Some(&name)), "{name}");
        }
    }
}

#[test]
fn a_truncated_file_is_an_error() {
    for (name, bytes) in golden() {
        // Every place near the front, where the structure is, and a sample of the rest.
        let places = (0..bytes.len()).filter(|at| *at < 1500 || at % 37 == 0 || at + 200 > bytes.len());
        for at in places {
            let outcome = parse(&&bytes[..at], &name, 0, &Limits::default());
            // GGUF pads behind its last tensor: without the padding nothing is lost, and it is noticed.
            // ONNX has nothing but the set of operators behind its tensors.
            let noticed = |hazard: &Hazard| ["missing-padding", "missing-operators"].contains(&hazard.code);
            let noticed = outcome.as_ref().is_ok_and(|parsed| parsed.hazards.iter().any(noticed));
            assert!(outcome.is_err() || noticed, "{name} at {at}: {outcome:?}");
        }
    }
}

#[test]
fn a_flipped_bit_never_panics() {
    for (name, mut bytes) in golden() {
        for at in (0..bytes.len()).filter(|at| *at < 3000 || at % 11 == 0) {
            let bit = 1 << (at % 8);
            bytes[at] ^= bit;
            if let Ok(parsed) = parse(&bytes, &name, 0, &Limits::default()) {
                for tensor in &parsed.tensors {
                    let storage = &tensor.storage;
                    let Some((per, size)) = tensor.encoding.granule() else { continue };
                    let mut stored = vec![0; storage.len as usize];
                    if storage.offset < bytes.len() as u64 {
                        stored.copy_from_slice(&bytes[storage.offset as usize..][..storage.len as usize]);
                    } else if parsed.derived.read_exact_at(&bytes, storage.offset, &mut stored).is_err() {
                        // Compressed bytes that are broken are found when they are read.
                        continue;
                    }
                    let mut out = vec![0.0; stored.len() / size as usize * per as usize];
                    assert!(decode(tensor.encoding, &stored, &mut out), "{name}: {}", tensor.name);
                }
            }
            bytes[at] ^= bit;
        }
    }
}
