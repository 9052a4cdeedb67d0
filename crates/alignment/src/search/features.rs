//! Feed-forward units of one layer of one model, seen in a frame.

use super::frame::Directions;
use super::matrix::Columns;
use stemmata_architecture::{Anatomy, Component, Part, Role, Term};
use stemmata_fingerprint::{RowReader, clip, clip_limit, content_salt};
use stemmata_model::{ReadError, Weights};

/// Elements read at once.
const CHUNK: usize = 1 << 20;

/// K × picked units.
pub(crate) struct Units {
    /// What decides whether a unit fires; `None` where the block has no gate.
    pub(crate) gate: Option<Columns>,
    /// What a unit reads.
    pub(crate) up: Columns,
    /// What a unit writes.
    pub(crate) down: Columns,
    /// Whether the gains before the block are one number, as they are after folding and never after training.
    pub(crate) flat_gain: bool,
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

    /// The matrix that says what units read, where it is one.
    pub(crate) fn only_up(&self) -> Option<&'a Part> {
        match self.ups.as_slice() {
            [up] => Some(up),
            _ => None,
        }
    }

    /// Whether units have gates.
    pub(crate) fn is_gated(&self) -> bool {
        !self.gates.is_empty()
    }

    /// Units of all experts together.
    pub(crate) fn units(&self) -> u64 {
        self.ups.iter().map(|p| p.view.rows).sum()
    }

    /// Experts and their units, in the order in which units are counted; `None` for a dense block.
    pub(crate) fn experts(&self) -> impl Iterator<Item = (Option<u32>, u64)> + '_ {
        self.ups.iter().map(|p| (p.expert, p.view.rows))
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

    /// Projects the picked units (all experts counted through). The gain of the norm before the block is multiplied into what
    /// units read, so that a gain that was folded into the weights and one that was not are alike.
    pub(crate) fn read(
        &self,
        weights: &dyn Weights,
        directions: &Directions,
        picked: &[u64],
        stop: &dyn Fn() -> bool,
    ) -> Result<Units, ReadError> {
        let gain = self.gain(weights, directions.width())?;
        let read = |parts: &[&Part]| inputs(weights, parts, directions, &gain, picked, stop);
        Ok(Units {
            flat_gain: self.gain.is_some() && is_flat(&gain),
            gate: if self.gates.is_empty() { None } else { Some(read(&self.gates)?) },
            up: read(&self.ups)?,
            down: outputs(weights, &self.downs, directions, picked, stop)?,
        })
    }

    /// As [`Block::read`], only what decides whether a unit fires: gates, or what units read where there are none.
    pub(crate) fn keys(
        &self,
        weights: &dyn Weights,
        directions: &Directions,
        picked: &[u64],
        stop: &dyn Fn() -> bool,
    ) -> Result<Columns, ReadError> {
        let parts = if self.is_gated() { &self.gates } else { &self.ups };
        inputs(weights, parts, directions, &self.gain(weights, directions.width())?, picked, stop)
    }

    /// Hands over all gate rows of a `width`-wide stream, gains multiplied in, width × rows at a time.
    pub(crate) fn each_gate(
        &self,
        weights: &dyn Weights,
        width: usize,
        stop: &dyn Fn() -> bool,
        take: &mut dyn FnMut(Columns),
    ) -> Result<(), ReadError> {
        let gain = self.gain(weights, width)?;
        for part in &self.gates {
            each_chunk(weights, part, width, stop, &mut |_, rows, chunk| {
                take(Columns::from_fn(width, rows, |channel, row| {
                    chunk[row * width + channel] * gain[channel]
                }));
            })?;
        }
        Ok(())
    }

    /// The gain of the norm before the block; ones where there is none.
    fn gain(&self, weights: &dyn Weights, width: usize) -> Result<Vec<f32>, ReadError> {
        gain_of(weights, self.gain, width)
    }
}

/// A gain of `width` channels; ones where there is none of that width.
pub(super) fn gain_of(
    weights: &dyn Weights,
    part: Option<&Part>,
    width: usize,
) -> Result<Vec<f32>, ReadError> {
    let mut gain = vec![1.0_f32; width];
    if let Some(part) = part.filter(|p| p.view.elements() == width as u64) {
        RowReader::default().read(weights, &part.view, 0, width, &mut gain)?;
        clip(&mut gain, f32::MAX);
    }
    Ok(gain)
}

