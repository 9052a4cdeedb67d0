//! Feed-forward units of one layer of one model, seen in a frame.

use super::frame::Directions;
use super::matrix::{Columns, rows_as_columns};
use stemmata_architecture::{Anatomy, Component, Part, Role, Term};
use stemmata_fingerprint::{RowReader, clip, clip_limit, content_salt};
use stemmata_model::{ReadError, Weights};

/// Elements read at once.
const CHUNK: usize = 1 << 20;

/// K × units; experts follow one another.
pub(crate) struct Units {
    /// What decides whether a unit fires; `None` where the block has no gate.
    pub(crate) gate: Option<Columns>,
    /// What a unit reads.
    pub(crate) up: Columns,
    /// What a unit writes.
    pub(crate) down: Columns,
}

/// Where the feed-forward matrices of one layer lie.
pub(crate) struct Block<'a> {
    gates: Vec<&'a Part>,
    ups: Vec<&'a Part>,
    downs: Vec<&'a Part>,
    gain: Option<&'a Part>,
}

impl<'a> Block<'a> {
    /// The block of a layer, if it is whole: as many `up` as `down`, and as many gates or none.
    pub(crate) fn of(anatomy: &'a Anatomy, component: Component, layer: u32) -> Option<Block<'a>> {
        let start = anatomy.parts.partition_point(|p| (p.component, p.layer) < (component, Some(layer)));
        let of_layer = || {
            anatomy.parts[start..]
                .iter()
                .take_while(move |p| p.component == component && p.layer == Some(layer))
                .filter(|p| p.term == Term::Weight)
        };
        let with = |role| of_layer().filter(|p| p.role == role).collect::<Vec<_>>();
        let gain = with(Role::FeedForwardNorm).first().copied();
        let block = Block { gates: with(Role::Gate), ups: with(Role::Up), downs: with(Role::Down), gain };
        let n = block.ups.len();
        let whole = n > 0 && block.downs.len() == n && (block.gates.is_empty() || block.gates.len() == n);
        let fits = |p: &&Part| p.view.rows > 1 && p.view.cols > 1;
        let hidden = |up: &Part, down: &Part| up.view.rows == down.view.cols;
        let consistent =
            block.ups.iter().zip(&block.downs).all(|(up, down)| fits(up) && fits(down) && hidden(up, down))
                && block
                    .gates
                    .iter()
                    .zip(&block.ups)
                    .all(|(g, up)| (g.view.rows, g.view.cols) == (up.view.rows, up.view.cols));
        (whole && consistent).then_some(block)
    }

    /// Units of all experts together.
    pub(crate) fn units(&self) -> u64 {
        self.ups.iter().map(|p| p.view.rows).sum()
    }

    /// Units of one expert; of all of them where experts differ.
    pub(crate) fn width(&self) -> usize {
        let first = self.ups.first().map_or(0, |p| p.view.rows);
        let alike = self.ups.iter().all(|p| p.view.rows == first);
        (if alike { first } else { self.units() }).max(1) as usize
    }

    /// Width of the residual stream.
    pub(crate) fn residual(&self) -> u64 {
        self.ups.first().map_or(0, |p| p.view.cols)
    }

    /// Elements that [`Block::read`] reads.
    pub(crate) fn elements(&self) -> u64 {
        let count = |parts: &[&Part]| parts.iter().map(|p| p.view.elements()).sum::<u64>();
        count(&self.gates) + count(&self.ups) + count(&self.downs)
    }

    /// Projects all units. The gain of the norm before the block is multiplied into what units read, so that a gain that
    /// was folded into the weights and one that was not are alike.
    pub(crate) fn read(
        &self,
        weights: &dyn Weights,
        directions: &Directions,
        stop: &dyn Fn() -> bool,
    ) -> Result<Units, ReadError> {
        let d = directions.ncols();
        let mut gain = vec![1.0_f32; d];
        if let Some(part) = self.gain.filter(|p| p.view.elements() == d as u64) {
            RowReader::default().read(weights, &part.view, 0, d, &mut gain)?;
            clip(&mut gain, f32::MAX);
        }
        let reading = Columns::from_fn(directions.nrows(), d, |k, i| directions[(k, i)] * gain[i]);
        let read = |parts: &[&Part]| inputs(weights, parts, &reading, stop);
        Ok(Units {
            gate: if self.gates.is_empty() { None } else { Some(read(&self.gates)?) },
            up: read(&self.ups)?,
            down: outputs(weights, &self.downs, directions, stop)?,
        })
    }
}

/// Rows of matrices that read the residual stream, projected: K × rows.
fn inputs(
    weights: &dyn Weights,
    parts: &[&Part],
    directions: &Directions,
    stop: &dyn Fn() -> bool,
) -> Result<Columns, ReadError> {
    let d = directions.ncols();
    let total: u64 = parts.iter().map(|p| p.view.rows).sum();
    let mut out = Columns::zeros(directions.nrows(), total as usize);
    let mut at = 0;
    each_chunk(weights, parts, d, stop, &mut |_, rows, chunk| {
        let product = directions * rows_as_columns(chunk, d);
        out.columns_mut(at, rows).copy_from(&product);
        at += rows;
    })?;
    Ok(out)
}

/// Columns of matrices that write to the residual stream, projected: K × columns.
fn outputs(
    weights: &dyn Weights,
    parts: &[&Part],
    directions: &Directions,
    stop: &dyn Fn() -> bool,
) -> Result<Columns, ReadError> {
    let total: u64 = parts.iter().map(|p| p.view.cols).sum();
    let mut out = Columns::zeros(directions.nrows(), total as usize);
    let mut before = 0;
    for part in parts {
        let units = part.view.cols as usize;
        let mut into = out.columns_mut(before, units);
        each_chunk(weights, &[part], units, stop, &mut |first, rows, chunk| {
            // Row r of `down` holds what every unit writes to residual channel r.
            let chunk = rows_as_columns(chunk, units).transpose();
            into.gemm(1.0, &directions.columns(first, rows), &chunk, 1.0);
        })?;
        before += units;
    }
    Ok(out)
}

/// Calls `take(first row, rows, values)` for chunk after chunk of each part, wild values cut.
fn each_chunk(
    weights: &dyn Weights,
    parts: &[&Part],
    width: usize,
    stop: &dyn Fn() -> bool,
    take: &mut dyn FnMut(usize, usize, &[f32]),
) -> Result<(), ReadError> {
    let mut reader = RowReader::default();
    let mut buffer = Vec::new();
    for part in parts {
        let step = (CHUNK / width).max(1) as u64;
        let mut first = 0;
        while first < part.view.rows {
            if stop() {
                return Err(ReadError::Interrupted);
            }
            let rows = step.min(part.view.rows - first) as usize;
            buffer.resize(rows * width, 0.0);
            reader.read(weights, &part.view, first, width, &mut buffer)?;
            let limit = clip_limit(buffer.len(), content_salt(&buffer), |i| buffer[i]);
            clip(&mut buffer, limit);
            take(first as usize, rows, &buffer);
            first += rows as u64;
        }
    }
    Ok(())
}
