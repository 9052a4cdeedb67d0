//! One pass over both models. Stripes of rows go to the workers in plan order, and their results are merged in that order, so neither the
//! number of threads nor their speed changes a bit of the outcome. A layer is reduced to what the tests need of it as soon as its last tensor
//! has been read.

use crate::ahead::Ahead;
use crate::channels::{self, Groups, SideProducts};
use crate::fixed::{self, count_fixed};
use crate::units::{UnitSums, Units};
use crate::window::Window;
use crate::worker::{FOLD_ROWS, Stripe, StripeSums, Worker};
use crate::{FixedPoints, Measurement, Moments, PairMeasurement, PairPlan, Plan, Side, SymmetryCheck};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use stemmata_architecture::View;
use stemmata_fingerprint::{Pattern, SelfSums};
use stemmata_model::{ReadError, Weights};

/// Elements of one stripe, the unit of work: large enough to amortise its column sums, small enough to balance.
const STRIPE: u64 = 1 << 22;
/// No machine gains from more workers, and a mistyped number must not exhaust the system.
const MOST_THREADS: usize = 256;
/// Stripes of each thread that may be done before their turn to be merged.
const AHEAD: usize = 4;

/// Bytes of stack of a worker, whose buffers are on the heap.
const STACK: usize = 1 << 20;

/// How to run.
pub struct Options<'a> {
    /// Worker threads; 0 means one per processor.
    pub threads: usize,
    /// Raised by the caller to stop.
    pub stop: &'a AtomicBool,
}

/// What has been done so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Elements compared (of each side).
    pub elements: u64,
    /// Elements to compare.
    pub elements_total: u64,
    /// Tensor pairs finished.
    pub tensors: usize,
    /// Tensor pairs to compare.
    pub tensors_total: usize,
}

/// Measures a pair of models according to `plan`.
///
/// O(parameters) time and one read of each side; memory O(channels of the widest layer · its tensors at hand + threads · chunk + pairs), independent
/// of the elements and, but for some numbers of each pair, of the number of layers. Where the system refuses threads the caller's own does the
/// work.
pub fn measure(
    plan: &Plan,
    candidate: &dyn Weights,
    reference: &dyn Weights,
    options: &Options<'_>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Measurement, ReadError> {
    measure_watched(plan, [candidate, reference], options, progress, &mut |_, _, _| ())
}

/// As [`measure`], for who wants to see the channels as well.
pub(crate) fn measure_watched(
    plan: &Plan,
    [candidate, reference]: [&dyn Weights; 2],
    options: &Options<'_>,
    progress: &mut dyn FnMut(Progress),
    watch: channels::Watch<'_>,
) -> Result<Measurement, ReadError> {
    let stripes = stripes(plan);
    let threads = match options.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n.min(stripes.len()).clamp(1, MOST_THREADS),
    };
    let next = AtomicUsize::new(0);
    let window = Window::new(AHEAD * threads);
    let ahead = Ahead::new(plan, &stripes, [candidate, reference]);
    let one = |worker: &mut Worker<'_>, index: usize| {
        if options.stop.load(Ordering::Relaxed) {
            return Err(ReadError::Interrupted);
        }
        ahead.announce(index)?;
        let stripe = &stripes[index];
        worker.run(&plan.pairs[stripe.pair], stripe)
    };
    let work = |send: mpsc::SyncSender<(usize, Result<StripeSums, ReadError>)>| {
        // One that panics must not leave the others waiting for its stripe.
        let _alarm = window.alarm();
        let mut worker = Worker::new(candidate, reference);
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= stripes.len()
                || !window.admits(index)
                || send.send((index, one(&mut worker, index))).is_err()
            {
                break;
            }
        }
    };
    std::thread::scope(|scope| {
        let (send, receive) = mpsc::sync_channel(2 * threads);
        let mut spawned = 0;
        for _ in 0..threads {
            let (work, send) = (&work, send.clone());
            let builder = std::thread::Builder::new().stack_size(STACK);
            if builder.spawn_scoped(scope, move || work(send)).is_err() {
                break;
            }
            spawned += 1;
        }
        // With this one gone the channel closes when the workers end, even if one of them panics.
        drop(send);
        if spawned == 0 {
            let mut worker = Worker::new(candidate, reference);
            return merge(plan, &stripes, &mut |index| one(&mut worker, index), progress, watch);
        }
        let mut waiting = BTreeMap::new();
        let mut arrival = |index: usize| loop {
            window.reached(index);
            if let Some(sums) = waiting.remove(&index) {
                return Ok(sums);
            }
            // Every worker holds a sender until its stripes are sent, so a closed channel means a worker panicked.
            let (arrived, outcome) = receive.recv().map_err(|_| ReadError::Interrupted)?;
            waiting.insert(arrived, outcome?);
        };
        let outcome = merge(plan, &stripes, &mut arrival, progress, watch);
        if outcome.is_err() {
            window.close();
            // Workers blocked on a full channel must be let go.
            while receive.recv_timeout(std::time::Duration::from_millis(50)).is_ok() {}
        }
        outcome
    })
}

