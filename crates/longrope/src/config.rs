//! The configuration of every verb: one file format, read once, never changed.

use std::path::PathBuf;

use anyhow::{Context, Result};
use longrope_eval::{NeedleConfig, PasskeyConfig, PplProtocol};
use longrope_model::FactorChoice;
use longrope_rope::Precision;
use longrope_search::SearchConfig;
use serde::{Deserialize, Serialize};
use toml::Table;

use crate::train::config::TrainSection;

/// All keys. Paths are relative to the working directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Checkpoint folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<PathBuf>,
    /// Text files, folders or JSON lines.
    pub(crate) text: Vec<PathBuf>,
    /// Token ids instead of text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tokens: Option<PathBuf>,
    /// Run folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) out: Option<PathBuf>,
    /// Where to compute.
    pub(crate) device: String,
    /// Whether all weights stay in memory.
    pub(crate) weights: WeightSetting,
    /// Seed of every random choice.
    pub(crate) seed: u64,
    /// Rotary embeddings by name or path.
    pub(crate) rope: Vec<String>,
    /// Contexts to measure, tokens.
    pub(crate) contexts: Vec<usize>,
    /// How text is read.
    pub(crate) data: DataSection,
    /// How windows are laid and scored.
    pub(crate) eval: EvalSection,
    /// What `compare` compares.
    pub(crate) compare: CompareSection,
    /// The search.
    pub(crate) search: SearchSection,
    /// How text is generated.
    pub(crate) generate: GenerateSection,
    /// How passkeys are hidden.
    pub(crate) passkey: PasskeyConfig,
    /// How needles are hidden.
    pub(crate) needle: NeedleConfig,
    /// Which benchmark is asked.
    pub(crate) bench: BenchSection,
    /// How a model is trained.
    pub(crate) train: TrainSection,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            model: None,
            text: Vec::new(),
            tokens: None,
            out: None,
            device: "flex".to_owned(),
            weights: WeightSetting::Resident,
            seed: 42,
            rope: Vec::new(),
            contexts: Vec::new(),
            data: DataSection::default(),
            eval: EvalSection::default(),
            compare: CompareSection::default(),
            search: SearchSection::default(),
            generate: GenerateSection::default(),
            bench: BenchSection::default(),
            train: TrainSection::default(),
            passkey: PasskeyConfig::default(),
            needle: NeedleConfig::default(),
        }
    }
}

/// Whether all weights stay in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WeightSetting {
    /// Read once and kept.
    Resident,
    /// Layer by layer from the files, for models larger than memory.
    Streamed,
}

/// `[generate]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub(crate) struct GenerateSection {
    /// Most tokens to add to a prompt.
    pub(crate) max_new_tokens: usize,
    /// 0 takes the most likely token every time.
    pub(crate) temperature: f64,
    /// Draws from this many of the most likely tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) top_k: Option<usize>,
    /// Draws from the most likely tokens that together have this probability.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) top_p: Option<f64>,
    /// Whether to go on after the token that ends a text.
    pub(crate) ignore_eos: bool,
    /// Which factor set a sequence has.
    pub(crate) factors: FactorSetting,
}

impl Default for GenerateSection {
    fn default() -> Self {
        Self {
            max_new_tokens: 64,
            temperature: 0.0,
            top_k: None,
            top_p: None,
            ignore_eos: false,
            factors: FactorSetting::Total,
        }
    }
}

/// Which factor set a sequence has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FactorSetting {
    /// That of prompt and new tokens together, from the start.
    Total,
    /// That of its length so far; run again where a border is crossed.
    Length,
}

impl From<FactorSetting> for FactorChoice {
    fn from(setting: FactorSetting) -> Self {
        match setting {
            FactorSetting::Total => Self::Total,
            FactorSetting::Length => Self::Length,
        }
    }
}

/// `[data]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub(crate) struct DataSection {
    /// Field of a JSON line that holds the text.
    pub(crate) text_field: String,
    /// Folder of the token cache; without one, text is tokenized every time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cache: Option<PathBuf>,
}

impl Default for DataSection {
    fn default() -> Self {
        Self {
            text_field: "text".to_owned(),
            cache: None,
        }
    }
}

/// `[eval]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub(crate) struct EvalSection {
    /// Windows per document, spread evenly.
    pub(crate) windows: usize,
    /// Overlapping windows instead: tokens from one to the next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stride: Option<usize>,
    /// Where the beginning-of-text token stands.
    pub(crate) bos: BosSetting,
    /// In which precision angles are computed.
    pub(crate) angles: AngleSetting,
    /// Whose way of measuring perplexity.
    pub(crate) protocol: PplProtocol,
}

