//! Methods with parameters of their own, as `NAME@PARAMETERS`.

use std::fmt;
use std::str::FromStr;

use crate::scaling::{BASE, is_base};
use crate::{Error, Result, RopeScaling, RopeSpec, SelfExtend};

/// Far above any fitted growth, and below any context, which other methods take here.
const MOST_SHARPENING: f64 = 10.0;

/// A method that changes RoPE by given numbers, and not by the context it is for.
///
/// | text | RoPE |
/// |---|---|
/// | `theta@5e6` | plain RoPE with the base 5e6 |
/// | `drope` | no rotation |
/// | `drope@0.1` | no rotation; scores grow by `1 + 0.1 ln(n/L)` in sequences of `n > L` tokens |
/// | `selfextend@8,1024` | groups of 8 positions beyond 1,024 tokens |
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum ParameterMethod {
    /// Another base; see [`RopeScaling::Theta`].
    Theta {
        /// The base.
        theta: f64,
    },
    /// No rotation; see [`RopeScaling::Drope`].
    Drope {
        /// Growth of the scores.
        sharpening: f64,
    },
    /// Grouped positions; see [`RopeScaling::SelfExtend`].
    SelfExtend(SelfExtend),
}

impl ParameterMethod {
    /// How the methods are written, for messages.
    pub const FORMS: [&str; 4] = ["theta@BASE", "drope", "drope@C", "selfextend@GROUP,WINDOW"];

    /// Reads a method, or `None` if the text is not the name of one.
    ///
    /// `selfextend` alone and `selfextend@CONTEXT` are a [`Method`](crate::Method), not one of these.
    ///
    /// # Errors
    /// [`Error::MethodParameters`] if the parameters are missing or cannot be read.
    pub fn parse(text: &str) -> Result<Option<Self>> {
        let (name, parameters) = match text.split_once('@') {
            Some((name, parameters)) => (name, Some(parameters)),
            None => (text, None),
        };
        let wrong = |expected, example| {
            Err(Error::MethodParameters {
                found: text.to_owned(),
                expected,
                example,
            })
        };
        Ok(Some(match (name, parameters) {
            ("theta", parameters) => {
                let theta = parameters.and_then(number).filter(|theta| is_base(*theta));
                let Some(theta) = theta else {
                    return wrong(BASE, "theta@5e6");
                };
                Self::Theta { theta }
            }
            ("drope", None) => Self::Drope { sharpening: 0.0 },
            ("drope", Some(parameters)) => {
                let usual = 0.0..=MOST_SHARPENING;
                let sharpening = number(parameters).filter(|number| usual.contains(number));
                let Some(sharpening) = sharpening else {
                    let expected = "the growth of the scores after `@`, a number from 0 to 10";
                    return wrong(expected, "drope@0.1");
                };
                Self::Drope { sharpening }
            }
            ("selfextend", Some(parameters)) if parameters.contains(',') => {
                let mut numbers = parameters.split(',').map(|part| part.parse().ok());
                let (Some(Some(group)), Some(Some(window)), None) =
                    (numbers.next(), numbers.next(), numbers.next())
                else {
                    let expected = "two whole numbers after `@`: group size and window";
                    return wrong(expected, "selfextend@8,1024");
                };
                Self::SelfExtend(SelfExtend { group, window })
            }
            _ => return Ok(None),
        }))
    }

