//! Errors of pretrainings.

use std::path::PathBuf;

/// A pretraining that cannot be run as it is configured, or whose files are not as expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PretrainError {
    /// There are no phases.
    #[error("`pretrain.phases` is empty: there is nothing to do")]
    NoPhases,
    /// The name of a phase cannot be part of a folder's name.
    #[error(
        "phase {number} of `pretrain.phases`, `{name}`: expected letters, digits and hyphens as its name"
    )]
    PhaseName {
        /// Number of the phase, from 1.
        number: usize,
        /// Its name.
        name: String,
    },
    /// Two phases have one name, by which their steps are told apart.
    #[error(
        "phases {earlier} and {number} of `pretrain.phases` are both named `{name}`, expected a name for each"
    )]
    SamePhaseName {
        /// Number of the phase, from 1.
        number: usize,
        /// Number of the earlier phase with this name.
        earlier: usize,
        /// The name.
        name: String,
    },
    /// A count is 0.
    #[error("phase {number} of `pretrain.phases`, `{name}`: `{key}` is 0, expected at least 1")]
    ZeroCount {
        /// Number of the phase, from 1.
        number: usize,
        /// Its name.
        name: String,
        /// The key.
        key: &'static str,
    },
    /// A setting of a phase is out of range.
    #[error("phase {number} of `pretrain.phases`, `{name}`")]
    PhaseSetting {
        /// Number of the phase, from 1.
        number: usize,
        /// Its name.
        name: String,
        /// The setting.
        source: longrope_trainer::Error,
    },
    /// The windows of a phase are longer than the model's.
    #[error(
        "phase {number} of `pretrain.phases`, `{name}`: `window` is {found}, expected at most the {longest} tokens of \
         the model's window"
    )]
    PhaseWindow {
        /// Number of the phase, from 1.
        number: usize,
        /// Its name.
        name: String,
        /// Tokens of its windows.
        found: usize,
        /// Tokens of the model's window.
        longest: usize,
    },
    /// The folder of the trained model is there before the run begins.
    #[error("`{}` exists already, and the trained model would replace it", .folder.display())]
    ModelInPlace {
        /// The folder.
        folder: PathBuf,
    },
    /// A file of the checkpoint that the pretraining begins with is not as it was written.
    #[error("`{}` is {found}, expected the SHA-256 {expected} that it had when it was written", .path.display())]
    StartChanged {
        /// The file.
        path: PathBuf,
        /// What is found instead.
        found: String,
        /// SHA-256 in hexadecimal.
        expected: String,
    },
    /// No document to measure on is as long as the windows of a phase.
    #[error(
        "the longest document of `pretrain.held-out` has {longest} tokens, expected the {window} of a window of phase \
         `{phase}`"
    )]
    HeldOutTooShort {
        /// Name of the phase.
        phase: String,
        /// Tokens of its windows.
        window: usize,
        /// Tokens of the longest document.
        longest: usize,
    },
    /// There are no training documents.
    #[error("there is no text to train on")]
    NoText,
    /// The tokenizer lacks a token that separates documents.
    #[error("the tokenizer in `{}` has no token `{token}`", .folder.display())]
    NoSpecialToken {
        /// Folder of the tokenizer.
        folder: PathBuf,
        /// The token.
        token: &'static str,
    },
    /// The model that a phase begins with cannot be loaded.
    #[error("loading model `{}`", .folder.display())]
    Load {
        /// Folder of the model.
        folder: PathBuf,
        /// Why not.
        source: longrope_model::Error,
    },
    /// Documents of a phase cannot be generated.
    #[error("{kind} documents of phase `{phase}`")]
    Documents {
        /// What the documents are: `copying`, `passkey` or `recall`.
        kind: &'static str,
        /// Name of the phase.
        phase: String,
        /// Why not.
        source: longrope_data::Error,
    },
    /// The windows of a phase cannot be mixed in its shares.
    #[error("the shares of phase `{phase}`")]
    Shares {
        /// Name of the phase.
        phase: String,
        /// Why not.
        source: longrope_data::Error,
    },
    /// A phase ended without a saved state.
    #[error("phase `{phase}` left no state in `{}`", .folder.display())]
    NoState {
        /// Name of the phase.
        phase: String,
        /// Its folder.
        folder: PathBuf,
    },
}
