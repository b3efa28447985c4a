//! Stages that are in the folder of the run, but at another place than in the recipe.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::error::RecipeError;
use super::plan::{DONE_FILE, SETTINGS_FILE, Verb, stage_name};
use crate::json_files::read_json;

/// A stage of the recipe.
pub(super) struct Wanted<'a> {
    pub(super) name: &'a str,
    pub(super) verb: Verb,
    pub(super) folder: &'a Path,
}

/// The part of a `done.json` that tells whether it is of the same stage.
#[derive(Deserialize)]
struct Done {
    verb: Verb,
}

/// Refuses stages that would begin anew although they have begun in a folder with another number, as after a stage was put
/// before them.
///
/// # Errors
/// [`RecipeError::OtherPlace`].
pub(super) fn check_places(stages: &[Wanted<'_>]) -> Result<(), RecipeError> {
    let new = stages.iter().filter(|stage| !stage.folder.is_dir());
    let moves: Vec<(PathBuf, PathBuf)> = new
        .filter_map(|stage| Some((place_of(stage)?, stage.folder.to_owned())))
        .collect();
    if moves.is_empty() {
        return Ok(());
    }
    Err(RecipeError::OtherPlace { moves })
}

/// The folder in which a stage has begun, if its number is another one; the first if there are several.
fn place_of(stage: &Wanted<'_>) -> Option<PathBuf> {
    let entries = fs_err::read_dir(stage.folder.parent()?).ok()?.flatten();
    let places = entries.filter(|entry| {
        let name = entry.file_name();
        let name = name.to_str().and_then(stage_name);
        name == Some(stage.name) && is_of(&entry.path(), stage.verb)
    });
    places.map(|entry| entry.path()).min()
}

/// Whether a stage of this verb may have begun in a folder. Only a stage that is done says its verb.
fn is_of(folder: &Path, verb: Verb) -> bool {
    let done: Option<Done> = read_json(&folder.join(DONE_FILE)).ok();
    done.map_or_else(
        || folder.join(SETTINGS_FILE).is_file(),
        |done| done.verb == verb,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_that_is_there_under_another_number_is_found() {
        let run = tempfile::tempdir().unwrap();
        let path = |name: &str| run.path().join(name);
        let begin = |folder: &str, file: &str, text: &str| {
            fs_err::create_dir_all(path(folder)).unwrap();
            fs_err::write(path(folder).join(file), text).unwrap();
        };
        let check = |name: &str, verb: Verb, folder: &str| {
            let folder = path(folder);
            check_places(&[Wanted {
                name,
                verb,
                folder: &folder,
            }])
        };
        begin("01-a", SETTINGS_FILE, "");
        let moves = vec![(path("01-a"), path("02-a"))];
        let error = check("a", Verb::Ppl, "02-a").unwrap_err();
        assert_eq!(error, RecipeError::OtherPlace { moves });
        // It is where it belongs.
        check("a", Verb::Ppl, "01-a").unwrap();
        // Other stages, and folders that are of none.
        check("b", Verb::Ppl, "02-b").unwrap();
        check("1-a", Verb::Ppl, "02-1-a").unwrap();
        fs_err::create_dir(path("03-c")).unwrap();
        check("c", Verb::Ppl, "02-c").unwrap();
        // A stage that is done says what it is.
        begin("01-d", DONE_FILE, r#"{"verb": "ppl"}"#);
        assert!(check("d", Verb::Ppl, "02-d").is_err());
        check("d", Verb::Compare, "02-d").unwrap();
        // It has begun at its new place, too.
        begin("02-d", SETTINGS_FILE, "");
        check("d", Verb::Ppl, "02-d").unwrap();
    }
}
