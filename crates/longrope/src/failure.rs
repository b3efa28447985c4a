//! Errors as users see them: the chain of causes once, then hints.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Error;
use longrope_eval::bench::BenchError;
use longrope_extend::Interrupted;
use longrope_extend::recipe::RecipeError;

use crate::hint::Hint;
use crate::signals::EXIT_INTERRUPTED;

/// The user's input was wrong.
const EXIT_INPUT: u8 = 1;
/// We were.
const EXIT_FAULT: u8 = 2;

/// Whether all devices have failed, which is not the user's fault.
pub(crate) fn is_device_failure(error: &Error) -> bool {
    error
        .downcast_ref::<longrope_extend::Error>()
        .is_some_and(longrope_extend::Error::is_device_failure)
}

/// Whether the user stopped the program.
pub(crate) fn is_interruption(error: &Error) -> bool {
    error.root_cause().is::<Interrupted>()
        || error.is::<Interrupted>()
        || error
            .downcast_ref::<longrope_extend::Error>()
            .is_some_and(longrope_extend::Error::is_interruption)
}

/// Prints an error and says how the program ends.
pub(crate) fn report(error: &Error) -> ExitCode {
    // A reader that closed its end (`longrope ... | head`) is no failure.
    if let Some(io) = error.root_cause().downcast_ref::<std::io::Error>()
        && io.kind() == std::io::ErrorKind::BrokenPipe
    {
        return ExitCode::SUCCESS;
    }
    let mut stderr = std::io::stderr().lock();
    let _ = stderr.write_all(render(error).as_bytes());
    let code = if is_interruption(error) {
        EXIT_INTERRUPTED
    } else if is_device_failure(error) {
        EXIT_FAULT
    } else {
        EXIT_INPUT
    };
    ExitCode::from(code)
}

/// Says that a panic is not the user's doing.
pub(crate) fn report_panic() -> ExitCode {
    let text = "error: longrope stopped on a fault of its own, described above\n\
                hint: please report it with the command you ran\n";
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
    ExitCode::from(EXIT_FAULT)
}

/// The whole message.
fn render(error: &Error) -> String {
    let mut causes: Vec<String> = Vec::new();
    let mut hints: Vec<String> = Vec::new();
    if let Some(Hint(hint)) = error.downcast_ref::<Hint>() {
        hints.push(hint.clone());
    }
    for cause in error.chain() {
        let text = cause.to_string().trim_end().to_owned();
        // A hint is part of the chain like any context; it is shown apart.
        if hints.contains(&text) {
            continue;
        }
        hints.extend(hint_for(cause));
        // Some errors repeat their source in their own text.
        if causes.last().is_some_and(|last| last.contains(&text)) {
            continue;
        }
        // Lines after the first are indented, empty ones dropped: one cause is one block.
        let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
        causes.push(lines.join("\n    "));
    }
    let mut out = String::new();
    for (i, cause) in causes.iter().enumerate() {
        out.push_str(if i == 0 { "error: " } else { "  caused by: " });
        out.push_str(cause);
        out.push('\n');
    }
    hints.dedup();
    for hint in hints {
        out.push_str("hint: ");
        out.push_str(&hint);
        out.push('\n');
    }
    out
}

