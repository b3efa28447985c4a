//! `longrope verify`

mod cause;
mod child;
mod comparison;
mod exchange;
mod expected;
mod report;
mod runtime;
mod sequences;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use longrope_eval::{LanguageModel, Scorer};
use longrope_extend::{Interrupt, Interrupted};
use longrope_gguf::GgufFile;
use longrope_model::{ModelConfig, check_losses};
use longrope_rope::{ResolvedRope, RopeSpec};

use self::cause::Suspect;
use self::child::Interpreter;
use self::comparison::{Comparison, Tolerance};
use self::exchange::{Losses, Question, Request};
use self::report::{Launch, Report, Sequence, TheirRuntime};
use self::sequences::Lengths;
use super::not_finite;
use crate::failure::Hint;
use crate::input::memory::Work;
use crate::input::{self, gguf};
use crate::next_steps::quoted;
use crate::settings::args::{FlagLayer, Runtime, Verify};
use crate::settings::config::Config;
use crate::show::output;
use crate::terminal::{progress, signals};

/// Interpreter without `--python`.
const PYTHON: &str = "python3";
/// Bytes of an answer by token, and all others: more than any number takes.
const ANSWER_BYTES: [u64; 2] = [64, 1 << 20];

/// What is verified.
struct Subject {
    /// The folder or file as it was given, as a word for a shell.
    name: String,
    /// What the other program loads.
    place: PathBuf,
    /// The file, if it is one.
    file: Option<GgufFile>,
    model: ModelConfig,
    /// The RoPE of the export, if the model says so.
    exported: Option<RopeSpec>,
}

pub(crate) fn run(args: &Verify) -> Result<()> {
    let runtime = args.with;
    if args.print_script {
        return output::raw(runtime.script().1.as_bytes());
    }
    let given = args.model.required()?;
    runtime.check_model(given)?;
    let library = library(runtime, args.library.as_deref())?;
    let flags = FlagLayer::default()
        .model(&args.model)
        .text(&args.text)
        .table();
    let config = input::configuration(&args.common, flags)?;
    let subject = subject(given, &config)?;
    let tolerance = match args.tolerance {
        Some(nats) => Tolerance::given(checked(nats)?),
        None => Tolerance::default_for(runtime, subject.file.as_ref()),
    };
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
    if args.json {
        output::json(&report)?;
    } else {
        output::line(report.text())?;
    }
    report.verdict(&subject.name)
}

/// The model, what other programs load of it, and what it was exported with.
fn subject(given: &Path, config: &Config) -> Result<Subject> {
    let model = input::model_config(config)?;
    let folder = input::model_folder(config)?;
    let doing = || format!("reading `{}`", given.display());
    let file = if gguf::is_gguf(given) {
        Some(GgufFile::open(given).with_context(doing)?)
    } else {
        None
    };
    let (place, exported) = match &file {
        Some(file) => (given, expected::of_gguf(file, &model)),
        None => (folder.as_path(), expected::of_folder(folder, &model)),
    };
    Ok(Subject {
        name: quoted(place),
        place: fs_err::canonicalize(place).with_context(doing)?,
        file,
        model,
        exported,
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
) -> Result<Vec<Question>> {
    let sequences = sequences::token_ids(config, &subject.model, lengths)?;
    let questions = sequences.into_iter().map(|tokens| Question {
        context: runtime.context(tokens.len()),
        tokens,
    });
    Ok(questions.collect())
}

/// The sequence to have memory for: the longest one.
fn work(questions: &[Question]) -> Work<'static> {
    let longest = questions.iter().map(|it| it.tokens.len()).max();
    Work::Measure {
        context: longest.unwrap_or(0),
    }
}

/// What the other program computed.
struct Theirs {
    /// Its versions.
    versions: String,
    /// Its losses of each sequence.
    losses: Vec<Losses>,
}

/// Runs the other program.
fn ask(
    interpreter: &Interpreter<'_>,
    subject: &Subject,
    config: &Config,
    questions: &[Question],
    interrupt: &Interrupt,
) -> Result<Theirs> {
    let runtime = interpreter.runtime;
    let per_process = if runtime.takes_all_at_once() {
        questions.len()
    } else {
        1
    };
    let device = config.device.only()?;
    let (mut versions, mut losses) = (String::new(), Vec::new());
    let spinner = progress::spinner(&format!("running {}", runtime.name()));
    for part in questions.chunks(per_process.max(1)) {
        let request = Request {
            model: subject.place.display().to_string(),
            device: if device.starts_with("cuda") {
                device
            } else {
                "cpu"
            }
            .to_owned(),
            sequences: part.to_vec(),
        };
        let n_tokens: usize = part.iter().map(|question| question.tokens.len()).sum();
        let most_bytes = ANSWER_BYTES[0] * n_tokens as u64 + ANSWER_BYTES[1];
        let request = serde_json::to_string(&request)?;
        let output = interpreter.run(&request, most_bytes, interrupt)?;
        let answer = exchange::parse(&output).with_context(|| {
            format!("reading the answer of `{}`", interpreter.shown())
        }).context(Hint(format!(
            "give an interpreter of Python 3 with --python; `longrope verify --with {} --print-script` shows what it has to run",
            runtime.flag()
        )))?;
        versions.clone_from(&answer.runtime);
        losses.extend(answer.losses(runtime, part, losses.len() + 1)?);
    }
    spinner.finish_and_clear();
    Ok(Theirs { versions, losses })
}

/// The model as this program computes it.
struct Ours<'a> {
    scorer: Scorer<'a>,
    folder: &'a Path,
    interrupt: &'a Interrupt,
}

