//! Singular values and directions of a change, on an evenly spaced part of the matrix.
//!
//! A part of a matrix of rank k has rank at most k, and a left or right factor that is common to several matrices stays common
//! on common rows. So a part is enough to tell a change of low rank from a dense one.

use super::matrix::Matrix;
use super::rounding::spacing;
use nalgebra::DMatrix;
use stemmata_stats::SplitMix64;

/// Rows and columns of the part.
const SIDE: usize = 192;
/// Singular values of the change that are sought; a rank above is not called low.
const RANGE: usize = 48;
/// Directions of a weight matrix that count as its spikes (METHODS 5.4).
const SPIKES: usize = 4;
/// Directions of the change that order cues look at.
const TOP: usize = 16;
/// More columns than sought directions, and products with MᵀM, make the range finder accurate (Halko, Martinsson, Tropp 2011).
const OVERSAMPLING: usize = 8;
const POWERS: usize = 3;

/// What a change D = C − R looks like beside C and R. Index 0 is the candidate, 1 the reference.
#[derive(Clone, Debug, PartialEq)]
pub struct Spectrum {
    /// Rows of the part.
    pub rows: usize,
    /// Columns of the part.
    pub cols: usize,
    /// Largest singular values of D, descending.
    pub change: Vec<f64>,
    /// ‖D‖².
    pub change_squares: f64,
    /// ‖C‖², ‖R‖².
    pub squares: [f64; 2],
    /// Σ spacing²/12: the energy of one rounding of that side in the coarsest format that holds it.
    pub rounding_squares: [f64; 2],
    /// Left singular vector of the largest singular value of D, on the rows of the part.
    pub left: Vec<f64>,
    /// |leftᵀ C|², |leftᵀ R|²: what each side has along it.
    pub along_left: [f64; 2],
    /// ⟨C, T⟩ and ⟨R, T⟩ for T, the part of D in its few largest directions.
    pub with_top: [f64; 2],
    /// ‖T‖².
    pub top_squares: f64,
    /// How the other side looks inside and outside the largest directions of this one.
    pub spikes: [Spikes; 2],
    /// What is left of D after its low rank, where candidate and reference lie in different binades.
    pub binades: Option<Binades>,
}

/// Regression of the other side on this one, inside this one's largest directions and outside (METHODS 5.4).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spikes {
    /// Σ s·uᵀYv over the largest directions (s, u, v) of X.
    pub spike_product: f64,
    /// Σ s².
    pub spike_squares: f64,
    /// ⟨X, Y⟩ less `spike_product`.
    pub bulk_product: f64,
    /// ‖X‖² less `spike_squares`.
    pub bulk_squares: f64,
}

/// The last rounding, looked for where the two sides' spacings differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Binades {
    /// Elements whose two values have different spacings.
    pub n: u64,
    /// Of these, the ones whose remainder is within half a spacing of the candidate; of the reference.
    pub within: [u64; 2],
    /// Singular values that were taken out.
    pub rank: usize,
}

pub(crate) fn of(c: &Matrix, r: &Matrix, significand: [u32; 2]) -> Spectrum {
    let (c, r) = (part(c), part(r));
    let d = &c - &r;
    let range = RANGE.min(d.nrows().min(d.ncols()) / 3);
    let (u, s, vt) = top(&d, range);
    let rounding = |m: &DMatrix<f64>, bits: u32| -> f64 {
        m.iter().map(|x| spacing(*x as f32, bits).powi(2) / 12.0).sum()
    };
    let rounding_squares = [rounding(&c, significand[0]), rounding(&r, significand[1])];
    let left = u.column(0).into_owned();
    let along = |m: &DMatrix<f64>| m.tr_mul(&left).norm_squared();
    let few = TOP.min(s.len());
    let with_top = |m: &DMatrix<f64>| {
        (0..few).map(|i| s[i] * (u.column(i).transpose() * m * vt.row(i).transpose())[0]).sum()
    };
    let change_squares = d.norm_squared();
    let mut spectrum = Spectrum {
        rows: d.nrows(),
        cols: d.ncols(),
        change_squares,
        squares: [c.norm_squared(), r.norm_squared()],
        rounding_squares,
        along_left: [along(&c), along(&r)],
        with_top: [with_top(&c), with_top(&r)],
        top_squares: s[..few].iter().map(|s| s * s).sum(),
        spikes: [spikes(&c, &r), spikes(&r, &c)],
        left: left.iter().copied().collect(),
        change: s,
        binades: None,
    };
    if let Some(rank) = spectrum.rank() {
        spectrum.binades = Some(binades([&c, &r], &d, (&u, &spectrum.change, &vt), rank, significand));
    }
    spectrum
}

