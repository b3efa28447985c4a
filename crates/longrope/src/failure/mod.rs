//! Error messages: the chain of causes without repetitions, then hints.

mod hint;
mod hints;
pub(crate) mod search_folder;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Error;
pub(crate) use hint::{Hint, InStage};
use hints::keys::in_recipe;
use hints::stage::hint_in_stage;
use hints::{find, hint_for, is_of_system};
use longrope_extend::{Interrupted, RunFolder, RunKind, RunMode};

use crate::next_steps::quoted;
use crate::show::escape::{join_names, printable};
use crate::show::output::NobodyReads;
use crate::terminal::signals::EXIT_INTERRUPTED;

/// Exit code for wrong input.
const EXIT_INPUT: u8 = 1;
/// Exit code for a fault of the program or of all devices.
const EXIT_FAULT: u8 = 2;

/// Whether all devices have failed, or one of those that a training needs.
pub(crate) fn is_device_failure(error: &Error) -> bool {
    use longrope_trainer::Error as Trainer;
    let of_search = error
        .downcast_ref::<longrope_extend::Error>()
        .is_some_and(longrope_extend::Error::is_device_failure);
    let mut causes = error.chain();
    of_search || causes.any(|cause| matches!(find(cause), Some(Trainer::DeviceFailed { .. })))
}

/// Whether the user stopped the program.
pub(crate) fn is_interruption(error: &Error) -> bool {
    error.root_cause().is::<Interrupted>()
        || error.is::<Interrupted>()
        || error
            .downcast_ref::<longrope_extend::Error>()
            .is_some_and(longrope_extend::Error::is_interruption)
        || error.chain().any(|cause| {
            matches!(find(cause), Some(longrope_trainer::Error::Killed))
                || matches!(find(cause), Some(longrope_model::Error::Stopped))
        })
}

/// Whether a loss, gradient or logit was NaN or infinite.
pub(crate) fn is_not_finite(error: &Error) -> bool {
    use longrope_extend::Error as Extend;
    use longrope_trainer::Error as Trainer;
    error.chain().any(|cause| {
        let of_model = find(cause)
            .is_some_and(|error| matches!(error, longrope_model::Error::NotFinite { .. }));
        let of_search = find(cause).is_some_and(|error| matches!(error, Extend::AllFailed { .. }));
        let of_training = find(cause).is_some_and(|error| {
            matches!(
                error,
                Trainer::NotFinite { .. } | Trainer::NeverFinite { .. }
            )
        });
        of_model || of_search || of_training
    })
}

/// Adds a hint on how to continue if the run was interrupted or all devices failed: from what is saved in its folder, if
/// there is something. A part of a larger run gets none: the larger run is to be continued.
pub(crate) fn explain_interruption(
    error: Error,
    kind: RunKind,
    out: &Path,
    mode: RunMode,
) -> Error {
    if mode == RunMode::Part {
        return error;
    }
    // A run that is asked to stop while it is being planned has no folder yet.
    if !RunFolder::holds(out, kind).unwrap_or(false) {
        return with_hint_if_stopped(error, || {
            "nothing was saved yet: give the same command again".to_owned()
        });
    }
    let resume = format!("longrope {} --resume --out {}", kind.verb(), quoted(out));
    explain_how_to_continue(error, "the state is saved", &resume)
}

/// As [`explain_interruption`], with what is saved and the whole command to continue with.
pub(crate) fn explain_how_to_continue(error: Error, saved: &str, command: &str) -> Error {
    with_hint_if_stopped(error, || format!("{saved}; continue with: {command}"))
}

/// Adds a hint if the run was interrupted or all devices failed.
fn with_hint_if_stopped(error: Error, hint: impl FnOnce() -> String) -> Error {
    if is_interruption(&error) || is_device_failure(&error) {
        return error.context(Hint(hint()));
    }
    error
}

/// Prints an error and returns the exit code.
pub(crate) fn report(error: &Error) -> ExitCode {
    // `longrope generate | head` has done what it was asked for.
    if error.root_cause().is::<NobodyReads>() {
        return ExitCode::SUCCESS;
    }
    let code = if is_interruption(error) {
        EXIT_INTERRUPTED
    } else if is_device_failure(error) {
        EXIT_FAULT
    } else {
        EXIT_INPUT
    };
    let mut message = Message::of(error);
    if code == EXIT_INPUT && message.hints.is_empty() {
        let hint = "the same command with -v says what was done before this";
        message.hints.push(hint.to_owned());
    }
    let text = message.render();
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
    ExitCode::from(code)
}

