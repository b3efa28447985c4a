//! What an export is of: a model, or the folder of a run, which has a model and a RoPE.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use longrope_extend::{RunFolder, RunKind};
use toml::Table;

use crate::failure::Hint;
use crate::settings::path_text::{from_text, to_text};
use crate::settings::recipe::stage_folders;
use crate::settings::saved::saved_text;

/// A model, a RoPE, and the run that they come from.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Source {
    /// The model: a folder, a GGUF file or a name on the hub.
    pub(super) model: PathBuf,
    /// The RoPE, as in `--rope`, a path in its text form.
    pub(super) rope: String,
    /// The folder of the run.
    pub(super) run: Option<PathBuf>,
}

/// The settings of a run, and of one of a recipe.
const SETTINGS: &str = "config.toml";
const RECIPE: &str = "recipe.toml";

/// The RoPE of a model that is taken as it is.
const OWN: &str = "checkpoint";

/// What `MODEL` and `--rope` name. For the folder of a run, the model is the one that was searched or trained in it, and the
/// RoPE the one that was found, unless `--rope` is given.
///
/// # Errors
/// If a model has no `--rope`, or a run has no model or no RoPE yet.
pub(super) fn source(model: &Path, rope: Option<&str>) -> Result<Source> {
    let Some(found) = of_run(model)? else {
        let rope = rope.ok_or_else(|| {
            anyhow!("`--rope` is missing").context(Hint(
                "for example --rope yarn --target N, or the rope.json of a search; the folder of a run has its own"
                    .to_owned(),
            ))
        })?;
        return Ok(Source {
            model: model.to_owned(),
            rope: rope.to_owned(),
            run: run_of(rope),
        });
    };
    Ok(match rope {
        // What was measured in the run is of another RoPE.
        Some(rope) => Source {
            model: found.model,
            rope: rope.to_owned(),
            run: run_of(rope),
        },
        None => found,
    })
}

/// The run that a RoPE was found in, if it is a file of one.
pub(super) fn run_of(rope: &str) -> Option<PathBuf> {
    let file = from_text(PathBuf::from(rope));
    let folder = match file.parent()? {
        // A file in the working directory; else it is the name of a method.
        here if here.as_os_str().is_empty() && file.is_file() => Path::new("."),
        here if here.as_os_str().is_empty() => return None,
        folder => folder,
    };
    let is_run = kind(folder).is_ok_and(|kind| kind.is_some());
    is_run.then(|| folder.to_owned())
}

/// The kind of a run; `None` for other folders, those of models among them.
fn kind(folder: &Path) -> Result<Option<RunKind>> {
    if !folder.is_dir() || folder.join("config.json").is_file() {
        return Ok(None);
    }
    for kind in [
        RunKind::Search,
        RunKind::Recover,
        RunKind::Finetune,
        RunKind::Pretrain,
        RunKind::Extend,
    ] {
        if RunFolder::holds(folder, kind)? {
            return Ok(Some(kind));
        }
    }
    Ok(None)
}

/// The model and the RoPE of the run in a folder; `None` if there is none.
fn of_run(folder: &Path) -> Result<Option<Source>> {
    let (model, rope) = match kind(folder)? {
        None => return Ok(None),
        Some(RunKind::Search | RunKind::Recover) => {
            let model = configured(folder)?;
            (model, Some(folder.join("rope.json")))
        }
        Some(RunKind::Extend) => of_recipe(folder)?,
        Some(_) => (folder.join("model"), None),
    };
    let hint = "end it with --resume first, or give a model and --rope";
    if model.starts_with(folder) && !model.join("config.json").is_file() {
        return Err(unfinished(folder, &model, hint));
    }
    if let Some(rope) = rope.as_deref().filter(|rope| !rope.is_file()) {
        return Err(unfinished(folder, rope, hint));
    }
    Ok(Some(Source {
        model,
        rope: rope.map_or(OWN.to_owned(), |rope| to_text(&rope)),
        run: Some(folder.to_owned()),
    }))
}

/// The error of a run that has not made a file or folder yet.
pub(super) fn unfinished(run: &Path, lacks: &Path, hint: &str) -> anyhow::Error {
    anyhow!(
        "the run in `{}` has no `{}` yet",
        run.display(),
        lacks.display()
    )
    .context(Hint(hint.to_owned()))
}

