//! What the command line adds to a recipe. A run keeps it, for `--resume`.

use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::args;
use super::path_text::{from_text, to_text};
use crate::failure::Hint;

/// `MODEL`, `--set` and `--device`. They override keys of the recipe.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RecipeArguments {
    /// The model, as text.
    model: Option<String>,
    pub(super) set: Vec<String>,
    pub(super) device: Vec<String>,
}

impl RecipeArguments {
    /// Those of the command line.
    pub(crate) fn of(args: &args::Extend) -> Self {
        Self {
            model: args.model.path().map(to_text),
            set: args.set.clone(),
            device: args.device.clone(),
        }
    }

    /// Those that a run was begun with, out of `fixed` in its `run.json`; `None` if it does not say.
    ///
    /// # Errors
    /// If they cannot be read.
    pub(crate) fn of_run(fixed: Value, run: &Path) -> Result<Option<Self>> {
        serde_json::from_value(fixed)
            .with_context(|| format!("reading `fixed` of `{}`", run.join("run.json").display()))
    }

    /// What a run is continued with, which is what it was begun with. Only another device may be given: it changes no
    /// result, and the first one may have failed.
    ///
    /// # Errors
    /// If another model or other settings are given.
    pub(crate) fn continue_with(self, given: Self, run: &Path) -> Result<Self> {
        let of_model = |arguments: &Self| arguments.model().map(|path| path.display().to_string());
        let of_set = |arguments: &Self| {
            let set = arguments.set.iter();
            let words: Vec<String> = set.map(|key| format!("--set {key}")).collect();
            (!words.is_empty()).then(|| words.join(" "))
        };
        let is_same_model = is_same(self.model(), given.model());
        for (what, begun, given, is_same) in [
            ("MODEL", of_model(&self), of_model(&given), is_same_model),
            (
                "--set",
                of_set(&self),
                of_set(&given),
                self.set == given.set,
            ),
        ] {
            let Some(given) = given.filter(|_| !is_same) else {
                continue;
            };
            let begun = begun.map_or_else(
                || format!("without {what}"),
                |begun| format!("with `{begun}`"),
            );
            return Err(anyhow!(
                "the run in `{}` was begun {begun}, and is resumed with `{given}`",
                run.display()
            )
            .context(Hint(
                "resume without MODEL and --set, which the run keeps; to change what has not run yet, change the recipe"
                    .to_owned(),
            )));
        }
        let device = if given.device.is_empty() {
            self.device
        } else {
            given.device
        };
        Ok(Self { device, ..self })
    }

    /// The model.
    pub(crate) fn model(&self) -> Option<PathBuf> {
        let text = self.model.as_ref()?;
        Some(from_text(PathBuf::from(text)))
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether two paths name the same place, as far as can be seen without following them.
fn is_same(a: Option<PathBuf>, b: Option<PathBuf>) -> bool {
    let plain = |path: PathBuf| -> PathBuf {
        let parts = path.components();
        parts.filter(|part| *part != Component::CurDir).collect()
    };
    a.map(plain) == b.map(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(model: Option<&str>, set: &[&str], device: &[&str]) -> RecipeArguments {
        let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        RecipeArguments {
            model: model.map(str::to_owned),
            set: owned(set),
            device: owned(device),
        }
    }

    fn continued(given: RecipeArguments) -> Result<RecipeArguments> {
        arguments(Some("m"), &["seed=1"], &["flex"]).continue_with(given, Path::new("run"))
    }

    #[test]
    fn a_run_keeps_what_it_was_begun_with() {
        let begun = arguments(Some("m"), &["seed=1"], &["flex"]);
        assert_eq!(continued(RecipeArguments::default()).unwrap(), begun);
        let given = arguments(Some("./m/"), &["seed=1"], &[]);
        assert_eq!(continued(given).unwrap(), begun);
        let other = arguments(None, &[], &["ndarray"]);
        assert_eq!(continued(other).unwrap().device, ["ndarray"]);
        for given in [
            arguments(Some("n"), &[], &[]),
            arguments(None, &["seed=2"], &[]),
            arguments(None, &["seed=1", "seed=1"], &[]),
        ] {
            let error = continued(given).unwrap_err();
            let message = error.root_cause().to_string();
            assert!(
                message.contains("the run in `run` was begun with `"),
                "{message}"
            );
        }
        let error = RecipeArguments::default()
            .continue_with(begun.clone(), Path::new("run"))
            .unwrap_err();
        assert!(error.root_cause().to_string().contains("without MODEL"));
        let json = serde_json::to_value(&begun).unwrap();
        let read = RecipeArguments::of_run(json, Path::new("run")).unwrap();
        assert_eq!(read, Some(begun));
        let read = RecipeArguments::of_run(Value::Null, Path::new("run")).unwrap();
        assert_eq!(read, None);
        assert!(RecipeArguments::of_run("flex".into(), Path::new("run")).is_err());
    }
}
