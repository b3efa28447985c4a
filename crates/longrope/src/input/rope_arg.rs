//! `--rope R`: RoPEs by name or path.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use longrope_extend::PplCell;
use longrope_model::{Decoder, ModelConfig};
use longrope_rope::{
    AttentionScale, FactorSet, Method, ParameterMethod, RopeArtifact, RopeScaling, RopeSpec,
    factors_from_csv, published, read_hf_rope,
};

use super::extendable;
use crate::failure::Hint;
use crate::failure::search_folder::search_folder;
use crate::settings::bounds::MOST_TOKENS;
use crate::settings::config::Config;
use crate::show::output::significant;

/// A RoPE as given on the command line. Methods are scaled for each context; the others are fixed.
#[derive(Clone, Debug)]
pub(crate) enum RopeArg {
    /// The RoPE in the checkpoint's config.json.
    Checkpoint(RopeSpec),
    /// A method, scaled for each context.
    Method(Method, RopeSpec),
    /// A RoPE from a file, a published RoPE, or a method scaled for one context.
    File(RopeSpec),
    /// A RoPE that is the same at every length and was not made for a context.
    AnyContext(RopeSpec),
}

impl RopeArg {
    /// Parses a name or path. `target` is the context of a plain list of factors. Warns about a RoPE that was made for a
    /// model with another original context.
    pub(crate) fn parse(text: &str, model: &ModelConfig, target: usize) -> Result<Self> {
        let rope = Self::read(text, model, target)?;
        match &rope {
            Self::File(spec) => warn_of_other_original(text, spec, model),
            Self::AnyContext(spec) => warn_of_smaller_base(text, spec, model),
            Self::Checkpoint(_) | Self::Method(..) => {}
        }
        Ok(rope)
    }

    /// As [`Self::parse`], without that warning.
    pub(crate) fn read(text: &str, model: &ModelConfig, target: usize) -> Result<Self> {
        let rope = Self::named(text, model, target)?;
        if rope.changes(model) {
            extendable::check_model(model).with_context(|| format!("using RoPE `{text}`"))?;
        }
        Ok(rope)
    }

    /// Whether it scales another RoPE than that of the model.
    fn changes(&self, model: &ModelConfig) -> bool {
        match self {
            Self::Checkpoint(_) => false,
            Self::Method(method, _) => *method != Method::None,
            Self::File(spec) | Self::AnyContext(spec) => {
                *spec != model.rope && spec.scaling != RopeScaling::None {}
            }
        }
    }

    fn named(text: &str, model: &ModelConfig, target: usize) -> Result<Self> {
        if text == "checkpoint" {
            return Ok(Self::Checkpoint(model.rope.clone()));
        }
        if let Ok(method) = text.parse::<Method>() {
            return Ok(Self::Method(method, model.rope.plain()));
        }
        if let Some(method) = ParameterMethod::parse(text)? {
            return Ok(Self::fixed(method.spec(&model.rope)?));
        }
        if let Some((method, context)) = at_context(text)? {
            warn_of_context_within(text, method, context, model);
            return Ok(Self::File(method.spec(&model.rope.plain(), context)?));
        }
        let path = Path::new(text);
        if let Some(published) = published::find(text)
            && !path.exists()
        {
            let spec = published.spec()?;
            check_fits(&spec, model).with_context(|| format!("using published RoPE `{text}`"))?;
            return Ok(Self::File(spec));
        }
        if !path.exists() {
            let methods = Method::ALL.map(Method::name).join(", ");
            let names: Vec<&str> = published::ALL.iter().map(|rope| rope.name).collect();
            let names = names.join(", ");
            return Err(anyhow!(
                "RoPE `{text}` is neither a method, nor a published RoPE, nor a file"
            )
            .context(Hint(format!(
                "methods are checkpoint, {methods}, METHOD@CONTEXT, {}; published RoPEs are {names}",
                ParameterMethod::FORMS.join(", ")
            ))));
        }
        let (spec, local) = read_file(path, model, target)
            .with_context(|| format!("reading RoPE `{}`", path.display()))?;
        check_fits(&spec, model)
            .and_then(|()| check_local(local.as_ref(), model))
            .with_context(|| format!("using RoPE `{}`", path.display()))?;
        Ok(Self::fixed(spec))
    }

