//! All of a `config.json` that a decoder needs.

use serde_json::{Map, Value};

use super::activation::Activation;
use super::bounds;
use super::document::object;
use super::family::{Defaults, Family, Rules, Sizes};
use super::fields::Fields;
use super::head::head_dim;
use super::keys::{HEADS, HIDDEN, MAX_POSITION};
use super::layout::Layout;
use super::nested::{is_nested, language_model};
use super::read::{HfRope, read_hf_rope};
use crate::error::Names;
use crate::{Error, Result};

const VOCAB: &str = "vocab_size";
const INNER: &str = "intermediate_size";
const LAYERS: &str = "num_hidden_layers";
const KV_HEADS: &str = "num_key_value_heads";

/// A model config with the defaults of its class filled in.
#[derive(Clone, Debug, PartialEq)]
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
    /// Constant that is added to the mean square, or the variance, in normalizations.
    pub norm_eps: f64,
    /// Whether the output head shares the embedding matrix.
    pub tied_embeddings: bool,
    /// What the decoder computes besides.
    pub layout: Layout,
    /// Sliding window of each layer, in tokens; `None` means all earlier tokens.
    pub windows: Vec<Option<usize>>,
    /// Token that starts a document, if there is one.
    pub bos_token: Option<u32>,
    /// Tokens that end a text.
    pub eos_tokens: Vec<u32>,
    /// Whether this is the language model of a model of text and images, with the config in `text_config`.
    pub is_nested: bool,
    /// The rope.
    pub rope: HfRope,
    /// Keys for which the default of the class was used because they are missing.
    pub defaulted: Vec<&'static str>,
    /// Keys that have a meaning in other families only.
    pub ignored: Vec<&'static str>,
}

/// Reads a Hugging Face model config of a known family.
///
/// A missing key has the default of the configuration class of transformers 5.24, such as `LlamaConfig`. Of a Mistral 3 or
/// Gemma 3 for text and images, the language model is read.
/// `null` is accepted where the class does. Every number is within a range, so that products of sizes do not overflow.
///
/// # Errors
/// [`Error::MissingKey`] without `model_type`, [`Error::UnknownFamily`], [`Error::RefusedFamily`],
/// [`Error::NestedConfig`], [`Error::NoLanguageModel`], [`Error::UnknownActivation`],
/// [`Error::WrongValue`] for a key of another type or outside its range, [`Error::NotDivisible`] and
/// [`Error::ListLength`] for sizes that do not fit together, and the errors of [`read_hf_rope`].
pub fn read_hf_config(config: &Value) -> Result<HfConfig> {
    let keys = object(config)?;
    let is_nested = is_nested(keys);
    let keys = &*language_model(keys);
    let family = Family::of(keys)?;
    let rules = family.rules();
    let class = &rules.defaults;
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
    let HeadSizes {
        n_heads,
        n_kv_heads,
        head_dim,
    } = heads(&mut top, keys, class)?;
    let bos_token = tokens(&mut top, "bos_token_id", class.bos_token.as_slice())?;
    let intermediate_size = top.count_or(INNER, &bounds::WIDE, class.intermediate_size)?;
    let sizes = Sizes {
        hidden: hidden_size,
        inner: intermediate_size,
        n_layers,
        head_dim,
        activation: activation(&mut top, class.activation)?,
    };
    let windows = (rules.windows)(&mut top, &sizes)?;
    let (norm_eps, default_eps) = class.norm_eps;
    Ok(HfConfig {
        family,
        vocab_size,
        hidden_size,
        intermediate_size,
        n_layers,
        n_heads,
        n_kv_heads,
        head_dim,
        norm_eps: top.number_or(norm_eps, &bounds::EPSILON, default_eps)?,
        tied_embeddings: top.switch_or("tie_word_embeddings", class.tied)?,
        layout: (rules.layout)(&mut top, &sizes, &windows)?,
        windows,
        bos_token: bos_token
            .first()
            .copied()
            .filter(|id| (*id as usize) < vocab_size),
        eos_tokens: tokens(&mut top, "eos_token_id", class.eos_tokens)?,
        is_nested,
        rope: read_hf_rope(config)?,
        defaulted: defaulted(rules, keys),
        ignored: ignored(rules, keys),
    })
}

/// The heads of a layer.
struct HeadSizes {
    n_heads: usize,
    n_kv_heads: usize,
    head_dim: usize,
}

/// Reads how many heads there are, and how wide they are.
fn heads(top: &mut Fields, keys: &Map<String, Value>, class: &Defaults) -> Result<HeadSizes> {
    let n_heads = top.count_or(HEADS, &bounds::HEADS, class.n_heads)?;
    let n_kv_heads = kv_heads(top, class)?.unwrap_or(n_heads);
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
    Ok(HeadSizes {
        n_heads,
        n_kv_heads,
        head_dim,
    })
}

/// The number of key and value heads; `None` if it is that of the query heads.
fn kv_heads(top: &mut Fields, class: &Defaults) -> Result<Option<usize>> {
    if !class.null_kv_heads {
        top.not_null(KV_HEADS, bounds::HEADS.expected)?;
    }
    let written = top.count(KV_HEADS, &bounds::HEADS)?;
    Ok(match (written, class.n_kv_heads) {
        (Some(written), _) => Some(written),
        (None, Some(default)) if !top.has(KV_HEADS) => Some(default),
        (None, _) => None,
    })
}

fn activation(
    top: &mut Fields,
    (key, default): (&'static str, &'static str),
) -> Result<Activation> {
    let found = match top.text(key)? {
        Some(name) => name,
        None if top.has(key) => return Err(top.wrong(key, "a string")),
        None => default,
    };
    Activation::named(found).ok_or_else(|| Error::UnknownActivation {
        key,
        found: found.to_owned(),
        expected: Names(&Activation::NAMES),
    })
}

/// The token ids of a key that holds one id or a list of ids. A negative id stands for no token.
fn tokens(top: &mut Fields, key: &'static str, default: &[u32]) -> Result<Vec<u32>> {
    if !top.has(key) {
        return Ok(default.to_vec());
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
fn defaulted(rules: &Rules, keys: &Map<String, Value>) -> Vec<&'static str> {
    let sizes = [
        VOCAB,
        HIDDEN,
        INNER,
        LAYERS,
        HEADS,
        KV_HEADS,
        rules.defaults.norm_eps.0,
        MAX_POSITION,
    ];
    let missing = |key: &&str| !keys.contains_key(*key);
    sizes.into_iter().filter(missing).collect()
}

/// The keys of other families that this one does not read.
fn ignored(rules: &Rules, keys: &Map<String, Value>) -> Vec<&'static str> {
    let written = |key: &&str| keys.get(*key).is_some_and(|value| !value.is_null());
    rules.ignored.iter().copied().filter(written).collect()
}
