//! Every operation against its definition in `f64`: values and gradients.
#![recursion_limit = "256"]

mod attention;
mod elementwise;
mod linear;
mod loss;
mod recompute;
mod support;
