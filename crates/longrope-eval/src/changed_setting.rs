//! A setting that differs between two measurements or runs.

use std::fmt;

use serde_json::Value;

/// Longest value that is shown, characters.
const MOST_SHOWN: usize = 60;

/// Version of the prompts and scores of a task; not a setting, but the trials of another one are others.
pub(crate) const TASK_VERSION: &str = "task_version";

/// A setting with another value than the one that something was measured with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedSetting {
    /// The name, or the path in nested settings, such as `seed` or `search.population`.
    pub name: String,
    /// The value of before and the present one as text; `None` if they are too long to show.
    pub values: Option<(String, String)>,
}

impl ChangedSetting {
    /// The change of a setting from one value to another; `None` is none.
    pub fn new(name: &str, before: Option<&Value>, now: Option<&Value>) -> Self {
        let values = (shown(before), shown(now));
        let is_short = |text: &str| text.chars().count() <= MOST_SHOWN;
        Self {
            name: name.to_owned(),
            values: (is_short(&values.0) && is_short(&values.1)).then_some(values),
        }
    }

    /// Another number of what is measured in all.
    pub fn count(name: &str, before: usize, now: usize) -> Self {
        let in_all = |n: usize| format!("{n} in all");
        Self {
            name: name.to_owned(),
            values: Some((in_all(before), in_all(now))),
        }
    }

    /// Changes as a list in a sentence.
    pub fn listed(changes: &[Self]) -> String {
        let texts: Vec<String> = changes.iter().map(ToString::to_string).collect();
        texts.join(", ")
    }

    /// Whether it is the version of the prompts, which no setting changes.
    pub fn is_task_version(&self) -> bool {
        self.name == TASK_VERSION
    }
}

/// `` `seed` was 42 and is 7 ``
impl fmt::Display for ChangedSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, values } = self;
        match values {
            Some((before, now)) => write!(f, "`{name}` was {before} and is {now}"),
            None => write!(f, "`{name}` is another one"),
        }
    }
}

/// Changes as the end of a sentence, after a colon; empty if there are none.
pub(crate) fn after_colon(changes: &[ChangedSetting]) -> String {
    if changes.is_empty() {
        return String::new();
    }
    format!(": {}", ChangedSetting::listed(changes))
}

/// A value as text.
pub(crate) fn shown(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "none".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    }
}
