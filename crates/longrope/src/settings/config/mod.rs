//! The configuration of every verb. All verbs share one file format. Each of its sections that no library defines has a
//! file here.

mod bench;
mod compare;
mod data;
mod eval;
mod generate;
mod model;
mod recover;
mod ruler;
mod search;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use longrope_eval::{GainConfig, NeedleConfig, NeedleTextConfig, PasskeyConfig};
use longrope_extend::pretrain::PretrainConfig;
use longrope_trainer::run::TrainConfig;
use serde::{Deserialize, Serialize};
use toml::Table;

pub(crate) use self::compare::CompareSection;
pub(crate) use self::eval::{AngleSetting, BosSetting, EvalSection};
pub(crate) use self::generate::GenerateSection;
pub(crate) use self::model::{PrecisionSetting, RopeLayers, WeightSetting};
pub(crate) use self::search::{Profile, SearchRunKeys, SearchSection, SearchStage};

use self::bench::BenchSection;
use self::data::DataSection;
use self::recover::RecoverSection;
use self::ruler::RulerSection;
use crate::settings::device_names::DeviceNames;
use crate::settings::path_text::{from_text, to_text};
use crate::settings::words;

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
    /// Whether `seed` was set. Examples of benchmarks have another default.
    #[serde(skip)]
    pub(crate) has_seed: bool,
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
            has_seed: false,
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

impl Config {
    /// Reads the merged layers, whose paths are in their text form.
    pub(crate) fn from_table(table: Table) -> Result<Self> {
        let has_seed = table.contains_key("seed");
        let mut config: Self = words::deserialize(table)?;
        config.has_seed = has_seed;
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
mod tests;
