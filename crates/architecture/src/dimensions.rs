//! Widths and heads of a component.
//!
//! Answers: *how wide is the residual stream, how many heads are there?* Shapes decide; the configuration is believed
//! only where the shapes agree with it.

use crate::catalogue::Catalogue;
use crate::{Component, Role};
use std::collections::BTreeMap;
use stemmata_model::{Config, Value};

/// Extents seen in one component.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence {
    /// Votes for the residual width.
    residual: BTreeMap<u64, u64>,
    queries: u64,
    keys: u64,
    values: u64,
    attention_inputs: u64,
    query_norm: u64,
    sinks: u64,
}

impl Evidence {
    /// Takes note of one logical matrix or vector; the first of its kind counts, so deviant layers do not.
    pub(crate) fn observe(&mut self, role: Role, rows: u64, cols: u64) {
        let first = |slot: &mut u64, value| {
            if *slot == 0 {
                *slot = value;
            }
        };
        match role {
            Role::Query => first(&mut self.queries, rows),
            Role::Key => first(&mut self.keys, rows),
            Role::Value => first(&mut self.values, rows),
            Role::Output => first(&mut self.attention_inputs, cols),
            Role::QueryNorm => first(&mut self.query_norm, cols),
            Role::AttentionSinks => first(&mut self.sinks, cols),
            Role::AttentionNorm | Role::FeedForwardNorm | Role::FinalNorm | Role::TokenEmbedding => {
                *self.residual.entry(cols).or_default() += 1;
            }
            _ => {}
        }
    }
}

/// Widths and heads; 0 is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dimensions {
    pub(crate) residual: u64,
    pub(crate) query_heads: u64,
    pub(crate) kv_heads: u64,
    /// Width of a query head.
    pub(crate) query_width: u64,
    /// Width of a value head.
    pub(crate) value_width: u64,
    /// Whether the head width is a guess by what is common.
    pub(crate) guessed: bool,
}

/// Reads the keys of one component.
pub(crate) struct Configured<'a> {
    config: &'a Config,
    prefixes: Vec<String>,
}

impl<'a> Configured<'a> {
    pub(crate) fn new(config: &'a Config, component: Component) -> Configured<'a> {
        let architecture = config.text("general.architecture").unwrap_or_default();
        let prefixes =
            Catalogue::embedded().config_prefixes.get(&component).map(Vec::as_slice).unwrap_or_default();
        let prefixes = prefixes.iter().map(|prefix| prefix.replace("{arch}", architecture)).collect();
        Configured { config, prefixes }
    }

    /// The first of `keys` that is present, as a count; per-layer lists give their largest entry.
    pub(crate) fn count(&self, keys: &[String]) -> u64 {
        self.first(keys, |value| match value {
            Value::Int(n) => u64::try_from(*n).ok(),
            Value::Float(x) if *x >= 0.0 && x.fract() == 0.0 && *x < 9.0e15 => Some(*x as u64),
            Value::List(items) => items
                .iter()
                .filter_map(|item| if let Value::Int(n) = item { u64::try_from(*n).ok() } else { None })
                .max(),
            _ => None,
        })
        .unwrap_or(0)
    }

    /// Whether any of `keys` is present with a number.
    pub(crate) fn has(&self, keys: &[String]) -> bool {
        self.first(keys, |value| matches!(value, Value::Int(_) | Value::Float(_)).then_some(())).is_some()
    }

    fn first<T>(&self, keys: &[String], read: impl Fn(&Value) -> Option<T>) -> Option<T> {
        self.prefixes.iter().find_map(|prefix| {
            keys.iter().find_map(|key| self.config.get(&format!("{prefix}{key}")).and_then(&read))
        })
    }
}

/// Head widths in use, likelier first, for models of at least 2048 channels and below.
const WIDE: [u64; 7] = [128, 64, 96, 80, 256, 112, 72];
const NARROW: [u64; 7] = [64, 128, 32, 96, 80, 16, 8];

/// Puts shapes and configuration together.
pub(crate) fn resolve(evidence: &Evidence, configured: &Configured<'_>) -> Dimensions {
    let keys = &Catalogue::embedded().config_keys;
    // Ties go to the smaller width: the order of a map, so the same every time.
    let voted = evidence.residual.iter().max_by_key(|&(extent, votes)| (*votes, std::cmp::Reverse(*extent)));
    let residual = voted.map_or_else(|| configured.count(&keys.hidden), |(extent, _)| *extent);
    let divides = |part: u64, whole: u64| part > 0 && (whole == 0 || whole.is_multiple_of(part));
    let Evidence { queries, keys: key_rows, values, attention_inputs, query_norm, sinks, .. } = *evidence;
    let mut out = Dimensions { residual, ..Dimensions::default() };

    let stated_heads = configured.count(&keys.query_heads);
    let stated_width = configured.count(&keys.head_dim);
    let attention = if queries > 0 { queries } else { attention_inputs };
    if divides(sinks, attention) && sinks > 0 {
        out.query_heads = sinks;
    } else if divides(stated_heads, queries) && divides(stated_heads, attention_inputs) {
        out.query_heads = stated_heads;
    } else if attention > 0 {
        let fits = |width: &u64| divides(*width, attention) && divides(*width, key_rows);
        let by_norm = Some(query_norm).filter(|width| fits(width) && *width < attention);
        let stated = Some(stated_width).filter(fits);
        let common = if residual >= 2048 { WIDE } else { NARROW };
        let guess = common.into_iter().find(|width| fits(width) && *width < attention);
        out.guessed = by_norm.or(stated).is_none() && guess.is_some();
        out.query_heads = by_norm.or(stated).or(guess).map_or(0, |width| attention / width);
    }
    if out.query_heads > 0 {
        // Without query rows (latent attention) only the configuration knows the width of queries.
        out.query_width =
            queries.checked_div(out.query_heads).filter(|&width| width > 0).unwrap_or(stated_width);
        let stated_kv = configured.count(&keys.kv_heads);
        let by_rows = (out.query_width > 0 && key_rows > 0 && key_rows.is_multiple_of(out.query_width))
            .then(|| key_rows / out.query_width);
        out.kv_heads = match by_rows {
            Some(heads) => heads,
            None if divides(stated_kv, key_rows) => stated_kv,
            None => out.query_heads,
        };
        let by_output =
            divides(out.query_heads, attention_inputs).then(|| attention_inputs / out.query_heads);
        out.value_width = by_output.filter(|&width| width > 0).unwrap_or_else(|| {
            let stated = configured.count(&keys.value_dim);
            match values {
                0 if stated > 0 => stated,
                0 => out.query_width,
                rows if divides(out.kv_heads, rows) => rows / out.kv_heads,
                _ => out.query_width,
            }
        });
    }
    out
}
