//! What goes through the model at once in a training.

use std::sync::Arc;

use longrope_model::{Rotary, Teacher, TrainingBatch};

/// Sequences that go through the model at once, and their RoPE.
#[derive(Clone, Debug)]
pub struct MicroBatch {
    /// The sequences, all of the same length.
    pub batch: TrainingBatch,
    /// Angles of every position of a sequence.
    pub rotary: Rotary,
    /// The original model, if its hidden states are trained instead of the text.
    pub teacher: Option<Arc<Teacher>>,
}
