//! The data files, parsed once.
//!
//! Answers: *which families, prefixes and configuration keys are known?* Must not know: any checkpoint.

use crate::rule::Rule;
use crate::trie::{Trie, tokens};
use crate::{Component, Norm};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::OnceLock;

const FAMILIES: &[&str] = &[
    include_str!("../data/llama.toml"),
    include_str!("../data/experts.toml"),
    include_str!("../data/gpt2.toml"),
    include_str!("../data/native.toml"),
    include_str!("../data/gguf.toml"),
    include_str!("../data/vision.toml"),
    include_str!("../data/connector.toml"),
    include_str!("../data/encoders.toml"),
    include_str!("../data/denoiser.toml"),
    include_str!("../data/unet.toml"),
];
const NAMES: &str = include_str!("../data/names.toml");
const CONFIG: &str = include_str!("../data/config.toml");
const HINTS: &str = include_str!("../data/hints.toml");
/// The version of the data files that this build reads.
const SCHEMA: u32 = 1;

/// One naming scheme.
#[derive(Debug)]
pub(crate) struct Family {
    pub(crate) id: String,
    pub(crate) component: Component,
    pub(crate) norm: Option<Norm>,
    /// Values of `model_type` or `general.architecture` that break ties in its favour.
    pub(crate) model_types: Vec<String>,
    /// Indices of rules that some tensor must match, or the family is no candidate.
    pub(crate) requires: Vec<usize>,
    /// GGUF architectures whose q and k rows are in adjacent rotary pairs.
    pub(crate) interleaved: Vec<String>,
    /// Where layers are numbered in several places: the place in the order of all for each rule, if it has one.
    pub(crate) stages: Vec<Option<usize>>,
    pub(crate) patterns: Trie,
    pub(crate) rules: Vec<Rule>,
}

/// A dot-token sequence that is stripped from names.
#[derive(Debug)]
pub(crate) struct Prefix {
    pub(crate) tokens: Vec<String>,
    /// What it says of the component; `None` for wrappers.
    pub(crate) component: Option<Component>,
}

/// Keys of one configured extent, and where they may lie.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfigKeys {
    pub(crate) hidden: Vec<String>,
    pub(crate) query_heads: Vec<String>,
    pub(crate) kv_heads: Vec<String>,
    pub(crate) head_dim: Vec<String>,
    pub(crate) value_dim: Vec<String>,
    pub(crate) rms_epsilon: Vec<String>,
    pub(crate) layer_epsilon: Vec<String>,
}

/// Words that hint at a role or a component, for names that no family knows.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hints {
    schema: u32,
    /// Canonical role name to words.
    pub(crate) role: BTreeMap<String, Vec<String>>,
    /// Component name to words.
    pub(crate) component: BTreeMap<String, Vec<String>>,
    /// Words for additive terms.
    pub(crate) bias: Vec<String>,
}

/// Everything the data files say.
#[derive(Debug)]
pub(crate) struct Catalogue {
    pub(crate) families: Vec<Family>,
    /// Longest first.
    pub(crate) prefixes: Vec<Prefix>,
    pub(crate) ignored_last: Vec<String>,
    pub(crate) ignored_beside_packed: Vec<String>,
    pub(crate) adapter_tokens: Vec<String>,
    /// Configuration prefixes by component.
    pub(crate) config_prefixes: BTreeMap<Component, Vec<String>>,
    pub(crate) config_keys: ConfigKeys,
    pub(crate) hints: Hints,
}

