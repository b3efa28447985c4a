//! How two measurements differ.

use serde_json::{Map, Value, json};

use crate::changed_setting::{ChangedSetting, TASK_VERSION};
use crate::gain::is_in_nats;
use crate::report::{EvalResult, PplResult, TaskResult};
use crate::task::{Task, TaskInfo};

/// Settings that only say how much is measured: with more, what was measured before is measured again.
const COUNTS: [&str; 3] = ["trials", "windows", "samples"];

/// How a result was measured: everything that decides its numbers, besides model, text, context and RoPE.
#[derive(Clone, Debug, PartialEq)]
pub struct HowMeasured {
    /// Name of the task.
    task: String,
    /// Settings by name.
    settings: Map<String, Value>,
    /// What is counted, and how much of it there is in all.
    count: (&'static str, usize),
}

impl HowMeasured {
    /// How a task would be measured.
    pub fn of_task(task: &dyn Task) -> Self {
        let TaskInfo {
            name,
            settings,
            version,
            protocol,
            seed,
            ..
        } = task.info();
        let own = [json!(version), json!(protocol), json!(seed)];
        Self::of_questions(&name, &settings, own, task.n_trials())
    }

    /// `own` are the version of the task, the protocol and the seed.
    fn of_questions(task: &str, saved: &Map<String, Value>, own: [Value; 3], n: usize) -> Self {
        let [version, protocol, seed] = own;
        let own = [
            (TASK_VERSION, version),
            ("protocol", protocol),
            ("seed", seed),
        ];
        Self {
            settings: settings(task, saved, own),
            count: ("questions", n),
            task: task.to_owned(),
        }
    }

    /// How a perplexity was measured. Of one that is still to come, the fields without measured numbers are enough.
    pub fn of_ppl(result: &PplResult) -> Self {
        let own = [
            ("protocol", json!(result.protocol)),
            ("stride", json!(result.stride)),
            ("within", json!(result.within)),
            ("bos", json!(result.bos)),
        ];
        Self {
            settings: settings(&result.task, &Map::new(), own),
            count: ("windows", result.n_windows),
            task: result.task.clone(),
        }
    }

    /// How a result was measured.
    pub fn of_result(result: &EvalResult) -> Self {
        match result {
            EvalResult::Ppl(result) => Self::of_ppl(result),
            EvalResult::Task(result) => Self::of_trials(result),
        }
    }

    /// How the trials of a result were measured.
    pub fn of_trials(result: &TaskResult) -> Self {
        let own = [
            json!(result.task_version),
            json!(result.protocol),
            json!(result.seed),
        ];
        Self::of_questions(&result.task, &result.settings, own, result.n)
    }

    /// How the trials with a saved [key](crate::EvalState::key) are measured.
    pub(crate) fn of_key(key: &Value) -> Self {
        let part = |name: &str| key.get(name).cloned().unwrap_or(Value::Null);
        let task = key.get("task").and_then(Value::as_str).unwrap_or_default();
        let saved = key.get("settings").and_then(Value::as_object);
        let own = [TASK_VERSION, "protocol", "seed"].map(part);
        Self::of_questions(task, &saved.cloned().unwrap_or_default(), own, 0)
    }

    /// The same with one more setting.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.settings.insert(name.to_owned(), value);
        self
    }

    /// The same without a setting that is not known.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.settings.remove(name);
        self
    }

    /// All settings that are others now, by their keys in a configuration.
    pub fn changes(&self, now: &Self) -> Vec<ChangedSetting> {
        let added = now.settings.keys();
        let added = added.filter(|name| !self.settings.contains_key(*name));
        let names = self.settings.keys().chain(added);
        names
            .filter(|name| self.settings.get(*name) != now.settings.get(*name))
            .map(|name| self.change(name, self.settings.get(name), now.settings.get(name)))
            .collect()
    }

    fn change(&self, name: &str, before: Option<&Value>, now: Option<&Value>) -> ChangedSetting {
        ChangedSetting::new(&key_of(&self.task, name), before, now)
    }

    /// The settings for which a result that is measured `now` does not stand for this one. A larger number of trials or
    /// windows does, and what one of the two does not record is not compared.
    pub fn reasons_to_keep(&self, now: &Self) -> Vec<ChangedSetting> {
        let is_more = |name: &str, before: &Value, now: &Value| {
            COUNTS.contains(&name)
                && before
                    .as_u64()
                    .zip(now.as_u64())
                    .is_some_and(|(before, now)| now >= before)
        };
        let mut changes: Vec<ChangedSetting> = self
            .settings
            .iter()
            .filter_map(|(name, before)| {
                let other = now.settings.get(name)?;
                let counts = before != other && name != TASK_VERSION;
                (counts && !is_more(name, before, other))
                    .then(|| self.change(name, Some(before), Some(other)))
            })
            .collect();
        let has_count = COUNTS.iter().any(|name| self.settings.contains_key(*name));
        let ((name, before), (_, n)) = (self.count, now.count);
        if !has_count && n < before {
            changes.push(ChangedSetting::count(&key_of(&self.task, name), before, n));
        }
        changes
    }
}

