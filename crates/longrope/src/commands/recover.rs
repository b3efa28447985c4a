//! `longrope recover`

use anyhow::{Context, Result, anyhow};
use longrope_data::WindowProtocol;
use longrope_extend::recipe::Verb;
use longrope_extend::{
    CalibrationOptions, ObjectiveKind, Recovered, Recovery, RecoverySettings, RecoveryTask,
    RunKind, RunMode, Watch,
};
use longrope_model::{ModelConfig, ResultSource};
use longrope_rope::{RopeScaling, RopeSpec};
use serde::Serialize;

use super::named_inputs::with_inputs;
use super::other_rope;
use super::searching::{calibration, inputs, shown};
use crate::failure::{Hint, explain_interruption};
use crate::input::memory::Work;
use crate::input::rope_arg::RopeArg;
use crate::input::ropes_and_contexts::{longest_context, only_rope};
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
    // Not for stages of recipes: they share keys with searches, which may have other operators. A recovery starts from the
    // start tokens of its RoPE.
    for line in config.search.unread(true) {
        tracing::warn!("{line}");
    }
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
    check_settings(config)?;
    let interrupt = signals::listen()?;
    let model = input::model_config(config)?;
    let longest = longest_context(config)?;
    let rope = match mode {
        // Earlier versions began with the first of several.
        RunMode::Resume => config.rope.first().map(String::as_str),
        _ => only_rope(config, TAKER)?,
    };
    let name = required(rope, "--rope")?;
    input::check_text(config)?;
    let known = factor_sets(config, name, &RopeArg::parse(name, &model, longest)?)?;
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
            .map_err(|error| other_rope::named(error, out, &config.rope))
            .map_err(|error| with_inputs(error, out, config, Verb::Recover))
    };
    shown(config, dashboard, &interrupt, recover)
        .map_err(|error| explain_interruption(error, RunKind::Recover, out, mode))
}

/// What takes one RoPE, in messages.
pub(super) const TAKER: &str = "a recovery";

/// Refuses a length of samples, as losses of windows of other lengths than the context say nothing about its factors;
/// and contexts without a token to predict.
///
/// # Errors
/// If there is one.
pub(super) fn check_settings(config: &Config) -> Result<()> {
    if let Some(found) = config.search.run.sample_context {
        return Err(longrope_extend::Error::RecoverySamples { found }.into());
    }
    for &context in &config.contexts {
        let windows = WindowProtocol::spread(1).check(context);
        windows.context("windows of `--contexts`")?;
    }
    Ok(())
}

/// Refuses populations that are smaller than the starts of their searches.
pub(super) fn check_starts(config: &Config, model: &ModelConfig) -> Result<()> {
    let calibration = calibration(config);
    let settings = settings(config, &model.rope, &calibration);
    Ok(settings.check_starts(&config.contexts)?)
}

/// What is known of a recovery before its model and its text are loaded.
pub(super) fn settings<'a>(
    config: &'a Config,
    known: &'a RopeSpec,
    calibration: &'a CalibrationOptions,
) -> RecoverySettings<'a> {
    RecoverySettings {
        known,
        profile: config.search.run.profile.name(),
        max_factor_ratio: config.recover.max_factor_ratio,
        evolution: &config.search.evolution,
        calibration,
    }
}

/// A RoPE with factor sets for the configured contexts.
///
/// # Errors
/// If it has none, or a context is beyond them.
pub(super) fn factor_sets(config: &Config, name: &str, rope: &RopeArg) -> Result<RopeSpec> {
    let known = rope.spec(longest_context(config)?)?;
    if !matches!(known.scaling, RopeScaling::LongRope { .. }) {
        return Err(anyhow!("RoPE `{name}` has no factor sets").context(Hint(
            "give the rope.json of a search with --rope".to_owned(),
        )));
    }
    check_contexts(config, known.max_context())?;
    Ok(known)
}

/// Refuses contexts beyond the `longest` that the factor sets are for, before anything is loaded.
pub(super) fn check_contexts(config: &Config, longest: usize) -> Result<()> {
    for &context in &config.contexts {
        if context > longest {
            return Err(longrope_extend::Error::BeyondFactors { longest, context }.into());
        }
    }
    Ok(())
}

/// Prints the result as a table.
pub(crate) fn show(config: &Config, recovery: &Recovery) -> Result<()> {
    let out = required(config.out.as_ref(), "--out")?;
    output::line(table(&recovery.contexts))?;
    let objective = config.search.run.objective.given().unwrap_or_default();
    if let Some(line) = gain_line(&recovery.contexts, objective) {
        output::line(line)?;
    }
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
    let row = |found: &Recovered| {
        vec![
            output::grouped(found.context),
            output::perplexity(found.before_nats.exp()),
            output::perplexity(found.after_nats.exp()),
            gain(found),
            output::grouped(found.evaluations),
        ]
    };
    let rows: Vec<Vec<String>> = recovered.iter().map(row).collect();
    output::table(&header, &rows)
}