fn stripes(plan: &Plan) -> Vec<Stripe> {
    let mut stripes = Vec::new();
    for (pair, &PairPlan { rows, cols, sample, .. }) in plan.pairs.iter().enumerate() {
        if let Some(sample) = sample.filter(|sample| sample.rows() > 0) {
            stripes.extend(sample.iter().map(|(first, rows)| Stripe { pair, first, rows, last: false }));
            stripes.iter_mut().last().iter_mut().for_each(|stripe| stripe.last = true);
            continue;
        }
        if rows == 0 || cols == 0 || sample.is_some() {
            stripes.push(Stripe { pair, first: 0, rows: 0, last: true });
            continue;
        }
        let step = (STRIPE / cols / FOLD_ROWS * FOLD_ROWS).max(FOLD_ROWS);
        let mut first = 0;
        while first < rows {
            let taken = step.min(rows - first);
            stripes.push(Stripe { pair, first, rows: taken, last: first + taken == rows });
            first += taken;
        }
    }
    stripes
}

/// Sums of one pair while its stripes arrive.
#[derive(Default)]
struct PairSums {
    moments: Moments,
    squares: (f64, f64),
    rows: Vec<(f64, f64, f64)>,
    cols: Vec<(f64, f64, f64)>,
    units: [UnitSums; 2],
    alone: [SelfSums; 2],
}

impl PairSums {
    fn add(&mut self, pair: &PairPlan, stripe: StripeSums) {
        self.moments.add(&stripe.moments);
        self.squares.0 += stripe.squares.0;
        self.squares.1 += stripe.squares.1;
        self.rows.extend(stripe.rows);
        if self.cols.is_empty() {
            self.cols = stripe.cols;
        } else {
            for (total, part) in self.cols.iter_mut().zip(stripe.cols) {
                total.0 += part.0;
                total.1 += part.1;
                total.2 += part.2;
            }
        }
        self.units.iter_mut().zip(stripe.units).for_each(|(sums, part)| sums.merge(part, pair.flipped));
        self.alone.iter_mut().zip(stripe.alone).for_each(|(sums, part)| sums.merge(part));
    }

    /// Column norms were summed over a sample of rows: scale them so that they add up to the exact sum over all elements.
    fn scale_sampled_norms(&mut self) {
        let sampled = self.cols.iter().fold((0.0, 0.0), |(c, r), col| (c + col.1, r + col.2));
        let ratio = |exact: f64, sampled: f64| if sampled > 0.0 { exact / sampled } else { 0.0 };
        let scale = (ratio(self.squares.0, sampled.0), ratio(self.squares.1, sampled.1));
        for col in &mut self.cols {
            col.1 *= scale.0;
            col.2 *= scale.1;
        }
    }

