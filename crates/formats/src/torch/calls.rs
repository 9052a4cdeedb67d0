//! The opcodes that import and call: here they only build values that say what would have happened.

use super::arena::{Id, Value};
use super::globals::{Builder, Global, builder, is_trusted};
use super::machine::Machine;
use super::operands::Fault;
use stemmata_model::Level;

/// Longer names are of no module: they are reported, not kept.
const IMPORT_BYTES: usize = 1024;

impl Machine<'_, '_> {
    pub(super) fn call(&mut self, opcode: u8) -> Result<(), Fault> {
        match opcode {
            b'c' => {
                let global = self.global_lines()?;
                self.push_id(global);
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let text = |id| self.pickle.short_text(id, IMPORT_BYTES);
                let texts = (text(module), text(name));
                if let (Some(module), Some(name)) = texts {
                    let (module, name) = (module.into_owned(), name.into_owned());
                    let global = self.import(module, name)?;
                    self.push_id(global);
                } else {
                    self.note("pickle-computed-import", Level::Danger, || {
                        "a loader would import a name that the pickle computes".into()
                    });
                    self.push(Value::Opaque)?;
                }
            }
            b'i' => {
                let class = self.global_lines()?;
                let args = self.pop_mark()?;
                let args = self.make(Value::Tuple(args))?;
                self.reduce(class, args)?;
            }
            b'o' => {
                let mut items = self.pop_mark()?;
                if items.is_empty() {
                    return self.operands.fault("an object without a class");
                }
                let class = items.remove(0);
                let args = self.make(Value::Tuple(items))?;
                self.reduce(class, args)?;
            }
            0x92 => {
                let keywords = self.pop()?;
                let (args, class) = (self.pop()?, self.pop()?);
                let args = self.make(Value::Tuple(vec![args, keywords]))?;
                self.reduce(class, args)?;
            }
            0x81 | b'R' => {
                let (args, callable) = (self.pop()?, self.pop()?);
                self.reduce(callable, args)?;
            }
            b'b' => self.build()?,
            0x82 => self.extension::<1>()?,
            0x83 => self.extension::<2>()?,
            0x84 => self.extension::<4>()?,
            0x97 => {
                self.note("pickle-odd", Level::Warning, || "it asks for a buffer beside the file".into());
                self.push(Value::Opaque)?;
            }
            // Only marks the top of the stack as read-only.
            _ => {}
        }
        Ok(())
    }

    fn extension<const N: usize>(&mut self) -> Result<(), Fault> {
        let code = self.operands.unsigned::<N>()?;
        self.note("pickle-extension", Level::Danger, || {
            format!("a loader would import whatever its extension registry holds under {code}")
        });
        self.push(Value::Opaque)
    }

    fn global_lines(&mut self) -> Result<Id, Fault> {
        let module = String::from_utf8_lossy(self.operands.line()?).into_owned();
        let name = String::from_utf8_lossy(self.operands.line()?).into_owned();
        self.import(module, name)
    }

    fn import(&mut self, module: String, name: String) -> Result<Id, Fault> {
        let key = (module, name);
        if let Some(id) = self.known.get(&key) {
            return Ok(*id);
        }
        let id = self.make(Value::Global(self.pickle.globals.len() as u32))?;
        let (module, name) = key.clone();
        let is_trusted = is_trusted(&module, &name);
        let offset = self.offset();
        self.pickle.globals.push(Global { module, name, offset, is_trusted, called: None });
        self.known.insert(key, id);
        Ok(id)
    }

    /// What `callable(*args)` would have returned.
    fn reduce(&mut self, callable: Id, args: Id) -> Result<(), Fault> {
        let known = match self.pickle.global(callable) {
            Some(global) if global.is_trusted => builder(global),
            Some(_) => {
                self.note_call(callable, args);
                None
            }
            None => {
                self.note_about(callable, "pickle-computed-call", Level::Danger, |sketch| {
                    format!("a loader would call `{sketch}`, which the pickle computes")
                });
                None
            }
        };
        if known == Some(Builder::Dict) {
            let pairs = self.dictionary_pairs(args)?;
            return self.push(Value::Dict(pairs));
        }
        self.push(Value::Call { callable, args, state: None })
    }

    /// Keeps a sketch of the first call of a name that is not trusted.
    fn note_call(&mut self, callable: Id, args: Id) {
        if self.pickle.global(callable).is_some_and(|global| global.called.is_none()) {
            let sketch = self.pickle.sketch(args, 2);
            if let Some(global) = self.global_mut(callable) {
                global.called = Some(sketch);
            }
        }
    }

    /// The initial content of `OrderedDict([(key, value), …])`. A list may be used again and again, so that copying
    /// it is charged to the budget of values.
    fn dictionary_pairs(&mut self, args: Id) -> Result<Vec<(Id, Id)>, Fault> {
        let pickle = &self.pickle;
        let Some([list]) = pickle.items(args) else { return Ok(Vec::new()) };
        let Value::List(list) = pickle.get(*list) else { return Ok(Vec::new()) };
        let charge = list.len();
        let pairs: Vec<(Id, Id)> = list
            .iter()
            .filter_map(|pair| match pickle.items(*pair) {
                Some([key, value]) => Some((*key, *value)),
                _ => None,
            })
            .collect();
        for _ in 0..charge {
            self.make(Value::Opaque)?;
        }
        Ok(pairs)
    }

    /// `BUILD`: gives the object below the top its state.
    fn build(&mut self) -> Result<(), Fault> {
        let given = self.pop()?;
        let target = self.pop()?;
        self.push_id(target);
        match &mut self.pickle.values[target as usize] {
            Value::Call { state, .. } => *state = Some(given),
            Value::Global(_) | Value::Opaque | Value::Persistent(_) => {
                self.note_about(given, "pickle-odd", Level::Warning, |sketch| {
                    format!("a loader would set attributes `{sketch}` on what is not an object of the pickle")
                });
            }
            // `OrderedDict` carries its `_metadata` this way.
            _ => {}
        }
        Ok(())
    }
}
