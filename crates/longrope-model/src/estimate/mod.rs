//! Estimates of memory and time for evaluation and training: formulas with measured constants.
//!
//! All formulas are for windows with `n` tokens in all. `h` is the width of the residual stream, `q` the
//! width of all query heads, `k` the width of all key heads, `i` the width of the MLP, `v` the size of the vocabulary,
//! and `P` the number of parameters. A token counts `i` once for each expert that it uses, and moves `m` vectors of width
//! `h` to its experts and back; `m` is 0 in layers without experts.
//!
//! The constants were fitted to the allocations of this program on CPUs, for models of several shapes. GPUs were not
//! measured: their drivers and memory pools take more.

mod evaluation;
mod memory;
mod sizes;
mod time;
mod training;

pub use evaluation::{
    EVAL_ALLOCATOR_OVERHEAD, EVAL_PROGRAM_BYTES, Held, eval_memories, eval_memory, generate_memory,
};
pub use memory::Memory;
pub use time::{STEP_FORWARDS, forward_flops};
pub use training::{
    ALLOCATOR_OVERHEAD, TRAIN_PROGRAM_BYTES, TrainedParameters, Training, adapter_parameters,
    train_memories, train_memory,
};
