//! Between which contestants is there a common scale? Ford's condition (Ford 1957): a finite rating exists within a set of
//! contestants of which each has beaten or tied, directly or through others, every other one.

/// Strongly connected components of the graph with an edge from each contestant to those that it beat or tied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Components {
    /// For each contestant the number of its component; the largest component first, ties by the first member.
    pub(crate) of: Vec<u32>,
    /// Members of each component, ascending.
    pub(crate) members: Vec<Vec<u32>>,
}

/// Finds them (Tarjan 1972, without recursion). `edges`: (winner, loser) in any order, ties both ways.
pub(crate) fn components(contestants: usize, edges: &[(u32, u32)]) -> Components {
    let mut starts = vec![0_usize; contestants + 1];
    for (from, _) in edges {
        starts[*from as usize + 1] += 1;
    }
    for i in 0..contestants {
        starts[i + 1] += starts[i];
    }
    let mut targets = vec![0_u32; edges.len()];
    let mut next = starts.clone();
    for (from, to) in edges {
        targets[next[*from as usize]] = *to;
        next[*from as usize] += 1;
    }
    const UNSEEN: u32 = u32::MAX;
    let mut index = vec![UNSEEN; contestants];
    let mut low = vec![0_u32; contestants];
    let mut on_stack = vec![false; contestants];
    let (mut stack, mut calls, mut count) = (Vec::new(), Vec::new(), 0_u32);
    let mut members: Vec<Vec<u32>> = Vec::new();
    let mut position = starts[..contestants].to_vec();
    for root in 0..contestants {
        if index[root] != UNSEEN {
            continue;
        }
        calls.push(root);
        while let Some(&node) = calls.last() {
            if index[node] == UNSEEN {
                index[node] = count;
                low[node] = count;
                count += 1;
                stack.push(node as u32);
                on_stack[node] = true;
            }
            if position[node] < starts[node + 1] {
                let target = targets[position[node]] as usize;
                position[node] += 1;
                if index[target] == UNSEEN {
                    calls.push(target);
                } else if on_stack[target] {
                    low[node] = low[node].min(index[target]);
                }
                continue;
            }
            calls.pop();
            if let Some(&caller) = calls.last() {
                low[caller] = low[caller].min(low[node]);
            }
            if low[node] == index[node] {
                let mut component = Vec::new();
                while let Some(member) = stack.pop() {
                    on_stack[member as usize] = false;
                    component.push(member);
                    if member as usize == node {
                        break;
                    }
                }
                component.sort_unstable();
                members.push(component);
            }
        }
    }
    members.sort_by(|a, b| b.len().cmp(&a.len()).then(a.cmp(b)));
    let mut of = vec![0; contestants];
    for (number, component) in members.iter().enumerate() {
        for member in component {
            of[*member as usize] = number as u32;
        }
    }
    Components { of, members }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cycles_chains_and_the_unseen() {
        let found = components(6, &[(0, 1), (1, 2), (2, 0), (2, 3), (3, 4)]);
        assert_eq!(found.members, [vec![0, 1, 2], vec![3], vec![4], vec![5]]);
        assert_eq!(found.of, [0, 0, 0, 1, 2, 3]);
        assert_eq!(components(0, &[]).members.len(), 0);
        // A path of 100,000 would overflow a recursive search.
        let path: Vec<(u32, u32)> = (0..99_999).map(|i| (i, i + 1)).collect();
        assert_eq!(components(100_000, &path).members.len(), 100_000);
    }

    proptest! {
        #[test]
        fn agrees_with_reachability(edges in prop::collection::vec((0u32..8, 0u32..8), 0..20)) {
            // Bit j of reach[i]: a chain leads from i to j.
            let mut reach: Vec<u8> = (0..8).map(|i| 1 << i).collect();
            edges.iter().for_each(|(a, b)| reach[*a as usize] |= 1 << b);
            for k in 0..8 {
                let through = reach[k];
                reach.iter_mut().filter(|row| **row >> k & 1 == 1).for_each(|row| *row |= through);
            }
            let found = components(8, &edges);
            for (i, j) in (0..8).flat_map(|i| (0..8).map(move |j| (i, j))) {
                let both = reach[i] >> j & reach[j] >> i & 1 == 1;
                prop_assert_eq!(found.of[i] == found.of[j], both);
            }
        }
    }
}
