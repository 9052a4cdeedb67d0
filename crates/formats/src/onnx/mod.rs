//! ONNX models: initialisers and constants of the graph, its subgraphs and functions.
//!
//! The protocol buffer is walked, not unpacked: only names, shapes and places are kept. External data is a file of the same
//! directory, named in [`Parsed::external`]; a name that leads elsewhere is a hazard, and the tensor is not read.

mod tensor;
mod wire;

use crate::derived::Derived;
use crate::hazards::Hazards;
use crate::source::Source;
use crate::{FormatError, Limits, Parsed, ReadAt};
use std::collections::BTreeMap;
use std::ops::Range;
use stemmata_model::{Container, Level, Tensor, printable};
use tensor::Described;
use wire::{Field, Wire};

/// Messages within messages that are walked: graphs in attributes of nodes of graphs.
const DEPTH: usize = 32;
/// Operators whose attribute names a file or holds code that a runtime would load.
const LOADS: [&str; 4] = ["PythonOp", "PyOp", "EPContext", "CustomCallOp"];

/// Whether the file is a model: its fields, passed over one by one, are those of a `ModelProto` with a graph.
pub(crate) fn looks_like(source: &Source) -> Result<bool, FormatError> {
    if source.head::<1>()? != [0x08] {
        return Ok(false);
    }
    let mut wire = Wire::new(source);
    // Metadata may come in many entries; more fields than this are no model's.
    for _ in 0..10_000 {
        match wire.field(source.len, "the model") {
            Ok(Some((7, Field::Bytes(_)))) => return Ok(true),
            Ok(Some((1..=25, Field::Bytes(range)))) => {
                if wire.skip_to(range.end, "the model").is_err() {
                    return Ok(false);
                }
            }
            Ok(Some((1..=25, Field::Number(_)))) => {}
            Err(FormatError::Io { file, start, end, source }) => {
                return Err(FormatError::Io { file, start, end, source });
            }
            // A length that leads past the end of the file: a model that was cut within its graph starts like this too.
            Err(FormatError::Truncated { .. }) => return Ok(source.len > 8 && graph_follows(source)?),
            _ => return Ok(false),
        }
    }
    Ok(false)
}

/// Whether the first fields are those of a model up to a graph that is cut off.
fn graph_follows(source: &Source) -> Result<bool, FormatError> {
    let mut wire = Wire::new(source);
    for _ in 0..64 {
        let at = wire.stream.position();
        match wire.field(source.len, "the model") {
            Ok(Some((_, Field::Bytes(range)))) if wire.skip_to(range.end, "the model").is_ok() => {}
            Ok(Some((_, Field::Number(_)))) => {}
            _ => return Ok(source.array::<1>(at, "the model").is_ok_and(|tag| tag == [7 << 3 | 2])),
        }
    }
    Ok(false)
}

/// Reads the inventory of one model.
pub fn parse(file: &dyn ReadAt, name: &str, file_index: u32, limits: &Limits) -> Result<Parsed, FormatError> {
    let source = Source::new(file, name);
    let mut walk = Walk {
        wire: Wire::new(&source),
        file_index,
        limits,
        hazards: Hazards::new(name),
        derived: Derived::behind(source.len),
        held: 0,
        tensors: BTreeMap::new(),
        external: Vec::new(),
        operators: false,
    };
    walk.run()?;
    if !walk.operators {
        walk.hazards.file("missing-operators", Level::Warning, || {
            "it does not say which set of operators it uses: the file may have been cut behind its graph"
                .into()
        });
    }
    if walk.tensors.is_empty() {
        walk.hazards.file("no-tensors", Level::Warning, || "no tensor was found in the file".into());
    }
    let Walk { hazards, derived, tensors, external, .. } = walk;
    let tensors: Vec<Tensor> = tensors.into_values().collect();
    Ok(Parsed { tensors, derived, external, ..Parsed::of(Container::Onnx, hazards.finish()) })
}

/// What kind of message is being walked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Function,
    Training,
}

/// A message that is open.
struct Open {
    message: Message,
    end: u64,
    /// What stands before the names of tensors within: subgraphs and functions have names of their own.
    prefix: String,
    /// A node's first output, and its operator.
    output: String,
    operator: String,
    /// The constant that a node holds, named when the node ends.
    constant: Option<Described>,
}

struct Walk<'a, 's, 'l> {
    wire: Wire<'a, 's>,
    file_index: u32,
    limits: &'l Limits,
    hazards: Hazards,
    derived: Derived,
    /// Bytes of values that were written as numbers of any length.
    held: u64,
    tensors: BTreeMap<String, Tensor>,
    external: Vec<String>,
    /// Whether the model says which operators it uses, which every tool writes behind the graph.
    operators: bool,
}

