//! Measures the operators of the profile `official` on published factors, to compare them with the released code.
//!
//! ```text
//! cargo run --release --example official_operators
//! ```
#![expect(clippy::print_stdout, reason = "an example prints its result")]

use anyhow::{Context, Result};
use longrope_rope::{AttentionScale, published};
use longrope_search::{Candidate, SearchConfig, SearchProblem, Seed, official};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Mutants and pairs of parents per case.
const N: usize = 300;

/// A parent, and the scale of its search.
struct Case {
    name: &'static str,
    factors: Vec<f64>,
    target: usize,
}

fn main() -> Result<()> {
    let ft_128k = factors("llama2-128k", 131_072)?;
    let ft_256k = factors("llama2-256k", 262_144)?;
    let long = factors("llama2-2048k-ft256k", 2_097_152)?;
    let ratios = long.iter().zip(&ft_256k).map(|(a, b)| a / b).collect();
    let config = SearchConfig::official(false);
    let cases = [
        Case {
            name: "linear ramp, 128k",
            factors: Seed::LinearRamp.factors(&problem(131_072), &config),
            target: 131_072,
        },
        Case {
            name: "LLaMA2 128k (plateaus)",
            factors: ft_128k,
            target: 131_072,
        },
        Case {
            name: "LLaMA2 256k (smooth)",
            factors: ft_256k,
            target: 262_144,
        },
        Case {
            name: "ratios 2048k / 256k",
            factors: ratios,
            target: 8 * 4096,
        },
    ];
    println!(
        "| parent | sweeps | standard error | changed factors | relative change | no child | factors of parent 2: median | mean |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for case in &cases {
        measure(case, &config)?;
    }
    Ok(())
}

fn measure(case: &Case, config: &SearchConfig) -> Result<()> {
    let problem = problem(case.target);
    let space = config.space(&problem)?;
    let parent = space.nearest(&case.factors, 0, AttentionScale::Su {})?;
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let draw = |rng: &mut ChaCha8Rng| {
        official::mutate(&parent, &space, config, problem.scale(), rng, |candidate| {
            *candidate == parent
        })
    };
    let mut sweeps = Vec::with_capacity(N);
    let (mut changed, mut relative) = (Vec::with_capacity(N), 0.0);
    for _ in 0..N {
        let (child, n_sweeps) = draw(&mut rng);
        sweeps.push(n_sweeps as f64);
        let pairs = || child.steps.iter().zip(&parent.steps);
        changed.push(pairs().filter(|(a, b)| a != b).count());
        let change: f64 = pairs()
            .map(|(a, b)| (f64::from(*a) / f64::from(*b) - 1.0).abs())
            .sum();
        relative += change / parent.steps.len() as f64 / N as f64;
    }
    let (mut n_none, mut taken) = (0_usize, Vec::new());
    for _ in 0..N {
        let (a, b) = (draw(&mut rng).0, draw(&mut rng).0);
        let known = |it: &Candidate| *it == a || *it == b || *it == parent;
        match official::crossover(&a, &b, config, &mut rng, known) {
            None => n_none += 1,
            Some(child) => taken.push(
                (0..child.steps.len())
                    .filter(|&pair| {
                        child.steps[pair] == b.steps[pair] && a.steps[pair] != b.steps[pair]
                    })
                    .count(),
            ),
        }
    }
    changed.sort_unstable();
    taken.sort_unstable();
    let mean = sweeps.iter().sum::<f64>() / N as f64;
    let variance = sweeps.iter().map(|n| (n - mean).powi(2)).sum::<f64>() / (N - 1) as f64;
    println!(
        "| {} | {mean:.0} | {:.1} | {} to {} | {:.0}% | {:.0}% | {} | {:.1} |",
        case.name,
        (variance / N as f64).sqrt(),
        changed[N / 20],
        changed[N - 1],
        100.0 * relative,
        100.0 * n_none as f64 / N as f64,
        taken.get(taken.len() / 2).copied().unwrap_or(0),
        taken.iter().sum::<usize>() as f64 / taken.len().max(1) as f64
    );
    Ok(())
}

fn problem(target_context: usize) -> SearchProblem {
    SearchProblem {
        rotary_dim: 128,
        theta: 10_000.0,
        original_context: 4096,
        target_context,
    }
}

/// The factors of a published RoPE for `context` tokens.
fn factors(name: &str, context: usize) -> Result<Vec<f64>> {
    let spec = published::find(name).context("a known name")?.spec()?;
    let set = spec.factor_set(context).context("a set")?;
    Ok(set.factors.as_slice().to_vec())
}
