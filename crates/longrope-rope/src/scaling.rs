//! The ways of rescaling RoPE, as plain data.

use serde::{Deserialize, Serialize};

use crate::{AttentionScale, Error, FactorSet, Result, SelfExtend};

/// How the frequencies of a model are changed for a longer context.
///
/// Below, `f_i = θ^(-2i/d)` is the plain frequency of pair `i`, `s` the scale, `L` the original context.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum RopeScaling {
    /// Plain RoPE: `f_i`.
    None {},
    /// Position interpolation: `f_i / s`.
    Linear {
        /// Growth of the context, `s`.
        scale: f64,
    },
    /// NTK-aware: plain RoPE with `θ' = θ · s^(d/(d-2))`.
    NtkAware {
        /// Growth of the context, `s`.
        scale: f64,
    },
    /// NTK whose base follows the sequence: `θ' = θ · (s·n/L - (s - 1))^(d/(d-2))` with `n = max(total, L)`.
    DynamicNtk {
        /// `s`, the `factor` of transformers.
        scale: f64,
    },
    /// Interpolation by parts: `f_i · ((1 - m_i)/s + m_i)`; see [`yarn_factors`](crate::yarn_factors) for `m_i`.
    Yarn {
        /// Growth of the context, `s`.
        scale: f64,
        /// Pairs with more turns than this within `L` keep their frequency.
        beta_fast: f64,
        /// Pairs with fewer turns than this are interpolated fully.
        beta_slow: f64,
        /// Whether the ends of the ramp are rounded to whole pairs, outwards.
        truncate: bool,
        /// Attention-scale policy, for scale `s`.
        attention: AttentionScale,
    },
    /// Llama 3.1: `f_i / s` below `low` turns within `L`, `f_i` above `high`, blended in between.
    Llama3 {
        /// Growth of the context, `s`.
        scale: f64,
        /// Turns below which a pair is interpolated fully.
        low_freq_factor: f64,
        /// Turns above which a pair keeps its frequency.
        high_freq_factor: f64,
    },
    /// Another base: `θ'^(-2i/d)`, without an attention scale.
    ///
    /// Models that are trained further on long texts often only get a larger base (adjusted base frequency, Xiong et
    /// al., arXiv 2309.16039, section 2.1).
    Theta {
        /// The base, `θ'`.
        theta: f64,
    },
    /// No rotation: every angle is 0, at every length. Models are trained a little further afterwards, at the original
    /// context.
    ///
    /// In a sequence of `n > L` tokens, scores grow by `1 + c ln(n/L)`, so that the attention scale is the square root
    /// of that. The authors fit `c` by the perplexity at the target length: 0.412 for a small model of theirs, 0.103
    /// for SmolLM.
    ///
    /// # Reference
    /// DroPE (arXiv 2512.12167), section 5 and appendix C.2.
    Drope {
        /// Growth of the scores, `c`; 0 leaves them as they are.
        sharpening: f64,
    },
    /// Plain RoPE whose far keys have coarser positions; see [`SelfExtend`].
    SelfExtend {
        /// Group size, `G`.
        group: usize,
        /// Neighbour window in tokens, `W`.
        window: usize,
    },
    /// LongRoPE: `f_i / λ_i`, with one set of `λ` per range of sequence lengths.
    ///
    /// A sequence of `n` tokens uses the first set whose `max_context` is at least `n`, else the last.
    LongRope {
        /// The sets, ordered by `max_context`.
        sets: Vec<FactorSet>,
        /// Attention-scale policy of every set without its own, evaluated at the context of the largest set.
        attention: AttentionScale,
    },
}

