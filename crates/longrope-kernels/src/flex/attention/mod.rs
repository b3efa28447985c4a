//! Attention in tiles that stay in cache.
//!
//! A task is a block of queries of all the heads that share one key head. Their rows form one matrix, so a tile of keys
//! is read once for the whole group. Even a single head is split into many tasks, which keeps all cores busy.

mod backward;
mod block;
mod forward;
mod sinks;
mod tiles;

pub(super) use backward::attention_backward;
pub(super) use forward::attention;
pub(super) use sinks::sinks_backward;
