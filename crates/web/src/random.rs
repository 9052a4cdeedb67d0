//! Randomness that nobody can predict: from the system, never from a seed.

use crate::error::WebError;

/// Bytes from the system's generator.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], WebError> {
    let mut out = [0; N];
    getrandom::fill(&mut out).map_err(|error| WebError::Random(error.to_string()))?;
    Ok(out)
}

/// A number below `n`, each equally likely. `n` is above 0.
pub(crate) fn below(n: u64) -> Result<u64, WebError> {
    // The largest multiple of n that fits; what lies beyond it would favour small numbers.
    let fair = u64::MAX - u64::MAX % n;
    loop {
        let drawn = u64::from_le_bytes(bytes()?);
        if drawn < fair {
            return Ok(drawn % n);
        }
    }
}

/// Whether a thing of this probability happens.
pub(crate) fn happens(probability: f64) -> Result<bool, WebError> {
    const STEPS: u64 = 1 << 53;
    Ok((below(STEPS)? as f64) < probability * STEPS as f64)
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Hexadecimal digits as bytes; nothing where they are none, or not N bytes.
pub(crate) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.is_ascii() {
        return None;
    }
    let mut out = [0; N];
    for (byte, digits) in out.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digit = |c: u8| char::from(c).to_digit(16);
        *byte = (digit(digits[0])? * 16 + digit(digits[1])?) as u8;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes_about_equally_often() {
        // Chi-square with 5 degrees of freedom exceeds 44 with probability 2e-8.
        let mut counts = [0_u32; 6];
        (0..60_000).for_each(|_| counts[below(6).unwrap() as usize] += 1);
        let chi: f64 = counts.iter().map(|c| (f64::from(*c) - 10_000.0).powi(2) / 10_000.0).sum();
        assert!(chi < 44.0, "{counts:?}");
        assert_eq!(below(1).unwrap(), 0);
        assert!(!happens(0.0).unwrap() && happens(1.0).unwrap());
    }

    #[test]
    fn hexadecimal_goes_both_ways() {
        assert_eq!(hex(&[0, 171, 255]), "00abff");
        assert_eq!(unhex("00abff"), Some([0, 171, 255]));
        assert_eq!((unhex::<3>("00abf"), unhex::<3>("00abfg"), unhex::<1>("é")), (None, None, None));
    }
}