impl RopeScaling {
    /// The scaling's name in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::None {} => "none",
            Self::Linear { .. } => "linear",
            Self::NtkAware { .. } => "ntk-aware",
            Self::DynamicNtk { .. } => "dynamic-ntk",
            Self::Yarn { .. } => "yarn",
            Self::Llama3 { .. } => "llama3",
            Self::Theta { .. } => "theta",
            Self::Drope { .. } => "drope",
            Self::SelfExtend { .. } => "self-extend",
            Self::LongRope { .. } => "long-rope",
        }
    }

    /// Whether it is the same at every length and was not made for a context.
    pub fn is_for_any_context(&self) -> bool {
        matches!(self, Self::Theta { .. } | Self::Drope { .. })
    }

    /// Whether frequencies and an attention scale say all of it, so that a config can hold it and a model be trained under it.
    pub fn is_expressible(&self) -> bool {
        !matches!(self, Self::SelfExtend { .. })
    }

    /// Fails if a number is outside the range that its formula allows.
    pub(crate) fn validate(&self, rotary_dim: usize, original_context: usize) -> Result<()> {
        match self {
            Self::None {} => Ok(()),
            Self::Theta { theta } => base("scaling.theta", *theta),
            Self::Drope { sharpening } if sharpening.is_finite() && *sharpening >= 0.0 => Ok(()),
            Self::Drope { sharpening } => Err(Error::Number {
                name: "sharpening",
                found: *sharpening,
                expected: "a finite number of at least 0",
            }),
            Self::SelfExtend { group, window } => SelfExtend {
                group: *group,
                window: *window,
            }
            .validate(original_context),
            Self::Linear { scale } => positive("scale", *scale),
            Self::NtkAware { scale } | Self::DynamicNtk { scale } => {
                if rotary_dim < 4 {
                    return Err(Error::RotaryDim {
                        found: rotary_dim,
                        minimum: 4,
                    });
                }
                positive("scale", *scale)
            }
            Self::Yarn {
                scale,
                beta_fast,
                beta_slow,
                attention,
                ..
            } => {
                positive("scale", *scale)?;
                betas(*beta_fast, *beta_slow)?;
                attention.validate()
            }
            Self::Llama3 {
                scale,
                low_freq_factor,
                high_freq_factor,
            } => {
                positive("scale", *scale)?;
                freq_factors(*low_freq_factor, *high_freq_factor)
            }
            Self::LongRope { sets, attention } => {
                attention.validate()?;
                validate_sets(sets, rotary_dim / 2)
            }
        }
    }
}

/// Fails if these are not the two ends of YaRN's ramp.
fn betas(fast: f64, slow: f64) -> Result<()> {
    positive("beta_slow", slow)?;
    positive("beta_fast", fast)?;
    if fast < slow {
        return Err(Error::Number {
            name: "beta_fast",
            found: fast,
            expected: "at least `beta_slow`",
        });
    }
    Ok(())
}

/// Fails if these are not the two ends of LLaMA 3's ramp.
fn freq_factors(low: f64, high: f64) -> Result<()> {
    positive("low_freq_factor", low)?;
    positive("high_freq_factor", high)?;
    if high <= low {
        return Err(Error::Number {
            name: "high_freq_factor",
            found: high,
            expected: "more than `low_freq_factor`",
        });
    }
    Ok(())
}

/// The largest base of frequencies. Other programs compute them in f32.
const MOST_BASE: f64 = 3e38;

/// What a base has to be, for messages.
pub(crate) const BASE: &str = "a number above 1 and up to 3e38";

/// Whether a number is a base of frequencies, here and in a `config.json`.
pub(crate) fn is_base(theta: f64) -> bool {
    theta > 1.0 && theta <= MOST_BASE
}

/// Fails if `theta` is not a base of frequencies.
pub(crate) fn base(name: &'static str, theta: f64) -> Result<()> {
    if is_base(theta) {
        return Ok(());
    }
    Err(Error::Number {
        name,
        found: theta,
        expected: BASE,
    })
}

fn positive(name: &'static str, found: f64) -> Result<()> {
    if found.is_finite() && found > 0.0 {
        Ok(())
    } else {
        Err(Error::Number {
            name,
            found,
            expected: "a finite number above 0",
        })
    }
}

