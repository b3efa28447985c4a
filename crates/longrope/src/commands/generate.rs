//! `longrope generate`

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use longrope_data::{Tokenizer, read_text, warn_of_line_ends, write_atomically};
use longrope_extend::{Interrupt, Interrupted};
use longrope_model::{Decoder, FIRST_CAPACITY, GenerateOptions, Generation, Sampling, stop_tokens};
use longrope_rope::RopeSpec;
use serde::Serialize;

use super::growing_text::{GrowingText, Print};
use super::not_finite;
use crate::failure::Hint;
use crate::input::memory::Work;
use crate::input::rope_arg::RopeArg;
use crate::input::ropes_and_contexts::only_rope;
use crate::settings::args::{FlagLayer, Generate};
use crate::settings::config::{Config, GenerateSection};
use crate::show::output;
use crate::terminal::signals;
use crate::{input, next_steps};

/// The output of `--json`.
#[derive(Serialize)]
struct Report {
    format: &'static str,
    version: u32,
    rope: String,
    results: Vec<Continuation>,
    elapsed_secs: f64,
}

#[derive(Serialize)]
struct Continuation {
    prompt_tokens: Vec<u32>,
    tokens: Vec<u32>,
    text: String,
    /// Why it ended: `stop-token`, `length` or `interrupted`.
    end: &'static str,
}

pub(crate) fn run(args: &Generate) -> Result<()> {
    let flags = FlagLayer::default()
        .model(&args.model)
        .list("rope", args.rope.iter().cloned())
        .number("seed", args.seed)
        .count("generate.max-new-tokens", args.max_new_tokens)
        .set("generate.temperature", args.temperature)
        .count("generate.top-k", args.top_k)
        .set("generate.top-p", args.top_p)
        .table();
    let mut config = input::configuration(&args.common, flags)?;
    let section = &mut config.generate;
    if !args.prompt.is_empty() || !args.prompt_file.is_empty() {
        section.prompts.clone_from(&args.prompt);
        section.prompt_files.clone_from(&args.prompt_file);
    }
    if args.json {
        let generated = generate(&config, &GenerateInputs::load(&config)?, |_| Ok(()))?;
        output::json(&generated.report)?;
        return generated.unless_interrupted();
    }
    let generated = generate_and_show(&config, output::generated)?;
    let longest = generated.longest();
    generated.unless_interrupted()?;
    next_steps::after_generate(&config, longest).show();
    Ok(())
}

/// Checks the settings and that there are prompts and at most one RoPE, without reading them.
pub(crate) fn check(config: &Config) -> Result<()> {
    let section = &config.generate;
    check_section(section)?;
    rope_name(config)?;
    if section.prompts.is_empty() && section.prompt_files.is_empty() {
        return Err(anyhow!("`--prompt` is missing").context(Hint(
            "give a prompt with --prompt or --prompt-file".to_owned(),
        )));
    }
    Ok(())
}

/// What is continued, and by what. Ctrl-C ends the generation after its present token, or piece of a prompt.
struct GenerateInputs {
    interrupt: Interrupt,
    tokenizer: Tokenizer,
    /// Tokens of the prompts.
    prompts: Vec<Vec<u32>>,
    rope_name: String,
    rope: RopeSpec,
    /// Tokens that end a text.
    stop_tokens: Vec<u32>,
    decoder: Decoder,
}

