//! The RoPE of a file: a base, and a short and a long factor per pair.

use longrope_rope::{AttentionScale, FactorSet, RopeScaling, RopeSpec};

use super::architecture::Architecture;
use crate::error::{Error, Result};
use crate::format::{Planned, TensorType};
use crate::loss::Loss;

/// Factor of every pair of a RoPE that does not rotate; the angle of position 10,000,000 is at most 1e-18.
const NO_ROTATION: f64 = 1e25;

/// The bounds of YaRN that llama.cpp takes: fast and slow, in turns within the original context.
pub(super) const YARN_BOUNDS: (f64, f64) = (32.0, 1.0);

/// Which factor sets a file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sets {
    /// A short and a long one; llama.cpp chooses by the context that is allocated.
    #[default]
    Both,
    /// The long one, for every length.
    Long,
    /// The short one, for every length.
    Short,
}

/// The RoPE of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct RopeKeys {
    /// Longest text that the file is for, in tokens.
    pub context: usize,
    /// Base of the frequencies.
    pub theta: f64,
    /// Divides all positions.
    pub linear: Option<f64>,
    /// YaRN as llama.cpp computes it, for architectures without factors.
    pub yarn: Option<YarnKeys>,
    /// Short and long factors.
    pub factors: Option<RopeFactors>,
}

/// YaRN with the usual bounds: 32 and 1 turns within the original context, rounded outwards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct YarnKeys {
    /// Growth of the context.
    pub scale: f64,
    /// Original context in tokens.
    pub original_context: usize,
    /// Multiplies cos and sin, beside the `0.1 ln s + 1` that llama.cpp computes for scale `s`.
    pub attention: f64,
}

/// The factors of a file. A frequency is divided by its factor.
#[derive(Clone, Debug, PartialEq)]
pub struct RopeFactors {
    /// Used in allocated contexts of up to [`border`](Self::border) tokens, one per pair.
    pub short: Vec<f64>,
    /// Used in longer ones.
    pub long: Vec<f64>,
    /// `original_context_length` of the file, in tokens.
    pub border: usize,
    /// Multiplies cos and sin.
    pub attention: f64,
}

/// The RoPE of a file for texts of up to `context` tokens. What the file cannot express is appended to `losses`.
///
/// Scalings of the base become another base, linear interpolation and, for architectures without factors, YaRN their own
/// keys. All others become factors: for each pair
/// its plain frequency divided by its scaled one.
///
/// # Errors
/// [`Error::Rope`] if llama.cpp reads no factors for the architecture, or for positions that depend on distances.
pub fn rope_keys(
    architecture: Architecture,
    spec: &RopeSpec,
    context: usize,
    sets: Sets,
    losses: &mut Vec<Loss>,
) -> Result<RopeKeys> {
    if let Some(keys) = without_factors(architecture, spec, context) {
        return Ok(keys);
    }
    let scaling = spec.scaling.name();
    let chosen = match &spec.scaling {
        RopeScaling::SelfExtend { .. } => {
            return Err(Error::Rope {
                scaling,
                reason: "no key groups positions; llama.cpp has options for it (--grp-attn-n)"
                    .to_owned(),
            });
        }
        RopeScaling::LongRope { sets: all, .. } => two_sets(spec, all, context, sets, losses),
        other => {
            let fixed = fixed(spec, context, losses);
            if matches!(other, RopeScaling::DynamicNtk { .. }) {
                losses.push(Loss::FixedLength { scaling, context });
            }
            match sets {
                Sets::Both => fixed,
                Sets::Long => RopeFactors {
                    short: fixed.long.clone(),
                    ..fixed
                },
                Sets::Short => RopeFactors {
                    long: fixed.short.clone(),
                    ..fixed
                },
            }
        }
    };
    if !architecture.takes_factors() {
        return Err(Error::Rope {
            scaling,
            reason: format!(
                "llama.cpp reads no rescale factors for its architecture `{}`",
                architecture.name()
            ),
        });
    }
    let context = if sets == Sets::Short {
        context.min(chosen.border)
    } else {
        context
    };
    Ok(RopeKeys {
        context,
        theta: spec.theta,
        linear: None,
        yarn: None,
        factors: Some(chosen),
    })
}

