//! Errors of measuring.

use std::path::PathBuf;

use crate::changed_setting::{ChangedSetting, after_colon};

/// The result of this crate's fallible functions.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong while measuring.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The model could not run a batch.
    #[error("the model could not score a window")]
    Model(#[from] longrope_model::Error),

    /// A loss is NaN or infinite.
    #[error("{what} could not be scored")]
    NotFinite {
        /// The window or sample.
        what: String,
        /// Where the loss is.
        source: Box<longrope_model::Error>,
    },

    /// A benchmark could not be read or asked.
    #[error(transparent)]
    Bench(#[from] crate::bench::BenchError),

    /// A prompt could not be turned into tokens, or an answer into text.
    #[error("a prompt could not be tokenized")]
    Data(#[from] longrope_data::Error),

    /// The text has no window to measure.
    #[error(transparent)]
    Windows(longrope_data::Error),

    /// The required parts of a prompt are longer than the context.
    #[error(
        "`{task}` does not fit into {context} tokens: with this tokenizer its text alone has {needed}"
    )]
    ContextTooShort {
        /// Name of the task.
        task: String,
        /// The context, tokens.
        context: usize,
        /// Tokens of the shortest prompt with its answer; of several trials, those of the longest.
        needed: usize,
    },

    /// A window has no text that the original window does not reach.
    #[error(
        "a context of {context} tokens has no text beyond the original window of {original_context}"
    )]
    NothingFar {
        /// The context, tokens.
        context: usize,
        /// The window that the model was trained on, tokens.
        original_context: usize,
    },

    /// No cut of the filler gives exactly the requested number of tokens.
    #[error("`{task}`: no prompt of exactly {context} tokens was found")]
    NoExactFit {
        /// Name of the task.
        task: String,
        /// Tokens requested.
        context: usize,
    },

    /// The text or data that a task is made from is missing.
    #[error("`{task}` needs {what}")]
    MissingData {
        /// Name of the task.
        task: String,
        /// What is missing.
        what: &'static str,
    },

    /// A file of questions could not be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),

    /// A file of questions does not have the form of its data set.
    #[error("`{}` does not have the form of its data set", path.display())]
    QaForm {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },

    /// A file of questions has no question with an answer.
    #[error("`{}` has no question with an answer", path.display())]
    NoQuestions {
        /// The file.
        path: PathBuf,
    },

    /// A setting of a task is out of range.
    #[error("`{task}`: `{setting}` is {found}, expected {expected}")]
    InvalidSetting {
        /// Name of the task.
        task: String,
        /// Name of the setting.
        setting: &'static str,
        /// Its value.
        found: String,
        /// Values that are allowed.
        expected: &'static str,
    },

    /// An answer or a question has a placeholder that the text does not give a value of.
    #[error("`{task}`: `{setting}` has no `{placeholder}`, which {asked_by}; it is `{found}`")]
    MissingPlaceholder {
        /// Name of the task.
        task: String,
        /// The setting that needs the placeholder.
        setting: &'static str,
        /// The placeholder, with its braces.
        placeholder: &'static str,
        /// What asks for it.
        asked_by: &'static str,
        /// The setting's text.
        found: String,
    },

    /// The parts of a needle text are longer than the text may be.
    #[error("a needle and its question take {needed} tokens, there is room for {room}")]
    NeedleTooLong {
        /// Tokens of the parts without filler.
        needed: usize,
        /// Tokens of the whole text.
        room: usize,
    },

    /// No document is long enough to hide a needle in.
    #[error("no document has {n_tokens} tokens to hide a needle in")]
    NoFillerText {
        /// Tokens of filler needed.
        n_tokens: usize,
    },

    /// A new evaluation would overwrite the state of an interrupted one.
    #[error("`{}` holds an evaluation that was interrupted", path.display())]
    StateExists {
        /// The file.
        path: PathBuf,
    },

    /// There is no saved state to resume.
    #[error("there is no evaluation to resume, expected `{}`", path.display())]
    NoState {
        /// The file.
        path: PathBuf,
    },

    /// A saved state belongs to another model.
    #[error("`{}` was made with another model", path.display())]
    StateModel {
        /// The file.
        path: PathBuf,
    },

    /// A saved state belongs to another text or data set.
    #[error("`{}` was made with another text", path.display())]
    StateText {
        /// The file.
        path: PathBuf,
    },

    /// A saved state was measured in another precision.
    #[error("`{}` was begun in `{saved}`, it cannot be continued in `{now}`", path.display())]
    StatePrecision {
        /// The file.
        path: PathBuf,
        /// The precision of its trials.
        saved: String,
        /// The precision of this evaluation.
        now: String,
    },

    /// A saved state was measured with RoPEs in other layers.
    #[error("`{}` was made with another `rope-layers`", path.display())]
    StateLayers {
        /// The file.
        path: PathBuf,
    },

    /// The trials of a saved state are not those of the task.
    #[error("the saved trials of `{task}` are damaged: trial {trial} {problem}")]
    StateTrials {
        /// Name of the task.
        task: String,
        /// Position of the trial, from 0.
        trial: usize,
        /// What is wrong with it.
        problem: String,
    },

    /// The trials of a saved state have the numbers of other questions.
    #[error("the saved trials of `{task}` are of other questions, trial {trial} for one")]
    StateQuestions {
        /// Name of the task.
        task: String,
        /// Number of the first of them.
        trial: usize,
    },

    /// A saved state belongs to other tasks or settings.
    #[error("`{}` was made with other settings{}", path.display(), after_colon(changes))]
    StateSettings {
        /// The file.
        path: PathBuf,
        /// What differs.
        changes: Vec<ChangedSetting>,
    },

    /// A saved state cannot be parsed.
    #[error("`{}` is not the state of an evaluation", path.display())]
    StateJson {
        /// The file.
        path: PathBuf,
        /// What the JSON parser says.
        source: serde_json::Error,
    },

    /// A file says that it is of another format.
    #[error("`{}`: `format` is `{found}`, expected `{expected}`", path.display())]
    StateFormat {
        /// The file.
        path: PathBuf,
        /// The format in the file.
        found: String,
        /// The format of saved states.
        expected: &'static str,
    },

    /// A saved state was written by another version of this crate.
    #[error("`{}`: `version` is {found}, this program reads {expected}", path.display())]
    StateVersion {
        /// The file.
        path: PathBuf,
        /// The version in the file.
        found: u32,
        /// The version that can be read.
        expected: u32,
    },
}

impl Error {
    /// The error of a window or sample with a loss that is not finite.
    pub fn not_finite(what: String, source: longrope_model::Error) -> Self {
        let source = Box::new(source);
        Self::NotFinite { what, source }
    }
}
