//! `--rope R`: a RoPE by name or path.

mod file;
mod fits;

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use longrope_model::ModelConfig;
use longrope_rope::{Method, ParameterMethod, RopeScaling, RopeSpec, published};

use self::file::read_file;
use self::fits::{check_fits, check_local, warn_of_other_original, warn_of_smaller_base};
use super::extendable;
use crate::failure::Hint;
use crate::settings::bounds::MOST_TOKENS;
use crate::settings::path_text::from_text;

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
    /// Parses a name, or a path in its text form. `target` is the context of a plain list of factors. Warns about a RoPE that
    /// was made for a model with another original context.
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

    /// Refuses a text that is neither the name of a RoPE nor the path of a file, without a model.
    pub(crate) fn check_name(text: &str) -> Result<()> {
        let is_name = text == "checkpoint"
            || text.parse::<Method>().is_ok()
            || ParameterMethod::parse(text)?.is_some()
            || at_context(text)?.is_some()
            || published::find(text).is_some();
        if is_name || from_text(PathBuf::from(text)).exists() {
            Ok(())
        } else {
            Err(unknown(text))
        }
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
        let path = from_text(PathBuf::from(text));
        let path = path.as_path();
        if let Some(published) = published::find(text)
            && !path.exists()
        {
            let spec = published.spec()?;
            check_fits(&spec, model).with_context(|| format!("using published RoPE `{text}`"))?;
            return Ok(Self::File(spec));
        }
        if !path.exists() {
            return Err(unknown(text));
        }
        let read = read_file(path, model, target)
            .with_context(|| format!("reading RoPE `{}`", path.display()))?;
        check_fits(&read.spec, model)
            .and_then(|()| check_local(read.local.as_ref(), model))
            .with_context(|| format!("using RoPE `{}`", path.display()))?;
        Ok(Self::fixed(read.spec))
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

/// The error for a text that stands for no RoPE.
fn unknown(text: &str) -> anyhow::Error {
    let methods = Method::ALL.map(Method::name).join(", ");
    let names: Vec<&str> = published::ALL.iter().map(|rope| rope.name).collect();
    let names = names.join(", ");
    let own_name = if text.to_lowercase().contains("radix") {
        "what the repository of MrRoPE calls YaRN-radix is mrrope-uni here; "
    } else {
        ""
    };
    anyhow!("RoPE `{text}` is neither a method, nor a published RoPE, nor a file").context(Hint(
        format!(
            "{own_name}methods are checkpoint, {methods}, METHOD@CONTEXT, {}; published RoPEs are {names}",
            ParameterMethod::FORMS.join(", ")
        ),
    ))
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
    anyhow!("RoPE `{name}` is scaled for a context, but `{flag}` is missing").context(Hint(
        format!("for example {example}; at the original {original} tokens, nothing is rescaled"),
    ))
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
