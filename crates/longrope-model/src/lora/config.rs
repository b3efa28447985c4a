//! Settings of low-rank adapters, with the names and meanings of PEFT.

use super::error::LoraError;
use crate::config::ModelConfig;
use crate::config::module_names::{
    EMBEDDING, HEAD, SavedModules, last_part, module_of, modules, short_names,
};

/// Rank, strength and modules of adapters.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoraConfig {
    /// Rank of each correction.
    pub rank: usize,
    /// Strength of the correction, times the rank.
    pub alpha: f64,
    /// Names of the linear maps that get an adapter, such as `q_proj`.
    pub target_modules: Vec<String>,
    /// Names of modules that are trained as a whole beside the adapters, such as `embed_tokens`. A name stands for all
    /// modules whose full name ends with it, so `norm` is every normalization.
    pub modules_to_save: Vec<String>,
}

impl LoraConfig {
    /// The factor of the low-rank product, `alpha / rank`.
    pub fn scale(&self) -> f64 {
        self.alpha / self.rank as f64
    }

    /// Number of parameters that are trained: both factors of every adapter, and the modules to save.
    ///
    /// # Errors
    /// If a module to save does not exist or has an adapter.
    pub fn n_parameters(&self, model: &ModelConfig) -> Result<usize, LoraError> {
        let saved = self.saved_modules(model)?;
        let counts = model.tensors().into_iter().map(|(name, shape)| {
            let module = module_of(&name);
            if saved.contain(module) {
                return shape.iter().copied().fold(1, usize::saturating_mul);
            }
            match shape.as_slice() {
                [out, width] if self.targets(module) => {
                    self.rank.saturating_mul(out.saturating_add(*width))
                }
                _ => 0,
            }
        });
        Ok(counts.fold(0, usize::saturating_add))
    }

    /// Whether the linear map of this module gets an adapter.
    pub(crate) fn targets(&self, module: &str) -> bool {
        let name = last_part(module);
        module.contains(".layers.") && self.target_modules.iter().any(|target| target == name)
    }

    /// The modules that the modules to save stand for in a model.
    ///
    /// # Errors
    /// If a name stands for no module, or for one that gets an adapter.
    pub(crate) fn saved_modules(&self, model: &ModelConfig) -> Result<SavedModules, LoraError> {
        let modules = modules(model);
        let mut saved = Vec::new();
        for name in &self.modules_to_save {
            let is_meant = |module: &str| !name.is_empty() && module.ends_with(name.as_str());
            let before = saved.len();
            saved.extend(modules.iter().filter(|module| is_meant(module)).cloned());
            // A tied head is the embedding matrix.
            if model.tied_embeddings && is_meant(HEAD) {
                saved.push(EMBEDDING.to_owned());
            }
            if saved.len() == before {
                return Err(LoraError::UnknownSaved {
                    name: name.clone(),
                    known: short_names(&modules),
                });
            }
        }
        match saved.iter().find(|module| self.targets(module)) {
            None => Ok(SavedModules::new(saved)),
            Some(module) => Err(LoraError::AdapterAndSaved {
                module: module.clone(),
            }),
        }
    }
}
