//! Announces to the weights what will be read, so that those that lie elsewhere are fetched many ranges at a time.

use crate::Plan;
use crate::worker::Stripe;
use std::sync::Mutex;
use stemmata_fingerprint::spans;
use stemmata_model::{ReadError, Span, Weights};

/// Elements of each side that are announced together: 16 MiB of bf16.
const WINDOW: u64 = 1 << 23;

/// The stripes, in windows.
pub(crate) struct Ahead<'a> {
    plan: &'a Plan,
    stripes: &'a [Stripe],
    weights: [&'a dyn Weights; 2],
    /// Stripes that are announced.
    announced: Mutex<usize>,
    wanted: bool,
}

impl<'a> Ahead<'a> {
    pub(crate) fn new(plan: &'a Plan, stripes: &'a [Stripe], weights: [&'a dyn Weights; 2]) -> Ahead<'a> {
        let wanted = weights.iter().any(|weights| weights.wants_announcement());
        Ahead { plan, stripes, weights, announced: Mutex::new(0), wanted }
    }

    /// Makes sure that stripe `index` is announced; who comes first does it for the window, the others wait.
    pub(crate) fn announce(&self, index: usize) -> Result<(), ReadError> {
        if !self.wanted {
            return Ok(());
        }
        let mut announced = self.announced.lock().unwrap_or_else(|e| e.into_inner());
        while *announced <= index {
            let (mut sides, mut elements, mut end) = ([Vec::new(), Vec::new()], 0, *announced);
            while elements < WINDOW && end < self.stripes.len() {
                let stripe = &self.stripes[end];
                let pair = &self.plan.pairs[stripe.pair];
                for (side, view) in sides.iter_mut().zip([&pair.candidate, &pair.reference]) {
                    side.extend(spans(view, stripe.first, stripe.rows, pair.cols));
                }
                elements += stripe.rows * pair.cols;
                end += 1;
            }
            let fetch = |side: usize, spans: &[Span]| self.weights[side].announce(spans);
            std::thread::scope(|scope| {
                let other = scope.spawn(|| fetch(1, &sides[1]));
                let first = fetch(0, &sides[0]);
                first.and(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            })?;
            *announced = end;
        }
        Ok(())
    }
}
