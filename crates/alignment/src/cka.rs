//! Linear CKA of the rows of two matrices: how alike are the distances among the same things in two models?
//!
//! Context only. The same tokens have similar neighbours in every model, so independent models come out far above zero.

use stemmata_architecture::View;
use stemmata_fingerprint::RowReader;
use stemmata_model::{ReadError, Weights};

/// Fewer rows say nothing.
const FEWEST: usize = 16;
/// Sums of an inner product, in f32 over a stretch and then in f64, in a fixed order, so that the bits do not depend on the
/// processor.
const LANES: usize = 16;
const STRETCH: usize = 512;

/// Linear CKA (Kornblith et al. 2019) between rows `rows[i].0` of the first matrix and `rows[i].1` of the second, in the debiased
/// form of Song et al. 2012 (eq. 5), which does not grow with the width of the rows: 1 for the same rows up to rotation and scale,
/// 0 expected for unrelated ones. `None` with fewer than 16 rows or where one side does not vary.
///
/// Reads `rows` only. O(n² · width) time, O(n² + n · width) memory.
pub fn linear_cka(
    weights: [&dyn Weights; 2],
    views: [&View; 2],
    rows: &[(u64, u64)],
    stop: &dyn Fn() -> bool,
) -> Result<Option<f64>, ReadError> {
    if rows.len() < FEWEST {
        return Ok(None);
    }
    let first = gram(weights[0], views[0], rows.iter().map(|row| row.0), stop)?;
    let second = gram(weights[1], views[1], rows.iter().map(|row| row.1), stop)?;
    let n = rows.len();
    let (both, one, other) = (hsic(&first, &second, n), hsic(&first, &first, n), hsic(&second, &second, n));
    let scale = (one * other).sqrt();
    Ok((one > 0.0 && other > 0.0 && scale.is_finite()).then(|| both / scale))
}

/// Inner products of all pairs of rows, n × n, with zeros on the diagonal. Values that are not finite count as zero.
fn gram(
    weights: &dyn Weights,
    view: &View,
    rows: impl Iterator<Item = u64>,
    stop: &dyn Fn() -> bool,
) -> Result<Vec<f64>, ReadError> {
    let width = view.cols as usize;
    let mut values = Vec::new();
    let (mut reader, mut row) = (RowReader::default(), vec![0.0; width]);
    for index in rows {
        if stop() {
            return Err(ReadError::Interrupted);
        }
        reader.read(weights, view, index, width, &mut row)?;
        values.extend(row.iter().map(|x| if x.is_finite() { *x } else { 0.0 }));
    }
    let rows: Vec<&[f32]> = values.chunks_exact(width.max(1)).collect();
    let n = rows.len();
    let mut gram = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..i {
            let product = dot(rows[i], rows[j]);
            (gram[i * n + j], gram[j * n + i]) = (product, product);
        }
    }
    Ok(gram)
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    let stretch = |a: &[f32], b: &[f32]| -> f64 {
        let mut lanes = [0.0_f32; LANES];
        let (whole_a, whole_b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
        let rest = whole_a.remainder().iter().zip(whole_b.remainder());
        let rest: f64 = rest.map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
        for (a, b) in whole_a.zip(whole_b) {
            for i in 0..LANES {
                lanes[i] += a[i] * b[i];
            }
        }
        rest + lanes.iter().map(|x| f64::from(*x)).sum::<f64>()
    };
    a.chunks(STRETCH).zip(b.chunks(STRETCH)).map(|(a, b)| stretch(a, b)).sum()
}

/// n(n − 3) times the unbiased estimate of HSIC (Song et al. 2012, eq. 5) of two Gram matrices with zero diagonals.
fn hsic(k: &[f64], l: &[f64], n: usize) -> f64 {
    let sums = |m: &[f64]| m.chunks_exact(n).map(|row| row.iter().sum::<f64>()).collect::<Vec<f64>>();
    let (k_sums, l_sums) = (sums(k), sums(l));
    let total = |sums: &[f64]| sums.iter().sum::<f64>();
    let products: f64 = k.iter().zip(l).map(|(a, b)| a * b).sum();
    let crossed: f64 = k_sums.iter().zip(&l_sums).map(|(a, b)| a * b).sum();
    let n = n as f64;
    products + total(&k_sums) * total(&l_sums) / ((n - 1.0) * (n - 2.0)) - 2.0 / (n - 2.0) * crossed
}

#[cfg(test)]
mod tests {
    use super::*;
    use stemmata_architecture::RowOrder;
    use stemmata_model::Tensor;
    use stemmata_stats::SplitMix64;

    struct Rows(Vec<f32>);

    impl Weights for Rows {
        fn tensors(&self) -> &[Tensor] {
            &[]
        }
        fn read(&self, _: usize, start: u64, out: &mut [f32]) -> Result<(), ReadError> {
            out.copy_from_slice(&self.0[start as usize..start as usize + out.len()]);
            Ok(())
        }
        fn bytes_read(&self) -> u64 {
            0
        }
    }

    const N: u64 = 60;

    fn view(cols: u64) -> View {
        View { tensor: 0, rows: N, cols, first: 0, row_stride: cols, col_stride: 1, order: RowOrder::Stored }
    }

    fn cka(a: &Rows, b: &Rows, cols: [u64; 2]) -> Option<f64> {
        let rows: Vec<(u64, u64)> = (0..N).map(|i| (i, i)).collect();
        linear_cka([a, b], [&view(cols[0]), &view(cols[1])], &rows, &|| false).unwrap()
    }

    #[test]
    fn permuted_and_flipped_columns_keep_it_and_strangers_lose_it() {
        let mut random = SplitMix64::new(5);
        let mut draw =
            |cols: u64| Rows((0..N * cols).map(|_| random.normal() as f32 + 0.5).collect::<Vec<f32>>());
        let (a, b) = (draw(24), draw(200));
        let turned = Rows(a.0.chunks(24).flat_map(|row| row.iter().rev().map(|x| -3.0 * x)).collect());
        assert!((cka(&a, &turned, [24, 24]).unwrap() - 1.0).abs() < 1e-9);
        // The standard deviation is about 1/n; width does not raise the mean, which without debiasing would be 0.4 here.
        assert!(cka(&a, &b, [24, 200]).unwrap().abs() < 0.1);
        assert_eq!(cka(&a, &Rows(vec![1.0; 24 * 60]), [24, 24]), None);
    }

    #[test]
    fn few_rows_say_nothing_and_a_raised_flag_stops() {
        let a = Rows((0..N * 4).map(|i| (i % 7) as f32).collect());
        let rows: Vec<(u64, u64)> = (0..15).map(|i| (i, i)).collect();
        assert_eq!(linear_cka([&a, &a], [&view(4); 2], &rows, &|| false).unwrap(), None);
        let rows: Vec<(u64, u64)> = (0..20).map(|i| (i, i)).collect();
        assert!(linear_cka([&a, &a], [&view(4); 2], &rows, &|| true).is_err());
    }
}
