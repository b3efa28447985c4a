//! How needle texts are made: section `[search-needle]` of a configuration file.

use longrope_data::needle::NeedleParts;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::settings::invalid_setting;

/// The section of a configuration file that sets [`NeedleTextConfig`]; errors name it.
const SECTION: &str = "search-needle";

/// How [`needle_texts`](crate::needle_texts) are made; section `[search-needle]` of a configuration file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct NeedleTextConfig {
    /// The wording.
    pub style: NeedleStyle,
    /// What the needle is hidden in.
    pub filler: Filler,
    /// Number of texts.
    pub samples: usize,
    /// Where the needle is, 0 at the beginning of the filler and 1 at its end. The texts take turns with the depths; if
    /// there are none, the needles are spread evenly over the texts.
    pub depths: Vec<f64>,
    /// Digits of the hidden number, 1 to [`MOST_DIGITS`](Self::MOST_DIGITS).
    pub digits: u32,
    /// Replaces the style's words before the text, line break included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub introduction: Option<String>,
    /// Replaces the style's needle, line breaks included; `{key}` stands for its name and `{answer}` for the number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statement: Option<String>,
    /// Replaces the style's question after the text, line break included. The number follows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
}

impl Default for NeedleTextConfig {
    fn default() -> Self {
        Self {
            style: NeedleStyle::MagicNumber,
            filler: Filler::Text,
            samples: 10,
            depths: Vec::new(),
            digits: 7,
            introduction: None,
            statement: None,
            question: None,
        }
    }
}

impl NeedleTextConfig {
    /// Most digits of a hidden number, which has 32 bits.
    pub const MOST_DIGITS: u32 = 9;

    /// The passkey test as papers use it: five digits in sentences that repeat.
    pub fn passkeys(samples: usize) -> Self {
        Self {
            style: NeedleStyle::Passkey,
            filler: Filler::Sentences,
            samples,
            digits: 5,
            ..Self::default()
        }
    }

    /// Checks the settings before a model is loaded.
    ///
    /// # Errors
    /// If a setting is out of range, or the statement does not say the answer.
    pub fn validate(&self) -> Result<()> {
        let is_outside = |depth: &&f64| !(0.0..=1.0).contains(*depth);
        if let Some(depth) = self.depths.iter().find(is_outside) {
            let (found, expected) = (depth.to_string(), "numbers from 0 to 1");
            return Err(invalid_setting(SECTION, "depths", found, expected));
        }
        if !(1..=Self::MOST_DIGITS).contains(&self.digits) {
            let found = self.digits.to_string();
            return Err(invalid_setting(SECTION, "digits", found, "1 to 9"));
        }
        match &self.statement {
            Some(statement) if !statement.contains("{answer}") => Err(Error::MissingPlaceholder {
                task: SECTION.to_owned(),
                setting: "statement",
                placeholder: "{answer}",
                asked_by: "the question asks for",
                found: statement.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// The text of every part, with `{key}` and `{answer}` to be replaced.
    pub(super) fn parts(&self) -> NeedleParts<String> {
        let style = self.style.parts().with_line_breaks();
        NeedleParts {
            introduction: self.introduction.clone().unwrap_or(style.introduction),
            statement: self.statement.clone().unwrap_or(style.statement),
            question: self.question.clone().unwrap_or(style.question),
        }
    }
}

/// The wording of a needle text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum NeedleStyle {
    /// [`NeedleParts::MAGIC_NUMBER`], the wording of LongRoPE2 and RULER.
    MagicNumber,
    /// [`NeedleParts::PASSKEY`], which is shorter.
    Passkey,
}

impl NeedleStyle {
    fn parts(self) -> NeedleParts<&'static str> {
        match self {
            Self::MagicNumber => NeedleParts::MAGIC_NUMBER,
            Self::Passkey => NeedleParts::PASSKEY,
        }
    }
}

/// What a needle is hidden in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Filler {
    /// A stretch of one of the documents.
    Text,
    /// The repeated sentences of the passkey test, [`FILLER`](longrope_data::needle::FILLER).
    Sentences,
}
