//! Training runs on a tiny checkpoint: repeatable, and the same whether or not they were interrupted.
#![recursion_limit = "256"]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod curve;
mod run;
mod saved;
mod session;
mod support;
mod workers;
