//! Hugging Face configs.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test fails by panicking, and what is written comes back"
)]

mod errors;
mod experts;
mod families;
mod golden;
mod keys;
mod read;
mod support;
mod write;
