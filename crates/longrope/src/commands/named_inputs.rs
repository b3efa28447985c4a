//! What a run takes by name, such as its text: named beside settings that have changed, so that all changes are said at
//! once.

use std::path::{Path, PathBuf};

use longrope_eval::ChangedSetting;
use longrope_extend::recipe::Verb;
use longrope_extend::{Error, RunFolder, SearchInput};
use serde_json::Value as Json;
use toml::{Table, Value};

use crate::settings::config::Config;
use crate::settings::path_text::from_text;

/// The keys of what runs take. Whether something else is behind a name shows only when it is read, so that these alone
/// refuse nothing.
const INPUTS: [&str; 16] = [
    "model",
    "text",
    "tokens",
    "data.text-field",
    "eval.bos",
    "rope",
    "rope-layers",
    "precision",
    "search.init",
    "search.samples",
    "search.sample-context",
    "search.objective",
    "search.needle-weight",
    "search.held-out",
    "search.adapt",
    "search-needle",
];

/// Those of them that may name files or folders.
const PATHS: [&str; 5] = ["model", "text", "tokens", "rope", "search.init"];

/// Keys that are left out of saved settings if they are not set. Of others, earlier versions had none if they are
/// missing.
const LEFT_OUT: [&str; 4] = [
    "tokens",
    "search.init",
    "search.sample-context",
    "search.adapt",
];

/// An error about changed settings or inputs of the run of a verb in a folder, with those of its inputs that have other
/// names now. Other errors are as they were.
pub(super) fn with_inputs(error: Error, run: &Path, config: &Config, verb: Verb) -> Error {
    let named = || changed(run, config, verb).unwrap_or_default();
    match error {
        Error::OtherSettings { path, mut changes } => {
            for change in named() {
                let same = changes.iter_mut().find(|it| is_of(&it.name, &change.name));
                match same {
                    // Names say more than that something is another one.
                    Some(known) if known.name == change.name && known.values.is_none() => {
                        *known = change;
                    }
                    Some(_) => {}
                    None => changes.push(change),
                }
            }
            Error::OtherSettings { path, changes }
        }
        Error::OtherInputs { mut what } => {
            for input in named().iter().filter_map(input_of_search) {
                if !what.contains(&input) {
                    what.push(input);
                }
            }
            Error::OtherInputs { what }
        }
        other => other,
    }
}

/// Whether a name is that of a key, or of one in the section with its name.
fn is_of(name: &str, key: &str) -> bool {
    let rest = name.strip_prefix(key);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// What a changed key is of the inputs that a search compares; `None` if it compares the key itself.
fn input_of_search(change: &ChangedSetting) -> Option<SearchInput> {
    Some(match change.name.as_str() {
        "model" => SearchInput::Model,
        "precision" => SearchInput::Precision,
        "rope-layers" => SearchInput::RopeLayers,
        "search.adapt" => SearchInput::Adapt,
        "search.objective" | "search.needle-weight" => SearchInput::Objective,
        "text"
        | "tokens"
        | "data.text-field"
        | "eval.bos"
        | "search.samples"
        | "search.sample-context"
        | "search.held-out"
        | "search-needle" => SearchInput::Text,
        _ => return None,
    })
}

/// The inputs with other names than in the settings that the run has saved; `None` if these cannot be read.
fn changed(run: &Path, config: &Config, verb: Verb) -> Option<Vec<ChangedSetting>> {
    let saved: Table = RunFolder::settings(run).ok()??.parse().ok()?;
    let now: Table = config.to_toml().ok()?.parse().ok()?;
    let read = INPUTS.iter().filter(|key| is_read(verb, key));
    let changes = read.filter_map(|key| {
        let (saved, now) = (at(&saved, key), at(&now, key));
        let is_known = saved.is_some() || LEFT_OUT.contains(key);
        let is_path = PATHS.contains(key);
        let is_same = saved == now || is_path && same_paths(saved, now);
        (is_known && !is_same)
            .then(|| ChangedSetting::new(key, plain(saved).as_ref(), plain(now).as_ref()))
    });
    Some(changes.collect())
}

/// Whether two values name the same files, in whatever spelling.
fn same_paths(saved: Option<&Value>, now: Option<&Value>) -> bool {
    match (saved, now) {
        (Some(Value::String(saved)), Some(Value::String(now))) => is_same_file(saved, now),
        (Some(Value::Array(saved)), Some(Value::Array(now))) => {
            saved.len() == now.len()
                && saved
                    .iter()
                    .zip(now)
                    .all(|(saved, now)| saved == now || same_paths(Some(saved), Some(now)))
        }
        _ => false,
    }
}

fn is_same_file(a: &str, b: &str) -> bool {
    let place = |text: &str| fs_err::canonicalize(from_text(PathBuf::from(text))).ok();
    let place_of_a = place(a);
    a == b || place_of_a.is_some() && place_of_a == place(b)
}

/// Whether a verb reads a key. A training has a type of its own.
fn is_read(verb: Verb, key: &str) -> bool {
    verb.reads(key) && !(verb == Verb::Finetune && key == "precision")
}

/// The value of a key.
pub(super) fn at<'t>(table: &'t Table, key: &str) -> Option<&'t Value> {
    match key.split_once('.') {
        None => table.get(key),
        Some((section, key)) => table.get(section)?.get(key),
    }
}