    /// `base` with its scaling replaced by this method.
    ///
    /// # Errors
    /// The errors of [`RopeSpec::validate`].
    pub fn spec(self, base: &RopeSpec) -> Result<RopeSpec> {
        let scaling = match self {
            Self::Theta { theta } => RopeScaling::Theta { theta },
            Self::Drope { sharpening } => RopeScaling::Drope { sharpening },
            Self::SelfExtend(SelfExtend { group, window }) => {
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

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

impl fmt::Display for ParameterMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Theta { theta } => write!(f, "theta@{theta:?}"),
            Self::Drope { sharpening: 0.0 } => write!(f, "drope"),
            Self::Drope { sharpening } => write!(f, "drope@{sharpening:?}"),
            Self::SelfExtend(SelfExtend { group, window }) => {
                write!(f, "selfextend@{group},{window}")
            }
        }
    }
}

impl FromStr for ParameterMethod {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)?.ok_or_else(|| Error::UnknownMethod {
            found: text.to_owned(),
            expected: crate::Names(&Self::FORMS),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> RopeSpec {
        RopeSpec::new(8, 10_000.0, 256, RopeScaling::None {}).unwrap()
    }

    #[test]
    fn names_can_be_read_back() {
        for text in ["theta@5000000.0", "drope", "drope@0.103", "selfextend@8,64"] {
            let method: ParameterMethod = text.parse().unwrap();
            assert_eq!(method.to_string(), text);
        }
        let read = |text: &str| ParameterMethod::parse(text).unwrap();
        assert_eq!(read("theta@5e6"), read("theta@5000000"));
        assert_eq!(read("drope@0"), read("drope"));
    }

    #[test]
    fn other_names_are_left_to_others() {
        for text in [
            "yarn",
            "theta.json",
            "selfextend",
            "selfextend@8192",
            "yarn@8192",
            "",
        ] {
            assert_eq!(ParameterMethod::parse(text).unwrap(), None, "{text}");
        }
        let error = "yarn".parse::<ParameterMethod>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "`yarn` is not a rope method, expected one of `theta@BASE`, `drope`, `drope@C`, `selfextend@GROUP,WINDOW`"
        );
    }

    #[test]
    fn missing_or_wrong_parameters_are_errors() {
        for text in [
            "theta",
            "theta@",
            "theta@big",
            "theta@1",
            "theta@-5e6",
            "theta@4e38",
            "theta@inf",
            "theta@nan",
        ] {
            let error = ParameterMethod::parse(text).unwrap_err().to_string();
            let expected = format!("expected {BASE}");
            assert_eq!(error, format!("RoPE `{text}`: {expected}"));
        }
        for text in ["drope@", "drope@-1", "drope@a", "drope@inf", "drope@8192"] {
            assert!(ParameterMethod::parse(text).is_err(), "{text}");
        }
        for text in [
            "selfextend@8,",
            "selfextend@,8",
            "selfextend@8,64,2",
            "selfextend@8,-1",
            "selfextend@8, 64",
        ] {
            assert!(ParameterMethod::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_larger_base_is_plain_rope_with_that_base() {
        let spec = "theta@5e6"
            .parse::<ParameterMethod>()
            .unwrap()
            .spec(&base())
            .unwrap();
        let other = RopeSpec::new(8, 5e6, 256, RopeScaling::None {}).unwrap();
        for total in [1, 256, 100_000] {
            assert_eq!(spec.resolve(total), other.resolve(total));
        }
        assert_eq!(spec.plain(), base());
        assert_eq!(spec.theta, 10_000.0);
    }

    #[test]
    fn nothing_rotates_without_rope() {
        let drope: ParameterMethod = "drope".parse().unwrap();
        let angles = drope.spec(&base()).unwrap().resolve(512).angles(0..512);
        assert!(angles.cos.iter().all(|cos| *cos == 1.0));
        assert!(angles.sin.iter().all(|sin| *sin == 0.0));
    }

    #[test]
    fn scores_without_rope_grow_with_the_length() {
        let drope: ParameterMethod = "drope@0.5".parse().unwrap();
        let spec = drope.spec(&base()).unwrap();
        assert_eq!(spec.attention_scale(100), 1.0);
        assert_eq!(spec.attention_scale(256), 1.0);
        // Scores grow by the square: 1 + 0.5 ln 4.
        let squared = spec.attention_scale(1024).powi(2);
        assert!((squared - (1.0 + 0.5 * 4.0_f64.ln())).abs() < 1e-12);
    }

    #[test]
    fn a_method_replaces_the_scaling_of_the_model() {
        let scaled = RopeSpec {
            scaling: RopeScaling::Linear { scale: 4.0 },
            ..base()
        };
        let method: ParameterMethod = "selfextend@4,64".parse().unwrap();
        assert_eq!(method.spec(&scaled).unwrap(), method.spec(&base()).unwrap());
        assert!(matches!(
            method.spec(&RopeSpec {
                original_context: 32,
                ..base()
            }),
            Err(Error::Number { name: "window", .. })
        ));
    }
}
