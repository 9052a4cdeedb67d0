//! Which expert of the reference each expert of the candidate is, told by where its units found their partners.

/// One expert of the candidate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExpertMatch {
    /// Expert of the candidate.
    pub candidate: u32,
    /// The reference's expert that holds the partners of more than half of its units.
    pub reference: Option<u32>,
    /// Share of its units whose partners lie in the expert that holds most of them.
    pub share: f64,
}

/// Matches experts by majority. `partners` are units of the candidate and of the reference, counted through the experts of their
/// side; `experts` are these with their units.
///
/// A description of a match that a test of the layer must have found, no test by itself. Among n and m units without a common
/// origin, of like chances, nm/(n + m − 1) are mutual nearest neighbours, spread over all experts: of an expert 1/(2E) lie in a given one
/// of E as large ones, a quarter at most. Nothing is said beside a single block, where there is no choice. O(partners · log E).
pub(super) fn match_experts(
    partners: &[(u32, u32)],
    experts: [Vec<(Option<u32>, u64)>; 2],
) -> Vec<ExpertMatch> {
    if experts.iter().any(|side| side.len() < 2) {
        return Vec::new();
    }
    let ends = experts.each_ref().map(|side| {
        let mut end = 0;
        side.iter()
            .map(|(_, units)| {
                end += units;
                end
            })
            .collect::<Vec<u64>>()
    });
    let place = |side: usize, unit: u32| ends[side].partition_point(|end| *end <= u64::from(unit));
    let mut counts = vec![vec![0_u64; experts[1].len()]; experts[0].len()];
    for (unit, partner) in partners {
        let row = counts.get_mut(place(0, *unit));
        if let Some(count) = row.and_then(|row| row.get_mut(place(1, *partner))) {
            *count += 1;
        }
    }
    let matched = |(&(expert, units), counts): (&(Option<u32>, u64), &Vec<u64>)| {
        let most = counts.iter().max()?;
        let majority = counts.iter().position(|count| 2 * count > units);
        Some(ExpertMatch {
            candidate: expert?,
            reference: majority.and_then(|at| experts[1][at].0),
            share: *most as f64 / units.max(1) as f64,
        })
    };
    experts[0].iter().zip(&counts).filter_map(matched).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(partners: &[(u32, u32)], units: [&[u64]; 2]) -> Vec<(u32, Option<u32>, f64)> {
        let experts = units.map(|side| (0..).map(Some).zip(side.iter().copied()).collect());
        match_experts(partners, experts).iter().map(|m| (m.candidate, m.reference, m.share)).collect()
    }

    #[test]
    fn an_expert_is_where_most_of_its_units_lie() {
        // Expert 0 came from 2, 1 from 0, 2 keeps two units of 1, 3 found nothing.
        let partners = [(0, 9), (1, 8), (2, 11), (4, 0), (5, 2), (6, 1), (7, 3), (8, 4), (9, 6)];
        let expected = [(0, Some(2), 0.75), (1, Some(0), 1.0), (2, None, 0.5), (3, None, 0.0)];
        assert_eq!(found(&partners, [&[4; 4], &[4; 4]]), expected);
        assert!(found(&partners, [&[4; 4], &[16]]).is_empty(), "one block is no choice");
    }

    #[test]
    fn experts_may_differ_in_width() {
        let partners = [(0, 4), (1, 5), (2, 0), (3, 1), (4, 2), (5, 3)];
        assert_eq!(found(&partners, [&[2, 4], &[4, 2]]), [(0, Some(1), 1.0), (1, Some(0), 1.0)]);
    }
}
