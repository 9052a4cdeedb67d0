//! Names a pickle imports: which are harmless because a checkpoint needs them, and what they mean.
//!
//! An allow-list decides trust. Lists of known-bad names have been bypassed again and again, so there is none.

use stemmata_model::{DType, Encoding, printable};

/// An imported name.
#[derive(Debug)]
pub(super) struct Global {
    pub(super) module: String,
    pub(super) name: String,
    /// Byte of the pickle where it was first imported.
    pub(super) offset: u64,
    /// Whether checkpoints need it and nothing can be run through it.
    pub(super) is_trusted: bool,
    /// A sketch of the first call's arguments, for names that are not trusted.
    pub(super) called: Option<String>,
}

impl Global {
    /// `module.name`, printable.
    pub(super) fn dotted(&self) -> String {
        printable(&format!("{}.{}", self.module, self.name))
    }
}

/// What a trusted callable builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Builder {
    /// An ordered or default dictionary.
    Dict,
    /// `(storage, offset, size, stride, …)`.
    Tensor,
    /// As `Tensor`, with the element type as seventh argument.
    TypedTensor,
    /// `(tensor, …)`: the first argument is what counts.
    Wrapper,
    /// `(function, type, arguments, state)`.
    Indirect,
    /// A tensor of a kind that is not read: sparse, quantised, on another device.
    Unreadable,
}

/// What calling a name builds, for those that checkpoints are made of.
pub(super) fn builder(global: &Global) -> Option<Builder> {
    match (global.module.as_str(), global.name.as_str()) {
        ("collections", "OrderedDict" | "defaultdict") => Some(Builder::Dict),
        ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Some(Builder::Tensor),
        ("torch._utils", "_rebuild_tensor_v3") => Some(Builder::TypedTensor),
        ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => Some(Builder::Wrapper),
        ("torch._tensor", "_rebuild_from_type_v2") => Some(Builder::Indirect),
        ("torch._utils", name) if UNREADABLE.contains(&name) => Some(Builder::Unreadable),
        _ => None,
    }
}

const UNREADABLE: [&str; 6] = [
    "_rebuild_qtensor",
    "_rebuild_sparse_tensor",
    "_rebuild_sparse_csr_tensor",
    "_rebuild_meta_tensor_no_storage",
    "_rebuild_device_tensor_from_numpy",
    "_rebuild_device_tensor_from_cpu_tensor",
];

/// Whether importing and calling a name can do nothing but build data.
pub(super) fn is_trusted(module: &str, name: &str) -> bool {
    let numpy = |name: &str| matches!(name, "_reconstruct" | "scalar");
    match module {
        "collections" => matches!(name, "OrderedDict" | "defaultdict"),
        "torch._utils" => {
            UNREADABLE.contains(&name)
                || matches!(
                    name,
                    "_rebuild_tensor"
                        | "_rebuild_tensor_v2"
                        | "_rebuild_tensor_v3"
                        | "_rebuild_parameter"
                        | "_rebuild_parameter_with_state"
                )
        }
        "torch._tensor" => matches!(name, "_rebuild_from_type_v2" | "Tensor"),
        "torch" => {
            matches!(name, "Size" | "device" | "Tensor")
                || dtype(module, name).is_some()
                || storage(module, name).is_some()
        }
        "torch.storage" => storage(module, name).is_some(),
        "torch.nn.parameter" => matches!(name, "Parameter" | "Buffer"),
        "torch.serialization" => name == "_get_layout",
        "_codecs" => name == "encode",
        "numpy.core.multiarray" | "numpy._core.multiarray" => numpy(name),
        "numpy" => matches!(name, "dtype" | "ndarray"),
        "builtins" | "__builtin__" => {
            matches!(
                name,
                "set" | "frozenset" | "bytearray" | "complex" | "list" | "dict" | "int" | "float" | "slice"
            )
        }
        // Classes of TorchScript: their code lies in the archive and is a hazard of its own.
        _ => module.starts_with("__torch__"),
    }
}

/// How the elements of a storage class or dtype are stored, and the bytes of one.
pub(super) type Element = (Encoding, u64);

fn plain(dtype: DType) -> Element {
    (Encoding::Plain(dtype), u64::from(dtype.bits() / 8))
}

/// A storage class. Untyped storages count bytes.
pub(super) fn storage(module: &str, name: &str) -> Option<Element> {
    if module != "torch" && module != "torch.storage" {
        return None;
    }
    Some(match name {
        "DoubleStorage" => plain(DType::F64),
        "FloatStorage" => plain(DType::F32),
        "HalfStorage" => plain(DType::F16),
        "BFloat16Storage" => plain(DType::BF16),
        "LongStorage" => plain(DType::I64),
        "IntStorage" => plain(DType::I32),
        "ShortStorage" => plain(DType::I16),
        "CharStorage" => plain(DType::I8),
        "ByteStorage" | "UntypedStorage" => plain(DType::U8),
        "BoolStorage" => plain(DType::Bool),
        "ComplexFloatStorage" => plain(DType::C64),
        "ComplexDoubleStorage" => (Encoding::Opaque("complex128"), 16),
        "QInt8Storage" => (Encoding::Opaque("qint8"), 1),
        "QUInt8Storage" => (Encoding::Opaque("quint8"), 1),
        "QInt32Storage" => (Encoding::Opaque("qint32"), 4),
        _ => return None,
    })
}

/// A `torch.dtype`.
pub(super) fn dtype(module: &str, name: &str) -> Option<Element> {
    if module != "torch" {
        return None;
    }
    Some(match name {
        "float64" | "double" => plain(DType::F64),
        "float32" | "float" => plain(DType::F32),
        "float16" | "half" => plain(DType::F16),
        "bfloat16" => plain(DType::BF16),
        "float8_e4m3fn" => plain(DType::F8E4M3),
        "float8_e5m2" => plain(DType::F8E5M2),
        "float8_e4m3fnuz" => plain(DType::F8E4M3Fnuz),
        "float8_e5m2fnuz" => plain(DType::F8E5M2Fnuz),
        "float8_e8m0fnu" => plain(DType::F8E8M0),
        "int64" | "long" => plain(DType::I64),
        "int32" | "int" => plain(DType::I32),
        "int16" | "short" => plain(DType::I16),
        "int8" => plain(DType::I8),
        "uint64" => plain(DType::U64),
        "uint32" => plain(DType::U32),
        "uint16" => plain(DType::U16),
        "uint8" => plain(DType::U8),
        "bool" => plain(DType::Bool),
        "complex64" => plain(DType::C64),
        "complex128" => (Encoding::Opaque("complex128"), 16),
        // Two elements a byte; PyTorch's shape counts bytes.
        "float4_e2m1fn_x2" => (Encoding::Opaque("float4_e2m1fn_x2"), 1),
        _ => return None,
    })
}
