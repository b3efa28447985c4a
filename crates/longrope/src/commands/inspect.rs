//! `longrope inspect`

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use longrope_gguf::{GgufFile, TensorType};
use longrope_model::{Checkpoint, ModelConfig};
use longrope_rope::{Rotation, published};
use serde::Serialize;

use crate::input::{gguf, local_folder};
use crate::next_steps;
use crate::settings::args::Inspect;
use crate::show::output;

/// A head of its own in a model that `config.json` ties.
const OWN_HEAD: &str = "config.json ties the head to the embeddings, but `lm_head.weight` is stored and differs from \
    them: it is used as a head of its own, as in transformers 5";

/// A fact and its name.
type Fact = (&'static str, String);

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
    #[serde(skip_serializing_if = "Option::is_none")]
    experts: Option<Mixture>,
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
    /// The RoPE of layers with a sliding window, if they have one of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    local_rope: Option<&'a longrope_rope::RopeSpec>,
    /// Layers that do not rotate, from 0.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    layers_without_rope: Vec<usize>,
    attention_scale: f64,
    fingerprint: String,
    published_factors: Vec<&'static str>,
    warnings: Vec<String>,
}

/// The experts of a model.
#[derive(Serialize)]
struct Mixture {
    /// Number of experts in a layer.
    n_experts: usize,
    /// Number of experts that each token uses.
    per_token: usize,
    /// Width inside an expert.
    intermediate_size: usize,
    /// Number of layers with experts.
    n_layers: usize,
}

impl Mixture {
    fn of(config: &ModelConfig) -> Option<Self> {
        let experts = config.layout.experts.as_ref()?;
        Some(Self {
            n_experts: experts.n_experts,
            per_token: experts.per_token,
            intermediate_size: experts.inner,
            n_layers: experts.layers.iter().filter(|sparse| **sparse).count(),
        })
    }
}

/// How the weights are stored.
struct Stored {
    /// The types of the tensors, each once.
    dtypes: Vec<String>,
    n_files: usize,
    n_bytes: u64,
}

impl Stored {
    fn in_folder(checkpoint: &Checkpoint) -> Self {
        let tensors = checkpoint.tensors().values();
        Self {
            dtypes: each_once(tensors.map(|tensor| format!("{:?}", tensor.dtype))),
            n_files: checkpoint.files().len(),
            n_bytes: checkpoint.n_bytes(),
        }
    }

    /// In the file itself, whatever it was unpacked to.
    fn in_file(file: &GgufFile) -> Self {
        let tensors = file.tensors().values();
        let types = tensors
            .clone()
            .filter_map(|it| TensorType::from_id(it.type_id));
        Self {
            dtypes: each_once(types.map(|ty| ty.to_string())),
            n_files: 1,
            n_bytes: tensors.filter_map(|tensor| tensor.n_bytes).sum(),
        }
    }
}

fn each_once(names: impl Iterator<Item = String>) -> Vec<String> {
    let names: BTreeSet<String> = names.collect();
    names.into_iter().collect()
}

pub(crate) fn run(args: &Inspect) -> Result<()> {
    let model_path = args.model.required()?;
    let doing = || format!("inspecting `{}`", model_path.display());
    let folder = local_folder(model_path)?;
    let mut config = ModelConfig::from_folder(&folder).with_context(doing)?;
    let checkpoint = Checkpoint::open_for(&folder, &config).with_context(doing)?;
    let own_head = checkpoint.untie_own_head(&mut config).with_context(doing)?;
    checkpoint.check(&config).with_context(doing)?;
    let stored = if gguf::is_gguf(model_path) {
        Stored::in_file(&GgufFile::open(model_path).with_context(doing)?)
    } else {
        Stored::in_folder(&checkpoint)
    };
    let mut warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    warnings.extend(own_head.then(|| OWN_HEAD.to_owned()));
    let inspection = Inspection {
        format: "longrope-inspection",
        version: 1,
        model: model_path.display().to_string(),
        family: config.family.model_type().to_owned(),
        n_parameters: config.n_parameters(),
        n_layers: config.n_layers,
        hidden_size: config.hidden_size,
        intermediate_size: config.intermediate_size,
        experts: Mixture::of(&config),
        n_heads: config.n_heads,
        n_kv_heads: config.n_kv_heads,
        head_dim: config.head_dim,
        vocab_size: config.vocab_size,
        tied_embeddings: config.tied_embeddings,
        dtypes: stored.dtypes,
        n_files: stored.n_files,
        n_bytes: stored.n_bytes,
        max_context: config.max_context,
        windows: &config.windows,
        rope: &config.rope,
        local_rope: config.local_rope.as_ref(),
        layers_without_rope: without_rope(&config),
        attention_scale: config.rope.resolve(config.max_context).attention_scale(),
        fingerprint: checkpoint.fingerprint().with_context(doing)?,
        published_factors: published::fitting(&config.rope),
        warnings,
    };
    if args.json {
        output::json(&inspection)
    } else {
        output::line(text(&inspection))?;
        next_steps::after_look(model_path, &folder, &config).show();
        Ok(())
    }
}

