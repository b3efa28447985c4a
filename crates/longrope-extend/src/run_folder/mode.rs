//! Whether a run is begun or continued.

/// Whether a run is begun or continued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunMode {
    /// It is begun. The folder must not hold a run.
    New,
    /// It is continued. The folder must hold a run of this kind.
    Resume,
    /// It is part of a larger run, such as a stage of a recipe: continued if it has begun.
    Part,
}

impl RunMode {
    /// The mode of a verb with or without `--resume`.
    pub fn from_flag(resume: bool) -> Self {
        if resume { Self::Resume } else { Self::New }
    }
}
