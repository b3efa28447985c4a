//! What a model becomes: its architecture in llama.cpp, its keys, its tensors.

mod architecture;
mod computed;
mod keys;
mod names;
mod rope;
mod shape;

pub use architecture::Architecture;
pub use keys::model_keys;
pub use names::{MappedTensor, map_tensors};
pub(crate) use names::{is_rope_tensor, name_in_file};
pub use rope::{RopeFactors, RopeKeys, Sets, YarnKeys, rope_keys, rope_tensors};
pub use shape::ModelShape;