    /// Everything that needs only this pair.
    fn finish(mut self, pair: &PairPlan) -> FinishedPair {
        self.scale_sampled_norms();
        let place = (pair.key.component, pair.key.layer);
        // What a guess is about is what the outputs are.
        let row_axis = if pair.flipped { pair.col_map } else { pair.row_map };
        let mut checks: Vec<SymmetryCheck> = Vec::new();
        for (index, side) in [Side::Candidate, Side::Reference].into_iter().enumerate() {
            let mut list = self.alone[index].finish(pair.row_map, pair.col_map);
            list.extend(pair.units.then(|| Units::check(pair, &self.units[index])));
            checks.extend(list.into_iter().map(|check| {
                let of_rows = |axis| row_axis.is_some_and(|map| map.axis == axis);
                let guessed = pair.guessed[index]
                    && matches!(check.pattern, Pattern::Ones(a) | Pattern::Diagonal(a) if of_rows(a));
                SymmetryCheck { component: place.0, side, guessed, check }
            }));
        }
        let fixed_points = pair.units.then(|| {
            let [c, r] = self.units.map(|sums| sums.into_projected(pair.flipped));
            let (fixed, units) = count_fixed(&c, &r, fixed::BUCKETS);
            FixedPoints { component: place.0, layer: place.1, units, fixed }
        });
        let shape = |view: &View| {
            if pair.flipped { (view.cols, view.rows) } else { (view.rows, view.cols) }
        };
        let (candidate_shape, reference_shape) = (shape(&pair.candidate), shape(&pair.reference));
        let moments = self.moments;
        let measurement = PairMeasurement {
            key: pair.key,
            candidate: pair.candidate.tensor,
            reference: pair.reference.tensor,
            candidate_shape,
            reference_shape,
            identical: candidate_shape == reference_shape
                && moments.n > 0
                && moments.n == candidate_shape.0 * candidate_shape.1
                && moments.changed == 0,
            moments: Some(moments),
        };
        // Rows that were not read have no product and no reach.
        let rows = match &pair.sample {
            Some(sample) if pair.row_map.is_some() => {
                let mut all = vec![(0.0, 0.0, 0.0); pair.rows as usize];
                sample.indices().zip(self.rows).for_each(|(row, sums)| all[row as usize] = sums);
                all
            }
            _ => self.rows,
        };
        let sides = [(pair.row_map, rows), (pair.col_map, self.cols)]
            .map(|(map, sums)| map.map(|map| SideProducts { map, sums }));
        FinishedPair { measurement, squares: self.squares, sides, fixed_points, checks }
    }
}

/// One pair, done; O(channels).
struct FinishedPair {
    measurement: PairMeasurement,
    squares: (f64, f64),
    sides: [Option<SideProducts>; 2],
    fixed_points: Option<FixedPoints>,
    checks: Vec<SymmetryCheck>,
}

/// Takes the sums of stripe after stripe, and joins the pairs as they are done, which is in plan order.
fn merge(
    plan: &Plan,
    stripes: &[Stripe],
    next: &mut dyn FnMut(usize) -> Result<StripeSums, ReadError>,
    progress: &mut dyn FnMut(Progress),
    watch: channels::Watch<'_>,
) -> Result<Measurement, ReadError> {
    let mut done =
        Progress { elements_total: plan.elements(), tensors_total: plan.pairs.len(), ..Progress::default() };
    let mut measurement = Measurement {
        candidate_only: plan.candidate_only.clone(),
        reference_only: plan.reference_only.clone(),
        ..Measurement::default()
    };
    let mut groups = Groups::new(watch);
    let mut open = PairSums::default();
    for (index, stripe) in stripes.iter().enumerate() {
        let pair = &plan.pairs[stripe.pair];
        open.add(pair, next(index)?);
        done.elements += stripe.rows * pair.cols;
        if stripe.last {
            let pair = std::mem::take(&mut open).finish(pair);
            let key = pair.measurement.key;
            for side in pair.sides.iter().flatten() {
                groups.add((key.component, key.layer), side, pair.squares);
            }
            measurement.fixed_points.extend(pair.fixed_points);
            measurement.checks.extend(pair.checks);
            measurement.pairs.push(pair.measurement);
            done.tensors += 1;
        }
        progress(done);
    }
    (measurement.groups, measurement.pooled) = groups.finish();
    Ok(measurement)
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
