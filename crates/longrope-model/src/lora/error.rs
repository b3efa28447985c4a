//! What can be wrong with low-rank adapters.

use std::path::PathBuf;

/// Why adapters do not fit a model, or a folder of adapters cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LoraError {
    /// The rank is 0.
    #[error("the rank is 0, expected at least 1")]
    ZeroRank,
    /// A target module that the model does not have.
    #[error("target module `{target}` is not in this model, expected one of {}", known.join(", "))]
    UnknownTarget {
        /// The name given.
        target: String,
        /// The names of the model's linear maps.
        known: Vec<String>,
    },
    /// No module would be trained.
    #[error("no target module is given, expected at least one of {}", known.join(", "))]
    NoTarget {
        /// The names of the model's linear maps.
        known: Vec<String>,
    },
    /// A module to save that the model does not have.
    #[error("module to save `{name}` is not in this model, expected one of {}", known.join(", "))]
    UnknownSaved {
        /// The name given.
        name: String,
        /// The names of the model's modules.
        known: Vec<String>,
    },
    /// A module would get an adapter and be trained as a whole.
    #[error("`{module}` is a target module and a module to save, expected only one of them")]
    AdapterAndSaved {
        /// The module.
        module: String,
    },
    /// The head of a folder differs from the embeddings, but the model has one matrix for both.
    #[error("`{}`: the trained embeddings and the head differ, but this model ties them", path.display())]
    TiedHead {
        /// The weight file.
        path: PathBuf,
    },
    /// The adapters are of another kind.
    #[error("`{}`: peft_type is {found}, expected \"LORA\"", path.display())]
    PeftType {
        /// The adapter configuration.
        path: PathBuf,
        /// The value of `peft_type`, as JSON.
        found: String,
    },
    /// The adapter configuration switches on something that is not supported.
    #[error("`{}`: `{key}` is not supported", path.display())]
    UnsupportedKey {
        /// The adapter configuration.
        path: PathBuf,
        /// The key that is not off.
        key: &'static str,
    },
    /// A key of the adapter configuration is missing or has the wrong type.
    #[error("`{}`: `{key}` is not {expected}", path.display())]
    ConfigKey {
        /// The adapter configuration.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// What it has to be.
        expected: &'static str,
    },
    /// A stored factor is missing or has another shape than the model needs.
    #[error("`{key}` has shape {found:?}, expected {expected:?}")]
    Shape {
        /// Name of the tensor in the file.
        key: String,
        /// The stored shape, if the tensor is there.
        found: Option<Vec<usize>>,
        /// The shape that fits the model.
        expected: Vec<usize>,
    },
    /// The file holds tensors that belong to no map of the model.
    #[error("`{}` holds {found} tensors, but the model has a place for {used} of them only", path.display())]
    UnusedTensors {
        /// The weight file.
        path: PathBuf,
        /// Tensors in the file.
        found: usize,
        /// Tensors that fit the model.
        used: usize,
    },
}
