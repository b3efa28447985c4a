//! The search without a model: the objective is a formula.
//!
//! ```text
//! cargo run --release --example search_toy
//! ```
//!
//! `longrope-search` only needs the loss of each candidate. Here the loss grows with the distance from
//! a hidden curve of factors. The search starts from the closed-form methods and has to find it.
#![expect(clippy::print_stdout, reason = "an example prints its result")]

use anyhow::{Context, Result};
use longrope_rope::AttentionScale;
use longrope_search::{
    AttentionSearch, Candidate, FnObjective, Outcome, Search, SearchConfig, SearchProblem,
};

/// The factors to find: 1 for the fast pairs, then a steep rise to the scale of 8.
const HIDDEN: [f64; 8] = [1.0, 1.0, 1.1, 2.4, 5.5, 7.0, 7.8, 8.0];
/// The start tokens to find.
const HIDDEN_START_TOKENS: f64 = 4.0;
/// Loss of a perfect candidate, nats per token.
const FLOOR: f64 = 2.0;

fn loss(candidate: &Candidate) -> f64 {
    let off: f64 = candidate
        .factors()
        .iter()
        .zip(HIDDEN)
        .map(|(factor, hidden)| (factor / hidden).ln().powi(2))
        .sum();
    let start = (candidate.start_tokens as f64 - HIDDEN_START_TOKENS).abs();
    FLOOR + off + 0.02 * start
}

fn main() -> Result<()> {
    let problem = SearchProblem {
        rotary_dim: 2 * HIDDEN.len(),
        theta: 10_000.0,
        original_context: 256,
        target_context: 2048,
    };
    // The paper's settings, but a formula has no attention scale.
    let config = SearchConfig {
        attention: AttentionSearch::Fixed {
            policy: AttentionScale::None {},
        },
        ..SearchConfig::default()
    };
    let mut search = Search::new(problem, config, 42)?;
    // One sample, so a job is a candidate. A model would run on several texts.
    let mut objective = FnObjective::new(1, |candidate: &Candidate, _sample| {
        Outcome::Loss(loss(candidate))
    });

    // The caller steps the search. It could save `search.state()` here, or stop.
    while !search.is_done() {
        let generation = search.step(&mut objective)?;
        if generation.index % 10 == 0 {
            println!(
                "generation {:>2}: best {:.4}, median {:.4}",
                generation.index, generation.best.score, generation.median
            );
        }
    }

    println!("\nwhere it started:");
    for seed in search.seeds() {
        println!("  {:<5} {:.4}", seed.name, seed.score);
    }
    let best = search.best().context("a step was made")?;
    println!(
        "after {} evaluations: {:.4}, start tokens {}",
        search.progress().evaluations,
        best.score,
        best.candidate.start_tokens
    );
    println!("hidden {HIDDEN:?}");
    println!("found  {:?}", best.candidate.factors());
    Ok(())
}
