//! Whether a measurement that was stopped has the settings that its trials were made with, as far as the settings of its
//! stage say.

use anyhow::Result;
use longrope_eval::{ChangedSetting, Error};
use longrope_extend::recipe::Verb;
use toml::{Table, Value};

use super::planned::Planned;
use crate::commands::named_inputs::at;
use crate::settings::config::Config;

/// The settings of a stage, as it was begun with them.
const SETTINGS: &str = "stage.toml";

/// The keys that decide the trials of a measurement, whatever its model and its text are.
fn keys(verb: Verb) -> &'static [&'static str] {
    match verb {
        Verb::Passkey => &[
            "seed",
            "passkey.trials",
            "passkey.depths",
            "passkey.protocol",
        ],
        Verb::Needle => &[
            "seed",
            "needle.kind",
            "needle.trials",
            "needle.depths",
            "needle.protocol",
            "needle.needle",
            "needle.prompt",
            "needle.answer",
        ],
        Verb::Ruler => &["seed", "ruler.samples"],
        _ => &[],
    }
}

/// Compares the settings of a measurement that has saved trials with those that it was begun with. Its state has the
/// others, which are compared in its turn.
///
/// # Errors
/// If some are others now.
pub(super) fn check(stage: &Planned) -> Result<()> {
    let name = stage.verb.name();
    let path = stage.folder.join(format!("eval/{name}.state.json"));
    if keys(stage.verb).is_empty() || stage.is_done() || !path.is_file() {
        return Ok(());
    }
    let saved = fs_err::read_to_string(stage.folder.join(SETTINGS)).ok();
    let Some(saved) = saved.and_then(|text| text.parse::<Table>().ok()) else {
        return Ok(());
    };
    let changes = changes(stage.verb, &saved, &stage.work.table)?;
    if changes.is_empty() {
        return Ok(());
    }
    Err(Error::StateSettings { path, changes }.into())
}

/// The keys with other values; one that is not set has its default.
fn changes(verb: Verb, saved: &Table, now: &Table) -> Result<Vec<ChangedSetting>> {
    let defaults = Table::try_from(Config::default())?;
    let value = |table: &Table, key: &str| {
        let value = at(table, key).or_else(|| at(&defaults, key));
        value.map(shown).unwrap_or_default()
    };
    let changes = keys(verb).iter().filter_map(|key| {
        let (saved, now) = (value(saved, key), value(now, key));
        (saved != now).then(|| ChangedSetting::new(key, Some(&saved.into()), Some(&now.into())))
    });
    Ok(changes.collect())
}

/// A value as text. The same numbers are the same text, whether they are written with a point or in quotes.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Float(number) => number.to_string(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(shown).collect();
            format!("[{}]", items.join(", "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_that_decide_trials_are_compared() {
        let said = |saved: &str, now: &str| {
            let [saved, now] = [saved, now].map(|text| text.parse::<Table>().unwrap());
            ChangedSetting::listed(&changes(Verb::Passkey, &saved, &now).unwrap())
        };
        assert_eq!(said("", "seed = 42\ncontexts = [1]"), "");
        assert_eq!(said("seed = '7'", "seed = 7\nneedle = { trials = 9 }"), "");
        assert_eq!(
            said(
                "passkey = { depths = [0.0, 1] }",
                "passkey = { depths = [0, 1.0] }"
            ),
            ""
        );
        assert_eq!(
            said(
                "passkey = { trials = 2 }",
                "seed = 7\npasskey = { trials = 3 }"
            ),
            "`seed` was 42 and is 7, `passkey.trials` was 2 and is 3"
        );
    }
}
