//! `longrope compare`

use anyhow::{Result, anyhow};
use longrope_data::text_fingerprint;
use longrope_eval::{PplResult, add_window_differences};
use longrope_extend::RunMode;
use longrope_model::ModelConfig;
use longrope_rope::{Method, RopeScaling};

use super::eval::folder::{EvalFolder, Evaluated};
use super::eval::perplexities::{check, check_given, check_measured, measure, planned};
use crate::failure::Hint;
use crate::input::memory::Work;
use crate::input::ropes_and_contexts::{distinct, named_ropes};
use crate::settings::args::{Compare, FlagLayer};
use crate::settings::config::{CompareSection, Config};
use crate::show::{difference, output, perplexity_table};
use crate::terminal::signals;
use crate::{input, next_steps};

pub(crate) fn run(args: &Compare) -> Result<()> {
    let flags = FlagLayer::default()
        .model(&args.model)
        .text(&args.text)
        .counts("contexts", &args.contexts)
        .list("rope", args.rope.iter().cloned())
        .set("eval.reference", args.reference.clone())
        .count("eval.windows", args.windows)
        .count("eval.within", args.within)
        .path("out", args.out.as_ref())
        .table();
    let config = input::configuration_of_results(&args.common, flags)?;
    let done = compare(&config, RunMode::New)?;
    if args.json {
        return output::json(&done.report());
    }
    show(&done)?;
    next_steps::after_measurement(&config).show();
    Ok(())
}

/// Measures the perplexity of the configured methods and RoPEs at the configured contexts, and writes it into the run
/// folder if there is one.
pub(crate) fn compare(config: &Config, mode: RunMode) -> Result<Evaluated<PplResult>> {
    let target = check_given(config)?;
    let model = input::model_config(config)?;
    let names = names(config, &model)?;
    let reference = check_measured(config, &model, &names)?;
    let interrupt = signals::listen()?;
    let models = input::load_models(config, Work::Measure { context: target })?;
    let decoder = models.decoder();
    let ropes = named_ropes(&names, decoder, target)?;
    if leaves_methods_out(config, &model) {
        tracing::warn!(
            "no layer that sees all tokens rotates its keys: only plain RoPE is measured, without the other methods"
        );
    }
    let documents = input::load_documents(config, decoder.config())?;
    check(config, &models, &documents, &ropes)?;
    let text = text_fingerprint(&documents);
    let planned = planned(config, &ropes)?;
    let folder = EvalFolder::open(config, "compare", mode, Some(text), &planned)?
        .with_angles(config.eval.angles);
    let mut results = measure(config, &models, &documents, &ropes, &interrupt, |_, _| {
        Ok(())
    })?;
    if let Some(reference) = reference {
        add_window_differences(&mut results, &reference);
    }
    folder.write(results)
}

/// Whether the default methods are left out, except plain RoPE: the model is one in which they change nothing far away.
fn leaves_methods_out(config: &Config, model: &ModelConfig) -> bool {
    config.compare.methods == CompareSection::default().methods && !model.has_extendable_rope()
}

/// All names that [`names`] may have, whatever the model is.
pub(super) fn possible_names(config: &Config) -> Vec<String> {
    let mut names = config.compare.methods.clone();
    names.push("checkpoint".to_owned());
    names.extend(config.rope.iter().cloned());
    distinct(&names)
}

/// The names of the RoPEs to compare, each once: the methods, that of the checkpoint if it is scaled, and the configured
/// ones.
///
/// # Errors
/// If there are none.
pub(super) fn names(config: &Config, model: &ModelConfig) -> Result<Vec<String>> {
    let mut names = config.compare.methods.clone();
    if leaves_methods_out(config, model) {
        names.retain(|name| name == Method::None.name());
    }
    let own = "checkpoint".to_owned();
    let is_scaled = model.rope.scaling != RopeScaling::None {};
    if is_scaled && !names.contains(&own) && !config.rope.contains(&own) {
        names.push(own);
    }
    names.extend(config.rope.iter().cloned());
    if names.is_empty() {
        return Err(
            anyhow!("there is nothing to compare: `compare.methods` is empty").context(Hint(
                "name methods as `compare.methods`, or RoPEs with --rope".to_owned(),
            )),
        );
    }
    Ok(distinct(&names))
}

/// Prints the results as a table.
pub(crate) fn show(done: &Evaluated<PplResult>) -> Result<()> {
    let results = &done.results;
    output::line(perplexity_table::perplexity_table(results))?;
    output::line(perplexity_table::protocol_line(results))?;
    match difference::of_perplexities(results) {
        Some(table) => output::line(format!("\n{table}")),
        None => Ok(()),
    }
}
