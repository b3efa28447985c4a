//! The configuration of every verb. All verbs share one file format.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use longrope_eval::{GainConfig, NeedleConfig, NeedleTextConfig, PasskeyConfig, PplProtocol};
use longrope_extend::pretrain::PretrainConfig;
use longrope_extend::{AdaptConfig, HeldOutShare, ObjectiveKind};
use longrope_model::FactorChoice;
use longrope_rope::AnglePrecision;
use longrope_search::{SearchConfig, field_names};
use longrope_trainer::run::TrainConfig;
use serde::{Deserialize, Serialize};
use toml::Table;

use crate::settings::device_names::DeviceNames;
use crate::settings::path_text::{from_text, to_text};

/// All configuration keys. Paths are relative to the working directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Checkpoint folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<PathBuf>,
    /// The GGUF file that `model` was unpacked from. It is what is saved: the unpacked folder may be deleted at any time.
    #[serde(skip)]
    pub(crate) gguf: Option<PathBuf>,
    /// Text files, folders or JSON lines.
    pub(crate) text: Vec<PathBuf>,
    /// Token ids instead of text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tokens: Option<PathBuf>,
    /// Run folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) out: Option<PathBuf>,
    /// Devices to compute on.
    pub(crate) device: DeviceNames,
    /// How weights are kept.
    pub(crate) weights: WeightSetting,
    /// The type that a model is measured and generates in. Trainings have their own.
    pub(crate) precision: PrecisionSetting,
    /// Which layers a RoPE is for, in models where some layers have one of their own.
    pub(crate) rope_layers: RopeLayers,
    /// Seed of all random choices.
    #[serde(with = "crate::settings::big_number")]
    pub(crate) seed: u64,
    /// Whether to start a job that needs more memory than there is.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) force: bool,
    /// RoPEs by name or path.
    pub(crate) rope: Vec<String>,
    /// Contexts to measure or to recover, in tokens.
    pub(crate) contexts: Vec<usize>,
    /// How text is read.
    pub(crate) data: DataSection,
    /// How windows are placed and scored.
    pub(crate) eval: EvalSection,
    /// What `compare` compares.
    pub(crate) compare: CompareSection,
    /// The search.
    pub(crate) search: SearchSection,
    /// Needles in the samples of a search.
    pub(crate) search_needle: NeedleTextConfig,
    /// How short contexts are recovered.
    pub(crate) recover: RecoverSection,
    /// How text is generated.
    pub(crate) generate: GenerateSection,
    /// How a model is trained from scratch.
    pub(crate) pretrain: PretrainConfig,
    /// How passkeys are hidden.
    pub(crate) passkey: PasskeyConfig,
    /// How needles are hidden.
    pub(crate) needle: NeedleConfig,
    /// What `eval gain` scores.
    pub(crate) gain: GainConfig,
    /// Which benchmark is run.
    pub(crate) bench: BenchSection,
    /// How a model is trained.
    pub(crate) train: TrainConfig,
    /// Which RULER tasks are run.
    pub(crate) ruler: RulerSection,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            gguf: None,
            model: None,
            text: Vec::new(),
            tokens: None,
            out: None,
            device: DeviceNames::One("flex".to_owned()),
            weights: WeightSetting::Resident,
            precision: PrecisionSetting::Auto,
            rope_layers: RopeLayers::Full,
            seed: 42,
            force: false,
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
            pretrain: PretrainConfig::default(),
            passkey: PasskeyConfig::default(),
            needle: NeedleConfig::default(),
            gain: GainConfig::default(),
            ruler: RulerSection::default(),
        }
    }
}

/// Which layers a RoPE is for, in models where layers with a sliding window have a RoPE of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RopeLayers {
    /// Layers that see all tokens; the others keep theirs.
    #[default]
    Full,
    /// All layers.
    All,
}

/// How weights are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WeightSetting {
    /// All weights stay in memory.
    Resident,
    /// Layers are read from the files when they are needed, for models larger than memory.
    Streamed,
}

/// The type of weights in memory and, on GPUs, of computations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PrecisionSetting {
    /// `f32` on CPUs, and half precision on GPUs.
    Auto,
    /// `f32`.
    F32,
    /// `bf16`.
    Bf16,
    /// `f16`.
    F16,
}

