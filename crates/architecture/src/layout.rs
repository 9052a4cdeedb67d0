//! From a rule and a shape to views.
//!
//! Answers: *which elements of this tensor are that logical matrix?* Must not know: names, families. Every view that
//! leaves here is inside its tensor, whatever the shape says.

use crate::rule::{Orientation, Rotary, Rule, Split};
use crate::{Axis, Role, RowOrder, Term, View};

/// What a tensor's neighbours say; 0 is unknown.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Surroundings {
    /// Width of the residual stream.
    pub(crate) residual: u64,
    /// Inputs of the output projection in the same layer: how many of fused rows are queries.
    pub(crate) attention_inputs: u64,
    /// Inputs of the down projection in the same layer.
    pub(crate) hidden: u64,
    /// Query heads.
    pub(crate) query_heads: u64,
    /// Key-value heads.
    pub(crate) kv_heads: u64,
    /// Width of a query head.
    pub(crate) query_width: u64,
    /// Whether [`Rotary::ByArchitecture`] applies.
    pub(crate) interleaved: bool,
}

/// One logical matrix or vector of a tensor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    pub(crate) role: Role,
    /// Index on the stacked axis.
    pub(crate) expert: Option<u32>,
    pub(crate) view: View,
}

/// A run along the output axis: outputs `start`, `start + step`, … (`len` of them).
#[derive(Clone, Copy)]
struct Run {
    start: u64,
    len: u64,
    step: u64,
}

/// Why a tensor has no views; shown to people.
pub(crate) type Refusal = &'static str;

/// Number of elements, if it fits.
pub(crate) fn element_count(shape: &[u64]) -> Option<u64> {
    shape.iter().try_fold(1u64, |product, &extent| product.checked_mul(extent))
}

/// The extents of a matrix, its outermost axis against the rest; `None` below rank 2.
pub(crate) fn matrix_extents(shape: &[u64]) -> Option<(u64, u64)> {
    match shape {
        [] | [_] => None,
        [outer, rest @ ..] => Some((*outer, element_count(rest)?)),
    }
}

/// The views of tensor `index`, at most `budget` of them.
pub(crate) fn lay_out(
    index: usize,
    shape: &[u64],
    rule: &Rule,
    term: Term,
    around: &Surroundings,
    budget: usize,
) -> Result<Vec<Piece>, Refusal> {
    let total = element_count(shape).ok_or("its extents overflow")?;
    if total == 0 {
        return Err("it is empty");
    }
    let (experts, inner) = match shape {
        [experts, inner @ ..] if rule.unstack && !inner.is_empty() => (*experts, inner),
        _ if rule.unstack => return Err("it should be stacked over experts"),
        _ => (1, shape),
    };
    let count = experts.checked_mul(rule.roles.len() as u64).filter(|&count| count <= budget as u64);
    count.ok_or("it would be more parts than are kept")?;
    if experts > u64::from(u32::MAX) {
        return Err("it would be more parts than are kept");
    }
    let axes = OutputAxis::of(inner, rule, around);
    let runs = runs(rule, axes.outputs, around)?;
    let per_expert = total / experts;
    let mut pieces = Vec::with_capacity((experts as usize) * runs.len());
    for expert in 0..experts {
        for &(role, run) in &runs {
            let mut view = axes.view(index, expert * per_expert, run);
            if interleaved(rule, role, around) {
                view = rotary(view, role, term, around)?;
            }
            if !inside(&view, total) {
                return Err("its views would leave it");
            }
            let expert = rule.unstack.then_some(expert as u32);
            pieces.push(Piece { role, expert, view });
        }
    }
    Ok(pieces)
}

/// The stored axes, as seen from the logical matrix.
struct OutputAxis {
    outputs: u64,
    /// `None` for vectors, which lie along their columns.
    inputs: Option<u64>,
    output_stride: u64,
    input_stride: u64,
}

