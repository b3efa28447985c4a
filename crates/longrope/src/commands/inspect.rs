//! `longrope inspect`

use anyhow::{Context, Result};
use longrope_model::{Checkpoint, ModelConfig};
use longrope_rope::published;
use serde::Serialize;

use crate::input::hub;
use crate::next_steps;
use crate::settings::args::Inspect;
use crate::show::output;

/// A head of its own in a model that `config.json` ties.
const OWN_HEAD: &str = "config.json ties the head to the embeddings, but `lm_head.weight` is stored and differs from \
    them: it is used as a head of its own, as in transformers 5";

/// The output of `--json`.
#[derive(Serialize)]
struct Inspection<'a> {
    format: &'a str,
    version: u32,
    model: String,
    family: String,
    n_parameters: usize,
    n_layers: usize,
    hidden_size: usize,
    intermediate_size: usize,
    n_heads: usize,
    n_kv_heads: usize,
    head_dim: usize,
    vocab_size: usize,
    tied_embeddings: bool,
    dtypes: Vec<String>,
    n_files: usize,
    n_bytes: u64,
    max_context: usize,
    /// Width of the sliding window by layer; null for full attention.
    windows: &'a [Option<usize>],
    rope: &'a longrope_rope::RopeSpec,
    attention_scale: f64,
    fingerprint: String,
    published_factors: Vec<&'static str>,
    warnings: Vec<String>,
}

pub(crate) fn run(args: &Inspect) -> Result<()> {
    let model_path = args.model.required()?;
    let doing = || format!("inspecting `{}`", model_path.display());
    let folder = hub::model_folder(model_path)?;
    let mut config = ModelConfig::from_folder(&folder).with_context(doing)?;
    let checkpoint = Checkpoint::open(&folder).with_context(doing)?;
    let own_head = checkpoint.untie_own_head(&mut config).with_context(doing)?;
    checkpoint.check(&config).with_context(doing)?;
    let mut dtypes: Vec<String> = checkpoint
        .tensors()
        .values()
        .map(|tensor| format!("{:?}", tensor.dtype))
        .collect();
    dtypes.sort();
    dtypes.dedup();
    let mut warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    warnings.extend(own_head.then(|| OWN_HEAD.to_owned()));
    let inspection = Inspection {
        format: "longrope-inspection",
        version: 1,
        model: model_path.display().to_string(),
        family: format!("{:?}", config.family).to_lowercase(),
        n_parameters: config.n_parameters(),
        n_layers: config.n_layers,
        hidden_size: config.hidden_size,
        intermediate_size: config.intermediate_size,
        n_heads: config.n_heads,
        n_kv_heads: config.n_kv_heads,
        head_dim: config.head_dim,
        vocab_size: config.vocab_size,
        tied_embeddings: config.tied_embeddings,
        dtypes,
        n_files: checkpoint.files().len(),
        n_bytes: checkpoint.n_bytes(),
        max_context: config.max_context,
        windows: &config.windows,
        rope: &config.rope,
        attention_scale: config.rope.resolve(config.max_context).attention_scale(),
        fingerprint: checkpoint.fingerprint().with_context(doing)?,
        published_factors: published::fitting(&config.rope),
        warnings,
    };
    if args.json {
        output::json(&inspection)
    } else {
        output::line(text(&inspection))?;
        next_steps::after_look(model_path, config.rope.original_context).show();
        Ok(())
    }
}

fn text(i: &Inspection) -> String {
    let heads = format!(
        "{} query, {} key/value, {} wide",
        i.n_heads, i.n_kv_heads, i.head_dim
    );
    let tied = if i.tied_embeddings { "tied" } else { "untied" };
    let mut facts = vec![
        ("model", i.model.clone()),
        ("family", i.family.clone()),
        ("parameters", output::grouped(i.n_parameters)),
        (
            "layers",
            format!(
                "{} of width {}, MLP {}",
                i.n_layers, i.hidden_size, i.intermediate_size
            ),
        ),
        ("heads", heads),
        (
            "vocabulary",
            format!("{}, {tied} embeddings", output::grouped(i.vocab_size)),
        ),
        (
            "weights",
            format!(
                "{} in {} file(s), {}",
                output::bytes(i.n_bytes),
                i.n_files,
                i.dtypes.join(", ")
            ),
        ),
        (
            "original context",
            format!("{} tokens", output::grouped(i.rope.original_context)),
        ),
        (
            "claimed context",
            format!("{} tokens", output::grouped(i.max_context)),
        ),
        (
            "rope",
            format!(
                "{}, theta {}, {} rotated of {}",
                i.rope.scaling.name(),
                i.rope.theta,
                i.rope.rotary_dim,
                i.head_dim
            ),
        ),
        ("sliding window", windows(i.windows)),
        ("attention scale", format!("{:.6}", i.attention_scale)),
        ("fingerprint", i.fingerprint.clone()),
    ];
    if !i.published_factors.is_empty() {
        let names = i.published_factors.join(", ");
        facts.push(("published", format!("factors to try with --rope: {names}")));
    }
    for warning in &i.warnings {
        facts.push(("warning", warning.clone()));
    }
    output::facts(&facts)
}

/// Describes the sliding windows of the layers.
fn windows(windows: &[Option<usize>]) -> String {
    let sliding: Vec<usize> = windows.iter().flatten().copied().collect();
    match sliding.iter().max() {
        None => "none".to_owned(),
        Some(width) => format!(
            "{} tokens in {} of {} layers; a longer context does not widen it",
            output::grouped(*width),
            sliding.len(),
            windows.len()
        ),
    }
}
