//! Recipes that cannot be run.

/// A recipe that cannot be run as it is written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecipeError {
    /// Two stages would share a folder.
    #[error("two stages have the name `{name}`")]
    SameName {
        /// The name.
        name: String,
    },
    /// A stage names one that does not make what it takes.
    #[error("stage `{stage}`: `{from}` is not an earlier stage that makes {what}")]
    NoSource {
        /// The stage.
        stage: String,
        /// The stage it names.
        from: String,
        /// What it takes from there.
        what: &'static str,
    },
}