impl Catalogue {
    /// The embedded data, parsed on first use.
    pub(crate) fn embedded() -> &'static Catalogue {
        static CATALOGUE: OnceLock<Catalogue> = OnceLock::new();
        CATALOGUE.get_or_init(|| Catalogue::parse().expect("the embedded data files parse; tested"))
    }

    fn parse() -> Result<Catalogue, String> {
        let mut families: Vec<Family> = Vec::new();
        let mut maps: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for text in FAMILIES {
            let file: FamilyFile = read(text)?;
            expect_schema(file.schema)?;
            for record in file.family {
                families.push(compile(record, &mut maps)?);
            }
        }
        let NamesFile { schema, prefix, ignore, adapter } = read(NAMES)?;
        expect_schema(schema)?;
        let mut prefixes = Vec::new();
        for (name, texts) in prefix {
            let component = if name == "neutral" { None } else { Some(component_named(&name)?) };
            prefixes.extend(
                texts
                    .iter()
                    .map(|text| Prefix { tokens: text.split('.').map(str::to_owned).collect(), component }),
            );
        }
        prefixes.sort_by_key(|prefix| std::cmp::Reverse(prefix.tokens.len()));
        let ConfigFile { schema, prefix, keys } = read(CONFIG)?;
        expect_schema(schema)?;
        let config_prefixes = prefix
            .into_iter()
            .map(|(name, prefixes)| Ok((component_named(&name)?, prefixes)))
            .collect::<Result<_, String>>()?;
        let hints: Hints = read(HINTS)?;
        expect_schema(hints.schema)?;
        let IgnoreRecord { last, beside_packed } = ignore;
        let AdapterRecord { tokens } = adapter;
        Ok(Catalogue {
            families,
            prefixes,
            ignored_last: last,
            ignored_beside_packed: beside_packed,
            adapter_tokens: tokens,
            config_prefixes,
            config_keys: keys,
            hints,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FamilyFile {
    schema: u32,
    family: Vec<FamilyRecord>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FamilyRecord {
    id: String,
    component: String,
    norm: Option<String>,
    extends: Option<String>,
    model_types: Vec<String>,
    #[serde(default)]
    requires: Vec<String>,
    #[serde(default)]
    interleaved: Vec<String>,
    #[serde(default)]
    stages: Vec<Vec<String>>,
    /// What `@name` at the head of a pattern stands for: the pattern is written once for each.
    #[serde(default)]
    at: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    map: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NamesFile {
    schema: u32,
    prefix: BTreeMap<String, Vec<String>>,
    ignore: IgnoreRecord,
    adapter: AdapterRecord,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IgnoreRecord {
    last: Vec<String>,
    beside_packed: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AdapterRecord {
    tokens: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigFile {
    schema: u32,
    prefix: BTreeMap<String, Vec<String>>,
    keys: ConfigKeys,
}

fn read<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    toml::from_str(text).map_err(|error| error.to_string())
}

fn expect_schema(schema: u32) -> Result<(), String> {
    if schema == SCHEMA { Ok(()) } else { Err(format!("schema {schema} is not {SCHEMA}")) }
}

fn component_named(name: &str) -> Result<Component, String> {
    Component::from_name(name).ok_or_else(|| format!("unknown component `{name}`"))
}

/// A pattern with `@name` at its head once for each place that the name stands for.
fn written_out(pattern: &str, at: &BTreeMap<String, Vec<String>>) -> Result<Vec<String>, String> {
    let Some(rest) = pattern.strip_prefix('@') else { return Ok(vec![pattern.to_owned()]) };
    let (name, rest) = rest.split_once('.').ok_or_else(|| format!("`{pattern}` is a place alone"))?;
    let places = at.get(name).ok_or_else(|| format!("`{pattern}` names no place"))?;
    Ok(places.iter().map(|place| format!("{place}.{rest}")).collect())
}

/// The stage that a pattern belongs to: that with the longest beginning of it. Layers of a family with stages are numbered
/// through them, so every layer number of a pattern must be in its stage.
fn stage_of(pattern: &str, stages: &[Vec<String>]) -> Result<Option<usize>, String> {
    let numbers = |text: &str| tokens(text).iter().filter(|token| matches!(**token, "{L}" | "{R}")).count();
    let begins = |stage: &str| {
        pattern.strip_prefix(stage).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let found = stages.iter().enumerate().flat_map(|(at, names)| names.iter().map(move |name| (at, name)));
    let found = found.filter(|(_, name)| begins(name)).max_by_key(|(_, name)| name.len());
    let inside = found.map_or(0, |(_, name)| numbers(name));
    let allowed = if stages.is_empty() { numbers(pattern).min(1) } else { inside };
    if numbers(pattern) == allowed {
        Ok(found.map(|(at, _)| at))
    } else {
        Err(format!("`{pattern}` has layer numbers outside a stage"))
    }
}

/// Turns a record into a family; the destructuring without `..` keeps every field of the data in use.
fn compile(
    record: FamilyRecord,
    maps: &mut BTreeMap<String, BTreeMap<String, String>>,
) -> Result<Family, String> {
    let FamilyRecord {
        id,
        component,
        norm,
        extends,
        model_types,
        requires,
        interleaved,
        stages,
        at,
        map: own,
    } = record;
    let mut map = match extends {
        Some(base) => {
            maps.get(&base).cloned().ok_or_else(|| format!("`{id}` extends `{base}`, which is unknown"))?
        }
        None => BTreeMap::new(),
    };
    for (pattern, target) in own {
        map.extend(written_out(&pattern, &at)?.into_iter().map(|pattern| (pattern, target.clone())));
    }
    let norm = match norm.as_deref() {
        Some("rms") => Some(Norm::Rms),
        Some("layer") => Some(Norm::Layer),
        None => None,
        Some(other) => return Err(format!("unknown norm `{other}` in `{id}`")),
    };
    let (mut patterns, mut rules, mut places) = (Trie::default(), Vec::new(), Vec::new());
    for (pattern, target) in &map {
        places.push(stage_of(pattern, &stages)?);
        patterns.insert(pattern, rules.len())?;
        rules.push(Rule::parse(target)?);
    }
    let requires = requires
        .iter()
        .map(|wanted| {
            // Where it stands for several, the first is enough.
            let wanted = written_out(wanted, &at)?.into_iter().next().unwrap_or_default();
            map.keys()
                .position(|pattern| *pattern == wanted)
                .ok_or_else(|| format!("`{id}` has no `{wanted}`"))
        })
        .collect::<Result<_, String>>()?;
    let component = component_named(&component)?;
    if maps.insert(id.clone(), map).is_some() {
        return Err(format!("two families are called `{id}`"));
    }
    Ok(Family { id, component, norm, model_types, requires, interleaved, stages: places, patterns, rules })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Role;

    #[test]
    fn the_data_files_parse_and_say_something_everywhere() {
        let catalogue = Catalogue::parse().unwrap();
        assert!(catalogue.families.len() > 20);
        assert!(catalogue.families.iter().all(|family| !family.rules.is_empty()));
        assert!(catalogue.hints.role.keys().all(|name| Role::from_name(name).is_some()));
        assert!(catalogue.hints.component.keys().all(|name| component_named(name).is_ok()));
        assert_eq!(catalogue.config_prefixes.len(), Component::ALL.len());
        assert!(catalogue.prefixes.is_sorted_by(|a, b| a.tokens.len() >= b.tokens.len()));
    }

    #[test]
    fn unknown_fields_are_refused() {
        assert!(read::<FamilyFile>("schema = 1\nfamily = []\nfamilies = 3").is_err());
        let extra = "schema = 1\n[[family]]\nid='a'\ncomponent='other'\nmodel_types=[]\nspace='x'";
        assert!(read::<FamilyFile>(extra).is_err());
    }
}
