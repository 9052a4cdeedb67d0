//! A small writer of GGUF version 3.
//!
//! Answers: *which bytes hold these key-value pairs and tensors?* Must not know: architectures.

use half::f16;

/// A value of the key-value section; only the kinds that are written here.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    U32(u32),
    F32(f32),
    Text(String),
    Integers(Vec<i32>),
    Texts(Vec<String>),
}

/// How the elements of a tensor are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Four bytes each.
    F32,
    /// Blocks of 32: an f16 scale and 32 signed bytes.
    Q8_0,
}

/// Elements of a Q8_0 block.
const BLOCK: usize = 32;
/// Bytes that the start of every tensor is a multiple of, the format's default.
const ALIGNMENT: usize = 32;

/// A GGUF file being put together.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    pairs: Vec<(String, Value)>,
    tensors: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    name: String,
    /// Fastest axis first, as the format wants it.
    extents: Vec<u64>,
    encoding: Encoding,
    bytes: Vec<u8>,
}

impl Writer {
    /// Adds a key-value pair.
    pub(crate) fn pair(&mut self, key: &str, value: Value) {
        self.pairs.push((key.to_owned(), value));
    }

    /// Adds a tensor given in row-major order with its slowest axis first.
    pub(crate) fn tensor(&mut self, name: &str, shape: &[usize], encoding: Encoding, values: &[f32]) {
        debug_assert_eq!(shape.iter().product::<usize>(), values.len());
        let bytes = match encoding {
            Encoding::F32 => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Encoding::Q8_0 => values.chunks(BLOCK).flat_map(q8_0).collect(),
        };
        let extents = shape.iter().rev().map(|extent| *extent as u64).collect();
        self.tensors.push(Entry { name: name.to_owned(), extents, encoding, bytes });
    }

    /// The whole file.
    pub(crate) fn finish(self) -> Vec<u8> {
        let mut file = Vec::new();
        file.extend(b"GGUF");
        file.extend(3_u32.to_le_bytes());
        file.extend((self.tensors.len() as u64).to_le_bytes());
        file.extend((self.pairs.len() as u64).to_le_bytes());
        for (key, value) in &self.pairs {
            text(&mut file, key);
            value.write(&mut file);
        }
        let mut offset = 0;
        for tensor in &self.tensors {
            text(&mut file, &tensor.name);
            file.extend((tensor.extents.len() as u32).to_le_bytes());
            tensor.extents.iter().for_each(|extent| file.extend(extent.to_le_bytes()));
            file.extend(tensor.encoding.code().to_le_bytes());
            file.extend((offset as u64).to_le_bytes());
            offset += tensor.bytes.len().next_multiple_of(ALIGNMENT);
        }
        for tensor in &self.tensors {
            file.resize(file.len().next_multiple_of(ALIGNMENT), 0);
            file.extend(&tensor.bytes);
        }
        file.resize(file.len().next_multiple_of(ALIGNMENT), 0);
        file
    }
}

impl Encoding {
    /// The number of the type in the format's table.
    fn code(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::Q8_0 => 8,
        }
    }
}

impl Value {
    const UNSIGNED: u32 = 4;
    const SIGNED: u32 = 5;
    const FLOAT: u32 = 6;
    const STRING: u32 = 8;
    const LIST: u32 = 9;

    fn write(&self, file: &mut Vec<u8>) {
        match self {
            Self::U32(value) => {
                file.extend(Self::UNSIGNED.to_le_bytes());
                file.extend(value.to_le_bytes());
            }
            Self::F32(value) => {
                file.extend(Self::FLOAT.to_le_bytes());
                file.extend(value.to_le_bytes());
            }
            Self::Text(value) => {
                file.extend(Self::STRING.to_le_bytes());
                text(file, value);
            }
            Self::Integers(values) => {
                list(file, Self::SIGNED, values.len());
                values.iter().for_each(|value| file.extend(value.to_le_bytes()));
            }
            Self::Texts(values) => {
                list(file, Self::STRING, values.len());
                values.iter().for_each(|value| text(file, value));
            }
        }
    }
}

fn list(file: &mut Vec<u8>, kind: u32, length: usize) {
    file.extend(Value::LIST.to_le_bytes());
    file.extend(kind.to_le_bytes());
    file.extend((length as u64).to_le_bytes());
}

fn text(file: &mut Vec<u8>, value: &str) {
    file.extend((value.len() as u64).to_le_bytes());
    file.extend(value.as_bytes());
}

/// One block: scale = largest magnitude / 127 as f16, then the rounded quotients by the unrounded scale.
fn q8_0(values: &[f32]) -> Vec<u8> {
    debug_assert_eq!(values.len(), BLOCK, "rows of quantised tensors are whole blocks");
    let largest = values.iter().fold(0_f32, |largest, value| largest.max(value.abs()));
    let scale = largest / 127.0;
    let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
    let quotients = values.iter().map(|value| (value * inverse).round() as i8 as u8);
    f16::from_f32(scale).to_le_bytes().into_iter().chain(quotients).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_and_data_lie_where_the_format_says() {
        let mut writer = Writer::default();
        writer.pair("general.architecture", Value::Text("llama".into()));
        writer.pair("n", Value::U32(7));
        writer.tensor("a", &[2, 3], Encoding::F32, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        writer.tensor("b", &[1, 32], Encoding::Q8_0, &std::array::from_fn::<f32, 32, _>(|i| i as f32));
        let file = writer.finish();
        assert_eq!(&file[..8], b"GGUF\x03\0\0\0");
        let number = |at: usize| u64::from_le_bytes(file[at..at + 8].try_into().unwrap());
        assert_eq!((number(8), number(16)), (2, 2));
        assert_eq!(number(24), "general.architecture".len() as u64);
        // Two tensors, each padded to 32 bytes: 24 bytes of floats, 34 bytes of one block.
        assert_eq!(file.len() % ALIGNMENT, 0);
        let data = file.len() - 32 - 64;
        assert_eq!(file[data..data + 4], 1.0_f32.to_le_bytes());
        let block = &file[data + 32..data + 32 + 34];
        assert_eq!(f16::from_le_bytes([block[0], block[1]]), f16::from_f32(31.0 / 127.0));
        assert_eq!((block[2], block[33]), (0, 127));
    }
}
