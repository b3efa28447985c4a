//! Errors of recipes.

/// A recipe contradicts itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecipeError {
    /// Two stages have the same name.
    #[error("two stages have the name `{name}`")]
    SameName {
        /// The name.
        name: String,
    },
    /// A name cannot be part of the name of a folder.
    #[error("the name of stage {number} is {name:?}, expected a part of a folder's name")]
    BadName {
        /// The name.
        name: String,
        /// The number of the stage, from 1.
        number: usize,
    },
    /// A stage takes its model or factors from a stage that does not make them.
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
