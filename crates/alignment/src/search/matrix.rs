//! Dense matrices of f32, column by column, and the products that the search needs. A thin face over `nalgebra`.

use nalgebra::{DMatrix, DMatrixView};

/// K × n: one column per unit, row or token.
pub(crate) type Columns = DMatrix<f32>;

/// `rows` rows of `width` values each, row after row, seen as a width × rows matrix.
pub(crate) fn rows_as_columns(values: &[f32], width: usize) -> DMatrixView<'_, f32> {
    DMatrixView::from_slice(values, width, values.len() / width)
}

/// Scales every column to length 1; zero columns stay zero.
pub(crate) fn normalise(columns: &mut Columns) {
    for mut column in columns.column_iter_mut() {
        let norm = column.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
        let scale = if norm > 0.0 && norm.is_finite() { (1.0 / norm) as f32 } else { 0.0 };
        column.iter_mut().for_each(|x| *x *= scale);
    }
}

/// Takes the mean column from every column.
pub(crate) fn centre(columns: &mut Columns) {
    let n = columns.ncols();
    if n == 0 {
        return;
    }
    for mut row in columns.row_iter_mut() {
        let mean = (row.iter().map(|x| f64::from(*x)).sum::<f64>() / n as f64) as f32;
        row.iter_mut().for_each(|x| *x -= mean);
    }
}

/// Inner products of all columns. (`tr_mul` of nalgebra takes no blocked product and is ten times slower.)
pub(crate) fn gram(columns: &Columns) -> Columns {
    columns.transpose() * columns
}

/// Inner product of two columns.
pub(crate) fn dot(a: &Columns, i: usize, b: &Columns, j: usize) -> f64 {
    a.column(i).iter().zip(b.column(j).iter()).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
}
