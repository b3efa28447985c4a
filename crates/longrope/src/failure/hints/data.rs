//! Hints for errors of texts, tokenizers and windows.

use std::path::Path;

use longrope_data::{Error as E, FileType};

use super::system::io_hint;
use crate::next_steps::quoted;

/// The hint for an error of `longrope-data`.
pub(super) fn hint(error: &E) -> Option<String> {
    of_files(error)
        .or_else(|| of_records(error))
        .or_else(|| of_tokens(error))
        .or_else(|| of_windows(error))
}

/// Errors of files and folders, and of how much text they hold.
fn of_files(error: &E) -> Option<String> {
    Some(match error {
        E::NoPaths => "give files or folders with --text".into(),
        E::NoWindow { .. } | E::NotEnoughText { .. } => {
            "give longer documents, more text, or a smaller context".into()
        }
        E::NotUtf8 {
            is_binary: true, ..
        } => "the file holds no text: give other files; in a folder of texts, remove it or rename it".into(),
        E::NotUtf8 { .. } => "convert the file to UTF-8, for example with iconv".into(),
        E::NotAFile { .. } => "give a file, or pipe the text in as /dev/stdin".into(),
        E::FileTooLong { .. } | E::TextTooLong { .. } => {
            "split the text into several files, or into one document per line (JSON lines)".into()
        }
        E::NotText { path, kind } => advice(path, *kind).into(),
        E::NothingToTrainOn { .. } => "give text with --text, or token ids with --tokens".into(),
        E::NotFound { path } if path.as_os_str() == "-" => {
            "text from a pipe is given as /dev/stdin".into()
        }
        E::NotFound { .. } => {
            "check the path; relative paths are relative to the working directory".into()
        }
        E::Read { source, .. } => match source.kind() {
            std::io::ErrorKind::InvalidData | std::io::ErrorKind::InvalidInput => {
                "the file is damaged, or its ending does not name its compression: .gz and .zst are decompressed".into()
            }
            _ => io_hint(source),
        },
        E::ZstdWindow { path, .. } => {
            format!(
                "decompress it, and give the result in its place (out of a folder of texts, move the `.zst`): \
                 zstd -d --long=31 {}",
                quoted(path)
            )
        }
        E::EmptyText { .. } => "give a file or folder with text".into(),
        E::NoTextFiles { .. } => {
            "give a file by its name to read it whatever its ending is".into()
        }
        E::Write { source, .. } => io_hint(source),
        E::BadLockfile { .. } => "give text of your own with --text".into(),
        E::NoSources { n_missing: 0 } => {
            "give the name of a crate of Cargo.lock; files and folders are given by their paths".into()
        }
        E::NoSources { .. } => {
            "`cargo fetch` in the folder of this program unpacks them; or give text with --text".into()
        }
        _ => return None,
    })
}

/// Errors of lines and rows, which hold one text each.
fn of_records(error: &E) -> Option<String> {
    Some(match error {
        E::MissingField { .. } => "name the field with --set data.text-field=NAME".into(),
        E::MissingColumn { .. } => "name the column with --set data.text-field=NAME".into(),
        E::ColumnNotText { column, .. } => format!(
            "name a column of texts with --set data.text-field=NAME; `{column}` is none"
        ),
        E::Parquet { .. } => {
            "the file is damaged or cut off, or not Parquet: fetch it again, or convert it to JSON lines".into()
        }
        E::ParquetCompression { .. } => {
            "write it again with snappy, for example with pandas: \
             pandas.read_parquet(FILE).to_parquet(\"text.parquet\", compression=\"snappy\")".into()
        }
        E::RowNotUtf8 { .. } => "name a column of texts with --set data.text-field=NAME, or correct the row".into(),
        E::FieldNotText { field, .. } => format!(
            "name a field that holds text with --set data.text-field=NAME; `{field}` does not"
        ),
        E::BadLine { .. } | E::NotAnObject { .. } => {
            "JSON lines have one object per line, such as {\"text\": \"..\"}; give plain text as a .txt file".into()
        }
        E::LineTooLong { .. } => {
            "check that the file is JSON lines, one document per line; split documents that are longer".into()
        }
        _ => return None,
    })
}

/// Errors of tokenizers and token ids.
fn of_tokens(error: &E) -> Option<String> {
    Some(match error {
        E::NotJson { .. } | E::NotJsonObject { .. } | E::TokenizerKey { .. } => {
            "use the file that was published with the model, correct it, or remove it".into()
        }
        E::Tokenize { source, .. } => return hint(source),
        E::NoTokenizer {
            has_sentencepiece: true,
            ..
        } => "transformers converts it: AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)".into(),
        E::NoTokenizer { .. } => "add the tokenizer.json that was published with the model".into(),
        E::BadTokenizer { .. } => {
            "download the tokenizer.json that was published with the model again".into()
        }
        E::Encode { .. } | E::Decode { .. } | E::NoFiller => {
            "tokenizer.json is damaged or belongs to another model; download it again".into()
        }
        E::TokensNotJson { .. } | E::TokensForm { .. } | E::NoTokens { .. } => {
            "to give text instead of token ids, use --text".into()
        }
        E::BadTokenId { found, .. } if found.parse::<u64>().is_ok() => {
            "the token ids come from the tokenizer of another model".into()
        }
        E::BadTokenId { .. } => "token ids are whole numbers from 0, written without a point: [1, 2]".into(),
        _ => return None,
    })
}

/// How to make text of a file of another kind, or of what comes from a pipe, which cannot be renamed.
fn advice(path: &Path, kind: FileType) -> &'static str {
    match kind {
        _ if !path.starts_with("/dev") => kind.advice(),
        FileType::Gzip => "decompress it first: zcat FILE | longrope .. --text /dev/stdin",
        FileType::Zstd => "decompress it first: zstdcat FILE | longrope .. --text /dev/stdin",
        FileType::Parquet => "give the file by its name, which ends in .parquet",
        kind => kind.advice(),
    }
}

/// Errors of windows, and of what is made from them.
fn of_windows(error: &E) -> Option<String> {
    Some(match error {
        E::ContextTooShort { .. } => {
            "each token is predicted from the tokens before it, so a window needs at least two"
                .into()
        }
        E::ZeroCount { .. } => "leave the count out to use its default".into(),
        E::BadStride { .. } => "set `eval.stride` to at most the smallest of the --contexts".into(),
        E::BadWithin { .. } => "set `eval.within` to at least the largest of the --contexts".into(),
        E::BadWeight { .. } => {
            "weights and shares are 0 or more, length weights at most 10,000, and at least one share is above 0"
                .into()
        }
        E::PartsDisagree { .. } => {
            "windows of one batch need the same length; give all parts the same window".into()
        }
        E::BadCursor { .. } => {
            "resume with the text that the run was started with, or start again with another --out"
                .into()
        }
        E::WindowTooShort {
            document: "shortest",
            found,
            ..
        } => format!(
            "set `shortest-document` to {found} or less, the tokens of a window, or use longer windows"
        ),
        E::WindowTooShort { needed, .. } => format!(
            "use windows of at least {needed} tokens, or set the share of these documents to 0; `shortest-document`, if it is \
             set, must be at least {needed} too"
        ),
        E::VocabTooSmall { needed, .. } => {
            format!("set `pretrain.model.vocab` to {needed} or more")
        }
        E::TokenizerTraining { .. } => "give more text with --text, or a smaller vocabulary".into(),
        _ => return None,
    })
}
