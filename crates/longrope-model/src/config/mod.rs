//! The configuration of a model: its sizes, its tensors and their names.

mod file;
mod model;
pub(crate) mod module_names;
pub(crate) mod tensors;

pub use file::read_config_json;
pub use model::ModelConfig;
pub use module_names::attention_maps;
