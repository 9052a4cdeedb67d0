//! How the numbers of one tensor are stored.

use std::fmt;

/// A plain element type, as the containers name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
#[allow(missing_docs)] // The names are the definitions.
pub enum DType {
    F64,
    F32,
    F16,
    BF16,
    F8E4M3,
    F8E5M2,
    F8E8M0,
    F8E4M3Fnuz,
    F8E5M2Fnuz,
    F6E2M3,
    F6E3M2,
    F4,
    I64,
    I32,
    I16,
    I8,
    I4,
    U64,
    U32,
    U16,
    U8,
    U4,
    Bool,
    C64,
}

impl DType {
    /// Bits of one element.
    pub fn bits(self) -> u32 {
        use DType::*;
        match self {
            F64 | I64 | U64 | C64 => 64,
            F32 | I32 | U32 => 32,
            F16 | BF16 | I16 | U16 => 16,
            F8E4M3 | F8E5M2 | F8E8M0 | F8E4M3Fnuz | F8E5M2Fnuz | I8 | U8 | Bool => 8,
            F6E2M3 | F6E3M2 => 6,
            F4 | I4 | U4 => 4,
        }
    }

    /// Whether values of this type are real numbers that may be weights (integers are codes or indices).
    pub fn is_float(self) -> bool {
        use DType::*;
        matches!(
            self,
            F64 | F32 | F16 | BF16 | F8E4M3 | F8E5M2 | F8E4M3Fnuz | F8E5M2Fnuz | F6E2M3 | F6E3M2 | F4
        )
    }

    /// Lower-case name, as printed to people.
    pub fn name(self) -> &'static str {
        use DType::*;
        match self {
            F64 => "f64",
            F32 => "f32",
            F16 => "f16",
            BF16 => "bf16",
            F8E4M3 => "f8_e4m3",
            F8E5M2 => "f8_e5m2",
            F8E8M0 => "f8_e8m0",
            F8E4M3Fnuz => "f8_e4m3fnuz",
            F8E5M2Fnuz => "f8_e5m2fnuz",
            F6E2M3 => "f6_e2m3",
            F6E3M2 => "f6_e3m2",
            F4 => "f4",
            I64 => "i64",
            I32 => "i32",
            I16 => "i16",
            I8 => "i8",
            I4 => "i4",
            U64 => "u64",
            U32 => "u32",
            U16 => "u16",
            U8 => "u8",
            U4 => "u4",
            Bool => "bool",
            C64 => "c64",
        }
    }
}

/// A block quantisation of the ggml family: a fixed number of elements in a fixed number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
#[allow(missing_docs)] // The names are ggml's.
pub enum Block {
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q2K,
    Q3K,
    Q4K,
    Q5K,
    Q6K,
    Iq4Nl,
    Iq4Xs,
    Iq1S,
    Iq1M,
    Iq2Xxs,
    Iq2Xs,
    Iq2S,
    Iq3Xxs,
    Iq3S,
    Tq1_0,
    Tq2_0,
    Mxfp4,
    Nvfp4,
    Q1_0,
    Q2_0,
}

impl Block {
    /// (elements, bytes) of one block.
    pub fn layout(self) -> (u32, u32) {
        match self {
            Block::Q4_0 => (32, 18),
            Block::Q4_1 => (32, 20),
            Block::Q5_0 => (32, 22),
            Block::Q5_1 => (32, 24),
            Block::Q8_0 => (32, 34),
            Block::Q2K => (256, 84),
            Block::Q3K => (256, 110),
            Block::Q4K => (256, 144),
            Block::Q5K => (256, 176),
            Block::Q6K => (256, 210),
            Block::Iq4Nl => (32, 18),
            Block::Iq4Xs => (256, 136),
            Block::Iq1S => (256, 50),
            Block::Iq1M => (256, 56),
            Block::Iq2Xxs => (256, 66),
            Block::Iq2Xs => (256, 74),
            Block::Iq2S => (256, 82),
            Block::Iq3Xxs => (256, 98),
            Block::Iq3S => (256, 110),
            Block::Tq1_0 => (256, 54),
            Block::Tq2_0 => (256, 66),
            Block::Mxfp4 => (32, 17),
            Block::Nvfp4 => (64, 36),
            Block::Q1_0 => (128, 18),
            Block::Q2_0 => (64, 18),
        }
    }

