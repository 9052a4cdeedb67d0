//! Operations on a decoder by which weights are disguised or reused: symmetries of its function, changes of structure, of numbers.
//!
//! Answers: *what does this operation make of these weights, and does the model still compute the same?* All in f64, so that
//! an operation that keeps the function keeps it to some twelve digits. Must not know: files, training, tests of dependence.

pub(crate) mod decoder;
pub(crate) mod forward;
pub(crate) mod matrix;
pub(crate) mod numbers;
pub(crate) mod structure;
pub(crate) mod symmetries;
#[cfg(test)]
mod tests;
