//! The model card of an export: `README.md` with plain facts.

use std::fmt::Write;
use std::path::Path;

use longrope_rope::RopeSpec;
use serde_json::Value;

use crate::config::ModelConfig;
use crate::hub_name::is_hub_name;

pub(super) const CARD_FILE: &str = "README.md";

/// Keys of a card's front matter that are taken over.
const LICENCE_KEYS: [&str; 3] = ["license", "license_name", "license_link"];

/// The card of the model in `source` after an export with another RoPE. `name` is its name on the hub, if it is known.
pub(super) fn text(
    source: &Path,
    name: Option<&str>,
    model: &ModelConfig,
    spec: &RopeSpec,
    target_context: usize,
) -> String {
    let card = fs_err::read_to_string(source.join(CARD_FILE)).unwrap_or_default();
    let front = front_matter(&card);
    let base = base_name(source, name, &front);
    let mut text = String::from("---\n");
    let mut line = |line: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{line}");
    };
    if let Some(base) = &base {
        line(format!("base_model: {base}"));
    }
    for key in LICENCE_KEYS {
        if let Some(value) = scalar(&front, key) {
            line(format!("{key}: {value}"));
        }
    }
    line("library_name: transformers".to_owned());
    line("---\n\n# A model with a longer context\n".to_owned());
    let origin = base.map_or_else(
        || format!("a model of the family {}", model.family.model_type()),
        |base| format!("`{base}`"),
    );
    line(format!(
        "The weights of {origin} with another RoPE, written by `longrope export`.\n"
    ));
    line(format!(
        "- RoPE: {}, theta {}",
        spec.scaling.name(),
        spec.theta
    ));
    line(format!(
        "- Original context: {} tokens",
        spec.original_context
    ));
    line(format!("- Context: {target_context} tokens"));
    line(format!("- Parameters: {}", model.n_parameters()));
    text
}

/// The name of a source on the hub, if it is known.
pub(super) fn base_model(source: &Path, name: Option<&str>) -> Option<String> {
    let card = fs_err::read_to_string(source.join(CARD_FILE)).unwrap_or_default();
    base_name(source, name, &front_matter(&card))
}

/// The licence that the card of a source names.
pub(super) fn licence(source: &Path) -> Option<String> {
    let card = fs_err::read_to_string(source.join(CARD_FILE)).ok()?;
    scalar(&front_matter(&card), LICENCE_KEYS[0]).map(str::to_owned)
}

fn base_name(source: &Path, name: Option<&str>, front: &[&str]) -> Option<String> {
    name.map(str::to_owned)
        .or_else(|| name_in_cache(source))
        .or_else(|| name_in_config(source))
        .or_else(|| {
            scalar(front, "base_model")
                .filter(|name| is_hub_name(name))
                .map(str::to_owned)
        })
}

/// The lines of a card between the two `---` at its beginning.
fn front_matter(card: &str) -> Vec<&str> {
    let mut lines = card.lines();
    if lines.next() != Some("---") {
        return Vec::new();
    }
    let front: Vec<&str> = lines.clone().take_while(|line| *line != "---").collect();
    if lines.any(|line| line == "---") {
        front
    } else {
        Vec::new()
    }
}

/// The value of a key of the front matter, if it is one short text on the key's line.
fn scalar<'a>(front: &[&'a str], key: &str) -> Option<&'a str> {
    let mut values = front
        .iter()
        .filter_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let value = values.next()?.trim();
    let plain = |c: char| c.is_ascii_alphanumeric() || " ./_-+:".contains(c);
    let is_plain = !value.is_empty() && value.starts_with(|c: char| c.is_ascii_alphanumeric());
    (is_plain && value.chars().all(plain) && !value.contains(": ")).then_some(value)
}

/// The name of a model in a folder of the hub's cache: `models--OWNER--NAME/snapshots/REVISION`.
fn name_in_cache(source: &Path) -> Option<String> {
    let folder = source.parent().filter(|it| it.ends_with("snapshots"))?;
    let name = folder.parent()?.file_name()?.to_str()?;
    let name = name.strip_prefix("models--")?.replacen("--", "/", 1);
    is_hub_name(&name).then_some(name)
}

/// The name that transformers wrote into `config.json` when it saved a model of the hub.
fn name_in_config(source: &Path) -> Option<String> {
    let text = fs_err::read_to_string(source.join("config.json")).ok()?;
    let json: Value = serde_json::from_str(&text).ok()?;
    let name = json.get("_name_or_path")?.as_str()?;
    is_hub_name(name).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_are_read_from_the_front_matter_only() {
        let card = "---\nlicense: llama2\nlicense_link: https://a.b/c\nlanguage:\n- en\n---\nlicense: mit\n";
        let front = front_matter(card);
        assert_eq!(scalar(&front, "license"), Some("llama2"));
        assert_eq!(scalar(&front, "license_link"), Some("https://a.b/c"));
        assert_eq!(scalar(&front, "license_name"), None);
        assert_eq!(scalar(&front, "language"), None, "a list");
        assert_eq!(scalar(&["license: [a]"], "license"), None);
        assert!(front_matter("license: mit\n").is_empty());
        assert!(front_matter("---\nlicense: mit\n").is_empty(), "not closed");
    }

    #[test]
    fn the_cache_of_the_hub_says_the_name() {
        let cached = Path::new("/c/models--o--m--x/snapshots/0123");
        assert_eq!(name_in_cache(cached).as_deref(), Some("o/m--x"));
        assert_eq!(name_in_cache(Path::new("/c/o/m")), None);
    }
}
