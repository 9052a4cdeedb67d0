//! One streaming read of a model makes its sketch.

use crate::spool::Spool;
use crate::{
    Blocks, CountSketch, Factor, GroupSketch, PartSummary, RowReader, SelfCheck, SelfSums, Sketch,
    SketchParams, SpoolError, Spooled, UnitSketch, check_labels, clip, clip_limit, content_salt, is_constant,
    picked, quantize, row_cost, salt, spans, strongest,
};
use std::collections::BTreeMap;
use std::io::{Read, Seek, Write};
use stemmata_architecture::{Anatomy, ChannelAxis, ChannelMap, Part, channel_maps, labels_units};
use stemmata_model::{Digest, ReadError, Weights};
use xxhash_rust::xxh3::Xxh3;

/// Elements read at once.
const CHUNK: u64 = 1 << 16;
/// Values that are hashed at once.
const HASHED: usize = 256;
/// Elements that are announced together.
const WINDOW: u64 = 1 << 23;
/// About how many rows of a tensor are looked at for the check of the model by itself.
const SAMPLED_ROWS: u64 = 128;

/// Collects parts into a sketch.
pub struct Builder<'a> {
    weights: &'a dyn Weights,
    anatomy: &'a Anatomy,
    params: SketchParams,
    /// Whether digests and the residual channels of layers are wanted.
    whole: bool,
}

/// What is done of a sketch.
pub(crate) enum Piece {
    Group(GroupSketch),
    Unit(UnitSketch),
}

/// What one tensor adds to its layer.
#[derive(Default)]
struct Added {
    factors: Vec<(ChannelAxis, Factor)>,
    unit: Option<UnitSketch>,
    checks: Vec<SelfCheck>,
}

/// Sketches a model. `progress` is called with (bytes of elements done as f32 count, parts done) and returns false to stop.
///
/// O(parameters) time, O(largest row + sketch) memory.
pub fn sketch_model(
    weights: &dyn Weights,
    anatomy: &Anatomy,
    params: SketchParams,
    progress: &mut dyn FnMut(u64, usize) -> bool,
) -> Result<Sketch, ReadError> {
    collect(Builder { weights, anatomy, params, whole: true }, progress)
}

/// Sketches a model as [`sketch_model`] does, layer by layer into `spool`.
///
/// O(parameters) time, O(largest row + sketch of the largest layer + parts) memory, whatever the number of layers.
pub fn spool_model<S: Read + Write + Seek>(
    weights: &dyn Weights,
    anatomy: &Anatomy,
    params: SketchParams,
    spool: S,
    progress: &mut dyn FnMut(u64, usize) -> bool,
) -> Result<Spooled<S>, SpoolError> {
    let builder = Builder { weights, anatomy, params, whole: true };
    let mut spool = Spool::new(spool);
    let sketch = stream(builder, &mut |piece| spool.push(&piece).map_err(SpoolError::Spool), progress)?;
    Ok(spool.finish(sketch))
}

/// What tells layers apart, in a fraction of the time: as [`sketch_model`], without digests and norms of whole tensors (they are zero) and without
/// the residual channels of layers, which all layers share. The channels that are kept are the same, bit for bit, where all rows are read; of a sample
/// all layers give up the same rows.
pub fn sketch_layers(
    weights: &dyn Weights,
    anatomy: &Anatomy,
    params: SketchParams,
    progress: &mut dyn FnMut(u64, usize) -> bool,
) -> Result<Sketch, ReadError> {
    collect(Builder { weights, anatomy, params, whole: false }, progress)
}

fn collect(builder: Builder<'_>, progress: &mut dyn FnMut(u64, usize) -> bool) -> Result<Sketch, ReadError> {
    let (mut groups, mut units) = (Vec::new(), Vec::new());
    let mut keep = |piece| {
        match piece {
            Piece::Group(group) => groups.push(group),
            Piece::Unit(unit) => units.push(unit),
        }
        Ok::<(), ReadError>(())
    };
    let sketch = stream(builder, &mut keep, progress)?;
    Ok(Sketch { groups, units, ..sketch })
}

