//! Reads a Hugging Face `config.json`, and writes its rope.
//!
//! transformers 4 spreads the rope over `rope_theta`, `partial_rotary_factor`, `original_max_position_embeddings` and
//! `rope_scaling`; transformers 5 has one object, `rope_parameters`. The terms of Hugging Face are used in this module and
//! in `doctor` only.

mod attention;
mod bounds;
mod config;
mod conflicts;
mod document;
mod family;
mod fields;
mod head;
mod keys;
mod long_rope;
mod read;
mod top;
mod windows;
mod write;

pub use config::{HfConfig, read_hf_config};
pub use document::parse_hf_config;
pub use family::Family;
pub(crate) use keys::{ORIGINAL_POSITION, PHI3_ORIGINAL, ROPE_PARAMETERS, ROPE_SCALING, THETA};
pub use read::{HfRope, read_hf_rope};
pub use write::write_hf_rope;
