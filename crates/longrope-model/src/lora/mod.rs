//! Low-rank adapters: their settings, the adapters of a decoder, and their files.

mod adapters;
mod config;
mod error;
mod files;

pub use config::LoraConfig;
pub use error::LoraError;
