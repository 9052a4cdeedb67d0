use super::*;
use proptest::prelude::*;

fn run(arch: Arch, both: [Operand<'_>; 2], width: usize, rows: usize) -> (Vec<f32>, Vec<RowSums>) {
    let mut columns = ColumnSums::default();
    let mut sums = vec![RowSums::default(); rows];
    accumulate(arch, both, width, FourthRows { first: 0, every: 1 }, &mut columns, &mut sums);
    let mut total = vec![0.0; width];
    columns.merge_into(arch, &mut total);
    (total, sums)
}

fn check(candidate: &[f32], reference: &[f32], width: usize) {
    let rows = candidate.len() / width;
    let (columns, sums) =
        run(Arch::new(), [Operand::Decoded(candidate), Operand::Decoded(reference)], width, rows);
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
        assert!(close(
            sums.difference_fourth,
            total(&|c, r| (c - r).powi(4)),
            sums.difference_fourth + 1e-12
        ));
        assert_eq!(sums.unchanged, total(&|c, r| f64::from(u8::from(c == r))));
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
    let mut columns = ColumnSums::default();
    let mut sums = vec![RowSums::default(); 2];
    let both = [Operand::Decoded(&c), Operand::Decoded(&r)];
    assert_eq!(
        accumulate(Arch::new(), both, width, FourthRows { first: 1, every: 2 }, &mut columns, &mut sums),
        2
    );
    assert_eq!(sums[0].dot, 2.0 * 39.0);
    assert_eq!(sums[1].reference, 4.0 * 39.0);
    assert!(columns.sums.iter().all(|column| column.is_finite()));
}

#[test]
fn vector_width_does_not_change_the_bits() {
    let mut random = stemmata_stats::SplitMix64::new(9);
    let c: Vec<f32> = (0..4 * 1000).map(|_| random.normal() as f32).collect();
    let r: Vec<f32> = (0..4 * 1000).map(|_| random.normal() as f32).collect();
    let both = [Operand::Decoded(&c), Operand::Decoded(&r)];
    assert_eq!(run(Arch::new(), both, 1000, 4), run(Arch::Scalar, both, 1000, 4));
    let bytes =
        |x: &[f32]| x.iter().flat_map(|x| ((x.to_bits() >> 16) as u16).to_le_bytes()).collect::<Vec<u8>>();
    let (c, r) = (bytes(&c), bytes(&r));
    let both = [Operand::Bf16(&c), Operand::Bf16(&r)];
    assert_eq!(run(Arch::new(), both, 1000, 4), run(Arch::Scalar, both, 1000, 4));
}

#[test]
fn stored_bf16_gives_the_sums_of_the_decoded_rows() {
    let mut random = stemmata_stats::SplitMix64::new(4);
    let width = 700;
    let mut draw = || -> (Vec<u8>, Vec<f32>) {
        let high: Vec<u16> =
            (0..3 * width).map(|_| ((random.normal() as f32).to_bits() >> 16) as u16).collect();
        let bytes = high.iter().flat_map(|h| h.to_le_bytes()).collect();
        (bytes, high.iter().map(|h| f32::from_bits(u32::from(*h) << 16)).collect())
    };
    let ((cb, c), (rb, r)) = (draw(), draw());
    let of = |c: Operand<'_>, r: Operand<'_>| run(Arch::new(), [c, r], width, 3);
    let decoded = of(Operand::Decoded(&c), Operand::Decoded(&r));
    assert_eq!(of(Operand::Decoded(&c), Operand::Bf16(&rb)), decoded);
    let stored = of(Operand::Bf16(&cb), Operand::Bf16(&rb));
    // Columns add up row by row in both; rows in another order of lanes.
    assert_eq!(stored.0, decoded.0);
    for (stored, decoded) in stored.1.iter().zip(&decoded.1) {
        assert_eq!(stored.unchanged, decoded.unchanged);
        for (a, b) in
            [(stored.reference, decoded.reference), (stored.difference_fourth, decoded.difference_fourth)]
        {
            assert!((a - b).abs() < 1e-5 * b, "{a} {b}");
        }
    }
    // Where the bytes lie makes no difference.
    let shifted: Vec<u8> = std::iter::once(0).chain(cb.iter().copied()).collect();
    assert_eq!(of(Operand::Bf16(&shifted[1..]), Operand::Bf16(&rb)), stored);
    assert_eq!(Operand::Bf16(&cb).row(1, width), c[width..2 * width]);
}
