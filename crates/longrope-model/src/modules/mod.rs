//! The parts of a decoder, as Burn modules.

pub(crate) mod attention;
pub(crate) mod block;
pub(crate) mod experts;
pub(crate) mod feed_forward;
mod grouped_attention;
pub(crate) mod head;
pub(crate) mod linear;
pub(crate) mod mlp;
pub(crate) mod norm;
pub(crate) mod weights;
