use super::*;
use proptest::prelude::*;

fn check(candidate: &[f32], reference: &[f32], width: usize) {
    let rows = candidate.len() / width;
    let mut columns = vec![0.0; width];
    let mut sums = vec![RowSums::default(); rows];
    accumulate(
        Arch::new(),
        Operand::Decoded(candidate),
        Operand::Decoded(reference),
        width,
        &mut columns,
        &mut sums,
    );
    let close = |got: f64, want: f64, scale: f64| (got - want).abs() <= 1e-5 * scale + 1e-30;
    for (i, sums) in sums.iter().enumerate() {
        let c = &candidate[i * width..(i + 1) * width];
        let r = &reference[i * width..(i + 1) * width];
        let total = |f: &dyn Fn(f64, f64) -> f64| -> f64 {
            c.iter().zip(r).map(|(c, r)| f(f64::from(*c), f64::from(*r))).sum()
        };
        assert!(close(sums.dot, total(&|c, r| c * r), total(&|c, r| (c * r).abs())));
        assert!(close(sums.candidate, total(&|c, _| c * c), sums.candidate));
        assert!(close(sums.reference, total(&|_, r| r * r), sums.reference));
        assert!(close(sums.difference, total(&|c, r| (c - r).powi(2)), sums.difference + 1e-12));
        assert!(close(sums.fourth, total(&|c, r| (c - r).powi(4)), sums.fourth + 1e-12));
        assert_eq!(sums.changed, total(&|c, r| f64::from(u8::from(c != r))));
    }
    for (j, column) in columns.iter().enumerate() {
        let terms =
            || (0..rows).map(|i| f64::from(candidate[i * width + j]) * f64::from(reference[i * width + j]));
        assert!(close(f64::from(*column), terms().sum(), terms().map(f64::abs).sum()));
    }
}

proptest! {
    #[test]
    fn sums_agree_with_a_plain_loop(width in 1_usize..1200, rows in 1_usize..5, seed in any::<u64>()) {
        let mut random = stemmata_stats::SplitMix64::new(seed);
        let mut draw = || (0..width * rows).map(|_| random.normal() as f32).collect::<Vec<_>>();
        let (a, mut b) = (draw(), draw());
        for (b, a) in b.iter_mut().zip(&a).step_by(3) { *b = *a; }
        check(&a, &b, width);
    }
}

#[test]
fn bad_elements_count_as_zero() {
    let width = 40;
    let mut c = vec![1.0_f32; 2 * width];
    let r = vec![2.0_f32; 2 * width];
    c[3] = f32::NAN;
    c[50] = f32::INFINITY;
    let mut columns = vec![0.0; width];
    let mut sums = vec![RowSums::default(); 2];
    assert_eq!(
        accumulate(Arch::new(), Operand::Decoded(&c), Operand::Decoded(&r), width, &mut columns, &mut sums),
        2
    );
    assert_eq!(sums[0].dot, 2.0 * 39.0);
    assert_eq!(sums[1].reference, 4.0 * 39.0);
    assert!(columns.iter().all(|column| column.is_finite()));
}

#[test]
fn vector_width_does_not_change_the_bits() {
    let mut random = stemmata_stats::SplitMix64::new(9);
    let c: Vec<f32> = (0..4 * 1000).map(|_| random.normal() as f32).collect();
    let r: Vec<f32> = (0..4 * 1000).map(|_| random.normal() as f32).collect();
    let mut best = (vec![0.0; 1000], vec![RowSums::default(); 4]);
    let mut scalar = best.clone();
    accumulate(Arch::new(), Operand::Decoded(&c), Operand::Decoded(&r), 1000, &mut best.0, &mut best.1);
    accumulate(Arch::Scalar, Operand::Decoded(&c), Operand::Decoded(&r), 1000, &mut scalar.0, &mut scalar.1);
    assert_eq!(best, scalar);
}

#[test]
fn stored_bf16_gives_the_bits_of_the_decoded_rows() {
    let mut random = stemmata_stats::SplitMix64::new(4);
    let width = 700;
    let mut draw = || -> (Vec<u8>, Vec<f32>) {
        let high: Vec<u16> =
            (0..3 * width).map(|_| ((random.normal() as f32).to_bits() >> 16) as u16).collect();
        let bytes = high.iter().flat_map(|h| h.to_le_bytes()).collect();
        (bytes, high.iter().map(|h| f32::from_bits(u32::from(*h) << 16)).collect())
    };
    let ((cb, c), (rb, r)) = (draw(), draw());
    let run = |c: Operand<'_>, r: Operand<'_>| {
        let mut out = (vec![0.0; width], vec![RowSums::default(); 3]);
        accumulate(Arch::new(), c, r, width, &mut out.0, &mut out.1);
        out
    };
    let decoded = run(Operand::Decoded(&c), Operand::Decoded(&r));
    assert_eq!(run(Operand::Bf16(&cb), Operand::Bf16(&rb)), decoded);
    assert_eq!(run(Operand::Decoded(&c), Operand::Bf16(&rb)), decoded);
    assert_eq!(Operand::Bf16(&cb).row(1, width), c[width..2 * width]);
}
