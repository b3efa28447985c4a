//! Perplexities of rotary embeddings at contexts: the loop that `eval ppl`, `compare` and `demo` share.

use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use longrope_data::{Bos, TokenDocument, TokenWindow, plan_windows};
use longrope_eval::{PerplexityRun, PplProtocol, PplResult, ScoredWindow, Scorer, WindowPlan};
use longrope_model::Decoder;

use crate::config::Config;
use crate::failure::Hint;
use crate::interrupt::{Interrupt, Interrupted};
use crate::rope_arg::RopeArg;
use crate::{input, output, progress};

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

/// Measures every RoPE at every context, on the same windows, and hands each scored window to
/// `each` with the names of RoPE and context.
pub(crate) fn measure(
    config: &Config,
    decoder: &Decoder,
    documents: &[TokenDocument],
    ropes: &[NamedRope],
    interrupt: &Interrupt,
    mut each: impl FnMut(&NamedRope, usize, &ScoredWindow) -> Result<()>,
) -> Result<Vec<PplResult>> {
    let bos = input::bos(config, decoder.config())?;
    let protocol = config.eval.protocol;
    let mut plans: Vec<(usize, WindowPlan, Vec<TokenWindow>)> = Vec::new();
    for &context in &config.contexts {
        let plan = protocol.plan(
            context,
            config.eval.windows,
            config.eval.stride,
            bos,
            decoder.config().bos_token,
        );
        let windows = plan_windows(documents, context, plan.windows, plan.bos)
            .with_context(|| format!("laying windows of {context} tokens"))?;
        plans.push((context, plan, windows));
    }
    let tokens_in =
        |windows: &[TokenWindow]| windows.iter().map(TokenWindow::n_tokens).sum::<usize>();
    let total: usize = plans.iter().map(|(_, _, windows)| tokens_in(windows)).sum();
    let bar = progress::bar("scoring tokens", (total * ropes.len()) as u64);
    let mut scorer = Scorer::new(decoder);
    let mut results = Vec::new();
    for named in ropes {
        for (context, plan, windows) in &plans {
            bar.set_message(format!("{} at {context}", named.name));
            let started = Instant::now();
            let spec = named.rope.spec(*context)?;
            let mut run =
                PerplexityRun::new(windows, &spec).with_precision(config.eval.angles.into());
            loop {
                if interrupt.requested() {
                    bar.finish_and_clear();
                    return Err(Interrupted.into());
                }
                let scored = run.step(&mut scorer)?;
                if scored.is_empty() {
                    break;
                }
                for window in &scored {
                    bar.inc(window.window.n_tokens() as u64);
                    each(named, *context, window)?;
                }
            }
            let sum = run.sum();
            results.push(PplResult {
                task: "ppl".to_owned(),
                rope: named.name.clone(),
                context: *context,
                stride: plan.stride,
                n_windows: sum.n_windows,
                n_tokens: sum.n_tokens,
                nll_nats: sum.nll_nats(),
                stderr_nats: protocol.stderr_nats(&sum),
                ppl: sum.ppl(),
                ppl_window_mean: sum.ppl_window_mean(),
                bos: bos_name(plan.bos).to_owned(),
                protocol,
                elapsed_secs: started.elapsed().as_secs_f64(),
            });
        }
    }
    bar.finish_and_clear();
    Ok(results)
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
    let mut contexts: Vec<usize> = Vec::new();
    let mut rows: Vec<Vec<String>> = Vec::new();
    for result in results {
        if !contexts.contains(&result.context) {
            contexts.push(result.context);
        }
    }
    for result in results {
        let row_idx = rows
            .iter()
            .position(|row| row[0] == result.rope)
            .unwrap_or_else(|| {
                let mut row = vec![String::new(); contexts.len() + 1];
                row[0].clone_from(&result.rope);
                rows.push(row);
                rows.len() - 1
            });
        if let Some(column) = contexts
            .iter()
            .position(|context| *context == result.context)
        {
            rows[row_idx][column + 1] = output::perplexity(result.reported_ppl());
        }
    }
    let header: Vec<String> = std::iter::once("rope".to_owned())
        .chain(contexts.iter().map(|c| output::grouped(*c)))
        .collect();
    output::table(&header, &rows)
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
