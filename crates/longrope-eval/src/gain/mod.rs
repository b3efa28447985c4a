//! Context gain: how much the text before the original window helps to predict the text after it.

mod config;
mod task;

pub use config::{FarText, GainBaseline, GainConfig, GainWindows, is_in_nats};
pub use task::Gain;
