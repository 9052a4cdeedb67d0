//! A checkpoint taken apart: every tensor's purpose and layout.

use crate::{Component, Role, Term};

/// How rows of a view are ordered in storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RowOrder {
    /// Logical row `r` is stored row `r`.
    Stored,
    /// Rotary pairs are stored interleaved: logical (half-split) row `h*d + c*(d/2) + i` is stored row
    /// `h*d + 2*i + c`, with `d` the head width and `c` in 0..2 (llama.cpp's conversion, Meta's own files).
    RotaryInterleaved {
        /// Head width `d`, even.
        head_dim: u64,
    },
    /// Rows come in blocks with other rows between them: logical row `r` is stored row `r / block * step + r % block`. Heads
    /// that hold their queries, keys and values together, and latent attention's pairs of keys and values.
    Blocks {
        /// Rows of a block.
        block: u64,
        /// Rows from one block's first to the next one's, at least `block` where rows do not overlap.
        step: u64,
    },
}

impl RowOrder {
    /// Stored row of logical row `row`.
    pub fn stored(self, row: u64) -> u64 {
        match self {
            RowOrder::Stored => row,
            RowOrder::RotaryInterleaved { head_dim } => {
                let (head, within) = (row / head_dim, row % head_dim);
                let half = head_dim / 2;
                head * head_dim + 2 * (within % half) + within / half
            }
            RowOrder::Blocks { block, step } => row / block * step + row % block,
        }
    }

    /// Logical row that is stored as `stored`; `None` where another matrix's row lies.
    pub fn logical(self, stored: u64) -> Option<u64> {
        match self {
            RowOrder::Stored => Some(stored),
            RowOrder::RotaryInterleaved { head_dim } => {
                let (head, within) = (stored / head_dim, stored % head_dim);
                Some(head * head_dim + (within % 2) * (head_dim / 2) + within / 2)
            }
            RowOrder::Blocks { block, step } => {
                let (at, within) = (stored / step, stored % step);
                (within < block).then_some(at * block + within)
            }
        }
    }
}

/// A logical matrix inside a stored tensor, canonical orientation \[out, in\]: element (r, c) is the stored tensor's
/// row-major element `first + order(r) * row_stride + c * col_stride`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct View {
    /// Index into the checkpoint's tensors.
    pub tensor: usize,
    /// Logical rows (outputs); 1 for vectors, except reordered biases, which stand upright (`rows` × 1).
    pub rows: u64,
    /// Logical columns (inputs).
    pub cols: u64,
    /// Element index of logical (0, 0) before row reordering.
    pub first: u64,
    /// Elements from one logical row to the next.
    pub row_stride: u64,
    /// Elements from one logical column to the next.
    pub col_stride: u64,
    /// Row reordering.
    pub order: RowOrder,
}

impl View {
    /// Stored row (in units of `row_stride`) of logical row `row`.
    pub fn stored_row(&self, row: u64) -> u64 {
        self.order.stored(row)
    }

    /// Stored rows from the first to the last of the view, other matrices' rows between them included.
    pub fn row_span(&self) -> u64 {
        match self.order {
            RowOrder::Blocks { .. } => self.rows.checked_sub(1).map_or(0, |last| self.stored_row(last) + 1),
            _ => self.rows,
        }
    }

    /// Elements of the view.
    pub fn elements(&self) -> u64 {
        self.rows * self.cols
    }
}

/// One logical tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which component it belongs to.
    pub component: Component,
    /// Zero-based layer within the component.
    pub layer: Option<u32>,
    /// Zero-based expert.
    pub expert: Option<u32>,
    /// Purpose.
    pub role: Role,
    /// Weight or bias.
    pub term: Term,
    /// Whether the role is a guess by storage order or habit: then nothing may rest on what its rows are.
    pub guessed: bool,
    /// Where it lies.
    pub view: View,
}

/// The normalisation used before the sublayers of a component; it decides which symmetries hold (METHODS 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Norm {
    /// Root-mean-square: signs of residual channels are arbitrary.
    Rms,
    /// LayerNorm subtracts the mean over channels: residual signs are not arbitrary.
    Layer,
    /// Not known; no residual test is made.
    Unknown,
}

/// Facts about one component that the symmetry tests need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentInfo {
    /// Which component.
    pub component: Component,
    /// Its normalisation.
    pub norm: Norm,
    /// Whether the feed-forward block is gated (`down(act(gate x) * (up x))`), so that signs of `up` are arbitrary.
    pub gated: bool,
    /// Layers.
    pub layers: u32,
    /// Width of the residual stream, 0 if unknown.
    pub residual: u64,
    /// Query heads, 0 if unknown.
    pub query_heads: u64,
    /// Key-value heads, 0 if unknown.
    pub kv_heads: u64,
    /// Head width (of values), 0 if unknown.
    pub head_dim: u64,
}

/// A checkpoint taken apart.
#[derive(Clone, Debug)]
pub struct Anatomy {
    /// Family name from the data files (`llama`, `gpt2`, …) or `inferred`.
    pub family: String,
    /// True when roles were inferred from shapes, order and repetition instead of known names.
    pub inferred: bool,
    /// One per component present, in [`Component::ALL`] order.
    pub components: Vec<ComponentInfo>,
    /// All logical tensors, ordered by (component, layer, expert, role, term); keys are unique.
    pub parts: Vec<Part>,
    /// Tensors (by index) that no rule covers. Listed, never dropped.
    pub unmapped: Vec<usize>,
    /// Tensors (by index) that are known to carry no weights: rotary tables, masks, quantisation scales.
    pub ignored: Vec<usize>,
    /// Remarks for the report, for instance which rule decided an ambiguous layout.
    pub notes: Vec<String>,
}

impl Anatomy {
    /// Facts about `component`, if present.
    pub fn component(&self, component: Component) -> Option<&ComponentInfo> {
        self.components.iter().find(|info| info.component == component)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_turn_back() {
        let blocks = RowOrder::Blocks { block: 3, step: 8 };
        assert_eq!((0..7).map(|row| blocks.stored(row)).collect::<Vec<_>>(), [0, 1, 2, 8, 9, 10, 16]);
        assert_eq!((0..10).filter_map(|row| blocks.logical(row)).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        for order in [RowOrder::Stored, RowOrder::RotaryInterleaved { head_dim: 6 }, blocks] {
            assert!((0..24).all(|row| order.logical(order.stored(row)) == Some(row)), "{order:?}");
        }
        let view =
            View { tensor: 0, rows: 7, cols: 1, first: 0, row_stride: 1, col_stride: 1, order: blocks };
        assert_eq!((view.row_span(), View { order: RowOrder::Stored, ..view }.row_span()), (17, 7));
    }
}
