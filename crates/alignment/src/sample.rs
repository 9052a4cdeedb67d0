//! What of a pair is read when only so many bytes may be fetched.
//!
//! The tests of dependence are exact on any rows that were chosen without looking at values: every channel's sign is a fair coin under the
//! null, however few of the channel's products are summed. What a sample costs is power, which is computed from what was read.

use crate::{PairKey, PairPlan, Plan};
use stemmata_fingerprint::{Blocks, row_cost, salt};
use stemmata_model::Weights;

/// What a budget bought.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Blocks of rows of each matrix that has more; some have one less, where not one more of each was paid for.
    pub blocks: u64,
    /// Values that are read of each side.
    pub values: u64,
    /// Values that the pairs have.
    pub values_total: u64,
    /// Bytes that they take in storage, candidate and reference.
    pub bytes: [u64; 2],
    /// Pairs of which nothing is read, because there are more of them than the budget has blocks.
    pub skipped: u64,
    /// Pairs that cannot be read by rows.
    pub left_out: Vec<PairKey>,
}

impl Sample {
    /// Whether it is everything.
    pub fn is_all(&self) -> bool {
        self.values == self.values_total && self.left_out.is_empty()
    }
}

impl Plan {
    /// Keeps of each pair what `bytes` of either model pay for: small tensors whole, of the others the same number of blocks of rows, or one more.
    /// Pairs whose rows do not lie together in storage are taken out. Looks at extents and encodings, never at values. O(pairs · log rows).
    pub fn sample(&mut self, weights: [&dyn Weights; 2], bytes: u64, seed: u64) -> Sample {
        let (readable, others): (Vec<PairPlan>, Vec<PairPlan>) =
            std::mem::take(&mut self.pairs).into_iter().partition(|pair| row_costs(pair, weights).is_some());
        self.pairs = readable;
        let left_out = others.iter().map(|pair| pair.key).collect();
        let chosen = self.choose(weights, bytes, seed);
        let values_total = self.elements() + others.iter().map(|pair| pair.rows * pair.cols).sum::<u64>();
        let mut sample = Sample { blocks: 0, values: 0, values_total, bytes: [0; 2], skipped: 0, left_out };
        for (pair, blocks) in self.pairs.iter_mut().zip(chosen) {
            let rows = blocks.rows();
            sample.values += rows * pair.cols;
            sample.skipped += u64::from(rows == 0 && pair.rows > 0);
            if !blocks.is_all() {
                sample.blocks = sample.blocks.max(blocks.iter().count() as u64);
                pair.sample = Some(blocks);
            }
            for (side, total) in sample.bytes.iter_mut().enumerate() {
                *total += row_costs(pair, weights).map_or(0, |costs| costs[side]) * rows;
            }
        }
        sample
    }

    fn choose(&self, weights: [&dyn Weights; 2], bytes: u64, seed: u64) -> Vec<Blocks> {
        let blocks = |index: usize, count: u64| {
            let pair = &self.pairs[index];
            let key = &pair.key;
            let salt = salt((key.component, key.layer, key.expert), (key.role, key.term), seed);
            Blocks::new(pair.rows, pair.cols, count, salt)
        };
        // Of the dearer side, so that both stay within the budget.
        let cost = |index: usize, blocks: &Blocks| {
            let dearer = row_costs(&self.pairs[index], weights).map_or(0, |costs| costs[0].max(costs[1]));
            blocks.rows().saturating_mul(dearer)
        };
        let count = self.pairs.len();
        let total = |per_pair: u64| {
            (0..count).map(|index| cost(index, &blocks(index, per_pair))).fold(0, u64::saturating_add)
        };
        if total(1) > bytes {
            // Not even one block of each: of evenly spaced pairs, as many as the mean cost allows.
            let affordable = (u128::from(bytes) * count as u128 / u128::from(total(1).max(1))) as usize;
            let mut left = bytes;
            let mut chosen: Vec<Blocks> = (0..count).map(|index| blocks(index, 0)).collect();
            for index in (0..affordable).map(|i| i * count / affordable) {
                let one = blocks(index, 1);
                if cost(index, &one) <= left {
                    left -= cost(index, &one);
                    chosen[index] = one;
                }
            }
            return chosen;
        }
        let (mut low, mut high) = (1, self.pairs.iter().map(|pair| pair.rows).max().unwrap_or(1).max(2));
        if total(high) <= bytes {
            low = high;
        }
        while low + 1 < high {
            let middle = low.midpoint(high);
            if total(middle) <= bytes { low = middle } else { high = middle }
        }
        let mut chosen: Vec<Blocks> = (0..count).map(|index| blocks(index, low)).collect();
        // What is left pays for one block more of evenly spaced pairs.
        let mut left = bytes.saturating_sub(total(low));
        let dearer = total(low + 1).saturating_sub(total(low));
        let affordable = (u128::from(left) * count as u128 / u128::from(dearer.max(1))) as usize;
        for index in (0..affordable.min(count)).map(|i| i * count / affordable.min(count)) {
            let one_more = blocks(index, low + 1);
            let price = cost(index, &one_more).saturating_sub(cost(index, &chosen[index]));
            if price <= left {
                left -= price;
                chosen[index] = one_more;
            }
        }
        chosen
    }
}

/// Bytes of one row of candidate and reference; `None` where a row does not lie in one piece.
fn row_costs(pair: &PairPlan, weights: [&dyn Weights; 2]) -> Option<[u64; 2]> {
    let [c, r] = weights;
    Some([row_cost(c, &pair.candidate, pair.cols)?, row_cost(r, &pair.reference, pair.cols)?])
}
