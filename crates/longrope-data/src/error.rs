//! Errors of reading and tokenizing text and of cutting it into windows.

use std::io;
use std::path::{Path, PathBuf};

use crate::counted::counted;
use crate::reading::FileType;

/// The result of this crate's fallible functions.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, where, what was found and what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No path was given.
    #[error("no text was given, expected at least one file or folder")]
    NoPaths,

    /// A path does not exist.
    #[error("no such file or folder: `{}`", path.display())]
    NotFound {
        /// The path as it was given.
        path: PathBuf,
    },

    /// A file or folder exists but cannot be read or decompressed.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },

    /// A file was compressed with Zstandard so that it takes much memory to decompress.
    #[error(
        "`{}` needs a window of {window} bytes to be decompressed, expected at most {most}",
        path.display()
    )]
    ZstdWindow {
        /// The file.
        path: PathBuf,
        /// Bytes of the window that it needs.
        window: u64,
        /// Bytes of the widest window.
        most: u64,
    },

    /// A path is a folder, a device or the like where a file is expected.
    #[error("`{}` is {found}, expected a file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },

    /// A file is longer than what is read into memory.
    #[error("`{}` holds more than {} MiB{}, the most that is read as one document", path.display(), limit >> 20, decompressed(path))]
    FileTooLong {
        /// The file.
        path: PathBuf,
        /// The limit, bytes.
        limit: u64,
    },

    /// A line of a JSONL file is longer than what is read into memory.
    #[error("`{}`, line {line}: more than {} MiB without a line break{}, the most that is read as one line", path.display(), limit >> 20, decompressed(path))]
    LineTooLong {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The limit, bytes.
        limit: u64,
    },

    /// A folder contains no text files.
    #[error("folder `{}` holds no text, expected files ending in {expected}", folder.display())]
    NoTextFiles {
        /// The folder.
        folder: PathBuf,
        /// The endings that are looked for.
        expected: &'static str,
    },

    /// A file holds no text, or white space only.
    #[error("`{}` holds no text, found white space only or nothing", path.display())]
    EmptyText {
        /// The file.
        path: PathBuf,
    },

    /// A file is not UTF-8.
    #[error("`{}` is not UTF-8: found an invalid byte sequence at byte {byte_offset}{}", path.display(), decompressed(path))]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// Where the first invalid byte sequence begins.
        byte_offset: u64,
        /// Whether there are zero bytes around it, which no text has.
        is_binary: bool,
    },

    /// A file is of a kind that holds no plain text.
    #[error("`{}` is {}, expected text in UTF-8", path.display(), kind.name())]
    NotText {
        /// The file.
        path: PathBuf,
        /// What it is.
        kind: FileType,
    },

    /// A line of a JSONL file is not JSON.
    #[error("`{}`, line {line}: found `{found}`, expected one JSON object per line", path.display())]
    BadLine {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The beginning of the line.
        found: String,
        /// What the JSON parser says.
        #[source]
        source: serde_json::Error,
    },

    /// A line of a JSONL file is JSON, but not an object.
    #[error("`{}`, line {line}: found {found}, expected a JSON object", path.display())]
    NotAnObject {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The kind of value.
        found: &'static str,
    },

    /// A line of a JSONL file lacks the field with the text.
    #[error("`{}`, line {line}: no field `{field}`, found {found}", path.display())]
    MissingField {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The requested field.
        field: String,
        /// The fields there are, each in backticks.
        found: String,
    },

    /// The field of a JSONL line that should hold text holds something else.
    #[error("`{}`, line {line}: field `{field}` is {found}, expected a string", path.display())]
    FieldNotText {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The field.
        field: String,
        /// The kind of value.
        found: &'static str,
    },

    /// A Parquet file cannot be read.
    #[error("`{}` cannot be read as a Parquet file", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What the library says.
        #[source]
        source: Box<parquet::errors::ParquetError>,
    },

    /// A Parquet file lacks the column with the text.
    #[error("`{}`: no column `{column}`, found {found}", path.display())]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The requested column.
        column: String,
        /// The columns there are, each in backticks.
        found: String,
    },

    /// The column of a Parquet file that should hold text holds something else.
    #[error("`{}`: column `{column}` is {found}, expected one of texts", path.display())]
    ColumnNotText {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// What it is.
        found: &'static str,
    },

    /// A column of a Parquet file is compressed in a way that is not read.
    #[error("`{}`: column `{column}` is compressed with {found}, expected snappy or no compression", path.display())]
    ParquetCompression {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// The compression.
        found: String,
    },

    /// A row of a Parquet file is not UTF-8.
    #[error("`{}`, row {row}: not UTF-8", path.display())]
    RowNotUtf8 {
        /// The file.
        path: PathBuf,
        /// The row, counted from 1.
        row: u64,
    },

    /// A file of token ids is not JSON.
    #[error("`{}` is not JSON, expected token ids: {expected}", path.display())]
    TokensNotJson {
        /// The file.
        path: PathBuf,
        /// The forms that are understood.
        expected: &'static str,
        /// What the JSON parser says.
        #[source]
        source: serde_json::Error,
    },

    /// A file of token ids is JSON of another form.
    #[error("`{}`: found {found}, expected token ids: {expected}", path.display())]
    TokensForm {
        /// The file.
        path: PathBuf,
        /// The kind of value.
        found: String,
        /// The forms that are understood.
        expected: &'static str,
    },

    /// A value in a list of token ids is not a token of the vocabulary.
    #[error(
        "`{location}`: token {token_idx} is {found}, expected an id below the vocabulary size {vocab_size}"
    )]
    BadTokenId {
        /// The file, and the document in it.
        location: String,
        /// The index in the document, counted from 0.
        token_idx: usize,
        /// The value that was found.
        found: String,
        /// The number of tokens in the vocabulary.
        vocab_size: usize,
    },

    /// A list of token ids is empty.
    #[error("`{location}` holds no token ids")]
    NoTokens {
        /// The file, and the document in it.
        location: String,
    },

    /// A model folder has no tokenizer.
    #[error("folder `{}` has no `tokenizer.json`{}", folder.display(), if *has_sentencepiece { ", found `tokenizer.model` only" } else { "" })]
    NoTokenizer {
        /// The model folder.
        folder: PathBuf,
        /// Whether there is a `tokenizer.model` of `SentencePiece`, which can be converted.
        has_sentencepiece: bool,
    },

    /// A `tokenizer.json` cannot be used.
    #[error("`{}` is not a usable tokenizer", path.display())]
    BadTokenizer {
        /// The file.
        path: PathBuf,
        /// What the tokenizer library says.
        #[source]
        source: tokenizers::Error,
    },

    /// A file beside the tokenizer is not JSON.
    #[error("`{}` is not valid JSON", path.display())]
    NotJson {
        /// The file.
        path: PathBuf,
        /// What the JSON parser says.
        #[source]
        source: serde_json::Error,
    },

    /// A file beside the tokenizer is JSON, but not an object.
    #[error("`{}` holds {found}, expected a JSON object", path.display())]
    NotJsonObject {
        /// The file.
        path: PathBuf,
        /// The kind of value.
        found: &'static str,
    },

    /// A key of a file beside the tokenizer has the wrong type.
    #[error("`{}`: `{key}` is {found}, expected {expected}", path.display())]
    TokenizerKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// The value, or its kind.
        found: String,
        /// What it has to be.
        expected: &'static str,
    },

    /// A document cannot be tokenized.
    #[error("tokenizing `{document}`")]
    Tokenize {
        /// Where the document came from; see [`Document::source`](crate::Document::source).
        document: String,
        /// Why not.
        #[source]
        source: Box<Error>,
    },

    /// A text without a place to cut it is too long for the tokenizer library.
    #[error("a text of {n_bytes} bytes can only be tokenized as a whole, expected at most {} MiB", limit >> 20)]
    TextTooLong {
        /// The size of the text, or of its part without a place to cut.
        n_bytes: usize,
        /// The limit, bytes.
        limit: usize,
    },

    /// A text cannot be tokenized.
    #[error("`{}` cannot tokenize a text of {n_bytes} bytes", tokenizer.display())]
    Encode {
        /// The `tokenizer.json`.
        tokenizer: PathBuf,
        /// The size of the text.
        n_bytes: usize,
        /// What the tokenizer library says.
        #[source]
        source: tokenizers::Error,
    },

    /// Token ids cannot be decoded to text.
    #[error("`{}` cannot turn {n_tokens} tokens into text", tokenizer.display())]
    Decode {
        /// The `tokenizer.json`.
        tokenizer: PathBuf,
        /// The number of ids.
        n_tokens: usize,
        /// What the tokenizer library says.
        #[source]
        source: tokenizers::Error,
    },

    /// A count that must be positive is zero.
    #[error("`{name}` is 0, expected at least 1")]
    ZeroCount {
        /// The count.
        name: &'static str,
    },

    /// The documents are too short for the requested samples.
    #[error(
        "not enough text for {} of {n_tokens} tokens: found {}, the longest has {longest} tokens, room for {}",
        counted(*n_samples, "sample"),
        counted(*n_documents, "document"),
        counted(*n_possible, "sample")
    )]
    NotEnoughText {
        /// Tokens needed per sample.
        n_tokens: usize,
        /// Samples requested.
        n_samples: usize,
        /// Documents there are.
        n_documents: usize,
        /// Tokens of the longest document.
        longest: usize,
        /// Samples without overlap that would fit.
        n_possible: usize,
    },

    /// The context is too short to predict a token.
    #[error("context is {context} tokens, expected at least 2")]
    ContextTooShort {
        /// The context, tokens.
        context: usize,
    },

    /// The stride of sliding windows is out of range.
    #[error("stride is {stride} tokens, expected 1 to {context} (the context)")]
    BadStride {
        /// The stride, tokens.
        stride: usize,
        /// The context, tokens.
        context: usize,
    },

    /// A context is longer than the windows that it is to divide.
    #[error(
        "a window of {context} tokens does not fit within {within} tokens, expected a context of at most {within}"
    )]
    BadWithin {
        /// Tokens of the windows that are divided.
        within: usize,
        /// The context, tokens.
        context: usize,
    },

    /// No document fills one window.
    #[error(
        "no document fills a context of {context} tokens: found {}, the longest has {longest} tokens, expected at \
         least {needed}",
        counted(*n_documents, "document")
    )]
    NoWindow {
        /// The context, tokens.
        context: usize,
        /// Documents there are.
        n_documents: usize,
        /// Tokens of the longest document.
        longest: usize,
        /// Tokens of a document that a window needs: one less than `context` where the window brings its own BOS.
        needed: usize,
    },

    /// There is no document to train on.
    #[error(
        "nothing to train on: found {}, expected at least one that has tokens and a positive weight",
        counted(*n_documents, "document")
    )]
    NothingToTrainOn {
        /// Documents there are.
        n_documents: usize,
    },

    /// A weight or share is negative, too large or not finite, or all shares are zero.
    #[error("{name} is {found:?}, expected {expected}")]
    BadWeight {
        /// Which weight.
        name: &'static str,
        /// The number.
        found: f64,
        /// What it may be.
        expected: &'static str,
    },

    /// Windows of one batch would differ in length or rotary embedding.
    #[error(
        "parts `{first}` and `{second}` differ in window or rotary embedding, expected one for all"
    )]
    PartsDisagree {
        /// The first part.
        first: String,
        /// A part that differs from it.
        second: String,
    },

    /// A saved position does not exist in the training data.
    #[error(
        "the saved position does not exist in the training data, which must have changed: {found}"
    )]
    BadCursor {
        /// What was looked for.
        found: String,
    },

    /// A synthetic document does not fit into its window.
    #[error(
        "a {document} document needs {needed} tokens or more, but a window has room for {found}"
    )]
    WindowTooShort {
        /// Which kind of document.
        document: &'static str,
        /// Tokens there is room for.
        found: usize,
        /// Tokens needed.
        needed: usize,
    },

    /// A tokenizer has no tokens for the sentences that facts are hidden in.
    #[error(
        "the tokenizer has no tokens for the sentences between the facts of generated documents"
    )]
    NoFiller,

    /// The vocabulary is too small for the special tokens and the bytes.
    #[error("vocabulary of {found} tokens, expected at least {needed}: special tokens and bytes")]
    VocabTooSmall {
        /// Tokens requested.
        found: usize,
        /// Tokens needed.
        needed: usize,
    },

    /// A tokenizer cannot be trained.
    #[error("cannot train a tokenizer")]
    TokenizerTraining {
        /// What the tokenizer library says.
        #[source]
        source: tokenizers::Error,
    },

    /// A file cannot be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },

    /// A `Cargo.lock` cannot be parsed.
    #[error("the lock file cannot be parsed")]
    BadLockfile {
        /// What the parser says.
        #[source]
        source: toml::de::Error,
    },

    /// No package of a lock file has its sources in the registry folders.
    #[error("found no sources in cargo's registry folder: {n_missing} packages are missing")]
    NoSources {
        /// Packages that were looked for.
        n_missing: usize,
    },
}

/// Words for a place or size in a file that is decompressed.
fn decompressed(path: &Path) -> &'static str {
    let end = path.extension().map(std::ffi::OsStr::to_ascii_lowercase);
    match end.as_deref().and_then(std::ffi::OsStr::to_str) {
        Some("gz" | "zst") => " (after decompression)",
        _ => "",
    }
}
