//! The test of token rows that training never met, and what it says where nothing else was found.

use crate::search::{GATED, Moved};
use crate::{Direction, Evidence, Scope, TestKind};
use stemmata_alignment::{LayerMatch, Measurement, UntrainedTokens};
use stemmata_architecture::Component;
use stemmata_stats::{PKind, PValue, binomial_interval, sequential_sign_flip};

const NULL: &str = "the two models grew from independent random starts, and in one of them training never met these tokens, or hardly: then \
                    each of its rows might as well have the opposite sign, but for what both may have learned of them unseen";

/// Correlation of the cosines between rows from which on they are taken to be the same rows: a merge with the share w leaves w².
const SAME_ROWS: f64 = 0.7;

/// One test for each component.
pub(crate) fn run(untrained: &[UntrainedTokens]) -> impl Iterator<Item = Evidence> + '_ {
    untrained.iter().filter_map(|rows| {
        let signs = sequential_sign_flip(&rows.products, rows.squares, rows.allowance);
        (signs.n > 0).then(|| Evidence {
            test: TestKind::UntrainedTokens,
            scope: Scope::Component(rows.component),
            p: Some(PValue::new(signs.log10_p, PKind::Exact, NULL, signs.n)),
            statistic: signs.statistic,
            n: signs.n,
            effect: Some(rows.correlation),
            interval: None,
            detectable: None,
        })
    })
}

/// Names a common start where the rows of untrained tokens are the same and training left nothing in common: no test at equal indices
/// found anything (`in_place` says of which components one did), and in no basis more units agree than in independent models. `moved` is
/// what a search saw besides.
pub(crate) fn describe(
    measurement: &Measurement,
    evidence: &[Evidence],
    in_place: &dyn Fn(Component) -> bool,
    rejected: &dyn Fn(&Evidence) -> bool,
    moved: Option<Moved>,
) -> Option<Moved> {
    let same_rows = |rows: &&UntrainedTokens| {
        let of_rows =
            |e: &Evidence| e.test == TestKind::UntrainedTokens && e.scope == Scope::Component(rows.component);
        rows.correlation >= SAME_ROWS && evidence.iter().any(|e| of_rows(e) && rejected(e))
    };
    let Some(rows) = measurement.untrained.iter().find(same_rows) else { return moved };
    let of = |m: &&LayerMatch| m.component == rows.component;
    let shared = |basis| -> (u64, u64) {
        let of_basis = measurement.searched.iter().filter(of).filter(|m| m.hypothesis.basis() == basis);
        of_basis.fold((0, 0), |sum, m| (sum.0 + m.agreeing, sum.1 + m.units.0.min(m.units.1)))
    };
    let most = stemmata_alignment::Basis::ALL
        .map(shared)
        .into_iter()
        .filter(|(_, units)| *units > 0)
        .max_by(|a, b| (a.0 * b.1).cmp(&(b.0 * a.1)));
    let Some((agreeing, units)) = most else { return moved };
    let gated = measurement.searched.iter().filter(of).all(|m| m.gated);
    let strangers = binomial_interval(agreeing, units, 0.95).high <= GATED.universal;
    let open = moved.as_ref().is_none_or(|moved| moved.direction == Direction::Unknown);
    if !(gated && strangers && open) || in_place(rows.component) {
        return moved;
    }
    let mut cue = format!(
        "untrained tokens: {} rows that training never met have the same angles in both models (correlation {:.3}), and of {units} \
         hidden units {agreeing} agree, as in independent models: the random start is what they have in common",
        rows.tokens, rows.correlation
    );
    if let Some(moved) = moved {
        cue.push_str(&format!("; {}", moved.cue));
    }
    Some(Moved { relation: "shared-initialisation", direction: Direction::Unknown, cue })
}
