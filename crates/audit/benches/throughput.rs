//! How fast is `compare`, against merely reading the same bytes? Everything in one run, interleaved, medians of rounds.
//!
//! `cargo bench -p stemmata-audit` writes two synthetic bf16 checkpoints of about 2.3 GB under `target/bench` once and then
//! measures, with the files in the page cache and not: positioned reads and xor on two threads (the bar), mapped reads
//! and xor, and `compare` with both backends. `-- --shape 8b` uses two 16 GB checkpoints instead and also prints peak memory.
#![allow(clippy::print_stdout, missing_docs, reason = "a benchmark prints")]

mod synthetic;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Instant;
use stemmata_audit::{Backend, Settings, compare};

const ROUNDS: usize = 7;

/// A name and what is timed.
type Probe<'a> = (&'a str, &'a dyn Fn(&[PathBuf; 2]));

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let large = words.windows(2).any(|w| w[0] == "--shape" && w[1] == "8b");
    let shape = if large { synthetic::LLAMA_8B } else { synthetic::SMALL };
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(if large { "8b" } else { "2gb" });
    let paths = synthetic::pair(&root, &shape);
    let bytes: u64 =
        paths.iter().map(|p| std::fs::metadata(p.join(synthetic::FILE)).map_or(0, |m| m.len())).sum();
    println!("two checkpoints, {:.2} GB each, bf16, {} layers", bytes as f64 / 2e9, shape.layers);

    let probes: [Probe; 4] = [
        ("pread + xor, 2 threads", &|p| pread_xor(p)),
        ("mapped + xor, 2 threads", &|p| mapped_xor(p)),
        ("compare, pread", &|p| run(p, Backend::Read)),
        ("compare, mapped", &|p| run(p, Backend::Map)),
    ];
    for cold in [false, true] {
        if large && cold {
            break;
        }
        let rounds = if large || cold { 3 } else { ROUNDS };
        let mut seconds = vec![Vec::new(); probes.len()];
        let mut processor = vec![Vec::new(); probes.len()];
        if !cold {
            pread_xor(&paths);
        }
        for _ in 0..rounds {
            for ((probe, seconds), processor) in probes.iter().zip(&mut seconds).zip(&mut processor) {
                if cold {
                    drop_from_cache(&paths);
                }
                let (started, before) = (Instant::now(), processor_seconds());
                (probe.1)(&paths);
                seconds.push(started.elapsed().as_secs_f64());
                processor.push(processor_seconds() - before);
            }
        }
        println!(
            "\n{} (median of {rounds})",
            if cold { "not in the page cache" } else { "in the page cache" }
        );
        let median = |s: &mut Vec<f64>| {
            s.sort_by(f64::total_cmp);
            s[s.len() / 2]
        };
        let bar = median(&mut seconds[0]);
        for ((probe, seconds), processor) in probes.iter().zip(&mut seconds).zip(&mut processor) {
            let (taken, busy) = (median(seconds), median(processor));
            println!(
                "  {:<26} {:7.3} s  {:6.2} GB/s  {:6.1} % of pread + xor  {busy:6.3} processor s",
                probe.0,
                taken,
                bytes as f64 / taken / 1e9,
                100.0 * bar / taken
            );
        }
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    for line in status.lines().filter(|l| l.starts_with("VmHWM") || l.starts_with("RssAnon")) {
        println!("{line}");
    }
}

/// Processor time of all threads so far.
fn processor_seconds() -> f64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    t.tv_sec as f64 + t.tv_nsec as f64 * 1e-9
}

fn run(paths: &[PathBuf; 2], backend: Backend) {
    let stop = AtomicBool::new(false);
    let settings = Settings { backend, threads: 2, ..Settings::new(&stop) };
    let [c, r] = paths.each_ref().map(|p| p.to_string_lossy().into_owned());
    let result = compare(&c, &r, &settings, &mut |_| {}).expect("the synthetic pair is well formed");
    assert!(result.judgement.verdict.kind.is_dependence(), "{:?}", result.judgement.verdict);
}

/// Both halves of both files, one thread per half, as a loop that does nothing else would do it.
fn pread_xor(paths: &[PathBuf; 2]) {
    const CHUNK: u64 = 1 << 20;
    on_halves(paths, |path, start, end| {
        let file = File::open(path).expect("the file was just written");
        let mut buffer = vec![0_u8; CHUNK as usize];
        let (mut at, mut sum) = (start, 0);
        while at < end {
            let taken = (end - at).min(CHUNK) as usize;
            file.read_exact_at(&mut buffer[..taken], at).expect("the range is inside");
            sum ^= xor(&buffer[..taken]);
            at += taken as u64;
        }
        sum
    });
}

#[allow(unsafe_code, reason = "the yardstick maps its own files")]
fn mapped_xor(paths: &[PathBuf; 2]) {
    on_halves(paths, |path, start, end| {
        let file = File::open(path).expect("the file was just written");
        // SAFETY: nobody else writes the benchmark's own files while it runs.
        let map = unsafe { memmap2::Mmap::map(&file) }.expect("mapping a regular file");
        xor(&map[start as usize..end as usize])
    });
}

fn on_halves(paths: &[PathBuf; 2], read: impl Fn(&Path, u64, u64) -> u64 + Sync) {
    std::thread::scope(|scope| {
        for half in 0..2 {
            let read = &read;
            scope.spawn(move || {
                let sum = paths.iter().fold(0, |sum, directory| {
                    let path = directory.join(synthetic::FILE);
                    let len = std::fs::metadata(&path).expect("the file is there").len();
                    sum ^ read(&path, len / 2 * half, if half == 0 { len / 2 } else { len })
                });
                std::hint::black_box(sum);
            });
        }
    });
}

fn xor(bytes: &[u8]) -> u64 {
    struct Xor<'a>(&'a [u8]);
    impl pulp::WithSimd for Xor<'_> {
        type Output = u64;
        #[inline(always)]
        fn with_simd<S: pulp::Simd>(self, _: S) -> u64 {
            let mut lanes = [0_u64; 16];
            for chunk in self.0.chunks_exact(128) {
                for (lane, word) in lanes.iter_mut().zip(chunk.chunks_exact(8)) {
                    *lane ^= u64::from_le_bytes(word.try_into().expect("eight bytes"));
                }
            }
            lanes.iter().fold(0, |a, b| a ^ b)
        }
    }
    pulp::Arch::new().dispatch(Xor(bytes))
}

fn drop_from_cache(paths: &[PathBuf; 2]) {
    for directory in paths {
        let file = File::open(directory.join(synthetic::FILE)).expect("the file is there");
        file.sync_all().expect("syncing a file");
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).expect("advising on a file");
    }
}
