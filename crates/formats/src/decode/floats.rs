//! IEEE half precision without branches, so that loops over it become vector code on any target.

/// The exact value of a half-precision number; NaN payloads are kept.
#[inline]
pub(super) fn half(bits: u16) -> f32 {
    const EXPONENT: u32 = 0x7c00 << 13;
    let sign = u32::from(bits & 0x8000) << 16;
    let magnitude = u32::from(bits & 0x7fff) << 13;
    let exponent = magnitude & EXPONENT;
    let normal = magnitude + ((127 - 15) << 23);
    let special = normal + ((128 - 16) << 23);
    // A denormal's mantissa placed below an implicit one, which is then subtracted: exact, and no denormal arithmetic.
    let tiny = (f32::from_bits(magnitude + (113 << 23)) - f32::from_bits(113 << 23)).to_bits();
    let value = if exponent == 0 { tiny } else { normal };
    let value = if exponent == EXPONENT { special } else { value };
    f32::from_bits(value | sign)
}

#[cfg(test)]
mod tests {
    use super::half;

    /// Straight from the definition.
    fn slow(bits: u16) -> f64 {
        let (exponent, mantissa) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
        let value = match exponent {
            0 => mantissa * 2f64.powi(-24),
            31 if mantissa == 0.0 => f64::INFINITY,
            31 => f64::NAN,
            _ => (1024.0 + mantissa) * 2f64.powi(exponent - 25),
        };
        if bits >> 15 == 1 { -value } else { value }
    }

    #[test]
    fn all_65536() {
        for bits in 0..=u16::MAX {
            let (fast, slow) = (half(bits), slow(bits) as f32);
            assert!(fast.to_bits() == slow.to_bits() || fast.is_nan() && slow.is_nan(), "{bits:#06x}");
        }
    }
}
