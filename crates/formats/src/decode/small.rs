//! Tables for element types of eight bits and fewer.

/// How an 8-bit float spends its all-ones patterns.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Special {
    /// Infinities and NaNs at the top exponent, as IEEE.
    Ieee,
    /// One NaN magnitude, no infinity ("fn").
    Finite,
    /// NaN is negative zero, no infinity ("fnuz").
    Unsigned,
}

const fn power_of_two(exponent: i32) -> f32 {
    f32::from_bits(((exponent + 127) as u32) << 23)
}

const fn eight_bits(mantissa_bits: u32, bias: i32, special: Special) -> [f32; 256] {
    let mut table = [0.0; 256];
    let mut byte = 0;
    while byte < 256 {
        let magnitude = byte as u32 & 0x7f;
        let exponent = (magnitude >> mantissa_bits) as i32;
        let mantissa = magnitude & ((1 << mantissa_bits) - 1);
        let top = 0x7f >> mantissa_bits;
        let ones = (1 << mantissa_bits) - 1;
        let value = match special {
            Special::Ieee if exponent == top && mantissa == 0 => f32::INFINITY,
            Special::Ieee if exponent == top => f32::NAN,
            Special::Finite if exponent == top && mantissa == ones => f32::NAN,
            Special::Unsigned if byte == 0x80 => f32::NAN,
            _ if exponent == 0 => mantissa as f32 * power_of_two(1 - bias - mantissa_bits as i32),
            _ => {
                ((1 << mantissa_bits) + mantissa) as f32
                    * power_of_two(exponent - bias - mantissa_bits as i32)
            }
        };
        table[byte] = if byte < 128 { value } else { -value };
        byte += 1;
    }
    table
}

/// The scales of ggml's NVFP4: the sign is not looked at, and all ones are zero, as code 0 is.
const fn unsigned_e4m3() -> [f32; 256] {
    let mut table = [0.0; 256];
    let signed = eight_bits(3, 7, Special::Finite);
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte & 0x7f {
            0x7f if byte == 0x7f => 0.0,
            // 0xff is what the exponent and the mantissa say.
            0x7f => 480.0,
            magnitude => signed[magnitude],
        };
        byte += 1;
    }
    table
}

const fn powers_of_two() -> [f32; 256] {
    let mut table = [f32::NAN; 256];
    // 2^-127 is denormal.
    table[0] = f32::from_bits(1 << 22);
    let mut byte = 1;
    while byte < 255 {
        table[byte] = power_of_two(byte as i32 - 127);
        byte += 1;
    }
    table
}

pub(super) static E4M3: [f32; 256] = eight_bits(3, 7, Special::Finite);
pub(super) static E5M2: [f32; 256] = eight_bits(2, 15, Special::Ieee);
pub(super) static E4M3_FNUZ: [f32; 256] = eight_bits(3, 8, Special::Unsigned);
pub(super) static E5M2_FNUZ: [f32; 256] = eight_bits(2, 16, Special::Unsigned);
pub(super) static UE4M3: [f32; 256] = unsigned_e4m3();
pub(super) static E8M0: [f32; 256] = powers_of_two();
pub(crate) static E2M1: [f32; 16] =
    [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn landmarks() {
        assert_eq!((E4M3[0x7e], E4M3[1], E4M3[0x38]), (448.0, 2f32.powi(-9), 1.0));
        assert!(E4M3[0x7f].is_nan() && E4M3[0xff].is_nan() && E4M3[0x80].is_sign_negative());
        assert_eq!((E5M2[0x7b], E5M2[1], E5M2[0x7c]), (57344.0, 2f32.powi(-16), f32::INFINITY));
        assert_eq!((E4M3_FNUZ[0x7f], E4M3_FNUZ[1], E4M3_FNUZ[0xff]), (240.0, 2f32.powi(-10), -240.0));
        assert_eq!((E5M2_FNUZ[0x7f], E5M2_FNUZ[1]), (57344.0, 2f32.powi(-17)));
        assert!(E4M3_FNUZ[0x80].is_nan() && E5M2_FNUZ[0x80].is_nan());
        assert_eq!((E8M0[127], E8M0[254], E8M0[0]), (1.0, 2f32.powi(127), 2f32.powi(-127)));
        assert!(E8M0[255].is_nan());
    }

    #[test]
    fn e5m2_is_the_top_byte_of_a_half() {
        for byte in 0..=255u8 {
            let (table, half) = (E5M2[usize::from(byte)], super::super::floats::half(u16::from(byte) << 8));
            assert!(table.to_bits() == half.to_bits() || table.is_nan() && half.is_nan(), "{byte:#04x}");
        }
    }
}
