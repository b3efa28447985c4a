//! How much attention is sharpened to compensate for a longer context.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A rule for the number that multiplies cos and sin, so that attention scores grow by its square.
///
/// With `s` the scale and `L` the original context:
///
/// | policy | value |
/// |---|---|
/// | `None` | 1 |
/// | `Su` | `sqrt(1 + ln s / ln L)`, 1 if `s <= 1` |
/// | `Yarn` | `0.1 ln s + 1`, 1 if `s <= 1` |
/// | `Constant` | `value` |
///
/// # Reference
/// `Su` is what Microsoft's LongRoPE code and transformers do; the LongRoPE paper does not mention it. `Yarn` is from
/// the YaRN paper (arXiv 2309.00071), section 3.4.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum AttentionScale {
    /// Attention is unchanged.
    None {},
    /// The default of LongRoPE models.
    Su {},
    /// The default of YaRN models.
    Yarn {},
    /// A fixed number.
    Constant {
        /// The number, above 0.
        value: f64,
    },
}

impl AttentionScale {
    /// The number for a context of `scale` times `original_context` tokens.
    pub fn value(&self, scale: f64, original_context: usize) -> f64 {
        match self {
            Self::Constant { value } => *value,
            Self::Su {} if scale > 1.0 => {
                (1.0 + scale.ln() / (original_context as f64).ln()).sqrt()
            }
            Self::Yarn {} if scale > 1.0 => 0.1 * scale.ln() + 1.0,
            Self::None {} | Self::Su {} | Self::Yarn {} => 1.0,
        }
    }

    /// Fails if the policy gives no usable number.
    pub(crate) fn validate(&self) -> Result<()> {
        match self {
            Self::Constant { value } if !(*value > 0.0 && *value <= 1e9) => Err(Error::Number {
                name: "attention.value",
                found: *value,
                expected: "a number above 0 and up to 1e9",
            }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published values have six decimals.
    const PUBLISHED: f64 = 5e-7;

    #[test]
    fn su_gives_the_published_values() {
        let published = [
            (131_072, 4096, 1.190_238),
            (262_144, 4096, 1.224_745),
            (2_097_152, 4096, 1.322_876),
            (131_072, 8192, 1.143_544),
            (131_072, 2048, 1.243_163),
        ];
        for (target, original, expected) in published {
            let value = AttentionScale::Su {}.value(f64::from(target) / original as f64, original);
            assert!(
                (value - expected).abs() < PUBLISHED,
                "{target}/{original}: {value}"
            );
        }
    }

    #[test]
    fn yarn_grows_with_the_logarithm() {
        assert!((AttentionScale::Yarn {}.value(32.0, 4096) - 1.346_574).abs() < PUBLISHED);
    }

    #[test]
    fn nothing_is_sharpened_without_an_extension() {
        for policy in [
            AttentionScale::None {},
            AttentionScale::Su {},
            AttentionScale::Yarn {},
        ] {
            assert_eq!(policy.value(1.0, 4096), 1.0);
            assert_eq!(policy.value(0.5, 4096), 1.0);
        }
        assert_eq!(AttentionScale::None {}.value(32.0, 4096), 1.0);
        assert_eq!(
            AttentionScale::Constant { value: 1.25 }.value(1.0, 4096),
            1.25
        );
    }

    #[test]
    fn constants_are_above_zero() {
        for value in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(AttentionScale::Constant { value }.validate().is_err());
        }
    }

    #[test]
    fn the_json_names_the_policy() {
        let json = serde_json::to_string(&AttentionScale::Su {}).unwrap();
        assert_eq!(json, r#"{"type":"su"}"#);
        let read: AttentionScale =
            serde_json::from_str(r#"{"type":"constant","value":1.5}"#).unwrap();
        assert_eq!(read, AttentionScale::Constant { value: 1.5 });
        assert!(serde_json::from_str::<AttentionScale>(r#"{"type":"su","value":1.5}"#).is_err());
    }
}
