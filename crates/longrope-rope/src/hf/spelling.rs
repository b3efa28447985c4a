//! The two spellings of a rope section, and what stands outside of it.

/// The spelling of transformers 4 or 5; they differ in who wins when numbers disagree.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    V4,
    V5,
}

/// What the top level of a config says.
pub(super) struct Top {
    pub(super) is_phi3: bool,
    pub(super) max_context: usize,
    pub(super) original_context: Option<usize>,
    pub(super) head_dim: usize,
    pub(super) theta: Option<f64>,
    pub(super) partial: Option<f64>,
}
