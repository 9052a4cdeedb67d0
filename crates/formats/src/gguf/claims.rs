//! What the keys claim: origin, license, and chat templates, which are programs.

use crate::hazards::Hazards;
use crate::template;
use stemmata_model::{Config, Declared, Value};

/// More bases than any merge names.
const BASES: u64 = 256;

/// `general.*` as claims.
pub(super) fn declared(config: &Config) -> Declared {
    let text = |key: &str| config.text(key).filter(|text| !text.is_empty()).map(str::to_owned);
    let mut declared =
        Declared { license: text("general.license"), name: text("general.name"), ..Declared::default() };
    let count = config.count("general.base_model.count").unwrap_or(0).min(BASES);
    for index in 0..count {
        let field = |field: &str| text(&format!("general.base_model.{index}.{field}"));
        let named = match (field("organization"), field("name")) {
            (Some(organization), Some(name)) => Some(format!("{organization}/{name}")),
            (None, name) => name,
            (Some(_), None) => None,
        };
        // The URL holds the repository's exact name, the other keys a prettified one.
        let base = field("repo_url").as_deref().and_then(repository).or(named);
        declared.base_model.extend(base);
    }
    declared
}

/// The last two components of a URL's path.
fn repository(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let (_, path) = rest.trim_end_matches('/').split_once('/')?;
    let mut parts = path.rsplit('/');
    let (name, organization) = (parts.next()?, parts.next()?);
    (!name.is_empty() && !organization.is_empty()).then(|| format!("{organization}/{name}"))
}

/// Looks for templates that use more of the template language than a conversation needs.
pub(super) fn chat_templates(config: &Config, hazards: &mut Hazards) {
    for (key, value) in &config.entries {
        if let (true, Value::Text(template)) = (key.starts_with("tokenizer.chat_template"), value) {
            template::look(template, key, hazards);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases() {
        let mut config = Config::default();
        let mut set = |key: &str, value: Value| config.entries.insert(key.into(), value);
        set("general.base_model.count", Value::Int(i64::MAX));
        set("general.base_model.0.name", Value::Text("Nova".into()));
        set("general.base_model.0.repo_url", Value::Text("https://example.org/acme/nova-8b/".into()));
        set("general.base_model.1.name", Value::Text("Lyra".into()));
        set("general.base_model.1.organization", Value::Text("Acme".into()));
        assert_eq!(declared(&config).base_model, ["acme/nova-8b", "Acme/Lyra"]);
    }
}
