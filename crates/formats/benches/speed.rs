//! How fast stored bytes become numbers: gigabytes of file for each second of one core, from memory.
//!
//!     cargo bench -p stemmata-formats --bench speed > crates/formats/tests/page/speed.tsv
//!
//! Time is the processor's, so that what else the machine does matters little. Each row is the best of several rounds.
#![allow(clippy::print_stdout)]

use std::hint::black_box;
use stemmata_formats::packed::{Entry, Pieces, Scratch, inventory};
use stemmata_formats::{Limits, decode, parse};
use stemmata_model::{Block, Config, DType, Encoding, ReadError, Storage, Tensor, Value};

/// Bytes that each row is made from, at least.
const BYTES: usize = 8 << 20;
const ROUNDS: usize = 5;
/// Values asked for at once.
const PIECE: usize = 1 << 16;

fn seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn best(mut round: impl FnMut()) -> f64 {
    (0..ROUNDS)
        .map(|_| {
            let started = seconds();
            round();
            seconds() - started
        })
        .fold(f64::INFINITY, f64::min)
}

fn row(name: &str, bytes: usize, took: f64) {
    println!("{name}\t{:.2}", bytes as f64 / took / 1e9);
}

/// Bytes that are no pattern (SplitMix64), small enough to be exponents.
fn bytes(len: usize) -> Vec<u8> {
    let mut state = 7u64;
    (0..len)
        .map(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            (mixed >> 40) as u8 & 0x3b
        })
        .collect()
}

fn plain(name: &str, encoding: Encoding, file: &[u8]) {
    let (per, size) = encoding.granule().unwrap();
    let granules = file.len() / size as usize;
    let at_once = PIECE / per as usize;
    let mut out = vec![0.0; at_once * per as usize];
    let took = best(|| {
        for piece in file[..granules * size as usize].chunks_exact(at_once * size as usize) {
            assert!(decode(encoding, piece, &mut out));
            black_box(&out);
        }
    });
    row(name, granules / at_once * at_once * size as usize, took);
}

/// Pieces of packed weights in memory.
struct Memory<'a>(&'a [u8]);

impl Pieces for Memory<'_> {
    fn values(&self, tensor: &Tensor, start: u64, out: &mut [f32]) -> Result<(), ReadError> {
        let (per, size) = tensor.encoding.granule().unwrap();
        let from = tensor.storage.offset as usize + start as usize / per as usize * size as usize;
        let len = out.len() / per as usize * size as usize;
        assert!(decode(tensor.encoding, &self.0[from..from + len], out), "{tensor:?}");
        Ok(())
    }

    fn bytes(&self, tensor: &Tensor, offset: u64, out: &mut [u8]) -> Result<(), ReadError> {
        let from = (tensor.storage.offset + offset) as usize;
        out.copy_from_slice(&self.0[from..from + out.len()]);
        Ok(())
    }

    fn contradiction(&self, tensor: &Tensor, reason: String) -> ReadError {
        panic!("{tensor:?}: {reason}")
    }
}

/// Reads all of the one matrix that `pieces` are put together to, a stripe of rows at a time.
fn packed(name: &str, pieces: &[(&str, DType, &[u64])], state: Option<&[u8]>, config: &[(&str, Value)]) {
    let mut tensors = Vec::new();
    let mut file = Vec::new();
    for (piece, dtype, shape) in pieces {
        let len = shape.iter().product::<u64>() * u64::from(dtype.bits() / 8);
        let storage = Storage { file: 0, offset: file.len() as u64, len, strides: None };
        let encoding = Encoding::Plain(*dtype);
        tensors.push(Tensor { name: (*piece).to_owned(), shape: shape.to_vec(), encoding, storage });
        match (state, piece.contains("quant_state") || piece.contains("weight_shape")) {
            (Some(state), true) => file.extend_from_slice(state),
            _ => file.extend(bytes(len as usize)),
        }
    }
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    let mut settings = Config::default();
    settings.entries.extend(config.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    let memory = Memory(&file);
    let found = inventory(tensors, &settings, &memory);
    assert!(found.undecoded.is_empty(), "{name}: {:?}", found.undecoded);
    let entry: &Entry = found.entries.iter().find(|entry| !entry.is_stored()).expect(name);
    let mut out = vec![0.0; PIECE];
    let took = best(|| {
        let mut scratch = Scratch::default();
        let mut at = 0;
        while at < entry.tensor.elements() {
            let len = (entry.tensor.elements() - at).min(PIECE as u64) as usize;
            entry.read(&memory, &mut scratch, at, &mut out[..len]).unwrap();
            black_box(&out);
            at += len as u64;
        }
    });
    row(name, file.len(), took);
}

/// Opens a file in memory and reads its first tensor from where it stands, also behind the file's end.
fn whole(name: &str, file: &[u8]) {
    let parsed = parse(&file, name, 0, &Limits::default()).unwrap();
    let tensor = parsed.tensors.iter().max_by_key(|tensor| tensor.storage.len).unwrap();
    let (per, size) = tensor.encoding.granule().unwrap();
    let most = PIECE / per as usize * size as usize;
    let mut raw = vec![0; most];
    let mut out = vec![0.0; PIECE];
    let took = best(|| {
        let mut at = 0;
        while at < tensor.storage.len {
            let len = (tensor.storage.len - at).min(most as u64) as usize;
            let place = tensor.storage.offset + at;
            let stored = match file.get(place as usize..place as usize + len) {
                Some(stored) => stored,
                None => {
                    parsed.derived.read_exact_at(&file, place, &mut raw[..len]).unwrap();
                    &raw[..len]
                }
            };
            assert!(decode(tensor.encoding, stored, &mut out[..len / size as usize * per as usize]));
            black_box(&out);
            at += len as u64;
        }
    });
    row(name, file.len(), took);
}

/// An array of f32 with its header.
fn npy(order: char, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{order}f4', 'fortran_order': False, 'shape': ({},)}}", data.len() / 4);
    [b"\x93NUMPY\x01\0", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), data].concat()
}

