//! The pipeline that the backend examples share: load the bundled model, compare methods at twice its
//! window, search factors for a few generations, and compare again.
//!
//! This code does not depend on the device.

use std::convert::Infallible;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use burn::tensor::Device;
use longrope_data::{
    Bos, ReadOptions, TokenCache, TokenWindow, Tokenizer, WindowProtocol, plan_windows,
    read_documents, tokenize_documents,
};
use longrope_eval::{LanguageModel, PerplexityRun, Scorer};
use longrope_model::Decoder;
use longrope_rope::{FactorSet, Method, RescaleFactors, RopeScaling, RopeSpec};
use longrope_search::{Candidate, Job, Objective, Outcome, Search, SearchConfig, SearchProblem};

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/tiny-llama-256");
const TEXT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ARCHITECTURE.md");
/// Number of windows for the search, and of other windows to judge its result.
const N_WINDOWS: usize = 2;

/// Runs the pipeline on a device and prints the results.
pub(crate) fn run(device: &Device) -> Result<()> {
    let start = Instant::now();
    println!("device {device:?}");
    let decoder = Decoder::load(Path::new(MODEL), device)?;
    let rope = &decoder.config().rope;
    let context = 2 * rope.original_context;
    let windows = windows(context)?;
    let (unseen, seen) = windows.split_at(N_WINDOWS);

    println!("\nperplexity at {context} tokens, on text the search does not see:");
    for method in [Method::None, Method::Ntk, Method::Yarn] {
        let ppl = perplexity(&decoder, unseen, &method.spec(rope, context)?)?;
        println!("  {method:<5} {ppl:.2}");
    }

    let problem = SearchProblem {
        rotary_dim: rope.rotary_dim,
        theta: rope.theta,
        original_context: rope.original_context,
        target_context: context,
    };
    let config = SearchConfig {
        population: 8,
        parents: 4,
        mutations: 3,
        crossovers: 3,
        generations: 3,
        ..SearchConfig::default()
    };
    let mut search = Search::new(problem, config, 42)?;
    let mut objective = MeanLoss {
        scorer: Scorer::new(&decoder),
        rope,
        context,
        windows: seen,
    };
    println!("\nsearch:");
    while !search.is_done() {
        let generation = search.step(&mut objective)?;
        println!(
            "  generation {}: {:.4} nats",
            generation.index, generation.best.score
        );
    }
    let best = search.best().context("a generation was made")?;
    let found = spec_of(rope, context, &best.candidate)?;
    let ppl = perplexity(&decoder, unseen, &found)?;
    println!(
        "\nfound {ppl:.2} on unseen text, in {:.1?}",
        start.elapsed()
    );
    Ok(())
}

/// Windows spread over the text file next to this file.
fn windows(context: usize) -> Result<Vec<TokenWindow>> {
    let tokenizer = Tokenizer::from_model_dir(Path::new(MODEL))?;
    let documents = read_documents(&[Path::new(TEXT).to_owned()], &ReadOptions::default())?;
    let documents = tokenize_documents(
        &tokenizer,
        documents.into_iter().map(Ok),
        &TokenCache::disabled(),
        true, // begin-of-text where the tokenizer puts it
    )?;
    let protocol = WindowProtocol::Spread {
        n_windows: 2 * N_WINDOWS,
    };
    Ok(plan_windows(&documents, context, protocol, Bos::Document)?)
}

fn perplexity(decoder: &Decoder, windows: &[TokenWindow], rope: &RopeSpec) -> Result<f64> {
    let mut scorer = Scorer::new(decoder);
    let mut run = PerplexityRun::new(windows, rope);
    while !run.step(&mut scorer)?.is_empty() {}
    Ok(run.sum().ppl())
}

/// The RoPE of a candidate.
fn spec_of(
    rope: &RopeSpec,
    context: usize,
    candidate: &Candidate,
) -> longrope_rope::Result<RopeSpec> {
    let set = FactorSet {
        max_context: context,
        start_tokens: candidate.start_tokens,
        factors: RescaleFactors::new(candidate.factors())?,
        attention: None,
    };
    RopeSpec {
        scaling: RopeScaling::LongRope {
            sets: vec![set],
            attention: candidate.attention,
        },
        ..rope.plain()
    }
    .validated()
}

/// The objective of the search: the loss of a candidate on windows of text.
struct MeanLoss<'a> {
    scorer: Scorer<'a>,
    rope: &'a RopeSpec,
    context: usize,
    windows: &'a [TokenWindow],
}

impl MeanLoss<'_> {
    fn loss(&mut self, candidate: &Candidate, window: usize) -> Result<f64> {
        let tokens = self.windows[window].tokens();
        let rope = spec_of(self.rope, self.context, candidate)?.resolve(tokens.len());
        let losses = self.scorer.token_nll(&[&tokens], 1, &rope)?.concat();
        let sum: f64 = losses.iter().map(|nll| f64::from(*nll)).sum();
        Ok(sum / losses.len() as f64)
    }
}

impl Objective for MeanLoss<'_> {
    type Error = Infallible;

    fn n_samples(&self) -> usize {
        self.windows.len()
    }

    fn evaluate(&mut self, jobs: &[Job<'_>]) -> Result<Vec<Outcome>, Infallible> {
        let outcome = |job: &Job| match self.loss(job.candidate, job.sample) {
            Ok(loss) => Outcome::Loss(loss),
            Err(error) => Outcome::Failed(error.to_string()),
        };
        Ok(jobs.iter().map(outcome).collect())
    }
}
