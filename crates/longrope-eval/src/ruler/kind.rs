//! The thirteen tasks and their names.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::settings::check;

/// A task of RULER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RulerTask {
    /// A number in repeated filler.
    NiahSingle1,
    /// A number in an essay.
    NiahSingle2,
    /// A UUID in an essay.
    NiahSingle3,
    /// One of four numbers in an essay.
    NiahMultikey1,
    /// One number among nothing but numbers.
    NiahMultikey2,
    /// One UUID among nothing but UUIDs.
    NiahMultikey3,
    /// Four numbers of one key in an essay.
    NiahMultivalue,
    /// The numbers of four keys in an essay.
    NiahMultiquery,
    /// Variables that were assigned one value along a chain.
    Vt,
    /// The ten most common words of a list.
    Cwe,
    /// The three most frequent words of a coded text.
    Fwe,
    /// Questions of SQuAD among documents.
    Qa1,
    /// Questions of HotpotQA among documents.
    Qa2,
}

impl RulerTask {
    /// All tasks, in the order of the paper.
    pub const ALL: [Self; 13] = [
        Self::NiahSingle1,
        Self::NiahSingle2,
        Self::NiahSingle3,
        Self::NiahMultikey1,
        Self::NiahMultikey2,
        Self::NiahMultikey3,
        Self::NiahMultivalue,
        Self::NiahMultiquery,
        Self::Vt,
        Self::Cwe,
        Self::Fwe,
        Self::Qa1,
        Self::Qa2,
    ];

    /// NVIDIA's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::NiahSingle1 => "niah_single_1",
            Self::NiahSingle2 => "niah_single_2",
            Self::NiahSingle3 => "niah_single_3",
            Self::NiahMultikey1 => "niah_multikey_1",
            Self::NiahMultikey2 => "niah_multikey_2",
            Self::NiahMultikey3 => "niah_multikey_3",
            Self::NiahMultivalue => "niah_multivalue",
            Self::NiahMultiquery => "niah_multiquery",
            Self::Vt => "vt",
            Self::Cwe => "cwe",
            Self::Fwe => "fwe",
            Self::Qa1 => "qa_1",
            Self::Qa2 => "qa_2",
        }
    }

    /// Tokens that the model generates for an answer.
    pub fn tokens_to_generate(self) -> usize {
        match self {
            Self::Vt => 30,
            Self::Cwe => 120,
            Self::Fwe => 50,
            Self::Qa1 | Self::Qa2 => 32,
            _ => 128,
        }
    }

    /// Version of the prompts. In version 1, a needle that is not asked for could have the key that is.
    pub(super) fn version(self) -> u32 {
        match self {
            Self::NiahMultikey1 | Self::NiahMultikey2 | Self::NiahMultiquery => 2,
            _ => 1,
        }
    }

    /// What the task needs besides a tokenizer, if anything.
    pub fn needs(self) -> Option<&'static str> {
        match self {
            Self::NiahSingle2
            | Self::NiahSingle3
            | Self::NiahMultikey1
            | Self::NiahMultivalue
            | Self::NiahMultiquery => Some("a text to hide needles in"),
            Self::Qa1 => Some("SQuAD's questions"),
            Self::Qa2 => Some("HotpotQA's questions"),
            _ => None,
        }
    }

    /// Checks the number of samples before a model is loaded.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] if there are none.
    pub fn check_samples(self, samples: usize) -> Result<()> {
        check(&format!("ruler/{self}"), samples, &[])
    }
}

impl fmt::Display for RulerTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for RulerTask {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|task| task.name() == name)
            .ok_or_else(|| Error::InvalidSetting {
                task: "ruler".to_owned(),
                setting: "tasks",
                found: name.to_owned(),
                expected: "niah_single_1 to 3, niah_multikey_1 to 3, niah_multivalue, \
                           niah_multiquery, vt, cwe, fwe, qa_1 or qa_2",
            })
    }
}
