//! Compares ideas for better proposals on formulas: the distance from the optimum after a number of evaluations.
//!
//! ```text
//! cargo run --release --example search_proposals
//! ```
#![expect(clippy::print_stdout, reason = "an example prints its result")]

use anyhow::Result;
use longrope_rope::AttentionScale;
use longrope_search::{Candidate, FnObjective, Outcome, Search, SearchConfig, SearchProblem};

const SEEDS: u64 = 12;
const BUDGETS: [usize; 4] = [100, 200, 400, 1300];

const PROBLEM: SearchProblem = SearchProblem {
    rotary_dim: 64,
    theta: 10_000.0,
    original_context: 256,
    target_context: 2048,
};

fn main() -> Result<()> {
    let paper = SearchConfig::default();
    let small = SearchConfig {
        racing_strictness: 0.0,
        smooth_share: 0.0,
        difference_share: 0.0,
        surrogate_pool: 1,
        generations: 80,
        ..SearchConfig::fast()
    };
    let searches: [(&str, SearchConfig); 9] = [
        ("official", SearchConfig::official(false)),
        ("paper", paper),
        ("small population", small.clone()),
        (
            "smooth bends",
            SearchConfig {
                smooth_share: 0.5,
                ..small.clone()
            },
        ),
        (
            "differences",
            SearchConfig {
                difference_share: 0.5,
                ..small.clone()
            },
        ),
        (
            "bends and differences",
            SearchConfig {
                smooth_share: 0.5,
                difference_share: 0.5,
                ..small.clone()
            },
        ),
        (
            "surrogate",
            SearchConfig {
                surrogate_pool: 8,
                ..small.clone()
            },
        ),
        (
            "all, pool of 8",
            SearchConfig {
                smooth_share: 0.5,
                difference_share: 0.5,
                surrogate_pool: 8,
                ..small.clone()
            },
        ),
        (
            "all, pool of 32",
            SearchConfig {
                smooth_share: 0.5,
                difference_share: 0.5,
                surrogate_pool: 32,
                ..small
            },
        ),
    ];
    for (name, loss) in [
        ("ramp", ramp as fn(&Candidate) -> f64),
        ("phases", phases as fn(&Candidate) -> f64),
    ] {
        println!(
            "\n{name}: geometric mean of the excess loss over {SEEDS} seeds, by evaluations\n"
        );
        println!(
            "| search | {} |",
            BUDGETS.map(|n| n.to_string()).join(" | ")
        );
        println!("|---{}|", "|---".repeat(BUDGETS.len()));
        for (search, config) in &searches {
            let cells = excess(config, loss)?.map(|excess| format!("{excess:.4}"));
            println!("| {search} | {} |", cells.join(" | "));
        }
    }
    Ok(())
}

/// Geometric mean over seeds of the best loss after each budget.
fn excess(config: &SearchConfig, loss: fn(&Candidate) -> f64) -> Result<[f64; BUDGETS.len()]> {
    let mut logs = [0.0; BUDGETS.len()];
    for seed in 0..SEEDS {
        let mut search = Search::new(PROBLEM, config.clone(), seed)?;
        let mut objective = FnObjective::new(1, |it: &Candidate, _| Outcome::Loss(loss(it)));
        while !search.is_done() && search.progress().evaluations < BUDGETS[BUDGETS.len() - 1] {
            search.step(&mut objective)?;
        }
        for (log, budget) in logs.iter_mut().zip(BUDGETS) {
            let scored = search.state().scored();
            let best = scored[..budget.min(scored.len())]
                .iter()
                .map(|scored| scored.score)
                .fold(f64::INFINITY, f64::min);
            *log += best.ln() / SEEDS as f64;
        }
    }
    Ok(logs.map(f64::exp))
}

/// Optimum: unscaled, then a ramp, then the full scale, like published factors. Loss: distances of logarithms.
fn ramp(candidate: &Candidate) -> f64 {
    let factors = candidate.factors();
    let n = factors.len() as f64;
    let excess = factors.iter().enumerate().map(|(pair, factor)| {
        let place = (pair as f64 / n - 0.3) / 0.4;
        let wanted = 1.0 + 7.0 * place.clamp(0.0, 1.0);
        (factor / wanted).ln().powi(2)
    });
    excess.sum::<f64>() / n + attention(candidate)
}

/// As `ramp`, but neighbouring pairs depend on each other: the loss uses sums over runs of pairs.
fn phases(candidate: &Candidate) -> f64 {
    let factors = candidate.factors();
    let n = factors.len();
    let wanted = |pair: usize| 1.0 + 5.0 / (1.0 + (-0.5 * (pair as f64 - 0.45 * n as f64)).exp());
    let away: Vec<f64> = (0..n)
        .map(|pair| (factors[pair] / wanted(pair)).ln())
        .collect();
    let stretches = away
        .windows(6)
        .map(|part| part.iter().sum::<f64>().powi(2) / 6.0);
    let each = away.iter().map(|away| 0.1 * away * away);
    (stretches.sum::<f64>() + each.sum::<f64>()) / n as f64 + attention(candidate)
}

fn attention(candidate: &Candidate) -> f64 {
    // The official search has a single policy; this must not be a handicap here.
    match candidate.attention {
        AttentionScale::None {} | AttentionScale::Su {} => 0.0,
        _ => 0.02,
    }
}
