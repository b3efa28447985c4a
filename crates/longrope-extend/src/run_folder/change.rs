//! A setting that is not as it was when a run was begun.

use std::fmt;

/// A setting with another value than the one that a run was begun with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingChange {
    /// Its path in the settings, such as `search.population`.
    pub key: String,
    /// The saved and the present value as text; `None` if they are too long to show.
    pub values: Option<(String, String)>,
}

impl fmt::Display for SettingChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, values } = self;
        match values {
            Some((saved, now)) => write!(f, "`{key}` was {saved} and is {now}"),
            None => write!(f, "`{key}` is another one"),
        }
    }
}

/// Changes as a list in a sentence.
pub(crate) fn listed(changes: &[SettingChange]) -> String {
    let texts: Vec<String> = changes.iter().map(ToString::to_string).collect();
    texts.join(", ")
}