    fn fixed(spec: RopeSpec) -> Self {
        if spec.scaling.is_for_any_context() {
            Self::AnyContext(spec)
        } else {
            Self::File(spec)
        }
    }

    /// Whether it says nothing about the context it is for: a method, or a plain list of factors that was read without one.
    pub(crate) fn needs_context(&self) -> bool {
        match self {
            Self::Checkpoint(_) | Self::AnyContext(_) => false,
            Self::Method(method, _) => *method != Method::None,
            Self::File(spec) => {
                matches!(spec.scaling, RopeScaling::LongRope { .. })
                    && spec.max_context() <= spec.original_context
            }
        }
    }

    /// The RoPE for sequences of up to `context` tokens.
    pub(crate) fn spec(&self, context: usize) -> Result<RopeSpec> {
        match self {
            Self::Checkpoint(spec) | Self::File(spec) | Self::AnyContext(spec) => Ok(spec.clone()),
            Self::Method(method, base) => Ok(method.spec(base, context)?),
        }
    }
}

/// Refuses a RoPE that groups positions, which can only be measured. `verb` is what cannot be done with it, and why.
pub(crate) fn check_expressible(name: &str, spec: &RopeSpec, verb: &str) -> Result<()> {
    if spec.scaling.is_expressible() {
        return Ok(());
    }
    Err(anyhow!("RoPE `{name}` cannot be {verb}").context(Hint(
        "it is for measuring only, with `eval`, `compare` and `generate`".to_owned(),
    )))
}

/// The error for a RoPE that [needs a context](RopeArg::needs_context) which `flag` would give.
pub(crate) fn missing_context(name: &str, flag: &str, original: usize) -> anyhow::Error {
    let longer = original.saturating_mul(4);
    let example = if flag.starts_with("--") {
        format!("{flag} {longer}")
    } else {
        format!("--set {flag}=[{longer}]")
    };
    anyhow!("`--rope {name}` is scaled for a context, but `{flag}` is missing").context(Hint(
        format!("for example {example}; at the original {original} tokens, nothing is rescaled"),
    ))
}

/// A RoPE and its name in tables.
#[derive(Clone, Debug)]
pub(crate) struct NamedRope {
    pub(crate) name: String,
    pub(crate) rope: RopeArg,
}

/// The longest of the configured contexts.
pub(crate) fn longest_context(config: &Config) -> Result<usize> {
    config.contexts.iter().copied().max().ok_or_else(|| {
        anyhow!("`--contexts` is missing")
            .context(Hint("for example --contexts 256,512,1024".to_owned()))
    })
}

/// The configured contexts, each once.
pub(crate) fn contexts(config: &Config) -> Vec<usize> {
    distinct(&config.contexts)
}

/// The names of the configured RoPEs, each once; by default the one in config.json.
pub(crate) fn rope_names(config: &Config) -> Vec<String> {
    match config.rope.as_slice() {
        [] => vec!["checkpoint".to_owned()],
        names => distinct(names),
    }
}

/// The values in order, without those that were there before: nothing is measured twice because it is named twice.
pub(crate) fn distinct<T: Clone + PartialEq>(values: &[T]) -> Vec<T> {
    let mut found: Vec<T> = Vec::with_capacity(values.len());
    for value in values {
        if !found.contains(value) {
            found.push(value.clone());
        }
    }
    found
}

