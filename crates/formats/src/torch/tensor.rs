//! From a call that would rebuild a tensor to the tensor's description, with every bound checked.

use super::arena::{Id, Pickle, Value};
use super::globals::{Builder, Element, builder, dtype, storage};
use super::{Context, subject};
use crate::FormatError;
use crate::hazards::Hazards;
use stemmata_model::{Level, Storage, Tensor};

/// Wrappers around wrappers: PyTorch writes at most two.
const WRAPPERS: usize = 8;
/// A strided view may have this many elements whatever its storage holds.
const FREE_ELEMENTS: u64 = 1 << 24;

/// Storage keys are small numbers in practice.
pub(super) const KEY_BYTES: usize = 256;

/// A storage as a persistent reference names it.
pub(super) struct StorageReference {
    pub(super) key: String,
    pub(super) element: Element,
    /// Elements of that type.
    pub(super) count: u64,
    /// Whether it is a window into another storage (written before PyTorch 0.4).
    pub(super) is_view: bool,
}

/// Reads `('storage', class, key, location, count[, view])`.
pub(super) fn reference(pickle: &Pickle, id: Id) -> Result<StorageReference, &'static str> {
    let Value::Persistent(id) = pickle.get(id) else { return Err("its storage is not an outside reference") };
    let Some([kind, class, key, _, count, rest @ ..]) = pickle.items(*id) else {
        return Err("its storage reference has too few parts");
    };
    if !pickle.is_text(*kind, "storage") {
        return Err("its outside reference does not name a storage");
    }
    let class = pickle.global(*class).and_then(|class| storage(&class.module, &class.name));
    let Some(element) = class else { return Err("its storage class is not known") };
    let key = match pickle.get(*key) {
        Value::Int(number) => number.to_string(),
        _ => pickle.short_text(*key, KEY_BYTES).ok_or("its storage key is not a short text")?.into_owned(),
    };
    let count = pickle.int(*count).and_then(|count| u64::try_from(count).ok());
    let Some(count) = count else { return Err("its storage's size is not a non-negative integer") };
    let is_view = rest.first().is_some_and(|view| !matches!(pickle.get(*view), Value::None));
    Ok(StorageReference { key, element, count, is_view })
}

/// A tensor and the key of its storage.
pub(super) struct Rebuilt {
    pub(super) tensor: Tensor,
    pub(super) key: String,
}

/// The tensor that a value stands for; `None` if it stands for something else.
pub(super) fn rebuild(
    pickle: &Pickle,
    id: Id,
    name: &str,
    context: &Context,
    hazards: &mut Hazards,
) -> Result<Option<Rebuilt>, FormatError> {
    let Value::Call { callable, args, .. } = pickle.get(id) else { return Ok(None) };
    let (mut callable, mut args) = (*callable, *args);
    for _ in 0..WRAPPERS {
        let Some(builder) = pickle.global(callable).filter(|global| global.is_trusted).and_then(builder)
        else {
            return Ok(None);
        };
        let fail = |reason: &str| {
            Err(context.source.malformed(
                subject(name),
                0..context.source.len,
                format!("in the pickle, {reason}"),
            ))
        };
        let Some(items) = pickle.items(args) else { return fail("its arguments are not a tuple") };
        let inner = match (builder, items) {
            (Builder::Tensor, [storage, offset, size, stride, ..]) => {
                let view =
                    View { storage: *storage, offset: *offset, size: *size, stride: *stride, dtype: None };
                return view.tensor(pickle, name, context, hazards).map(Some);
            }
            (Builder::TypedTensor, [storage, offset, size, stride, _, _, dtype, ..]) => {
                let dtype = Some(*dtype);
                let view = View { storage: *storage, offset: *offset, size: *size, stride: *stride, dtype };
                return view.tensor(pickle, name, context, hazards).map(Some);
            }
            (Builder::Unreadable, _) => {
                hazards.part("unreadable-tensor", Level::Note, name, || {
                    "a sparse, quantised or device tensor of a kind that is not read".into()
                });
                return Ok(None);
            }
            (Builder::Wrapper, [tensor, ..]) => match pickle.get(*tensor) {
                Value::Call { callable, args, .. } => Some((*callable, *args)),
                _ => None,
            },
            (Builder::Indirect, [function, _, inner, ..]) => Some((*function, *inner)),
            (Builder::Dict, _) => return Ok(None),
            _ => return fail("its rebuild call has too few arguments"),
        };
        let Some(inner) = inner else { return fail("a parameter wraps something that is no tensor") };
        (callable, args) = inner;
    }
    Err(context.source.malformed(
        subject(name),
        0..context.source.len,
        "in the pickle, wrappers nest too deeply",
    ))
}

/// The arguments of a rebuild call.
struct View {
    storage: Id,
    offset: Id,
    size: Id,
    stride: Id,
    dtype: Option<Id>,
}

