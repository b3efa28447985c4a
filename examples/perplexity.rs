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
    Bos, ReadOptions, Tokenizer, WindowProtocol, plan_windows, read_documents, tokenize,
};
use longrope_eval::perplexity;
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
    let decoder = Decoder::load(&model, Device::flex())?;
    let rope = &decoder.config().rope;
    let context = 4 * rope.original_context;

    let tokenizer = Tokenizer::from_model_dir(&model)?;
    let documents = tokenize(
        &tokenizer,
        read_documents(&[text], &ReadOptions::default())?,
    )?;
    let windows = plan_windows(
        &documents,
        context,
        WindowProtocol::spread(4),
        Bos::Document,
    )?;

    for method in [Method::None, Method::Yarn] {
        let spec = method.spec(rope, context)?;
        let sum = perplexity(&decoder, &windows, &spec)?;
        println!(
            "{method:<5} {context} tokens, {} windows: perplexity {:.2} ({:.4} nats per token)",
            sum.n_windows,
            sum.ppl(),
            sum.nll_nats()
        );
    }
    Ok(())
}
