//! What windows are trained on, and under which RoPE.

use anyhow::{Result, anyhow};
use longrope_model::ModelConfig;
use longrope_rope::{Method, RopeScaling, RopeSpec};
use longrope_trainer::run::TrainConfig;

use super::settings::TAKER;
use crate::failure::Hint;
use crate::input::rope_arg::{RopeArg, check_expressible, missing_context};
use crate::input::ropes_and_contexts::only_rope;
use crate::settings::config::Config;

/// What windows are trained on, and under which RoPE.
pub(super) struct WindowPlan {
    pub(super) rope: RopeSpec,
    /// Tokens of a window.
    pub(super) context: usize,
    /// The settings, with the targets of skipped positions filled in.
    pub(super) section: TrainConfig,
}

impl WindowPlan {
    /// By default a window is as long as the longest text that the RoPE is for; where positions skip, as long as the
    /// model's original context.
    pub(super) fn of(config: &Config, model: &ModelConfig) -> Result<Self> {
        let mut section = config.train.clone();
        let original = model.rope.original_context;
        let long = section.long.map(|long| long.context);
        if section.skips().is_none() {
            let given = section.context.map(|context| section.reach(context));
            let key = if given.is_some() && long > section.context {
                LONG
            } else {
                "--context"
            };
            let (rope, length) = rope_and_length(config, model, given, key)?;
            let context = section.context.unwrap_or(length);
            if given.is_none() {
                check_length(config, &rope, model, section.reach(context), LONG)?;
            }
            return Ok(Self {
                rope,
                context,
                section,
            });
        }
        let context = section.context.unwrap_or(original);
        let last = section.skipped.targets.last().copied();
        // Longer windows alone do not say how far positions skip.
        let given = last.map(|last| last.max(long.unwrap_or(0)));
        let key = if given.is_some() && long > last {
            LONG
        } else {
            TARGETS
        };
        let (rope, length) = rope_and_length(config, model, given, key)?;
        if last.is_none() {
            let target = missing_target(config, model, &rope, context, length)?;
            section.skipped.targets.push(target);
            check_length(config, &rope, model, section.reach(context), LONG)?;
        }
        Ok(Self {
            rope,
            context,
            section,
        })
    }
}

/// What to say of a training whose windows of short text keep the original RoPE, although the trained RoPE is another one for
/// short texts too; `None` of others.
pub(super) fn unused_original(
    config: &Config,
    model: &ModelConfig,
    rope: &RopeSpec,
) -> Option<String> {
    let (short, original) = (config.train.data.short, model.rope.original_context);
    let is_other = rope.resolve(original) != model.rope.resolve(original);
    (short > 0.0 && is_other).then(|| {
        format!(
            "`train.data.short` is {short}, and these windows keep the original RoPE, but RoPE `{}` is another one for short \
             texts too: the trained model does not use what they teach. `train.distill.short` keeps short texts under the \
             trained RoPE",
            config.rope.first().map_or("checkpoint", String::as_str)
        )
    })
}

/// How far positions skip if it is not given: to the `length` of the texts that the RoPE is for.
///
/// # Errors
/// If that is no more than a window of `context` tokens.
fn missing_target(
    config: &Config,
    model: &ModelConfig,
    rope: &RopeSpec,
    context: usize,
    length: usize,
) -> Result<usize> {
    let length = match config.rope.as_slice() {
        // The RoPE of the checkpoint is for the context that it claims.
        [] => model.max_context,
        [name] if name == "checkpoint" => model.max_context,
        _ => length,
    };
    if length > context {
        return Ok(length);
    }
    let why = if rope.scaling.is_for_any_context() {
        "is the same at every context, so that no length follows from it".to_owned()
    } else {
        format!("is for no more than a window of {context} tokens")
    };
    Err(anyhow!(
        "`{TARGETS}` is missing, and RoPE `{}` {why}",
        config.rope.first().map_or("checkpoint", String::as_str)
    )
    .context(Hint(format!(
        "give the length of the texts that positions skip to, for example --set {TARGETS}=[{}]",
        context.saturating_mul(4)
    ))))
}

/// The setting of the length of the texts that positions skip to.
const TARGETS: &str = "train.skipped.targets";

/// The setting of the length of longer windows.
const LONG: &str = "train.long.context";

/// The RoPE to train under, and the length of the texts it is for: `given` by the setting `key`, or else the longest.
fn rope_and_length(
    config: &Config,
    model: &ModelConfig,
    given: Option<usize>,
    key: &str,
) -> Result<(RopeSpec, usize)> {
    let original = model.rope.original_context;
    let name = only_rope(config, TAKER)?.unwrap_or("checkpoint");
    let rope = RopeArg::parse(name, model, given.unwrap_or(original))?;
    let (spec, length) = match (&rope, given) {
        (_, None) if rope.needs_context() => return Err(missing_context(name, key, original)),
        (RopeArg::File(spec), None) => (spec.clone(), spec.max_context()),
        (rope, given) => {
            let length = given.unwrap_or(original);
            (rope.spec(length)?, length)
        }
    };
    if !matches!(rope, RopeArg::Checkpoint(_)) {
        check_trainable(name, &spec, &config.train)?;
    }
    if given.is_some() {
        check_length(config, &spec, model, length, key)?;
    }
    Ok((spec, length))
}

/// Refuses texts that are longer than the RoPE is for.
fn check_length(
    config: &Config,
    spec: &RopeSpec,
    model: &ModelConfig,
    length: usize,
    key: &str,
) -> Result<()> {
    let name = config.rope.first().map_or("checkpoint", String::as_str);
    let longest = if name == "checkpoint" {
        model.max_context
    } else {
        spec.max_context()
    };
    let is_method = name.parse::<Method>().is_ok();
    if is_method || length <= longest || !has_end(&spec.scaling) {
        return Ok(());
    }
    Err(
        anyhow!("`{key}` is {length}, but RoPE `{name}` is for up to {longest} tokens").context(
            Hint(format!(
                "give {key} {longest} or less, or the RoPE of a search for {length} tokens"
            )),
        ),
    )
}

/// Refuses RoPEs that nothing can be trained under, and short windows under another RoPE than that of short texts.
fn check_trainable(name: &str, spec: &RopeSpec, config: &TrainConfig) -> Result<()> {
    check_expressible(name, spec, "trained: its attention has no gradients")?;
    let short = config.data.short;
    if spec.scaling.is_for_any_context() && short > 0.0 {
        return Err(anyhow!(
            "`train.data.short` is {short}, but RoPE `{name}` is used at every length, and these windows keep the original one"
        )
        .context(Hint("set train.data.short to 0".to_owned())));
    }
    Ok(())
}

/// Whether a scaling is of no use beyond the context it was made for. Dynamic NTK follows the length, and LLaMA-3's models
/// claim longer contexts than their scale.
fn has_end(scaling: &RopeScaling) -> bool {
    matches!(
        scaling,
        RopeScaling::LongRope { .. }
            | RopeScaling::Linear { .. }
            | RopeScaling::NtkAware { .. }
            | RopeScaling::Yarn { .. }
    )
}
