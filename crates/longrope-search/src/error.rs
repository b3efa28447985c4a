//! Errors: each names the value found and what was expected, so that a user knows what to change.

use std::error::Error as StdError;

/// Why a search could not be set up, or why its state could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A key of the search configuration has a value outside its range.
    #[error("search config `{key}` is {found}, expected {expected}")]
    InvalidConfig {
        /// The key as it is written in a config file.
        key: &'static str,
        /// The value given.
        found: String,
        /// What would have been accepted.
        expected: String,
    },
    /// The model or the target context is out of range.
    #[error("search problem `{field}` is {found}, expected {expected}")]
    InvalidProblem {
        /// The field of [`SearchProblem`](crate::SearchProblem).
        field: &'static str,
        /// The value given.
        found: String,
        /// What would have been accepted.
        expected: String,
    },
    /// A factor vector has the wrong length for the space.
    #[error("factor vector has {found} values, expected {expected}")]
    FactorCount {
        /// Values given.
        found: usize,
        /// Pairs of the space.
        expected: usize,
    },
    /// A factor is NaN or infinite and so has no nearest grid point.
    #[error("factor of pair {pair} is {found}, expected a finite number")]
    FactorValue {
        /// Index of the pair.
        pair: usize,
        /// The value given.
        found: f64,
    },
    /// An initial candidate of the caller is outside the search space.
    #[error("initial candidate {index} has {found}, expected {expected}")]
    InitOutsideSpace {
        /// Position in the list given.
        index: usize,
        /// The key of the search configuration that excludes it; `None` if no key does.
        key: Option<&'static str>,
        /// What is wrong with it.
        found: String,
        /// What the space allows.
        expected: String,
    },
    /// The state is not valid JSON, or not of the right shape.
    #[error("search state cannot be read or written as JSON")]
    StateJson {
        /// The parser's message, with line and column.
        #[source]
        source: serde_json::Error,
    },
    /// The JSON is a file of another kind.
    #[error("search state `format` is {found}, expected `{expected}`")]
    StateFormat {
        /// The format named in the file.
        found: String,
        /// The format of this crate.
        expected: &'static str,
    },
    /// The state was written by another version of this crate.
    #[error("search state `version` is {found}, expected {expected}")]
    StateVersion {
        /// The version named in the file.
        found: String,
        /// The version this crate reads.
        expected: u32,
    },
    /// The state contradicts itself, so a search resumed from it would give wrong results.
    #[error("search state `{field}` has {found}, expected {expected}")]
    StateCorrupt {
        /// The part of the state.
        field: &'static str,
        /// What was found there.
        found: String,
        /// What a sound state holds.
        expected: String,
    },
}

/// Result of the functions of this crate, except [`Search::step`](crate::Search::step).
pub type Result<T> = std::result::Result<T, Error>;

/// Why a step was abandoned.
///
/// The search is as it was before the step, except that it keeps the scores measured until then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StepError<E: StdError + 'static> {
    /// The objective failed or was interrupted.
    #[error("objective stopped in generation {generation}")]
    Objective {
        /// The generation that was being scored.
        generation: usize,
        /// The objective's own error.
        #[source]
        source: E,
    },
    /// The objective broke its contract of one outcome per job.
    #[error("objective returned {found} outcomes, expected {expected}")]
    OutcomeCount {
        /// Outcomes returned.
        found: usize,
        /// Jobs sent.
        expected: usize,
    },
    /// The objective has no samples, or another number of samples than before.
    #[error("objective has {found} samples, expected {expected}")]
    SampleCount {
        /// Samples of this objective.
        found: usize,
        /// What the search requires.
        expected: String,
    },
    /// The search is over; see [`Search::is_done`](crate::Search::is_done).
    #[error("search has finished after {generations} generations")]
    Finished {
        /// Generations done, not counting the first population.
        generations: usize,
    },
}