/// Gives `done` the groups and units of layer after layer; returns everything else.
fn stream<E: From<ReadError>>(
    builder: Builder<'_>,
    done: &mut dyn FnMut(Piece) -> Result<(), E>,
    progress: &mut dyn FnMut(u64, usize) -> bool,
) -> Result<Sketch, E> {
    let Builder { weights, anatomy, params, .. } = builder;
    let (mut parts, mut checks) = (Vec::with_capacity(anatomy.parts.len()), Vec::new());
    let mut open: BTreeMap<ChannelAxis, Vec<Factor>> = BTreeMap::new();
    let (mut elements, mut announced) = (0, 0);
    for (index, part) in anatomy.parts.iter().enumerate() {
        if index >= announced && params.blocks > 0 && weights.wants_announcement() {
            announced = builder.announce(index)?;
        }
        let (summary, added) = builder.part(part)?;
        parts.push(summary);
        for (axis, factor) in added.factors {
            open.entry(axis).or_default().push(factor);
        }
        if let Some(unit) = added.unit {
            done(Piece::Unit(unit))?;
        }
        checks.extend(added.checks.into_iter().map(|check| (part.component, check)));
        // Parts are in the order of their layers.
        let (component, layer) = (part.component, part.layer);
        if anatomy.parts.get(index + 1).is_none_or(|next| (next.component, next.layer) != (component, layer))
        {
            for (axis, mut factors) in std::mem::take(&mut open) {
                factors.sort_by_key(|factor| (factor.role, factor.expert));
                done(Piece::Group(GroupSketch { component, layer, axis, factors }))?;
            }
        }
        elements += part.view.elements();
        if !progress(elements, parts.len()) {
            return Err(ReadError::Interrupted.into());
        }
    }
    Ok(Sketch {
        params,
        reference: String::new(),
        digest: String::new(),
        format: String::new(),
        family: anatomy.family.clone(),
        inferred: anatomy.inferred,
        parameters: weights.tensors().iter().filter(|t| t.encoding.is_float()).map(|t| t.elements()).sum(),
        bytes_read: weights.bytes_read(),
        components: anatomy.components.clone(),
        parts,
        groups: Vec::new(),
        units: Vec::new(),
        checks,
    })
}

/// Projected channels of one side of one tensor while it streams by.
struct Side {
    map: ChannelMap,
    total: u64,
    /// Kept position of each channel, or `u32::MAX`.
    position: Vec<u32>,
    sketch: Vec<f32>,
    norms: Vec<f64>,
    buckets: usize,
}

impl Side {
    fn new(map: ChannelMap, extent: u64, params: &SketchParams) -> Side {
        let total = map.channels(extent);
        let mut position = vec![u32::MAX; total as usize];
        let mut kept = 0;
        for channel in picked(total, u64::from(params.channels)) {
            position[channel as usize] = kept;
            kept += 1;
        }
        let buckets = params.buckets as usize;
        Side {
            map,
            total,
            position,
            sketch: vec![0.0; kept as usize * buckets],
            norms: vec![0.0; kept as usize],
            buckets,
        }
    }

    fn kept(&self, index: u64) -> Option<usize> {
        let position = self.position[self.map.channel(index) as usize];
        (position != u32::MAX).then_some(position as usize)
    }

    /// The indices that belong to kept channels, ascending: (index, kept channel, member of its group).
    fn taken(&self, extent: u64) -> Vec<(usize, usize, u64)> {
        let of = |index| Some((index as usize, self.kept(index)?, self.map.member(index)));
        (0..extent).filter_map(of).collect()
    }

    fn finish(self, part: &Part, squares: f64) -> Factor {
        let (mut codes, mut scales) =
            (Vec::with_capacity(self.sketch.len()), Vec::with_capacity(self.norms.len()));
        for channel in self.sketch.chunks_exact(self.buckets) {
            scales.push(quantize(channel, &mut codes));
        }
        let norms = self.norms.iter().map(|x| *x as f32).collect();
        Factor { role: part.role, expert: part.expert, total: self.total, squares, norms, scales, codes }
    }
}