/// How much lower the objective of the factors found is, with half of its interval, and whether they are kept.
fn gain(found: &Recovered) -> String {
    let half = found.difference.half_width();
    let half = half.map_or_else(String::new, |half| format!(" ± {half:.4}"));
    let kept = if found.kept { "" } else { ", not kept" };
    // Not the negative number, which may be -0.
    format!("{:+.4}{half}{kept}", 0.0 - found.difference.value)
}

/// A line about the gains; `None` if there are none.
fn gain_line(recovered: &[Recovered], objective: ObjectiveKind) -> Option<String> {
    let n_samples = recovered.first()?.difference.n;
    let samples = output::counted(n_samples, "sample");
    let what = match objective {
        ObjectiveKind::Perplexity => "loss".to_owned(),
        other => format!("objective ({})", other.description()),
    };
    let has_interval = |found: &Recovered| found.difference.half_width().is_some();
    let interval = if recovered.iter().all(has_interval) {
        "± half of the 95% interval (Student's t). Only factors whose interval is above 0 are kept"
    } else if recovered.iter().any(has_interval) {
        "± half of the 95% interval (Student's t), if they are enough and do not all differ by the same. Only factors whose \
         interval is above 0 are kept"
    } else if n_samples > 1 {
        "too few for an interval, or all differ by the same, so no factors are kept"
    } else {
        "too few for an interval, so no factors are kept"
    };
    Some(format!(
        "gain: {what} of the RoPE as it was minus that of the factors, on the same {samples}, {interval}. The factors were \
         chosen on these samples, so their gain on other text is smaller"
    ))
}

#[cfg(test)]
mod tests {
    use longrope_eval::paired_scores;

    use super::*;

    fn recovered(before: &[f64], after: &[f64]) -> Recovered {
        let difference = paired_scores(after, before, "before");
        Recovered {
            context: 512,
            before_nats: 2.0,
            after_nats: 1.9,
            evaluations: 40,
            kept: difference.distinguishable && difference.value < 0.0,
            difference,
        }
    }

    #[test]
    fn gains_have_intervals_and_say_what_is_not_kept() {
        let kept = recovered(&[2.0, 2.1, 2.2], &[1.9, 2.01, 2.09]);
        assert_eq!(gain(&kept), "+0.1000 ± 0.0248");
        let noise = recovered(&[2.0, 2.1, 2.2], &[1.9, 2.2, 2.1]);
        assert_eq!(gain(&noise), "+0.0333 ± 0.2868, not kept");
        let line = gain_line(&[kept, noise], ObjectiveKind::Perplexity).unwrap();
        assert_eq!(
            line,
            "gain: loss of the RoPE as it was minus that of the factors, on the same 3 samples, ± half of the 95% interval \
             (Student's t). Only factors whose interval is above 0 are kept. The factors were chosen on these samples, so their \
             gain on other text is smaller"
        );
    }

    #[test]
    fn the_line_promises_no_interval_that_a_row_does_not_have() {
        let same = || recovered(&[2.0, 2.1], &[1.9, 2.0]);
        assert_eq!(gain(&same()), "+0.1000, not kept");
        let line = gain_line(&[same()], ObjectiveKind::Perplexity).unwrap();
        let words = "2 samples, too few for an interval, or all differ by the same, so no factors are kept. The";
        assert!(line.contains(words), "{line}");
        let noise = recovered(&[2.0, 2.1], &[1.9, 2.2]);
        let line = gain_line(&[same(), noise], ObjectiveKind::Perplexity).unwrap();
        let words =
            "(Student's t), if they are enough and do not all differ by the same. Only factors";
        assert!(line.contains(words), "{line}");
    }

    #[test]
    fn one_sample_keeps_nothing() {
        let single = recovered(&[2.0], &[1.5]);
        assert_eq!(gain(&single), "+0.5000, not kept");
        let line = gain_line(&[single], ObjectiveKind::Needle).unwrap();
        assert!(
            line.starts_with("gain: objective (mean loss per token of needle answers) of the RoPE"),
            "{line}"
        );
        assert!(
            line.contains("1 sample, too few for an interval, so no factors are kept."),
            "{line}"
        );
        assert_eq!(gain_line(&[], ObjectiveKind::Perplexity), None);
    }
}
