//! Inventories of packed weights made from arbitrary bytes, and a stand-in for files of any length. Shared with the fuzz
//! target.

use stemmata_formats::decode;
use stemmata_formats::packed::{Entry, LowRank, Pieces, Scratch, inventory};
use stemmata_model::{Config, DType, Encoding, ReadError, Storage, Tensor, Value};

/// More than any single request may be, whatever the inventory says.
const LARGEST_REQUEST: usize = 1 << 25;

/// Files whose bytes repeat a few given ones.
pub(crate) struct Repeating<'a> {
    bytes: &'a [u8],
    state: &'a [u8],
    /// What `weight_shape` says.
    extents: [u64; 2],
}

fn byte(bytes: &[u8], at: u64) -> u8 {
    if bytes.is_empty() { 0 } else { bytes[(at % bytes.len() as u64) as usize] }
}

impl Pieces for Repeating<'_> {
    fn values(&self, tensor: &Tensor, start: u64, out: &mut [f32]) -> Result<(), ReadError> {
        assert!(out.len() <= LARGEST_REQUEST, "{} values of {tensor:?}", out.len());
        let end = start.checked_add(out.len() as u64).unwrap();
        assert!(end <= tensor.elements(), "values {start}..{end} of {tensor:?}");
        if tensor.name.ends_with("weight_shape") && tensor.encoding == Encoding::Plain(DType::I64) {
            for (out, extent) in out.iter_mut().zip(self.extents) {
                *out = extent as f32;
            }
            return Ok(());
        }
        let refused = || Err(self.contradiction(tensor, String::new()));
        let Some((per, size)) = tensor.encoding.granule() else { return refused() };
        let first = start / u64::from(per);
        let granules = (end.div_ceil(u64::from(per)) - first) as usize;
        let bytes: Vec<u8> = (0..granules * size as usize)
            .map(|i| byte(self.bytes, tensor.storage.offset + first * u64::from(size) + i as u64))
            .collect();
        let mut whole = vec![0.0; granules * per as usize];
        if !decode(tensor.encoding, &bytes, &mut whole) {
            return refused();
        }
        let lead = (start % u64::from(per)) as usize;
        out.copy_from_slice(&whole[lead..lead + out.len()]);
        Ok(())
    }

    fn bytes(&self, tensor: &Tensor, offset: u64, out: &mut [u8]) -> Result<(), ReadError> {
        assert!(out.len() <= LARGEST_REQUEST, "{} bytes of {tensor:?}", out.len());
        let end = offset.checked_add(out.len() as u64).unwrap();
        assert!(end <= tensor.storage.len, "bytes {offset}..{end} of {tensor:?}");
        let from = if tensor.name.contains("quant_state") { self.state } else { self.bytes };
        let start = if tensor.name.contains("quant_state") { offset } else { tensor.storage.offset + offset };
        for (i, out) in out.iter_mut().enumerate() {
            *out = byte(from, start + i as u64);
        }
        Ok(())
    }

    fn contradiction(&self, tensor: &Tensor, reason: String) -> ReadError {
        ReadError::Contradiction { file: String::new(), tensor: tensor.name.clone(), reason }
    }
}

/// Takes numbers off the front.
struct Draw<'a>(&'a [u8]);

impl Draw<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// Mostly small, sometimes absurd.
    fn extent(&mut self) -> u64 {
        match self.byte() {
            0 => 0,
            n @ 1..=200 => u64::from(n),
            n @ 201..=230 => u64::from(n - 200) * 128,
            n @ 231..=250 => 1 << (n - 231 + 12),
            _ => u64::MAX - u64::from(self.byte()),
        }
    }
}

/// Elements of two factors that are tried.
const MOST_FACTORS: u64 = 1 << 16;

const NAMES: &[&str] = &[
    "a.qweight",
    "a.qzeros",
    "a.scales",
    "a.g_idx",
    "a.weight",
    "a.weight.absmax",
    "a.weight.quant_map",
    "a.weight.nested_absmax",
    "a.weight.nested_quant_map",
    "a.weight.quant_state.bitsandbytes__nf4",
    "a.SCB",
    "a.weight_format",
    "a.weight_scale",
    "a.weight_scale_inv",
    "a.scale",
    "a.weight_packed",
    "a.weight_shape",
    "a.weight_zero_point",
    "a_blocks",
    "a_scales",
    "a.biases",
    "a.weight_scale_2",
    "a.weight_global_scale",
    "a.lora_magnitude_vector",
];
const TYPES: &[DType] = &[
    DType::I32,
    DType::F16,
    DType::U8,
    DType::I8,
    DType::F32,
    DType::F8E4M3,
    DType::F8E8M0,
    DType::I64,
    DType::BF16,
    DType::F4,
    DType::U32,
];

