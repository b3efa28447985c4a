//! The configuration of every verb: one file format, read once, never changed.

use std::path::PathBuf;

use anyhow::{Context, Result};
use longrope_eval::{NeedleConfig, NeedleTextConfig, PasskeyConfig, PplProtocol};
use longrope_extend::ObjectiveKind;
use longrope_model::FactorChoice;
use longrope_rope::Precision;
use longrope_search::{SearchConfig, field_names};
use longrope_trainer::run::TrainConfig;
use serde::{Deserialize, Serialize};
use toml::Table;

use crate::settings::device_names::DeviceNames;
use crate::settings::pretrain::PretrainSection;

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
    pub(crate) device: DeviceNames,
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
    /// What a search hides in texts, if it scores that.
    pub(crate) search_needle: NeedleTextConfig,
    /// How short contexts are recovered.
    pub(crate) recover: RecoverSection,
    /// How text is generated.
    pub(crate) generate: GenerateSection,
    /// A model from nothing.
    pub(crate) pretrain: PretrainSection,
    /// How passkeys are hidden.
    pub(crate) passkey: PasskeyConfig,
    /// How needles are hidden.
    pub(crate) needle: NeedleConfig,
    /// Which benchmark is asked.
    pub(crate) bench: BenchSection,
    /// How a model is trained.
    pub(crate) train: TrainConfig,
    /// What RULER asks.
    pub(crate) ruler: RulerSection,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            model: None,
            text: Vec::new(),
            tokens: None,
            out: None,
            device: DeviceNames::One("flex".to_owned()),
            weights: WeightSetting::Resident,
            seed: 42,
            rope: Vec::new(),
            contexts: Vec::new(),
            data: DataSection::default(),
            eval: EvalSection::default(),
            compare: CompareSection::default(),
            search: SearchSection::default(),
            search_needle: NeedleTextConfig::default(),
            recover: RecoverSection::default(),
            generate: GenerateSection::default(),
            bench: BenchSection::default(),
            train: TrainConfig::default(),
            pretrain: PretrainSection::default(),
            passkey: PasskeyConfig::default(),
            needle: NeedleConfig::default(),
            ruler: RulerSection::default(),
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

/// `[recover]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub(crate) struct RecoverSection {
    /// Largest factor allowed, as a multiple of context / original context, or of 1 for shorter ones.
    pub(crate) max_factor_ratio: f64,
}

impl Default for RecoverSection {
    fn default() -> Self {
        Self {
            max_factor_ratio: 2.0,
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

/// `[ruler]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub(crate) struct RulerSection {
    /// Tasks by name; all there is material for if empty.
    pub(crate) tasks: Vec<String>,
    /// Samples per task and context.
    pub(crate) samples: usize,
    /// File of SQuAD for `qa_1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) squad: Option<PathBuf>,
    /// File of HotpotQA for `qa_2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hotpotqa: Option<PathBuf>,
}

impl Default for RulerSection {
    fn default() -> Self {
        Self {
            tasks: Vec::new(),
            samples: 500,
            squad: None,
            hotpotqa: None,
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
    /// Samples of text every candidate is scored on.
    pub(crate) samples: usize,
    /// Tokens of a sample; without it those of the target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sample_context: Option<usize>,
    /// Factors to start from as well, or to search ratios on top of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) init: Option<PathBuf>,
    /// What is searched for.
    pub(crate) stage: Stage,
    /// What is minimized.
    pub(crate) objective: ObjectiveKind,
    /// Share of the needles in a combined objective.
    pub(crate) needle_weight: f64,
    /// Passkeys the result is tried on.
    pub(crate) passkey_trials: usize,
}

impl Default for SearchRunKeys {
    fn default() -> Self {
        Self {
            target: None,
            profile: Profile::Paper,
            samples: 5,
            sample_context: None,
            init: None,
            stage: Stage::Factors,
            objective: ObjectiveKind::Perplexity,
            needle_weight: 0.5,
            passkey_trials: 10,
        }
    }
}

/// What is searched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Stage {
    /// Rescale factors.
    Factors,
    /// What the factors of `init` are to be multiplied by.
    Ratios,
}

/// Which search: what keys have as default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Profile {
    /// LongRoPE's, arXiv 2402.13753.
    Paper,
    /// That of the code released with it.
    Official,
    /// LongRoPE2's, arXiv 2502.20082.
    V2,
    /// The paper's space with a quarter of its candidates.
    Fast,
}

impl Profile {
    /// The word used in files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Paper => "paper",
            Self::Official => "official",
            Self::V2 => "v2",
            Self::Fast => "fast",
        }
    }

    /// Its defaults.
    fn section(self) -> SearchSection {
        let mut run = SearchRunKeys {
            profile: self,
            ..SearchRunKeys::default()
        };
        let evolution = match self {
            Self::Paper => SearchConfig::default(),
            Self::Official => SearchConfig::official(false),
            Self::V2 => {
                run.objective = ObjectiveKind::Needle;
                SearchConfig::v2()
            }
            Self::Fast => SearchConfig::fast(),
        };
        SearchSection { run, evolution }
    }
}

impl TryFrom<Table> for SearchSection {
    type Error = toml::de::Error;

    fn try_from(table: Table) -> Result<Self, Self::Error> {
        let run_keys = field_names::<SearchRunKeys>();
        let (run, evolution): (Table, Table) = table
            .into_iter()
            .partition(|(key, _)| run_keys.contains(&key.as_str()));
        let profile = match run.get("profile") {
            Some(profile) => profile.clone().try_into()?,
            None => Profile::Paper,
        };
        let defaults = profile.section();
        // Whole keys win over the profile's: one way to search for the attention scale is not part of another.
        let over = |defaults: Result<Table, toml::ser::Error>, own: Table| {
            let mut table = defaults.unwrap_or_default();
            table.extend(own);
            table
        };
        Ok(Self {
            run: over(Table::try_from(defaults.run), run).try_into()?,
            evolution: over(Table::try_from(defaults.evolution), evolution).try_into()?,
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
#[path = "config_tests.rs"]
mod tests;
