//! Differences between two results on the same windows or trials.
//!
//! Most of the spread between windows is the spread of the text, which both results share. A difference of two results
//! whose intervals overlap can therefore be certain. What is computed here is the uncertainty of the difference itself.
//!
//! | method | scores | uncertainty |
//! |---|---|---|
//! | [`WindowsT`](PairedMethod::WindowsT) | losses of independent windows | spread between windows, Student's t |
//! | [`DocumentsT`](PairedMethod::DocumentsT) | losses of windows of many documents | spread between documents, Student's t |
//! | [`WindowBlocks`](PairedMethod::WindowBlocks) | losses of windows that overlap, or of few documents | moving-block bootstrap |
//! | [`McNemar`](PairedMethod::McNemar) | trials that are right or wrong | exact test, interval of Bonett and Price |
//! | [`TrialsT`](PairedMethod::TrialsT) | trials with other scores | spread between trials, Student's t |
//!
//! Differences that are all the same have no spread to compute an uncertainty from. [`interval_of_shares`] says what
//! holds for shares. Other numbers have no interval then, unless every difference is 0, because both results are the
//! same.

mod add;
mod difference;
mod gains;
mod quantiles;
mod shares;
mod trials;
mod windows;

pub use add::{add_task_differences, add_window_differences};
pub use difference::{Difference, PairedMethod, Unpaired};
pub use gains::add_gain_intervals;
pub use quantiles::t_95;
pub use shares::interval_of_shares;
pub use trials::{metric_difference, paired_scores, task_difference};
pub use windows::window_difference;

#[cfg(test)]
mod tests;