/// A name, a type and extents.
type Piece = (&'static str, DType, Vec<u64>);

/// Pieces that need not fit together.
fn any_pieces(draw: &mut Draw<'_>) -> Vec<Piece> {
    let present = u32::from_le_bytes([draw.byte(), draw.byte(), draw.byte(), 0]);
    let names = NAMES.iter().enumerate().filter(|(i, _)| present >> i & 1 == 1);
    let one = |(_, name): (usize, &&'static str)| {
        let dtype = TYPES[usize::from(draw.byte()) % TYPES.len()];
        let rank = draw.byte() % 5;
        (*name, dtype, (0..rank).map(|_| draw.extent()).collect())
    };
    names.map(one).collect()
}

/// Pieces that fit together, unless an extent of one is replaced; and the document that belongs to them.
fn fitting_pieces(draw: &mut Draw<'_>, scheme: u8) -> (Vec<Piece>, String, [u64; 2]) {
    let bits = [2, 4, 8][usize::from(draw.byte() % 3)];
    let per_word = 32 / bits;
    let groups = u64::from(draw.byte() % 5) + 1;
    let inputs = groups * (u64::from(draw.byte()) + 1) * 8;
    let outputs = (u64::from(draw.byte()) + 1) * 8;
    let float = [DType::F16, DType::BF16, DType::F32][usize::from(draw.byte() % 3)];
    let (elements, block) = (inputs * outputs, u64::from(draw.byte()) + 1);
    let (blocks, nested) = (elements.div_ceil(block), 256);
    let words = |n: u64| n.div_ceil(per_word);
    let mut state = format!(r#"{{"blocksize":{block},"shape":[{outputs},{inputs}]"#);
    // Of integers that are packed densely.
    let width = if scheme % 11 == 7 { u64::from(draw.byte() % 8) + 1 } else { 8 };
    let dense = |n: u64| (n * width).div_ceil(32);
    use DType::{F8E4M3, F32, I8, I32, I64, U8, U32};
    let mut pieces = match scheme % 11 {
        0 => vec![
            ("a.qweight", I32, vec![words(inputs), outputs]),
            ("a.qzeros", I32, vec![groups, words(outputs)]),
            ("a.scales", float, vec![groups, outputs]),
            ("a.g_idx", I32, vec![inputs]),
        ],
        1 => vec![
            ("a.qweight", I32, vec![inputs, outputs / 8]),
            ("a.qzeros", I32, vec![groups, outputs / 8]),
            ("a.scales", float, vec![groups, outputs]),
        ],
        2 | 3 => vec![
            ("a.weight", U8, vec![elements.div_ceil(2), 1]),
            ("a.weight.absmax", if scheme % 11 == 3 { U8 } else { F32 }, vec![blocks]),
            ("a.weight.nested_absmax", F32, vec![blocks.div_ceil(nested)]),
            ("a.weight.nested_quant_map", F32, vec![256]),
            ("a.weight.quant_map", F32, vec![16]),
            ("a.weight.quant_state.bitsandbytes__nf4", U8, vec![200]),
        ],
        4 => vec![("a.weight", I8, vec![outputs, inputs]), ("a.SCB", F32, vec![outputs])],
        5 => vec![
            ("a.weight", F8E4M3, vec![groups, outputs, inputs]),
            ("a.weight_scale", float, vec![groups, outputs.div_ceil(128), inputs.div_ceil(128)]),
        ],
        6 => vec![
            ("a_blocks", U8, vec![groups, outputs, inputs / 8, 16]),
            ("a_scales", U8, vec![groups, outputs, inputs / 8]),
        ],
        8 => vec![
            ("a.weight", U32, vec![outputs, words(inputs)]),
            ("a.scales", float, vec![outputs, groups]),
            ("a.biases", float, vec![outputs, groups]),
        ],
        9 => vec![
            ("a.weight_packed", U8, vec![outputs, inputs / 2]),
            ("a.weight_scale", F8E4M3, vec![outputs, inputs / 16]),
            ("a.weight_global_scale", F32, vec![1]),
        ],
        10 => vec![
            ("a.weight_packed", U8, vec![outputs, inputs / 2]),
            ("a.weight_scale", U8, vec![outputs, inputs / 32]),
        ],
        _ => vec![
            ("a.weight_packed", I32, vec![outputs, dense(inputs)]),
            ("a.weight_scale", float, vec![outputs, groups]),
            ("a.weight_shape", I64, vec![2]),
            ("a.weight_zero_point", I32, vec![dense(outputs), groups]),
        ],
    };
    if scheme % 11 == 3 {
        state += &format!(r#","nested_blocksize":{nested},"nested_offset":0.5"#);
    }
    state.push('}');
    if draw.byte() > 150 {
        let place = usize::from(draw.byte()) % pieces.len();
        let shape = &mut pieces[place].2;
        let axis = usize::from(draw.byte()) % shape.len();
        shape[axis] = draw.extent();
    }
    if draw.byte() > 230 {
        pieces.remove(usize::from(draw.byte()) % pieces.len());
    }
    (pieces, format!("{state:200}"), [outputs, inputs])
}

/// Puts an inventory together from `data` and reads its ends and middles; tells how many tensors were put together.
/// Panics where a promise is broken.
pub(crate) fn invent(data: &[u8]) -> usize {
    let mut draw = Draw(data);
    let scheme = draw.byte();
    let (pieces, state, extents) = match scheme {
        0..80 => (any_pieces(&mut draw), None, [draw.extent(), draw.extent()]),
        _ => {
            let (pieces, state, extents) = fitting_pieces(&mut draw, scheme);
            (pieces, Some(state).filter(|_| draw.byte() < 200), extents)
        }
    };
    let mut tensors = Vec::new();
    let mut offset = 0u64;
    for (name, dtype, shape) in pieces {
        // What every container has checked: the product fits and so do the bytes.
        let encoding = Encoding::Plain(dtype);
        let elements = shape.iter().try_fold(1u64, |all, extent| all.checked_mul(*extent));
        let len = elements.and_then(|all| encoding.bytes_for(all)).filter(|len| *len < 1 << 60);
        let Some(len) = len else { continue };
        let strides = (draw.byte() == 255).then(|| vec![0; shape.len()]);
        let storage = Storage { file: 0, offset, len, strides };
        tensors.push(Tensor { name: name.to_owned(), shape, encoding, storage });
        offset = (offset + len) % (1 << 60);
    }
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    let mut config = Config::default();
    for (key, value) in [
        ("bits", Value::Int(i64::from(draw.byte() % 16))),
        ("checkpoint_format", Value::Text(if draw.byte() % 2 == 0 { "gptq_v2" } else { "gptq" }.to_owned())),
        (
            "weight_block_size",
            Value::List(vec![Value::Int(draw.byte().into()), Value::Int(draw.byte().into())]),
        ),
    ] {
        config.entries.insert(format!("quantization.{key}"), value.clone());
        config.entries.insert(format!("quantization_config.{key}"), value);
    }
    let (bytes, own_state) = draw.0.split_at(draw.0.len() / 2);
    let state = state.as_ref().map_or(own_state, |text| text.as_bytes());
    let pieces = Repeating { bytes, state, extents };
    let found = inventory(tensors.clone(), &config, &pieces);
    assert!(found.entries.windows(2).all(|pair| pair[0].tensor.name < pair[1].tensor.name));
    let together = found.entries.iter().filter(|entry| !entry.is_stored()).count();
    for entry in found.entries {
        use_entry(&entry, &pieces);
        // Both factors are held whole: the largest that are allowed take a second each time here, where every byte is made up.
        let factors = |a: &Tensor, b: &Tensor| a.elements().saturating_add(b.elements());
        let pairs = tensors.iter().zip(tensors.iter().skip(1));
        for (a, b) in pairs.filter(|(a, b)| factors(a, b) < MOST_FACTORS) {
            if let Ok(change) = LowRank::new(&entry.tensor, a.clone(), b.clone(), 0.5, bytes.len() % 2 == 0) {
                use_entry(&entry.clone().plus(change), &pieces);
            }
        }
    }
    together
}

fn use_entry(entry: &Entry, pieces: &Repeating<'_>) {
    let elements = entry.tensor.elements();
    if elements == 0 {
        return;
    }
    let mut scratch = Scratch::default();
    let mut out = [0.0; 70];
    for start in [0, elements / 2, elements.saturating_sub(70), elements - 1] {
        let len = (elements - start).min(70) as usize;
        let _ = entry.read(pieces, &mut scratch, start, &mut out[..len]);
    }
}