impl Default for EvalSection {
    fn default() -> Self {
        Self {
            windows: 8,
            stride: None,
            bos: BosSetting::Document,
            angles: AngleSetting::F64,
            protocol: PplProtocol::Longrope,
        }
    }
}

/// Where the beginning-of-text token stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum BosSetting {
    /// Where the tokenizer puts it, at the beginning of a document.
    Document,
    /// In front of every window.
    Window,
    /// Nowhere.
    None,
}

/// In which precision angles are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AngleSetting {
    /// Exactly, whatever the position.
    F64,
    /// With the rounding of transformers, which grows with the position.
    CompatF32,
}

impl From<AngleSetting> for Precision {
    fn from(setting: AngleSetting) -> Self {
        match setting {
            AngleSetting::F64 => Self::F64,
            AngleSetting::CompatF32 => Self::CompatF32,
        }
    }
}

/// `[bench]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub(crate) struct BenchSection {
    /// Which benchmark.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// Files of questions.
    pub(crate) data: Vec<PathBuf>,
    /// Files of examples.
    pub(crate) fewshot: Vec<PathBuf>,
    /// Examples before each question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) shots: Option<usize>,
    /// Questions, of each subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<usize>,
}

/// `[compare]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub(crate) struct CompareSection {
    /// Methods that are always in the table.
    pub(crate) methods: Vec<String>,
}

impl Default for CompareSection {
    fn default() -> Self {
        let methods = ["none", "pi", "ntk", "dynamic-ntk", "yarn"];
        Self {
            methods: methods.map(str::to_owned).to_vec(),
        }
    }
}

/// `[search]`: what the program needs around a search, and the search's own keys beside it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Table", into = "Table")]
pub(crate) struct SearchSection {
    pub(crate) run: SearchRunKeys,
    pub(crate) evolution: SearchConfig,
}

/// The keys of `[search]` that concern model and text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub(crate) struct SearchRunKeys {
    /// Context wanted, tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) target: Option<usize>,
    /// Which search.
    pub(crate) profile: Profile,
    /// Samples every candidate is scored on.
    pub(crate) samples: usize,
    /// Factors to start from as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) init: Option<PathBuf>,
}

const SEARCH_RUN_KEYS: [&str; 4] = ["target", "profile", "samples", "init"];

impl Default for SearchRunKeys {
    fn default() -> Self {
        Self {
            target: None,
            profile: Profile::Paper,
            samples: 5,
            init: None,
        }
    }
}

/// Which search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Profile {
    /// LongRoPE's, arXiv 2402.13753.
    Paper,
}

impl Profile {
    /// The word used in files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Paper => "paper",
        }
    }
}

impl TryFrom<Table> for SearchSection {
    type Error = toml::de::Error;

    fn try_from(table: Table) -> Result<Self, Self::Error> {
        let (run, evolution): (Table, Table) = table
            .into_iter()
            .partition(|(key, _)| SEARCH_RUN_KEYS.contains(&key.as_str()));
        Ok(Self {
            run: run.try_into()?,
            evolution: evolution.try_into()?,
        })
    }
}

impl From<SearchSection> for Table {
    fn from(section: SearchSection) -> Self {
        let mut table = Self::try_from(section.run).unwrap_or_default();
        table.extend(Self::try_from(section.evolution).unwrap_or_default());
        table
    }
}

impl Config {
    /// Reads merged layers.
    pub(crate) fn deserialize_table(table: Table) -> Result<Self> {
        Ok(table.try_into::<Self>()?)
    }

    /// The file that reproduces this configuration.
    pub(crate) fn to_toml(&self) -> Result<String> {
        toml::to_string_pretty(self).context("the resolved configuration as TOML")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut config = Config {
            contexts: vec![256, 512],
            ..Config::default()
        };
        config.search.run.target = Some(2048);
        config.search.evolution.population = 32;
        let text = config.to_toml().unwrap();
        assert_eq!(toml::from_str::<Config>(&text).unwrap(), config);
        assert!(text.contains("population = 32"), "{text}");
    }

    #[test]
    fn unknown_keys_are_refused_in_every_section() {
        for text in ["sead = 1", "[data]\nfield = 1", "[search]\npopulatoin = 3"] {
            let error = toml::from_str::<Config>(text).unwrap_err().to_string();
            assert!(error.contains("unknown field"), "{error}");
        }
    }
}
