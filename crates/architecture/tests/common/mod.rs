//! Checkpoints made of names and shapes alone.
#![allow(dead_code, reason = "each test file uses its part")]

use stemmata_architecture::{Anatomy, Component, Part, Role, Term, dissect};
use stemmata_model::{Checkpoint, Config, Container, DType, Declared, Encoding, Storage, Tensor, Value};

/// (name, shape, encoding) lines; `{L}` and `{E}` are repeated.
#[derive(Default)]
pub(crate) struct Inventory {
    tensors: Vec<Tensor>,
    config: Config,
    offset: u64,
}

impl Inventory {
    pub(crate) fn new(config: &[(&str, i64)]) -> Inventory {
        let mut out = Inventory::default();
        for (key, value) in config {
            out.config.entries.insert((*key).to_owned(), Value::Int(*value));
        }
        out
    }

    pub(crate) fn text(mut self, key: &str, value: &str) -> Inventory {
        self.config.entries.insert(key.to_owned(), Value::Text(value.to_owned()));
        self
    }

    pub(crate) fn one(mut self, name: &str, shape: &[u64]) -> Inventory {
        self.push(name.to_owned(), shape, Encoding::Plain(DType::BF16));
        self
    }

    pub(crate) fn encoded(mut self, name: &str, shape: &[u64], dtype: DType) -> Inventory {
        self.push(name.to_owned(), shape, Encoding::Plain(dtype));
        self
    }

    pub(crate) fn many(mut self, lines: &[(&str, &[u64])]) -> Inventory {
        for (name, shape) in lines {
            self.push((*name).to_owned(), shape, Encoding::Plain(DType::BF16));
        }
        self
    }

    /// Two of everything numbered: layers, and experts inside them.
    pub(crate) fn layers(mut self, lines: &[(&str, &[u64])]) -> Inventory {
        for layer in 0..2 {
            for (name, shape) in lines {
                let experts = if name.contains("{E}") { 2 } else { 1 };
                for expert in 0..experts {
                    let name = name.replace("{L}", &layer.to_string()).replace("{E}", &expert.to_string());
                    self.push(name, shape, Encoding::Plain(DType::BF16));
                }
            }
        }
        self
    }

    fn push(&mut self, name: String, shape: &[u64], encoding: Encoding) {
        let len = shape.iter().product::<u64>() * 2;
        let storage = Storage { file: 0, offset: self.offset, len, strides: None };
        self.offset += len;
        self.tensors.push(Tensor { name, shape: shape.to_vec(), encoding, storage });
    }

    /// Names in name order, as readers give them.
    pub(crate) fn checkpoint(mut self) -> Checkpoint {
        self.tensors.sort_by(|a, b| a.name.cmp(&b.name));
        checkpoint(self.tensors, self.config)
    }
}

pub(crate) fn checkpoint(tensors: Vec<Tensor>, config: Config) -> Checkpoint {
    Checkpoint {
        container: Container::Safetensors,
        files: Vec::new(),
        tensors,
        config,
        declared: Declared::default(),
        tokenizer: None,
    }
}

/// Everything must be mapped, by the family of this name.
pub(crate) fn check(family: &str, inventory: Inventory) -> Anatomy {
    let checkpoint = inventory.checkpoint();
    let anatomy = dissect(&checkpoint);
    let left: Vec<&str> = anatomy.unmapped.iter().map(|&i| checkpoint.tensors[i].name.as_str()).collect();
    assert!(left.is_empty(), "{family}: unmapped {left:?}, notes {:?}", anatomy.notes);
    assert_eq!(anatomy.family, family, "notes {:?}", anatomy.notes);
    assert_eq!(anatomy.inferred, family == "inferred", "{family}: notes {:?}", anatomy.notes);
    anatomy
}

pub(crate) fn part(
    anatomy: &Anatomy,
    component: Component,
    layer: Option<u32>,
    expert: Option<u32>,
    role: Role,
) -> &Part {
    anatomy
        .parts
        .iter()
        .find(|p| {
            (p.component, p.layer, p.expert, p.role, p.term) == (component, layer, expert, role, Term::Weight)
        })
        .unwrap_or_else(|| panic!("no {role} in layer {layer:?}, expert {expert:?}"))
}

/// (rows, cols, first, row stride, column stride) of a weight of the decoder.
pub(crate) fn view(
    anatomy: &Anatomy,
    layer: u32,
    expert: Option<u32>,
    role: Role,
) -> (u64, u64, u64, u64, u64) {
    let view = part(anatomy, Component::LanguageModel, Some(layer), expert, role).view;
    (view.rows, view.cols, view.first, view.row_stride, view.col_stride)
}
