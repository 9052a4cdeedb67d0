//! How roles share the outputs of one tensor.
//!
//! Answers: *which outputs are whose?* Must not know: names, families, storage order.

use crate::Role;
use crate::layout::{Refusal, Run, Surroundings};
use crate::rule::{Rule, Split};

const HEADS: Refusal = "its heads cannot be told apart";

/// The runs of outputs that each role of `rule` has, in storage order.
pub(crate) fn runs(
    rule: &Rule,
    outputs: u64,
    inputs: Option<u64>,
    around: &Surroundings,
) -> Result<Vec<(Role, Run)>, Refusal> {
    let roles = &rule.roles;
    let ways = roles.len() as u64;
    let run = |start, len, step| Run { start, len, step, blocks: None };
    let whole = |len| run(0, len, 1);
    let equal = || {
        if !outputs.is_multiple_of(ways) {
            return Err("its outputs do not divide among its roles");
        }
        Ok(outputs / ways)
    };
    let at = |starts: &mut dyn Iterator<Item = Run>| roles.iter().copied().zip(starts).collect::<Vec<_>>();
    match rule.split {
        Split::None => Ok(at(&mut std::iter::once(whole(outputs)))),
        Split::Equal => {
            let len = equal()?;
            Ok(at(&mut (0..ways).map(|i| run(i * len, len, 1))))
        }
        Split::Interleaved => {
            let len = equal()?;
            Ok(at(&mut (0..ways).map(|i| run(i, len, ways))))
        }
        Split::Attention => {
            let (queries, keys) =
                attention_extents(outputs, around).ok_or("its heads cannot be told apart")?;
            let starts = [(0, queries), (queries, keys), (queries + keys, keys)];
            Ok(at(&mut starts.iter().map(|&(start, len)| run(start, len, 1))))
        }
        Split::WhenDouble => {
            if around.hidden != 0 && around.hidden.checked_mul(2) == Some(outputs) {
                let len = around.hidden;
                return Ok(at(&mut (0..2).map(|i| run(i * len, len, 1))));
            }
            Ok(roles.last().map(|&role| (role, whole(outputs))).into_iter().collect())
        }
        Split::PerHead => {
            let (heads, width) = heads(around).ok_or(HEADS)?;
            let (_, keys) = attention_extents(outputs, around).ok_or(HEADS)?;
            let groups =
                Some(keys / width).filter(|&groups| groups > 0 && keys.is_multiple_of(width)).ok_or(HEADS)?;
            let shared = Some(heads / groups).filter(|_| heads.is_multiple_of(groups)).ok_or(HEADS)?;
            Ok(at(&mut in_turn(groups, &[shared * width, width, width]).into_iter()))
        }
        Split::HeadsWhenDouble => {
            if around.attention_inputs == 0 || around.attention_inputs.checked_mul(ways) != Some(outputs) {
                return Ok(roles.first().map(|&role| (role, whole(outputs))).into_iter().collect());
            }
            let (heads, width) = heads(around).ok_or(HEADS)?;
            Ok(at(&mut in_turn(heads, &vec![width; roles.len()]).into_iter()))
        }
        Split::LatentHeads => {
            let (heads, values) = heads(around).ok_or(HEADS)?;
            let both = Some(outputs / heads).filter(|_| outputs.is_multiple_of(heads)).ok_or(HEADS)?;
            let keys = both.checked_sub(values).filter(|&keys| keys > 0).ok_or(HEADS)?;
            Ok(at(&mut in_turn(heads, &[keys, values]).into_iter()))
        }
        Split::TwoTurns => {
            if !outputs.is_multiple_of(4) {
                return Err("its outputs do not divide among its roles");
            }
            Ok(at(&mut in_turn(2, &[outputs / 4; 2]).into_iter()))
        }
        Split::Squares => {
            let side = inputs.unwrap_or(around.block_inputs);
            let rest = side.checked_mul(ways - 1).and_then(|squares| outputs.checked_sub(squares));
            let rest = rest
                .filter(|&rest| rest > 0 && side > 0)
                .ok_or("its outputs do not divide among its roles")?;
            let lens = (0..ways).map(|i| run(i * side, if i + 1 == ways { rest } else { side }, 1));
            Ok(at(&mut lens.into_iter()))
        }
        Split::Inputs => Err("its inputs, not its outputs, are shared"),
    }
}

/// (query heads, width of what one writes), where that is no guess.
fn heads(around: &Surroundings) -> Option<(u64, u64)> {
    let (heads, inputs) = (around.query_heads, around.attention_inputs);
    (heads > 0 && inputs > 0 && inputs.is_multiple_of(heads) && !around.guessed_heads)
        .then(|| (heads, inputs / heads))
}

/// `count` heads or groups, each with a block of every one of `widths`.
fn in_turn(count: u64, widths: &[u64]) -> Vec<Run> {
    let step = widths.iter().sum();
    let mut start = 0;
    let block = |&width: &u64| {
        let run = Run { start, len: count * width, step: 1, blocks: Some((width, step)) };
        start += width;
        // One block of all rows is no reordering.
        if count == 1 { Run { blocks: None, ..run } } else { run }
    };
    widths.iter().map(block).collect()
}

/// (queries, keys) of fused rows: the output projection first, configured heads second, thirds last.
fn attention_extents(outputs: u64, around: &Surroundings) -> Option<(u64, u64)> {
    let rest = |queries: u64| {
        let rest = outputs.checked_sub(queries).filter(|rest| *rest > 0 && rest.is_multiple_of(2))?;
        (rest / 2 <= queries && queries > 0).then_some((queries, rest / 2))
    };
    if around.attention_inputs != 0 {
        return rest(around.attention_inputs);
    }
    let groups = around.kv_heads.checked_mul(2).and_then(|kv| kv.checked_add(around.query_heads))?;
    if groups > 0 && around.query_heads > 0 && outputs.is_multiple_of(groups) {
        return rest(outputs / groups * around.query_heads);
    }
    outputs.is_multiple_of(3).then_some((outputs / 3, outputs / 3)).filter(|(queries, _)| *queries > 0)
}