impl PrecisionSetting {
    /// Its name in settings.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        }
    }

    /// Whether it asks for half precision on every device.
    pub(crate) fn is_half(self) -> bool {
        matches!(self, Self::Bf16 | Self::F16)
    }
}

/// `[generate]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub(crate) struct GenerateSection {
    /// Prompts to continue.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) prompts: Vec<String>,
    /// Files with a prompt each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) prompt_files: Vec<PathBuf>,
    /// Maximum number of tokens to add to a prompt.
    pub(crate) max_new_tokens: usize,
    /// Sampling temperature; 0 always takes the most likely token.
    pub(crate) temperature: f64,
    /// Draw from this number of most likely tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) top_k: Option<usize>,
    /// Draw from the most likely tokens that together have this probability.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) top_p: Option<f64>,
    /// Whether to continue after the end-of-text token.
    pub(crate) ignore_eos: bool,
    /// Which factor set is used for a sequence.
    pub(crate) factors: FactorSetting,
}

impl Default for GenerateSection {
    fn default() -> Self {
        Self {
            prompts: Vec::new(),
            prompt_files: Vec::new(),
            max_new_tokens: 64,
            temperature: 0.0,
            top_k: None,
            top_p: None,
            ignore_eos: false,
            factors: FactorSetting::Total,
        }
    }
}

/// Which factor set is used for a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FactorSetting {
    /// The set for prompt and new tokens together, from the start.
    Total,
    /// The set for the current length. The sequence is computed again when it crosses a border between sets.
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
    /// Folder of the token cache; without it, text is tokenized on every run.
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
    /// Windows per document, evenly spaced.
    pub(crate) windows: usize,
    /// Tokens from the start of one window to the start of the next, for overlapping windows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stride: Option<usize>,
    /// Tokens of the windows that are spread and then divided, so that all contexts score the same text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) within: Option<usize>,
    /// Position of the beginning-of-text token.
    pub(crate) bos: BosSetting,
    /// Precision of angles.
    pub(crate) angles: AngleSetting,
    /// Perplexity protocol.
    pub(crate) protocol: PplProtocol,
    /// RoPE that differences are taken to; if unset, the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reference: Option<String>,
    /// Score from 0 to 1 that a context needs to count as effective.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) threshold: Option<f64>,
}

impl Default for EvalSection {
    fn default() -> Self {
        Self {
            windows: 8,
            stride: None,
            within: None,
            bos: BosSetting::Document,
            angles: AngleSetting::F64,
            protocol: PplProtocol::Longrope,
            reference: None,
            threshold: None,
        }
    }
}

/// Position of the beginning-of-text token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum BosSetting {
    /// At the beginning of a document, where the tokenizer puts it.
    Document,
    /// At the beginning of every window.
    Window,
    /// Nowhere.
    None,
}

/// Precision of angles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AngleSetting {
    /// Exact at every position.
    F64,
    /// With the rounding of transformers, whose error grows with the position.
    CompatF32,
}

impl From<AngleSetting> for AnglePrecision {
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
    /// Name of the benchmark.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// Files with questions.
    pub(crate) data: Vec<PathBuf>,
    /// Files with few-shot examples.
    pub(crate) fewshot: Vec<PathBuf>,
    /// Examples before each question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) shots: Option<usize>,
    /// Maximum number of questions, per subject if there are subjects.
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
    /// Names of tasks; if empty, all tasks with available data.
    pub(crate) tasks: Vec<String>,
    /// Samples per task and context.
    pub(crate) samples: usize,
    /// JSON file of SQuAD, for `qa_1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) squad: Option<PathBuf>,
    /// JSON file of HotpotQA, for `qa_2`.
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

/// `[search]`: the keys of the program and those of the search algorithm, in one table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Table", into = "Table")]
pub(crate) struct SearchSection {
    pub(crate) run: SearchRunKeys,
    pub(crate) evolution: SearchConfig,
}

/// The keys of `[search]` about model, text and objective.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub(crate) struct SearchRunKeys {
    /// Context to extend to, in tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) target: Option<usize>,
    /// Search profile.
    pub(crate) profile: Profile,
    /// Text samples that every candidate is scored on.
    pub(crate) samples: usize,
    /// Tokens per sample; if unset, the target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sample_context: Option<usize>,
    /// Factors to add to the seeds, or to search ratios on top of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) init: Option<PathBuf>,
    /// What is searched.
    pub(crate) stage: Stage,
    /// What is minimized.
    pub(crate) objective: ObjectiveSetting,
    /// Weight of the needles in a combined objective.
    pub(crate) needle_weight: f64,
    /// Passkey trials of the result and of the methods.
    pub(crate) passkey_trials: usize,
    /// Share of the text that the search does not see, to judge its result on.
    pub(crate) held_out: HeldOutShare,
    /// How the model is adapted to each candidate before it is scored.
    #[serde(skip_serializing_if = "AdaptConfig::is_default")]
    pub(crate) adapt: AdaptConfig,
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
            objective: ObjectiveSetting::Auto,
            needle_weight: 0.5,
            passkey_trials: 10,
            held_out: HeldOutShare::Auto,
            adapt: AdaptConfig::default(),
        }
    }
}