/// Prints that the program panicked and returns the exit code.
pub(crate) fn report_panic() -> ExitCode {
    let text = "error: longrope stopped because of a bug, described above\n\
                hint: please report it with the command you ran\n";
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
    ExitCode::from(EXIT_FAULT)
}

/// The types of Rust in the message of a parser, in the words of TOML.
fn in_toml_words(text: &str) -> String {
    const WORDS: [(&str, &str); 8] = [
        ("expected a sequence", "expected a list"),
        ("expected a map", "expected a table"),
        ("expected u64", "expected a whole number, 0 or more"),
        ("expected usize", "expected a whole number, 0 or more"),
        ("expected u32", "expected a whole number, 0 or more"),
        ("expected i64", "expected a whole number"),
        ("expected f64", "expected a number, such as 0.5"),
        ("expected f32", "expected a number, such as 0.5"),
    ];
    let lines = text.lines().map(|line| {
        if let Some((before, _)) = line.split_once("expected struct ") {
            return format!("{before}expected a table");
        }
        if let Some((before, _)) = line.split_once("expected internally tagged enum ") {
            return format!("{before}expected a table with a `type`");
        }
        let replaced = WORDS.iter();
        replaced.fold(line.to_owned(), |line, (from, to)| line.replace(from, to))
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A text in the words of recipes, if it is about a stage.
fn in_words_of(stage: Option<&InStage>, text: String) -> String {
    match stage {
        Some(stage) => in_recipe(&text, stage.verb),
        None => text,
    }
}

/// What is said about an error.
struct Message {
    /// The error and its causes, each a block of lines.
    causes: Vec<String>,
    hints: Vec<String>,
}

impl Message {
    fn of(error: &Error) -> Self {
        let mut causes: Vec<String> = Vec::new();
        let mut hints: Vec<String> = Vec::new();
        if let Some(Hint(hint)) = error.downcast_ref::<Hint>() {
            hints.push(hint.clone());
        }
        let stage = error.downcast_ref::<InStage>();
        // What is said from there on is about the stage.
        let mut within: Option<&InStage> = None;
        for cause in error.chain() {
            let text = cause.to_string().trim_end().to_owned();
            // Hints are in the chain like any context, but are printed separately.
            if let Some(hint) = hints.iter_mut().find(|hint| **hint == text) {
                *hint = in_words_of(within, text);
                continue;
            }
            if stage.is_some_and(|stage| stage.to_string() == text) {
                within = stage;
            }
            // The error of a parser or of the system says less than that about the file that was read or written.
            if hints.is_empty() || !is_of_system(cause) {
                let in_stage = stage.and_then(|stage| hint_in_stage(cause, stage));
                let hint = in_stage.or_else(|| hint_for(cause));
                hints.extend(hint.map(|hint| in_words_of(within, hint)));
            }
            let text = in_words_of(within, text);
            // Some errors repeat the text of their source.
            if causes.last().is_some_and(|last| last.contains(&text)) {
                continue;
            }
            // Further lines are indented, and empty lines removed, so that each cause is one block.
            let text = join_names(&text).into_owned();
            let text = if cause.is::<toml::de::Error>() {
                in_toml_words(&text)
            } else {
                text
            };
            let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
            causes.push(lines.join("\n    "));
        }
        hints.dedup();
        Self { causes, hints }
    }

    /// The text of the message. Control characters, which may come from files, are escaped.
    fn render(&self) -> String {
        let mut out = String::new();
        for (i, cause) in self.causes.iter().enumerate() {
            out.push_str(if i == 0 { "error: " } else { "  caused by: " });
            out.push_str(cause);
            out.push('\n');
        }
        for hint in &self.hints {
            out.push_str("hint: ");
            out.push_str(hint);
            out.push('\n');
        }
        printable(&out).into_owned()
    }
}

#[cfg(test)]
mod tests;