impl View {
    fn tensor(
        &self,
        pickle: &Pickle,
        name: &str,
        context: &Context,
        hazards: &mut Hazards,
    ) -> Result<Rebuilt, FormatError> {
        let source = context.source;
        let fail = |reason: &str| {
            Err(source.malformed(subject(name), 0..source.len, format!("in the pickle, {reason}")))
        };
        let reference = match reference(pickle, self.storage) {
            Ok(reference) => reference,
            Err(reason) => return fail(reason),
        };
        if reference.is_view {
            return Err(source.unsupported(subject(name), "its storage is a window into another storage"));
        }
        let (mut encoding, element) = reference.element;
        let Some(storage_bytes) = reference.count.checked_mul(element) else {
            return fail("its storage's size overflows 64 bits");
        };
        let mut width = element;
        if let Some(dtype_id) = self.dtype {
            let named = pickle.global(dtype_id).and_then(|global| dtype(&global.module, &global.name));
            let Some((named, bytes)) = named else { return fail("its dtype is not known") };
            (encoding, width) = (named, bytes);
        }
        let capacity = storage_bytes / width;
        let rank = extent_items(pickle, self.size).map_or(0, <[Id]>::len);
        if rank > context.limits.rank {
            let limit = context.limits.rank as u64;
            return Err(source.limit(format!("the rank of {}", subject(name)), rank as u64, limit));
        }
        let strides = extents(pickle, self.stride, rank);
        let (Some(shape), Some(strides)) = (extents(pickle, self.size, rank), strides) else {
            return fail("its size or stride is not a tuple of non-negative integers, as many in both");
        };
        let offset = pickle.int(self.offset).and_then(|offset| u64::try_from(offset).ok());
        let Some(offset) = offset else { return fail("its storage offset is not a non-negative integer") };
        let product = shape.iter().try_fold(1u64, |product, extent| product.checked_mul((*extent).max(1)));
        let Some(product) = product.filter(|product| product.checked_mul(width).is_some()) else {
            return fail("the product of its size overflows 64 bits");
        };
        let elements = if shape.contains(&0) { 0 } else { product };
        let span = span(&shape, &strides, elements);
        let needed = span.and_then(|span| span.checked_add(offset)).filter(|needed| *needed <= capacity);
        if needed.is_none() {
            return fail(&format!(
                "it looks at elements from {offset} on beyond its storage, which holds {capacity}"
            ));
        }
        if elements > FREE_ELEMENTS && elements / context.limits.expansion.max(1) > capacity {
            let limit = capacity.saturating_mul(context.limits.expansion).max(FREE_ELEMENTS);
            let what = format!("the number of elements of {}, an expanded view,", subject(name));
            return Err(source.limit(what, elements, limit));
        }
        if elements > capacity {
            hazards.part("expanded-view", Level::Note, name, || {
                format!("its {elements} elements repeat a storage of {capacity}")
            });
        }
        let place = match context.storages.get(&reference.key) {
            Some(place) if place.len >= storage_bytes => *place,
            Some(place) => {
                return Err(FormatError::Truncated {
                    file: source.name.clone(),
                    subject: subject(name),
                    start: 0,
                    end: storage_bytes,
                    place: "its storage",
                    available: place.len,
                });
            }
            None => {
                let key = stemmata_model::printable(&reference.key);
                return fail(&format!("its storage `{key}` is not in the file"));
            }
        };
        if place.len > storage_bytes {
            hazards.part("storage-size", Level::Note, name, || {
                format!("its storage holds {} bytes, {storage_bytes} are declared", place.len)
            });
        }
        let contiguous = is_contiguous(&shape, &strides, elements);
        // Both fit: `needed` elements lie within `capacity`, whose bytes were computed above.
        let (first, len) = (offset * width, span.unwrap_or(0) * width);
        let storage = Storage {
            file: context.file_index,
            offset: place.offset + first,
            len,
            strides: (!contiguous).then_some(strides),
        };
        let tensor = Tensor { name: name.to_owned(), shape, encoding, storage };
        Ok(Rebuilt { tensor, key: reference.key })
    }
}

fn extent_items<'p>(pickle: &'p Pickle, id: Id) -> Option<&'p [Id]> {
    // `torch.Size((…))` in files that spell it out.
    let id = match pickle.get(id) {
        Value::Call { callable, args, .. } if pickle.global(*callable).is_some_and(|g| g.name == "Size") => {
            *pickle.items(*args)?.first()?
        }
        _ => id,
    };
    pickle.items(id)
}

/// Exactly `rank` non-negative integers.
fn extents(pickle: &Pickle, id: Id, rank: usize) -> Option<Vec<u64>> {
    let items = extent_items(pickle, id).filter(|items| items.len() == rank)?;
    items.iter().map(|item| u64::try_from(pickle.int(*item)?).ok()).collect()
}

/// Elements of the storage from the view's first to its last, both included; `None` on overflow.
fn span(shape: &[u64], strides: &[u64], elements: u64) -> Option<u64> {
    if elements == 0 {
        return Some(0);
    }
    shape
        .iter()
        .zip(strides)
        .try_fold(1u64, |span, (extent, stride)| span.checked_add((extent - 1).checked_mul(*stride)?))
}

fn is_contiguous(shape: &[u64], strides: &[u64], elements: u64) -> bool {
    let mut expected = 1u64;
    elements == 0
        || shape.iter().zip(strides).rev().all(|(extent, stride)| {
            let fits = *extent == 1 || *stride == expected;
            expected = expected.saturating_mul(*extent);
            fits
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        assert_eq!(span(&[2, 3], &[3, 1], 6), Some(6));
        assert_eq!(span(&[3, 2], &[1, 3], 6), Some(6));
        assert_eq!(span(&[4, 4], &[0, 0], 16), Some(1));
        assert_eq!(span(&[], &[], 1), Some(1));
        assert_eq!(span(&[2], &[u64::MAX], 2), None);
        assert!(is_contiguous(&[2, 1, 3], &[3, 77, 1], 6));
        assert!(!is_contiguous(&[3, 2], &[1, 3], 6));
    }
}
