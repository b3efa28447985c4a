//! Rescale factors of each method, pair by pair.
//!
//! ```text
//! cargo run --release --example rope_curves [MODEL [CONTEXT]]
//! ```
//!
//! The rescale factor `λ_i` divides the frequency of pair `i`. LongRoPE searches these factors.
//! Position interpolation uses the scale for all pairs. NTK-aware scaling leaves the fast pairs
//! nearly unchanged. YaRN leaves them unchanged and interpolates the slow pairs fully.
#![expect(clippy::print_stdout, reason = "an example prints its result")]

use std::path::PathBuf;

use anyhow::Result;
use longrope_model::ModelConfig;
use longrope_rope::Method;

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/tiny-llama-256");
const METHODS: [Method; 4] = [Method::Pi, Method::Ntk, Method::Yarn, Method::Llama3];
/// Rows of the table; a head has up to 64 pairs.
const MOST_ROWS: usize = 16;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let model = args
        .next()
        .map_or_else(|| PathBuf::from(MODEL), PathBuf::from);
    // Only config.json is read: no weights, no device.
    let rope = ModelConfig::from_folder(&model)?.rope.plain();
    let context = match args.next() {
        Some(context) => context.parse()?,
        None => 8 * rope.original_context,
    };
    println!(
        "{} pairs, theta {}, from {} to {context} tokens",
        rope.n_pairs(),
        rope.theta,
        rope.original_context
    );

    // Frequencies are fixed once per sequence, from its total length.
    let plain = rope.resolve(context);
    let mut curves = Vec::new();
    for method in METHODS {
        let scaled = method.spec(&rope, context)?.resolve(context);
        let pairs = plain.inv_freq().iter().zip(scaled.inv_freq());
        curves.push(
            pairs
                .map(|(plain, scaled)| plain / scaled)
                .collect::<Vec<f64>>(),
        );
    }

    // If a pair rotates less than once within the original window, the model has not seen all of its
    // angles. These pairs have to be interpolated.
    print!("{:>4} {:>10}", "pair", "turns");
    for method in METHODS {
        print!(" {method:>8}");
    }
    println!();
    for pair in (0..rope.n_pairs()).step_by(rope.n_pairs().div_ceil(MOST_ROWS)) {
        let turns = rope.original_context as f64 * plain.inv_freq()[pair] / std::f64::consts::TAU;
        print!("{pair:>4} {turns:>10.3}");
        for curve in &curves {
            print!(" {:>8.3}", curve[pair]);
        }
        println!();
    }
    Ok(())
}