impl Walk<'_, '_, '_> {
    fn run(&mut self) -> Result<(), FormatError> {
        let open = |message, end, prefix| Open {
            message,
            end,
            prefix,
            output: String::new(),
            operator: String::new(),
            constant: None,
        };
        let mut stack = vec![open(Message::Model, self.wire.source.len, String::new())];
        while let Some(top) = stack.last_mut() {
            let Some((number, field)) = self.wire.field(top.end, "the model")? else {
                let Some(done) = stack.pop() else { break };
                self.close(done, &mut stack)?;
                continue;
            };
            let Field::Bytes(range) = field else { continue };
            let inner = match (top.message, number) {
                (Message::Model, 7) | (Message::Attribute, 6 | 11) | (Message::Training, 1 | 2) => {
                    Message::Graph
                }
                (Message::Model, 20) => Message::Training,
                (Message::Model, 25) => Message::Function,
                (Message::Graph, 1) | (Message::Function, 7) => Message::Node,
                (Message::Node, 5) => Message::Attribute,
                (Message::Graph, 5) => {
                    let prefix = top.prefix.clone();
                    let described = self.described(&range)?;
                    self.keep(described, &prefix)?;
                    continue;
                }
                (Message::Attribute, 5) => {
                    let described = self.described(&range)?;
                    top.constant = Some(described);
                    continue;
                }
                (Message::Function, 1) | (Message::Graph, 2) | (Message::Node, 2 | 4) => {
                    self.name(top, number, &range)?;
                    continue;
                }
                (Message::Graph, 15) => {
                    self.hazards.file("sparse-tensor", Level::Warning, || {
                        format!("a sparse initialiser at byte {} is not read", range.start)
                    });
                    self.wire.skip_to(range.end, "the model")?;
                    continue;
                }
                (message, number) => {
                    self.operators |= message == Message::Model && number == 8;
                    self.wire.skip_to(range.end, "the model")?;
                    continue;
                }
            };
            // The outermost graph's tensors keep their names.
            let prefix = match (top.message, inner) {
                (Message::Attribute, Message::Graph) => format!("{}{}/", top.prefix, top.output),
                _ => top.prefix.clone(),
            };
            let output = if inner == Message::Attribute { top.output.clone() } else { String::new() };
            if prefix.len() > self.limits.name_bytes {
                let (claimed, limit) = (prefix.len() as u64, self.limits.name_bytes as u64);
                return Err(self.wire.source.limit("the length in bytes of names of graphs", claimed, limit));
            }
            if stack.len() >= DEPTH {
                let (claimed, limit) = (stack.len() as u64 + 1, DEPTH as u64);
                return Err(self.wire.source.limit("the nesting of graphs", claimed, limit));
            }
            stack.push(Open { output, ..open(inner, range.end, prefix) });
        }
        Ok(())
    }

    /// Takes the name of a function, a node's first output or its operator.
    fn name(&mut self, top: &mut Open, number: u64, range: &Range<u64>) -> Result<(), FormatError> {
        let most = self.limits.name_bytes as u64;
        match (top.message, number) {
            (Message::Function, _) => {
                let name = self.wire.text(range, most, "a function's name")?;
                top.prefix = format!("{}{name}/", top.prefix);
            }
            (Message::Node, 2) if top.output.is_empty() => {
                top.output = self.wire.text(range, most, "a node's output")?;
            }
            (Message::Node, 4) => {
                top.operator = self.wire.text(range, most, "a node's operator")?;
                if LOADS.contains(&top.operator.as_str()) {
                    let operator = top.operator.clone();
                    self.hazards.part("custom-operator", Level::Danger, &operator, || {
                        "a runtime that knows this operator would load code for it".into()
                    });
                }
            }
            _ => self.wire.skip_to(range.end, "the model")?,
        }
        Ok(())
    }

    /// A message ends: constants get the name of their node's output.
    fn close(&mut self, done: Open, stack: &mut [Open]) -> Result<(), FormatError> {
        match done.message {
            Message::Attribute => {
                if let (Some(constant), Some(node)) = (done.constant, stack.last_mut()) {
                    node.constant = Some(constant);
                }
            }
            Message::Node if done.operator == "Constant" => {
                if let Some(mut constant) = done.constant {
                    constant.name = done.output;
                    self.keep(constant, &done.prefix)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn keep(&mut self, described: Described, prefix: &str) -> Result<(), FormatError> {
        let (count, limit) = (self.tensors.len() as u64 + 1, self.limits.tensors);
        if count > limit {
            return Err(self.wire.source.limit("the number of tensors so far", count, limit));
        }
        let name = format!("{prefix}{}", described.name);
        let subject = format!("tensor `{}`", printable(&name));
        if name.len() > self.limits.name_bytes {
            let what = format!("the name length in bytes of {subject}");
            return Err(self.wire.source.limit(what, name.len() as u64, self.limits.name_bytes as u64));
        }
        self.hazards.tensor_name(&name);
        let range = described.range.clone();
        let tensor = self.placed(described, name.clone(), &subject)?;
        if self.tensors.insert(name, tensor).is_some() {
            return Err(self.wire.source.malformed(subject, range, "the name occurs twice"));
        }
        Ok(())
    }
}
