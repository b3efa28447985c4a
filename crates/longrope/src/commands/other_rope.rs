//! Another RoPE than a run was begun with, in the words of the command line.

use std::path::Path;

use longrope_eval::ChangedSetting;
use longrope_extend::{Error, RunFolder};
use toml::Table;

/// The RoPE of a training without `--rope`.
const DEFAULT: &str = "checkpoint";

/// The error of a run that would be continued with other settings. The fields of its RoPE, if some differ, are one
/// setting, `rope`, with the names of the RoPE that the run was begun with and of the present one, the first of `ropes`.
/// Other errors are as they were.
pub(super) fn named(error: Error, run: &Path, ropes: &[String]) -> Error {
    match error {
        Error::OtherSettings { path, changes } => Error::OtherSettings {
            changes: with_names(changes, begun_with(run), name(ropes)),
            path,
        },
        other => other,
    }
}

/// The changes with one for the RoPE, in the place of the first of its fields.
fn with_names(
    changes: Vec<ChangedSetting>,
    before: Option<String>,
    now: String,
) -> Vec<ChangedSetting> {
    let mut of_rope = Some(change(before, now));
    let mut named = Vec::with_capacity(changes.len());
    for change in changes {
        if change.name == "rope" || change.name.starts_with("rope.") {
            named.extend(of_rope.take());
        } else {
            named.push(change);
        }
    }
    named
}

/// The change from one RoPE to another. The same name may stand for another one: a method is scaled for a context, and a
/// file may have changed.
fn change(before: Option<String>, now: String) -> ChangedSetting {
    match before.filter(|before| *before != now) {
        Some(before) => ChangedSetting::new("rope", Some(&before.into()), Some(&now.into())),
        None => ChangedSetting {
            name: "rope".to_owned(),
            values: None,
        },
    }
}

/// The name of the RoPE that a run was begun with; `None` if it does not say.
fn begun_with(run: &Path) -> Option<String> {
    let text = RunFolder::settings(run).ok()??;
    let settings: Table = text.parse().ok()?;
    let ropes = match settings.get("rope") {
        None => Vec::new(),
        Some(ropes) => ropes.clone().try_into::<Vec<String>>().ok()?,
    };
    Some(name(&ropes))
}

fn name(ropes: &[String]) -> String {
    ropes.first().map_or(DEFAULT, String::as_str).to_owned()
}

#[cfg(test)]
mod tests {
    use longrope_extend::{RunKind, RunMode, RunSettings};
    use serde_json::json;

    use super::*;

    /// What is said of a run that was begun with the text `settings`, and is continued with other fields of its RoPE, under
    /// the name `now`.
    fn said(settings: &str, now: Option<&str>) -> String {
        let here = tempfile::tempdir().unwrap();
        let run = here.path();
        let open = |mode, layers: &str, scale: f64| {
            let rope = json!({"theta": 1e4, "scaling": {"type": "linear", "scale": scale}});
            let fixed = json!({"context": 64, "rope": rope, "rope-layers": layers});
            let settings = RunSettings {
                text: settings,
                fixed,
            };
            RunFolder::open(run, RunKind::Finetune, mode, &settings)
        };
        drop(open(RunMode::New, "full", 2.0).unwrap());
        let error = open(RunMode::Resume, "all", 4.0).unwrap_err();
        let ropes: Vec<String> = now.into_iter().map(str::to_owned).collect();
        match named(error, run, &ropes) {
            Error::OtherSettings { changes, .. } => ChangedSetting::listed(&changes),
            other => other.to_string(),
        }
    }

    #[test]
    fn a_rope_is_named_as_it_was_given() {
        for (settings, now, expected) in [
            (
                "rope = ['pi@64']",
                Some("yarn@128"),
                "was pi@64 and is yarn@128",
            ),
            ("rope = []", Some("pi"), "was checkpoint and is pi"),
            ("seed = 1", Some("pi"), "was checkpoint and is pi"),
            ("rope = ['pi']", None, "was pi and is checkpoint"),
            // At another context, or another file at the same path.
            ("rope = ['pi']", Some("pi"), "is another one"),
            // Nothing is known.
            ("", Some("pi"), "is another one"),
            ("rope = 3", Some("pi"), "is another one"),
        ] {
            let expected = format!("`rope-layers` was full and is all, `rope` {expected}");
            assert_eq!(said(settings, now), expected, "{settings}");
        }
    }

    #[test]
    fn errors_about_other_things_stay() {
        let error = named(Error::NoModel, Path::new("run"), &[]);
        assert!(matches!(error, Error::NoModel));
        let changes = vec![ChangedSetting::new(
            "seed",
            Some(&json!(1)),
            Some(&json!(2)),
        )];
        assert_eq!(with_names(changes.clone(), None, name(&[])), changes);
    }
}
