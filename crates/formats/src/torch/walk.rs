//! From a pickle's result to named tensors: nested containers become dotted names.

use super::arena::{Id, Pickle, Value};
use super::tensor::{Rebuilt, rebuild};
use super::{Context, subject};
use crate::FormatError;
use crate::hazards::Hazards;
use std::collections::{BTreeMap, HashMap, HashSet};
use stemmata_model::{Level, Tensor, printable};

/// Keys under which training frameworks put the weights beside other things.
const WEIGHTS: [&str; 3] = ["state_dict", "model", "module"];
/// The parts of a pickled module that hold tensors and other modules.
const MODULE_PARTS: [&str; 3] = ["_parameters", "_buffers", "_modules"];

/// Names of entries that are still to be visited may take this much together.
const PENDING_BYTES: usize = 64 << 20;

/// What is left to visit; `Leave` ends the visit of a container.
enum Step {
    Visit { id: Id, name: String },
    Leave(Id),
}

/// All tensors below `root`, in name order.
pub(super) fn tensors(
    pickle: &Pickle,
    root: Id,
    context: &Context,
    hazards: &mut Hazards,
) -> Result<Vec<Tensor>, FormatError> {
    let root = weights(pickle, root, hazards);
    let mut walk = Walk { pickle, context, found: BTreeMap::new(), storages: HashMap::new() };
    walk.run(root, hazards)?;
    for (key, names) in walk.storages.iter().collect::<BTreeMap<_, _>>() {
        if let [first, second, ..] = names.as_slice() {
            hazards.part("shared-storage", Level::Note, first, || {
                let (key, second) = (printable(key), printable(second));
                let others = match names.len() - 2 {
                    0 => String::new(),
                    others => format!(" and {others} more"),
                };
                format!(
                    "shares storage `{key}` with `{second}`{others}: tied weights, or windows into one array"
                )
            });
        }
    }
    let mut tensors: Vec<Tensor> = walk.found.into_values().collect();
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(tensors)
}

/// The container that holds the weights: the root itself, or what it keeps under a customary key.
fn weights(pickle: &Pickle, root: Id, hazards: &mut Hazards) -> Id {
    let Value::Dict(pairs) = pickle.get(root) else { return root };
    for key in WEIGHTS {
        let is_key = |pair: &&(Id, Id)| pickle.is_text(pair.0, key);
        let found = pairs.iter().rev().find(is_key).map(|pair| pair.1);
        let Some(found) = found.filter(|id| matches!(pickle.get(*id), Value::Dict(_))) else { continue };
        let others = pairs.iter().filter(|pair| pair.1 != found).count();
        if others > 0 {
            hazards.part("other-entries", Level::Note, key, || {
                format!("the weights are taken from this entry; {others} others beside it are not read")
            });
        }
        return found;
    }
    root
}

struct Walk<'p, 'a, 's> {
    pickle: &'p Pickle<'p>,
    context: &'p Context<'a, 's>,
    found: BTreeMap<String, Tensor>,
    /// Names by storage key.
    storages: HashMap<String, Vec<String>>,
}

