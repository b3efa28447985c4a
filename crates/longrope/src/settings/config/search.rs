//! `[search]`: what is searched, on what, and how.

use std::path::PathBuf;

use longrope_extend::{AdaptConfig, HeldOutShare, ObjectiveKind};
use longrope_search::{SearchConfig, UnreadKey, field_names};
use serde::{Deserialize, Serialize};
use toml::Table;

use crate::settings::changed::changed_keys;

/// `[search]`: the keys of the program and those of the search algorithm, in one table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Table", into = "Table")]
pub(crate) struct SearchSection {
    pub(crate) run: SearchRunKeys,
    pub(crate) evolution: SearchConfig,
}

impl SearchSection {
    /// What of these settings has no effect with the chosen operators, a sentence each. What the profile has anyway is left
    /// out. `has_init`: whether candidates to start from may have start tokens.
    pub(crate) fn unread(&self, has_init: bool) -> Vec<String> {
        let usual = self.run.profile.section().evolution;
        let operators = self.evolution.operators.name();
        let unread = self.evolution.unread_keys(&usual, has_init).into_iter();
        unread
            .map(|unread| {
                let UnreadKey { key, effect } = unread;
                format!("`search.{key}` {effect} with operators `{operators}`")
            })
            .chain(self.unread_adaptation())
            .collect()
    }

    /// What of `[search.adapt]` has no effect, because no candidate is trained.
    fn unread_adaptation(&self) -> Vec<String> {
        let adapt = &self.run.adapt;
        let unread = if adapt.is_on() {
            Vec::new()
        } else {
            changed_keys(adapt)
        };
        unread
            .iter()
            .map(|key| {
                format!(
                    "`search.adapt.{key}` has no effect while `search.adapt.steps` is 0, which trains nothing"
                )
            })
            .collect()
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
    pub(crate) stage: SearchStage,
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
            stage: SearchStage::Factors,
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
pub(crate) enum SearchStage {
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
    pub(in crate::settings) fn section(self) -> SearchSection {
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
