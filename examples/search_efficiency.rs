//! Measures how many tokens a search needs to reach the final loss of the released LongRoPE code's search.
//!
//! Runs searches by name and seed on a real model, records the best loss after each number of scored tokens, and prints
//! a table for every seed and one for all: the differences of the final losses, paired by seed. A final loss is that of a
//! candidate scored on all samples. Runs that are already in the folder are not repeated; interrupted runs continue.
//!
//! ```text
//! cargo run --release --example search_efficiency -- --text karamazov.txt --out runs/efficiency \
//!     --seeds 1,2,3 --searches official,fast
//! cargo run --release --example search_efficiency -- --text karamazov.txt --out runs/racing \
//!     --seeds 1,2,3,4,5 --searches fast-whole,fast --samples 4
//! ```
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example prints its result and its progress"
)]
#![recursion_limit = "256"]

use std::path::PathBuf;

use anyhow::{Result, bail};
use burn::tensor::Device;
use clap::Parser;
use fs_err as fs;
use longrope_data::{
    ReadOptions, Sample, Tokenizer, read_documents, select_samples, tokenize, write_atomically,
};
use longrope_extend::ModelObjective;
use longrope_model::Decoder;
use longrope_search::{Search, SearchConfig, SearchState, TargetRope};
use serde::{Deserialize, Serialize};

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/tiny-llama-256");

#[derive(Debug, Parser)]
struct Args {
    /// Checkpoint folder.
    #[arg(long, default_value = MODEL)]
    model: PathBuf,
    /// Text files that candidates are scored on.
    #[arg(long, num_args = 1.., required = true)]
    text: Vec<PathBuf>,
    /// Folder of the traces.
    #[arg(long)]
    out: PathBuf,
    /// Target context, tokens.
    #[arg(long, default_value_t = 2048)]
    target: usize,
    /// Samples per candidate.
    #[arg(long, default_value_t = 2)]
    samples: usize,
    /// Seeds of the samples and the search.
    #[arg(long, value_delimiter = ',', default_value = "1,2,3")]
    seeds: Vec<u64>,
    /// Searches by name; the others are compared with the first.
    #[arg(long, value_delimiter = ',', default_value = "official,fast")]
    searches: Vec<String>,
    /// Ends every search after this many generations.
    #[arg(long)]
    generations: Option<usize>,
    /// Candidates of the first population. Mutants, crossovers and parents keep their shares of it.
    #[arg(long)]
    population: Option<usize>,
}

/// Progress of a search after a generation.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Point {
    /// Tokens scored so far.
    tokens: usize,
    /// Candidates measured so far.
    evaluations: usize,
    /// Best loss so far, nats per token.
    best: f64,
    /// Best loss among the candidates of the generation, nats per token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    generation_best: Option<f64>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    fs::create_dir_all(&args.out)?;
    let decoder = Decoder::load(&args.model, Device::flex())?;
    let tokenizer = Tokenizer::from_model_dir(&args.model)?;
    let documents = tokenize(
        &tokenizer,
        read_documents(&args.text, &ReadOptions::default())?,
    )?;
    let mut traces = Vec::new();
    for &seed in &args.seeds {
        let samples = select_samples(&documents, args.target, args.samples, seed)?;
        let mut of_seed = Vec::new();
        for name in &args.searches {
            of_seed.push(trace(&args, name, seed, &decoder, &samples)?);
        }
        traces.push(of_seed);
    }
    print_table(&args, &traces);
    println!();
    print_differences(&args, &traces);
    Ok(())
}

/// The searches that can be compared.
fn config_of(name: &str) -> Result<SearchConfig> {
    let race = 3.0;
    let paper = SearchConfig::default();
    Ok(match name {
        "official" => SearchConfig::official(false),
        "official-piece" => SearchConfig::official(true),
        "paper" => paper,
        "race" => SearchConfig {
            racing_strictness: race,
            ..paper
        },
        "bend" => SearchConfig {
            smooth_share: 0.5,
            ..paper
        },
        "difference" => SearchConfig {
            difference_share: 0.5,
            ..paper
        },
        "surrogate" => SearchConfig {
            surrogate_pool: 8,
            ..paper
        },
        "smooth-surrogate" => SearchConfig {
            surrogate_pool: 8,
            smooth_share: 0.5,
            difference_share: 0.5,
            ..paper
        },
        "fast" => SearchConfig::fast(),
        "fast-whole" => SearchConfig {
            racing_strictness: 0.0,
            ..SearchConfig::fast()
        },
        other => bail!("no search is called {other}"),
    })
}

