//! `longrope recover`

use anyhow::{Result, anyhow};
use longrope_extend::{Recovered, Recovery, RecoveryTask, RunKind, RunMode, Watch};
use longrope_model::ResultSource;
use longrope_rope::{RopeScaling, RopeSpec};
use serde::Serialize;

use super::searching::{inputs, shown};
use crate::failure::{Hint, explain_interruption};
use crate::input::memory::Work;
use crate::input::rope_arg::{RopeArg, longest_context};
use crate::settings::args::{self, FlagLayer};
use crate::settings::config::Config;
use crate::settings::required;
use crate::show::output;
use crate::terminal::signals;
use crate::{input, next_steps};

/// The output of `--json`.
#[derive(Debug, Serialize)]
struct RecoveryReport {
    format: &'static str,
    version: u32,
    source: ResultSource,
    contexts: Vec<Recovered>,
}

pub(crate) fn run(args: &args::Recover) -> Result<()> {
    let config = configuration(args)?;
    let mode = RunMode::from_flag(args.resume);
    let recovery = recover(&config, mode, args.dashboard.is_on(args.json))?;
    if args.json {
        return output::json(&RecoveryReport {
            format: "longrope-recovery",
            version: 1,
            source: recovery.source,
            contexts: recovery.contexts,
        });
    }
    show(&config, &recovery)?;
    next_steps::after_recover(&config).show();
    Ok(())
}

/// Recovers the configured contexts.
pub(crate) fn recover(config: &Config, mode: RunMode, dashboard: bool) -> Result<Recovery> {
    let out = required(config.out.as_ref(), "--out")?;
    check_samples(config)?;
    let interrupt = signals::listen()?;
    let model = input::model_config(config)?;
    let longest = longest_context(config)?;
    let name = required(config.rope.first(), "--rope")?;
    let known = RopeArg::parse(name, &model, longest).and_then(|rope| rope.spec(longest))?;
    if !matches!(known.scaling, RopeScaling::LongRope { .. }) {
        return Err(anyhow!("RoPE `{name}` has no factor sets").context(Hint(
            "give the rope.json of a search with --rope".to_owned(),
        )));
    }
    check_contexts(config, &known)?;
    if config.search.run.adapt.is_on() {
        tracing::warn!(
            "search.adapt has no effect on a recovery: short contexts have no new positions"
        );
    }
    let models = input::load_models(config, Work::Measure { context: longest })?;
    let decoder = models.decoder();
    let documents = input::load_documents(config, decoder.config())?;
    let tokenizer = input::needle_tokenizer(config, decoder.config())?;
    let inputs = inputs(config, &models, &documents, tokenizer.as_ref())?;
    let recover = |_, watch: Watch<'_>| {
        let task = RecoveryTask {
            inputs,
            max_factor_ratio: config.recover.max_factor_ratio,
            known,
            contexts: config.contexts.clone(),
            out,
            mode,
        };
        task.run(&interrupt, watch)
    };
    shown(config, dashboard, &interrupt, recover)
        .map_err(|error| explain_interruption(error, RunKind::Recover, out, mode))
}

/// Refuses a length of samples: losses of windows of other lengths than the context say nothing about its factors.
///
/// # Errors
/// If there is one.
pub(super) fn check_samples(config: &Config) -> Result<()> {
    match config.search.run.sample_context {
        Some(found) => Err(longrope_extend::Error::RecoverySamples { found }.into()),
        None => Ok(()),
    }
}

/// Refuses contexts that the factor sets are not for, before anything is loaded.
fn check_contexts(config: &Config, known: &RopeSpec) -> Result<()> {
    let longest = known.max_context();
    for &context in &config.contexts {
        if context > longest {
            return Err(longrope_extend::Error::BeyondFactors { longest, context }.into());
        }
        if context < 2 {
            return Err(
                anyhow!("`--contexts` has {context}, expected at least 2 tokens").context(Hint(
                    format!("for example --contexts {}", longest.div_ceil(2)),
                )),
            );
        }
    }
    Ok(())
}

/// Prints the result as a table.
pub(crate) fn show(config: &Config, recovery: &Recovery) -> Result<()> {
    let out = required(config.out.as_ref(), "--out")?;
    output::line(table(&recovery.contexts))?;
    output::line(format!(
        "all factor sets in {}",
        output::path(&out.join("rope.json"))
    ))
}

fn configuration(args: &args::Recover) -> Result<Config> {
    let flags = FlagLayer::default()
        .model(&args.model)
        .text(&args.text)
        .list("rope", args.rope.iter().cloned())
        .counts("contexts", &args.contexts)
        .path("out", args.out.as_ref())
        .number("seed", args.seed)
        .set("search.profile", args.profile.clone())
        .count("search.samples", args.samples)
        .table();
    input::configuration_of_run(
        &args.common,
        flags,
        args.out.as_ref(),
        args.resume,
        RunKind::Recover,
    )
}

fn table(recovered: &[Recovered]) -> String {
    let header = ["context", "before", "after", "gain (nats)", "evaluations"].map(str::to_owned);
    let row = |gain: &Recovered| {
        vec![
            output::grouped(gain.context),
            output::perplexity(gain.before_nats.exp()),
            output::perplexity(gain.after_nats.exp()),
            format!(
                "{:+.4}{}",
                gain.before_nats - gain.after_nats,
                if gain.kept { "" } else { ", not kept" }
            ),
            output::grouped(gain.evaluations),
        ]
    };
    let rows: Vec<Vec<String>> = recovered.iter().map(row).collect();
    output::table(&header, &rows)
}
