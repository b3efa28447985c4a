//! Errors of training.

use std::path::PathBuf;

use longrope_data::counted;

/// Result of the functions in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Result of a callback that the caller passes in.
pub type HookResult<T> = std::result::Result<T, HookError>;

/// Error of a callback that the caller passes in.
pub type HookError = Box<dyn std::error::Error + Send + Sync>;

/// An error of training.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing can be offloaded.
    #[error("`train.offload` is true, but without `train.recompute` no inputs of layers are kept")]
    Offload,
    /// A setting is out of range, or contradicts another one.
    #[error("`{key}` is {found}, expected {expected}")]
    Setting {
        /// The key; see [`Error::within`].
        key: String,
        /// The value given.
        found: String,
        /// What it may be.
        expected: String,
    },
    /// Every layer that rotates its keys has a sliding window: far positions are never seen.
    #[error(
        "every layer of this model that rotates its keys has a sliding window: no far positions can be trained"
    )]
    NothingFar,
    /// The model is a part of a larger one, and a trained checkpoint would lack the rest.
    #[error(
        "`{}` is a model of text and images: a trained checkpoint would hold its language model only",
        .folder.display()
    )]
    NestedModel {
        /// Folder of the model.
        folder: PathBuf,
    },
    /// Two consecutive steps had a loss or gradient that was not finite.
    #[error(
        "step {step} has loss {loss} and gradient norm {norm}, the second step in a row that is not finite"
    )]
    NotFinite {
        /// The step.
        step: usize,
        /// Its loss, nats per token.
        loss: f64,
        /// Norm of its gradients.
        norm: f64,
    },
    /// The weights were never changed, because no step had a loss and gradients that are finite.
    #[error(
        "the weights were not changed in {}: the last had loss {loss} and gradient norm {norm}, expected finite \
         numbers",
        counted(*steps, "step")
    )]
    NeverFinite {
        /// Number of steps.
        steps: usize,
        /// Loss of the last one, nats per token.
        loss: f64,
        /// Norm of its gradients.
        norm: f64,
    },
    /// A trained weight is NaN or infinite, so it is not saved.
    #[error(
        "after step {step}, tensor `{tensor}` holds {value} at index {index:?}, expected finite numbers only: the \
         weights are not saved"
    )]
    WeightNotFinite {
        /// The last step.
        step: usize,
        /// Name of the tensor.
        tensor: String,
        /// Place in the tensor, one index per dimension, from 0.
        index: Vec<usize>,
        /// The weight.
        value: f64,
    },
    /// All tokens of a step have weight 0.
    #[error("step {step} has no token whose loss counts")]
    NothingCounts {
        /// The step.
        step: usize,
    },
    /// No part of the training data has a share above 0.
    #[error("`train.data` leaves nothing to train on")]
    NothingToTrainOn,
    /// Generated documents are wanted, but there is no tokenizer to make them with.
    #[error("generated documents need a tokenizer, and there is none")]
    NoTokenizer,
    /// A part of the training data cannot be made into windows.
    #[error("windows of `{part}`")]
    Windows {
        /// The part, as in the configuration.
        part: &'static str,
        /// Why not.
        #[source]
        source: longrope_data::Error,
    },
    /// A saved state is damaged or of another version.
    #[error("training state `{}`: {problem}", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// None of the saved states is whole.
    #[error("no saved state is whole; the last one, `{}`: {problem}", path.display())]
    NoWholeState {
        /// The folder of the last one.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The folder of the trained model is there before the run begins.
    #[error("`{}` exists already, and the trained model would replace it", folder.display())]
    ModelInPlace {
        /// The folder.
        folder: PathBuf,
    },
    /// There is no saved state to resume from, although there have been some.
    #[error("`{}` holds no saved state to resume from, but there were some: {found}", folder.display())]
    StatesGone {
        /// The folder of the states.
        folder: PathBuf,
        /// What shows that there were some.
        found: String,
    },
    /// A saved state belongs to a run with other settings.
    #[error("the run in `{}` was started with other settings, another model or other text", folder.display())]
    OtherSettings {
        /// The folder of the state.
        folder: PathBuf,
    },
    /// The position in the data that a state holds cannot be read.
    #[error("the data position saved in `{}`", folder.display())]
    DataPosition {
        /// The folder of the state.
        folder: PathBuf,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// Model or optimizer cannot be restored from a saved state.
    #[error("resuming from `{}`", folder.display())]
    Resume {
        /// The folder of the state.
        folder: PathBuf,
        /// Why not.
        source: Box<Error>,
    },
    /// A state cannot be saved.
    #[error("saving the state of step {step} in `{}`; the states saved before are intact", folder.display())]
    Save {
        /// The step.
        step: usize,
        /// The folder of the run.
        folder: PathBuf,
        /// Why not.
        source: Box<Error>,
    },
    /// A run failed between its first and its last step.
    #[error("training in `{}`", folder.display())]
    Run {
        /// The folder of the run.
        folder: PathBuf,
        /// What failed.
        source: Box<Error>,
    },
    /// A file of metrics is of another format or version.
    #[error("metrics `{}` have format `{format}` version {version}, which is not supported", path.display())]
    Metrics {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: String,
        /// Its version.
        version: u32,
    },
    /// A file could not be read or written; the source names the path.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// An error of the model, or of one of its files.
    #[error(transparent)]
    Model(#[from] longrope_model::Error),
    /// An error of the training data.
    #[error(transparent)]
    Data(#[from] longrope_data::Error),
    /// One of several devices failed.
    #[error("device `{device}` failed: {message}")]
    DeviceFailed {
        /// Its name.
        device: String,
        /// What it said.
        message: String,
    },
    /// Threads for a device could not be started.
    #[error("starting threads for a device")]
    Threads(#[source] rayon::ThreadPoolBuildError),
    /// The user stopped the training at once, in the dashboard. The last saved state is intact.
    #[error("training was stopped at once, without saving")]
    Killed,
    /// The training thread panicked.
    #[error("the training thread panicked")]
    Panicked,
    /// The training loop returned before the last step without an error.
    #[error("the training loop ended before its last step")]
    CutOff,
    /// A callback of the caller failed.
    #[error(transparent)]
    Hook(HookError),
}

impl Error {
    /// A setting whose value is not as expected.
    pub(crate) fn setting(key: &str, found: &impl ToString, expected: &str) -> Self {
        Self::Setting {
            key: key.to_owned(),
            found: found.to_string(),
            expected: expected.to_owned(),
        }
    }

    /// The same error. The key of a setting begins with the section that it is in: `beta1` within `optimizer` is
    /// `optimizer.beta1`.
    #[must_use]
    pub fn within(self, section: &str) -> Self {
        match self {
            Self::Setting {
                key,
                found,
                expected,
            } => Self::Setting {
                key: format!("{section}.{key}"),
                found,
                expected,
            },
            other => other,
        }
    }
}
