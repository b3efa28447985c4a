//! Scaling methods by name, which LongRoPE is compared with.

use std::fmt;
use std::str::FromStr;

use crate::error::Names;
use crate::{AttentionScale, Error, Result, RopeScaling, RopeSpec};

/// YaRN's bounds for LLaMA models, and the defaults of transformers.
const YARN_BETA_FAST: f64 = 32.0;
const YARN_BETA_SLOW: f64 = 1.0;
/// The values of Llama 3.1.
const LLAMA3_LOW_FREQ_FACTOR: f64 = 1.0;
const LLAMA3_HIGH_FREQ_FACTOR: f64 = 4.0;

/// A scaling method without free parameters: the target context determines it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Method {
    /// Plain RoPE.
    None,
    /// Position interpolation.
    Pi,
    /// NTK-aware with a fixed base.
    Ntk,
    /// NTK-aware with a base that follows the sequence.
    DynamicNtk,
    /// YaRN with 32 and 1 turns and its own attention scale.
    Yarn,
    /// Llama 3.1 with factors 1 and 4.
    Llama3,
}

const NAMES: [&str; 6] = ["none", "pi", "ntk", "dynamic-ntk", "yarn", "llama3"];

impl Method {
    /// Every method.
    pub const ALL: [Self; 6] = [
        Self::None,
        Self::Pi,
        Self::Ntk,
        Self::DynamicNtk,
        Self::Yarn,
        Self::Llama3,
    ];

    /// The method's name, for instance `dynamic-ntk`.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => NAMES[0],
            Self::Pi => NAMES[1],
            Self::Ntk => NAMES[2],
            Self::DynamicNtk => NAMES[3],
            Self::Yarn => NAMES[4],
            Self::Llama3 => NAMES[5],
        }
    }

    /// `base` with its scaling replaced by this method for `context` tokens: `s = context / original_context`.
    ///
    /// Within the original context nothing needs to be scaled, and the result is plain RoPE.
    ///
    /// # Errors
    /// The errors of [`RopeSpec::validate`].
    pub fn spec(self, base: &RopeSpec, context: usize) -> Result<RopeSpec> {
        let scale = context as f64 / base.original_context as f64;
        let scaling = match self {
            _ if context <= base.original_context => RopeScaling::None {},
            Self::None => RopeScaling::None {},
            Self::Pi => RopeScaling::Linear { scale },
            Self::Ntk => RopeScaling::NtkAware { scale },
            Self::DynamicNtk => RopeScaling::DynamicNtk { scale },
            Self::Yarn => RopeScaling::Yarn {
                scale,
                beta_fast: YARN_BETA_FAST,
                beta_slow: YARN_BETA_SLOW,
                truncate: true,
                attention: AttentionScale::Yarn {},
            },
            Self::Llama3 => RopeScaling::Llama3 {
                scale,
                low_freq_factor: LLAMA3_LOW_FREQ_FACTOR,
                high_freq_factor: LLAMA3_HIGH_FREQ_FACTOR,
            },
        };
        RopeSpec {
            scaling,
            ..base.plain()
        }
        .validated()
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Method {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|method| method.name() == text)
            .ok_or_else(|| Error::UnknownMethod {
                found: text.to_owned(),
                expected: Names(&NAMES),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RescaleFactors, YarnRamp, ntk_factors, pi_factors, yarn_factors};

    fn base() -> RopeSpec {
        RopeSpec::new(128, 10_000.0, 4096, RopeScaling::None {}).unwrap()
    }

    #[test]
    fn names_can_be_read_back() {
        for method in Method::ALL {
            assert_eq!(method.to_string().parse::<Method>().unwrap(), method);
        }
        let error = "nkt".parse::<Method>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "`nkt` is not a rope method, expected one of `none`, `pi`, `ntk`, `dynamic-ntk`, `yarn`, `llama3`"
        );
    }

    #[test]
    fn nothing_is_scaled_within_the_original_context() {
        for method in Method::ALL {
            assert_eq!(method.spec(&base(), 4096).unwrap(), base());
        }
    }

    #[test]
    fn every_method_is_made_for_the_context_asked_for() {
        for method in Method::ALL
            .into_iter()
            .filter(|method| *method != Method::None)
        {
            assert_eq!(
                method.spec(&base(), 131_072).unwrap().max_context(),
                131_072
            );
        }
    }

    #[test]
    fn a_method_replaces_the_scaling_of_the_model() {
        let scaled = Method::Pi.spec(&base(), 8192).unwrap();
        assert_eq!(Method::None.spec(&scaled, 8192).unwrap(), base());
    }

    #[test]
    fn factors_in_closed_form_give_the_frequencies_of_their_method() {
        let context = 32 * 4096;
        let ramp = YarnRamp {
            rotary_dim: 128,
            theta: 10_000.0,
            original_context: 4096,
            beta_fast: YARN_BETA_FAST,
            beta_slow: YARN_BETA_SLOW,
        };
        let by_factors = [
            (Method::Pi, pi_factors(64, 32.0)),
            (Method::Ntk, ntk_factors(64, 32.0)),
            (Method::Yarn, yarn_factors(ramp, 32.0)),
        ];
        let plain = base().resolve(context);
        for (method, factors) in by_factors {
            let factors = RescaleFactors::new(factors).unwrap();
            let scaled = method.spec(&base(), context).unwrap().resolve(context);
            for ((scaled, plain), factor) in scaled
                .inv_freq()
                .iter()
                .zip(plain.inv_freq())
                .zip(factors.as_slice())
            {
                assert!((scaled * factor / plain - 1.0).abs() < 1e-12, "{method}");
            }
        }
    }
}
