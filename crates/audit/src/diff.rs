//! `diff`: tensor by tensor.

use crate::input::Whole;
use crate::{AuditError, Finding, InputFacts, Settings, Subject, Watch, measuring};
use stemmata_alignment::{Moments, PairKey, PairPlan, Plan, plan};
use stemmata_architecture::{Component, Role, RowOrder, Term, View};
use stemmata_model::{Tensor, Weights, printable};

/// What became of a tensor, with git's letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    /// `=` every value is equal, under the same name.
    Same,
    /// `R` every value is equal, under another name.
    Renamed,
    /// `~` some values differ.
    Changed,
    /// `~` the shapes differ; the common corner was compared.
    Reshaped,
    /// `+` in the candidate only.
    Added,
    /// `-` in the reference only.
    Removed,
}

impl Status {
    /// The letter.
    pub fn letter(self) -> char {
        match self {
            Status::Same => '=',
            Status::Renamed => 'R',
            Status::Changed | Status::Reshaped => '~',
            Status::Added => '+',
            Status::Removed => '-',
        }
    }
}

/// One logical tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct DifferenceRow {
    /// What became of it.
    pub status: Status,
    /// Purpose, for instance `language-model/3/attn.q`; empty for tensors without a role.
    pub place: String,
    /// Name in the candidate, printable; empty when removed.
    pub candidate: String,
    /// Name in the reference, printable; empty when added.
    pub reference: String,
    /// Logical rows and columns: the candidate's, or the reference's when removed.
    pub shape: (u64, u64),
    /// Sums over the elements, when compared.
    pub moments: Option<Moments>,
}

/// Outcome of a diff.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The candidate.
    pub candidate: InputFacts,
    /// The reference.
    pub reference: InputFacts,
    /// Rows in the candidate's part order, then what only the reference has, then tensors without a role.
    pub rows: Vec<DifferenceRow>,
    /// Remarks on the reading. What there is to say of each model, `inspect` says.
    pub findings: Vec<Finding>,
    /// Bytes of weights fetched.
    pub bytes_read: u64,
}

/// Compares two checkpoints tensor by tensor: by role where there is one, otherwise by name.
pub fn diff(
    candidate: &str,
    reference: &str,
    settings: &Settings<'_>,
    watch: Watch<'_>,
) -> Result<Difference, AuditError> {
    let c = Subject::open(candidate, settings, watch)?.whole("diff")?;
    let r = Subject::open(reference, settings, watch)?.whole("diff")?;
    crate::budget::needs_everything("diff", settings, &[&c, &r])?;
    let mut plan = plan(&c.anatomy, &r.anatomy);
    let with_roles = plan.pairs.len();
    let loose = add_by_name(&c, &r, &mut plan);
    let measurement = measuring::of(&plan, [c.model(), r.model()], settings, watch)?;
    let name = |whole: &Whole, index: usize| printable(&whole.opened.checkpoint.tensors[index].name);
    let mut rows: Vec<DifferenceRow> = measurement
        .pairs
        .iter()
        .enumerate()
        .map(|(i, pair)| {
            let (candidate, reference) = (name(&c, pair.candidate), name(&r, pair.reference));
            let status = match () {
                () if pair.candidate_shape != pair.reference_shape => Status::Reshaped,
                () if !pair.identical => Status::Changed,
                () if candidate == reference => Status::Same,
                () => Status::Renamed,
            };
            let place = if i < with_roles { place(&pair.key) } else { String::new() };
            DifferenceRow {
                status,
                place,
                candidate,
                reference,
                shape: pair.candidate_shape,
                moments: pair.moments,
            }
        })
        .collect();
    let side = |status, whole: &Whole, only: &[stemmata_alignment::Unmatched]| -> Vec<DifferenceRow> {
        let find = |key: &PairKey| {
            let same = |p: &&stemmata_architecture::Part| {
                (p.component, p.layer, p.expert, p.role, p.term)
                    == (key.component, key.layer, key.expert, key.role, key.term)
            };
            whole.anatomy.parts.iter().find(same)
        };
        only.iter()
            .filter_map(|u| find(&u.key).map(|p| (u, p)))
            .map(|(u, p)| {
                let stored = name(whole, p.view.tensor);
                let (candidate, reference) =
                    if status == Status::Added { (stored, String::new()) } else { (String::new(), stored) };
                DifferenceRow {
                    status,
                    place: place(&u.key),
                    candidate,
                    reference,
                    shape: (p.view.rows, p.view.cols),
                    moments: None,
                }
            })
            .collect()
    };
    rows.extend(side(Status::Added, &c, &measurement.candidate_only));
    rows.extend(side(Status::Removed, &r, &measurement.reference_only));
    rows.extend(loose);
    let bytes_read = c.weights().bytes_read() + r.weights().bytes_read();
    let findings = [c.changed("candidate"), r.changed("reference")].concat();
    Ok(Difference { candidate: c.facts.clone(), reference: r.facts.clone(), rows, findings, bytes_read })
}

