//! Reads the command line; wrong ones are answered like other errors, with a hint.

use std::error::Error as StdError;
use std::ffi::OsString;
use std::io::Write;
use std::num::{ParseFloatError, ParseIntError};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, CommandFactory, Error, FromArgMatches};

use crate::failure;
use crate::settings::args::Args;
use crate::show::escape::printable;

/// The arguments of this process.
///
/// # Errors
/// The exit code, after help, version or a message was printed. Help and version go to stdout with exit code 0; everything
/// else is wrong input.
pub(crate) fn parse() -> Result<Args, ExitCode> {
    let mut command = with_negative_numbers(Args::command());
    let parsed = command
        .try_get_matches_from_mut(std::env::args_os())
        .and_then(|matches| Args::from_arg_matches(&matches));
    parsed.map_err(|error| {
        if !error.use_stderr() {
            return printed(error.print().and_then(|()| std::io::stdout().flush()));
        }
        let words = given_words(&command, std::env::args_os().skip(1));
        let message = message(&error, &words);
        let _ = std::io::stderr().lock().write_all(message.as_bytes());
        ExitCode::from(1)
    })
}

/// The exit code after help or version was printed, or not. Nobody has to read them to the end.
fn printed(written: std::io::Result<()>) -> ExitCode {
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            failure::report(&anyhow::Error::from(error).context("writing to stdout"))
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Takes `-5` after a flag as its value, so that the message is about the number and not about a flag `-5`.
fn with_negative_numbers(command: Command) -> Command {
    let takes_value = |arg: &Arg| arg.get_action().takes_values();
    command
        .mut_args(|arg| {
            if takes_value(&arg) {
                arg.allow_negative_numbers(true)
            } else {
                arg
            }
        })
        .mut_subcommands(with_negative_numbers)
}

/// The program and the verb that the arguments begin with.
fn given_words(command: &Command, args: impl Iterator<Item = OsString>) -> String {
    let mut words = vec![command.get_name().to_owned()];
    let mut verb = command;
    for arg in args.filter(|arg| !arg.as_encoded_bytes().starts_with(b"-")) {
        let Some(found) = verb.find_subcommand(&arg) else {
            break;
        };
        words.push(found.get_name().to_owned());
        verb = found;
    }
    words.join(" ")
}

/// The message without clap's tips, and then the hints. `given` is the program and the verb by the arguments.
fn message(error: &Error, given: &str) -> String {
    let text = error.render().to_string();
    let mut lines: Vec<&str> = Vec::new();
    let mut hints: Vec<String> = Vec::new();
    for line in text.lines() {
        match line.trim_start().strip_prefix("tip: ") {
            Some(tip) if tip.starts_with("to pass") => {}
            Some(tip) => hints.push(tip.to_owned()),
            None if line.starts_with("For more information") => {}
            None => lines.push(line),
        }
    }
    let words = command_words(&text).unwrap_or_else(|| given.to_owned());
    if hints.is_empty() {
        hints.push(hint(error, &words));
    }
    let mut message = lines.join("\n").trim_end().to_owned();
    while message.contains("\n\n\n") {
        message = message.replace("\n\n\n", "\n\n");
    }
    for hint in hints {
        message.push_str("\nhint: ");
        message.push_str(&hint);
    }
    message.push('\n');
    printable(&message).into_owned()
}

/// The program and its verb, as in the line of usage, which not every message has.
fn command_words(text: &str) -> Option<String> {
    let usage = text.lines().find_map(|line| line.strip_prefix("Usage: "))?;
    let words: Vec<&str> = usage
        .split_whitespace()
        .take_while(|word| word.starts_with(|c: char| c.is_ascii_lowercase()))
        .collect();
    Some(words.join(" "))
}

fn hint(error: &Error, words: &str) -> String {
    let argument = error
        .get(ContextKind::InvalidArg)
        .map_or_else(|| "the flag".to_owned(), |argument| format!("`{argument}`"));
    match error.kind() {
        ErrorKind::ValueValidation | ErrorKind::InvalidValue => match value_rule(error) {
            Some(rule) => format!("{argument} takes {rule}"),
            None if has_possible_values(error) => "choose one of the possible values".to_owned(),
            None => format!("`{words} --help` says what {argument} takes"),
        },
        ErrorKind::ArgumentConflict => "give one of them only".to_owned(),
        ErrorKind::MissingRequiredArgument => {
            format!("add what is missing; `{words} --help` explains it")
        }
        ErrorKind::InvalidSubcommand
        | ErrorKind::MissingSubcommand
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            format!("choose one of the commands of `{words} --help`; `longrope demo` is a tour")
        }
        ErrorKind::TooManyValues | ErrorKind::WrongNumberOfValues | ErrorKind::TooFewValues => {
            format!("`{words} --help` says how many values {argument} takes")
        }
        ErrorKind::UnknownArgument => {
            format!(
                "`{words} --help` lists the flags; a MODEL is given once, before flags that take several values"
            )
        }
        ErrorKind::InvalidUtf8 => "write it in UTF-8".to_owned(),
        _ => format!("`{words} --help` lists what it takes"),
    }
}

/// Whether the message lists the values that a flag takes.
fn has_possible_values(error: &Error) -> bool {
    let values = error.get(ContextKind::ValidValue);
    matches!(values, Some(ContextValue::Strings(values)) if !values.is_empty())
}

/// What a flag with a number takes.
fn value_rule(error: &Error) -> Option<&'static str> {
    let source = error.source()?;
    // The error of a range has no type of its own.
    if source.is::<ParseIntError>() || source.to_string().contains("is not in") {
        return Some("a whole number, without a sign, a unit or a point");
    }
    source
        .is::<ParseFloatError>()
        .then_some("a number such as 0.5")
}