impl OutputAxis {
    fn of(shape: &[u64], rule: &Rule, around: &Surroundings) -> OutputAxis {
        // `element_count` of the whole has succeeded and is not zero, so no product here overflows.
        let Some((outer, inner)) = matrix_extents(shape) else {
            let outputs = shape.first().copied().unwrap_or(1);
            return OutputAxis { outputs, inputs: None, output_stride: 1, input_stride: 1 };
        };
        if shape.len() == 2 && transposed(rule, (outer, inner), around.residual) {
            return OutputAxis { outputs: inner, inputs: Some(outer), output_stride: 1, input_stride: inner };
        }
        OutputAxis { outputs: outer, inputs: Some(inner), output_stride: inner, input_stride: 1 }
    }

    fn view(&self, tensor: usize, base: u64, run: Run) -> View {
        let order = RowOrder::Stored;
        match self.inputs {
            Some(cols) => View {
                tensor,
                rows: run.len,
                cols,
                first: base + run.start * self.output_stride,
                row_stride: run.step * self.output_stride,
                col_stride: self.input_stride,
                order,
            },
            None => View {
                tensor,
                rows: 1,
                cols: run.len,
                first: base + run.start,
                row_stride: self.outputs,
                col_stride: run.step,
                order,
            },
        }
    }
}

fn transposed(rule: &Rule, (outer, inner): (u64, u64), residual: u64) -> bool {
    match rule.orientation {
        Orientation::Stored => false,
        Orientation::Transposed => true,
        Orientation::ByShape { transposed: habit } => {
            let writes_residual = rule.roles.iter().all(|role| role.axes().0 == Axis::Residual);
            let (stored, turned) = if writes_residual {
                (outer == residual, inner == residual)
            } else {
                (inner == residual, outer == residual)
            };
            if stored == turned { habit } else { turned }
        }
    }
}

fn runs(rule: &Rule, outputs: u64, around: &Surroundings) -> Result<Vec<(Role, Run)>, Refusal> {
    let roles = &rule.roles;
    let ways = roles.len() as u64;
    let whole = |len| Run { start: 0, len, step: 1 };
    let equal = || {
        if !outputs.is_multiple_of(ways) {
            return Err("its outputs do not divide among its roles");
        }
        Ok(outputs / ways)
    };
    let at = |starts: &mut dyn Iterator<Item = Run>| roles.iter().copied().zip(starts).collect::<Vec<_>>();
    match rule.split {
        Split::None => Ok(at(&mut std::iter::once(whole(outputs)))),
        Split::Equal => {
            let len = equal()?;
            Ok(at(&mut (0..ways).map(|i| Run { start: i * len, len, step: 1 })))
        }
        Split::Interleaved => {
            let len = equal()?;
            Ok(at(&mut (0..ways).map(|i| Run { start: i, len, step: ways })))
        }
        Split::Attention => {
            let (queries, keys) =
                attention_extents(outputs, around).ok_or("its heads cannot be told apart")?;
            let starts = [(0, queries), (queries, keys), (queries + keys, keys)];
            Ok(at(&mut starts.iter().map(|&(start, len)| Run { start, len, step: 1 })))
        }
        Split::WhenDouble => {
            if around.hidden != 0 && around.hidden.checked_mul(2) == Some(outputs) {
                let len = around.hidden;
                return Ok(at(&mut (0..2).map(|i| Run { start: i * len, len, step: 1 })));
            }
            Ok(roles.last().map(|&role| (role, whole(outputs))).into_iter().collect())
        }
        Split::PerHead => Err("its heads hold queries, keys and values together, which no view can say"),
    }
}

/// (queries, keys) of fused rows: the output projection first, configured heads second, thirds last.
fn attention_extents(outputs: u64, around: &Surroundings) -> Option<(u64, u64)> {
    let rest = |queries: u64| {
        let rest = outputs.checked_sub(queries).filter(|rest| *rest > 0 && rest.is_multiple_of(2))?;
        (rest / 2 <= queries && queries > 0).then_some((queries, rest / 2))
    };
    if around.attention_inputs != 0 {
        return rest(around.attention_inputs);
    }
    let groups = around.kv_heads.checked_mul(2).and_then(|kv| kv.checked_add(around.query_heads))?;
    if groups > 0 && around.query_heads > 0 && outputs.is_multiple_of(groups) {
        return rest(outputs / groups * around.query_heads);
    }
    outputs.is_multiple_of(3).then_some((outputs / 3, outputs / 3)).filter(|(queries, _)| *queries > 0)
}

