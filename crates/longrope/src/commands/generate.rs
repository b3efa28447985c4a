//! `longrope generate`

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use longrope_data::{Tokenizer, read_text, write_atomically};
use longrope_extend::Interrupted;
use longrope_model::{FIRST_CAPACITY, GenerateOptions, Generation, Sampling, stop_tokens};
use serde::Serialize;

use super::not_finite;
use crate::hint::Hint;
use crate::input::memory::Work;
use crate::input::rope_arg::RopeArg;
use crate::settings::args::{FlagLayer, Generate};
use crate::settings::config::{Config, GenerateSection};
use crate::show::output;
use crate::{input, next_steps, signals};

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
    let longest = generate(&config, args.json, None)?;
    if !args.json {
        next_steps::after_generate(&config, longest).show();
    }
    Ok(())
}

/// Checks the settings and that there are prompts, without reading them.
pub(crate) fn check(config: &Config) -> Result<()> {
    let section = &config.generate;
    check_section(section)?;
    if section.prompts.is_empty() && section.prompt_files.is_empty() {
        return Err(anyhow!("`--prompt` is missing").context(Hint(
            "give a prompt with --prompt or --prompt-file".to_owned(),
        )));
    }
    Ok(())
}

/// Continues the configured prompts, and prints the text or JSON. With `file`, the JSON is also written there. Returns the
/// number of tokens of the longest sequence.
pub(crate) fn generate(config: &Config, json: bool, file: Option<&Path>) -> Result<usize> {
    check(config)?;
    let prompts = prompts(&config.generate)?;
    let interrupt = signals::listen()?;
    let model = input::model_config(config)?;
    let folder = input::model_folder(config)?;
    let tokenizer = Tokenizer::from_model_dir(folder)?;
    let prompts: Vec<Vec<u32>> = prompts
        .iter()
        .map(|text| tokenizer.encode_prompt(text))
        .collect::<Result<_, _>>()?;
    let name = rope_name(config)?;
    let longest = prompts.iter().map(Vec::len).max().unwrap_or(0);
    let target = longest + config.generate.max_new_tokens;
    let spec = RopeArg::parse(&name, &model, target)?.spec(target)?;
    let eos = stop_tokens(folder, &model)?;
    let decoder = input::load_model(config, work(&prompts, config))?;

    let started = Instant::now();
    let slices: Vec<&[u32]> = prompts.iter().map(Vec::as_slice).collect();
    let mut run = Generation::new(
        &decoder,
        &spec,
        &slices,
        generate_options(&config.generate, eos.clone()),
        config.seed,
    )?;
    // A single continuation is printed as it grows. Several would be mixed up.
    let mut stream = Stream {
        tokenizer: &tokenizer,
        shown: String::new(),
    };
    let streaming = prompts.len() == 1 && !json;
    let explain = |error: longrope_model::Error| not_finite::explain(error.into(), Some(folder));
    while !interrupt.requested() && run.step().map_err(explain)?.is_some() {
        if streaming && let Some(tokens) = run.new_tokens().first() {
            stream.show(tokens)?;
        }
    }
    let mut results = Vec::new();
    for (prompt, tokens) in prompts.iter().zip(run.new_tokens()) {
        let stopped = tokens.last().is_some_and(|token| eos.contains(token));
        results.push(Continuation {
            prompt_tokens: prompt.clone(),
            tokens: tokens.to_vec(),
            text: tokenizer.decode(tokens)?,
            end: if stopped && !config.generate.ignore_eos {
                "stop-token"
            } else if tokens.len() == config.generate.max_new_tokens {
                "length"
            } else {
                "interrupted"
            },
        });
    }
    let longest = results
        .iter()
        .map(|result| result.prompt_tokens.len() + result.tokens.len())
        .max()
        .unwrap_or(0);
    if json {
        // The report below is all there is to print.
    } else if streaming {
        output::line("")?;
    } else {
        show_all(&results)?;
    }
    let report = Report {
        format: "longrope-generation",
        version: 1,
        rope: name,
        results,
        elapsed_secs: started.elapsed().as_secs_f64(),
    };
    if let Some(file) = file {
        let text = serde_json::to_string(&report)? + "\n";
        write_atomically(file, text.as_bytes())?;
    }
    if json {
        output::json(&report)?;
        return Ok(longest);
    }
    // The text so far was printed; the exit code shows that it is incomplete.
    if interrupt.requested() {
        Err(Interrupted.into())
    } else {
        Ok(longest)
    }
}

fn show_all(results: &[Continuation]) -> Result<()> {
    for (i, result) in results.iter().enumerate() {
        output::line(format!("--- prompt {}", i + 1))?;
        output::generated(&(result.text.clone() + "\n"))?;
    }
    Ok(())
}

/// Reads the prompts: first those of --prompt, then those of --prompt-file.
fn prompts(section: &GenerateSection) -> Result<Vec<String>> {
    let mut prompts = section.prompts.clone();
    for path in &section.prompt_files {
        let text =
            read_text(path).with_context(|| format!("reading prompt `{}`", path.display()))?;
        prompts.push(text);
    }
    Ok(prompts)
}

fn rope_name(config: &Config) -> Result<String> {
    match config.rope.as_slice() {
        [] => Ok("checkpoint".to_owned()),
        [name] => Ok(name.clone()),
        names => Err(
            anyhow!("`--rope` names {} RoPEs, generation takes one", names.len())
                .context(Hint("run once per RoPE".to_owned())),
        ),
    }
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

/// The tokens that are surely needed: those of the prompts, and the first new ones.
fn work(prompts: &[Vec<u32>], config: &Config) -> Work<'static> {
    let new = config.generate.max_new_tokens.min(FIRST_CAPACITY);
    Work::Generate {
        tokens: prompts.iter().map(|prompt| prompt.len() + new).sum(),
    }
}

fn generate_options(section: &GenerateSection, eos: Vec<u32>) -> GenerateOptions {
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
        stop_tokens: if section.ignore_eos { Vec::new() } else { eos },
        factors: section.factors.into(),
    }
}

/// Prints text as it grows.
struct Stream<'a> {
    tokenizer: &'a Tokenizer,
    shown: String,
}

impl Stream<'_> {
    /// Prints what `tokens` add to the text printed so far. An incomplete character decodes to the replacement character
    /// and is not printed yet.
    fn show(&mut self, tokens: &[u32]) -> Result<()> {
        let text = self.tokenizer.decode(tokens)?;
        let certain = text.trim_end_matches('\u{fffd}');
        if let Some(new) = certain.strip_prefix(self.shown.as_str())
            && !new.is_empty()
        {
            output::generated(new)?;
            certain.clone_into(&mut self.shown);
        }
        Ok(())
    }
}