impl Walk<'_, '_, '_> {
    fn run(&mut self, root: Id, hazards: &mut Hazards) -> Result<(), FormatError> {
        let limits = self.context.limits;
        let source = self.context.source;
        // Containers on the way from the root to here; one of them again is a cycle.
        let mut path = HashSet::new();
        let mut steps = vec![Step::Visit { id: root, name: String::new() }];
        let mut visits = 0;
        let mut pending = 0;
        while let Some(step) = steps.pop() {
            let (id, name) = match step {
                Step::Visit { id, name } => (id, name),
                Step::Leave(id) => {
                    path.remove(&id);
                    continue;
                }
            };
            pending -= name.len();
            // A container may be shared by others that are shared again: few bytes, exponentially many names. Looking
            // at a container costs as much as it has items.
            visits += 1 + self.weight(id);
            if visits > limits.pickle_nodes {
                return Err(source.limit(
                    "the number of values under all names so far",
                    visits,
                    limits.pickle_nodes,
                ));
            }
            if let Some(Rebuilt { tensor, key }) = rebuild(self.pickle, id, &name, self.context, hazards)? {
                self.keep(tensor, key, hazards)?;
                continue;
            }
            let children = self.children(id, hazards)?;
            if children.is_empty() {
                continue;
            }
            if !path.insert(id) {
                hazards.part("pickle-cycle", Level::Warning, &name, || "the container holds itself".into());
                continue;
            }
            if path.len() > limits.pickle_depth {
                return Err(source.limit(
                    "the nesting of containers",
                    path.len() as u64,
                    limits.pickle_depth as u64,
                ));
            }
            steps.push(Step::Leave(id));
            for (part, child) in children.into_iter().rev() {
                let joins = !part.is_empty() && !name.is_empty();
                let name = format!("{name}{}{part}", if joins { "." } else { "" });
                if name.len() > limits.name_bytes {
                    let what = format!("the name length in bytes of {}", subject(&name));
                    return Err(source.limit(what, name.len() as u64, limits.name_bytes as u64));
                }
                pending += name.len();
                if pending > PENDING_BYTES {
                    let (claimed, limit) = (pending as u64, PENDING_BYTES as u64);
                    return Err(source.limit("the size in bytes of names still to visit", claimed, limit));
                }
                steps.push(Step::Visit { id: child, name });
            }
        }
        Ok(())
    }

    fn keep(&mut self, tensor: Tensor, key: String, hazards: &mut Hazards) -> Result<(), FormatError> {
        let (count, limit) = (self.found.len() as u64 + 1, self.context.limits.tensors);
        if count > limit {
            return Err(self.context.source.limit("the number of tensors so far", count, limit));
        }
        hazards.tensor_name(&tensor.name);
        self.storages.entry(key).or_default().push(tensor.name.clone());
        if let Some(earlier) = self.found.insert(tensor.name.clone(), tensor) {
            hazards.part("duplicate-name", Level::Warning, &earlier.name, || {
                "two entries lead to this name; the last one counts".into()
            });
        }
        Ok(())
    }

    /// The containers and calls directly below a value, with their part of the name.
    fn children(&self, id: Id, hazards: &mut Hazards) -> Result<Vec<(String, Id)>, FormatError> {
        let pickle = self.pickle;
        let may_hold = |id: Id| {
            matches!(pickle.get(id), Value::Dict(_) | Value::List(_) | Value::Tuple(_) | Value::Call { .. })
        };
        Ok(match pickle.get(id) {
            Value::Dict(pairs) => self.dictionary(pairs, may_hold, hazards)?,
            Value::List(items) | Value::Tuple(items) => {
                let held = items.iter().enumerate().filter(|(_, item)| may_hold(**item));
                held.map(|(index, item)| (index.to_string(), *item)).collect()
            }
            // A module pickled whole: its class cannot be used, its parts can.
            Value::Call { state: Some(state), .. } => match pickle.get(*state) {
                Value::Dict(pairs) => {
                    let mut parts = self.dictionary(pairs, may_hold, hazards)?;
                    if parts.iter().any(|(key, _)| MODULE_PARTS.contains(&key.as_str())) {
                        parts.retain(|(key, _)| MODULE_PARTS.contains(&key.as_str()));
                        parts.iter_mut().for_each(|(key, _)| key.clear());
                    }
                    parts
                }
                _ => Vec::new(),
            },
            _ => Vec::new(),
        })
    }

    /// Items that looking at a value has to go through.
    fn weight(&self, id: Id) -> u64 {
        let items = match self.pickle.get(id) {
            Value::Dict(pairs) => pairs.len(),
            Value::List(items) | Value::Tuple(items) => items.len(),
            Value::Call { state: Some(state), .. } => match self.pickle.get(*state) {
                Value::Dict(pairs) => pairs.len(),
                _ => 0,
            },
            _ => 0,
        };
        items as u64
    }

    /// The entries of a dictionary that may hold tensors. A key that was set twice has its last value, as in Python.
    fn dictionary(
        &self,
        pairs: &[(Id, Id)],
        may_hold: impl Fn(Id) -> bool,
        hazards: &mut Hazards,
    ) -> Result<Vec<(String, Id)>, FormatError> {
        let most = self.context.limits.name_bytes;
        let mut last = HashMap::new();
        let mut order = Vec::new();
        for (key, value) in pairs {
            let key = match self.pickle.get(*key) {
                Value::Int(number) => number.to_string(),
                Value::Text(_) | Value::Owned(_) => match self.pickle.short_text(*key, most) {
                    Some(text) => text.into_owned(),
                    None if may_hold(*value) => {
                        let what = "the name length in bytes of an entry";
                        return Err(self.context.source.limit(what, most as u64 + 1, most as u64));
                    }
                    None => continue,
                },
                _ => continue,
            };
            match last.insert(key.clone(), *value) {
                None => order.push(key),
                Some(_) => hazards.part("duplicate-key", Level::Warning, &key, || {
                    "the key is set twice; the last value counts".into()
                }),
            }
        }
        let entries = order.into_iter().filter_map(|key| last.get(&key).map(|id| (key.clone(), *id)));
        Ok(entries.filter(|(_, id)| may_hold(*id)).collect())
    }
}
