//! Clipping: no single value may carry a test.
//!
//! A value whose size says nothing about what the model computes (a weight that reads a dead channel) can be made as large as
//! one likes and drowns the others in every inner product. Values are therefore cut at a multiple of the typical magnitude
//! around them. Cutting is odd and its limit depends on magnitudes alone, so it commutes with every sign flip and the tests
//! stay exact; on trained weights it hardly ever applies.

/// Values looked at to find the typical magnitude.
const SAMPLE: usize = 128;
/// The limit is 2^6 times the power of two at or below the upper quartile of the magnitudes: between about 35 and 80 standard
/// deviations of a Gaussian, far beyond what trained weights reach but for a few, small enough that a hundredth of all values at
/// the limit leaves most of the power. A quarter of the values may be wild, or three quarters tiny, before the limit follows.
const OCTAVES: i32 = 6;

/// Where to look among these values: a hash of all their magnitudes, so that nobody can tell the places before having written
/// the last value. The same for a channel with its sign flipped.
pub fn content_salt(values: &[f32]) -> u64 {
    let mut lanes = [0.0_f64; 8];
    for piece in values.chunks(8) {
        lanes.iter_mut().zip(piece).for_each(|(lane, x)| *lane += f64::from(x.abs()));
    }
    lanes.iter().fold(0, |salt, lane| mix(salt, *lane))
}

/// Joins one more sum of magnitudes to a salt.
pub fn mix(salt: u64, sum: f64) -> u64 {
    stemmata_stats::SplitMix64::new(salt ^ sum.to_bits()).next_u64()
}

/// Largest magnitude that is kept among `len` values: the upper quartile of their magnitudes, zeros left out, rounded down to a
/// power of two and raised by six octaves. `value(i)` gives the i-th; at most 128 positions, scattered by `salt`, are asked for,
/// all if nearly all of those are zero. Infinite when no value is a finite number other than zero. O(1), O(len) for nearly
/// empty pieces.
pub fn clip_limit(len: usize, salt: u64, value: impl Fn(usize) -> f32) -> f32 {
    let mut exponents = Exponents::default();
    let mut random = stemmata_stats::SplitMix64::new(salt);
    if len > SAMPLE {
        for _ in 0..SAMPLE {
            exponents.count(value(((u128::from(random.next_u64()) * len as u128) >> 64) as usize));
        }
    }
    if exponents.total < 8 {
        exponents = Exponents::default();
        (0..len).for_each(|i| exponents.count(value(i)));
    }
    exponents.upper_quartile().map_or(f32::INFINITY, |e| 2f32.powi((e + OCTAVES).min(127)))
}

/// How often each binary exponent occurs.
struct Exponents {
    counts: [u32; 256],
    total: u32,
}

impl Default for Exponents {
    fn default() -> Exponents {
        Exponents { counts: [0; 256], total: 0 }
    }
}

impl Exponents {
    fn count(&mut self, x: f32) {
        let exponent = (x.to_bits() >> 23) & 0xff;
        // Zero and subnormal numbers share exponent 0, NaN and infinity 255.
        if exponent != 0 && exponent != 255 {
            self.counts[exponent as usize] += 1;
            self.total += 1;
        }
    }

    fn upper_quartile(&self) -> Option<i32> {
        let mut below = 0;
        self.counts.iter().zip(-127..).find_map(|(count, exponent)| {
            below += count;
            (self.total > 0 && 4 * u64::from(below) >= 3 * u64::from(self.total)).then_some(exponent)
        })
    }
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
        let limit = |x: &[f32]| clip_limit(x.len(), content_salt(x), |i| x[i]);
        let plain = limit(&x);
        assert!((0.02 * 30.0..0.02 * 90.0).contains(&plain), "{plain}");
        // A tenth of the columns of a 256-wide matrix blown up, half of them as good as zero.
        for row in x.chunks_exact_mut(256) {
            row[..25].iter_mut().for_each(|x| *x = 1e6);
            row[25..128].fill(1e-30);
        }
        let attacked = limit(&x);
        assert!((plain / 4.0..=4.0 * plain).contains(&attacked), "{attacked}");
        clip(&mut x, attacked);
        assert!(x.iter().all(|x| x.abs() <= attacked));
    }

    #[test]
    fn nobody_can_tell_beforehand_where_the_limit_looks() {
        let mut random = SplitMix64::new(7);
        let mut x: Vec<f32> = (0..65_536).map(|_| random.normal() as f32).collect();
        let flipped: Vec<f32> = x.iter().enumerate().map(|(i, x)| if i % 3 == 0 { -x } else { *x }).collect();
        assert_eq!(content_salt(&x), content_salt(&flipped));
        let plain = clip_limit(x.len(), content_salt(&x), |i| x[i]);
        // The positions that were looked at, made tiny: they are not looked at again.
        let salt = content_salt(&x);
        for _ in 0..4 {
            let seen = std::cell::RefCell::new(Vec::new());
            clip_limit(x.len(), salt, |i| {
                seen.borrow_mut().push(i);
                x[i]
            });
            seen.into_inner().into_iter().for_each(|i| x[i] = 1.2e-38);
        }
        let poisoned = clip_limit(x.len(), content_salt(&x), |i| x[i]);
        assert!((plain / 2.0..=2.0 * plain).contains(&poisoned), "{poisoned}");
    }

    #[test]
    fn odd_values_are_no_trouble() {
        let few = |x: &[f32]| clip_limit(x.len(), 1, |i| x[i]);
        assert_eq!(few(&[]), f32::INFINITY);
        assert_eq!(few(&[0.0, f32::NAN, f32::INFINITY, 1e-40]), f32::INFINITY);
        assert_eq!(few(&[1.5]), 64.0);
        assert_eq!(few(&[f32::MAX]), 2f32.powi(127));
        let mut x = [f32::NAN, -f32::INFINITY, -3.0, 0.5];
        clip(&mut x, 2.0);
        assert_eq!(x, [0.0, 0.0, -2.0, 0.5]);
        let mut sparse = vec![0.0; 10_000];
        sparse[5000] = 0.25;
        assert_eq!(few(&sparse), 16.0);
    }

    #[test]
    fn only_a_default_is_constant() {
        assert!(is_constant(&[0.02; 16]));
        assert!(!is_constant(&[0.0; 16]));
        assert!(!is_constant(&[0.02; 4]));
        assert!(!is_constant(&[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2.0]));
    }
}
