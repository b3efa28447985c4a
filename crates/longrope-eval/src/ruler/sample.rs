//! A sample of a task.

/// A prompt and what its continuation should hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) prompt: String,
    pub(super) answers: Vec<String>,
}
