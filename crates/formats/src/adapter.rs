//! `adapter_config.json`: which low-rank change an adapter makes, and to which tensors.

use crate::packed::LowRank;
use crate::{FormatError, parse_config};
use std::collections::{BTreeMap, HashMap};
use stemmata_model::{Config, Tensor, Value, printable};

/// What PEFT puts before the names of the model it wraps.
const WRAPPER: &str = "base_model.model.";

/// Settings that change what the factors mean, and that are not read.
const UNREAD: &[&str] =
    &["use_qalora", "use_bdlora", "lora_bias", "layer_replication", "alora_invocation_tokens"];

/// What kohya's scripts put before the names of modules, whose dots they turn into underscores.
const KOHYA: [&str; 6] =
    ["lora_unet_", "lora_transformer_", "lora_te1_", "lora_te2_", "lora_te3_", "lora_te_"];

/// The settings of a low-rank adapter.
#[derive(Clone, Debug)]
pub struct AdapterConfig {
    config: Config,
    /// For modules without one of their own; without it the rank.
    alpha: Option<f64>,
    /// By module, from numbers beside the factors.
    alphas: BTreeMap<String, f64>,
}

/// Why an adapter cannot be merged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdapterError {
    /// The configuration is no JSON document.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The configuration asks for more than a low-rank sum.
    #[error("`adapter_config.json`: {reason}")]
    Setting {
        /// Printable.
        reason: String,
    },
    /// A tensor of the adapter has no place in the base.
    #[error("tensor `{tensor}` of the adapter {reason}")]
    Tensor {
        /// Printable.
        tensor: String,
        /// Why.
        reason: String,
    },
}

/// What an adapter does to one tensor of its base.
#[derive(Clone, Debug)]
pub enum Change {
    /// Adds a product of two factors.
    Add(Box<LowRank>),
    /// Takes its place.
    Replace(Tensor),
}

impl AdapterConfig {
    /// Reads `adapter_config.json`.
    pub fn parse(bytes: &[u8]) -> Result<AdapterConfig, AdapterError> {
        let (config, _) = parse_config(bytes, "adapter_config.json")?;
        let fail = |reason: String| Err(AdapterError::Setting { reason });
        if let Some(kind) = config.text("peft_type").filter(|kind| *kind != "LORA") {
            return fail(format!("adapters of type `{}` are not read", printable(kind)));
        }
        let is_on = |key: &str| match config.get(key) {
            None | Some(Value::Null | Value::Bool(false)) => false,
            Some(Value::List(items)) => !items.is_empty(),
            Some(_) => true,
        };
        if let Some(key) = UNREAD.iter().find(|key| is_on(key)) {
            return fail(format!("`{key}` is set, which is not read"));
        }
        let Some(alpha) = number(&config, "lora_alpha") else {
            return fail("`lora_alpha` is missing".to_owned());
        };
        Ok(AdapterConfig { config, alpha: Some(alpha), alphas: BTreeMap::new() })
    }

    /// The settings of an adapter without a configuration, as kohya's scripts and diffusers write them: each module says its
    /// α in a number beside its factors, or it is the rank.
    pub fn bare() -> AdapterConfig {
        AdapterConfig { config: Config::default(), alpha: None, alphas: BTreeMap::new() }
    }

    /// The settings that the keys of a GGUF file say.
    pub fn of_gguf(config: &Config) -> Result<AdapterConfig, AdapterError> {
        let fail = |reason: &str| Err(AdapterError::Setting { reason: reason.to_owned() });
        if config.text("general.type") != Some("adapter") || config.text("adapter.type") != Some("lora") {
            return fail("the GGUF file does not say that it is a low-rank adapter");
        }
        match number(config, "adapter.lora.alpha") {
            Some(alpha) => {
                Ok(AdapterConfig { config: Config::default(), alpha: Some(alpha), alphas: BTreeMap::new() })
            }
            None => fail("the key `adapter.lora.alpha` is missing"),
        }
    }

    /// The module that a tensor is the α of.
    pub fn alpha_of(tensor: &Tensor) -> Option<&str> {
        tensor.name.strip_suffix(".alpha").filter(|_| tensor.elements() == 1)
    }

    /// Sets the α of one module.
    pub fn set_alpha(&mut self, module: &str, alpha: f32) {
        if alpha.is_finite() {
            self.alphas.insert(module.to_owned(), alpha.into());
        }
    }

