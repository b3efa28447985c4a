//! A document: a text and where it came from.

/// A text and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The path of the file; for a record of a JSONL file `path#line`, for one of a Parquet file
    /// `path#row`, counted from 1.
    pub source: String,
    /// The text as it is in the file, without a byte order mark.
    pub text: String,
}