fn interleaved(rule: &Rule, role: Role, around: &Surroundings) -> bool {
    let applies = match rule.rotary {
        Rotary::Never => false,
        Rotary::Always => true,
        Rotary::ByArchitecture => around.interleaved,
    };
    applies && matches!(role, Role::Query | Role::Key)
}

/// Puts the rows in adjacent-pair order. Biases stand upright (`rows` × 1), since only rows can be reordered.
fn rotary(view: View, role: Role, term: Term, around: &Surroundings) -> Result<View, Refusal> {
    let view = if term == Term::Bias && view.rows == 1 {
        View { rows: view.cols, cols: 1, row_stride: view.col_stride, col_stride: 1, ..view }
    } else {
        view
    };
    let heads = if role == Role::Query { around.query_heads } else { around.kv_heads };
    let by_heads = (heads > 0 && view.rows.is_multiple_of(heads)).then(|| view.rows / heads);
    let width = by_heads
        .or(Some(around.query_width))
        .filter(|&width| width >= 2 && width.is_multiple_of(2) && view.rows.is_multiple_of(width));
    let head_dim = width.ok_or("its rotary pairs are interleaved, but its heads cannot be told apart")?;
    Ok(View { order: RowOrder::RotaryInterleaved { head_dim }, ..view })
}

/// Whether the last element of the view, and so every one, lies inside the tensor.
pub(crate) fn inside(view: &View, total: u64) -> bool {
    let last = || {
        let rows = view.rows.checked_sub(1)?.checked_mul(view.row_stride)?;
        let cols = view.cols.checked_sub(1)?.checked_mul(view.col_stride)?;
        view.first.checked_add(rows)?.checked_add(cols)
    };
    last().is_some_and(|last| last < total)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (rows, cols, first, row stride, column stride).
    type Expected = (u64, u64, u64, u64, u64);

    fn check(rule: &str, shape: &[u64], around: Surroundings, expect: Result<&[Expected], &str>) {
        let rule = Rule::parse(rule).unwrap();
        let found = lay_out(0, shape, &rule, rule.term.unwrap_or(Term::Weight), &around, 1000);
        let found = found.map(|pieces| {
            let views = pieces.iter().map(|p| p.view);
            views.map(|v| (v.rows, v.cols, v.first, v.row_stride, v.col_stride)).collect::<Vec<_>>()
        });
        assert_eq!(found.as_deref().map_err(|reason| *reason), expect, "{shape:?}");
    }

    #[test]
    fn shapes_and_rules() {
        let around = Surroundings { residual: 8, ..Surroundings::default() };
        check("attn.q", &[6, 8], around, Ok(&[(6, 8, 0, 8, 1)]));
        check("attn.o | transpose", &[6, 8], around, Ok(&[(8, 6, 0, 1, 8)]));
        check("embed.patch", &[8, 3, 2, 2], around, Ok(&[(8, 12, 0, 12, 1)]));
        check("norm.final", &[8], around, Ok(&[(1, 8, 0, 8, 1)]));
        let oss = "ffn.gate+ffn.up | unstack | orient-transposed | interleave";
        check(
            oss,
            &[2, 8, 4],
            around,
            Ok(&[(2, 8, 0, 2, 4), (2, 8, 1, 2, 4), (2, 8, 32, 2, 4), (2, 8, 33, 2, 4)]),
        );
        check(
            oss,
            &[2, 4, 8],
            around,
            Ok(&[(2, 8, 0, 16, 1), (2, 8, 8, 16, 1), (2, 8, 32, 16, 1), (2, 8, 40, 16, 1)]),
        );
        let fused = "attn.q+attn.k+attn.v | split-attention";
        let heads = Surroundings { attention_inputs: 8, ..around };
        check(fused, &[16, 8], heads, Ok(&[(8, 8, 0, 8, 1), (4, 8, 64, 8, 1), (4, 8, 96, 8, 1)]));
        check(fused, &[7, 8], heads, Err("its heads cannot be told apart"));
        check("attn.q", &[0, 8], around, Err("it is empty"));
        check("attn.q", &[u64::MAX, 8], around, Err("its extents overflow"));
        check("ffn.up | unstack", &[1 << 40, 1, 1], around, Err("it would be more parts than are kept"));
    }
}