    /// The factor of B·A for the module of that name.
    fn scale(&self, module: &str, rank: u64) -> Result<f32, AdapterError> {
        let mut alpha = match self.alphas.get(module) {
            Some(alpha) => *alpha,
            None => self.alpha.unwrap_or(rank as f64),
        };
        for (key, value) in &self.config.entries {
            let Some(pattern) = key.strip_prefix("alpha_pattern.") else { continue };
            // Patterns are regular expressions; those in use are names of modules or ends of them.
            if !pattern.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) {
                let reason = format!("the pattern `{}` is not read", printable(pattern));
                return Err(AdapterError::Setting { reason });
            }
            let rest = module.strip_suffix(pattern);
            if rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.')) {
                alpha = as_number(value).unwrap_or(alpha);
                break;
            }
        }
        let rank = rank as f64;
        let stabilised = self.config.flag("use_rslora") == Some(true);
        Ok((alpha / if stabilised { rank.sqrt() } else { rank }) as f32)
    }

    /// What the adapter's tensors do to the base's: index among `base`, change. Every tensor has a place or it is an error.
    pub fn changes(
        &self,
        adapter: Vec<Tensor>,
        base: &[Tensor],
    ) -> Result<BTreeMap<usize, Change>, AdapterError> {
        let fail = |tensor: &Tensor, reason: &str| {
            Err(AdapterError::Tensor { tensor: printable(&tensor.name), reason: reason.to_owned() })
        };
        let mut factors: BTreeMap<(String, bool), [Option<Tensor>; 2]> = BTreeMap::new();
        let mut changes = BTreeMap::new();
        let mut magnitudes: BTreeMap<String, Tensor> = BTreeMap::new();
        let flattened = flattened(base);
        let place = |name: &str| match KOHYA.iter().find_map(|head| name.strip_prefix(head)) {
            Some(module) => {
                flattened.get(module.strip_suffix(".weight").unwrap_or(module)).copied().flatten()
            }
            None => place(name, base),
        };
        for tensor in adapter {
            if AdapterConfig::alpha_of(&tensor).is_some() {
                continue;
            }
            if let Some(module) = magnitude_of(&tensor.name) {
                magnitudes.insert(module.to_owned(), tensor);
                continue;
            }
            if let Some((module, is_embedding, factor)) = factor_name(&tensor.name) {
                let both = factors.entry((module.to_owned(), is_embedding)).or_default();
                if both[factor].is_some() {
                    return fail(&tensor, "is there twice");
                }
                both[factor] = Some(tensor);
            } else if tensor.name.contains("lora_") || tensor.name.ends_with(".dora_scale") {
                return fail(&tensor, "is of a kind that is not read");
            } else {
                let Some(index) = place(&tensor.name.replace(".modules_to_save", "")) else {
                    return fail(&tensor, "has no place in the base");
                };
                if base[index].shape != tensor.shape {
                    return fail(&tensor, "has another shape than the base's");
                }
                changes.insert(index, Change::Replace(Tensor { name: base[index].name.clone(), ..tensor }));
            }
        }
        let mut changed = false;
        for ((module, is_embedding), both) in factors {
            let (a, b) = match both {
                [Some(a), Some(b)] => (a, b),
                [Some(one), None] | [None, Some(one)] => return fail(&one, "lacks its other factor"),
                [None, None] => continue,
            };
            let whole = if module.ends_with(".weight") { module.clone() } else { format!("{module}.weight") };
            let Some(index) = place(&whole) else {
                return fail(&a, "has no place in the base");
            };
            let scale = self.scale(&module, a.shape.first().copied().unwrap_or(1))?;
            let transposed = is_embedding || self.config.flag("fan_in_fan_out") == Some(true);
            let name = printable(&a.name);
            let change = LowRank::new(&base[index], a, b, scale, transposed);
            let change = match magnitudes.remove(&module) {
                Some(magnitude) => change.and_then(|change| change.with_magnitude(magnitude)),
                None if self.config.flag("use_dora") == Some(true) => {
                    let reason =
                        format!("`use_dora` is set, and module `{}` has no magnitudes", printable(&module));
                    return Err(AdapterError::Setting { reason });
                }
                None => change,
            };
            let change = change.map_err(|error| AdapterError::Tensor {
                tensor: name,
                reason: format!("does not fit: {error}"),
            })?;
            changes.insert(index, Change::Add(Box::new(change)));
            changed = true;
        }
        if let Some(magnitude) = magnitudes.into_values().next() {
            return fail(&magnitude, "belongs to no factors");
        }
        if !changed {
            return Err(AdapterError::Setting { reason: "no low-rank factors lie beside it".to_owned() });
        }
        Ok(changes)
    }
}

