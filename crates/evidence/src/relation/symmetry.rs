//! Changes that leave the function alone, at equal indices: rows and columns scaled, heads under other labels or in another basis.

use super::Finding;
use crate::Direction;
use crate::search::by_scaling;
use std::collections::{BTreeMap, BTreeSet};
use stemmata_alignment::study::{Scaled, TensorStudy};
use stemmata_alignment::{HeadMap, HeadPick, Rescaled};
use stemmata_architecture::{Axis, Role};

/// Share of a matrix's energy that a change must have before its shape is looked at.
const CHANGED: f64 = 0.01;
/// A number for each row or column leaves at most this share of what one number for all leaves. Training leaves 0.88 or
/// more, and of strangers in small matrices 0.77 is left.
const BY_LINES: f64 = 0.5;
/// One number for all leaves at most this share of the difference, and is beyond what weight decay does. It leaves half of the
/// difference of strangers.
const BY_ONE: f64 = 0.1;
const FACTOR: f64 = 2.0;
/// Share of the matrices of one role that must be so.
const MOST: f64 = 0.9;
/// What one number leaves of matrices that are in another basis, and of those that are not, as shares of their energy.
const FAR: f64 = 0.5;
const NEAR: f64 = 0.4;
/// Share of the heads looked at that must be found, and of those found that carry other labels before it is said.
const FOUND: f64 = 0.75;
const MOVED: f64 = 0.1;
/// Share of the matrices of a role of attention that must be far before heads are looked for.
const SOME: f64 = 0.45;
/// What circuits must have in common beyond the product of what their matrices have. Of trained matrices it is about the product.
const BEYOND: f64 = 0.3;
/// The matrices of the two circuits of a head.
const ATTENTION: [[Role; 2]; 2] = [[Role::Query, Role::Key], [Role::Value, Role::Output]];

fn inside<'a>(tensors: &'a [&TensorStudy]) -> BTreeMap<Role, Vec<&'a Scaled>> {
    let mut roles: BTreeMap<Role, Vec<&Scaled>> = BTreeMap::new();
    for tensor in tensors.iter().filter(|t| t.key.layer.is_some()) {
        roles.entry(tensor.key.role).or_default().extend(&tensor.scaled);
    }
    roles
}

fn is_scaled(s: &&&Scaled) -> bool {
    let by_lines = s.whole >= CHANGED * s.squares && s.lines <= BY_LINES * s.whole;
    // ‖kR − R‖² = (1 − 1/k)²‖kR‖².
    let beyond_decay = s.difference >= (1.0 - 1.0 / FACTOR).powi(2) * s.squares;
    by_lines || (beyond_decay && s.whole <= BY_ONE * s.difference)
}

/// Matrices whose rows or columns are the other side's times numbers.
pub(super) fn rescaled(tensors: &[&TensorStudy]) -> Option<Finding> {
    let roles = inside(tensors);
    let most = |of: &Vec<&Scaled>| {
        let scaled = of.iter().filter(is_scaled).count();
        scaled > 0 && scaled as f64 >= MOST * of.len() as f64
    };
    let scaled: Vec<(&Role, &Vec<&Scaled>)> = roles.iter().filter(|(_, of)| most(of)).collect();
    if scaled.is_empty() {
        return None;
    }
    let (mut rows, mut signs, mut matrices) = (Rescaled::default(), (0, 0), 0);
    for s in scaled.iter().flat_map(|(_, of)| of.iter()) {
        rows.merge(s.repeated);
        signs = (signs.0 + s.signs.0, signs.1 + s.signs.1);
        matrices += 1;
    }
    let names: BTreeSet<String> = scaled.iter().map(|(role, _)| format!("{role:?}").to_lowercase()).collect();
    let mut cue = format!(
        "rows or columns of {matrices} matrices ({}) are the other side's times numbers, {} of {} of them negative",
        names.into_iter().collect::<Vec<_>>().join(", "),
        signs.1,
        signs.0
    );
    let mut direction = Direction::Unknown;
    if let Some((by, words)) = by_scaling(&rows) {
        direction = by;
        cue.push_str(&format!("; {words}"));
    }
    Finding::new("rescaled", direction, cue)
}

/// Whether attention has little in common at equal indices where feed-forward blocks have much: then heads are worth a search.
pub(super) fn wants_heads(tensors: &[&TensorStudy]) -> bool {
    let roles = inside(tensors);
    let share = |of: &[&Scaled], is: fn(&Scaled) -> bool| {
        of.iter().filter(|s| is(s)).count() as f64 / of.len().max(1) as f64
    };
    let is_far = |s: &Scaled| s.lines > FAR * s.squares;
    let far =
        ATTENTION.iter().flatten().filter_map(|role| roles.get(role)).any(|of| share(of, is_far) >= SOME);
    let feeds = |role: &Role| {
        let (rows, columns) = role.axes();
        [rows, columns].contains(&Axis::Hidden)
    };
    // Of equal matrices there is nothing to look at.
    let is_near = |of: &[&Scaled]| of.is_empty() || share(of, |s| s.lines <= NEAR * s.squares) >= MOST;
    far && roles.iter().filter(|(role, _)| feeds(role)).all(|(_, of)| is_near(of))
}

/// Heads under other labels; or with the same, whose circuits have far more in common than their matrices.
pub(super) fn heads(tensors: &[&TensorStudy], maps: &[HeadMap]) -> Option<Finding> {
    let asked: usize = maps.iter().map(|map| map.picks.len()).sum();
    let found: usize = maps.iter().map(HeadMap::found).sum();
    if asked == 0 || (found as f64) < FOUND * asked as f64 {
        return None;
    }
    let kept: usize = maps
        .iter()
        .map(|map| {
            map.partners().enumerate().filter(|(i, head)| head.is_some_and(|h| h as usize == *i)).count()
        })
        .sum();
    let layers = maps.len();
    if (found - kept) as f64 > MOVED * found as f64 {
        let cue = format!(
            "attention heads carry other labels ({kept} of {found} kept theirs, in {layers} layers looked at)"
        );
        return Finding::new("relabelled", Direction::Unknown, cue);
    }
    let picks = || maps.iter().flat_map(|map| &map.picks);
    let mean = |of: fn(&HeadPick) -> f64| picks().map(of).sum::<f64>() / asked as f64;
    let circuits = [mean(|pick| pick.query_key), mean(|pick| pick.value_output)];
    let roles = inside(tensors);
    let matrices = ATTENTION.map(|pair| pair.map(|role| cosine(roles.get(&role))).iter().product::<f64>());
    let mixed = (0..2).filter(|&i| circuits[i] >= matrices[i] + BEYOND).map(|i| {
        let what = ["queries and keys", "values and outputs"][i];
        format!("{what} ({:.3} of circuits, {:.3} of matrices)", circuits[i], matrices[i])
    });
    let mixed: Vec<String> = mixed.collect();
    if mixed.is_empty() {
        return None;
    }
    let cue = format!(
        "heads lie in another basis of their own: mean cosine over {asked} heads of {layers} layers of {}",
        mixed.join(", of ")
    );
    Finding::new("heads-mixed", Direction::Unknown, cue)
}

/// Cosine that one number for each matrix leaves, over all; 1 of equal ones.
fn cosine(of: Option<&Vec<&Scaled>>) -> f64 {
    let sums = of.into_iter().flatten().fold((0.0, 0.0), |sum, s| (sum.0 + s.whole, sum.1 + s.squares));
    if sums.1 > 0.0 { (1.0 - sums.0 / sums.1).max(0.0).sqrt() } else { 1.0 }
}