/// What can be done about errors of our libraries.
fn hint_for(cause: &(dyn std::error::Error + 'static)) -> Option<String> {
    if let Some(error) = cause.downcast_ref::<longrope_model::Error>() {
        return hint_for_model(error);
    }
    if let Some(error) = cause.downcast_ref::<longrope_data::Error>() {
        return hint_for_data(error);
    }
    if let Some(error) = cause.downcast_ref::<BenchError>() {
        return hint_for_bench(error);
    }
    if let Some(longrope_eval::Error::Bench(error)) = cause.downcast_ref() {
        return hint_for_bench(error);
    }
    let boxed = cause
        .downcast_ref::<Box<longrope_rope::Error>>()
        .map(Box::as_ref);
    if let Some(error) = cause.downcast_ref::<longrope_rope::Error>().or(boxed) {
        return hint_for_rope(error);
    }
    if let Some(error) = cause.downcast_ref::<longrope_eval::Error>() {
        return hint_for_eval(error);
    }
    let boxed = cause
        .downcast_ref::<Box<longrope_trainer::Error>>()
        .map(Box::as_ref);
    if let Some(error) = cause.downcast_ref::<longrope_trainer::Error>().or(boxed) {
        return hint_for_training(error);
    }
    if let Some(error) = cause.downcast_ref::<longrope_search::Error>() {
        return hint_for_search(error);
    }
    if let Some(error) = cause.downcast_ref::<longrope_extend::Error>() {
        return hint_for_extend(error);
    }
    if let Some(error) = cause.downcast_ref::<toml::de::Error>() {
        let message = error.to_string();
        return suggestion(&message).or_else(|| {
            Some("configs/README.md lists every key with its type and default".to_owned())
        });
    }
    cause.downcast_ref::<std::io::Error>().and_then(hint_for_io)
}

fn hint_for_io(error: &std::io::Error) -> Option<String> {
    use std::io::ErrorKind as K;
    Some(match error.kind() {
        K::NotFound => "check the path; relative paths start at the working directory".into(),
        K::PermissionDenied => "check the permissions of the file and its folder".into(),
        K::StorageFull => "free some space; what was there before is untouched".into(),
        _ => return None,
    })
}

fn hint_for_extend(error: &longrope_extend::Error) -> Option<String> {
    use longrope_extend::Error as E;
    Some(match error {
        E::NoDeviceLeft { .. } => {
            "check the device's memory, its driver and the connection to it, or choose another --device"
                .into()
        }
        E::NothingToScore => "set `search-needle.samples` to 1 or more".into(),
        E::NeedlesNeedTokenizer => {
            "give text with --text, and a model folder with a tokenizer.json".into()
        }
        E::SampleContext { .. } => {
            "within the original context, factors for longer contexts can only do harm; leave the key out for samples \
             of the target's length"
                .into()
        }
        E::RunExists { .. } => "continue it with --resume, or choose another --out".into(),
        E::NoRun { .. } => "check --out, or begin the search by leaving out --resume".into(),
        E::OtherSettings { .. } => {
            "resume with the flags it was started with, or with none: they are in its config.toml"
                .into()
        }
        E::InputsMissing { .. } => {
            "only a search of `longrope search` can be resumed; start again in another --out".into()
        }
        E::OtherInputs { what } => format!(
            "resume with the {what} its config.toml names, unchanged, or start again in another --out"
        ),
        E::BeyondFactors { .. } => "to extend it, search ratios on top of it".into(),
        E::Recipe(RecipeError::SameName { .. }) => "give one of them another `name`".into(),
        E::Recipe(RecipeError::NoSource { .. }) => {
            "models come from finetune, factors from search and recover".into()
        }
        // Only their sources are in the chain of causes.
        E::Eval(error) => return hint_for_eval(error),
        E::Model(error) => return hint_for_model(error),
        E::Rope(error) => return hint_for_rope(error),
        E::Search(error) => return hint_for_search(error),
        E::Io(error) => return hint_for_io(error),
        _ => return None,
    })
}

fn hint_for_model(error: &longrope_model::Error) -> Option<String> {
    use longrope_model::Error as E;
    Some(match error {
        E::NotAFolder { .. } | E::FileMissing { .. } => {
            "give the folder that holds config.json, tokenizer.json and the safetensors files"
                .into()
        }
        E::ShardMissing { .. } => "download the missing shard again, next to the others".into(),
        E::Damaged { .. } => "the file was probably cut off: copy or download it again".into(),
        E::Weights { .. } => {
            "config.json and the weights belong to different models, or one was edited".into()
        }
        E::OutputExists { .. } => "choose another folder, or replace it with --force".into(),
        E::TokenOutOfVocabulary { .. } => {
            "the token ids were made with the tokenizer of another model".into()
        }
        E::ConfigKey { .. } | E::Rope { .. } | E::Json { .. } => {
            "take config.json from where the weights came from, or correct it".into()
        }
        E::Io(error) => return hint_for_io(error),
        E::WeightOverflow { .. } => {
            "--dtype bf16 has the range of f32, and --dtype keep changes nothing".into()
        }
        E::ShardSize { .. } => "for instance 5GB, 500MB or 2GiB".into(),
        E::Unsupported { .. } => "the decoder does not compute this kind of model".into(),
        E::Write { .. } => "make room on the disk, or choose another --out".into(),
        E::Lora(_) => {
            "maps are named as in train.lora.target-modules = [\"q_proj\", \"v_proj\"]".into()
        }
        E::StreamedTraining => "leave `weights` at its default, resident".into(),
        _ => return None,
    })
}

fn hint_for_data(error: &longrope_data::Error) -> Option<String> {
    use longrope_data::Error as E;
    Some(match error {
        E::NoWindow { .. } | E::NotEnoughText { .. } => {
            "give longer text, more of it, or a smaller context".into()
        }
        E::MissingField { .. } => "name the field with --set data.text-field=NAME".into(),
        E::NotUtf8 { .. } => "convert the file to UTF-8, for instance with iconv".into(),
        E::NothingToTrainOn { .. } => "give text with --text, or token ids with --tokens".into(),
        E::NotFound { .. } => {
            "check the path; relative paths start at the working directory".into()
        }
        E::EmptyText { .. } | E::NoTextFiles { .. } => {
            "leave it out, or give a file or folder with text".into()
        }
        E::NoTokenizer { .. } => {
            "put the model's tokenizer.json there, or give token ids with --tokens".into()
        }
        E::TokensNotJson { .. } | E::TokensForm { .. } | E::NoTokens { .. } => {
            "for text instead of token ids use --text".into()
        }
        E::BadTokenId { .. } => {
            "the token ids were made with the tokenizer of another model".into()
        }
        E::ContextTooShort { .. } => {
            "a token is predicted from those before it, so a window needs two".into()
        }
        E::ZeroCount { .. } => "leave out a count to get its default".into(),
        E::BadStride { .. } => "give a --stride up to the smallest of the --contexts".into(),
        _ => return None,
    })
}

fn hint_for_bench(error: &BenchError) -> Option<String> {
    use BenchError as E;
    Some(match error {
        E::Data(error) => return hint_for_data(error),
        E::UnknownBench { .. } => {
            "the names are those of lm-evaluation-harness, with hyphens".into()
        }
        E::Column { .. } => {
            "the columns have to be those of the data set on Hugging Face, unchanged".into()
        }
        E::Parquet { .. } => {
            "JSON lines are read too; columns compressed with snappy, or not".into()
        }
        E::Line { .. } | E::NoRows { .. } => "a file has one JSON object per question".into(),
        E::ZeroShotOnly { .. } => "leave out --shots".into(),
        E::AnswerTokens { .. } => "give a larger context with --contexts".into(),
        _ => return None,
    })
}

fn hint_for_rope(error: &longrope_rope::Error) -> Option<String> {
    use longrope_rope::Error as E;
    Some(match error {
        E::FactorCount { .. } => {
            "the factors were made for a model with another head size; a list has one factor per \
             rotated pair, rotary_dim / 2"
                .into()
        }
        E::CsvEmpty { .. } | E::CsvNumber { .. } | E::CsvRowLength { .. } => {
            "a factor CSV has one factor per line, or one row per layer".into()
        }
        E::MissingKey { .. }
        | E::WrongValue { .. }
        | E::UnknownRopeType { .. }
        | E::Disagree { .. }
        | E::LayerTypes { .. } => {
            "take config.json from where the weights came from, or correct it".into()
        }
        E::UnknownFamily { .. } => {
            "the rules of each runtime were read for these families only".into()
        }
        _ => return None,
    })
}

fn hint_for_eval(error: &longrope_eval::Error) -> Option<String> {
    use longrope_eval::Error as E;
    Some(match error {
        E::ContextTooShort { .. } => "give longer --contexts".into(),
        E::NoExactFit { .. } => "try a context a few tokens longer or shorter".into(),
        E::MissingData { .. } => {
            "give --text, --squad or --hotpotqa, or choose other --tasks".into()
        }
        E::Io(error) => return hint_for_io(error),
        E::QaForm { .. } | E::NoQuestions { .. } => {
            "give the JSON file as the data set's authors distribute it".into()
        }
        E::InvalidSetting { .. } => "configs/README.md lists every key with its meaning".into(),
        E::NeedleTooLong { .. } => {
            "`search-needle.style = \"passkey\"` is shorter; or search for a longer context".into()
        }
        E::NoFillerText { .. } => {
            "give longer documents, or `search-needle.filler = \"sentences\"`".into()
        }
        E::StateExists { .. } => "continue it with --resume, or choose another --out".into(),
        E::NoState { .. } => {
            "check --out, or begin by leaving out --resume; a finished evaluation has no state"
                .into()
        }
        E::StateModel { .. } | E::StateSettings { .. } => {
            "repeat the settings it was begun with, or choose another --out".into()
        }
        _ => return None,
    })
}

fn hint_for_training(error: &longrope_trainer::Error) -> Option<String> {
    use longrope_trainer::Error as E;
    Some(
        match error {
            E::LearningRate { .. } | E::Warmup { .. } | E::Setting { .. } => {
                "configs/README.md lists the keys of [train] with their meanings"
            }
            E::NotFinite { .. } => {
                "the state is saved; a lower train.learning-rate or more train.warmup-steps may help"
            }
            E::NothingCounts { .. } => "use a longer --context or other text",
            E::State { .. } => "remove that folder; the run then resumes from the state before it",
            E::NothingToTrainOn => {
                "give at least one of text, short, passkey, recall and copying a share above 0"
            }
            E::OtherSettings { .. } => {
                "resume with the configuration in its config.toml, or start again in another --out"
            }
            E::Run { .. } => "--resume continues from the last saved state",
            E::Metrics { .. } => "resume with the version that wrote the file",
            E::Io(error) => return hint_for_io(error),
            E::Model(error) => return hint_for_model(error),
            E::Data(error) => return hint_for_data(error),
            E::Hook(error) => return hint_for(error.as_ref()),
            _ => return None,
        }
        .to_owned(),
    )
}

fn hint_for_search(error: &longrope_search::Error) -> Option<String> {
    use longrope_search::Error as E;
    Some(match error {
        E::InvalidProblem {
            field: "target_context",
            ..
        } => {
            "choose a target above the window the model was trained for; longrope inspect shows it"
                .into()
        }
        E::InvalidConfig { .. } => {
            "configs/README.md lists every key of [search] with its meaning".into()
        }
        E::StateJson { .. }
        | E::StateFormat { .. }
        | E::StateVersion { .. }
        | E::StateCorrupt { .. } => "start again without --resume, in another folder".into(),
        _ => return None,
    })
}

/// "Did you mean" for a message that names a wrong word and then the right ones, in backticks.
fn suggestion(message: &str) -> Option<String> {
    let start = message
        .find("unknown field")
        .or_else(|| message.find("unknown variant"))?;
    // What follows on further lines is where it stands, not what is allowed.
    let line = message[start..].lines().next()?;
    let mut words = line.split('`').skip(1).step_by(2);
    let wrong = words.next()?;
    let best = words
        .max_by(|a, b| strsim::jaro_winkler(wrong, a).total_cmp(&strsim::jaro_winkler(wrong, b)))?;
    (strsim::jaro_winkler(wrong, best) > 0.7).then(|| format!("did you mean `{best}`?"))
}

#[cfg(test)]
#[path = "failure_tests.rs"]
mod tests;
