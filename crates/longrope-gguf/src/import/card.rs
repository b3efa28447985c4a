//! Where a model comes from, as its file says it.

use crate::format::{GgufFile, Metadata, Value};

/// Keys of a file, and those of the front matter of a model card.
const LICENCE: [(&str, &str); 3] = [
    ("general.license", "license"),
    ("general.license.name", "license_name"),
    ("general.license.link", "license_link"),
];

/// How the keys begin that name the models that a model was made from.
const BASE: &str = "general.base_model.";

/// How the address of a model on the hub begins.
const HUB: &str = "https://huggingface.co/";

/// The keys that say where the model in a file comes from: its name, its licence and the models it was made from. They are
/// true of a copy with another RoPE too.
pub fn origin_keys(file: &GgufFile) -> Metadata {
    let is_origin = |key: &str| {
        key == "general.name"
            || key.starts_with(BASE)
            || LICENCE.iter().any(|(in_file, _)| *in_file == key)
    };
    let entries = file.metadata().iter();
    let origin = entries.filter(|(key, _)| is_origin(key));
    origin.cloned().collect()
}

/// A model card with the licence of a model and the model of the hub that it was made from; `None` if the file says neither.
pub(super) fn text(file: &GgufFile) -> Option<String> {
    let licence = LICENCE.into_iter().filter_map(|(in_file, key)| {
        let value = line(file, in_file)?;
        Some(format!("{key}: {value}\n"))
    });
    let base = base(file).map(|name| format!("base_model: {name}\n"));
    let front: String = licence.chain(base).collect();
    (!front.is_empty()).then(|| format!("---\n{front}---\n"))
}

/// The name on the hub of the only model that this one was made from.
fn base(file: &GgufFile) -> Option<&str> {
    let several = file.get(&format!("{BASE}1.repo_url"));
    let url = line(file, &format!("{BASE}0.repo_url")).filter(|_| several.is_none())?;
    Some(url.strip_prefix(HUB)?.trim_end_matches('/'))
}

/// The value of a key, if it is a text in one line.
fn line<'a>(file: &'a GgufFile, key: &str) -> Option<&'a str> {
    let text = file.get(key).and_then(Value::as_str)?;
    let is_line = !text.is_empty() && !text.chars().any(char::is_control);
    is_line.then_some(text)
}