    /// ggml's name, lower case.
    pub fn name(self) -> &'static str {
        match self {
            Block::Q4_0 => "q4_0",
            Block::Q4_1 => "q4_1",
            Block::Q5_0 => "q5_0",
            Block::Q5_1 => "q5_1",
            Block::Q8_0 => "q8_0",
            Block::Q2K => "q2_k",
            Block::Q3K => "q3_k",
            Block::Q4K => "q4_k",
            Block::Q5K => "q5_k",
            Block::Q6K => "q6_k",
            Block::Iq4Nl => "iq4_nl",
            Block::Iq4Xs => "iq4_xs",
            Block::Iq1S => "iq1_s",
            Block::Iq1M => "iq1_m",
            Block::Iq2Xxs => "iq2_xxs",
            Block::Iq2Xs => "iq2_xs",
            Block::Iq2S => "iq2_s",
            Block::Iq3Xxs => "iq3_xxs",
            Block::Iq3S => "iq3_s",
            Block::Tq1_0 => "tq1_0",
            Block::Tq2_0 => "tq2_0",
            Block::Mxfp4 => "mxfp4",
            Block::Nvfp4 => "nvfp4",
            Block::Q1_0 => "q1_0",
            Block::Q2_0 => "q2_0",
        }
    }
}

/// A quantisation whose codes, scales and offsets lie in several stored tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Packing {
    /// The scheme with the width of its codes, for instance `gptq-4`.
    pub scheme: &'static str,
    /// Thousandths of a bit for one element, everything that its value is made from counted.
    pub millibits: u32,
}

/// How a tensor's numbers are laid out in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Encoding {
    /// One element after the other, little-endian.
    Plain(DType),
    /// Blocks of quantised elements with their scales.
    Quantized(Block),
    /// Computed from several stored tensors, which the inventory does not list by themselves.
    Packed(Packing),
    /// Stored in a way this build knows of but does not decode; the text is the container's own name for it.
    Opaque(&'static str),
}

impl Encoding {
    /// (elements, bytes) of the smallest piece that can be decoded alone; `None` where it is unknown or below a byte.
    pub fn granule(self) -> Option<(u32, u32)> {
        match self {
            Encoding::Plain(dtype) if dtype.bits() % 8 == 0 => Some((1, dtype.bits() / 8)),
            Encoding::Plain(DType::F4 | DType::I4 | DType::U4) => Some((2, 1)),
            Encoding::Plain(_) | Encoding::Packed(_) | Encoding::Opaque(_) => None,
            Encoding::Quantized(block) => Some(block.layout()),
        }
    }

    /// Bytes that `elements` take, if that is a whole number of granules and does not overflow.
    pub fn bytes_for(self, elements: u64) -> Option<u64> {
        let (per, bytes) = self.granule()?;
        if !elements.is_multiple_of(u64::from(per)) {
            return None;
        }
        (elements / u64::from(per)).checked_mul(u64::from(bytes))
    }

    /// Whether this build turns what is stored into numbers.
    pub fn is_decodable(self) -> bool {
        self.granule().is_some() || matches!(self, Encoding::Packed(_))
    }

    /// Whether the decoded values are real numbers that may be weights.
    pub fn is_float(self) -> bool {
        match self {
            Encoding::Plain(dtype) => dtype.is_float(),
            Encoding::Quantized(_) | Encoding::Packed(_) => true,
            Encoding::Opaque(_) => false,
        }
    }

    /// Bits that one value needs on its grid, counting scales: the storage precision in the sense of METHODS S6.
    pub fn bits_per_element(self) -> f64 {
        match (self, self.granule()) {
            (Encoding::Packed(packing), _) => f64::from(packing.millibits) / 1000.0,
            (_, Some((elements, bytes))) => f64::from(bytes) * 8.0 / f64::from(elements),
            (_, None) => f64::NAN,
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Encoding::Plain(dtype) => dtype.name(),
            Encoding::Quantized(block) => block.name(),
            Encoding::Packed(packing) => packing.scheme,
            Encoding::Opaque(name) => name,
        })
    }
}
