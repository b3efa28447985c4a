//! Scaling methods by name, which LongRoPE is compared with.

use std::fmt;
use std::str::FromStr;

use crate::error::Names;
use crate::{
    AttentionScale, Error, FactorSet, RescaleFactors, Result, RopeScaling, RopeSpec, SelfExtend,
    YarnRamp, mrrope_pro_factors, mrrope_uni_factors,
};

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
    /// MrRoPE-Uni with 32 and 1 turns and YaRN's attention scale; see [`mrrope_uni_factors`].
    MrRopeUni,
    /// MrRoPE-Pro with 32 and 1 turns and YaRN's attention scale; see [`mrrope_pro_factors`].
    MrRopePro,
    /// SelfExtend with the parameters of its authors' rule; see [`SelfExtend::for_context`].
    SelfExtend,
}

const NAMES: [&str; 9] = [
    "none",
    "pi",
    "ntk",
    "dynamic-ntk",
    "yarn",
    "llama3",
    "mrrope-uni",
    "mrrope-pro",
    "selfextend",
];

impl Method {
    /// Every method.
    pub const ALL: [Self; 9] = [
        Self::None,
        Self::Pi,
        Self::Ntk,
        Self::DynamicNtk,
        Self::Yarn,
        Self::Llama3,
        Self::MrRopeUni,
        Self::MrRopePro,
        Self::SelfExtend,
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
            Self::MrRopeUni => NAMES[6],
            Self::MrRopePro => NAMES[7],
            Self::SelfExtend => NAMES[8],
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
            Self::MrRopeUni => mrrope(mrrope_uni_factors(llama_ramp(base), scale), base, context)?,
            Self::MrRopePro => mrrope(mrrope_pro_factors(llama_ramp(base), scale), base, context)?,
            Self::SelfExtend => {
                let SelfExtend { group, window } =
                    SelfExtend::for_context(base.original_context, context);
                RopeScaling::SelfExtend { group, window }
            }
        };
        RopeSpec {
            scaling,
            ..base.plain()
        }
        .validated()
    }
}

/// YaRN's ramp with the bounds for LLaMA models.
fn llama_ramp(base: &RopeSpec) -> YarnRamp {
    YarnRamp {
        rotary_dim: base.rotary_dim,
        theta: base.theta,
        original_context: base.original_context,
        beta_fast: YARN_BETA_FAST,
        beta_slow: YARN_BETA_SLOW,
    }
}

/// Factors that are the same at every length, with YaRN's attention scale. A config can hold them as short and long
/// factors.
fn mrrope(factors: Vec<f64>, base: &RopeSpec, context: usize) -> Result<RopeScaling> {
    let factors = RescaleFactors::new(factors)?;
    let set = |max_context| FactorSet {
        max_context,
        start_tokens: 0,
        factors: factors.clone(),
        attention: None,
    };
    Ok(RopeScaling::LongRope {
        sets: vec![set(base.original_context), set(context)],
        attention: AttentionScale::Yarn {},
    })
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
            "`nkt` is not a rope method, expected one of `none`, `pi`, `ntk`, `dynamic-ntk`, `yarn`, `llama3`, `mrrope-uni`, `mrrope-pro`, \
             `selfextend`"
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
        for method in Method::ALL {
            let longest = method.spec(&base(), 131_072).unwrap().max_context();
            match method {
                Method::None => assert_eq!(longest, 4096),
                // Groups are whole, and large distances are avoided.
                Method::SelfExtend => assert!(longest > 131_072),
                _ => assert_eq!(longest, 131_072, "{method}"),
            }
        }
    }

    #[test]
    fn mrrope_has_one_set_of_factors_and_the_attention_scale_of_yarn() {
        let yarn = Method::Yarn.spec(&base(), 131_072).unwrap();
        for method in [Method::MrRopeUni, Method::MrRopePro] {
            let spec = method.spec(&base(), 131_072).unwrap();
            assert_eq!(spec.resolve(10), spec.resolve(131_072), "{method}");
            let scale = spec.attention_scale(10);
            assert!((scale - yarn.attention_scale(10)).abs() < 1e-12, "{method}");
        }
    }

    #[test]
    fn selfextend_takes_its_parameters_from_both_contexts() {
        let spec = Method::SelfExtend.spec(&base(), 16_384).unwrap();
        let expected = RopeScaling::SelfExtend {
            group: 10,
            window: 1024,
        };
        assert_eq!(spec.scaling, expected);
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
            (Method::MrRopeUni, mrrope_uni_factors(ramp, 32.0)),
            (Method::MrRopePro, mrrope_pro_factors(ramp, 32.0)),
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