fn text(i: &Inspection) -> String {
    let mut facts = vec![("model", i.model.clone()), ("family", i.family.clone())];
    facts.extend(sizes(i));
    facts.extend(positions(i));
    facts.push(("fingerprint", i.fingerprint.clone()));
    if !i.published_factors.is_empty() {
        let names = i.published_factors.join(", ");
        facts.push(("published", format!("factors to try with --rope: {names}")));
    }
    for warning in &i.warnings {
        facts.push(("warning", warning.clone()));
    }
    output::facts(&facts)
}

/// Facts about the size of the parts.
fn sizes(i: &Inspection) -> Vec<Fact> {
    let layers = format!(
        "{} of width {}, MLP {}",
        i.n_layers, i.hidden_size, i.intermediate_size
    );
    let mut facts = vec![
        ("parameters", output::grouped(i.n_parameters)),
        ("layers", layers),
    ];
    if let Some(experts) = &i.experts {
        let words = format!(
            "{} of width {} in {} layer(s), {} per token",
            experts.n_experts, experts.intermediate_size, experts.n_layers, experts.per_token
        );
        facts.push(("experts", words));
    }
    let heads = format!(
        "{} query, {} key/value, {} wide",
        i.n_heads, i.n_kv_heads, i.head_dim
    );
    let tied = if i.tied_embeddings { "tied" } else { "untied" };
    let vocabulary = format!("{}, {tied} embeddings", output::grouped(i.vocab_size));
    let weights = format!(
        "{} in {} file(s), {}",
        output::bytes(i.n_bytes),
        i.n_files,
        i.dtypes.join(", ")
    );
    facts.extend([
        ("heads", heads),
        ("vocabulary", vocabulary),
        ("weights", weights),
    ]);
    facts
}

/// Facts about contexts, the RoPE and windows.
fn positions(i: &Inspection) -> Vec<Fact> {
    let tokens = |context| format!("{} tokens", output::grouped(context));
    let rope = format!(
        "{}, theta {}, {} rotated of {}",
        i.rope.scaling.name(),
        i.rope.theta,
        i.rope.rotary_dim,
        i.head_dim
    );
    let mut facts = vec![
        ("original context", tokens(i.rope.original_context)),
        ("claimed context", tokens(i.max_context)),
        ("rope", rope),
    ];
    if !i.layers_without_rope.is_empty() {
        let words = format!("{} of {} layers", i.layers_without_rope.len(), i.n_layers);
        facts.push(("without rope", words));
    }
    if let Some(local) = i.local_rope {
        let words = format!(
            "{}, theta {}, in layers with a sliding window",
            local.scaling.name(),
            local.theta
        );
        facts.push(("other rope", words));
    }
    facts.extend([
        ("sliding window", windows(i.windows)),
        ("attention scale", format!("{:.6}", i.attention_scale)),
    ]);
    facts
}

/// Layers that do not rotate.
fn without_rope(config: &ModelConfig) -> Vec<usize> {
    let rotations = config.layout.rotations.iter().enumerate();
    rotations
        .filter(|(_, rotation)| **rotation == Rotation::None)
        .map(|(layer_idx, _)| layer_idx)
        .collect()
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
