//! What can be wrong with a benchmark's data.

use std::path::PathBuf;

/// What went wrong, where, what was found and what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// The file cannot be read as text.
    #[error(transparent)]
    Data(#[from] longrope_data::Error),

    /// A parquet file cannot be read.
    #[error("`{}` is not a parquet file that can be read", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What the library says.
        #[source]
        source: parquet::errors::ParquetError,
    },

    /// A line is not JSON.
    #[error("`{}`, line {line}: expected one JSON object per line", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What the JSON parser says.
        #[source]
        source: serde_json::Error,
    },

    /// The files hold no rows.
    #[error("`{}` holds no questions", path.display())]
    NoRows {
        /// The file, or the first of them.
        path: PathBuf,
    },

    /// A row lacks a column, or has something else in it.
    #[error("`{place}`: column `{column}` is {found}, expected {expected}")]
    Column {
        /// File and row, counted from 1.
        place: String,
        /// The column; `a.b` is `b` inside `a`.
        column: String,
        /// What is there.
        found: String,
        /// What should be there.
        expected: &'static str,
    },

    /// There are fewer examples than shots.
    #[error("{needed} shots need {needed} examples{}, found {found}", group.as_ref().map_or(String::new(), |group| format!(" of `{group}`")))]
    TooFewExamples {
        /// Shots, one more where a question might be among its own examples.
        needed: usize,
        /// Examples.
        found: usize,
        /// The subject they have to be of.
        group: Option<String>,
    },

    /// The benchmark has no examples.
    #[error("benchmark `{bench}` is asked without examples, found {shots} shots")]
    ZeroShotOnly {
        /// Its name.
        bench: &'static str,
        /// The shots that were asked for.
        shots: usize,
    },

    /// No such benchmark.
    #[error("unknown benchmark `{found}`, expected one of {expected}")]
    UnknownBench {
        /// The name.
        found: String,
        /// The names there are, each in backticks.
        expected: String,
    },

    /// The tokens of an answer cannot be told from those of the question, or do not fit.
    #[error(
        "question {question}, choice {choice}: its answer has {n_tokens} tokens, expected 1 to {context} (the context)"
    )]
    AnswerTokens {
        /// Index of the question.
        question: usize,
        /// Index of the choice.
        choice: usize,
        /// Tokens of the answer.
        n_tokens: usize,
        /// Most tokens the model reads.
        context: usize,
    },
}
