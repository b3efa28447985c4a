//! Errors of reading and preparing benchmarks.

use std::path::PathBuf;

use longrope_data::counted;

/// What went wrong, where, what was found and what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// The file cannot be read as text.
    #[error(transparent)]
    Data(#[from] longrope_data::Error),

    /// A Parquet file cannot be read.
    #[error("`{}` cannot be read as a Parquet file", path.display())]
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

    /// A file of one list is not a list of objects.
    #[error("`{}`: expected a list of JSON objects", path.display())]
    List {
        /// The file.
        path: PathBuf,
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

    /// A column is missing in a row, or has another type.
    #[error("`{place}`: column `{column}` is {found}, expected {expected}")]
    Column {
        /// File and row, counted from 1.
        place: String,
        /// The column; `a.b` is `b` inside `a`.
        column: String,
        /// What was found.
        found: String,
        /// What was expected.
        expected: &'static str,
    },

    /// There are fewer examples than shots.
    #[error("{} need{} {}{}, found {found}", counted(*needed, "shot"), if *needed == 1 { "s" } else { "" }, counted(*needed, "example"), group.as_ref().map_or(String::new(), |group| format!(" of `{group}`")))]
    TooFewExamples {
        /// The number of shots, plus one if a question might be among its own examples.
        needed: usize,
        /// Number of examples.
        found: usize,
        /// The subject that the examples must have.
        group: Option<String>,
    },

    /// The benchmark does not use examples.
    #[error("benchmark `{bench}` does not use examples, found {}", counted(*shots, "shot"))]
    ZeroShotOnly {
        /// Its name.
        bench: String,
        /// The requested number of shots.
        shots: usize,
    },

    /// No such benchmark.
    #[error("unknown benchmark `{found}`, expected one of {expected}")]
    UnknownBench {
        /// The name.
        found: String,
        /// The known names, each in backticks.
        expected: String,
    },

    /// An answer has no tokens of its own, or more than the context.
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
        /// The context, tokens.
        context: usize,
    },
}
