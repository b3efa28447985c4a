#![doc = include_str!("../README.md")]
//!
//! # Formulas
//!
//! RoPE turns pair `i` of the dimensions of a query or key at position `p` by the angle
//!
//! ```text
//! p · f_i,    f_i = 1 / (λ_i · θ^(2i/d)),    i = 0 .. d/2
//! ```
//!
//! Plain RoPE has `λ_i = 1`. A longer context needs slower rotations; a [`RopeScaling`] says how the `λ_i` are chosen.
//! LongRoPE searches for them and uses different factors for different ranges of sequence lengths ([`FactorSet`]). The
//! first `n̂` positions may keep their plain angles. Cos and sin are multiplied by an [`AttentionScale`].
//!
//! # Terms
//!
//! | term | meaning | elsewhere |
//! |---|---|---|
//! | `original_context` `L` | context the model was trained for, tokens | `original_max_position_embeddings` |
//! | `target_context` `L'` | context to extend to, tokens | `max_position_embeddings`, `target_length` |
//! | `scale` `s` | `L' / L` | `factor`, `length_scale` |
//! | rescale factor `λ_i` | divides the frequency of pair `i` | `long_factor`, `short_factor`, `rescale_factors` |
//! | `start_tokens` `n̂` | leading positions left unscaled | `start_token_idx` |
//! | `theta` `θ` | base of the frequencies | `rope_theta`, `base` |
//! | `rotary_dim` `d` | rotated part of a head, even | `dim`, `partial_rotary_factor · head_dim` |
//! | `attention_scale` | multiplies cos and sin | `attention_factor`, `mscale` |
//!
//! # Conventions
//!
//! - Pair `i` is dimensions `i` and `i + d/2` of a head (half-split, `rotate_half`). Some families rotate neighbours instead;
//!   [`Layout`] says so. The frequencies are the same.
//! - `x'_i = x_i cos - x_(i+d/2) sin` and `x'_(i+d/2) = x_(i+d/2) cos + x_i sin`.
//! - `λ_i` divides the frequency; the attention scale multiplies cos and sin, so scores grow by its square.
//! - Frequencies are fixed once per sequence, from its total length; never per position, forward pass or batch.
//! - Everything is computed in f64 and cast to f32 at the end.
//!
//! The crate reads no files: it takes strings and JSON values and returns values.

#![allow(
    clippy::doc_markdown,
    reason = "RoPE, YaRN, LongRoPE and LLaMA are names, not code"
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::float_cmp,
        reason = "a test fails by panicking, and exact numbers are compared on purpose"
    )
)]

mod angles;
mod artifact;
mod attention_scale;
mod closed_forms;
mod doctor;
mod error;
mod factors;
mod factors_csv;
mod far_angles;
mod hf;
mod inv_freq;
mod json_text;
mod method;
mod parameter_method;
mod precision;
pub mod published;
mod resolved;
mod scaling;
mod self_extend;
mod single_set;
mod spec;
mod warning;

pub use angles::Angles;
pub use artifact::{Provenance, RopeArtifact};
pub use attention_scale::AttentionScale;
pub use closed_forms::{
    YarnRamp, critical_ntk_factors, linear_ramp_factors, mrrope_pro_factors, mrrope_uni_factors,
    ntk_factors, pair_of_period, pi_factors, yarn_factors,
};
pub use doctor::{
    Advice, Conflict, Diagnosis, Disagreement, FactorRow, Outcome, Reading, Rules, Runtime,
    RuntimeView, Switch, Taken, Topic, diagnose, taken_by,
};
pub use error::{Error, Names, Result};
pub use factors::{FactorSet, RescaleFactors};
pub use factors_csv::factors_from_csv;
pub use far_angles::FarAngles;
pub use hf::{
    Activation, AttentionLayout, Biases, ExpertKind, Experts, Family, HeadNorm, HfConfig, HfRope,
    Layout, MlpKind, MlpLayout, ModuleNames, Multipliers, NormKind, NormOrder, NormSpan, Pairs,
    QueryGrowth, Residual, Rotation, Router, Routing, SharedExpert, hf_rope_keys, parse_hf_config,
    read_hf_config, read_hf_rope, remove_mscales, rotated_share, write_hf_rope,
};
pub use method::Method;
pub use parameter_method::ParameterMethod;
pub use precision::AnglePrecision;
pub use resolved::ResolvedRope;
pub use scaling::RopeScaling;
pub use self_extend::SelfExtend;
pub use spec::RopeSpec;
pub use warning::Warning;
