//! The two spellings of a rope section, and the keys beside it.

/// The spelling of transformers 4 or 5. They differ in which number wins when two disagree.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    V4,
    V5,
}

/// The keys at the top level of a config that concern its rope.
pub(super) struct Top {
    pub(super) is_phi3: bool,
    pub(super) max_context: usize,
    pub(super) original_context: Option<usize>,
    pub(super) head_dim: usize,
    pub(super) theta: Option<f64>,
    pub(super) partial: Option<f64>,
}
