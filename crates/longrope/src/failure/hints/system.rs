//! Hints for errors of the system and of the parsers of files.

use std::error::Error as StdError;
use std::io::{Error as IoError, ErrorKind as K};

/// The hint for an error that is none of our libraries'.
pub(super) fn hint(cause: &(dyn StdError + 'static)) -> Option<String> {
    if let Some(error) = cause.downcast_ref::<toml::de::Error>() {
        return Some(toml_hint(&error.to_string()));
    }
    if let Some(error) = cause.downcast_ref::<serde_json::Error>() {
        // Writing JSON fails as the file does.
        if let Some(kind) = error.io_error_kind() {
            return Some(kind_hint(kind).to_owned());
        }
        return Some("the file is damaged or of another kind; copy or make it again".to_owned());
    }
    if cause.is::<longrope_eval::UnknownProtocol>() {
        return Some("leave out --protocol for the windows of this program".to_owned());
    }
    cause.downcast_ref::<IoError>().map(io_hint)
}

/// The hint for an error of reading or writing a file.
pub(super) fn io_hint(error: &IoError) -> String {
    kind_hint(error.kind()).to_owned()
}

fn kind_hint(kind: K) -> &'static str {
    match kind {
        K::NotFound => "check the path; relative paths are relative to the working directory",
        K::PermissionDenied => "check the permissions of the file and its folder",
        K::StorageFull | K::QuotaExceeded => "free some space; existing files are unchanged",
        K::FileTooLarge => {
            "files may not be so large here: raise the limit (`ulimit -f`), or write to another disk; existing files are unchanged"
        }
        K::IsADirectory => "this is a folder; give a file",
        K::AlreadyExists | K::NotADirectory => {
            "a file is in the place of a folder: choose another path, or move the file away"
        }
        K::ReadOnlyFilesystem => "choose a path on a disk that can be written",
        K::InvalidData => "the file is damaged, or not text in UTF-8; copy or make it again",
        K::UnexpectedEof => "the file is cut off: copy or download it again",
        K::InvalidInput | K::InvalidFilename => "the path cannot be used by this system; check it",
        K::OutOfMemory => "use a smaller model or context; `longrope plan` says what fits",
        K::BrokenPipe | K::ConnectionReset | K::ConnectionAborted | K::ConnectionRefused => {
            "check that the program at the other end is running"
        }
        K::DirectoryNotEmpty => "another process has written there; choose another path",
        _ => "the system refused it; check the disk and the path, then try again",
    }
}

/// The parser of TOML has one type for all errors: only the message says what is wrong.
fn toml_hint(message: &str) -> String {
    if message.contains("number too large") || message.contains("integer overflow") {
        return format!(
            "whole numbers in TOML go up to {}; a larger `seed` can be given in quotes",
            i64::MAX
        );
    }
    suggestion(message).unwrap_or_else(|| {
        if message.contains("unknown variant") {
            "give one of these words; configs/README.md says what they stand for".to_owned()
        } else {
            "configs/README.md lists every key with its default".to_owned()
        }
    })
}

/// Names of a type of numbers that is no misspelling of `bf16`.
const F16: [&str; 2] = ["f16", "fp16"];

/// "Did you mean" for a message with the unknown word and then the known words in backticks.
pub(super) fn suggestion(message: &str) -> Option<String> {
    let start = message
        .find("unknown field")
        .or_else(|| message.find("unknown variant"))?;
    // Further lines name the place of the error, not allowed words.
    let line = message[start..].lines().next()?;
    let mut words = line.split('`').skip(1).step_by(2);
    let wrong = words.next()?.to_lowercase();
    // No text at all.
    if matches!(wrong.as_str(), "true" | "false") || wrong.starts_with('[') {
        return None;
    }
    // A word that differs only in case is the same word.
    let likeness = |known: &str| strsim::jaro_winkler(&wrong, &known.to_lowercase());
    let best = words.max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    if best == "bf16" && F16.contains(&wrong.as_str()) {
        return None;
    }
    (likeness(best) > 0.7).then(|| format!("did you mean `{best}`?"))
}
