//! The parameters of a decoder by name, and which of them are trained.

mod parameter;
mod selection;
mod slot;
mod visit;

pub use parameter::{Parameter, ParameterKind, Trained};
pub use selection::Selection;
pub(crate) use visit::{linears_mut, visit_embedding, visit_head, visit_layer};
