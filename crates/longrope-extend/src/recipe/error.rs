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
    /// Stages have begun in folders with other numbers than they have in the recipe.
    #[error("{}", places(.moves))]
    OtherPlace {
        /// The folder of each of these stages, and the one that the recipe has for it.
        moves: Vec<(PathBuf, PathBuf)>,
    },
    /// A stage is done, but the model of the recipe is another one now.
    #[error("stage `{stage}` is done, but not with the model that is in `{}` now", .model.display())]
    OtherModel {
        /// The stage.
        stage: String,
        /// The model.
        model: PathBuf,
        /// The folders of this stage and of those that depend on it or on other inputs that have changed.
        folders: Vec<PathBuf>,
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

/// The first of some folders that are at another place, and the number of the others.
fn places(moves: &[(PathBuf, PathBuf)]) -> String {
    let Some((from, to)) = moves.first() else {
        return String::new();
    };
    let (from, to) = (from.display(), to.display());
    let others = match moves.len() - 1 {
        0 => String::new(),
        1 => ", and another stage has another number too".to_owned(),
        n => format!(", and {n} other stages have other numbers too"),
    };
    format!("`{from}` holds the stage that the recipe has in `{to}` now{others}")
}