fn is_flat(gain: &[f32]) -> bool {
    gain.iter().all(|g| (g - gain[0]).abs() <= 1e-3 * gain[0].abs())
}

/// Those of `picked` (increasing) that lie in `first .. first + count`, as positions in the list and offsets from `first`.
fn within(
    picked: &[u64],
    first: u64,
    count: u64,
) -> impl ExactSizeIterator<Item = (usize, usize)> + Clone + '_ {
    let start = picked.partition_point(|unit| *unit < first);
    let end = picked.partition_point(|unit| *unit < first + count);
    (start..end).map(move |at| (at, (picked[at] - first) as usize))
}

/// Picked rows of matrices that read the residual stream, projected: K × rows.
pub(super) fn inputs(
    weights: &dyn Weights,
    parts: &[&Part],
    directions: &Directions,
    gain: &[f32],
    picked: &[u64],
    stop: &dyn Fn() -> bool,
) -> Result<Columns, ReadError> {
    let d = directions.width();
    let mut out = Columns::zeros(directions.count(), picked.len());
    let mut before = 0;
    for part in parts {
        each_chunk(weights, part, d, stop, &mut |first, rows, chunk| {
            let wanted = within(picked, before + first as u64, rows as u64);
            let Some(start) = wanted.clone().next().map(|(at, _)| at) else { return };
            let mut rows = Columns::zeros(d, wanted.len());
            for (column, (_, row)) in wanted.enumerate() {
                let values = chunk[row * d..(row + 1) * d].iter().zip(gain);
                rows.column_mut(column).iter_mut().zip(values).for_each(|(out, (x, g))| *out = x * g);
            }
            let mut into = out.columns_mut(start, rows.ncols());
            match directions {
                Directions::Dense(matrix) => into.copy_from(&(matrix * rows)),
                Directions::Hashed(hash, _) => {
                    let columns = rows.as_slice().chunks_exact(d).zip(into.column_iter_mut());
                    columns.for_each(|(row, mut out)| hash.add(row, out.as_mut_slice()));
                }
            }
        })?;
        before += part.view.rows;
    }
    Ok(out)
}

/// Picked columns of matrices that write to the residual stream, projected: K × columns.
pub(super) fn outputs(
    weights: &dyn Weights,
    parts: &[&Part],
    directions: &Directions,
    picked: &[u64],
    stop: &dyn Fn() -> bool,
) -> Result<Columns, ReadError> {
    let mut out = Columns::zeros(picked.len(), directions.count());
    let mut before = 0;
    for part in parts {
        let units = part.view.cols as usize;
        let wanted: Vec<(usize, usize)> = within(picked, before, units as u64).collect();
        before += units as u64;
        let Some(start) = wanted.first().map(|(at, _)| *at) else { continue };
        let mut into = out.rows_mut(start, wanted.len());
        each_chunk(weights, part, units, stop, &mut |first, rows, chunk| {
            // Row r of `down` holds what every unit writes to residual channel r.
            let chunk = Columns::from_fn(wanted.len(), rows, |unit, row| chunk[row * units + wanted[unit].1]);
            match directions {
                Directions::Dense(matrix) => {
                    into.gemm(1.0, &chunk, &matrix.columns(first, rows).transpose(), 1.0);
                }
                Directions::Hashed(hash, _) => {
                    for (row, values) in chunk.column_iter().enumerate() {
                        let (bucket, sign) = hash.slot(first + row);
                        into.column_mut(bucket).axpy(sign, &values, 1.0);
                    }
                }
            }
        })?;
    }
    Ok(out.transpose())
}

/// Calls `take(first row, rows, values)` for chunk after chunk of a part, wild values cut.
fn each_chunk(
    weights: &dyn Weights,
    part: &Part,
    width: usize,
    stop: &dyn Fn() -> bool,
    take: &mut dyn FnMut(usize, usize, &[f32]),
) -> Result<(), ReadError> {
    let mut reader = RowReader::default();
    let mut buffer = Vec::new();
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
    Ok(())
}