fn validate_sets(sets: &[FactorSet], n_pairs: usize) -> Result<()> {
    if sets.is_empty() {
        return Err(Error::NoSets {});
    }
    let mut previous = 0;
    for (index, set) in sets.iter().enumerate() {
        if set.max_context <= previous {
            return Err(Error::SetOrder {
                set: index,
                found: set.max_context,
                previous,
            });
        }
        previous = set.max_context;
        if set.factors.len() != n_pairs {
            return Err(Error::FactorCount {
                set: index,
                max_context: set.max_context,
                found: set.factors.len(),
                expected: n_pairs,
            });
        }
        set.attention
            .map_or(Ok(()), |attention| attention.validate())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RescaleFactors;

    fn set(max_context: usize, n_pairs: usize) -> FactorSet {
        FactorSet {
            max_context,
            start_tokens: 0,
            factors: RescaleFactors::ones(n_pairs),
            attention: None,
        }
    }

    fn long_rope(sets: Vec<FactorSet>) -> RopeScaling {
        RopeScaling::LongRope {
            sets,
            attention: AttentionScale::Su {},
        }
    }

    #[test]
    fn sets_are_ordered_and_complete() {
        assert!(
            long_rope(vec![set(256, 4), set(1024, 4)])
                .validate(8, 256)
                .is_ok()
        );
        assert!(matches!(
            long_rope(vec![]).validate(8, 256),
            Err(Error::NoSets {})
        ));
        assert!(matches!(
            long_rope(vec![set(1024, 4), set(1024, 4)]).validate(8, 256),
            Err(Error::SetOrder {
                set: 1,
                found: 1024,
                previous: 1024
            })
        ));
        assert!(matches!(
            long_rope(vec![set(256, 4), set(1024, 3)]).validate(8, 256),
            Err(Error::FactorCount {
                set: 1,
                found: 3,
                expected: 4,
                ..
            })
        ));
    }

    #[test]
    fn numbers_outside_the_formula_are_named() {
        let error = RopeScaling::Linear { scale: 0.0 }
            .validate(8, 256)
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "`scale` is 0, expected a finite number above 0"
        );
        let llama3 = RopeScaling::Llama3 {
            scale: 8.0,
            low_freq_factor: 4.0,
            high_freq_factor: 4.0,
        };
        assert!(matches!(
            llama3.validate(8, 256),
            Err(Error::Number {
                name: "high_freq_factor",
                ..
            })
        ));
        for theta in [1.0, 4e38, f64::NAN, f64::INFINITY] {
            assert!(RopeScaling::Theta { theta }.validate(8, 256).is_err());
        }
        for sharpening in [-0.1, f64::NAN, f64::INFINITY] {
            assert!(RopeScaling::Drope { sharpening }.validate(8, 256).is_err());
        }
        assert!(matches!(
            RopeScaling::NtkAware { scale: 2.0 }.validate(2, 256),
            Err(Error::RotaryDim { found: 2, .. })
        ));
    }

    #[test]
    fn names_are_those_of_the_json() {
        let scalings = [
            RopeScaling::None {},
            RopeScaling::Linear { scale: 2.0 },
            RopeScaling::NtkAware { scale: 2.0 },
            RopeScaling::DynamicNtk { scale: 2.0 },
            RopeScaling::Yarn {
                scale: 2.0,
                beta_fast: 32.0,
                beta_slow: 1.0,
                truncate: true,
                attention: AttentionScale::Yarn {},
            },
            RopeScaling::Llama3 {
                scale: 2.0,
                low_freq_factor: 1.0,
                high_freq_factor: 4.0,
            },
            RopeScaling::Theta { theta: 5e6 },
            RopeScaling::Drope { sharpening: 0.1 },
            RopeScaling::SelfExtend {
                group: 4,
                window: 64,
            },
            long_rope(vec![set(256, 4)]),
        ];
        for scaling in scalings {
            let json = serde_json::to_value(&scaling).unwrap();
            assert_eq!(json["type"], scaling.name());
            assert_eq!(
                serde_json::from_value::<RopeScaling>(json).unwrap(),
                scaling
            );
        }
    }

    #[test]
    fn unknown_fields_are_refused() {
        assert!(
            serde_json::from_str::<RopeScaling>(r#"{"type":"linear","scale":2.0,"scael":3.0}"#)
                .is_err()
        );
        assert!(serde_json::from_str::<RopeScaling>(r#"{"type":"none","scale":2.0}"#).is_err());
    }
}