impl Builder<'_> {
    /// The rows that are read of a part, where not all are; none where a few rows cost as much as all.
    fn sample(&self, part: &Part) -> Option<Blocks> {
        let (view, params) = (&part.view, &self.params);
        // Layers of any number can be held against each other only where they give up the same rows.
        let layer = part.layer.filter(|_| self.whole);
        let place = (part.component, layer, part.expert);
        let readable = row_cost(self.weights, view, view.cols).is_some();
        let count = if readable { u64::from(params.blocks) } else { 0 };
        let salt = salt(place, (part.role, part.term), params.seed);
        (params.blocks > 0).then(|| Blocks::new(view.rows, view.cols, count, salt))
    }

    /// Announces the rows of parts `from ..` up to a window's worth; the first part that is not announced.
    fn announce(&self, from: usize) -> Result<usize, ReadError> {
        let (mut wanted, mut elements, mut end) = (Vec::new(), 0, from);
        while elements < WINDOW && end < self.anatomy.parts.len() {
            let part = &self.anatomy.parts[end];
            for (first, rows) in self.sample(part).iter().flat_map(Blocks::iter) {
                wanted.extend(spans(&part.view, first, rows, part.view.cols));
                elements += rows * part.view.cols;
            }
            end += 1;
        }
        self.weights.announce(&wanted)?;
        Ok(end)
    }

    fn part(&self, part: &Part) -> Result<(PartSummary, Added), ReadError> {
        let view = &part.view;
        let info = self.anatomy.component(part.component);
        let (row_map, col_map) = info.map_or((None, None), |info| {
            let (rows, cols) = channel_maps(part, info);
            // What the outputs of a guessed role are is not known; nothing may rest on it.
            let rows = rows.filter(|m| m.axis.holds_for(info) && !part.guessed);
            let wanted =
                |m: &ChannelMap| self.whole || part.layer.is_none() || m.axis != ChannelAxis::Residual;
            (rows.filter(wanted), cols.filter(|m| m.axis.holds_for(info) && wanted(m)))
        });
        let params = &self.params;
        let mut row_side = row_map.map(|map| Side::new(map, view.rows, params));
        let mut col_side = col_map.map(|map| Side::new(map, view.cols, params));
        let columns = col_side.as_ref().map_or_else(Vec::new, |side| side.taken(view.cols));
        // Each axis has its own projection of the *other* side, so the two sides of one tensor are not the same numbers.
        let over_cols =
            CountSketch::new(view.cols as usize, params.buckets as usize, params.seed ^ 0x636f_6c73);
        let over_rows = RowHash::new(params.buckets as usize, params.seed ^ 0x726f_7773);
        let sample = self.sample(part);
        let wants_units = info.is_some_and(|info| labels_units(part, info));
        let mut unit_side = UnitSide::new(part, wants_units, sample.as_ref(), params);

        let mut hasher = Xxh3::new();
        let (mut squares, mut clipped_squares) = (0.0, 0.0);
        let mut alone = SelfSums::default();
        let every = (view.rows / SAMPLED_ROWS).max(1);
        let cols = view.cols as usize;
        let rows_per_chunk = (CHUNK / view.cols.max(1)).max(1);
        let mut reader = RowReader::default();
        let mut buffer = Vec::new();
        let ranges = sample.as_ref().map_or_else(|| vec![(0, view.rows)], |sample| sample.iter().collect());
        let chunks = ranges.into_iter().flat_map(|(first, rows)| {
            let step = rows_per_chunk as usize;
            (first..first + rows).step_by(step).map(move |at| (at, (step as u64).min(first + rows - at)))
        });
        for (first, rows) in chunks.filter(|_| cols > 0) {
            let rows = rows as usize;
            buffer.resize(rows * cols, 0.0_f32);
            reader.read(self.weights, view, first, cols, &mut buffer)?;
            for values in buffer.chunks(HASHED).filter(|_| self.whole) {
                let mut bytes = [0; 4 * HASHED];
                bytes
                    .chunks_exact_mut(4)
                    .zip(values)
                    .for_each(|(out, x)| out.copy_from_slice(&x.to_le_bytes()));
                hasher.update(&bytes[..4 * values.len()]);
                for x in values {
                    squares += if x.is_finite() { f64::from(*x) * f64::from(*x) } else { 0.0 };
                }
            }
            let limit = clip_limit(buffer.len(), content_salt(&buffer), |i| buffer[i]);
            clip(&mut buffer, limit);
            for (index, row) in (first..).zip(buffer.chunks_exact_mut(cols)) {
                if is_constant(row) {
                    row.fill(0.0);
                }
                let row = &*row;
                let energy: f64 = row.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
                clipped_squares += energy;
                if sample.is_some() || index.is_multiple_of(every) {
                    alone.add_row(index, row);
                }
                if let Some(diagonal) = row.get(index as usize) {
                    alone.add_diagonal(index, *diagonal);
                }
                if let Some(side) = &mut row_side
                    && let Some(kept) = side.kept(index)
                {
                    side.norms[kept] += energy;
                    over_cols.add(row, &mut side.sketch[kept * side.buckets..][..side.buckets]);
                }
                if let Some(side) = &mut col_side {
                    for &(c, kept, member) in &columns {
                        let (x, (bucket, sign)) = (row[c], over_rows.slot(index, member));
                        side.sketch[kept * side.buckets + bucket] += sign * x;
                        side.norms[kept] += f64::from(x) * f64::from(x);
                    }
                }
                unit_side.add(index, row);
            }
        }
        let mut added = Added { checks: alone.finish(row_map, col_map), ..Added::default() };
        for side in [row_side, col_side].into_iter().flatten() {
            added.factors.push((side.map.axis, side.finish(part, clipped_squares)));
        }
        added.checks.extend(unit_side.check());
        added.unit = unit_side.finish(part);
        let summary = PartSummary {
            component: part.component,
            layer: part.layer,
            expert: part.expert,
            role: part.role,
            term: part.term,
            rows: view.rows,
            cols: view.cols,
            digest: Digest(if self.whole { hasher.digest128() } else { 0 }),
            squares,
        };
        Ok((summary, added))
    }
}

