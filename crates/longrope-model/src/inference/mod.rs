//! What a model computes without training: logits, losses and text.

mod finite;
mod generate;
mod logits;
mod nll;
mod sampling;
mod stop_tokens;

pub use finite::check_losses;
pub use generate::{FIRST_CAPACITY, FactorChoice, GenerateOptions, Generation};
pub use nll::TokenBatch;
pub use sampling::Sampling;
pub use stop_tokens::stop_tokens;
pub(crate) use stop_tokens::{GENERATION_CONFIG, read_generation_config};
