//! The truth about the models of a collection.

use crate::Failure;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// How a model was made.
pub(super) struct Making {
    pub(super) kind: String,
    /// Names of the steps, or of the format.
    pub(super) steps: Vec<String>,
}

/// The truth about a pair; the candidate is the child, if either is.
#[derive(Clone)]
pub(super) struct Label {
    pub(super) candidate: String,
    pub(super) reference: String,
    /// `derived`, `ancestor`, `siblings`, `same-init`, `distilled`, `independent` or `identical`.
    pub(super) relation: String,
}

/// Models and pairs.
pub(super) struct Zoo {
    pub(super) models: BTreeMap<String, Making>,
    pub(super) pairs: Vec<Label>,
}

impl Zoo {
    pub(super) fn read(folder: &Path) -> Result<Zoo, Failure> {
        let manifest: Value = serde_json::from_slice(&std::fs::read(folder.join("manifest.json"))?)?;
        let models = match &manifest["models"] {
            Value::Array(list) => {
                list.iter().filter_map(|m| Some((m["id"].as_str()?.to_owned(), making(m)))).collect()
            }
            Value::Object(map) => map.iter().map(|(name, m)| (name.clone(), making(m))).collect(),
            _ => return Err("manifest.json lists no models".into()),
        };
        let text = std::fs::read_to_string(folder.join("pairs.csv"))?;
        let mut lines = text.lines().map(fields);
        let header = lines.next().unwrap_or_default();
        let column = |name: &str| {
            header.iter().position(|h| h == name).ok_or_else(|| format!("pairs.csv has no column {name}"))
        };
        let [a, b, relation, direction] = ["a", "b", "relation", "direction"].map(column);
        let (a, b, relation, direction) = (a?, b?, relation?, direction?);
        let label = |row: Vec<String>| -> Option<Label> {
            let (a, b) = (row.get(a)?.clone(), row.get(b)?.clone());
            let b_is_child = row.get(direction)? != "b->a";
            let (candidate, reference) = if b_is_child { (b, a) } else { (a, b) };
            Some(Label { candidate, reference, relation: row.get(relation)?.clone() })
        };
        Ok(Zoo { models, pairs: lines.filter_map(label).collect() })
    }

    pub(super) fn kind(&self, model: &str) -> &str {
        self.models.get(model).map_or("", |making| making.kind.as_str())
    }

    /// All models but the pair and lone adapters, which hold no weights of their own.
    pub(super) fn others(&self, label: &Label) -> Vec<String> {
        let both = [&label.candidate, &label.reference];
        let names = self.models.keys().filter(|name| !both.contains(name) && self.kind(name) != "lora");
        names.cloned().collect()
    }
}

fn making(model: &Value) -> Making {
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(|x| Some(x.as_str()?.to_owned())).collect()
    };
    let mut steps = texts(&model["params"]["ops"]);
    steps.extend(model["params"]["qtype"].as_str().map(str::to_owned));
    Making { kind: model["kind"].as_str().unwrap_or_default().to_owned(), steps }
}

/// The fields of a line; quotes protect commas.
fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut quoted) = (vec![String::new()], false);
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            c => fields.last_mut().into_iter().for_each(|field| field.push(c)),
        }
    }
    fields
}

/// The relation that the report should name for a pair that is one step apart; `None` where no rule is known, an empty list where
/// a lone adapter holds nothing to name.
pub(super) fn expected(zoo: &Zoo, label: &Label) -> Option<&'static [&'static str]> {
    if [&label.candidate, &label.reference].iter().any(|model| zoo.kind(model) == "lora") {
        return Some(&[]);
    }
    let child = zoo.models.get(&label.candidate)?;
    let has = |part: &str| child.steps.iter().any(|step| step.contains(part));
    Some(match (label.relation.as_str(), child.kind.as_str()) {
        ("identical", _) => &["copy"],
        ("same-init", _) => &["shared-initialisation"],
        ("derived", "train" | "vlm" | "vlm_ft") => &["trained-further"],
        ("derived", "lora_merge") => &["lora-merged"],
        ("derived", "noise" | "vlm_noise") => &["noised-copy"],
        ("derived", "prune") => &["pruned"],
        ("derived", "layerdrop") => &["layers-dropped"],
        ("derived", "depthup") => &["layers-repeated"],
        ("derived", "widthprune") => &["width-pruned"],
        ("derived", "upcycle") => &["upcycled"],
        ("derived", "reembed") => &["re-embedded"],
        ("derived", "vocabext") => &["vocabulary-extended"],
        ("derived", "merge") => &["merge"],
        ("derived", "gguf") if has("F16") || has("BF16") => &["cast"],
        ("derived", "gguf" | "bnb" | "gptq" | "awq" | "fp8" | "mxfp4") => &["quantized"],
        ("derived", "launder") if has("rotate") && !child.steps.iter().all(|s| s == "qk_rope_rotate") => {
            &["rotated"]
        }
        ("derived", "launder") if has("perm") => &["relabelled"],
        ("derived", "launder") if has("scale") => &["rescaled"],
        _ => return None,
    })
}
