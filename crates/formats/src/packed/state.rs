//! What bitsandbytes says of a four-bit tensor: a JSON document in a tensor of bytes.

use crate::parse_config;
use stemmata_model::{Config, Shape, Value};

/// Bytes of the longest document; honest ones have some two hundred.
pub(super) const STATE_BYTES: u64 = 4096;
/// Dimensions, at most.
const RANK: usize = 8;

/// The document, as far as it is needed.
#[derive(Debug, PartialEq)]
pub(super) struct State {
    /// Extents of the tensor.
    pub(super) shape: Shape,
    /// Their product; not zero.
    pub(super) elements: u64,
    /// Elements of a block.
    pub(super) block: u64,
    /// (magnitudes of a block, offset) where magnitudes are quantised.
    pub(super) nested: Option<(u64, f32)>,
}

/// Reads the document; `Err` says what is wrong with it.
pub(super) fn state(bytes: &[u8]) -> Result<State, &'static str> {
    let (config, _) = parse_config(bytes, "quant_state").map_err(|_| "its quantisation state is not JSON")?;
    let Some(Value::List(extents)) = config.get("shape") else {
        return Err("its quantisation state has no shape");
    };
    let extent = |value: &Value| match value {
        Value::Int(n) => u64::try_from(*n).ok().filter(|n| *n > 0),
        _ => None,
    };
    let shape: Option<Shape> = extents.iter().map(extent).collect();
    let shape = shape.filter(|shape| (1..=RANK).contains(&shape.len()));
    let shape = shape.ok_or("its quantisation state has a shape of no tensor")?;
    let elements = shape.iter().try_fold(1u64, |product, extent| product.checked_mul(*extent));
    let elements = elements.ok_or("its quantisation state has a shape of no tensor")?;
    let block = positive(&config, "blocksize")?;
    let nested = match config.get("nested_offset") {
        None => None,
        Some(offset) => {
            let offset = match offset {
                Value::Float(x) => *x as f32,
                Value::Int(n) => *n as f32,
                _ => return Err("its quantisation state has an offset that is no number"),
            };
            Some((positive(&config, "nested_blocksize")?, offset))
        }
    };
    Ok(State { shape, elements, block, nested })
}

fn positive(config: &Config, key: &str) -> Result<u64, &'static str> {
    config.count(key).filter(|n| *n > 0).ok_or("its quantisation state has no block size")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Result<(&[u64], u64), &str>) {
        let found = state(text.as_bytes());
        let found =
            found.as_ref().map(|state| (state.shape.as_slice(), state.block)).map_err(|reason| *reason);
        assert_eq!(found, expect, "{text}");
    }

    #[test]
    fn honest_and_hostile_documents() {
        check(r#"{"blocksize":64,"shape":[128,192],"dtype":"bfloat16"}"#, Ok((&[128, 192], 64)));
        check(r#"{"blocksize":64,"shape":[]}"#, Err("its quantisation state has a shape of no tensor"));
        check(r#"{"blocksize":64,"shape":[0,4]}"#, Err("its quantisation state has a shape of no tensor"));
        check(r#"{"blocksize":64,"shape":[-1,4]}"#, Err("its quantisation state has a shape of no tensor"));
        check(
            r#"{"blocksize":64,"shape":[4294967296,4294967296]}"#,
            Err("its quantisation state has a shape of no tensor"),
        );
        check(r#"{"blocksize":64,"shape":[[4],4]}"#, Err("its quantisation state has no shape"));
        check(r#"{"blocksize":0,"shape":[4]}"#, Err("its quantisation state has no block size"));
        check(r#"{"shape":[4]}"#, Err("its quantisation state has no block size"));
        check(r#"{"shape":[4],"blocksize":1e99}"#, Err("its quantisation state has no block size"));
        check(r#"{"shape":"#, Err("its quantisation state is not JSON"));
        check(&"[".repeat(4000), Err("its quantisation state is not JSON"));
        let nested = state(br#"{"shape":[8],"blocksize":64,"nested_blocksize":256,"nested_offset":0.5}"#);
        assert_eq!(nested.unwrap().nested, Some((256, 0.5)));
    }
}
