//! All of a `config.json` that a decoder needs.

use serde_json::{Map, Value};

use super::bounds;
use super::document::object;
use super::family::Family;
use super::fields::Fields;
use super::head::head_dim;
use super::keys::{HEADS, HIDDEN, MAX_POSITION};
use super::read::{HfRope, read_hf_rope};
use super::windows::{LAYER_TYPES, MAX_WINDOW_LAYERS, SLIDING_WINDOW, USE_SLIDING_WINDOW, windows};
use crate::{Error, Result};

const VOCAB: &str = "vocab_size";
const INNER: &str = "intermediate_size";
const LAYERS: &str = "num_hidden_layers";
const KV_HEADS: &str = "num_key_value_heads";
const EPS: &str = "rms_norm_eps";
const ATTENTION_BIAS: &str = "attention_bias";
const MLP_BIAS: &str = "mlp_bias";

/// A model config with the defaults of its class filled in.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a key of its own in the config"
)]
pub struct HfConfig {
    /// The family, by `model_type`.
    pub family: Family,
    /// Number of tokens in the vocabulary.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width inside the MLP.
    pub intermediate_size: usize,
    /// Number of decoder layers.
    pub n_layers: usize,
    /// Number of query heads.
    pub n_heads: usize,
    /// Number of key and value heads; divides [`Self::n_heads`].
    pub n_kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Constant that is added to the mean square in normalizations.
    pub rms_norm_eps: f64,
    /// Name of the activation in the MLP.
    pub activation: String,
    /// Whether the output head shares the embedding matrix.
    pub tied_embeddings: bool,
    /// Whether the query, key and value projections have biases.
    pub qkv_bias: bool,
    /// Whether the output projection of the attention has a bias.
    pub output_bias: bool,
    /// Whether the MLP projections have biases.
    pub mlp_bias: bool,
    /// Sliding window of each layer, in tokens; `None` means all earlier tokens.
    pub windows: Vec<Option<usize>>,
    /// Token that starts a document, if there is one.
    pub bos_token: Option<u32>,
    /// Tokens that end a text.
    pub eos_tokens: Vec<u32>,
    /// The rope.
    pub rope: HfRope,
    /// Keys for which the default of the class was used because they are missing.
    pub defaulted: Vec<&'static str>,
    /// Keys that have a meaning in other families only.
    pub ignored: Vec<&'static str>,
}

