//! The best map from layers to layers: a dynamic programme that prefers runs.
//!
//! Only cells that reject at the level of the whole family may be used, so every layer of the map has its own exact test.
//! What the programme adds is order: between cells that are about as telling, it continues a run. Breaking a run costs
//! decades of p, so an order other than ascending needs evidence. The costs are preferences and carry no error rate.

/// Skipping layers of the reference, decades.
const GAP: f64 = 1.0;
/// Going back, or over to another reference, decades.
const JUMP: f64 = 3.0;

/// A layer of one of the references.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Which reference.
    pub reference: usize,
    /// Its layer.
    pub layer: u32,
}

/// How a map departs from ascending runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    /// The next layer of the same reference.
    None,
    /// Some layers of the same reference were skipped.
    Gap,
    /// An earlier layer, or another reference.
    Jump,
}

impl Break {
    /// Between two neighbours of a map.
    pub fn between(from: Column, to: Column) -> Break {
        match () {
            () if from.reference != to.reference || to.layer <= from.layer => Break::Jump,
            () if to.layer == from.layer + 1 => Break::None,
            () => Break::Gap,
        }
    }
}

/// Maps each of `rows` to a column or to none, so that the sum of `score` less the costs of breaks is largest. `columns` are
/// ordered by (reference, layer). `score` is in decades, `None` where a cell may not be used, and above the cost of a jump
/// where it may.
///
/// O(rows · columns) time and memory. Deterministic: the first of equals wins, a run before a gap before a jump.
pub fn best_map(
    rows: usize,
    columns: &[Column],
    score: &dyn Fn(usize, usize) -> Option<f64>,
) -> Vec<Option<usize>> {
    let width = columns.len();
    // State `j`: the last row that was mapped went to column `j`; state `width`: no row was mapped yet.
    let mut best = vec![f64::NEG_INFINITY; width];
    let mut back: Vec<Option<u32>> = Vec::with_capacity(rows * width);
    for row in 0..rows {
        let jump = (0..width)
            .filter(|j| best[*j].is_finite())
            .max_by(|a, b| best[*a].total_cmp(&best[*b]).then(b.cmp(a)));
        let mut next = best.clone();
        // Best state at least two columns back in the same reference.
        let mut gap: Option<usize> = None;
        for j in 0..width {
            let fresh = j == 0 || columns[j - 1].reference != columns[j].reference;
            if fresh {
                gap = None;
            } else if j >= 2 && columns[j - 2].reference == columns[j].reference {
                let earlier = j - 2;
                if best[earlier].is_finite() && gap.is_none_or(|g| best[earlier] > best[g]) {
                    gap = Some(earlier);
                }
            }
            let mut from = None;
            if let Some(gain) = score(row, j) {
                // Starting here costs nothing; `width` stands for it.
                let mut value = 0.0;
                let mut state = width;
                let runs_on = (!fresh && columns[j - 1].layer + 1 == columns[j].layer).then(|| j - 1);
                for (previous, cost) in [(runs_on, 0.0), (gap, GAP), (jump, JUMP)] {
                    let Some(previous) = previous.filter(|p| best[*p].is_finite()) else { continue };
                    if best[previous] - cost > value {
                        (value, state) = (best[previous] - cost, previous);
                    }
                }
                if value + gain > next[j] {
                    next[j] = value + gain;
                    from = Some(state as u32);
                }
            }
            back.push(from);
        }
        best = next;
    }
    let last = (0..width).filter(|j| best[*j].is_finite());
    let mut state = last.max_by(|a, b| best[*a].total_cmp(&best[*b]).then(b.cmp(a))).unwrap_or(width);
    let mut map = vec![None; rows];
    for row in (0..rows).rev() {
        if state < width
            && let Some(previous) = back[row * width + state]
        {
            map[row] = Some(state);
            state = previous as usize;
        }
    }
    map
}

/// Layers of the candidate that follow one another and come from layers that follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerRun {
    /// First and last layer of the candidate.
    pub candidate: (u32, u32),
    /// Where the first one comes from; the others follow. `None` for layers that nothing explains.
    pub from: Option<Column>,
}

impl LayerRun {
    /// First and last layer that the run comes from.
    pub fn origin(&self) -> Option<(u32, u32)> {
        self.from.map(|from| (from.layer, from.layer + (self.candidate.1 - self.candidate.0)))
    }
}

