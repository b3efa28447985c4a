//! `longrope verify`

mod cause;
mod child;
mod compared;
mod comparison;
mod exchange;
mod expected;
mod report;
mod runtime;
mod sequences;
mod subject;
mod theirs;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use longrope_eval::Scorer;

use self::child::Interpreter;
use self::compared::{Compared, Ours, compare};
use self::comparison::Tolerance;
use self::exchange::AskedSequence;
use self::report::{Launch, Report, TheirRuntime};
use self::sequences::Lengths;
use self::subject::{Subject, subject};
use self::theirs::ask;
use crate::failure::Hint;
use crate::input;
use crate::input::memory::Work;
use crate::settings::args::{FlagLayer, Runtime, Verify};
use crate::settings::config::Config;
use crate::show::output;
use crate::terminal::signals;

/// Interpreter without `--python`.
const PYTHON: &str = "python3";

pub(crate) fn run(args: &Verify) -> Result<()> {
    let runtime = args.with;
    if args.print_script {
        return output::raw(runtime.script().as_bytes());
    }
    let given = args.model.required()?;
    runtime.check_model(given)?;
    let (report, subject) = verify(args, given)?;
    if args.json {
        output::json(&report)?;
    } else {
        output::line(report.text())?;
    }
    report.verdict(&subject.name)
}

/// Compares the losses of the `given` model, and says what was compared.
fn verify(args: &Verify, given: &Path) -> Result<(Report, Subject)> {
    let runtime = args.with;
    let library = library(runtime, args.library.as_deref())?;
    let flags = FlagLayer::default()
        .model(&args.model)
        .text(&args.text)
        .table();
    let config = input::configuration(&args.common, flags)?;
    let subject = subject(given, &config)?;
    let tolerance = tolerance(args, &subject)?;
    let rope = &subject.model.rope;
    let Lengths {
        lengths,
        not_checked,
    } = Lengths::of(runtime, rope, subject.model.max_context, &args.length)?;
    let questions = questions(&config, &subject, runtime, &lengths)?;
    let interrupt = signals::listen()?;
    let interpreter = Interpreter {
        runtime,
        python: args.python.as_deref().unwrap_or(Path::new(PYTHON)),
        library: library.as_deref(),
    };
    let theirs = ask(&interpreter, &subject, &config, &questions, &interrupt)?;
    let decoder = input::load_model(&config, work(&questions))?;
    let mut ours = Ours {
        scorer: Scorer::new(&decoder),
        folder: input::model_folder(&config)?,
        interrupt: &interrupt,
    };
    let Compared { sequences, cause } = compare(
        &mut ours,
        &subject,
        runtime,
        &tolerance,
        &questions,
        &theirs.losses,
    )?;
    let report = Report {
        format: "longrope-verification",
        version: 1,
        model: given.display().to_string(),
        runtime: TheirRuntime {
            name: runtime.name(),
            versions: theirs.versions,
            command: interpreter.shown(),
        },
        text: text_of(&config),
        tolerance,
        passes: sequences.iter().all(|it| it.comparison.passes),
        sequences,
        not_checked,
        cause,
        launch: Launch::all(runtime, &subject.name, &subject.model),
    };
    Ok((report, subject))
}

/// The tolerance that is given, or that of the types of the weights.
fn tolerance(args: &Verify, subject: &Subject) -> Result<Tolerance> {
    Ok(match args.tolerance {
        Some(nats) => Tolerance::given(checked(nats)?),
        None => Tolerance::default_for(args.with, subject.file.as_ref()),
    })
}

/// The folder of the library that `--library` names.
fn library(runtime: Runtime, given: Option<&Path>) -> Result<Option<PathBuf>> {
    let Some(given) = given else { return Ok(None) };
    if runtime != Runtime::LlamaCpp {
        return Err(anyhow!("--library is for --with llama.cpp").context(Hint(
            "leave it out, or choose the Python with --python".to_owned(),
        )));
    }
    let path = fs_err::canonicalize(given).context(Hint(
        "--library takes libllama.so (.dylib, .dll) or its folder".to_owned(),
    ))?;
    let folder = if path.is_dir() {
        path
    } else {
        path.parent().map_or(PathBuf::new(), Path::to_owned)
    };
    Ok(Some(folder))
}

/// Refuses what is no tolerance.
fn checked(nats: f64) -> Result<f64> {
    if nats.is_finite() && nats > 0.0 {
        return Ok(nats);
    }
    Err(
        anyhow!("--tolerance is {nats}, expected a number of nats above 0").context(Hint(
            "leave it out for the tolerance by the types of the weights".to_owned(),
        )),
    )
}

/// Where the tokens come from.
fn text_of(config: &Config) -> String {
    let names = input::names(config.text.iter().chain(&config.tokens));
    if names.is_empty() {
        format!("random token ids, seed {}", config.seed)
    } else {
        names.join(", ")
    }
}

/// The sequences to ask about, of these lengths.
fn questions(
    config: &Config,
    subject: &Subject,
    runtime: Runtime,
    lengths: &[usize],
) -> Result<Vec<AskedSequence>> {
    let sequences = sequences::token_ids(config, &subject.model, lengths)?;
    let questions = sequences.into_iter().map(|tokens| AskedSequence {
        context: runtime.context(tokens.len()),
        tokens,
    });
    Ok(questions.collect())
}

/// The sequence to have memory for: the longest one.
fn work(questions: &[AskedSequence]) -> Work<'static> {
    let longest = questions.iter().map(|it| it.tokens.len()).max();
    Work::Measure {
        context: longest.unwrap_or(0),
    }
}
