//! The RoPE that llama.cpp computes from the keys of a file.

use longrope_rope::{AttentionScale, FactorSet, RescaleFactors, RopeScaling, RopeSpec};

use super::rope::{RopeKeys, YARN_BOUNDS};
use crate::error::{Error, Result};

impl RopeKeys {
    /// The RoPE that llama.cpp computes from these keys, with a context allocated for the length of the sequence.
    ///
    /// `plain` is the RoPE of the model without scaling.
    ///
    /// # Errors
    /// [`Error::Rope`] if a number is outside the range that its formula allows.
    pub fn computed(&self, plain: &RopeSpec) -> Result<RopeSpec> {
        self.as_spec(plain).map_err(|error| Error::Rope {
            scaling: plain.scaling.name(),
            reason: error.to_string(),
        })
    }

    fn as_spec(&self, plain: &RopeSpec) -> longrope_rope::Result<RopeSpec> {
        let base = RopeSpec {
            theta: self.theta,
            ..plain.plain()
        };
        let spec = if let Some(yarn) = self.yarn {
            let own = AttentionScale::Yarn {}.value(yarn.scale, yarn.original_context);
            let (beta_fast, beta_slow) = YARN_BOUNDS;
            RopeSpec {
                original_context: yarn.original_context,
                scaling: RopeScaling::Yarn {
                    scale: yarn.scale,
                    beta_fast,
                    beta_slow,
                    truncate: true,
                    attention: AttentionScale::Constant {
                        value: yarn.attention * own,
                    },
                },
                ..base
            }
        } else if let Some(factors) = &self.factors {
            let set = |max_context, list: &[f64]| {
                Ok::<_, longrope_rope::Error>(FactorSet {
                    max_context,
                    start_tokens: 0,
                    factors: RescaleFactors::new(list.to_vec())?,
                    attention: None,
                })
            };
            let longest = self.context.max(factors.border + 1);
            RopeSpec {
                scaling: RopeScaling::LongRope {
                    sets: vec![
                        set(factors.border, &factors.short)?,
                        set(longest, &factors.long)?,
                    ],
                    attention: AttentionScale::Constant {
                        value: factors.attention,
                    },
                },
                ..base
            }
        } else if let Some(scale) = self.linear {
            RopeSpec {
                scaling: RopeScaling::Linear { scale },
                ..base
            }
        } else {
            base
        };
        spec.validated()
    }
}
