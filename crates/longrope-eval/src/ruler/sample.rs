//! A sample of a task.

/// A prompt, and the answers that its continuation should contain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) prompt: String,
    pub(super) answers: Vec<String>,
}
