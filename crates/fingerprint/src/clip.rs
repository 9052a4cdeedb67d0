//! Clipping: no single value may carry a test.
//!
//! A value whose size says nothing about what the model computes (a weight that reads a dead channel) can be made as large as
//! one likes and drowns the others in every inner product. Values are therefore cut at a multiple of the typical magnitude
//! around them. Cutting is odd and its limit depends on magnitudes alone, so it commutes with every sign flip and the tests
//! stay exact; on trained weights it hardly ever applies.

/// Values looked at to find the typical magnitude.
const SAMPLE: usize = 128;
/// The limit is 2^7 times the power of two at or below the median magnitude: between about 35 and 100 standard deviations
/// of a Gaussian, far beyond what trained weights reach but for a few, small enough that a hundredth of all values at the
/// limit leaves most of the power.
const OCTAVES: i32 = 7;

/// Largest magnitude that is kept among `len` values: their median magnitude, zeros left out, rounded down to a power of two
/// and raised by seven octaves. `value(i)` gives the i-th; at most 128 positions, scattered by `salt`, are asked for, all if
/// those are zero. Infinite when no value is a finite number other than zero. O(1), O(len) for nearly empty pieces.
pub fn clip_limit(len: usize, salt: u64, value: impl Fn(usize) -> f32) -> f32 {
    let mut exponents = [0_u32; 256];
    let mut counted = 0;
    let mut count = |x: f32| {
        let exponent = (x.to_bits() >> 23) & 0xff;
        // Zero and subnormal numbers share exponent 0, NaN and infinity 255.
        if exponent != 0 && exponent != 255 {
            exponents[exponent as usize] += 1;
            counted += 1;
        }
    };
    let mut random = stemmata_stats::SplitMix64::new(salt);
    if len > SAMPLE {
        (0..SAMPLE)
            .for_each(|_| count(value(((u128::from(random.next_u64()) * len as u128) >> 64) as usize)));
    }
    if counted < 8 {
        (exponents, counted) = ([0; 256], 0);
        for i in 0..len {
            let exponent = (value(i).to_bits() >> 23) & 0xff;
            if exponent != 0 && exponent != 255 {
                exponents[exponent as usize] += 1;
                counted += 1;
            }
        }
    }
    let mut below = 0;
    for (exponent, count) in exponents.iter().enumerate() {
        below += count;
        if counted > 0 && 2 * below >= counted {
            return 2f32.powi((exponent as i32 - 127 + OCTAVES).min(127));
        }
    }
    f32::INFINITY
}

/// Cuts every value at ±`limit`; what is not finite becomes zero.
pub fn clip(values: &mut [f32], limit: f32) {
    for x in values {
        *x = if x.is_finite() { x.clamp(-limit, limit) } else { 0.0 };
    }
}

/// Whether one number other than zero fills the whole row: a default, not something that was learned. Such rows are the same
/// in models that have nothing else in common.
pub fn is_constant(row: &[f32]) -> bool {
    row.len() >= 8 && row[0] != 0.0 && row.iter().all(|x| *x == row[0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use stemmata_stats::SplitMix64;

    #[test]
    fn the_limit_follows_the_bulk_and_not_the_outliers() {
        let mut random = SplitMix64::new(4);
        let mut x: Vec<f32> = (0..65_536).map(|_| random.normal() as f32 * 0.02).collect();
        let limit = |x: &[f32]| clip_limit(x.len(), 9, |i| x[i]);
        let plain = limit(&x);
        assert!((0.02 * 35.0..0.02 * 101.0).contains(&plain), "{plain}");
        // A third of the columns of a 256-wide matrix blown up, another third zero.
        for row in x.chunks_exact_mut(256) {
            row[..85].iter_mut().for_each(|x| *x = 1e6);
            row[85..128].fill(0.0);
        }
        let attacked = limit(&x);
        assert!((plain / 4.0..=4.0 * plain).contains(&attacked), "{attacked}");
        clip(&mut x, attacked);
        assert!(x.iter().all(|x| x.abs() <= attacked));
    }

    #[test]
    fn odd_values_are_no_trouble() {
        let few = |x: &[f32]| clip_limit(x.len(), 1, |i| x[i]);
        assert_eq!(few(&[]), f32::INFINITY);
        assert_eq!(few(&[0.0, f32::NAN, f32::INFINITY, 1e-40]), f32::INFINITY);
        assert_eq!(few(&[1.5]), 128.0);
        assert_eq!(few(&[f32::MAX]), 2f32.powi(127));
        let mut x = [f32::NAN, -f32::INFINITY, -3.0, 0.5];
        clip(&mut x, 2.0);
        assert_eq!(x, [0.0, 0.0, -2.0, 0.5]);
        let mut sparse = vec![0.0; 10_000];
        sparse[5000] = 0.25;
        assert_eq!(few(&sparse), 32.0);
    }

    #[test]
    fn only_a_default_is_constant() {
        assert!(is_constant(&[0.02; 16]));
        assert!(!is_constant(&[0.0; 16]));
        assert!(!is_constant(&[0.02; 4]));
        assert!(!is_constant(&[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2.0]));
    }
}
