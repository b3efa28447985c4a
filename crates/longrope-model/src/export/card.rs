//! The model card of an export: `README.md` with plain facts.

use std::fmt::Write;
use std::path::Path;

use longrope_rope::RopeSpec;
use serde_json::Value;

use super::card_text::{rope_facts, serving};
use super::front_matter::{block, front_matter, scalar};
use crate::config::ModelConfig;
use crate::hub_name::{is_hub_name, name_in_hub_cache};

pub(super) const CARD_FILE: &str = "README.md";

/// Keys of a card's front matter that are taken over.
const LICENCE_KEYS: [&str; 3] = ["license", "license_name", "license_link"];
const OTHER_KEYS: [&str; 2] = ["language", "tags"];
const PIPELINE: &str = "pipeline_tag";

/// What a card is about.
#[derive(Clone, Copy)]
pub(super) struct CardFacts<'a> {
    /// Folder of the model that was exported.
    pub(super) source: &'a Path,
    /// Its name on the hub, if it is known.
    pub(super) hub_name: Option<&'a str>,
    /// Its configuration.
    pub(super) model: &'a ModelConfig,
    /// The RoPE of the export.
    pub(super) spec: &'a RopeSpec,
    /// Context window of the export, tokens.
    pub(super) target_context: usize,
    /// The `config.json` of the export.
    pub(super) config: &'a str,
    /// Markdown after the facts.
    pub(super) notes: &'a str,
}

/// The card of an export with another RoPE.
pub(super) fn text(facts: CardFacts<'_>) -> String {
    let CardFacts {
        source,
        hub_name,
        model,
        spec,
        target_context,
        config,
        notes,
    } = facts;
    let card = fs_err::read_to_string(source.join(CARD_FILE)).unwrap_or_default();
    let front = front_matter(&card);
    let base = base_name(source, hub_name, &front);
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
    for key in OTHER_KEYS {
        block(&front, key).into_iter().for_each(&mut line);
    }
    line("library_name: transformers".to_owned());
    let pipeline = scalar(&front, PIPELINE).unwrap_or("text-generation");
    line(format!("{PIPELINE}: {pipeline}"));
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
        model.rope.original_context
    ));
    line(format!("- Context: {target_context} tokens"));
    line(format!("- Parameters: {}", model.n_parameters()));
    rope_facts(spec, target_context)
        .into_iter()
        .for_each(&mut line);
    if !notes.trim().is_empty() {
        line(format!("\n{}", notes.trim()));
    }
    line(format!(
        "\n{}",
        serving(model, spec, target_context, config)
    ));
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
        .or_else(|| name_in_hub_cache(source).map(|(name, _)| name))
        .or_else(|| name_in_config(source))
        .or_else(|| {
            scalar(front, "base_model")
                .filter(|name| is_hub_name(name))
                .map(str::to_owned)
        })
}

/// The name that transformers wrote into `config.json` when it saved a model of the hub.
fn name_in_config(source: &Path) -> Option<String> {
    let text = fs_err::read_to_string(source.join("config.json")).ok()?;
    let json: Value = serde_json::from_str(&text).ok()?;
    let name = json.get("_name_or_path")?.as_str()?;
    is_hub_name(name).then(|| name.to_owned())
}