/// The remainder of a low-rank change is the rounding of the side that was written last. It follows the spacing of that side.
fn binades(
    [c, r]: [&DMatrix<f64>; 2],
    d: &DMatrix<f64>,
    (u, s, vt): (&DMatrix<f64>, &[f64], &DMatrix<f64>),
    rank: usize,
    significand: [u32; 2],
) -> Binades {
    let mut rest = d.clone();
    for (i, s) in s.iter().enumerate().take(rank) {
        rest -= *s * u.column(i) * vt.row(i);
    }
    let mut out = Binades { rank, ..Binades::default() };
    // On one grid, or a difference in format would pass for one of binades.
    let bits = significand[0].min(significand[1]);
    for ((c, r), rest) in c.iter().zip(r).zip(&rest) {
        let spacings = [spacing(*c as f32, bits), spacing(*r as f32, bits)];
        if spacings[0] == spacings[1] || *c == 0.0 || *r == 0.0 {
            continue;
        }
        out.n += 1;
        for (within, spacing) in out.within.iter_mut().zip(spacings) {
            // A tenth of a spacing for what the estimate of the low-rank part is off.
            *within += u64::from(rest.abs() <= 0.6 * spacing);
        }
    }
    out
}

impl Spectrum {
    /// Rank of the change: the fewest singular values that leave no more than twice the energy of one rounding of the coarser
    /// side. `None` if the sought ones do not suffice: then the change is dense.
    pub fn rank(&self) -> Option<usize> {
        let floor = 2.0 * self.rounding_squares[0].max(self.rounding_squares[1]);
        let mut rest = self.change_squares;
        for (i, s) in self.change.iter().enumerate() {
            if rest <= floor {
                return Some(i);
            }
            rest -= s * s;
        }
        (rest <= floor).then_some(self.change.len())
    }
}

fn part(m: &Matrix) -> DMatrix<f64> {
    let (rows, cols) = (m.rows.min(SIDE), m.cols.min(SIDE));
    DMatrix::from_fn(rows, cols, |i, j| f64::from(m.row(i * m.rows / rows)[j * m.cols / cols]))
}

/// The `k` largest singular triplets, by a randomised range finder from a fixed seed.
fn top(m: &DMatrix<f64>, k: usize) -> (DMatrix<f64>, Vec<f64>, DMatrix<f64>) {
    let width = (k + OVERSAMPLING).min(m.nrows().min(m.ncols()));
    let mut random = SplitMix64::new(0x73_7475_6479);
    let start = DMatrix::from_fn(m.ncols(), width, |_, _| random.normal());
    let mut range = (m * start).qr().q();
    for _ in 0..POWERS {
        let back = m.tr_mul(&range).qr().q();
        range = (m * back).qr().q();
    }
    let small = range.tr_mul(m).svd(true, true);
    let (Some(u), Some(vt)) = (small.u, small.v_t) else {
        return (DMatrix::zeros(m.nrows(), 1), vec![0.0], DMatrix::zeros(1, m.ncols()));
    };
    let k = k.clamp(1, small.singular_values.len());
    let s = small.singular_values.iter().take(k).copied().collect();
    ((range * u).columns(0, k).into_owned(), s, vt.rows(0, k).into_owned())
}

fn spikes(x: &DMatrix<f64>, y: &DMatrix<f64>) -> Spikes {
    let (u, s, vt) = top(x, SPIKES);
    let spike_product =
        (0..s.len()).map(|i| s[i] * (u.column(i).transpose() * y * vt.row(i).transpose())[0]).sum();
    let spike_squares: f64 = s.iter().map(|s| s * s).sum();
    Spikes {
        spike_product,
        spike_squares,
        bulk_product: x.dot(y) - spike_product,
        bulk_squares: x.norm_squared() - spike_squares,
    }
}
