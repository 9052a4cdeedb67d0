//! The count sketch: a linear projection with one addition per element.

use stemmata_stats::SplitMix64;

/// Hashes coordinate `i` to one of `buckets` with a random sign (Charikar, Chen, Farach-Colton 2002). The inner product of
/// two sketched vectors is unbiased for the inner product of the vectors, with standard deviation about
/// ‖x‖‖y‖/√buckets. It is *linear*: flipping the sign of a vector flips the sketch, so sign tests stay exact.
#[derive(Clone, Debug)]
pub struct CountSketch {
    /// Bucket in the low bits, sign in bit 31.
    table: Vec<u32>,
    buckets: usize,
}

impl CountSketch {
    /// A projection of `dims` coordinates; the table for fewer coordinates is a prefix of the table for more.
    pub fn new(dims: usize, buckets: usize, seed: u64) -> CountSketch {
        let mut random = SplitMix64::new(seed);
        let table = (0..dims)
            .map(|_| {
                let bits = random.next_u64();
                ((bits >> 32) % buckets as u64) as u32 | ((bits as u32 & 1) << 31)
            })
            .collect();
        CountSketch { table, buckets }
    }

    /// Number of buckets.
    pub fn buckets(&self) -> usize {
        self.buckets
    }

    /// (bucket, sign) of coordinate `i`.
    #[inline]
    pub fn slot(&self, i: usize) -> (usize, f32) {
        let entry = self.table[i];
        ((entry & 0x7fff_ffff) as usize, if entry >> 31 == 1 { -1.0 } else { 1.0 })
    }

    /// Adds `row` to `sketch`. Elements that are not finite count as zero.
    pub fn add(&self, row: &[f32], sketch: &mut [f32]) {
        for (i, &x) in row.iter().enumerate() {
            if x.is_finite() {
                let (bucket, sign) = self.slot(i);
                sketch[bucket] += sign * x;
            }
        }
    }
}

/// The indices that stand for `total` channels when at most `limit` are kept: evenly spaced, the same for every model.
pub fn picked(total: u64, limit: u64) -> impl Iterator<Item = u64> + Clone {
    let kept = total.min(limit);
    (0..kept).map(move |i| (u128::from(i) * u128::from(total) / u128::from(kept.max(1))) as u64)
}

/// Rounds to signed bytes with one scale. Rounding is symmetric in sign, so a flipped vector gives the flipped codes.
pub fn quantize(values: &[f32], codes: &mut Vec<i8>) -> f32 {
    let largest = values.iter().fold(0.0_f32, |m, x| m.max(x.abs()));
    if largest == 0.0 || !largest.is_finite() {
        codes.extend(values.iter().map(|_| 0));
        return 0.0;
    }
    let scale = largest / 127.0;
    codes.extend(values.iter().map(|x| (x / scale).round() as i8));
    scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_products_are_kept_and_signs_flip() {
        let mut random = SplitMix64::new(1);
        let x: Vec<f32> = (0..4096).map(|_| random.normal() as f32).collect();
        let y: Vec<f32> = x.iter().map(|x| 0.8 * x + 0.6 * random.normal() as f32).collect();
        let projection = CountSketch::new(4096, 256, 42);
        let sketch = |v: &[f32]| {
            let mut s = vec![0.0; 256];
            projection.add(v, &mut s);
            s
        };
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
        let (sx, sy) = (sketch(&x), sketch(&y));
        // Standard deviation of the estimate is about 4096/16 = 256; five of them.
        assert!((dot(&sx, &sy) - dot(&x, &y)).abs() < 5.0 * 256.0);
        let negated: Vec<f32> = x.iter().map(|x| -x).collect();
        assert!(sketch(&negated).iter().zip(&sx).all(|(a, b)| *a == -b));
        let (mut codes, mut flipped) = (Vec::new(), Vec::new());
        assert_eq!(quantize(&sx, &mut codes), quantize(&sketch(&negated), &mut flipped));
        assert!(codes.iter().zip(&flipped).all(|(a, b)| *a == -b));
    }

    #[test]
    fn picks_are_even_and_within_range() {
        assert_eq!(picked(3, 8).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(picked(10, 4).collect::<Vec<_>>(), [0, 2, 5, 7]);
        assert_eq!(picked(0, 4).count(), 0);
    }
}
