#![doc = include_str!("../README.md")]

mod axis;
mod colors;
mod error;
mod heat;
mod lines;

pub use error::{Error, Result};
pub use heat::{HeatMap, heat_map};
pub use lines::{
    Series, factor_curve, gain_by_context, loss_by_step, loss_history, perplexity_by_context,
    share_by_context,
};