/// Parses a list of RoPEs.
pub(crate) fn named_ropes(
    names: &[String],
    decoder: &Decoder,
    target: usize,
) -> Result<Vec<NamedRope>> {
    names
        .iter()
        .map(|name| {
            let rope = RopeArg::parse(name, decoder.config(), target)?;
            Ok(NamedRope {
                name: name.clone(),
                rope,
            })
        })
        .collect()
}

/// Cells for every RoPE at every context, ordered by RoPE, then by context.
pub(crate) fn ppl_cells(ropes: &[NamedRope], contexts: &[usize]) -> Result<Vec<PplCell>> {
    let mut cells = Vec::with_capacity(ropes.len() * contexts.len());
    for named in ropes {
        for &context in contexts {
            cells.push(PplCell {
                rope: named.name.clone(),
                context,
                spec: named.rope.spec(context)?,
            });
        }
    }
    Ok(cells)
}

/// Warns about `METHOD@CONTEXT` for a context within the original one.
fn warn_of_context_within(text: &str, method: Method, context: usize, model: &ModelConfig) {
    let original = model.rope.original_context;
    if context > original || method == Method::None {
        return;
    }
    let numbers = if method.name() == "selfextend" {
        "; its group size and window are written selfextend@GROUP,WINDOW"
    } else {
        ""
    };
    tracing::warn!(
        "RoPE `{text}` rescales nothing: {context} tokens are within the original context of {original}{numbers}"
    );
}

/// Parses `METHOD@CONTEXT`, a method scaled for one context and used at every context.
fn at_context(text: &str) -> Result<Option<(Method, usize)>> {
    let Some((name, context)) = text.split_once('@') else {
        return Ok(None);
    };
    let Ok(method) = name.parse::<Method>() else {
        return Ok(None);
    };
    let wrong = |expected: String| {
        anyhow!("the context of RoPE `{text}` is `{context}`, expected {expected}")
            .context(Hint(format!("for example {name}@8192")))
    };
    let context: usize = context
        .parse()
        .map_err(|_| wrong("a number of tokens".to_owned()))?;
    if !(1..=MOST_TOKENS).contains(&(context as u64)) {
        return Err(wrong(format!("1 to {MOST_TOKENS} tokens")));
    }
    Ok(Some((method, context)))
}

/// Reads a `rope.json`, a Hugging Face `config.json` or a list of factors, and the RoPE that the first two may have for
/// layers with a sliding window.
fn read_file(
    path: &Path,
    model: &ModelConfig,
    target: usize,
) -> Result<(RopeSpec, Option<RopeSpec>)> {
    let path = if path.is_dir() {
        if let Some(hint) = search_folder(path) {
            return Err(anyhow!("the folder has no `config.json`").context(Hint(hint)));
        }
        path.join("config.json")
    } else {
        path.to_owned()
    };
    let text = fs_err::read_to_string(&path)?;
    if path
        .extension()
        .is_some_and(|extension| extension == "json")
    {
        let json: serde_json::Value = serde_json::from_str(&text)?;
        if json.get("format").is_some() {
            let artifact = RopeArtifact::from_json(&text)?;
            return Ok((artifact.spec(), artifact.local().cloned()));
        }
        if !json.is_object() {
            return Err(anyhow!(
                "the file is not a JSON object, expected a rope.json or a config.json"
            )
            .context(Hint(
                "give a plain list of factors as a CSV file, one per line".to_owned(),
            )));
        }
        if json.get("model_type").is_none() {
            return Err(anyhow!(
                "the file has neither the `format` of a rope.json nor the `model_type` of a config.json"
            )
            .context(Hint(
                "give the rope.json of a search, the config.json of a model, or a plain list of factors as a CSV file"
                    .to_owned(),
            )));
        }
        let rope = read_hf_rope(&json)?;
        for warning in &rope.warnings {
            tracing::warn!("{warning}");
        }
        return Ok((rope.spec, rope.local));
    }
    let factors = factors_from_csv(&text)?;
    if let Some(pair) = factors.first_decrease() {
        tracing::warn!("factors of `{}` decrease at pair {pair}", path.display());
    }
    let base = model.rope.plain();
    let set = FactorSet {
        max_context: target.max(base.original_context),
        start_tokens: 0,
        factors,
        attention: None,
    };
    let scaling = RopeScaling::LongRope {
        sets: vec![set],
        attention: AttentionScale::Su {},
    };
    Ok((RopeSpec { scaling, ..base }.validated()?, None))
}

