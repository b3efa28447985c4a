//! Hints for errors of measuring and of benchmarks.

use longrope_eval::bench::BenchError as B;
use longrope_eval::{ChangedSetting, Error as E};

use super::{data, model, system::io_hint};

/// The hint for an error of `longrope-eval`.
pub(super) fn hint(error: &E) -> Option<String> {
    Some(match error {
        E::Bench(error) => return bench_hint(error),
        E::Model(error) => return model::hint(error),
        E::Data(error) | E::Windows(error) => return data::hint(error),
        E::Io(error) => io_hint(error),
        E::ContextTooShort { .. } => "give longer --contexts".into(),
        E::NothingFar { original_context, .. } => {
            format!("give --contexts of more than {original_context} tokens")
        }
        E::NoExactFit { .. } => "try a context a few tokens longer or shorter".into(),
        E::MissingData { .. } => {
            "give --text, --squad or --hotpotqa, or choose other --tasks".into()
        }
        E::QaForm { .. } | E::NoQuestions { .. } => {
            "give the JSON file that the authors of the data set distribute".into()
        }
        E::MissingPlaceholder {
            setting: "needle",
            placeholder: "{value}",
            ..
        } => "write {value} into --needle, or give --answer too: the end of your sentence".into(),
        E::MissingPlaceholder {
            setting,
            placeholder,
            ..
        } => format!("write {placeholder} into the text of `{setting}`"),
        E::InvalidSetting {
            task,
            setting,
            expected,
            ..
        } => setting_hint(task, setting, expected),
        E::NeedleTooLong { .. } => {
            "search for a longer context, or set `search-needle.style = \"passkey\"`, the shortest one".into()
        }
        E::NoFillerText { .. } => {
            "give longer documents, or set `search-needle.filler = \"sentences\"`".into()
        }
        E::StateExists { .. } => "continue with --resume, or choose another --out".into(),
        E::NoState { .. } => "check --out, or start without --resume".into(),
        // The cause has the hint: E::NotFinite.
        E::StatePrecision { saved, .. } => {
            format!("resume with --set precision={saved}, or choose another --out")
        }
        E::StateSettings { changes, .. } if changes.iter().any(ChangedSetting::is_task_version) => {
            "this version asks other prompts: resume with the version that began it, or choose another --out".into()
        }
        E::StateSettings { changes, .. } if changes.iter().any(|it| it.name == "questions") => {
            "use the --limit that the evaluation was started with, or choose another --out".into()
        }
        E::StateSettings { .. }
        | E::StateModel { .. }
        | E::StateText { .. }
        | E::StateLayers { .. } => {
            "use the settings that the evaluation was started with, or choose another --out".into()
        }
        E::StateQuestions { .. } => {
            "use the --limit that the evaluation was started with, or choose another --out".into()
        }
        E::StateJson { path, .. } | E::StateFormat { path, .. } => format!(
            "remove `{}` to start the evaluation again, or choose another --out",
            path.display()
        ),
        E::StateTrials { .. } => {
            "restore the state from a copy, or remove it and start again without --resume".into()
        }
        E::StateVersion { .. } => {
            "resume with the version of longrope that wrote the file, or choose another --out".into()
        }
        _ => return None,
    })
}

/// The hint for a setting of a task that is out of range. The message says the range.
fn setting_hint(task: &str, setting: &str, expected: &str) -> String {
    // These have flags of their own; the others are keys of a configuration file.
    let is_flag = match section_of(task) {
        "passkey" => matches!(setting, "trials" | "depths"),
        "needle" => setting != "digits",
        "gain" => true,
        _ => false,
    };
    if is_flag {
        advice(&format!("--{setting}"), expected)
    } else {
        advice(&format!("`{}.{setting}`", section_of(task)), expected)
    }
}

/// The section of a configuration with the settings of a task.
fn section_of(task: &str) -> &str {
    match task {
        "search-needle" => task,
        _ => task.split(['-', '/']).next().unwrap_or(task),
    }
}

/// What to do about the setting `name`.
fn advice(name: &str, expected: &str) -> String {
    if expected.starts_with("none") {
        format!("leave out {name}")
    } else if expected.starts_with("at least two") {
        format!("give more text with --text, or leave out {name}")
    } else {
        format!("give another value with {name}, or leave it out to use its default")
    }
}

/// The hint for an error of a benchmark.
pub(super) fn bench_hint(error: &B) -> Option<String> {
    Some(match error {
        B::Data(error) => return data::hint(error),
        B::UnknownBench { .. } => "names are as in lm-evaluation-harness, with hyphens".into(),
        B::Column { .. } => "the columns must be those of the data set on Hugging Face".into(),
        B::Parquet { .. } => {
            "convert the file to JSON lines, or to parquet that is uncompressed or compressed with snappy".into()
        }
        B::Line { .. } | B::NoRows { .. } | B::List { .. } => {
            "the file must have one JSON object per line and question, or be one JSON list of them".into()
        }
        B::TooFewExamples { found, .. } => format!(
            "give more examples with --fewshot, or at most {found} of them with --shots"
        ),
        B::ZeroShotOnly { .. } => "leave out --shots".into(),
        B::AnswerTokens { .. } => "give a larger context with --contexts".into(),
        _ => return None,
    })
}
