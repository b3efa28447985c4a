//! Error messages: the chain of causes without repetitions, then hints.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Error;
use longrope_eval::bench::BenchError;
use longrope_extend::Interrupted;
use longrope_extend::pretrain::PretrainError;
use longrope_extend::recipe::RecipeError;

use crate::hint::Hint;
use crate::signals::EXIT_INTERRUPTED;

/// Exit code for wrong input.
const EXIT_INPUT: u8 = 1;
/// Exit code for a fault of the program or of all devices.
const EXIT_FAULT: u8 = 2;

/// What to do about numbers that are not finite.
const NOT_FINITE: &str = "a model whose weights are finite has finite losses: copy the weights again, or load them as f32 \
                          if they were converted to f16";

/// Whether all devices have failed.
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

/// Adds a hint on how to continue if the run was interrupted or all devices failed.
pub(crate) fn explain_interruption(error: Error, verb: &str, out: &Path) -> Error {
    if is_interruption(&error) || is_device_failure(&error) {
        let resume = format!(
            "the state is saved; continue with: longrope {verb} --resume --out {}",
            out.display()
        );
        return error.context(Hint(resume));
    }
    error
}

/// Prints an error and returns the exit code.
pub(crate) fn report(error: &Error) -> ExitCode {
    // A closed pipe (`longrope ... | head`) is not an error.
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

/// Prints that the program panicked and returns the exit code.
pub(crate) fn report_panic() -> ExitCode {
    let text = "error: longrope stopped because of a bug, described above\n\
                hint: please report it with the command you ran\n";
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
    ExitCode::from(EXIT_FAULT)
}

/// Formats the whole message.
fn render(error: &Error) -> String {
    let mut causes: Vec<String> = Vec::new();
    let mut hints: Vec<String> = Vec::new();
    if let Some(Hint(hint)) = error.downcast_ref::<Hint>() {
        hints.push(hint.clone());
    }
    for cause in error.chain() {
        let text = cause.to_string().trim_end().to_owned();
        // Hints are in the chain like any context, but are printed separately.
        if hints.contains(&text) {
            continue;
        }
        hints.extend(hint_for(cause));
        // Some errors repeat the text of their source.
        if causes.last().is_some_and(|last| last.contains(&text)) {
            continue;
        }
        // Further lines are indented, and empty lines removed, so that each cause is one block.
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

/// The cause as an error of this type. Errors that contain each other are boxed.
fn find<'a, E: std::error::Error + 'static>(
    cause: &'a (dyn std::error::Error + 'static),
) -> Option<&'a E> {
    let boxed = || cause.downcast_ref::<Box<E>>().map(Box::as_ref);
    cause.downcast_ref().or_else(boxed)
}

/// The hint for an error of our libraries.
fn hint_for(cause: &(dyn std::error::Error + 'static)) -> Option<String> {
    let of_libraries = find(cause)
        .map(hint_for_model)
        .or_else(|| find(cause).map(hint_for_data))
        .or_else(|| find(cause).map(hint_for_bench))
        .or_else(|| find(cause).map(hint_for_rope))
        .or_else(|| find(cause).map(hint_for_eval))
        .or_else(|| find(cause).map(hint_for_training))
        .or_else(|| find(cause).map(hint_for_search))
        .or_else(|| find(cause).map(hint_for_extend));
    if let Some(hint) = of_libraries {
        return hint;
    }
    if let Some(error) = cause.downcast_ref::<toml::de::Error>() {
        let message = error.to_string();
        return suggestion(&message)
            .or_else(|| Some("configs/README.md lists every key with its default".to_owned()));
    }
    cause.downcast_ref::<std::io::Error>().and_then(hint_for_io)
}

fn hint_for_io(error: &std::io::Error) -> Option<String> {
    use std::io::ErrorKind as K;
    Some(match error.kind() {
        K::NotFound => {
            "check the path; relative paths are relative to the working directory".into()
        }
        K::PermissionDenied => "check the permissions of the file and its folder".into(),
        K::StorageFull => "free some space; existing files are unchanged".into(),
        _ => return None,
    })
}

fn hint_for_extend(error: &longrope_extend::Error) -> Option<String> {
    use longrope_extend::Error as E;
    Some(match error {
        E::NoDeviceLeft { .. } => {
            "check the device's memory, driver and connection, or choose another --device"
                .into()
        }
        E::AllFailed { .. } => NOT_FINITE.into(),
        E::NothingToScore => "set `search-needle.samples` to 1 or more".into(),
        E::NeedlesNeedTokenizer => {
            "give text with --text, and a model folder with a tokenizer.json".into()
        }
        E::SampleContext { .. } => {
            "up to the original context, rescaling can only do harm; without this key, samples are as long as the target"
                .into()
        }
        E::RunExists { .. } => "continue with --resume, or choose another --out".into(),
        E::NoRun { .. } => "check --out, or start a new search without --resume".into(),
        E::OtherSettings { .. } => {
            "resume without these flags: the settings of the search are in its config.toml"
                .into()
        }
        E::InputsMissing { .. } => {
            "only a run of `longrope search` can be resumed; start again with another --out".into()
        }
        E::OtherInputs { what } => format!(
            "resume with the original {what}, which config.toml names, or start again with another --out"
        ),
        E::BeyondFactors { .. } => "to extend the RoPE, use `longrope search --stage ratios`".into(),
        E::Recipe(RecipeError::SameName { .. }) => "rename one of the stages".into(),
        E::Recipe(RecipeError::NoSource { .. }) => {
            "only finetune makes a model, and only search and recover make factors".into()
        }
        E::Pretrain(error) => match **error {
            PretrainError::NoPhases => "start from configs/pretrain-tiny.toml with --config".into(),
            PretrainError::NoText => {
                "`pretrain.source-crates` names crates of Cargo.lock; or give files with --text"
                    .into()
            }
            _ => return None,
        },
        // These are transparent: only their sources are in the chain.
        E::Data(error) => return hint_for_data(error),
        E::Eval(error) => return hint_for_eval(error),
        E::Model(error) => return hint_for_model(error),
        E::Rope(error) => return hint_for_rope(error),
        E::Search(error) => return hint_for_search(error),
        E::Trainer(error) => return hint_for_training(error),
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
        E::Damaged { .. } => "the file is probably truncated: copy or download it again".into(),
        E::Weights { .. } => {
            "config.json and the weights belong to different models, or one of them was edited"
                .into()
        }
        E::NotFinite { .. } => NOT_FINITE.into(),
        E::OutputExists { .. } => "choose another folder, or replace it with --force".into(),
        E::TokenOutOfVocabulary { .. } => {
            "the token ids come from the tokenizer of another model".into()
        }
        E::ConfigKey { .. } | E::Rope { .. } | E::Json { .. } => {
            "use the config.json that was published with the weights, or correct it".into()
        }
        E::Io(error) => return hint_for_io(error),
        E::WeightOverflow { .. } => {
            "use --dtype bf16, which has the range of f32, or --dtype keep".into()
        }
        E::ShardSize { .. } => "for example 5GB, 500MB or 2GiB".into(),
        E::Unsupported { .. } => "this kind of model is not supported".into(),
        E::Write { .. } => "free some disk space, or choose another --out".into(),
        E::Lora(_) => {
            "name linear maps as in train.lora.target-modules = [\"q_proj\", \"v_proj\"]".into()
        }
        E::StreamedTraining => "use the default, weights = \"resident\"".into(),
        _ => return None,
    })
}

fn hint_for_data(error: &longrope_data::Error) -> Option<String> {
    use longrope_data::Error as E;
    Some(match error {
        E::NoWindow { .. } | E::NotEnoughText { .. } => {
            "give longer documents, more text, or a smaller context".into()
        }
        E::MissingField { .. } => "name the field with --set data.text-field=NAME".into(),
        E::NotUtf8 { .. } => "convert the file to UTF-8, for example with iconv".into(),
        E::NothingToTrainOn { .. } => "give text with --text, or token ids with --tokens".into(),
        E::NotFound { .. } => {
            "check the path; relative paths are relative to the working directory".into()
        }
        E::EmptyText { .. } | E::NoTextFiles { .. } => "give a file or folder with text".into(),
        E::NoTokenizer { .. } => {
            "add the tokenizer.json of the model, or give token ids with --tokens".into()
        }
        E::TokensNotJson { .. } | E::TokensForm { .. } | E::NoTokens { .. } => {
            "to give text instead of token ids, use --text".into()
        }
        E::BadTokenId { .. } => "the token ids come from the tokenizer of another model".into(),
        E::ContextTooShort { .. } => {
            "each token is predicted from the tokens before it, so a window needs at least two"
                .into()
        }
        E::ZeroCount { .. } => "leave the count out to use its default".into(),
        E::BadStride { .. } => "give a --stride of at most the smallest of the --contexts".into(),
        _ => return None,
    })
}

fn hint_for_bench(error: &BenchError) -> Option<String> {
    use BenchError as E;
    Some(match error {
        E::Data(error) => return hint_for_data(error),
        E::UnknownBench { .. } => {
            "names are as in lm-evaluation-harness, with hyphens".into()
        }
        E::Column { .. } => {
            "the columns must be those of the data set on Hugging Face".into()
        }
        E::Parquet { .. } => {
            "convert the file to JSON lines, or to parquet that is uncompressed or compressed with snappy".into()
        }
        E::Line { .. } | E::NoRows { .. } => "the file must have one JSON object per line and question".into(),
        E::ZeroShotOnly { .. } => "leave out --shots".into(),
        E::AnswerTokens { .. } => "give a larger context with --contexts".into(),
        _ => return None,
    })
}

fn hint_for_rope(error: &longrope_rope::Error) -> Option<String> {
    use longrope_rope::Error as E;
    Some(match error {
        E::FactorCount { .. } => {
            "the factors are for a model with another head size; a list needs one factor per rotated pair, rotary_dim / 2"
                .into()
        }
        E::CsvEmpty { .. } | E::CsvNumber { .. } | E::CsvRowLength { .. } => {
            "a factor CSV has one factor per line, or one row of factors per layer".into()
        }
        E::MissingKey { .. }
        | E::WrongValue { .. }
        | E::UnknownRopeType { .. }
        | E::Disagree { .. }
        | E::LayerTypes { .. } => {
            "use the config.json that was published with the weights, or correct it".into()
        }
        E::UnknownFamily { .. } => {
            "doctor knows the rules of the runtimes for these model types only".into()
        }
        _ => return None,
    })
}

fn hint_for_eval(error: &longrope_eval::Error) -> Option<String> {
    use longrope_eval::Error as E;
    Some(match error {
        E::Bench(error) => return hint_for_bench(error),
        E::ContextTooShort { .. } => "give longer --contexts".into(),
        E::NoExactFit { .. } => "try a context a few tokens longer or shorter".into(),
        E::MissingData { .. } => {
            "give --text, --squad or --hotpotqa, or choose other --tasks".into()
        }
        E::Io(error) => return hint_for_io(error),
        E::QaForm { .. } | E::NoQuestions { .. } => {
            "give the JSON file that the authors of the data set distribute".into()
        }
        E::InvalidSetting { .. } => "configs/README.md describes every key".into(),
        E::NeedleTooLong { .. } => {
            "set `search-needle.style = \"passkey\"`, which is shorter, or search for a longer context".into()
        }
        E::NoFillerText { .. } => {
            "give longer documents, or set `search-needle.filler = \"sentences\"`".into()
        }
        E::StateExists { .. } => "continue with --resume, or choose another --out".into(),
        E::NoState { .. } => {
            "check --out, or start without --resume; a finished evaluation has no saved state"
                .into()
        }
        E::StateModel { .. } | E::StateSettings { .. } => {
            "use the settings that the evaluation was started with, or choose another --out".into()
        }
        _ => return None,
    })
}

fn hint_for_training(error: &longrope_trainer::Error) -> Option<String> {
    use longrope_trainer::Error as E;
    Some(
        match error {
            E::LearningRate { .. } | E::Warmup { .. } | E::Setting { .. } => {
                "configs/README.md describes every key of [train]"
            }
            E::NotFinite { .. } => {
                "the state is saved; try a lower train.learning-rate or more train.warmup-steps"
            }
            E::NeverFinite { .. } => {
                "check the weights of the model, or try a lower train.learning-rate"
            }
            E::NothingCounts { .. } => "use a longer --context or other text",
            E::State { .. } => "remove that folder; the run then resumes from the previous state",
            E::NothingToTrainOn => {
                "set at least one share of train.data above 0: text, short, passkey, recall or copying"
            }
            E::OtherSettings { .. } => {
                "resume with the configuration in the run's config.toml, or start again with another --out"
            }
            E::Run { .. } => "continue from the last saved state with --resume",
            E::Metrics { .. } => "resume with the version of longrope that wrote the file",
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
        } => "choose a target above the original context, which longrope inspect shows".into(),
        E::InvalidConfig { .. } => "configs/README.md describes every key of [search]".into(),
        E::StateJson { .. }
        | E::StateFormat { .. }
        | E::StateVersion { .. }
        | E::StateCorrupt { .. } => "start again without --resume in another folder".into(),
        _ => return None,
    })
}

/// "Did you mean" for a message with the unknown word and then the known words in backticks.
fn suggestion(message: &str) -> Option<String> {
    let start = message
        .find("unknown field")
        .or_else(|| message.find("unknown variant"))?;
    // Further lines name the place of the error, not allowed words.
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
