//! What every search on a model needs, whatever it searches for.

use longrope_data::{TokenDocument, Tokenizer};
use longrope_model::ResultSource;
use longrope_search::SearchConfig;

use super::calibration::CalibrationOptions;
use super::held_out::split::HeldOutShare;
use crate::scoring::Models;

/// Model, text and settings of a search.
#[derive(Clone, Debug)]
pub struct SearchInputs<'a> {
    /// The model, on every device that computes.
    pub models: &'a Models,
    /// Model, text, seed, devices and so on, for the results.
    pub source: ResultSource,
    /// The text that samples are taken from.
    pub documents: &'a [TokenDocument],
    /// How much of that text the search does not see, to judge its winner on.
    pub held_out: HeldOutShare,
    /// The tokenizer, for needles and passkeys.
    pub tokenizer: Option<&'a Tokenizer>,
    /// How samples are chosen.
    pub calibration: CalibrationOptions,
    /// Tokens of a sample; `None` for those of the context that is searched for.
    pub sample_context: Option<usize>,
    /// Name of the search's profile, for the provenance.
    pub profile: String,
    /// The evolution.
    pub evolution: SearchConfig,
    /// Kept in the run folder as `config.toml`, to tell how the search was made.
    pub settings: String,
}
