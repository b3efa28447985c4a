//! Errors of recipes.

use std::path::PathBuf;

/// A recipe contradicts itself, or what its folder holds.
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
    /// A stage has the name that stands for the recipe's own model.
    #[error(
        "the name of stage {number} is `base`, which stands for the recipe's own model in `model-from` and `rope-from`"
    )]
    NamedBase {
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
    /// A stage is done, but with another verb.
    #[error("`{}` holds stage `{stage}` with the verb `{found}`, expected `{expected}`", .folder.display())]
    OtherVerb {
        /// The stage.
        stage: String,
        /// Its folder.
        folder: PathBuf,
        /// What was done.
        found: &'static str,
        /// What the recipe says.
        expected: &'static str,
    },
    /// A stage is done, but what it was made from has been made again since, and is another one.
    #[error("stage `{stage}` is done, but not with the `{}` that is there now", .input.display())]
    OtherInput {
        /// The stage.
        stage: String,
        /// What it was made from.
        input: PathBuf,
        /// The folders of this stage and of those that depend on it or on other inputs that have changed.
        folders: Vec<PathBuf>,
    },
}