/// The trace of a search, from its file or by running it.
fn trace(
    args: &Args,
    name: &str,
    seed: u64,
    decoder: &Decoder,
    samples: &[Sample],
) -> Result<Vec<Point>> {
    let file = args.out.join(format!("{name}-{seed}.json"));
    if let Ok(text) = fs::read_to_string(&file) {
        return Ok(serde_json::from_str(&text)?);
    }
    let target = TargetRope::factors(&decoder.config().rope, args.target);
    let mut config = config_of(name)?;
    if let Some(generations) = args.generations {
        config.generations = config.generations.min(generations);
    }
    if let Some(population) = args.population {
        let share = |size: usize| (size * population).div_ceil(config.population);
        config = SearchConfig {
            population,
            mutations: share(config.mutations),
            crossovers: share(config.crossovers),
            parents: share(config.parents),
            ..config
        };
    }
    let state_file = args.out.join(format!("{name}-{seed}.state"));
    let mut search = match fs::read_to_string(&state_file) {
        Ok(text) => Search::resume(SearchState::from_json(&text)?)?,
        Err(_) => Search::new(target.problem(), config, seed)?,
    };
    let mut objective = ModelObjective::on(decoder, &target, samples.iter().cloned());
    while !search.is_done() {
        let generation = search.step(&mut objective)?;
        eprintln!(
            "{name} seed {seed} generation {}: {:.4}, {} evaluations",
            generation.index,
            generation.best.score,
            search.progress().evaluations
        );
        fs::write(&state_file, search.state().to_json()?)?;
    }
    let mut points = Vec::new();
    let (mut tokens, mut evaluations) = (0, 0);
    for generation in search.state().history() {
        tokens += generation.sample_evaluations * args.target;
        evaluations += generation.evaluations;
        points.push(Point {
            tokens,
            evaluations,
            best: generation.best.score,
            generation_best: Some(generation.generation_best).filter(|best| best.is_finite()),
        });
    }
    write_atomically(&file, serde_json::to_string(&points)?.as_bytes())?;
    Ok(points)
}

fn print_table(args: &Args, traces: &[Vec<Vec<Point>>]) {
    println!(
        "| seed | search | evaluations | million tokens | final loss | million tokens to the loss of {} | share |",
        args.searches[0]
    );
    println!("|---|---|---|---|---|---|---|");
    for (seed, of_seed) in args.seeds.iter().zip(traces) {
        let Some(goal) = of_seed[0].last().copied() else {
            continue;
        };
        for (name, points) in args.searches.iter().zip(of_seed) {
            let Some(end) = points.last() else { continue };
            let reached = points.iter().find(|point| point.best <= goal.best);
            let millions = |tokens: usize| format!("{:.2}", tokens as f64 / 1e6);
            let (cost, share) = match reached {
                Some(point) => (
                    millions(point.tokens),
                    format!("{:.2}", point.tokens as f64 / goal.tokens as f64),
                ),
                None => ("not reached".to_owned(), String::new()),
            };
            println!(
                "| {seed} | {name} | {} | {} | {:.4} | {cost} | {share} |",
                end.evaluations,
                millions(end.tokens),
                end.best
            );
        }
    }
}

/// The final losses of every search less those of the first, paired by seed.
fn print_differences(args: &Args, traces: &[Vec<Vec<Point>>]) {
    println!(
        "| search | final loss less that of {} | standard error | worse on | tokens saved |",
        args.searches[0]
    );
    println!("|---|---|---|---|---|");
    for (place, name) in args.searches.iter().enumerate().skip(1) {
        let ends = traces
            .iter()
            .filter_map(|of_seed| Some((*of_seed[0].last()?, *of_seed[place].last()?)));
        let ends: Vec<(Point, Point)> = ends.collect();
        let n = ends.len() as f64;
        let differences: Vec<f64> = ends.iter().map(|(a, b)| b.best - a.best).collect();
        let mean = differences.iter().sum::<f64>() / n;
        let squares: f64 = differences.iter().map(|d| (d - mean).powi(2)).sum();
        let stderr = (squares / (n - 1.0) / n).sqrt();
        let worse = differences.iter().filter(|d| **d > 0.0).count();
        let tokens = |of: fn(&(Point, Point)) -> Point| -> f64 {
            ends.iter().map(|pair| of(pair).tokens as f64).sum()
        };
        let saved = 1.0 - tokens(|pair| pair.1) / tokens(|pair| pair.0);
        println!(
            "| {name} | {mean:+.4} | {stderr:.4} | {worse} of {n} seeds | {:.0}% |",
            100.0 * saved
        );
    }
}
