//! Names of modules: a module is everything that a parameter's name has before `.weight` or `.bias`.

use std::sync::Arc;

use super::ModelConfig;

/// Module of the embedding matrix.
pub(crate) const EMBEDDING: &str = "model.embed_tokens";
/// The embedding matrix.
pub(crate) const EMBEDDING_WEIGHT: &str = "model.embed_tokens.weight";
/// Module of the output head.
pub(crate) const HEAD: &str = "lm_head";
/// The matrix of the output head.
pub(crate) const HEAD_WEIGHT: &str = "lm_head.weight";

/// Full names of modules that are trained as a whole beside adapters.
#[derive(Clone, Debug, Default)]
pub(crate) struct SavedModules(Arc<[String]>);

impl SavedModules {
    pub(crate) fn new(mut modules: Vec<String>) -> Self {
        modules.sort();
        modules.dedup();
        Self(modules.into())
    }

    /// Whether a module is among them.
    pub(crate) fn contain(&self, module: &str) -> bool {
        self.0.iter().any(|saved| saved == module)
    }

    /// Whether the parameter with this name belongs to one of them.
    pub(crate) fn hold(&self, parameter: &str) -> bool {
        self.contain(module_of(parameter))
    }
}

/// Short names of the linear maps of the attention of a model, which get adapters by default.
pub fn attention_maps(model: &ModelConfig) -> Vec<&'static str> {
    let maps = model.attention_maps().into_iter();
    maps.map(|map| last_part(map.name)).collect()
}

/// Full name of a module, or another tensor, of a layer.
pub(crate) fn layer_module(layer_idx: usize, name: &str) -> String {
    format!("model.layers.{layer_idx}.{name}")
}

/// The layer of a parameter, by its full name; `None` for those outside the layers.
pub(crate) fn layer_of(parameter: &str) -> Option<usize> {
    let (layer_idx, _) = parameter.strip_prefix("model.layers.")?.split_once('.')?;
    layer_idx.parse().ok()
}

/// Full names of the modules of a model, in the order of computation.
pub(crate) fn modules(model: &ModelConfig) -> Vec<String> {
    let tensors = model.tensors();
    let names = tensors.iter().map(|(name, _)| module_of(name).to_owned());
    let mut modules: Vec<String> = names.collect();
    // The weight and the bias of a map are neighbours.
    modules.dedup();
    modules
}

/// The last parts of full names, without repetitions.
pub(crate) fn short_names(modules: &[String]) -> Vec<String> {
    let mut short: Vec<String> = Vec::new();
    for name in modules.iter().map(|module| last_part(module)) {
        if !short.iter().any(|known| known == name) {
            short.push(name.to_owned());
        }
    }
    short
}

/// The module of a parameter.
pub(crate) fn module_of(parameter: &str) -> &str {
    parameter
        .rsplit_once('.')
        .map_or(parameter, |(module, _)| module)
}

/// The last part of a full name, such as `q_proj`.
pub(crate) fn last_part(module: &str) -> &str {
    module.rsplit('.').next().unwrap_or(module)
}
