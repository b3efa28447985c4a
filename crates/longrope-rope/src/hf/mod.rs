//! Reads and writes the rope of a Hugging Face `config.json`.
//!
//! transformers 4 spreads it over `rope_theta`, `partial_rotary_factor`, `original_max_position_embeddings` and
//! `rope_scaling`; transformers 5 has one object, `rope_parameters`. The terms of Hugging Face are used in this module and
//! in `doctor` only.

mod attention;
mod fields;
mod head;
mod keys;
mod long_rope;
mod read;
mod spelling;
mod write;

pub(crate) use keys::{ORIGINAL_POSITION, PHI3_ORIGINAL, ROPE_PARAMETERS, ROPE_SCALING, THETA};
pub use read::{HfRope, read_hf_rope};
pub use write::write_hf_rope;
