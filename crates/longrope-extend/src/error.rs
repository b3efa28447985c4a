//! Errors of searches, recoveries, recipes and pretrainings.

use std::path::PathBuf;

use longrope_eval::ChangedSetting;
use longrope_search::StepError;

use crate::interrupt::Interrupted;
use crate::pool::PoolError;
use crate::pretrain::error::PretrainError;
use crate::run_folder::kind::RunKind;
use crate::search::saved::search_input::{SearchInput, listed};

/// The result type of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why losses could not be measured.
pub type ScoringError = PoolError<longrope_eval::Error>;

/// An error of a search, recovery or recipe.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The work stopped because it was asked to. What was done is saved.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),

    /// Every device has failed.
    #[error("no device is left to compute on, the last one, `{name}`, failed: {reason}")]
    NoDeviceLeft {
        /// The device that failed last.
        name: String,
        /// Why it failed.
        reason: String,
    },

    /// A worker's thread could not be started.
    #[error("starting a thread for device `{device}`")]
    Thread {
        /// The worker's device.
        device: String,
        /// The system's reason.
        source: std::io::Error,
    },

    /// The list of replicas is empty.
    #[error("the list of replicas is empty")]
    NoModel,

    /// The text is too short for the samples.
    #[error("selecting samples of {context} tokens")]
    Samples {
        /// Tokens of a sample.
        context: usize,
        /// What is missing.
        source: longrope_data::Error,
    },

    /// Needle texts could not be made.
    #[error("hiding needles in {context} tokens")]
    Needles {
        /// Tokens of a text.
        context: usize,
        /// The reason.
        source: longrope_eval::Error,
    },

    /// The objective needs needle texts, but there is no tokenizer to make them.
    #[error("scoring on needles needs a tokenizer")]
    NeedlesNeedTokenizer,

    /// The weight of the needles is not between 0 and 1.
    #[error("`search.needle-weight` is {found}, expected 0 to 1")]
    NeedleWeight {
        /// The given weight.
        found: f64,
    },

    /// There are no samples to score candidates on.
    #[error("there are no samples to score candidates on")]
    NothingToScore,

    /// Samples are not longer than the original context, but the target is.
    #[error(
        "`search.sample-context` is {found}, expected more than the original context, {original}"
    )]
    SampleContext {
        /// Tokens of a sample.
        found: usize,
        /// Context that the model was trained for, tokens.
        original: usize,
    },

    /// The length of samples is given for a recovery.
    #[error(
        "`search.sample-context` is {found}, expected no such key in a recovery, whose samples are as long as each context"
    )]
    RecoverySamples {
        /// Tokens of a sample.
        found: usize,
    },

    /// A key of an adaptation is out of range, or contradicts another one.
    #[error("`{key}` is {found}, expected {expected}")]
    AdaptKey {
        /// The key.
        key: &'static str,
        /// The value given.
        found: String,
        /// What it may be.
        expected: String,
    },

    /// A model with streamed layers cannot be adapted.
    #[error("candidates cannot be adapted with streamed weights: the layers are not in memory")]
    AdaptStreamed,

    /// A RoPE with grouped positions cannot be trained.
    #[error(
        "candidates cannot be adapted under a RoPE that groups far positions: its attention has no gradients"
    )]
    AdaptGrouped,

    /// Every layer has a sliding window: far positions are never seen.
    #[error(
        "candidates cannot be adapted: all layers of this model have a sliding window, and see no far positions"
    )]
    AdaptNothingFar,

    /// The run folder already holds such a run.
    #[error("`{}` already holds a {kind}", .folder.display())]
    RunExists {
        /// The run folder.
        folder: PathBuf,
        /// What was to be begun.
        kind: RunKind,
    },

    /// The run folder holds a run of another kind.
    #[error("`{}` holds a {found}, expected a {expected}", .folder.display())]
    OtherKind {
        /// The run folder.
        folder: PathBuf,
        /// What it holds.
        found: RunKind,
        /// What was to be begun or resumed.
        expected: RunKind,
    },

    /// The path of a run folder is empty.
    #[error("the path of the run folder is empty")]
    NoFolder,

    /// A folder holds files that are not of a run.
    #[error("`{}` holds files that are not of a run, such as `{name}`", .folder.display())]
    ForeignFolder {
        /// The folder.
        folder: PathBuf,
        /// One of the files.
        name: String,
    },

    /// There is no run to resume.
    #[error("`{}` holds no {kind} to resume", .folder.display())]
    NoRun {
        /// The run folder.
        folder: PathBuf,
        /// What was to be resumed.
        kind: RunKind,
    },

    /// Another process works in the run folder.
    #[error("another process works in `{}`", .folder.display())]
    FolderInUse {
        /// The run folder.
        folder: PathBuf,
    },

    /// The run was begun by another version.
    #[error("`{}` has format `{format}` version {version}, which is not supported", .path.display())]
    RunVersion {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: String,
        /// Its version.
        version: u32,
    },

    /// A saved search cannot be read.
    #[error("reading search state `{}`", .path.display())]
    ReadState {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: longrope_search::Error,
    },

    /// The run was begun with other settings.
    #[error("the run in `{}` has other settings: {}", .path.display(), ChangedSetting::listed(.changes))]
    OtherSettings {
        /// The saved state, or the run folder.
        path: PathBuf,
        /// The settings that differ.
        changes: Vec<ChangedSetting>,
    },

    /// The saved state of a search is gone, although there was one.
    #[error("`{}` is missing, but the search in this folder had a state: {found}", .path.display())]
    SearchStateGone {
        /// The file that is missing.
        path: PathBuf,
        /// What shows that there was one.
        found: String,
    },

    /// The file with the inputs of a saved search is missing.
    #[error("`{}` is missing", .path.display())]
    InputsMissing {
        /// The file that is missing.
        path: PathBuf,
    },

    /// The saved search was started with another model, text or objective, or with other known factors.
    #[error("the search was started with another {}", listed(.what))]
    OtherInputs {
        /// What differs.
        what: Vec<SearchInput>,
    },

    /// A file written by this crate cannot be read.
    #[error("reading `{}`", .path.display())]
    ReadJson {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },

    /// A search ended without a winner.
    #[error("the search scored no candidate")]
    NoCandidate,

    /// Every candidate of a search has failed.
    #[error("{} failed, the first on sample {sample}: {reason}", all_candidates(*.candidates))]
    AllFailed {
        /// Candidates measured.
        candidates: usize,
        /// Index of the sample.
        sample: usize,
        /// Why it could not be scored.
        reason: String,
    },

    /// A search could not make its next step.
    #[error(transparent)]
    Step(Box<StepError<ScoringError>>),

    /// A RoPE without factor sets cannot be recovered.
    #[error("the RoPE has no factor sets")]
    NoFactorSets,

    /// A context is longer than the contexts of the RoPE.
    #[error("the RoPE is for up to {longest} tokens, so there is nothing to recover at {context}")]
    BeyondFactors {
        /// The longest context of the RoPE, tokens.
        longest: usize,
        /// The context to recover.
        context: usize,
    },

    /// Recovering one context failed.
    #[error("recovering {context} tokens")]
    Recovering {
        /// The context, tokens.
        context: usize,
        /// The reason.
        source: Box<Error>,
    },

    /// Windows of a context could not be placed.
    #[error("placing windows of {context} tokens")]
    Windows {
        /// Tokens of a window.
        context: usize,
        /// The reason.
        source: longrope_data::Error,
    },

    /// A recipe cannot be run as it is written.
    #[error(transparent)]
    Recipe(#[from] crate::recipe::error::RecipeError),

    /// A pretraining cannot be run as it is configured, or its files are not as expected.
    #[error(transparent)]
    Pretrain(Box<PretrainError>),

    /// A value could not be written as JSON.
    #[error("writing JSON")]
    Json(#[from] serde_json::Error),

    /// A file could not be read or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),

    /// Text could not be read, tokenized or cut into windows.
    #[error(transparent)]
    Data(#[from] longrope_data::Error),

    /// An evaluation failed.
    #[error(transparent)]
    Eval(#[from] longrope_eval::Error),

    /// The model failed.
    #[error(transparent)]
    Model(#[from] longrope_model::Error),

    /// A RoPE could not be made.
    #[error(transparent)]
    Rope(#[from] longrope_rope::Error),

    /// A search could not be set up.
    #[error(transparent)]
    Search(#[from] longrope_search::Error),

    /// Training failed.
    #[error(transparent)]
    Trainer(#[from] longrope_trainer::Error),
}

impl Error {
    /// Whether the work was asked to stop.
    pub fn is_interruption(&self) -> bool {
        match self {
            Self::Interrupted(_) => true,
            Self::Recovering { source, .. } => source.is_interruption(),
            _ => false,
        }
    }

    /// Whether every device has failed, which is not an error of the input.
    pub fn is_device_failure(&self) -> bool {
        match self {
            Self::NoDeviceLeft { .. } => true,
            Self::Recovering { source, .. } => source.is_device_failure(),
            _ => false,
        }
    }
}

impl From<PretrainError> for Error {
    fn from(error: PretrainError) -> Self {
        Self::Pretrain(Box::new(error))
    }
}

impl From<ScoringError> for Error {
    fn from(error: ScoringError) -> Self {
        match error {
            PoolError::Interrupted(stop) => Self::Interrupted(stop),
            PoolError::Refused(error) => Self::Eval(error),
            PoolError::NobodyLeft { name, reason } => Self::NoDeviceLeft { name, reason },
        }
    }
}

impl From<StepError<ScoringError>> for Error {
    fn from(error: StepError<ScoringError>) -> Self {
        match error {
            StepError::Objective { source, .. } => source.into(),
            error => Self::Step(Box::new(error)),
        }
    }
}

fn all_candidates(n: usize) -> String {
    match n {
        1 => "the only candidate".to_owned(),
        n => format!("all {n} candidates"),
    }
}
