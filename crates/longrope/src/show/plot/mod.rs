//! The figures of a run folder, as SVG text.
//!
//! Values that cannot be drawn (NaN, infinite, not positive on a logarithmic axis) are left out and break their line. No
//! input makes a figure fail.

mod axis;
mod colors;
mod heat;
mod lines;

pub(crate) use heat::{Heat, heat_map};
pub(crate) use lines::{
    Series, factor_curve, loss_by_step, loss_history, perplexity_by_context, share_by_context,
};
