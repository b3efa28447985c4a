//! Documents made up by a program, whose answers are known: what teaches a model to look things up.
//!
//! A document fills its window exactly, and the tokens of its answers weigh more than the rest. Texts are tokenized
//! piece by piece; every piece begins with a line break or a space, where byte-level tokenizers divide a text anyway, so
//! the tokens are those of the whole text.

mod copying;
mod draft;
mod filler;
mod passkey;
mod recall;
mod stream;

pub use stream::{SyntheticConfig, SyntheticKind, SyntheticStream};