/// The key of a configuration that sets what has this name in the results of a task; the name, if none does.
fn key_of(task: &str, name: &str) -> String {
    let section = task.split(['-', '/']).next().unwrap_or(task);
    match (section, name) {
        ("ppl", "protocol" | "stride" | "within" | "bos" | "angles" | "windows")
        | ("gain", "windows" | "bos") => format!("eval.{name}"),
        ("passkey", "trials" | "depths" | "protocol")
        | (
            "needle",
            "trials" | "depths" | "protocol" | "needle" | "prompt" | "answer" | "digits"
            | "needles",
        )
        | ("gain", "tail" | "far" | "against")
        | ("ruler", "samples") => format!("{section}.{name}"),
        ("needle", "haystack") | ("ruler", "data") => "text".to_owned(),
        (_, "shots") => "bench.shots".to_owned(),
        _ => name.to_owned(),
    }
}

/// Settings of a task in the same form, whether they are recorded or left out because they are the default.
fn settings<const N: usize>(
    task: &str,
    saved: &Map<String, Value>,
    own: [(&str, Value); N],
) -> Map<String, Value> {
    let mut settings = Map::new();
    for (name, value) in saved {
        // The candidates for an answer are the needles.
        let name = if name == "candidates" {
            "needles"
        } else {
            name.as_str()
        };
        settings.insert(name.to_owned(), value.clone());
    }
    if is_in_nats(task) && !settings.contains_key("against") {
        settings.insert("against".to_owned(), json!("window"));
    }
    for (name, value) in own {
        settings.insert(name.to_owned(), value);
    }
    let is_other = |name: &str| settings.get(name).is_some_and(|text| text == "other");
    if is_in_nats(task) && !is_other("far") && !is_other("against") {
        // Nothing is drawn.
        settings.remove("seed");
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(task: &str, settings: Value, seed: u64, n: usize) -> TaskResult {
        let Value::Object(settings) = settings else {
            panic!("{settings}")
        };
        TaskResult {
            task: task.to_owned(),
            settings,
            seed,
            n,
            ..TaskResult::default()
        }
    }

    fn reasons(before: &TaskResult, now: &TaskResult) -> Vec<String> {
        let (before, now) = (HowMeasured::of_trials(before), HowMeasured::of_trials(now));
        let reasons = before.reasons_to_keep(&now);
        let mut texts: Vec<String> = reasons.iter().map(ToString::to_string).collect();
        texts.sort();
        texts
    }

    #[test]
    fn more_trials_stand_for_fewer_and_other_settings_do_not() {
        let passkey = |trials: usize, seed| {
            let settings = json!({ "trials": trials, "depths": "random" });
            result("passkey", settings, seed, trials)
        };
        assert_eq!(reasons(&passkey(3, 1), &passkey(5, 1)), [""; 0]);
        assert_eq!(
            reasons(&passkey(3, 1), &passkey(1, 9)),
            ["`passkey.trials` was 3 and is 1", "`seed` was 1 and is 9"]
        );
        let bench = |n| result("bench", json!({ "shots": 0 }), 1, n);
        assert_eq!(reasons(&bench(4), &bench(4)), [""; 0]);
        assert_eq!(
            reasons(&bench(4), &bench(2)),
            ["`questions` was 4 in all and is 2 in all"]
        );
    }

    #[test]
    fn what_is_left_out_is_the_default_or_not_compared() {
        let gain = |settings| result("gain", settings, 0, 2);
        let (window, other) = (
            json!({ "tail": 8 }),
            json!({ "tail": 8, "against": "other" }),
        );
        assert_eq!(
            reasons(&gain(window.clone()), &gain(other.clone())),
            ["`gain.against` was window and is other"]
        );
        assert_eq!(
            reasons(&gain(other), &gain(window)),
            ["`gain.against` was other and is window"]
        );
        let with_bos = json!({ "tail": 8, "bos": "none" });
        assert_eq!(reasons(&gain(json!({})), &gain(with_bos)), [""; 0]);
    }

    #[test]
    fn a_perplexity_of_fewer_windows_does_not_stand_for_one_of_more() {
        let ppl = |n_windows, within| {
            HowMeasured::of_ppl(&PplResult {
                task: "ppl".to_owned(),
                within,
                n_windows,
                ..PplResult::default()
            })
        };
        assert!(ppl(2, None).reasons_to_keep(&ppl(8, None)).is_empty());
        let texts: Vec<String> = ppl(8, None)
            .reasons_to_keep(&ppl(2, Some(512)))
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            texts,
            [
                "`eval.within` was none and is 512",
                "`eval.windows` was 8 in all and is 2 in all"
            ]
        );
    }
}
