//! Warnings about a config that was read or written.

use std::fmt;

/// A part of a config that may not mean what its author intended, or a part of a spec that a config cannot express.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Warning {
    /// A key of a rope section that is not used.
    UnusedKey {
        /// The section; empty for the top level.
        section: &'static str,
        /// The key.
        key: String,
    },
    /// The explicit `factor` is not the ratio of the two contexts.
    FactorDisagrees {
        /// The factor written in the config.
        factor: f64,
        /// `max_position_embeddings / original_max_position_embeddings`.
        ratio: f64,
        /// The one of the two that is used.
        used: f64,
    },
    /// `short_mscale` or `long_mscale` replaces another attention factor for one factor set.
    MscaleOverrides {
        /// The key.
        key: &'static str,
        /// Its value, which is used.
        found: f64,
        /// The value that transformers computes from the other keys.
        family: f64,
    },
    /// Factors that do not grow with the pair index.
    NotMonotone {
        /// The factor list.
        key: &'static str,
        /// First index whose factor is below the one before it.
        index: usize,
    },
    /// The long factors start beyond the context of the model.
    LongFactorsBeyondMax {
        /// `original_max_position_embeddings`.
        original_context: usize,
        /// `max_position_embeddings`.
        max_context: usize,
    },
    /// Start tokens cannot be written.
    StartTokensDropped {
        /// Number of unscaled positions.
        start_tokens: usize,
    },
    /// Factor sets beyond short and long cannot be written.
    SetsDropped {
        /// The contexts of the dropped sets.
        max_contexts: Vec<usize>,
    },
    /// The short factors are all 1 because there is no set for short texts.
    ShortFactorsAreOnes {
        /// Context up to which the file uses them.
        original_context: usize,
    },
    /// The change from short to long factors happens elsewhere.
    BorderMoved {
        /// Where the spec changes.
        from: usize,
        /// Where the file does.
        to: usize,
    },
    /// Two factor sets have different attention scales, but transformers reads only one.
    SetAttentionDropped {
        /// The scale of the short set.
        short: f64,
        /// The scale of the long set, which is written as `attention_factor`.
        long: f64,
    },
    /// NTK-aware scaling is written as a larger `rope_theta`.
    WrittenAsTheta {
        /// The theta written.
        theta: f64,
    },
    /// A scaling is written as equal short and long factors, the only scaling this family loads.
    WrittenAsLongRope {
        /// The scaling.
        scaling: &'static str,
    },
    /// No rotation is written as factors that leave next to no angle.
    WrittenAsHugeFactors {
        /// The factor of every pair.
        factor: f64,
    },
    /// Scores that grow with the length of a sequence are written as at one length.
    SharpeningFixed {
        /// The length.
        target_context: usize,
    },
    /// `max_position_embeddings` stays the original context, because the formula of the type reads it from there.
    MaxPositionKept {
        /// The value written.
        original_context: usize,
        /// The context asked for.
        target_context: usize,
    },
    /// Phi-3 in transformers 4 accepts three keys in `rope_scaling`, and this spec needs more.
    NotForTransformers4 {},
    /// `rope_theta` is `null`, with which no program can compute.
    NullTheta {
        /// The default of the class, which is used.
        used: f64,
    },
    /// A section that is split by kind of layer has no part for one kind, which has plain RoPE then.
    NoPart {
        /// The section.
        section: &'static str,
        /// The kind of layer.
        layer_type: &'static str,
        /// Base of its frequencies.
        theta: f64,
    },
    /// A section is split by kind of layer, but all layers share one rope. Its class in transformers 5.24 does not load it.
    SplitForOneRope {
        /// The section.
        section: &'static str,
        /// The kind of layer whose part is used.
        layer_type: &'static str,
    },
    /// transformers uses the short factors of a family at every length, so that the extension is lost there.
    ShortFactorsInTransformers {
        /// `model_type` of the family.
        model_type: &'static str,
    },
    /// Two keys of a config disagree; one of them is used, as transformers 5.24 does.
    Conflict {
        /// The key that is used, with its section.
        used: String,
        /// Its value.
        used_value: String,
        /// The key that is not used, with its section.
        ignored: String,
        /// Its value.
        ignored_value: String,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnusedKey { section: "", key } => {
                write!(f, "`{key}` is not used")
            }
            Self::UnusedKey { section, key } => write!(f, "`{section}.{key}` is not used"),
            Self::FactorDisagrees {
                factor,
                ratio,
                used,
            } => write!(
                f,
                "`factor` is {factor}, but the ratio of `max_position_embeddings` to \
                 `original_max_position_embeddings` is {ratio}; {used} is used"
            ),
            Self::MscaleOverrides { key, found, family } => write!(
                f,
                "`{key}` is {found} and is used; transformers reads it for few families and would use {family}"
            ),
            Self::NotMonotone { key, index } => write!(f, "`{key}` decreases at index {index}"),
            Self::LongFactorsBeyondMax {
                original_context,
                max_context,
            } => write!(
                f,
                "`long_factor` is used above `original_max_position_embeddings` {original_context}, but \
                 `max_position_embeddings` is only {max_context}"
            ),
            Self::NullTheta { used } => write!(
                f,
                "`rope_theta` is null, with which transformers cannot compute; {used}, the default, is used"
            ),
            Self::NoPart { .. } | Self::SplitForOneRope { .. } => self.about_parts(f),
            Self::ShortFactorsInTransformers { model_type } => write!(
                f,
                "transformers 5.24 uses the short factors of a `{model_type}` model at every length, so the extension has no \
                 effect there; this program and the code that was published with such models use the long ones"
            ),
            Self::Conflict {
                used,
                used_value,
                ignored,
                ignored_value,
            } => write!(
                f,
                "`{used}` ({used_value}) is used and not `{ignored}` ({ignored_value}), as in transformers 5.24"
            ),
            Self::StartTokensDropped { .. }
            | Self::SetsDropped { .. }
            | Self::ShortFactorsAreOnes { .. }
            | Self::BorderMoved { .. }
            | Self::SetAttentionDropped { .. } => self.about_lost(f),
            Self::WrittenAsTheta { .. }
            | Self::WrittenAsLongRope { .. }
            | Self::WrittenAsHugeFactors { .. }
            | Self::SharpeningFixed { .. }
            | Self::MaxPositionKept { .. }
            | Self::NotForTransformers4 {} => self.about_written(f),
        }
    }
}

