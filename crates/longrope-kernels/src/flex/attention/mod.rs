//! Attention in tiles that stay in cache.
//!
//! A task is a block of query rows of all the heads that share one key head: their rows form one
//! matrix, so a tile of keys is read once for the whole group. Tasks are many even for one head,
//! which therefore keeps all cores busy.

mod backward;
mod block;
mod forward;
mod tiles;

pub(super) use backward::attention_backward;
pub(super) use forward::attention;