impl GenerateInputs {
    fn load(config: &Config) -> Result<Self> {
        check(config)?;
        warn_of_unused(&config.generate);
        let texts = prompts(&config.generate)?;
        let interrupt = signals::listen()?;
        let model = input::model_config(config)?;
        let folder = input::model_folder(config)?;
        let tokenizer = Tokenizer::from_model_dir(folder)?;
        let prompts: Vec<Vec<u32>> = texts
            .iter()
            .map(|text| tokenizer.encode_prompt(text))
            .collect::<Result<_, _>>()?;
        let rope_name = rope_name(config)?;
        let longest = prompts.iter().map(Vec::len).max().unwrap_or(0);
        let target = longest + config.generate.max_new_tokens;
        let rope = RopeArg::parse(&rope_name, &model, target)?.spec(target)?;
        let stop_tokens = stop_tokens(folder, &model)?;
        let decoder = input::load_model(config, work(&prompts, config))?;
        Ok(Self {
            interrupt,
            tokenizer,
            prompts,
            rope_name,
            rope,
            stop_tokens,
            decoder,
        })
    }
}

/// Continuations as far as they came.
pub(crate) struct Generated {
    report: Report,
    was_interrupted: bool,
}

impl Generated {
    /// Number of tokens of the longest sequence.
    fn longest(&self) -> usize {
        let results = self.report.results.iter();
        let tokens = results.map(|result| result.prompt_tokens.len() + result.tokens.len());
        tokens.max().unwrap_or(0)
    }

    /// Writes the output of `--json` to a file.
    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_string(&self.report)? + "\n";
        Ok(write_atomically(file, text.as_bytes())?)
    }

    /// Fails if the text was interrupted: it was printed so far, and the exit code shows that it is incomplete.
    pub(crate) fn unless_interrupted(&self) -> Result<()> {
        if self.was_interrupted {
            Err(Interrupted.into())
        } else {
            Ok(())
        }
    }
}

/// Continues prompts. After every step, `grown` is given the new tokens of each.
fn generate(
    config: &Config,
    inputs: &GenerateInputs,
    mut grown: impl FnMut(&[&[u32]]) -> Result<()>,
) -> Result<Generated> {
    let folder = input::model_folder(config)?;
    let started = Instant::now();
    let slices: Vec<&[u32]> = inputs.prompts.iter().map(Vec::as_slice).collect();
    let mut run = Generation::new(
        &inputs.decoder,
        &inputs.rope,
        &slices,
        generate_options(&config.generate, inputs.stop_tokens.clone()),
        config.seed,
    )?;
    let explain = |error: longrope_model::Error| not_finite::explain(error.into(), Some(folder));
    while !inputs.interrupt.requested() {
        if run.read_ahead().map_err(explain)? {
            continue;
        }
        if run.step().map_err(explain)?.is_none() {
            break;
        }
        grown(&run.new_tokens())?;
    }
    let mut results = Vec::new();
    for (prompt, tokens) in inputs.prompts.iter().zip(run.new_tokens()) {
        results.push(Continuation {
            prompt_tokens: prompt.clone(),
            tokens: tokens.to_vec(),
            text: inputs.tokenizer.decode_continuation(prompt, tokens)?,
            end: end(tokens, inputs, &config.generate),
        });
    }
    let was_interrupted = results.iter().any(|result| result.end == "interrupted");
    Ok(Generated {
        report: Report {
            format: "longrope-generation",
            version: 1,
            rope: inputs.rope_name.clone(),
            results,
            elapsed_secs: started.elapsed().as_secs_f64(),
        },
        was_interrupted,
    })
}

/// Why a continuation ended.
fn end(tokens: &[u32], inputs: &GenerateInputs, section: &GenerateSection) -> &'static str {
    let last = tokens.last();
    let stopped = last.is_some_and(|token| inputs.stop_tokens.contains(token));
    if stopped && !section.ignore_eos {
        "stop-token"
    } else if tokens.len() == section.max_new_tokens {
        "length"
    } else {
        "interrupted"
    }
}

