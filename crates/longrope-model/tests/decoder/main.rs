//! What the decoder computes and what it refuses, on tiny checkpoints made by transformers.
#![recursion_limit = "256"]

mod broken;
mod export;
mod golden;
mod metamorphic;
mod support;
