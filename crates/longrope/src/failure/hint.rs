//! What is attached to errors: hints, one sentence each on how to fix them, and the stage of a recipe.

use std::fmt;
use std::path::PathBuf;

use longrope_extend::recipe::Verb;

/// How to fix an error. Attached with `context` and printed after the causes.
#[derive(Clone, Debug)]
pub(crate) struct Hint(pub(crate) String);

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The stage of a recipe that an error is about. Attached with `context`, and printed as a cause.
#[derive(Clone, Debug)]
pub(crate) struct InStage {
    /// The name of the stage.
    pub(crate) name: String,
    /// What it does.
    pub(crate) verb: Verb,
    /// Its folder, which may not be there yet.
    pub(crate) folder: PathBuf,
}

impl fmt::Display for InStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stage `{}`", self.name)
    }
}
