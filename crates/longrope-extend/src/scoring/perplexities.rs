//! Perplexities of RoPEs at contexts, on the same windows and on all devices.

use std::collections::BTreeMap;
use std::time::Duration;

use longrope_data::{TokenDocument, TokenWindow, plan_windows};
use longrope_eval::{
    PerplexityRun, PplProtocol, PplResult, ScoredWindow, WindowBatch, WindowLosses, WindowPlan,
    WindowSettings,
};
use longrope_model::rope_fingerprint;
use longrope_rope::{AnglePrecision, RopeSpec};

use super::job::{Losses, Measure, ScoreJob};
use super::replicas::Models;
use super::workers::Workers;
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::pool::Answered;

/// One cell of a table of perplexities: a RoPE at a context.
#[derive(Clone, Debug)]
pub struct PplCell {
    /// Name of the RoPE in results.
    pub rope: String,
    /// Tokens of a window.
    pub context: usize,
    /// The RoPE for this context.
    pub spec: RopeSpec,
}

/// How windows are placed and scored.
#[derive(Clone, Copy, Debug)]
pub struct PplOptions {
    /// Which windows are scored.
    pub windows: WindowSettings,
    /// Precision of the angles.
    pub precision: AnglePrecision,
    /// The protocol.
    pub protocol: PplProtocol,
    /// Whether the tokenizer begins texts with the beginning-of-text token. Only the protocol of llama.cpp asks.
    pub adds_bos: bool,
}

impl Default for PplOptions {
    /// Eight windows per document and our own protocol.
    fn default() -> Self {
        Self {
            windows: WindowSettings::default(),
            precision: AnglePrecision::F64,
            protocol: PplProtocol::Longrope,
            adds_bos: true,
        }
    }
}

/// What happened while perplexities are measured.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum PplEvent<'e> {
    /// The progress, in tokens that the model was run on.
    Scoring {
        /// Tokens run so far.
        n_run: u64,
        /// All tokens.
        n_tokens: u64,
    },
    /// The losses of a window. Comes after all windows are measured.
    Window {
        /// The cell it belongs to.
        cell: &'e PplCell,
        /// The window with the loss of each token.
        window: &'e ScoredWindow<'e>,
    },
}

/// Checks that the text has windows of the context of every cell, without measuring.
///
/// # Errors
/// If it has none of a context.
pub fn check_windows(
    models: &Models,
    documents: &[TokenDocument],
    cells: &[PplCell],
    options: PplOptions,
) -> Result<()> {
    plans(models, documents, cells, options).map(|_| ())
}

/// The windows of every context.
fn plans(
    models: &Models,
    documents: &[TokenDocument],
    cells: &[PplCell],
    options: PplOptions,
) -> Result<BTreeMap<usize, Plan>> {
    let bos_token = match options.protocol {
        PplProtocol::LlamaCpp if !options.adds_bos => None,
        _ => models.decoder().config().bos_token,
    };
    let mut plans = BTreeMap::new();
    for cell in cells {
        if let std::collections::btree_map::Entry::Vacant(entry) = plans.entry(cell.context) {
            entry.insert(Plan::new(documents, cell.context, options, bos_token)?);
        }
    }
    Ok(plans)
}

/// Measures every cell, in order. Cells of one context are measured on the same windows.
///
/// # Errors
/// If the text has no window of a context, an interrupt is requested, or the model or all devices fail.
pub fn perplexities(
    models: &Models,
    documents: &[TokenDocument],
    cells: &[PplCell],
    options: PplOptions,
    interrupt: &Interrupt,
    watch: &mut dyn FnMut(PplEvent<'_>),
) -> Result<Vec<PplResult>> {
    let plans = plans(models, documents, cells, options)?;
    let runs: Vec<CellRun<'_>> = cells
        .iter()
        .map(|cell| CellRun::new(cell, &plans[&cell.context], options.precision))
        .collect();
    let batches = runs.iter().flat_map(|run| &run.batches);
    let jobs: Vec<ScoreJob> = batches.map(job).collect();
    let tokens_in = |job: &ScoreJob| job.sequences.iter().map(Vec::len).sum::<usize>() as u64;
    let sizes: Vec<u64> = jobs.iter().map(tokens_in).collect();
    let n_tokens = sizes.iter().sum();
    let mut n_run = 0;
    let answers = Workers::start(models)?.score(jobs, interrupt, &mut |status| {
        n_run += status.news.map_or(0, |job| sizes[job]);
        watch(PplEvent::Scoring { n_run, n_tokens });
    })?;

    let mut answers = answers.into_iter();
    let mut results = Vec::with_capacity(runs.len());
    for run in runs {
        results.push(run.finish(&mut answers, options.protocol, watch)?);
    }
    Ok(results)
}

/// One cell while it is measured.
struct CellRun<'a> {
    cell: &'a PplCell,
    plan: &'a Plan,
    run: PerplexityRun<'a>,
    batches: Vec<WindowBatch>,
}

impl<'a> CellRun<'a> {
    fn new(cell: &'a PplCell, plan: &'a Plan, precision: AnglePrecision) -> Self {
        let mut run = PerplexityRun::new(&plan.windows, &cell.spec).with_precision(precision);
        let batches = std::iter::from_fn(|| run.next_batch()).collect();
        Self {
            cell,
            plan,
            run,
            batches,
        }
    }

    /// Takes the answers to its batches, which come next, and makes the result of them.
    fn finish(
        mut self,
        answers: &mut impl Iterator<Item = Answered<Losses>>,
        protocol: PplProtocol,
        watch: &mut dyn FnMut(PplEvent<'_>),
    ) -> Result<PplResult> {
        let Self { cell, plan, .. } = self;
        let mut took = Duration::ZERO;
        let mut windows = WindowLosses::default();
        for (batch, answer) in self.batches.iter().zip(answers) {
            took += answer.took;
            for window in &self.run.record(batch, answer.value)? {
                windows.add(window);
                watch(PplEvent::Window { cell, window });
            }
        }
        let sum = self.run.sum();
        Ok(PplResult {
            task: "ppl".to_owned(),
            rope: cell.rope.clone(),
            rope_fingerprint: Some(rope_fingerprint(&cell.spec)),
            context: cell.context,
            stride: plan.layout.stride,
            within: plan.layout.within(),
            n_windows: sum.n_windows,
            n_tokens: sum.n_tokens,
            nll_nats: sum.nll_nats(),
            stderr_nats: protocol.stderr_nats(&sum),
            ppl: sum.ppl(),
            ppl_window_mean: sum.ppl_window_mean(),
            bos: plan.layout.bos.name().to_owned(),
            protocol,
            windows: Some(windows),
            difference: None,
            elapsed_secs: took.as_secs_f64(),
        })
    }
}

/// The windows of one context.
struct Plan {
    layout: WindowPlan,
    windows: Vec<TokenWindow>,
}

impl Plan {
    fn new(
        documents: &[TokenDocument],
        context: usize,
        options: PplOptions,
        bos_token: Option<u32>,
    ) -> Result<Self> {
        let layout = options.protocol.plan(context, options.windows, bos_token);
        let windows = plan_windows(documents, context, layout.windows, layout.bos)
            .map_err(|source| Error::Windows { context, source })?;
        Ok(Self { layout, windows })
    }
}

/// The job of a batch of windows.
fn job(batch: &WindowBatch) -> ScoreJob {
    ScoreJob {
        sequences: batch.sequences.clone().into(),
        score_from: batch.score_from,
        rope: batch.rope.clone(),
        measure: Measure::Nats,
        positions: None,
        adapt: None,
    }
}
