//! Synthetic training documents with known answers, which teach a model to look things up in its context.
//!
//! A document fills its window exactly, and the tokens of its answers have a larger loss weight than the rest. Texts
//! are tokenized piece by piece. Every piece begins with a line break or a space, where byte-level tokenizers divide a
//! text anyway, and where others put a space before a text, the pieces after the first get none. Stretches of a corpus lose
//! the tokens at the beginning and at the end of their documents. So the tokens are those of the whole text.

mod copying;
mod draft;
mod filler;
mod passkey;
mod recall;
mod stream;

pub use stream::{SyntheticConfig, SyntheticKind, SyntheticStream};
