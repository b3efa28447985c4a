//! How needles are hidden and asked for: section `[needle]` of a configuration file.

use serde::{Deserialize, Serialize};

use super::question::Protocol;
use crate::error::Result;
use crate::settings::{check, invalid_setting};

/// Most needles in one text.
pub(super) const MOST_NEEDLES: usize = 16;

/// What is hidden and asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum NeedleKind {
    /// Numbers of names, asked for in the words of the needle: [`Needle`](crate::Needle).
    #[default]
    Number,
    /// Facts that share no word with the question: [`Association`](crate::Association).
    Association,
    /// Needles of one kind, asked for by their order: [`Ordinal`](crate::Ordinal).
    Ordinal,
}

impl NeedleKind {
    /// The name of the task in results.
    pub const fn task_name(self) -> &'static str {
        match self {
            Self::Number => "needle",
            Self::Association => "needle-association",
            Self::Ordinal => "needle-ordinal",
        }
    }
}

/// How needles are hidden and asked for.
///
/// In the three texts, `{key}` stands for a name and `{value}` for a number; both are drawn anew
/// for every needle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct NeedleConfig {
    /// What is hidden and asked for. The three texts are those of numbers; the other kinds have their own.
    pub kind: NeedleKind,
    /// The needle.
    pub needle: String,
    /// The whole prompt; `{haystack}` stands for the text with the needles in it.
    pub prompt: String,
    /// The answer, which follows the prompt.
    pub answer: String,
    /// Digits of a value, 1 to [`MOST_DIGITS`](Self::MOST_DIGITS).
    pub digits: u32,
    /// Needles in one text. Of numbers, the first is at the depth, the others are spread evenly from there to the end.
    pub needles: usize,
    /// Depths, 0 at the beginning of the text and 1 at its end.
    pub depths: Vec<f64>,
    /// Trials per context and depth.
    pub trials: usize,
    /// How answers are scored.
    pub protocol: Protocol,
}

impl NeedleConfig {
    /// Most digits of a value, which has 64 bits.
    pub const MOST_DIGITS: u32 = 18;
}

impl Default for NeedleConfig {
    fn default() -> Self {
        Self {
            kind: NeedleKind::default(),
            needle: "The special magic {key} number is: {value}.".to_owned(),
            prompt: "This is a very long story book: <book> {haystack} </book>.\nBased on the \
                     content of the book, Question: What is the special magic {key} number? \
                     Answer: The special magic {key} number is:"
                .to_owned(),
            answer: " {value}".to_owned(),
            digits: 7,
            needles: 1,
            depths: vec![0.0, 0.25, 0.5, 0.75, 1.0],
            trials: 5,
            protocol: Protocol::default(),
        }
    }
}

/// Checks what all kinds have in common.
pub(super) fn check_common(task: &str, config: &NeedleConfig) -> Result<()> {
    check(task, config.trials, &config.depths)?;
    if config.depths.is_empty() {
        let expected = "at least one number from 0 to 1";
        return Err(invalid_setting(task, "depths", "[]".to_owned(), expected));
    }
    if !(1..=NeedleConfig::MOST_DIGITS).contains(&config.digits) {
        let found = config.digits.to_string();
        return Err(invalid_setting(
            task,
            "digits",
            found,
            "a number from 1 to 18",
        ));
    }
    Ok(())
}

/// Checks the settings of kinds whose needles are candidates for the answer.
pub(super) fn check_needles(task: &str, config: &NeedleConfig) -> Result<()> {
    check_common(task, config)?;
    if (2..=MOST_NEEDLES).contains(&config.needles) {
        return Ok(());
    }
    let found = config.needles.to_string();
    Err(invalid_setting(
        task,
        "needles",
        found,
        "a number from 2 to 16",
    ))
}

/// Refuses texts of one's own, which kinds with texts of their own would ignore.
pub(super) fn check_fixed_texts(task: &str, config: &NeedleConfig) -> Result<()> {
    let default = NeedleConfig::default();
    let texts = [
        ("needle", &config.needle, &default.needle),
        ("prompt", &config.prompt, &default.prompt),
        ("answer", &config.answer, &default.answer),
    ];
    match texts.into_iter().find(|(_, own, default)| own != default) {
        None => Ok(()),
        Some((setting, own, _)) => {
            let expected = "none: this kind of needle has texts of its own";
            Err(invalid_setting(task, setting, own.clone(), expected))
        }
    }
}