/// The last model of a recipe and, if it was found later, its last RoPE. A trained model has the RoPE of its training.
/// Folders of stages that the recipe does not have any more do not count.
fn of_recipe(folder: &Path) -> Result<(PathBuf, Option<PathBuf>)> {
    let recipe = table(folder, RECIPE)?;
    let mut model = model_in(&recipe, &folder.join(RECIPE))?;
    let mut rope = None;
    for stage in stage_folders(&recipe) {
        let stage = folder.join(stage);
        if stage.join("model/config.json").is_file() {
            (model, rope) = (stage.join("model"), None);
        } else if stage.join("rope.json").is_file() {
            rope = Some(stage.join("rope.json"));
        }
    }
    Ok((model, rope))
}

/// The model in the settings of a run.
pub(super) fn configured(run: &Path) -> Result<PathBuf> {
    model_in(&table(run, SETTINGS)?, &run.join(SETTINGS))
}

fn table(run: &Path, name: &str) -> Result<Table> {
    let text = saved_text(run, name)?;
    text.parse()
        .with_context(|| format!("reading `{}`", run.join(name).display()))
}

fn model_in(table: &Table, settings: &Path) -> Result<PathBuf> {
    let model = table.get("model").and_then(toml::Value::as_str);
    let model = model.ok_or_else(|| {
        anyhow!("`{}` names no model", settings.display()).context(Hint(
            "give the model and --rope instead of the run".to_owned(),
        ))
    })?;
    Ok(from_text(model.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        }
        folder
    }

    #[test]
    fn a_recipe_has_the_last_model_and_a_rope_found_after_it() {
        const RECIPE: &str = "model = 'base'\nstage = [{ verb = 'search' }, { verb = 'finetune' }, { verb = 'recover' }]\n";
        let mut files = vec![
            ("recipe.toml", RECIPE),
            ("01-search/stage.toml", ""),
            ("01-search/rope.json", "{}"),
        ];
        let of = |files: &[(&str, &str)]| {
            let run = folder(files);
            let found = source(run.path(), None).unwrap();
            let inside = |path: &Path| {
                let path = path.strip_prefix(run.path()).unwrap_or(path);
                path.display().to_string()
            };
            (inside(&found.model), inside(Path::new(&found.rope)))
        };
        assert_eq!(
            of(&files),
            ("base".to_owned(), "01-search/rope.json".to_owned())
        );
        files.push(("02-finetune/stage.toml", ""));
        files.push(("02-finetune/model/config.json", "{}"));
        let trained = "02-finetune/model".to_owned();
        assert_eq!(of(&files), (trained.clone(), "checkpoint".to_owned()));
        files.push(("03-recover/stage.toml", ""));
        files.push(("03-recover/rope.json", "{}"));
        let all = (trained, "03-recover/rope.json".to_owned());
        assert_eq!(of(&files), all);
        // Left by an earlier version of the recipe.
        files.push(("04-again/stage.toml", ""));
        files.push(("04-again/model/config.json", "{}"));
        assert_eq!(of(&files), all);
    }

    #[test]
    fn a_given_rope_is_taken_instead_of_that_of_the_run() {
        let run = folder(&[
            ("config.toml", "model = \"base\"\n"),
            ("search/state.json", "{}"),
            ("rope.json", "{}"),
        ]);
        let found = source(run.path(), Some("yarn")).unwrap();
        assert_eq!(
            (found.model, found.rope),
            ("base".into(), "yarn".to_owned())
        );
        assert_eq!(found.run, None, "its measurements are of another RoPE");
        let rope = run.path().join("rope.json").display().to_string();
        assert_eq!(source(run.path(), None).unwrap().rope, rope);
        let of_rope = source(Path::new("m"), Some(&rope)).unwrap();
        assert_eq!(of_rope.run.as_deref(), Some(run.path()));
        assert_eq!(source(Path::new("m"), Some("yarn")).unwrap().run, None);
        assert!(source(Path::new("m"), None).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_run_may_have_a_name_that_is_not_utf8() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;

        let here = folder(&[
            ("run/config.toml", "model = \"base\"\n"),
            ("run/search/state.json", "{}"),
            ("run/rope.json", "{}"),
        ]);
        let run = here.path().join(OsStr::from_bytes(b"caf\xe9"));
        fs_err::rename(here.path().join("run"), &run).unwrap();
        let found = source(&run, None).unwrap();
        let rope = from_text(PathBuf::from(&found.rope));
        assert_eq!(rope, run.join("rope.json"));
        assert_eq!(run_of(&found.rope), Some(run));
    }
}