/// Checks that the factors are for this model: the number alone does not tell.
fn check_fits(spec: &RopeSpec, model: &ModelConfig) -> Result<()> {
    if spec.rotary_dim != model.rope.rotary_dim {
        return Err(anyhow!(
            "its `rotary_dim` is {}, that of the model is {}",
            spec.rotary_dim,
            model.rope.rotary_dim
        )
        .context(Hint(
            "the RoPE is for a model with another head size".to_owned(),
        )));
    }
    #[expect(
        clippy::float_cmp,
        reason = "both are the number in a configuration file"
    )]
    if spec.theta != model.rope.theta && is_relative(&spec.scaling) {
        return Err(anyhow!(
            "its theta is {}, that of the model is {}",
            significant(spec.theta),
            significant(model.rope.theta)
        )
        .context(Hint("the RoPE is for another model".to_owned())));
    }
    Ok(())
}

/// Checks the RoPE that a file has for layers with a sliding window. The model keeps its own there, so another one is only a
/// sign that the file was made for another model.
fn check_local(found: Option<&RopeSpec>, model: &ModelConfig) -> Result<()> {
    let Some(found) = found else {
        return Ok(());
    };
    let Some(expected) = &model.local_rope else {
        if model.shares_rope && model.family.has_local_rope() {
            tracing::warn!(
                "the RoPE that the file has for layers with a sliding window is not used, because `rope-layers` is `all`"
            );
            return Ok(());
        }
        return Err(anyhow!(
            "it has a RoPE of its own for `sliding_attention` layers, expected one RoPE for all layers, as a `{}` model has",
            model.family.model_type()
        )
        .context(Hint("the RoPE is for a model of another family".to_owned())));
    };
    if found.rotary_dim != expected.rotary_dim {
        return Err(anyhow!(
            "the `rotary_dim` of its `sliding_attention` layers is {}, that of the model is {}",
            found.rotary_dim,
            expected.rotary_dim
        )
        .context(Hint(
            "the RoPE is for a model with another head size".to_owned(),
        )));
    }
    if (found.theta, &found.scaling) != (expected.theta, &expected.scaling) {
        tracing::warn!(
            "the RoPE of layers with a sliding window is {} with theta {} in the file, and {} with theta {} in the model, \
             which keeps its own",
            found.scaling.name(),
            found.theta,
            expected.scaling.name(),
            expected.theta
        );
    }
    Ok(())
}

/// Whether a scaling changes the frequencies of the model, instead of replacing them.
fn is_relative(scaling: &RopeScaling) -> bool {
    !matches!(scaling, RopeScaling::None {}) && !scaling.is_for_any_context()
}

/// Warns about a base below that of the model, which helps nothing at longer contexts unless the model is trained for it.
fn warn_of_smaller_base(name: &str, spec: &RopeSpec, model: &ModelConfig) {
    let own = model.rope.theta;
    if let RopeScaling::Theta { theta } = spec.scaling
        && theta < own
    {
        tracing::warn!("RoPE `{name}` lowers the base, which is {own} in the model");
    }
}

/// Warns about a RoPE that was made for a model with another original context. It may still be meant: models that differ
/// in nothing else are compared this way.
fn warn_of_other_original(name: &str, spec: &RopeSpec, model: &ModelConfig) {
    let (found, expected) = (spec.original_context, model.rope.original_context);
    if found != expected && is_relative(&spec.scaling) {
        tracing::warn!(
            "RoPE `{name}` was made for an original context of {found} tokens, that of the model is {expected}"
        );
    }
}