/// Writes a map in runs. `layers` are the candidate's, one per row.
pub fn runs(map: &[Option<usize>], layers: &[u32], columns: &[Column]) -> Vec<LayerRun> {
    let mut runs: Vec<LayerRun> = Vec::new();
    let mut before = None;
    for (&layer, &column) in layers.iter().zip(map) {
        let from = column.map(|column| columns[column]);
        let follows = |run: &LayerRun| {
            run.candidate.1.checked_add(1) == Some(layer)
                && match (before.flatten(), from) {
                    (Some(before), Some(from)) => Break::between(before, from) == Break::None,
                    (None, None) => true,
                    _ => false,
                }
        };
        match runs.last_mut() {
            Some(run) if follows(run) => run.candidate.1 = layer,
            _ => runs.push(LayerRun { candidate: (layer, layer), from }),
        }
        before = Some(from);
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(layers: &[u32]) -> Vec<Column> {
        let of = |(reference, n): (usize, &u32)| (0..*n).map(move |layer| Column { reference, layer });
        layers.iter().enumerate().flat_map(of).collect()
    }

    /// The map when exactly the named cells are telling.
    fn found(rows: usize, widths: &[u32], cells: &[(usize, usize, f64)]) -> Vec<Option<usize>> {
        let score = |i: usize, j: usize| cells.iter().find(|c| (c.0, c.1) == (i, j)).map(|c| c.2);
        best_map(rows, &columns(widths), &score)
    }

    type Told = ((u32, u32), Option<(usize, u32)>);

    fn told(map: &[Option<usize>], widths: &[u32]) -> Vec<Told> {
        let layers: Vec<u32> = (0..map.len() as u32).collect();
        let runs = runs(map, &layers, &columns(widths));
        runs.iter().map(|r| (r.candidate, r.from.map(|c| (c.reference, c.layer)))).collect()
    }

    fn diagonal(layers: &[usize]) -> Vec<(usize, usize, f64)> {
        layers.iter().enumerate().map(|(i, j)| (i, *j, 50.0)).collect()
    }

    #[test]
    fn dropped_repeated_and_reordered_layers_are_mapped() {
        for layers in [&[0, 1, 4, 5][..], &[0, 1, 2, 3, 2, 3, 4, 5], &[3, 4, 5, 0, 1, 2], &[0, 0, 0], &[5]] {
            let map = found(layers.len(), &[6], &diagonal(layers));
            assert_eq!(map, layers.iter().map(|l| Some(*l)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_no_cell_explains_stays_without_a_layer() {
        assert_eq!(found(3, &[4], &[]), [None, None, None]);
        let map = found(4, &[4], &[(0, 0, 50.0), (3, 2, 50.0)]);
        assert_eq!(map, [Some(0), None, None, Some(2)]);
        assert_eq!(found(0, &[4], &[]), []);
        assert_eq!(found(2, &[], &[]), [None, None]);
    }

    #[test]
    fn a_run_goes_on_unless_another_layer_is_clearly_better() {
        let mut cells = diagonal(&[0, 1, 2]);
        cells.push((1, 3, 51.0));
        assert_eq!(found(3, &[4], &cells), [Some(0), Some(1), Some(2)]);
        cells.push((1, 3, 60.0));
        cells.retain(|c| *c != (1, 3, 51.0));
        assert_eq!(found(3, &[4], &cells), [Some(0), Some(3), Some(2)]);
    }

    #[test]
    fn several_references_take_turns() {
        // Reference 0 has columns 0..4, reference 1 columns 4..8.
        let map = found(4, &[4, 4], &diagonal(&[0, 1, 6, 7]));
        assert_eq!(map, [Some(0), Some(1), Some(6), Some(7)]);
        assert_eq!(told(&map, &[4, 4]), [((0, 1), Some((0, 0))), ((2, 3), Some((1, 2)))]);
        // Equal layers on both sides stay with the reference of their neighbours.
        let mut cells = diagonal(&[0, 1, 2, 3]);
        cells.extend((0..4).map(|i| (i, i + 4, 50.0)));
        assert_eq!(found(4, &[4, 4], &cells), [Some(0), Some(1), Some(2), Some(3)]);
    }

    #[test]
    fn runs_keep_rows_without_a_layer_together() {
        let map = [Some(0), Some(1), None, None, Some(1)];
        assert_eq!(told(&map, &[3]), [((0, 1), Some((0, 0))), ((2, 3), None), ((4, 4), Some((0, 1)))]);
    }
}
