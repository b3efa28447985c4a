//! Perplexities of rotary embeddings at contexts: the loop that `eval ppl`, `compare` and `demo` share.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use longrope_data::{Bos, TokenDocument, TokenWindow, plan_windows};
use longrope_eval::{PerplexityRun, PplProtocol, PplResult, ScoredWindow, WindowBatch, WindowPlan};
use longrope_model::Decoder;

use crate::hint::Hint;
use crate::input;
use crate::input::rope_arg::RopeArg;
use crate::models::Models;
use crate::pool::Answered;
use crate::settings::config::Config;
use crate::show::{output, progress};
use crate::signals::Interrupt;
use crate::workers::{Losses, Measure, ScoreJob, Workers, explain};

/// A RoPE and the name it goes by in tables.
#[derive(Clone, Debug)]
pub(crate) struct NamedRope {
    pub(crate) name: String,
    pub(crate) rope: RopeArg,
}

/// The longest of the configured contexts.
pub(crate) fn longest_context(config: &Config) -> Result<usize> {
    config.contexts.iter().copied().max().ok_or_else(|| {
        anyhow!("there are no contexts").context(Hint(
            "name them with --contexts, for instance --contexts 256,512,1024".to_owned(),
        ))
    })
}

/// The configured RoPEs, by default what config.json says.
pub(crate) fn rope_names(config: &Config) -> Vec<String> {
    match config.rope.as_slice() {
        [] => vec!["checkpoint".to_owned()],
        names => names.to_vec(),
    }
}

/// Understands a list of `R`.
pub(crate) fn named_ropes(
    names: &[String],
    decoder: &Decoder,
    target: usize,
) -> Result<Vec<NamedRope>> {
    names
        .iter()
        .map(|name| {
            let rope = RopeArg::parse(name, decoder.config(), target)?;
            Ok(NamedRope {
                name: name.clone(),
                rope,
            })
        })
        .collect()
}

/// Measures every RoPE at every context, on the same windows and on all devices, and hands each
/// scored window to `each` with the names of RoPE and context.
pub(crate) fn measure(
    config: &Config,
    models: &Models,
    documents: &[TokenDocument],
    ropes: &[NamedRope],
    interrupt: &Interrupt,
    mut each: impl FnMut(&NamedRope, usize, &ScoredWindow) -> Result<()>,
) -> Result<Vec<PplResult>> {
    let protocol = config.eval.protocol;
    let plans = plans(config, models, documents)?;
    let mut cells = Vec::new();
    for named in ropes {
        for plan in &plans {
            cells.push((named, plan, named.rope.spec(plan.context)?));
        }
    }
    let mut runs = Vec::new();
    let mut jobs = Vec::new();
    for (named, plan, spec) in &cells {
        let mut run =
            PerplexityRun::new(&plan.windows, spec).with_precision(config.eval.angles.into());
        let batches: Vec<WindowBatch> = std::iter::from_fn(|| run.next_batch()).collect();
        jobs.extend(batches.iter().map(job));
        runs.push((*named, *plan, run, batches));
    }
    let mut answers = score(models, jobs, interrupt)?.into_iter();

    let mut results = Vec::new();
    for (named, plan, mut run, batches) in runs {
        let mut took = Duration::ZERO;
        for (batch, answer) in batches.iter().zip(answers.by_ref()) {
            took += answer.took;
            for window in run.record(batch, answer.value) {
                each(named, plan.context, &window)?;
            }
        }
        let sum = run.sum();
        results.push(PplResult {
            task: "ppl".to_owned(),
            rope: named.name.clone(),
            context: plan.context,
            stride: plan.layout.stride,
            n_windows: sum.n_windows,
            n_tokens: sum.n_tokens,
            nll_nats: sum.nll_nats(),
            stderr_nats: protocol.stderr_nats(&sum),
            ppl: sum.ppl(),
            ppl_window_mean: sum.ppl_window_mean(),
            bos: bos_name(plan.layout.bos).to_owned(),
            protocol,
            elapsed_secs: took.as_secs_f64(),
        });
    }
    Ok(results)
}

/// The windows of one context.
struct Plan {
    context: usize,
    layout: WindowPlan,
    windows: Vec<TokenWindow>,
}

fn plans(config: &Config, models: &Models, documents: &[TokenDocument]) -> Result<Vec<Plan>> {
    let model = models.decoder().config();
    let bos = input::bos(config, model)?;
    let eval = &config.eval;
    let plan = |&context: &usize| {
        let layout = eval
            .protocol
            .plan(context, eval.windows, eval.stride, bos, model.bos_token);
        let windows = plan_windows(documents, context, layout.windows, layout.bos)
            .with_context(|| format!("laying windows of {context} tokens"))?;
        Ok(Plan {
            context,
            layout,
            windows,
        })
    };
    config.contexts.iter().map(plan).collect()
}

fn job(batch: &WindowBatch) -> ScoreJob {
    ScoreJob {
        sequences: batch.sequences.clone().into(),
        score_from: batch.score_from,
        rope: batch.rope.clone(),
        measure: Measure::Nats,
    }
}

/// Losses for all jobs, with a bar that counts tokens.
fn score(
    models: &Models,
    jobs: Vec<ScoreJob>,
    interrupt: &Interrupt,
) -> Result<Vec<Answered<Losses>>> {
    let mut workers = Workers::start(models)?;
    let tokens_in = |job: &ScoreJob| job.sequences.iter().map(Vec::len).sum::<usize>() as u64;
    let sizes: Vec<u64> = jobs.iter().map(tokens_in).collect();
    let bar = progress::bar("scoring tokens", sizes.iter().sum());
    let answers = workers.score(jobs, interrupt, &mut |status| {
        bar.inc(status.news.map_or(0, |job| sizes[job]));
    });
    bar.finish_and_clear();
    answers.map_err(explain)
}

/// The word for where BOS stands, as in `eval.bos`.
fn bos_name(bos: Bos) -> &'static str {
    match bos {
        Bos::Document => "document",
        Bos::Window { .. } => "window",
        Bos::Replace { .. } => "replaced",
        Bos::None => "none",
    }
}

/// One row per RoPE, one column per context.
pub(crate) fn perplexity_table(results: &[PplResult]) -> String {
    let cells = results
        .iter()
        .map(|it| (it.rope.as_str(), it.context, output::perplexity(it.ppl)));
    output::by_context(cells)
}

/// What the numbers of a table were measured on.
pub(crate) fn protocol_line(results: &[PplResult]) -> String {
    let Some(first) = results.first() else {
        return String::new();
    };
    let tokens = results.iter().map(|r| r.n_tokens).max().unwrap_or(0);
    let windows: Vec<usize> = results.iter().map(|r| r.n_windows).collect();
    let (least, most) = (
        windows.iter().min().copied().unwrap_or(0),
        windows.iter().max().copied().unwrap_or(0),
    );
    let count = if least == most {
        most.to_string()
    } else {
        format!("{least} to {most}")
    };
    let stride = if results.iter().all(|r| r.stride == r.context) {
        "not overlapping".to_owned()
    } else {
        format!("stride {}", first.stride)
    };
    let mean = match first.protocol {
        PplProtocol::Longrope => "exp(nats/token)",
        PplProtocol::Yarn => "of window means (yarn)",
        PplProtocol::Truncate => "of document means (truncate)",
        PplProtocol::LlamaCpp => "exp(nats/token) of second halves (llama.cpp)",
    };
    format!(
        "perplexity {mean}, {count} windows per context, {stride}, up to {} scored tokens, bos: {}",
        output::grouped(tokens),
        first.bos
    )
}