/// What is minimized.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ObjectiveSetting {
    /// Text and passkeys if the model finds passkeys within its own window, else text.
    Auto,
    /// The loss on text.
    Perplexity,
    /// The loss on answers about needles.
    Needle,
    /// Both.
    Combined,
}

impl ObjectiveSetting {
    /// The objective; `None` if it is chosen when the search begins.
    pub(crate) fn given(self) -> Option<ObjectiveKind> {
        match self {
            Self::Auto => None,
            Self::Perplexity => Some(ObjectiveKind::Perplexity),
            Self::Needle => Some(ObjectiveKind::Needle),
            Self::Combined => Some(ObjectiveKind::Combined),
        }
    }
}

/// What is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Stage {
    /// Rescale factors.
    Factors,
    /// Ratios that multiply the factors of `init`.
    Ratios,
}

/// Search profile: the defaults of the keys of `[search]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Profile {
    /// The search of LongRoPE, arXiv 2402.13753.
    Paper,
    /// The search of the code released with LongRoPE.
    Official,
    /// The search of LongRoPE2, arXiv 2502.20082.
    V2,
    /// The search space of `Paper` with a quarter of the candidates.
    Fast,
}

impl Profile {
    /// Name in configuration files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Paper => "paper",
            Self::Official => "official",
            Self::V2 => "v2",
            Self::Fast => "fast",
        }
    }

    /// Defaults of the profile.
    pub(super) fn section(self) -> SearchSection {
        let mut run = SearchRunKeys {
            profile: self,
            ..SearchRunKeys::default()
        };
        let evolution = match self {
            Self::Paper => SearchConfig::default(),
            Self::Official => {
                run.objective = ObjectiveSetting::Perplexity;
                SearchConfig::official(false)
            }
            Self::V2 => {
                run.objective = ObjectiveSetting::Needle;
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
        // Keys replace those of the profile as a whole: settings of the attention scale are not merged with others.
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
    /// Reads the merged layers, whose paths are in their text form.
    pub(crate) fn from_table(table: Table) -> Result<Self> {
        let mut config = table.try_into::<Self>()?;
        config.change_paths(from_text);
        Ok(config)
    }

    /// The model as it was given: the GGUF file, if `model` was unpacked from one.
    pub(crate) fn named_model(&self) -> Option<&Path> {
        self.gguf.as_deref().or(self.model.as_deref())
    }

    /// Serializes the configuration as a file that reproduces it.
    pub(crate) fn to_toml(&self) -> Result<String> {
        let mut config = self.clone();
        if let Some(gguf) = config.gguf.take() {
            config.model = Some(gguf);
        }
        config.change_paths(|path| to_text(&path).into());
        toml::to_string_pretty(&config).context("writing the resolved configuration as TOML")
    }

    /// Changes all paths that flags can set.
    fn change_paths(&mut self, change: impl Fn(PathBuf) -> PathBuf) {
        let optional = [
            &mut self.model,
            &mut self.tokens,
            &mut self.out,
            &mut self.search.run.init,
            &mut self.ruler.squad,
            &mut self.ruler.hotpotqa,
        ];
        let lists = [
            &mut self.text,
            &mut self.bench.data,
            &mut self.bench.fewshot,
            &mut self.generate.prompt_files,
        ];
        let paths = optional.into_iter().flatten();
        for path in paths.chain(lists.into_iter().flatten()) {
            *path = change(std::mem::take(path));
        }
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