/// The RoPE as another base or as keys of its scaling; `None` if it needs factors.
fn without_factors(
    architecture: Architecture,
    spec: &RopeSpec,
    context: usize,
) -> Option<RopeKeys> {
    let plain = RopeKeys {
        context,
        theta: spec.theta,
        linear: None,
        yarn: None,
        factors: None,
    };
    match &spec.scaling {
        RopeScaling::None {} => Some(plain),
        RopeScaling::Theta { theta } => Some(RopeKeys {
            theta: *theta,
            ..plain
        }),
        RopeScaling::NtkAware { .. } => {
            let theta = base_of(spec.resolve(context).inv_freq());
            Some(RopeKeys { theta, ..plain })
        }
        RopeScaling::Linear { scale } => Some(RopeKeys {
            linear: Some(*scale),
            ..plain
        }),
        RopeScaling::Yarn {
            scale,
            beta_fast,
            beta_slow,
            truncate: true,
            ..
        } if !architecture.takes_factors() && (*beta_fast, *beta_slow) == YARN_BOUNDS => {
            let computed = AttentionScale::Yarn {}.value(*scale, spec.original_context);
            let yarn = YarnKeys {
                scale: *scale,
                original_context: spec.original_context,
                attention: spec.attention_scale(context) / computed,
            };
            Some(RopeKeys {
                yarn: Some(yarn),
                ..plain
            })
        }
        _ => None,
    }
}

/// The base of frequencies `θ^(-2i/d)`.
fn base_of(inv_freq: &[f64]) -> f64 {
    match inv_freq {
        [_, second, ..] => second.powf(-(inv_freq.len() as f64)),
        _ => 1.0,
    }
}

/// The factors of frequencies at a length.
fn factors_at(spec: &RopeSpec, total_tokens: usize) -> Vec<f64> {
    let plain = spec.plain().resolve(total_tokens);
    let scaled = spec.resolve(total_tokens);
    let pairs = plain.inv_freq().iter().zip(scaled.inv_freq());
    pairs
        .map(|(plain, scaled)| {
            if *scaled > 0.0 {
                plain / scaled
            } else {
                NO_ROTATION
            }
        })
        .collect()
}

/// The factors of other scalings than LongRoPE, as at the original context and at `context`.
fn fixed(spec: &RopeSpec, context: usize, losses: &mut Vec<Loss>) -> RopeFactors {
    if let RopeScaling::Drope { sharpening } = spec.scaling {
        losses.push(Loss::HugeFactors {
            factor: NO_ROTATION,
        });
        if sharpening > 0.0 {
            let scaling = spec.scaling.name();
            losses.push(Loss::FixedLength { scaling, context });
        }
    }
    RopeFactors {
        short: factors_at(spec, spec.original_context),
        long: factors_at(spec, context),
        border: spec.original_context,
        attention: spec.attention_scale(context),
    }
}

/// The sets for the original context and for `context`. The border is where the RoPE itself changes: after the short set.
fn two_sets(
    spec: &RopeSpec,
    all: &[FactorSet],
    context: usize,
    sets: Sets,
    losses: &mut Vec<Loss>,
) -> RopeFactors {
    let at = |context: usize| {
        let found = all.iter().position(|set| set.max_context >= context);
        found.unwrap_or(all.len().saturating_sub(1))
    };
    let (mut short, mut long) = (at(spec.original_context), at(context));
    match sets {
        Sets::Both => {}
        Sets::Long => short = long,
        Sets::Short => long = short,
    }
    let others = all.iter().enumerate();
    // A set that is left out on request is no surprise.
    let dropped: Vec<usize> = others
        .filter(|(index, _)| sets == Sets::Both && *index != short && *index != long)
        .map(|(_, set)| set.max_context)
        .collect();
    if !dropped.is_empty() {
        losses.push(Loss::Sets {
            max_contexts: dropped,
        });
    }
    let kept = [&all[short], &all[long]];
    let start_tokens = kept.iter().map(|set| set.start_tokens).max().unwrap_or(0);
    if start_tokens > 0 {
        losses.push(Loss::StartTokens { start_tokens });
    }
    let [of_short, of_long] = kept.map(|set| spec.attention_scale(set.max_context));
    if (of_short - of_long).abs() > 1e-9 * of_long {
        losses.push(Loss::ShortAttention {
            short: of_short,
            long: of_long,
        });
    }
    let border = match (short == long, sets) {
        (false, _) | (_, Sets::Short) => all[short].max_context,
        (true, _) => spec.original_context,
    };
    let [short, long] = kept.map(|set| set.factors.as_slice().to_vec());
    RopeFactors {
        short,
        long,
        border,
        attention: of_long,
    }
}

/// The tensors that hold the factors, with their bytes.
pub fn rope_tensors(factors: &RopeFactors) -> Vec<(Planned, Vec<u8>)> {
    let lists = [
        ("rope_factors_long.weight", &factors.long),
        ("rope_factors_short.weight", &factors.short),
    ];
    let tensor = |(name, list): (&str, &Vec<f64>)| {
        let planned = Planned {
            name: name.to_owned(),
            shape: vec![list.len() as u64],
            ty: TensorType::F32,
        };
        #[expect(clippy::cast_possible_truncation, reason = "files hold f32")]
        let bytes = list.iter().flat_map(|it| (*it as f32).to_le_bytes());
        (planned, bytes.collect())
    };
    lists.into_iter().map(tensor).collect()
}

#[cfg(test)]
#[path = "rope_tests.rs"]
mod tests;