/// Hash of (row, group member) without a table: rows can be as many as a vocabulary.
struct RowHash {
    buckets: u64,
    seed: u64,
}

impl RowHash {
    fn new(buckets: usize, seed: u64) -> RowHash {
        RowHash { buckets: buckets as u64, seed }
    }

    fn slot(&self, row: u64, member: u64) -> (usize, f32) {
        let bits = stemmata_stats::SplitMix64::new(self.seed ^ row.rotate_left(20) ^ member.rotate_left(52))
            .next_u64();
        (((bits >> 32) % self.buckets) as usize, if bits & 1 == 1 { -1.0 } else { 1.0 })
    }
}

/// Feed-forward units for fixed points: rows of the gate, or of `up` where there is no gate.
struct UnitSide {
    projection: Option<CountSketch>,
    picked: Vec<u64>,
    sketch: Vec<f32>,
    /// The coordinate that each picked unit reads most.
    strongest: Vec<u64>,
    total: u64,
}

impl UnitSide {
    fn new(part: &Part, wanted: bool, sample: Option<&Blocks>, params: &SketchParams) -> UnitSide {
        let projection = wanted.then(|| {
            CountSketch::new(part.view.cols as usize, params.unit_buckets as usize, params.seed ^ 0x756e_6974)
        });
        let picked = match sample {
            _ if !wanted => Vec::new(),
            // Other rows are not at hand.
            Some(sample) => sample.indices().take(params.units as usize).collect(),
            None => picked(part.view.rows, u64::from(params.units)).collect(),
        };
        UnitSide { projection, picked, sketch: Vec::new(), strongest: Vec::new(), total: part.view.rows }
    }

    fn add(&mut self, row: u64, values: &[f32]) {
        if let Some(projection) = &self.projection
            && self.picked.binary_search(&row).is_ok()
        {
            let start = self.sketch.len();
            self.sketch.resize(start + projection.buckets(), 0.0);
            projection.add(values, &mut self.sketch[start..]);
            self.strongest.push(strongest(values).1);
        }
    }

    fn check(&self) -> Option<SelfCheck> {
        let units = self.picked.iter().copied().zip(self.strongest.iter().copied());
        self.projection.is_some().then(|| check_labels(units))
    }

    fn finish(self, part: &Part) -> Option<UnitSketch> {
        let projection = self.projection?;
        let (mut codes, mut scales) = (Vec::new(), Vec::new());
        for unit in self.sketch.chunks_exact(projection.buckets()) {
            scales.push(quantize(unit, &mut codes));
        }
        Some(UnitSketch { component: part.component, layer: part.layer, total: self.total, scales, codes })
    }
}
