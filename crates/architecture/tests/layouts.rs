//! Every declared layout against the code of the libraries: which stored element is at which place of which logical matrix.

mod common;

use stemmata_architecture::{Anatomy, Component, Part, Role, Term, View, dissect};
use stemmata_model::{Checkpoint, Config, DType, Encoding, Storage, Tensor, Value};

#[derive(Default)]
struct Inventory {
    config: Config,
    tensors: Vec<Tensor>,
}

impl Inventory {
    fn dissect(self) -> (Checkpoint, Anatomy) {
        let checkpoint = common::checkpoint(self.tensors, self.config);
        let anatomy = dissect(&checkpoint);
        (checkpoint, anatomy)
    }
}

/// Where a logical element is stored.
fn element(view: &View, row: u64, col: u64) -> u64 {
    view.first + view.stored_row(row) * view.row_stride + col * view.col_stride
}

/// The logical place of a stored element, if it is the view's.
fn place(view: &View, element: u64) -> Option<(u64, u64)> {
    let offset = element.checked_sub(view.first)?;
    let (wide, narrow) = (view.row_stride.max(view.col_stride), view.row_stride.min(view.col_stride));
    let (major, minor) = (offset / wide, offset % wide / narrow);
    let (stored, col) = if view.rows == 1 {
        (0, offset / view.col_stride)
    } else if view.cols == 1 {
        (offset / view.row_stride, 0)
    } else if view.row_stride >= view.col_stride {
        (major, minor)
    } else {
        (minor, major)
    };
    let row = view.order.logical(stored)?;
    (row < view.rows && col < view.cols && self::element(view, row, col) == element).then_some((row, col))
}

type Place = (Component, Option<u32>, Option<u32>, Role, Term, u64, u64);

/// The one logical place of element `element` of tensor `name`.
fn locate(checkpoint: &Checkpoint, anatomy: &Anatomy, name: &str, element: u64) -> Place {
    let tensor = checkpoint.tensors.iter().position(|tensor| tensor.name == name).unwrap();
    let of_tensor = anatomy.parts.iter().filter(|part| part.view.tensor == tensor);
    let found: Vec<Place> = of_tensor
        .filter_map(|part| {
            let (row, col) = place(&part.view, element)?;
            // A bias that had to stand upright is the same bias.
            let (row, col) = if part.view.cols == 1 { (0, row) } else { (row, col) };
            Some((part.component, part.layer, part.expert, part.role, part.term, row, col))
        })
        .collect();
    assert_eq!(found.len(), 1, "`{name}` element {element}: {found:?}, notes {:?}", anatomy.notes);
    found[0]
}

#[test]
fn views_find_what_the_libraries_code_uses() {
    let mut cases: Vec<(String, [Inventory; 2], Vec<Vec<String>>)> = Vec::new();
    let mut second = 0;
    for line in include_str!("layouts/golden.txt").lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["case", name] => {
                cases.push((name.to_owned(), Default::default(), Vec::new()));
                second = 0;
            }
            ["other", _] => second = 1,
            ["config", key, value] => {
                let value = value.parse().map_or_else(|_| Value::Text(value.to_owned()), Value::Int);
                cases.last_mut().unwrap().1[second].config.entries.insert(key.to_owned(), value);
            }
            ["tensor", name, extents] => {
                let shape = extents.split('x').map(|extent| extent.parse().unwrap()).collect();
                let storage = Storage { file: 0, offset: 0, len: 0, strides: None };
                let encoding = Encoding::Plain(DType::BF16);
                let tensor = Tensor { name: name.to_owned(), shape, encoding, storage };
                cases.last_mut().unwrap().1[second].tensors.push(tensor);
            }
            _ => cases.last_mut().unwrap().2.push(words.iter().map(|word| (*word).to_owned()).collect()),
        }
    }
    assert!(cases.len() > 15);
    for (case, [first, other], samples) in cases {
        let ours = first.dissect();
        let theirs = other.dissect();
        assert!(samples.len() > 10, "{case}");
        for sample in &samples {
            let words: Vec<&str> = sample.iter().map(String::as_str).collect();
            let number = |at: usize| words[at].parse::<u64>().unwrap();
            if words[0] == "same" {
                let one = locate(&ours.0, &ours.1, words[1], number(2));
                assert_eq!(one, locate(&theirs.0, &theirs.1, words[3], number(4)), "{case}: {sample:?}");
                continue;
            }
            let role = Role::from_name(words[1]).unwrap();
            let (layer, expert) = (words[2].parse().ok(), words[3].parse().ok());
            let tensor = ours.0.tensors.iter().position(|tensor| tensor.name == words[6]).unwrap();
            let wanted = |p: &&Part| {
                (p.layer, p.expert, p.role, p.term, p.view.tensor)
                    == (layer, expert, role, Term::Weight, tensor)
            };
            let part = ours.1.parts.iter().find(wanted);
            let part = part.unwrap_or_else(|| panic!("{case}: no {sample:?}, notes {:?}", ours.1.notes));
            assert_eq!(element(&part.view, number(4), number(5)), number(7), "{case}: {sample:?}");
        }
    }
}