/// Continues the configured prompts, and prints the text. A single continuation is printed as it grows; several would be
/// mixed up.
pub(crate) fn generate_and_show(config: &Config, print: Print) -> Result<Generated> {
    let inputs = GenerateInputs::load(config)?;
    let [prompt] = inputs.prompts.as_slice() else {
        let generated = generate(config, &inputs, |_| Ok(()))?;
        show_all(&generated.report.results, print)?;
        return Ok(generated);
    };
    let mut stream = GrowingText::new(&inputs.tokenizer, prompt, print);
    let generated = generate(config, &inputs, |tokens| match tokens.first() {
        Some(tokens) => stream.show(tokens),
        None => Ok(()),
    })?;
    if let Some(result) = generated.report.results.first() {
        stream.end(&result.text)?;
    }
    output::line("")?;
    Ok(generated)
}

/// Prints the texts with headings.
fn show_all(results: &[Continuation], print: Print) -> Result<()> {
    for (i, result) in results.iter().enumerate() {
        output::line(format!("--- prompt {}", i + 1))?;
        print(&(result.text.clone() + "\n"))?;
    }
    Ok(())
}

/// Reads the prompts: first those of --prompt, then those of --prompt-file.
fn prompts(section: &GenerateSection) -> Result<Vec<String>> {
    let mut prompts = section.prompts.clone();
    for path in &section.prompt_files {
        let text =
            read_text(path).with_context(|| format!("reading prompt `{}`", path.display()))?;
        warn_of_line_ends(path, &text);
        prompts.push(text);
    }
    Ok(prompts)
}

fn rope_name(config: &Config) -> Result<String> {
    let name = only_rope(config, "a generation")?;
    Ok(name.unwrap_or("checkpoint").to_owned())
}

fn check_section(section: &GenerateSection) -> Result<()> {
    let wrong = |key: &str, found: String, expected: &str, hint: &str| {
        Err(anyhow!("`generate.{key}` is {found}, expected {expected}")
            .context(Hint(hint.to_owned())))
    };
    let temperature = section.temperature;
    if !(temperature.is_finite() && temperature >= 0.0) {
        return wrong(
            "temperature",
            temperature.to_string(),
            "0 or a positive number",
            "temperature 0 always takes the most likely token",
        );
    }
    if let Some(top_p) = section.top_p
        && !(top_p > 0.0 && top_p <= 1.0)
    {
        return wrong(
            "top-p",
            top_p.to_string(),
            "a number above 0 and up to 1",
            "it is the share of probability to draw from, for example --top-p 0.9; 1 is all of it",
        );
    }
    if section.top_k == Some(0) {
        return wrong(
            "top-k",
            "0".to_owned(),
            "at least 1",
            "it is the number of tokens to draw from; without it, all are drawn from",
        );
    }
    Ok(())
}

/// Warns of settings of sampling where nothing is drawn.
fn warn_of_unused(section: &GenerateSection) {
    if section.temperature > 0.0 {
        return;
    }
    let settings = [
        ("top-k", section.top_k.is_some()),
        ("top-p", section.top_p.is_some()),
    ];
    for (key, is_given) in settings {
        if is_given {
            tracing::warn!(
                "`generate.{key}` has no effect at temperature 0; set `generate.temperature` above 0, for example to 0.8"
            );
        }
    }
}

/// The tokens that are surely needed: those of the prompts, and the first new ones.
fn work(prompts: &[Vec<u32>], config: &Config) -> Work<'static> {
    let new = config.generate.max_new_tokens.min(FIRST_CAPACITY);
    Work::Generate {
        tokens: prompts.iter().map(|prompt| prompt.len() + new).sum(),
    }
}

fn generate_options(section: &GenerateSection, stop_tokens: Vec<u32>) -> GenerateOptions {
    let sampling = if section.temperature > 0.0 {
        Sampling::Random {
            temperature: section.temperature,
            top_k: section.top_k,
            top_p: section.top_p,
        }
    } else {
        Sampling::Greedy
    };
    GenerateOptions {
        max_new_tokens: section.max_new_tokens,
        sampling,
        stop_tokens: if section.ignore_eos {
            Vec::new()
        } else {
            stop_tokens
        },
        factors: section.factors.into(),
    }
}