fn number(config: &Config, key: &str) -> Option<f64> {
    as_number(config.get(key)?)
}

fn as_number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(n) => Some(*n as f64),
        Value::Float(x) if x.is_finite() => Some(*x),
        _ => None,
    }
}

/// (module, whether it is an embedding, 0 for A and 1 for B) of a factor's name.
fn factor_name(name: &str) -> Option<(&str, bool, usize)> {
    let name = name.strip_prefix(WRAPPER).unwrap_or(name);
    let name = name.strip_suffix(".weight").unwrap_or(name);
    let name = name.strip_suffix(".default").unwrap_or(name);
    let ends = [
        ("lora_A", false, 0),
        ("lora_B", false, 1),
        ("lora_embedding_A", true, 0),
        ("lora_embedding_B", true, 1),
        ("lora_down", false, 0),
        ("lora_up", false, 1),
        ("lora.down", false, 0),
        ("lora.up", false, 1),
        ("lora_a", false, 0),
        ("lora_b", false, 1),
    ];
    ends.into_iter().find_map(|(end, is_embedding, factor)| {
        Some((name.strip_suffix(end)?.strip_suffix('.')?, is_embedding, factor))
    })
}

/// The module whose magnitudes a tensor holds.
fn magnitude_of(name: &str) -> Option<&str> {
    let name = name.strip_prefix(WRAPPER).unwrap_or(name);
    let name = name.strip_suffix(".weight").unwrap_or(name);
    name.strip_suffix(".default").unwrap_or(name).strip_suffix(".lora_magnitude_vector")
}

/// The base's matrices by their names with underscores for dots, whole and without one or two parts in front. Nothing where two
/// would have the same.
fn flattened(base: &[Tensor]) -> HashMap<String, Option<usize>> {
    let mut found: HashMap<String, Option<usize>> = HashMap::new();
    for (index, tensor) in base.iter().enumerate() {
        let name = tensor.name.strip_suffix(".weight").unwrap_or(&tensor.name);
        let mut rest = Some(name);
        for _ in 0..3 {
            let Some(name) = rest else { break };
            found.entry(name.replace('.', "_")).and_modify(|place| *place = None).or_insert(Some(index));
            rest = name.split_once('.').map(|(_, rest)| rest);
        }
    }
    found
}

