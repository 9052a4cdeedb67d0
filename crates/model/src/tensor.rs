//! Metadata of one stored array; never its numbers.

use crate::Encoding;

/// Extents, outermost first (row-major, as NumPy prints them). Rank 0 is a scalar.
pub type Shape = Vec<u64>;

/// Where the bytes of a tensor lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// Index into [`crate::Checkpoint::files`].
    pub file: u32,
    /// First byte, from the start of that file.
    pub offset: u64,
    /// Bytes that belong to the tensor (for strided views: to the storage that it looks into, from `offset` on).
    pub len: u64,
    /// Strides in elements, outermost first; `None` when the tensor is contiguous and row-major.
    pub strides: Option<Vec<u64>>,
}

/// One stored array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// The name in the container, exactly as stored; of packed weights the name that they had before they were packed.
    /// Attacker-controlled: print through [`crate::printable`].
    pub name: String,
    /// Extents, outermost first.
    pub shape: Shape,
    /// How the numbers are stored.
    pub encoding: Encoding,
    /// Where they are stored; of packed weights, where the codes are.
    pub storage: Storage,
}

impl Tensor {
    /// Number of elements. Readers have checked that the product fits in 64 bits.
    pub fn elements(&self) -> u64 {
        self.shape.iter().product()
    }

    /// (rows, columns) when looked at as a matrix: the last extent is the row length, all others are rows.
    /// Rank 0 and rank 1 are one row.
    pub fn matrix(&self) -> (u64, u64) {
        match self.shape.as_slice() {
            [] => (1, 1),
            [cols] => (1, *cols),
            [outer @ .., cols] => (outer.iter().product(), *cols),
        }
    }
}
