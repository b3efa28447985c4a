//! The closest RoPE that a runtime can take.
//!
//! A runtime that takes no factors may take YaRN, another base or linear interpolation, each a [`Form`] with a few numbers.
//! [`fit`] chooses the numbers so that the frequencies come close to those of a [`Goal`], and [`neighbours`] varies them, for
//! a choice by loss. What the runtime makes of a form is asked of a function that is handed in, so that nothing is fitted
//! to angles that it would not compute.

mod fit;
mod form;
mod goal;

pub use fit::{Aim, Fit, Takes, fit, fits, neighbours};
pub use form::Form;
pub use goal::{Goal, computes_the_same};

#[cfg(test)]
mod tests;
