//! Load, search, evaluate: the crates without the program. Searches rescale factors for twice the window of the bundled
//! model and prints perplexities on text that the search has not seen.
//!
//! `cargo run --example extend` runs on the CPU. Another backend is a feature and a name:
//! `cargo run --example extend --features wgpu -- wgpu`.

#![expect(clippy::print_stdout, reason = "an example prints its result")]
#![recursion_limit = "256"]

use std::path::Path;

use anyhow::{Context, Result, bail};
use burn::tensor::Device;
use longrope_data::{
    Bos, ReadOptions, Tokenizer, WindowProtocol, plan_windows, read_documents, select_samples,
    tokenize,
};
use longrope_eval::perplexity;
use longrope_extend::ModelObjective;
use longrope_model::Decoder;
use longrope_rope::Method;
use longrope_search::{Search, SearchConfig, TargetRope};

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/tiny-llama-256");
const SEEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ARCHITECTURE.md");
const UNSEEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../CONTRIBUTING.md");

fn main() -> Result<()> {
    let name = std::env::args().nth(1);
    let device = device(name.as_deref().unwrap_or("flex"))?;
    let model = Decoder::load(Path::new(MODEL), &device)?;
    let tokenizer = Tokenizer::from_model_dir(Path::new(MODEL))?;
    let read = |text| read_documents(&[text], &ReadOptions::default());
    let seen = tokenize(&tokenizer, read(SEEN)?)?;
    let unseen = tokenize(&tokenizer, read(UNSEEN)?)?;

    let rope = &model.config().rope;
    let context = 2 * rope.original_context;
    let target = TargetRope::factors(rope, context);
    let samples = select_samples(&seen, context, 2, 42)?;
    let mut objective = ModelObjective::on(&model, &target, samples);
    let config = SearchConfig {
        population: 8,
        parents: 4,
        mutations: 3,
        crossovers: 3,
        generations: 3,
        ..SearchConfig::fast()
    };
    let mut search = Search::new(target.problem(), config, 42)?;
    while !search.is_done() {
        search.step(&mut objective)?;
    }
    let best = search.best().context("the search scored no candidate")?;
    let searched = target.spec(best)?;

    let windows = plan_windows(&unseen, context, WindowProtocol::spread(4), Bos::Document)?;
    println!("| RoPE | perplexity at {context} tokens |\n|---|---|");
    for method in [Method::None, Method::Pi, Method::Ntk, Method::Yarn] {
        let spec = method.spec(rope, context)?;
        let ppl = perplexity(&model, &windows, &spec)?.ppl();
        println!("| {} | {ppl:.2} |", method.name());
    }
    let ppl = perplexity(&model, &windows, &searched)?.ppl();
    println!("| searched | {ppl:.2} |");
    Ok(())
}

/// The device of a backend that is compiled in.
fn device(name: &str) -> Result<Device> {
    match name {
        #[cfg(feature = "flex")]
        "flex" => Ok(Device::flex()),
        #[cfg(feature = "ndarray")]
        #[expect(
            deprecated,
            reason = "an independent second backend to check results with"
        )]
        "ndarray" => Ok(Device::ndarray()),
        #[cfg(feature = "wgpu")]
        "wgpu" => Ok(Device::wgpu(burn::tensor::DeviceKind::default())),
        #[cfg(feature = "cuda")]
        "cuda" => Ok(Device::cuda(0)),
        _ => bail!("device `{name}` is unknown or not compiled in"),
    }
}