/// A value to be shown: one name is no list.
fn plain(value: Option<&Value>) -> Option<Json> {
    let value = match value? {
        Value::Array(items) => match items.as_slice() {
            [] => return None,
            [only] => only,
            _ => value?,
        },
        other => other,
    };
    serde_json::to_value(value).ok()
}

#[cfg(test)]
mod tests {
    use longrope_extend::{RunKind, RunMode, RunSettings};

    use super::*;

    #[test]
    fn inputs_with_other_names_are_named_beside_other_changes() {
        let here = tempfile::tempdir().unwrap();
        let run = here.path();
        let mut config = Config {
            text: vec!["a.txt".into()],
            rope: vec!["yarn".to_owned()],
            ..Config::default()
        };
        let settings = RunSettings {
            text: &config.to_toml().unwrap(),
            ..RunSettings::default()
        };
        drop(RunFolder::open(run, RunKind::Finetune, RunMode::New, &settings).unwrap());
        let said = |config: &Config| {
            let seed = ChangedSetting::new("seed", Some(&1.into()), Some(&2.into()));
            let error = Error::OtherSettings {
                path: run.to_owned(),
                changes: vec![seed],
            };
            match with_inputs(error, run, config, Verb::Finetune) {
                Error::OtherSettings { changes, .. } => ChangedSetting::listed(&changes),
                other => other.to_string(),
            }
        };
        assert_eq!(said(&config), "`seed` was 1 and is 2");
        config.text = vec!["b.txt".into()];
        config.rope.clear();
        // A search reads it, a training does not.
        config.search.run.samples = 9;
        assert_eq!(
            said(&config),
            "`seed` was 1 and is 2, `text` was a.txt and is b.txt, `rope` was yarn and is none"
        );
        // A search names what its scores depend on.
        let what = vec![SearchInput::Objective];
        let error = with_inputs(Error::OtherInputs { what }, run, &config, Verb::Search);
        let both = [SearchInput::Objective, SearchInput::Text];
        assert!(
            matches!(&error, Error::OtherInputs { what } if *what == both),
            "{error}"
        );
        let other = with_inputs(Error::NoModel, run, &config, Verb::Finetune);
        assert!(matches!(other, Error::NoModel));
    }

    #[test]
    fn another_spelling_of_a_path_is_no_change() {
        let here = tempfile::tempdir().unwrap();
        let folder = here.path().to_str().unwrap();
        assert!(is_same_file(folder, &format!("{folder}/.")));
        assert!(!is_same_file("nowhere", "nowhere/."));
        assert!(is_of("search-needle.style", "search-needle") && is_of("text", "text"));
        assert!(!is_of("search-needle", "search"));
    }
}