/// Reads a Hugging Face model config of a LLaMA, Mistral, Phi-3 or Qwen2.
///
/// A missing key has the default of `LlamaConfig`, `MistralConfig`, `Phi3Config` or `Qwen2Config` of transformers 5.24.
/// `null` is accepted where the class does. Every number is within a range, so that products of sizes do not overflow.
///
/// # Errors
/// [`Error::MissingKey`] without `model_type`, [`Error::UnknownFamily`], [`Error::NestedConfig`],
/// [`Error::WrongValue`] for a key of another type or outside its range, [`Error::NotDivisible`] and
/// [`Error::ListLength`] for sizes that do not fit together, and the errors of [`read_hf_rope`].
pub fn read_hf_config(config: &Value) -> Result<HfConfig> {
    let keys = object(config)?;
    let family = Family::of(keys)?;
    let class = family.defaults();
    let mut top = Fields::new("", keys);
    if top
        .value("per_layer_config")
        .is_some_and(|value| *value != Value::Object(Map::new()))
    {
        let expected = "null, because layers of different sizes are not supported";
        return Err(top.wrong("per_layer_config", expected));
    }
    let vocab_size = top.count_or(VOCAB, &bounds::WIDE, class.vocab_size)?;
    let hidden_size = top.count_or(HIDDEN, &bounds::WIDTH, class.hidden_size)?;
    let n_layers = top.count_or(LAYERS, &bounds::LAYERS, class.n_layers)?;
    let n_heads = top.count_or(HEADS, &bounds::HEADS, class.n_heads)?;
    let written_kv_heads = top.count(KV_HEADS, &bounds::HEADS)?;
    let n_kv_heads = match (written_kv_heads, class.n_kv_heads) {
        (Some(written), _) => written,
        (None, Some(default)) if !top.has(KV_HEADS) => default,
        (None, _) => n_heads,
    };
    if !n_heads.is_multiple_of(n_kv_heads) {
        return Err(Error::NotDivisible {
            key: HEADS,
            found: n_heads,
            by: KV_HEADS,
            divisor: n_kv_heads,
        });
    }
    let head_dim = head_dim(keys)?;
    if n_heads as u64 * head_dim as u64 > bounds::ALL_HEADS {
        return Err(top.wrong(HEADS, "at most 16777216 dimensions in all heads together"));
    }
    let has_biases = family == Family::Llama;
    let attention_bias = has_biases && top.switch(ATTENTION_BIAS)?;
    let bos_token = tokens(&mut top, "bos_token_id", class.bos_token)?;
    Ok(HfConfig {
        family,
        vocab_size,
        hidden_size,
        intermediate_size: top.count_or(INNER, &bounds::WIDE, class.intermediate_size)?,
        n_layers,
        n_heads,
        n_kv_heads,
        head_dim,
        rms_norm_eps: top.number_or(EPS, &bounds::EPSILON, class.rms_norm_eps)?,
        activation: activation(&mut top)?,
        tied_embeddings: top.switch("tie_word_embeddings")?,
        qkv_bias: attention_bias || family == Family::Qwen2,
        output_bias: attention_bias,
        mlp_bias: has_biases && top.switch(MLP_BIAS)?,
        windows: windows(family, &mut top, n_layers)?,
        bos_token: bos_token
            .first()
            .copied()
            .filter(|id| (*id as usize) < vocab_size),
        eos_tokens: tokens(&mut top, "eos_token_id", class.eos_token)?,
        rope: read_hf_rope(config)?,
        defaulted: defaulted(keys),
        ignored: ignored(family, keys),
    })
}

fn activation(top: &mut Fields) -> Result<String> {
    const KEY: &str = "hidden_act";
    match top.text(KEY)? {
        Some(name) => Ok(name.to_owned()),
        None if top.has(KEY) => Err(top.wrong(KEY, "a string")),
        None => Ok("silu".to_owned()),
    }
}

/// The token ids of a key that holds one id or a list of ids. A negative id stands for no token.
fn tokens(top: &mut Fields, key: &'static str, default: Option<u32>) -> Result<Vec<u32>> {
    if !top.has(key) {
        return Ok(default.into_iter().collect());
    }
    let id = |value: &Value| match value.as_i64()? {
        negative if negative < 0 => Some(None),
        id => u32::try_from(id).ok().map(Some),
    };
    let ids = |value: &Value| -> Option<Vec<Option<u32>>> {
        match value {
            Value::Array(list) => list.iter().map(id).collect(),
            one => Some(vec![id(one)?]),
        }
    };
    let found = top.typed(key, "a token id, a list of token ids or null", ids)?;
    Ok(found.into_iter().flatten().flatten().collect())
}

/// The sizes that are not written in the config.
fn defaulted(keys: &Map<String, Value>) -> Vec<&'static str> {
    let sizes = [
        VOCAB,
        HIDDEN,
        INNER,
        LAYERS,
        HEADS,
        KV_HEADS,
        EPS,
        MAX_POSITION,
    ];
    let missing = |key: &&str| !keys.contains_key(*key);
    sizes.into_iter().filter(missing).collect()
}

/// The keys of other families that this one does not read.
fn ignored(family: Family, keys: &Map<String, Value>) -> Vec<&'static str> {
    let biases = [ATTENTION_BIAS, MLP_BIAS];
    let layers = [USE_SLIDING_WINDOW, MAX_WINDOW_LAYERS, LAYER_TYPES];
    let meaningless: Vec<&'static str> = match family {
        Family::Llama => [SLIDING_WINDOW].into_iter().chain(layers).collect(),
        Family::Mistral | Family::Phi3 => biases.into_iter().chain(layers).collect(),
        Family::Qwen2 => biases.into(),
    };
    let written = |key: &&str| keys.get(*key).is_some_and(|value| !value.is_null());
    meaningless.into_iter().filter(written).collect()
}
