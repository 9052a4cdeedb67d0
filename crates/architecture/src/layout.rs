//! From a rule and a shape to views.
//!
//! Answers: *which elements of this tensor are that logical matrix?* Must not know: names, families. Every view that
//! leaves here is inside its tensor, whatever the shape says.

use crate::rule::{Heads, Orientation, Rotary, Rule, Split};
use crate::split::runs;
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
    /// Whether the number of heads is a guess by what widths are common.
    pub(crate) guessed_heads: bool,
    /// Inputs of the fused first matrix in the same layer.
    pub(crate) block_inputs: u64,
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

/// A run along the output axis: outputs `start`, `start + step`, … (`len` of them), in blocks where heads hold several roles.
#[derive(Clone, Copy)]
pub(crate) struct Run {
    pub(crate) start: u64,
    pub(crate) len: u64,
    pub(crate) step: u64,
    /// Rows of a block, and from one block to the next.
    pub(crate) blocks: Option<(u64, u64)>,
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
    if rule.split == Split::Inputs {
        return axes.share_inputs(index, rule, total);
    }
    let runs = runs(rule, axes.outputs, axes.inputs, around)?;
    let per_expert = total / experts;
    let mut pieces = Vec::with_capacity((experts as usize) * runs.len());
    for expert in 0..experts {
        for &(role, run) in &runs {
            let mut view = axes.view(index, expert * per_expert, run)?;
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
    /// Outputs of a head and the stored elements from one head to the next, where heads lie apart.
    heads: Option<(u64, u64)>,
}

impl OutputAxis {
    fn of(shape: &[u64], rule: &Rule, around: &Surroundings) -> OutputAxis {
        // `element_count` of the whole has succeeded and is not zero, so no product here overflows.
        match (rule.heads, shape) {
            (Heads::Outer, &[heads, outputs, inputs]) => {
                return OutputAxis {
                    outputs: heads * outputs,
                    inputs: Some(inputs),
                    output_stride: inputs,
                    input_stride: 1,
                    heads: None,
                };
            }
            (Heads::Turned, &[heads, inputs, outputs]) => {
                return OutputAxis {
                    outputs: heads * outputs,
                    inputs: Some(inputs),
                    output_stride: 1,
                    input_stride: outputs,
                    heads: Some((outputs, inputs * outputs)),
                };
            }
            _ => {}
        }
        // A gain of a convolution has ones where the pixels are: [channels, 1, 1].
        let gain = rule.roles.iter().all(|role| role.axes().0 == Axis::Single);
        let matrix = matrix_extents(shape).filter(|(_, inner)| !(gain && *inner == 1));
        let Some((outer, inner)) = matrix else {
            let outputs = shape.first().copied().unwrap_or(1);
            return OutputAxis { outputs, inputs: None, output_stride: 1, input_stride: 1, heads: None };
        };
        if shape.len() == 2 && transposed(rule, (outer, inner), around.residual) {
            let (output_stride, input_stride) = (1, inner);
            return OutputAxis {
                outputs: inner,
                inputs: Some(outer),
                output_stride,
                input_stride,
                heads: None,
            };
        }
        let (output_stride, input_stride) = (inner, 1);
        OutputAxis { outputs: outer, inputs: Some(inner), output_stride, input_stride, heads: None }
    }

    fn view(&self, tensor: usize, base: u64, run: Run) -> Result<View, Refusal> {
        let order = match (run.blocks, self.heads) {
            (None, None) => RowOrder::Stored,
            (Some((block, step)), None) => RowOrder::Blocks { block, step },
            (None, Some((block, step))) if run.step == 1 && run.start == 0 => {
                RowOrder::Blocks { block, step }
            }
            _ => return Err("its heads lie apart and hold several roles"),
        };
        Ok(match self.inputs {
            Some(cols) => View {
                tensor,
                rows: run.len,
                cols,
                first: base + run.start * self.output_stride,
                row_stride: run.step * self.output_stride,
                col_stride: self.input_stride,
                order,
            },
            // Only rows can be reordered, so a reordered vector stands upright.
            None if order != RowOrder::Stored => View {
                tensor,
                rows: run.len,
                cols: 1,
                first: base + run.start,
                row_stride: run.step,
                col_stride: 1,
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
        })
    }

    /// Two matrices side by side: a square one and the rest. Their common bias is given to the second.
    fn share_inputs(&self, tensor: usize, rule: &Rule, total: u64) -> Result<Vec<Piece>, Refusal> {
        let whole = Run { start: 0, len: self.outputs, step: 1, blocks: None };
        let view = self.view(tensor, 0, whole)?;
        let &[first, second] = rule.roles.as_slice() else {
            return Err("its roles do not divide its inputs");
        };
        let piece = |role, view| Piece { role, expert: None, view };
        let Some(inputs) = self.inputs else { return Ok(vec![piece(second, view)]) };
        if rule.unstack || inputs <= self.outputs {
            return Err("its inputs do not divide among its roles");
        }
        let square = View { cols: self.outputs, ..view };
        let rest = View {
            cols: inputs - self.outputs,
            first: view.first + self.outputs * self.input_stride,
            ..view
        };
        if !inside(&square, total) || !inside(&rest, total) {
            return Err("its views would leave it");
        }
        Ok(vec![piece(first, square), piece(second, rest)])
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
        let rows = match view.order {
            RowOrder::Blocks { block, step } => {
                let last = view.rows.checked_sub(1)?;
                (last.checked_div(block)?).checked_mul(step)?.checked_add(last % block)?
            }
            _ => view.rows.checked_sub(1)?,
        };
        let rows = rows.checked_mul(view.row_stride)?;
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
        let per_head = "attn.q+attn.k+attn.v | split-per-head";
        let mut heads = Surroundings { attention_inputs: 12, query_heads: 4, ..around };
        // Two groups of (two queries, a key, a value), three wide: 24 rows; first elements are those of the first block.
        check(per_head, &[24, 8], heads, Ok(&[(12, 8, 0, 8, 1), (6, 8, 48, 8, 1), (6, 8, 72, 8, 1)]));
        check(per_head, &[24], heads, Ok(&[(12, 1, 0, 1, 1), (6, 1, 6, 1, 1), (6, 1, 9, 1, 1)]));
        heads.guessed_heads = true;
        check(per_head, &[24, 8], heads, Err("its heads cannot be told apart"));
        let latent = "attn.k_b+attn.v_b | split-latent-heads";
        let heads = Surroundings { attention_inputs: 12, query_heads: 4, ..around };
        check(latent, &[20, 8], heads, Ok(&[(8, 8, 0, 8, 1), (12, 8, 16, 8, 1)]));
        check("attn.k_b | turn-heads", &[4, 8, 2], heads, Ok(&[(8, 8, 0, 1, 2)]));
        check("attn.v_b | join-heads", &[4, 3, 8], heads, Ok(&[(12, 8, 0, 8, 1)]));
        let single = Surroundings { block_inputs: 8, ..around };
        let squares = "attn.q+attn.k+attn.v+ffn.up | split-squares";
        let expect = [(8, 8, 0, 8, 1), (8, 8, 64, 8, 1), (8, 8, 128, 8, 1), (16, 8, 192, 8, 1)];
        check(squares, &[40, 8], single, Ok(&expect));
        check(squares, &[24, 8], single, Err("its outputs do not divide among its roles"));
        check("attn.o+ffn.down | split-inputs", &[8, 24], around, Ok(&[(8, 8, 0, 24, 1), (8, 16, 8, 24, 1)]));
        check(
            "attn.o+ffn.down | split-inputs",
            &[8, 8],
            around,
            Err("its inputs do not divide among its roles"),
        );
        check("attn.q", &[0, 8], around, Err("it is empty"));
        check("attn.q", &[u64::MAX, 8], around, Err("its extents overflow"));
        check("ffn.up | unstack", &[1 << 40, 1, 1], around, Err("it would be more parts than are kept"));
    }
}