impl Warning {
    /// The text about factor sets of a spec of which a config holds less.
    fn about_lost(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StartTokensDropped { start_tokens } => write!(
                f,
                "the config cannot leave the first {start_tokens} positions unscaled and scales them"
            ),
            Self::SetsDropped { max_contexts } => write!(
                f,
                "the factor sets for contexts {max_contexts:?} are dropped; the config holds one short and one long set"
            ),
            Self::ShortFactorsAreOnes { original_context } => write!(
                f,
                "there is no factor set for short texts; up to {original_context} tokens the config does not rescale"
            ),
            Self::BorderMoved { from, to } => write!(
                f,
                "the long factors start above {to} tokens in the config, above {from} in the rope spec"
            ),
            Self::SetAttentionDropped { short, long } => write!(
                f,
                "the short set has attention scale {short}, the long set {long}; transformers uses {long} for both"
            ),
            _ => Ok(()),
        }
    }

    /// The text about a scaling that a config expresses in another way.
    fn about_written(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrittenAsTheta { theta } => {
                write!(
                    f,
                    "NTK-aware scaling is written as `rope_theta` {theta} without a scaling"
                )
            }
            Self::WrittenAsLongRope { scaling } => write!(
                f,
                "the `{scaling}` scaling is written as longrope with equal short and long factors"
            ),
            Self::WrittenAsHugeFactors { factor } => write!(
                f,
                "no config has a key for no rotation; it is written as longrope with factors of {factor:e}, which leave \
                 angles too small for f32"
            ),
            Self::SharpeningFixed { target_context } => write!(
                f,
                "the config cannot let scores grow with the length; they are as at {target_context} tokens at every length"
            ),
            Self::MaxPositionKept {
                original_context,
                target_context,
            } => write!(
                f,
                "`max_position_embeddings` stays {original_context} instead of {target_context}; the dynamic type \
                 computes its scale from it"
            ),
            Self::NotForTransformers4 {} => write!(
                f,
                "Phi-3 in transformers 4 accepts only `type`, `short_factor` and `long_factor`; \
                 this config needs transformers 5"
            ),
            _ => Ok(()),
        }
    }

    /// The text about a section that is split by kind of layer.
    fn about_parts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPart {
                section,
                layer_type,
                theta,
            } => write!(
                f,
                "`{section}` has no `{layer_type}`: these layers have plain RoPE with theta {theta}, as in transformers 5.24"
            ),
            Self::SplitForOneRope {
                section,
                layer_type,
            } => write!(
                f,
                "`{section}` is split by layer type, but all layers share one RoPE: `{layer_type}` is used for all; \
                 transformers 5.24 does not load such a config"
            ),
            _ => Ok(()),
        }
    }
}