/// Index of the base's tensor with that name; wrappers that only one side has are looked past.
fn place(name: &str, base: &[Tensor]) -> Option<usize> {
    let name = name.strip_prefix(WRAPPER).unwrap_or(name);
    let find = |name: &str| base.binary_search_by(|tensor| tensor.name.as_str().cmp(name)).ok();
    let mut shorter = Some(name);
    while let Some(name) = shorter {
        if let Some(index) = find(name) {
            return Some(index);
        }
        shorter = name.split_once('.').map(|(_, rest)| rest).filter(|rest| rest.contains('.'));
    }
    let longer =
        |tensor: &&Tensor| tensor.name.strip_suffix(name).is_some_and(|wrapper| wrapper.ends_with('.'));
    let mut found = base.iter().enumerate().filter(|(_, tensor)| longer(tensor));
    found.next().map(|(index, _)| index).filter(|_| found.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use stemmata_model::{DType, Encoding, Storage};

    fn tensor(name: &str, shape: &[u64]) -> Tensor {
        let storage = Storage { file: 0, offset: 0, len: 4 * shape.iter().product::<u64>(), strides: None };
        Tensor { name: name.into(), shape: shape.into(), encoding: Encoding::Plain(DType::F32), storage }
    }

    fn check(settings: &str, adapter: &[(&str, &[u64])], expect: Result<&[usize], &str>) {
        let base = [tensor("embed.weight", &[9, 4]), tensor("layers.0.q.weight", &[6, 4])];
        let adapter = adapter.iter().map(|(name, shape)| tensor(name, shape)).collect();
        let found =
            AdapterConfig::parse(settings.as_bytes()).and_then(|config| config.changes(adapter, &base));
        let found = found.map(|changes| changes.into_keys().collect::<Vec<_>>()).map_err(|e| e.to_string());
        match expect {
            Ok(places) => assert_eq!(found.as_deref(), Ok(places), "{adapter:?}", adapter = settings),
            Err(part) => assert!(found.as_ref().is_err_and(|text| text.contains(part)), "{found:?}"),
        }
    }

    #[test]
    fn adapters_and_their_places() {
        let plain = r#"{"peft_type":"LORA","lora_alpha":16,"r":2}"#;
        let a: (&str, &[u64]) = ("base_model.model.model.layers.0.q.lora_A.weight", &[2, 4]);
        let b: (&str, &[u64]) = ("base_model.model.model.layers.0.q.lora_B.weight", &[6, 2]);
        check(plain, &[a, b], Ok(&[1]));
        check(plain, &[a], Err("lacks its other factor"));
        check(plain, &[], Err("no low-rank factors"));
        check(
            plain,
            &[("x.lora_A.weight", &[2, 4]), ("x.lora_B.weight", &[6, 2])],
            Err("no place in the base"),
        );
        check(plain, &[a, (b.0, &[7, 2])], Err("extents of the factors"));
        check(plain, &[a, b, ("base_model.model.embed.weight", &[9, 4])], Ok(&[0, 1]));
        check(plain, &[a, b, ("base_model.model.embed.weight", &[8, 4])], Err("another shape"));
        let embedding = [("embed.lora_embedding_A", &[2, 9][..]), ("embed.lora_embedding_B", &[4, 2])];
        check(plain, &embedding, Ok(&[0]));
        check(r#"{"peft_type":"IA3"}"#, &[a, b], Err("type `IA3`"));
        check(r#"{"lora_alpha":16,"use_dora":true}"#, &[a, b], Err("`use_dora` is set"));
        let m: (&str, &[u64]) = ("base_model.model.model.layers.0.q.lora_magnitude_vector", &[6]);
        check(r#"{"lora_alpha":16,"use_dora":true}"#, &[a, b, m], Ok(&[1]));
        check(plain, &[a, b, (m.0, &[4])], Err("one magnitude for each stored row"));
        check(plain, &[a, b, ("x.lora_magnitude_vector", &[6])], Err("belongs to no factors"));
        let kohya = |end: &'static str, shape: &'static [u64]| (end, shape);
        let (down, up) = (
            kohya("lora_unet_layers_0_q.lora_down.weight", &[2, 4]),
            kohya("lora_unet_layers_0_q.lora_up.weight", &[6, 2]),
        );
        check(plain, &[down, up, ("lora_unet_layers_0_q.alpha", &[])], Ok(&[1]));
        check(
            plain,
            &[
                ("lora_unet_q_layers.lora_down.weight", &[2, 4]),
                ("lora_unet_q_layers.lora_up.weight", &[6, 2]),
            ],
            Err("no place in the base"),
        );
        check(
            plain,
            &[("layers.0.q.weight.lora_a", &[2, 4]), ("layers.0.q.weight.lora_b", &[6, 2])],
            Ok(&[1]),
        );
        check(
            r#"{"lora_alpha":16,"alpha_pattern":{"q|k":4}}"#,
            &[a, b],
            Err("the pattern `q|k` is not read"),
        );
        check(r#"{"r":2}"#, &[a, b], Err("`lora_alpha` is missing"));
        check("[", &[], Err("JSON"));
    }

    #[test]
    fn scales() {
        let scale = |text: &str| {
            AdapterConfig::parse(text.as_bytes()).unwrap().scale("model.layers.0.q_proj", 4).unwrap()
        };
        assert_eq!(scale(r#"{"lora_alpha":16}"#), 4.0);
        assert_eq!(scale(r#"{"lora_alpha":16,"use_rslora":true}"#), 8.0);
        assert_eq!(scale(r#"{"lora_alpha":16,"alpha_pattern":{"q_proj":2}}"#), 0.5);
        assert_eq!(scale(r#"{"lora_alpha":16,"alpha_pattern":{"k_proj":2,"proj":2}}"#), 4.0);
    }
}