impl Ours<'_> {
    /// Nats of the tokens of a sequence, from the second one on.
    fn losses(&mut self, tokens: &[u32], rope: &ResolvedRope) -> Result<Vec<f64>> {
        if self.interrupt.requested() {
            return Err(Interrupted.into());
        }
        let scored = self.scorer.token_nll(&[tokens], 1, rope)?;
        check_losses(&scored, 1)
            .map_err(|error| not_finite::explain(error.into(), Some(self.folder)))?;
        Ok(scored.concat().into_iter().map(f64::from).collect())
    }
}

/// How the losses of the other program compare with ours.
struct Compared {
    sequences: Vec<Sequence>,
    /// What the other program did, if it departs and one of the usual faults explains its losses.
    cause: Option<String>,
}

/// Computes our losses of each sequence and compares them.
fn compare(
    ours: &mut Ours<'_>,
    subject: &Subject,
    runtime: Runtime,
    tolerance: &Tolerance,
    questions: &[Question],
    theirs: &[Losses],
) -> Result<Compared> {
    let own = &subject.model.rope;
    let (mut sequences, mut cause) = (Vec::new(), None);
    for (question, theirs) in questions.iter().zip(theirs) {
        let context = theirs.context;
        let altered = subject
            .exported
            .as_ref()
            .and_then(|exported| Some((exported, expected::difference(own, exported, context)?)));
        let rope = altered.as_ref().map_or(own, |(exported, _)| *exported);
        let losses = ours.losses(&question.tokens, &rope.resolve(context))?;
        let comparison = Comparison::new(&losses, &theirs.nats, tolerance);
        if !comparison.passes && cause.is_none() {
            let as_altered =
                altered.map(|(_, difference)| altered_suspect(subject, context, &difference));
            let usual = cause::suspects(rope, context);
            let suspects = as_altered.into_iter().chain(usual);
            let did = explanation(ours, question, theirs, tolerance, suspects)?;
            cause = did.map(|did| format!("{} {did}", runtime.name()));
        }
        sequences.push(Sequence {
            tokens: question.tokens.len(),
            context,
            factors: sequences::factors_at(rope, context),
            comparison,
        });
    }
    Ok(Compared { sequences, cause })
}

/// What a program does that takes the RoPE of the model as it is, after it was altered.
fn altered_suspect(subject: &Subject, context: usize, difference: &str) -> Suspect {
    let holder = subject.file.as_ref().map_or("config.json", |_| "the file");
    Suspect {
        rope: subject.model.rope.resolve(context),
        did: format!("took what {holder} says, and it was altered after the export: {difference}"),
    }
}

/// What the other program did, by the first suspect that has its losses.
fn explanation(
    ours: &mut Ours<'_>,
    question: &Question,
    theirs: &Losses,
    tolerance: &Tolerance,
    suspects: impl Iterator<Item = Suspect>,
) -> Result<Option<String>> {
    for suspect in suspects {
        let would_be = ours.losses(&question.tokens, &suspect.rope)?;
        if Comparison::new(&would_be, &theirs.nats, tolerance).passes {
            return Ok(Some(suspect.did));
        }
    }
    Ok(None)
}
