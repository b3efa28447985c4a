//! Perplexity from Rust: a checkpoint, a text, two RoPEs.
//!
//! ```text
//! cargo run --release --example perplexity [MODEL TEXT]
//! ```
//!
//! This is `longrope eval ppl` without files, flags and progress bars. The default text is
//! `ARCHITECTURE.md`. The bundled model is trained on Rust source code, so its perplexity on this
//! prose is high.
#![expect(clippy::print_stdout, reason = "an example prints its result")]
#![recursion_limit = "256"]

use std::path::PathBuf;

use anyhow::Result;
use burn::tensor::Device;
use longrope_data::{
    Bos, ReadOptions, TokenCache, Tokenizer, WindowProtocol, plan_windows, read_documents,
    tokenize_documents,
};
use longrope_eval::{PerplexityRun, Scorer};
use longrope_model::Decoder;
use longrope_rope::Method;

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/tiny-llama-256");
const TEXT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ARCHITECTURE.md");

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let model = args
        .next()
        .map_or_else(|| PathBuf::from(MODEL), PathBuf::from);
    let text = args
        .next()
        .map_or_else(|| PathBuf::from(TEXT), PathBuf::from);

    // A decoder holds weights only. The RoPE is an argument of every call, so one decoder serves any
    // number of RoPEs.
    let decoder = Decoder::load(&model, &Device::flex())?;
    let rope = &decoder.config().rope;
    let context = 4 * rope.original_context;

    let tokenizer = Tokenizer::from_model_dir(&model)?;
    let documents = tokenize_documents(
        &tokenizer,
        read_documents(&[text], &ReadOptions::default())?
            .into_iter()
            .map(Ok),
        &TokenCache::disabled(),
        true, // begin-of-text where the tokenizer puts it
    )?;
    let protocol = WindowProtocol::Spread { n_windows: 4 };
    let windows = plan_windows(&documents, context, protocol, Bos::Document)?;

    let mut scorer = Scorer::new(&decoder);
    for method in [Method::None, Method::Yarn] {
        let spec = method.spec(rope, context)?;
        let mut run = PerplexityRun::new(&windows, &spec);
        // Each step scores the next few windows and returns the losses of their tokens.
        while !run.step(&mut scorer)?.is_empty() {}
        let sum = run.sum();
        println!(
            "{method:<5} {context} tokens, {} windows: perplexity {:.2} ({:.4} nats per token)",
            sum.n_windows,
            sum.ppl(),
            sum.nll_nats()
        );
    }
    Ok(())
}