/// An archive with one deflated entry.
fn zipped(content: &[u8]) -> Vec<u8> {
    let packed = miniz_oxide::deflate::compress_to_vec(content, 6);
    let fields = |out: &mut Vec<u8>| {
        out.extend([20u16, 0, 8, 0, 0].iter().flat_map(|n| n.to_le_bytes()));
        out.extend([0u32, packed.len() as u32, content.len() as u32].iter().flat_map(|n| n.to_le_bytes()));
        out.extend([5u16, 0].iter().flat_map(|n| n.to_le_bytes()));
    };
    let mut out = b"PK\x03\x04".to_vec();
    fields(&mut out);
    out.extend(b"a.npy");
    out.extend(&packed);
    let start = out.len() as u32;
    out.extend(b"PK\x01\x02\x14\0");
    fields(&mut out);
    out.extend([0; 14]);
    out.extend(b"a.npy");
    let size = out.len() as u32 - start;
    out.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
    out.extend([size, start].iter().flat_map(|n| n.to_le_bytes()));
    out.extend([0, 0]);
    out
}

fn main() {
    use Block::*;
    use DType::*;
    println!("row\tgigabytes of file a second of one core");
    let file = bytes(BYTES);
    for dtype in [F64, F32, F16, BF16, F8E4M3, F8E5M2, F4, I8] {
        plain(dtype.name(), Encoding::Plain(dtype), &file);
    }
    let blocks = [
        Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2K, Q3K, Q4K, Q5K, Q6K, Iq4Nl, Iq4Xs, Iq1S, Iq1M, Iq2Xxs, Iq2Xs, Iq2S,
        Iq3Xxs, Iq3S, Tq1_0, Tq2_0, Mxfp4, Nvfp4, Q1_0, Q2_0,
    ];
    for block in blocks {
        plain(block.name(), Encoding::Quantized(block), &file);
    }
    whole("npy", &npy('<', &file));
    whole("npy-swapped", &npy('>', &file));
    whole("npz-deflated", &zipped(&npy('<', &file)));
    let text = |text: &str| Value::Text(text.to_owned());
    packed(
        "gptq-4",
        &[("a.qweight", I32, &[512, 4096]), ("a.qzeros", I32, &[32, 512]), ("a.scales", F16, &[32, 4096])],
        None,
        &[],
    );
    packed(
        "gptq-3",
        &[("a.qweight", I32, &[384, 4096]), ("a.qzeros", I32, &[32, 384]), ("a.scales", F16, &[32, 4096])],
        None,
        &[],
    );
    packed(
        "awq-4",
        &[("a.qweight", I32, &[4096, 512]), ("a.qzeros", I32, &[32, 512]), ("a.scales", F16, &[32, 4096])],
        None,
        &[],
    );
    let gemv =
        [("quantization_config.version", text("gemv")), ("quantization_config.group_size", Value::Int(128))];
    packed(
        "awq-4-rows",
        &[("a.qweight", I32, &[4096, 512]), ("a.qzeros", I32, &[4096, 4]), ("a.scales", F16, &[4096, 32])],
        None,
        &gemv,
    );
    let mlx = [("quantization.bits", Value::Int(4)), ("quantization.group_size", Value::Int(64))];
    packed(
        "mlx-4",
        &[("a.weight", U32, &[4096, 512]), ("a.scales", F16, &[4096, 64]), ("a.biases", F16, &[4096, 64])],
        None,
        &mlx,
    );
    let state = br#"{"blocksize":64,"shape":[4096,4096]}"#;
    packed(
        "nf4",
        &[
            ("a.weight", U8, &[8 << 20, 1]),
            ("a.weight.absmax", F32, &[262_144]),
            ("a.weight.quant_map", F32, &[16]),
            ("a.weight.quant_state.bitsandbytes__nf4", U8, &[state.len() as u64]),
        ],
        Some(state),
        &[],
    );
    packed("bnb-int8", &[("a.weight", I8, &[2048, 4096]), ("a.SCB", F32, &[2048])], None, &[]);
    packed(
        "f8_e4m3-scaled",
        &[("a.weight", F8E4M3, &[2048, 4096]), ("a.weight_scale_inv", F32, &[16, 32])],
        None,
        &[],
    );
    packed(
        "mxfp4-packed",
        &[("a_blocks", U8, &[4, 1024, 128, 16]), ("a_scales", U8, &[4, 1024, 128])],
        None,
        &[],
    );
    packed(
        "nvfp4-packed",
        &[
            ("a.weight_packed", U8, &[4096, 2048]),
            ("a.weight_scale", F8E4M3, &[4096, 256]),
            ("a.weight_global_scale", F32, &[1]),
        ],
        None,
        &[],
    );
    let extents: Vec<u8> = [4096i64, 4096].iter().flat_map(|n| n.to_le_bytes()).collect();
    packed(
        "int4-packed",
        &[
            ("a.weight_packed", I32, &[4096, 512]),
            ("a.weight_scale", F16, &[4096, 32]),
            ("a.weight_shape", I64, &[2]),
        ],
        Some(&extents),
        &[],
    );
}