/// `component/layer/expert/role`.
fn place(key: &PairKey) -> String {
    let mut text = key.component.name().to_owned();
    if let Some(layer) = key.layer {
        text.push_str(&format!("/{layer}"));
    }
    if let Some(expert) = key.expert {
        text.push_str(&format!("/expert-{expert}"));
    }
    text.push_str(&format!("/{}{}", key.role.name(), if key.term == Term::Bias { ".b" } else { "" }));
    text
}

/// Pairs decodable tensors without a role by name and shape; returns rows for those that only one side has.
fn add_by_name(c: &Whole, r: &Whole, plan: &mut Plan) -> Vec<DifferenceRow> {
    let tensors = |whole: &Whole| -> Vec<(usize, Tensor)> {
        let list = whole.anatomy.unmapped.iter().chain(&whole.anatomy.ignored);
        let mut found: Vec<(usize, Tensor)> =
            list.map(|&i| (i, whole.opened.checkpoint.tensors[i].clone())).collect();
        found.sort_by(|a, b| a.1.name.cmp(&b.1.name));
        found
    };
    let (ours, theirs) = (tensors(c), tensors(r));
    let mut rows = Vec::new();
    let row = |status, t: &Tensor| {
        let stored = printable(&t.name);
        let (candidate, reference) =
            if status == Status::Added { (stored, String::new()) } else { (String::new(), stored) };
        DifferenceRow { status, place: String::new(), candidate, reference, shape: t.matrix(), moments: None }
    };
    for (i, t) in &ours {
        match theirs.binary_search_by(|(_, other)| other.name.cmp(&t.name)) {
            Ok(found) if theirs[found].1.shape == t.shape && readable(t) && readable(&theirs[found].1) => {
                let key = PairKey {
                    component: Component::Other,
                    layer: None,
                    expert: None,
                    role: Role::OutputProjection,
                    term: Term::Weight,
                };
                let (candidate, reference) = (raw_view(*i, t), raw_view(theirs[found].0, t));
                let (rows, cols) = (candidate.rows, candidate.cols);
                let (row_map, col_map, flipped, units) = (None, None, false, false);
                plan.pairs.push(PairPlan {
                    key,
                    candidate,
                    reference,
                    flipped,
                    rows,
                    cols,
                    row_map,
                    col_map,
                    units,
                    guessed: [false, false],
                    sample: None,
                });
            }
            Ok(found) => {
                rows.push(DifferenceRow {
                    status: Status::Reshaped,
                    reference: printable(&theirs[found].1.name),
                    ..row(Status::Added, t)
                });
            }
            Err(_) => rows.push(row(Status::Added, t)),
        }
    }
    let gone =
        theirs.iter().filter(|(_, t)| ours.binary_search_by(|(_, other)| other.name.cmp(&t.name)).is_err());
    rows.extend(gone.map(|(_, t)| row(Status::Removed, t)));
    rows
}

fn readable(tensor: &Tensor) -> bool {
    tensor.encoding.is_decodable() && tensor.elements() > 0
}

fn raw_view(tensor: usize, t: &Tensor) -> View {
    let (rows, cols) = t.matrix();
    View { tensor, rows, cols, first: 0, row_stride: cols, col_stride: 1, order: RowOrder::Stored }
}
