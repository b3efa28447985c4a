//! What the decoder computes and which inputs it rejects, on tiny checkpoints made by transformers.
#![recursion_limit = "256"]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod broken;
mod distillation;
mod experts;
mod export;
mod export_nested;
mod families;
mod generation;
mod golden;
mod init;
mod logits;
mod metamorphic;
mod placement;
mod positions;
mod precision;
mod saved_modules;
mod shards;
mod support;
mod training;
