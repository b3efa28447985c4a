//! Errors of searches, recoveries, recipes and pretrainings.

use std::path::PathBuf;

use longrope_search::StepError;

use crate::interrupt::Interrupted;
use crate::pool::PoolError;
use crate::pretrain::error::PretrainError;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why losses could not be measured.
pub type ScoringError = PoolError<longrope_eval::Error>;

/// What went wrong.
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

    /// There is no model to compute with.
    #[error("there is no model: a list of replicas has to have at least one")]
    NoModel,

    /// The text does not hold the samples that were asked for.
    #[error("selecting samples of {context} tokens")]
    Samples {
        /// Tokens of a sample.
        context: usize,
        /// What is missing.
        source: longrope_data::Error,
    },

    /// Needles could not be hidden.
    #[error("hiding needles in {context} tokens")]
    Needles {
        /// Tokens of a text.
        context: usize,
        /// The reason.
        source: longrope_eval::Error,
    },

    /// Needle texts are words, but only token ids were given.
    #[error("needles are made of words, but there is no tokenizer")]
    NeedlesNeedTokenizer,

    /// The share of the needles is no share.
    #[error("`search.needle-weight` is {found}, expected 0 to 1")]
    NeedleWeight {
        /// The share asked for.
        found: f64,
    },

    /// There are no samples.
    #[error("there is nothing to score candidates on")]
    NothingToScore,

    /// Samples are shorter than what factors for long contexts are for.
    #[error(
        "`search.sample-context` is {found}, expected more than the original context, {original}"
    )]
    SampleContext {
        /// Tokens of a sample.
        found: usize,
        /// The window the model was trained for.
        original: usize,
    },

    /// A search would overwrite another.
    #[error("`{}` already holds a search", .folder.display())]
    RunExists {
        /// The run folder.
        folder: PathBuf,
    },

    /// There is no search to resume.
    #[error("`{}` holds no search to resume, expected `{}`", .folder.display(), .state.display())]
    NoRun {
        /// The run folder.
        folder: PathBuf,
        /// The file that is missing.
        state: PathBuf,
    },

    /// A saved search cannot be read.
    #[error("reading search state `{}`", .path.display())]
    ReadState {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: longrope_search::Error,
    },

    /// The saved search has other settings.
    #[error("the search in `{}` has other settings: {differences}", .path.display())]
    OtherSettings {
        /// The saved state.
        path: PathBuf,
        /// Each key with both values.
        differences: String,
    },

    /// A folder holds a search whose inputs nobody wrote down.
    #[error("`{}` is missing", .path.display())]
    InputsMissing {
        /// The file that is missing.
        path: PathBuf,
    },

    /// The saved search had another model, text, objective or other known factors.
    #[error("the search was started with another {what}")]
    OtherInputs {
        /// What differs.
        what: &'static str,
    },

    /// A file this crate wrote cannot be read back.
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

    /// A search could not make its next step.
    #[error(transparent)]
    Step(Box<StepError<ScoringError>>),

    /// A RoPE without factor sets cannot be recovered.
    #[error("the RoPE has no factor sets")]
    NoFactorSets,

    /// A context lies beyond those a RoPE is made for.
    #[error("the RoPE is made for {longest} tokens, there is nothing to recover at {context}")]
    BeyondFactors {
        /// The longest context the RoPE is made for, tokens.
        longest: usize,
        /// The context asked for.
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

    /// Windows of a context could not be laid.
    #[error("laying windows of {context} tokens")]
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

    /// Whether every device has failed: nothing the input could have prevented.
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
